#include "node/etc_files.h"

#include "base/format.h"
#include "kube/object.h"
#include "node/image_files.h"

#include <boost/json.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <vector>

namespace tulle::node {

namespace {

namespace json = boost::json;
using kube::string_at;

constexpr mode_t kFileMode = 0644;

// By rename: a container that has the old file keeps it whole.
Result<void> write_file(const std::string& path, std::string_view text) {
  const std::string temporary = path + ".new";
  const OwnedFd file(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, kFileMode));
  if (!file) return os_error(errno, "make " + path);
  TRY_VOID(write_at(file.get(), text, 0));
  if (::fchmod(file.get(), kFileMode) != 0 || ::rename(temporary.c_str(), path.c_str()) != 0) {
    return os_error(errno, "write " + path);
  }
  return {};
}

void append_new(std::vector<std::string>& list, const json::array& more) {
  for (const json::value& each : more) {
    std::string text(kube::string_or(each));
    if (std::ranges::find(list, text) == list.end()) list.push_back(std::move(text));
  }
}

// NAME or NAME:VALUE; a later one of the same name stands in for the earlier.
void set_option(std::vector<std::string>& options, std::string option) {
  const auto name_of = [](std::string_view text) { return text.substr(0, text.find(':')); };
  const auto same = std::ranges::find_if(
      options, [&](const std::string& known) { return name_of(known) == name_of(option); });
  if (same == options.end()) {
    options.push_back(std::move(option));
  } else {
    *same = std::move(option);
  }
}

std::string line(std::string_view keyword, const std::vector<std::string>& words) {
  if (words.empty()) return "";
  std::string out(keyword);
  for (const std::string& word : words) out.append(" ").append(word);
  return out + "\n";
}

}  // namespace

std::string hosts_text(const json::object& pod, const EtcFiles& files) {
  const std::string_view subdomain = string_at(pod, "spec.subdomain");
  const std::string full_name = subdomain.empty()
                                    ? std::string()
                                    : fmt::format("{}.{}.{}.svc.{}\t", files.hostname, subdomain,
                                                  kube::namespace_of(pod), files.cluster_domain);
  std::string out = fmt::format(
      "# Written by Tulle.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
      "{}\t{}{}\n",
      files.address, full_name, files.hostname);
  for (const json::value& each : kube::array_at(pod, "spec.hostAliases")) {
    const json::object& alias = kube::object_or_empty(each);
    out += string_at(alias, "ip");
    for (const json::value& name : kube::array_at(alias, "hostnames")) {
      out.append("\t").append(kube::string_or(name));
    }
    out += "\n";
  }
  return out;
}

std::string resolver_text(const json::object& pod, const EtcFiles& files) {
  const std::string_view policy = string_at(pod, "spec.dnsPolicy", "ClusterFirst");
  const std::string& domain = files.cluster_domain;
  std::vector<std::string> servers;
  std::vector<std::string> searches;
  std::vector<std::string> options;
  if (policy != "None") servers = {files.dns_address};
  if (policy.starts_with("ClusterFirst")) {
    searches = {fmt::format("{}.svc.{}", kube::namespace_of(pod), domain), "svc." + domain, domain};
    options = {"ndots:5"};
  }
  const json::object& config = kube::object_at(pod, "spec.dnsConfig");
  append_new(servers, kube::array_at(config, "nameservers"));
  append_new(searches, kube::array_at(config, "searches"));
  for (const json::value& each : kube::array_at(config, "options")) {
    const json::object& option = kube::object_or_empty(each);
    std::string text(string_at(option, "name"));
    if (const json::value* value = option.if_contains("value")) {
      text.append(":").append(kube::scalar_text(*value));
    }
    set_option(options, std::move(text));
  }
  std::string out = line("search", searches);
  for (const std::string& server : servers) out += line("nameserver", {server});
  return out + line("options", options);
}

Result<void> write_etc(const PodPlace& place, const json::object& pod, const EtcFiles& files) {
  TRY_VOID(make_directories(place.etc(), 0755));
  TRY_VOID(write_file(place.etc() + "/hosts", hosts_text(pod, files)));
  TRY_VOID(write_file(place.etc() + "/hostname", files.hostname + "\n"));
  return write_file(place.etc() + "/resolv.conf", resolver_text(pod, files));
}

}  // namespace tulle::node
