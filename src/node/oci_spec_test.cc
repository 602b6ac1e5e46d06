#include "node/oci_spec.h"

#include "codec/json.h"
#include "kube/object.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <algorithm>

namespace tulle::node {
namespace {

namespace json = boost::json;

// The options of what is mounted at `target`, as JSON.
std::string mount_options(const json::object& spec, std::string_view target) {
  for (const json::value& each : kube::array_at(spec, "mounts")) {
    const json::object& mount = each.as_object();
    if (kube::string_at(mount, "destination") == target) {
      return codec::to_json(mount.at("options"));
    }
  }
  return "not mounted";
}

TEST(OciSpec, holds_what_the_container_asks_for) {
  ContainerSettings settings{.arguments = {"/hello", "--port", "8080"},
                             .environment = {"A=b"},
                             .directory = "/srv",
                             .user = {.uid = 1000, .gid = 2000, .groups = {3000}},
                             .hostname = "hello-1",
                             .rootfs = "/data/rootfs",
                             .network_namespace = "/data/netns",
                             .cgroup = "/tulle/uid/hello"};
  settings.mounts = {
      {.source = "/data/hosts", .target = "/etc/hosts", .access = BindMount::Access::read_only}};
  settings.memory_limit = 1 << 20;
  settings.cpu_request_milli = 250;
  settings.cpu_limit_milli = 1500;
  settings.allow_privilege_escalation = false;
  const json::object spec = make_oci_spec(settings);
  struct Case {
    const char* path;
    const char* json;
  };
  for (const Case& each :
       {Case{"process.args", R"(["/hello","--port","8080"])"}, Case{"process.env", R"(["A=b"])"},
        Case{"process.cwd", R"("/srv")"},
        Case{"process.user", R"({"uid":1000,"gid":2000,"additionalGids":[3000]})"},
        Case{"process.noNewPrivileges", "true"}, Case{"hostname", R"("hello-1")"},
        Case{"root", R"({"path":"/data/rootfs","readonly":false})"},
        Case{"linux.cgroupsPath", R"("/tulle/uid/hello")"},
        Case{"linux.resources.memory", R"({"limit":1048576,"swap":1048576})"},
        Case{"linux.resources.cpu", R"({"shares":256,"period":100000,"quota":150000})"}}) {
    const json::value* value = kube::find(spec, each.path);
    ASSERT_NE(value, nullptr) << each.path;
    EXPECT_EQ(codec::to_json(*value), each.json) << each.path;
  }
  const auto& mounts = kube::array_at(spec, "mounts");
  EXPECT_EQ(codec::to_json(mounts.back()),
            R"({"destination":"/etc/hosts","type":"bind","source":"/data/hosts",)"
            R"("options":["rbind","rprivate","ro"]})");
  EXPECT_EQ(codec::to_json(kube::array_at(spec, "linux.namespaces").back()),
            R"({"type":"network","path":"/data/netns"})");
}

TEST(OciSpec, shares_the_processes_of_another_container_where_asked_to) {
  const auto pid_of = [](const std::string& path) {
    ContainerSettings settings;
    settings.pid_namespace = path;
    const json::object spec = make_oci_spec(settings);
    for (const json::value& each : kube::array_at(spec, "linux.namespaces")) {
      const json::object& space = each.as_object();
      if (kube::string_at(space, "type") == "pid") return codec::to_json(space);
    }
    return std::string();
  };
  EXPECT_EQ(pid_of(""), R"({"type":"pid"})");
  EXPECT_EQ(pid_of("/proc/7/ns/pid"), R"({"type":"pid","path":"/proc/7/ns/pid"})");
}

TEST(OciSpec, hides_of_the_kernel_what_is_not_for_a_container) {
  const json::object spec = make_oci_spec({});
  EXPECT_EQ(kube::array_at(spec, "process.capabilities.bounding").size(), 14U);
  EXPECT_FALSE(kube::array_at(spec, "linux.maskedPaths").empty());
  EXPECT_FALSE(kube::array_at(spec, "linux.readonlyPaths").empty());
  EXPECT_EQ(mount_options(spec, "/sys"), R"(["nosuid","noexec","nodev","ro"])");
  EXPECT_EQ(mount_options(spec, "/sys/fs/cgroup"),
            R"(["nosuid","noexec","nodev","relatime","ro"])");
  EXPECT_EQ(codec::to_json(*kube::find(spec, "linux.resources.devices")),
            R"([{"allow":false,"access":"rwm"}])");
}

TEST(OciSpec, hides_nothing_from_a_privileged_container) {
  ContainerSettings settings;
  settings.privileged = true;
  settings.capabilities_dropped = {"ALL"};
  settings.devices = {{.path = "/dev/fuse", .major = 10, .minor = 229, .mode = 0666}};
  const json::object spec = make_oci_spec(settings);
  EXPECT_EQ(kube::array_at(spec, "process.capabilities.effective").size(), 41U);
  EXPECT_EQ(kube::find(spec, "linux.maskedPaths"), nullptr);
  EXPECT_EQ(kube::find(spec, "linux.readonlyPaths"), nullptr);
  EXPECT_EQ(kube::find(spec, "linux.seccomp"), nullptr);
  EXPECT_EQ(mount_options(spec, "/sys"), R"(["nosuid","noexec","nodev","rw"])");
  EXPECT_EQ(mount_options(spec, "/sys/fs/cgroup"),
            R"(["nosuid","noexec","nodev","relatime","rw"])");
  EXPECT_EQ(codec::to_json(*kube::find(spec, "linux.resources.devices")),
            R"([{"allow":true,"access":"rwm"}])");
  EXPECT_EQ(codec::to_json(*kube::find(spec, "linux.devices")),
            R"([{"path":"/dev/fuse","type":"c","major":10,"minor":229,"fileMode":438,)"
            R"("uid":0,"gid":0}])");
}

TEST(OciSpec, shares_mounts_as_far_as_asked_to) {
  using enum BindMount::Propagation;
  const auto options = [](BindMount::Propagation propagation, BindMount::Access access) {
    ContainerSettings settings;
    settings.mounts = {
        {.source = "/s", .target = "/t", .access = access, .propagation = propagation}};
    const json::object spec = make_oci_spec(settings);
    return mount_options(spec, "/t") + " " +
           std::string(kube::string_at(spec, "linux.rootfsPropagation"));
  };
  EXPECT_EQ(options(none, BindMount::Access::read_only_below), R"(["rbind","rprivate","rro"] )");
  EXPECT_EQ(options(host_to_container, BindMount::Access::read_write),
            R"(["rbind","rslave","rw"] )");
  EXPECT_EQ(options(bidirectional, BindMount::Access::read_write),
            R"(["rbind","rshared","rw"] rshared)");
}

TEST(OciSpec, has_the_machine_s_namespaces_where_asked_to) {
  const auto types = [](const ContainerSettings& settings) {
    const json::object spec = make_oci_spec(settings);
    std::string all;
    for (const json::value& each : kube::array_at(spec, "linux.namespaces")) {
      all.append(kube::string_at(each.as_object(), "type")).append(" ");
    }
    return all + mount_options(spec, "/dev/shm");
  };
  ContainerSettings settings;
  EXPECT_EQ(types(settings),
            "uts mount ipc pid network "
            R"(["nosuid","noexec","nodev","mode=1777","size=65536k"])");
  settings.cgroup_v2 = true;
  settings.host_pid = settings.host_ipc = true;
  EXPECT_EQ(types(settings), R"(uts mount cgroup network ["rbind","nosuid","noexec","nodev"])");
  settings.privileged = true;
  EXPECT_EQ(types(settings), R"(uts mount network ["rbind","nosuid","noexec","nodev"])");
}

TEST(OciSpec, capabilities_are_dropped_before_others_are_added) {
  struct Case {
    std::vector<std::string> added;
    std::vector<std::string> dropped;
    std::size_t count;
    const char* has;
  };
  for (const Case& each : {Case{{}, {}, 14, "CAP_KILL"}, Case{{}, {"ALL"}, 0, nullptr},
                           Case{{"NET_ADMIN"}, {"ALL"}, 1, "CAP_NET_ADMIN"},
                           Case{{"CAP_SYS_TIME"}, {"KILL"}, 14, "CAP_SYS_TIME"},
                           Case{{"ALL"}, {}, 41, "CAP_SYS_ADMIN"}}) {
    ContainerSettings settings;
    settings.capabilities_added = each.added;
    settings.capabilities_dropped = each.dropped;
    const auto all = capabilities_of(settings);
    EXPECT_EQ(all.size(), each.count);
    if (each.has != nullptr) EXPECT_TRUE(std::ranges::find(all, each.has) != all.end());
  }
}

TEST(OciSpec, all_capabilities_are_those_that_can_be_given) {
  ContainerSettings settings;
  settings.capabilities_dropped = {"ALL"};
  settings.capabilities_added = {"ALL"};
  settings.capabilities_possible = 1ULL << 0 | 1ULL << 21;
  EXPECT_EQ(capabilities_of(settings), (std::vector<std::string>{"CAP_CHOWN", "CAP_SYS_ADMIN"}));
}

TEST(OciSpec, users_are_looked_up_in_the_image) {
  constexpr std::string_view kPasswd = "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/:/bin/sh\nbad\n";
  constexpr std::string_view kGroup = "root:x:0:\nstaff:x:50:web\n";
  struct Case {
    const char* user;
    int uid;  // -1: refused
    int gid;
  };
  for (const Case& each : {Case{"", 0, 0}, Case{"web", 33, 34}, Case{"33", 33, 34},
                           Case{"1234", 1234, 0}, Case{"web:staff", 33, 50}, Case{"7:8", 7, 8},
                           Case{"nobody", -1, 0}, Case{"web:none", -1, 0}, Case{"-1", -1, 0}}) {
    const auto user = resolve_user(each.user, kPasswd, kGroup);
    ASSERT_EQ(user.has_value(), each.uid >= 0) << each.user;
    if (!user) continue;
    EXPECT_EQ(user->uid, static_cast<std::uint32_t>(each.uid)) << each.user;
    EXPECT_EQ(user->gid, static_cast<std::uint32_t>(each.gid)) << each.user;
  }
}

}  // namespace
}  // namespace tulle::node
