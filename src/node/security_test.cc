#include "node/security.h"

#include "codec/json.h"
#include "kube/object.h"
#include "node/image_test_directory.h"
#include "node/seccomp.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <algorithm>

namespace tulle::node {
namespace {

namespace json = boost::json;

json::object parse(std::string_view text) { return codec::parse_json(text).value().as_object(); }

// What the profile does with a call whatever its arguments are: "allow", "errno 38", "if" where
// that depends on them, "" for the default.
std::string verdict(const json::object& profile, std::string_view call) {
  for (const json::value& each : kube::array_at(profile, "syscalls")) {
    const json::object& rule = each.as_object();
    const auto& names = kube::array_at(rule, "names");
    const auto is_named = [&](const json::value& name) { return kube::string_or(name) == call; };
    if (std::ranges::none_of(names, is_named)) continue;
    if (rule.contains("args")) return "if";
    if (kube::string_at(rule, "action") == "SCMP_ACT_ALLOW") return "allow";
    return "errno " + std::to_string(kube::integer_at(rule, "errnoRet"));
  }
  return "";
}

TEST(Seccomp, the_default_allows_what_a_program_needs_and_no_more_than_its_capabilities) {
  const json::object usual = default_seccomp_profile({"CAP_CHOWN"}, Architecture::amd64);
  const json::object admin = default_seccomp_profile({"CAP_SYS_ADMIN"}, Architecture::amd64);
  EXPECT_EQ(kube::string_at(usual, "defaultAction"), "SCMP_ACT_ERRNO");
  EXPECT_EQ(kube::integer_at(usual, "defaultErrnoRet"), 1);
  struct Case {
    const char* call;
    const char* usual;
    const char* admin;
  };
  for (const Case& each : {Case{"read", "allow", "allow"},
                           Case{"write", "allow", "allow"},
                           Case{"execve", "allow", "allow"},
                           Case{"clone", "if", "allow"},
                           Case{"clone3", "errno 38", "allow"},
                           Case{"socket", "if", "if"},
                           Case{"personality", "if", "if"},
                           Case{"mount", "", "allow"},
                           Case{"unshare", "", "allow"},
                           Case{"setns", "", "allow"},
                           Case{"bpf", "", "allow"},
                           Case{"reboot", "", ""},
                           Case{"keyctl", "", ""},
                           Case{"add_key", "", ""},
                           Case{"io_uring_setup", "", ""},
                           Case{"userfaultfd", "", ""},
                           Case{"kexec_load", "", ""},
                           Case{"pivot_root", "", ""},
                           Case{"swapon", "", ""},
                           Case{"open_by_handle_at", "", ""}}) {
    EXPECT_EQ(verdict(usual, each.call), each.usual) << each.call;
    EXPECT_EQ(verdict(admin, each.call), each.admin) << each.call;
  }
}

TEST(Seccomp, the_default_is_of_the_machine_s_architecture) {
  const json::object amd64 = default_seccomp_profile({}, Architecture::amd64);
  const json::object arm64 = default_seccomp_profile({}, Architecture::arm64);
  EXPECT_EQ(codec::to_json(amd64.at("architectures")),
            R"(["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"])");
  EXPECT_EQ(codec::to_json(arm64.at("architectures")), R"(["SCMP_ARCH_AARCH64","SCMP_ARCH_ARM"])");
  EXPECT_EQ(verdict(amd64, "arch_prctl"), "allow");
  EXPECT_EQ(verdict(arm64, "arch_prctl"), "");
  EXPECT_EQ(verdict(arm64, "set_tls"), "allow");
}

class SecurityTest : public testing::Test {
 protected:
  // The settings with these fields, or the error's message.
  Result<ContainerSettings> settings(std::string_view pod_spec, std::string_view container) {
    ContainerSettings out;
    TRY_VOID(apply_security({{"spec", parse(pod_spec)}}, parse(container), data_dir / ".", out));
    return out;
  }
  // The default action of its seccomp profile.
  std::string seccomp(std::string_view pod_spec, std::string_view container) {
    const auto out = settings(pod_spec, container);
    if (!out) return out.error().message;
    if (!out->seccomp) return "unconfined";
    return std::string(kube::string_at(*out->seccomp, "defaultAction"));
  }

  const TestDirectory data_dir;
};

TEST_F(SecurityTest, a_container_s_profile_counts_before_its_pod_s) {
  data_dir.write("seccomp/audit/log.json", R"({"defaultAction":"SCMP_ACT_LOG"})");
  data_dir.write("seccomp/bad.json", "{}");
  const std::string local =
      R"({"securityContext":{"seccompProfile":{"type":"Localhost","localhostProfile":)";
  const std::string unconfined = R"({"securityContext":{"seccompProfile":{"type":"Unconfined"}}})";
  const std::string usual = R"({"securityContext":{"seccompProfile":{"type":"RuntimeDefault"}}})";
  EXPECT_EQ(seccomp("{}", "{}"), "SCMP_ACT_ERRNO");
  EXPECT_EQ(seccomp(unconfined, "{}"), "unconfined");
  EXPECT_EQ(seccomp(unconfined, usual), "SCMP_ACT_ERRNO");
  EXPECT_EQ(seccomp(usual, unconfined), "unconfined");
  EXPECT_EQ(seccomp(local + R"("audit/log.json"}}})", "{}"), "SCMP_ACT_LOG");
  EXPECT_EQ(seccomp(usual, R"({"securityContext":{"privileged":true}})"), "unconfined");
  const std::string folder = data_dir / "./seccomp/";
  EXPECT_EQ(seccomp("{}", local + R"("no.json"}}})"), "cannot load seccomp profile \"" + folder +
                                                          "no.json\": open " + folder +
                                                          "no.json: No such file or directory");
  EXPECT_EQ(seccomp("{}", local + R"("../x"}}})"),
            "cannot load seccomp profile \"" + folder +
                "../x\": it is no path within the folder of profiles");
  EXPECT_EQ(seccomp("{}", local + R"("bad.json"}}})"),
            "cannot load seccomp profile \"" + folder + "bad.json\": it has no defaultAction");
}

TEST_F(SecurityTest, isolation_that_cannot_be_given_is_refused) {
  EXPECT_EQ(seccomp(R"({"hostUsers":false})", "{}"),
            "user namespaces (hostUsers: false) are not supported");
}

TEST_F(SecurityTest, the_fields_of_pod_and_container_are_read) {
  const auto out = settings(
      R"({"hostPID":true,"hostIPC":true,"securityContext":{"sysctls":[
          {"name":"net.ipv4.tcp_syncookies","value":"0"}]}})",
      R"({"securityContext":{"privileged":true,"readOnlyRootFilesystem":true,
          "allowPrivilegeEscalation":true,"capabilities":{"add":["A"],"drop":["B"]}}})");
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_TRUE(out->host_pid && out->host_ipc && out->privileged && out->read_only_root);
  EXPECT_EQ(out->capabilities_added, std::vector<std::string>{"A"});
  EXPECT_EQ(out->capabilities_dropped, std::vector<std::string>{"B"});
  EXPECT_EQ(out->sysctls.at("net.ipv4.tcp_syncookies"), "0");
  EXPECT_TRUE(std::ranges::any_of(out->devices, [](const Device& each) {
    return each.path == "/dev/null" && each.major == 1 && each.minor == 3;
  }));
}

TEST_F(SecurityTest, devices_are_found_but_not_those_that_every_container_has) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  for (const char* name : {"null", "console", "disk/sda", "pts/0"}) {
    data_dir.write(std::string("dev/") + name + ".txt", "no device");
    const mode_t type = std::string_view(name) == "disk/sda" ? S_IFBLK : S_IFCHR;
    ASSERT_EQ(
        ::mknod((data_dir / (std::string("dev/") + name)).c_str(), type | 0600, makedev(7, 1)), 0);
  }
  std::string found;
  for (const Device& each : find_devices(data_dir / "dev")) {
    found += each.type + each.path.substr((data_dir / "dev").size()) + " ";
  }
  EXPECT_TRUE(found == "c/null b/disk/sda " || found == "b/disk/sda c/null ") << found;
}

}  // namespace
}  // namespace tulle::node
