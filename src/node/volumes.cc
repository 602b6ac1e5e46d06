#include "node/volumes.h"

#include "base/format.h"
#include "kube/object.h"
#include "kube/quantity.h"
#include "kube/storage.h"
#include "node/image_files.h"
#include "node/projection.h"
#include "node/volume_group.h"

#include <boost/json.hpp>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <filesystem>
#include <set>

namespace tulle::node {

namespace {

namespace json = boost::json;
using kube::string_at;

constexpr mode_t kFileMode = 0644;

Result<void> make_file(const std::string& path) {
  const OwnedFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, kFileMode));
  return file ? Result<void>() : Result<void>(os_error(errno, "make " + path));
}

// What the claim has: a directory of this machine.
Result<HostVolume> plan_claim(const std::string& name, const References& references) {
  const auto claim = references.claims.find(name);
  if (claim == references.claims.end()) {
    return failf(Code::not_found, "persistentvolumeclaim \"{}\" not found", name);
  }
  if (kube::is_deleting(*claim->second)) {
    return failf(Code::unavailable, "persistentvolumeclaim \"{}\" is being deleted", name);
  }
  if (string_at(*claim->second, "status.phase") != "Bound") {
    return failf(Code::unavailable,
                 "pod has unbound immediate PersistentVolumeClaims: \"{}\" has no volume yet",
                 name);
  }
  const auto volume = references.volumes.find(name);
  if (volume == references.volumes.end()) {
    return failf(Code::not_found, "persistentvolume \"{}\" not found",
                 string_at(*claim->second, "spec.volumeName"));
  }
  if (const json::object* local = kube::find_object(*volume->second, "spec.local")) {
    return HostVolume{.path = std::string(string_at(*local, "path")),
                      .type = "Directory",
                      .may_have_group = true};
  }
  if (const json::object* host = kube::find_object(*volume->second, "spec.hostPath")) {
    const bool own =
        kube::annotation_of(*volume->second, kube::kProvisionedBy) == kube::kLocalPathProvisioner;
    return HostVolume{.path = std::string(string_at(*host, "path")),
                      .type = std::string(string_at(*host, "type")),
                      .mode = own ? 0777U : 0755U,
                      .may_have_group = own};
  }
  return failf(Code::unsupported,
               "persistentvolume \"{}\" is of a kind that is not supported; local and hostPath are",
               kube::name_of(*volume->second));
}

// An ephemeral volume is not to find somebody else's claim under its name.
Result<void> check_owner(const json::object& volume, const std::string& claim,
                         const EnvironmentSources& sources) {
  const auto found = sources.references.claims.find(claim);
  if (!volume.contains("ephemeral") || found == sources.references.claims.end()) return {};
  if (kube::is_controlled_by(*found->second, kube::uid_of(sources.pod))) return {};
  return failf(Code::invalid_argument, "PVC {} was not created for pod {}", claim,
               kube::name_of(sources.pod));
}

Result<PlannedVolume> plan_volume(const json::object& volume, const EnvironmentSources& sources) {
  PlannedVolume plan{.name = std::string(string_at(volume, "name")), .what = ScratchVolume{}};
  if (const json::object* scratch = kube::find_object(volume, "emptyDir")) {
    const json::value* limit = scratch->if_contains("sizeLimit");
    kube::Quantity bytes;
    if (limit != nullptr) {
      TRY(bytes, kube::Quantity::parse(kube::scalar_text(*limit)));
    }
    plan.what = ScratchVolume{.in_memory = string_at(*scratch, "medium") == "Memory",
                              .bytes_max = bytes.value()};
  } else if (const json::object* host = kube::find_object(volume, "hostPath")) {
    plan.what = HostVolume{.path = std::string(string_at(*host, "path")),
                           .type = std::string(string_at(*host, "type"))};
  } else if (const std::string claim = kube::claim_name(volume, kube::name_of(sources.pod));
             !claim.empty()) {
    TRY_VOID(check_owner(volume, claim, sources));
    TRY(plan.what, plan_claim(claim, sources.references));
  } else if (is_made_of_objects(volume)) {
    TRY(plan.what, volume_files(volume, sources));
  } else {
    return fail(Code::unsupported,
                "volumes of this kind are not supported; emptyDir, hostPath, configMap, secret, "
                "downwardAPI, projected, persistentVolumeClaim and ephemeral are");
  }
  return plan;
}

// Whether something is mounted at the directory.
bool is_mount_point(const std::string& path) {
  struct stat own{};
  struct stat parent{};
  return ::lstat(path.c_str(), &own) == 0 && ::stat((path + "/..").c_str(), &parent) == 0 &&
         own.st_dev != parent.st_dev;
}

// Where the policy asks for it only if the root has not got the group.
Result<void> give_volume(const std::string& directory, const VolumeGroup& group) {
  using enum VolumeGroup::ChangePolicy;
  if (group.policy == on_root_mismatch && has_group(directory, group.id)) return {};
  return give_group_to_tree(directory, group.id);
}

Result<void> make(const std::string& path, const ScratchVolume& volume,
                  std::optional<VolumeGroup> group) {
  TRY_VOID(make_directories(path, 0777));
  if (volume.in_memory && !is_mount_point(path)) {
    const std::string size =
        volume.bytes_max > 0 ? fmt::format(",size={}", volume.bytes_max) : std::string();
    if (::mount("tmpfs", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV,
                ("mode=0777" + size).c_str()) != 0) {
      return os_error(errno, "mount a tmpfs");
    }
  }
  return group ? give_group(path, group->id) : Result<void>();
}

// As HostPathVolumeSource's type says. Without one, what is missing is made, as containerd does.
Result<void> check_host_path(const HostVolume& volume) {
  const std::string& path = volume.path;
  const bool any = volume.type.empty();
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    if (any || volume.type == "DirectoryOrCreate") return make_directories(path, volume.mode);
    if (volume.type == "FileOrCreate") return make_file(path);
    return failf(Code::not_found, "hostPath type check failed: {} does not exist", path);
  }
  struct Kind {
    std::string_view name;
    mode_t type;
  };
  for (const Kind& each :
       {Kind{"Directory", S_IFDIR}, Kind{"DirectoryOrCreate", S_IFDIR}, Kind{"File", S_IFREG},
        Kind{"FileOrCreate", S_IFREG}, Kind{"Socket", S_IFSOCK}, Kind{"CharDevice", S_IFCHR},
        Kind{"BlockDevice", S_IFBLK}}) {
    if (each.name == volume.type && (status.st_mode & S_IFMT) == each.type) return {};
  }
  if (any) return {};
  return failf(Code::invalid_argument, "hostPath type check failed: {} is not a {}", path,
               volume.type);
}

// The pod's place for the volume is a link, so that nothing of the machine can go with the pod.
Result<void> make(const std::string& path, const HostVolume& volume,
                  std::optional<VolumeGroup> group) {
  TRY_VOID(check_host_path(volume));
  if (::symlink(volume.path.c_str(), path.c_str()) != 0 && errno != EEXIST) {
    return os_error(errno, "link " + path);
  }
  if (!group || !volume.may_have_group) return {};
  return give_volume(volume.path, *group);
}

Result<void> make(const std::string& path, const VolumeFiles& files,
                  std::optional<VolumeGroup> group) {
  return write_projection(path, files, group ? std::optional(group->id) : std::nullopt);
}

// Before Linux 5.12 a mount is read-only by itself or not at all.
bool can_make_trees_read_only() {
  return ::syscall(SYS_mount_setattr, -1, nullptr, 0, nullptr, 0) == 0 || errno != ENOSYS;
}

BindMount::Access access_of(const json::object& mount, bool read_only_volume) {
  using enum BindMount::Access;
  if (!read_only_volume && !kube::bool_at(mount, "readOnly")) return read_write;
  const std::string_view below = string_at(mount, "recursiveReadOnly", "Disabled");
  if (below == "Enabled") return read_only_below;
  return below == "IfPossible" && can_make_trees_read_only() ? read_only_below : read_only;
}

BindMount::Propagation propagation_of(const json::object& mount) {
  using enum BindMount::Propagation;
  const std::string_view text = string_at(mount, "mountPropagation", "None");
  if (text == "Bidirectional") return bidirectional;
  return text == "HostToContainer" ? host_to_container : none;
}

// `sub_path` of the volume, made if it is missing. The kernel refuses ways that lead out.
Result<OwnedFd> open_inside(const std::string& volume, std::string_view sub_path) {
  if (!stays_inside(sub_path)) {
    return failf(Code::invalid_argument, "subPath \"{}\" is no path within a volume", sub_path);
  }
  const OwnedFd root(::open(volume.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return os_error(errno, "open " + volume);
  OwnedFd parent;
  OwnedFd at;
  for (std::size_t end = 0; end < sub_path.size();) {
    const std::size_t begin = end;
    end = std::min(sub_path.find('/', begin + 1), sub_path.size());
    const std::string path(sub_path.substr(0, end));
    const auto open_beneath = [&root, &path] {
      const open_how how{.flags = O_PATH | O_CLOEXEC, .mode = 0, .resolve = RESOLVE_BENEATH};
      return OwnedFd(
          static_cast<int>(::syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how)));
    };
    parent = std::exchange(at, open_beneath());
    if (!at && errno == ENOENT) {
      const std::string name(sub_path.substr(begin == 0 ? 0 : begin + 1, end - begin));
      const int where = parent ? parent.get() : root.get();
      if (::mkdirat(where, name.c_str(), 0777) == 0) at = open_beneath();
    }
    if (!at) return os_error(errno, fmt::format("open subPath \"{}\"", sub_path));
  }
  return at;
}

}  // namespace

Result<std::vector<PlannedVolume>> plan_volumes(const EnvironmentSources& sources,
                                                VolumesOf which) {
  std::vector<PlannedVolume> plans;
  for (const json::value& each : kube::array_at(sources.pod, "spec.volumes")) {
    const json::object& volume = kube::object_or_empty(each);
    if (which == VolumesOf::objects && !is_made_of_objects(volume)) continue;
    auto plan = plan_volume(volume, sources);
    if (!plan) {
      return std::move(plan).error().context(
          fmt::format("MountVolume.SetUp failed for volume \"{}\" ", string_at(volume, "name")));
    }
    plans.push_back(*std::move(plan));
  }
  return plans;
}

std::optional<VolumeGroup> group_of_volumes(const json::object& pod) {
  using enum VolumeGroup::ChangePolicy;
  const json::object& context = kube::object_at(pod, "spec.securityContext");
  const std::int64_t group = kube::integer_at(context, "fsGroup", -1);
  if (group < 0) return std::nullopt;
  const bool on_mismatch = string_at(context, "fsGroupChangePolicy") == "OnRootMismatch";
  return VolumeGroup{.id = static_cast<std::uint32_t>(group),
                     .policy = on_mismatch ? on_root_mismatch : always};
}

Result<void> make_volumes(const PodPlace& place, const std::vector<PlannedVolume>& volumes,
                          std::optional<VolumeGroup> group) {
  TRY_VOID(make_directories(place.volumes(), 0755));
  for (const PlannedVolume& volume : volumes) {
    auto made =
        std::visit([&](const auto& what) { return make(place.volume(volume.name), what, group); },
                   volume.what);
    if (!made) {
      return std::move(made).error().context(
          fmt::format("MountVolume.SetUp failed for volume \"{}\" ", volume.name));
    }
  }
  return {};
}

Result<void> unmount_volumes(const PodPlace& place) {
  std::error_code error;
  for (const auto& volume : std::filesystem::directory_iterator(place.volumes(), error)) {
    const std::string path = volume.path();
    if (!volume.is_symlink() && is_mount_point(path) && ::umount2(path.c_str(), MNT_DETACH) != 0) {
      return os_error(errno, "unmount " + path);
    }
  }
  return {};
}

Result<std::vector<BindMount>> mounts_of(const PodPlace& place, const json::object& pod,
                                         const json::object& container,
                                         const Environment& environment, RunMounts& held) {
  std::set<std::string_view> read_only;
  for (const json::value& each : kube::array_at(pod, "spec.volumes")) {
    const json::object& volume = kube::object_or_empty(each);
    if (is_made_of_objects(volume) || kube::bool_at(volume, "persistentVolumeClaim.readOnly")) {
      read_only.insert(string_at(volume, "name"));
    }
  }
  std::vector<BindMount> mounts;
  for (const char* name : {"hosts", "hostname", "resolv.conf"}) {
    mounts.push_back({.source = place.etc() + "/" + name, .target = std::string("/etc/") + name});
  }
  for (const json::value& each : kube::array_at(container, "volumeMounts")) {
    const json::object& mount = kube::object_or_empty(each);
    const std::string_view name = string_at(mount, "name");
    std::string source = place.volume(std::string(name));
    std::string sub_path(string_at(mount, "subPath"));
    if (sub_path.empty()) sub_path = expand(string_at(mount, "subPathExpr"), environment);
    if (!sub_path.empty()) {
      TRY(const OwnedFd inside, open_inside(source, sub_path));
      TRY(source, held.bind(inside.get()));
    }
    mounts.push_back({.source = std::move(source),
                      .target = std::string(string_at(mount, "mountPath")),
                      .access = access_of(mount, read_only.contains(name)),
                      .propagation = propagation_of(mount)});
  }
  return mounts;
}

}  // namespace tulle::node
