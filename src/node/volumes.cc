#include "node/volumes.h"

#include "base/format.h"
#include "kube/object.h"
#include "node/image_files.h"

#include <boost/json.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>

namespace tulle::node {

namespace {

namespace json = boost::json;
using kube::string_at;

constexpr mode_t kFileMode = 0644;

Result<void> write_file(const std::string& path, std::string_view text, mode_t mode) {
  const std::string temporary = path + ".new";
  const OwnedFd file(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!file) return os_error(errno, "make " + path);
  TRY_VOID(write_at(file.get(), text, 0));
  if (::fchmod(file.get(), mode) != 0 || ::rename(temporary.c_str(), path.c_str()) != 0) {
    return os_error(errno, "write " + path);
  }
  return {};
}

// A name within a volume: relative, without "..".
bool stays_inside(std::string_view path) {
  if (path.empty() || path.front() == '/') return false;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    if (path.substr(begin, end - begin) == "..") return false;
    begin = end + 1;
  }
  return true;
}

Result<void> write_item(const std::string& directory, const std::string& name,
                        std::string_view text, mode_t mode) {
  if (!stays_inside(name)) {
    return failf(Code::invalid_argument, "\"{}\" is no path within a volume", name);
  }
  const std::size_t slash = name.rfind('/');
  if (slash != std::string::npos) {
    TRY_VOID(make_directories(directory + "/" + name.substr(0, slash), 0755));
  }
  return write_file(directory + "/" + name, text, mode);
}

// The files of a configMap or secret source: all keys, or those that `items` lists.
Result<void> write_keys(const std::string& directory, const json::object& source,
                        const kubeclient::ObjectPtr& object, std::string_view kind,
                        std::string_view name) {
  if (!object) {
    if (kube::bool_at(source, "optional")) return {};
    return failf(Code::not_found, "{} \"{}\" not found", kind, name);
  }
  const auto mode = static_cast<mode_t>(kube::integer_at(source, "defaultMode", kFileMode));
  const json::array& items = kube::array_at(source, "items");
  for (const json::value& each : items) {
    const json::object& item = kube::object_or_empty(each);
    TRY(const std::string text, read_key(*object, string_at(item, "key")));
    TRY_VOID(write_item(directory, std::string(string_at(item, "path")), text,
                        static_cast<mode_t>(kube::integer_at(item, "mode", mode))));
  }
  if (!items.empty()) return {};
  TRY(const auto values, read_keys(*object));
  for (const auto& [key, text] : values) TRY_VOID(write_item(directory, key, text, mode));
  return {};
}

kubeclient::ObjectPtr find(const std::map<std::string, kubeclient::ObjectPtr>& objects,
                           std::string_view name) {
  const auto found = objects.find(std::string(name));
  return found == objects.end() ? nullptr : found->second;
}

Result<void> write_volume(const PodPlace& place, const json::object& volume,
                          const References& references) {
  const std::string directory = place.volume(std::string(string_at(volume, "name")));
  if (volume.contains("emptyDir")) return make_directories(directory, 0777);
  TRY_VOID(make_directories(directory, 0755));
  if (const json::object* source = kube::find_object(volume, "configMap")) {
    const std::string_view name = string_at(*source, "name");
    return write_keys(directory, *source, find(references.config_maps, name), "configmap", name);
  }
  if (const json::object* source = kube::find_object(volume, "secret")) {
    const std::string_view name = string_at(*source, "secretName");
    return write_keys(directory, *source, find(references.secrets, name), "secret", name);
  }
  return failf(Code::unsupported,
               "volume \"{}\" is of a kind that Tulle does not support yet; emptyDir, configMap "
               "and secret are",
               string_at(volume, "name"));
}

std::string hosts_text(const json::object& pod, const PodFiles& files) {
  std::string out = fmt::format(
      "# Written by Tulle.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
      "{}\t{}\n",
      files.address, files.hostname);
  for (const json::value& each : kube::array_at(pod, "spec.hostAliases")) {
    const json::object& alias = kube::object_or_empty(each);
    out += string_at(alias, "ip");
    for (const json::value& name : kube::array_at(alias, "hostnames")) {
      out += "\t" + std::string(kube::string_or(name));
    }
    out += "\n";
  }
  return out;
}

std::string resolver_text(const json::object& pod, const PodFiles& files) {
  const std::string& domain = files.cluster_domain;
  return fmt::format("search {}.svc.{} svc.{} {}\nnameserver {}\noptions ndots:5\n",
                     kube::namespace_of(pod), domain, domain, domain, files.dns_address);
}

}  // namespace

Result<void> write_pod_files(const PodPlace& place, const json::object& pod,
                             const References& references, const PodFiles& files) {
  TRY_VOID(make_directories(place.etc(), 0755));
  TRY_VOID(write_file(place.etc() + "/hosts", hosts_text(pod, files), kFileMode));
  TRY_VOID(write_file(place.etc() + "/hostname", files.hostname + "\n", kFileMode));
  TRY_VOID(write_file(place.etc() + "/resolv.conf", resolver_text(pod, files), kFileMode));
  for (const json::value& each : kube::array_at(pod, "spec.volumes")) {
    TRY_VOID(write_volume(place, kube::object_or_empty(each), references));
  }
  return {};
}

Result<std::vector<BindMount>> mounts_of(const PodPlace& place, const json::object& container) {
  std::vector<BindMount> mounts;
  for (const char* name : {"hosts", "hostname", "resolv.conf"}) {
    mounts.push_back({.source = place.etc() + "/" + name,
                      .target = std::string("/etc/") + name,
                      .read_only = false});
  }
  for (const json::value& each : kube::array_at(container, "volumeMounts")) {
    const json::object& mount = kube::object_or_empty(each);
    std::string source = place.volume(std::string(string_at(mount, "name")));
    const std::string_view sub_path = string_at(mount, "subPath");
    if (!sub_path.empty() && !stays_inside(sub_path)) {
      return failf(Code::invalid_argument, "subPath \"{}\" is no path within a volume", sub_path);
    }
    if (!sub_path.empty()) source += "/" + std::string(sub_path);
    mounts.push_back({.source = std::move(source),
                      .target = std::string(string_at(mount, "mountPath")),
                      .read_only = kube::bool_at(mount, "readOnly")});
  }
  return mounts;
}

}  // namespace tulle::node
