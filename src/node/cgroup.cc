#include "node/cgroup.h"

#include "base/format.h"
#include "base/owned_fd.h"

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <filesystem>
#include <vector>

namespace tulle::node {

namespace {

constexpr const char* kRoot = "/sys/fs/cgroup";

// cgroup v2 is one hierarchy at the root, v1 one below it for each controller.
std::vector<std::string> hierarchies() {
  std::vector<std::string> out{kRoot};
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(kRoot, error)) {
    std::error_code inner;
    if (entry.is_directory(inner) && !entry.is_symlink(inner)) out.push_back(entry.path());
  }
  return out;
}

// Into a file that may not be there.
void write_if_there(const std::string& path, std::string_view text) {
  const OwnedFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file) (void)!::write(file.get(), text.data(), text.size());
}

bool may_be_left(int error) { return error == ENOENT || error == ENOTEMPTY || error == EBUSY; }

}  // namespace

void lift_cpu_limit(const std::string& group) {
  for (const std::string& hierarchy : hierarchies()) {
    write_if_there(hierarchy + group + "/cpu.cfs_quota_us", "-1");  // v1
    write_if_there(hierarchy + group + "/cpu.max", "max");          // v2
  }
}

Result<void> remove_pod_cgroup(const std::string& uid) {
  for (const std::string& hierarchy : hierarchies()) {
    const std::string ours = hierarchy + "/tulle";
    const std::string pod = fmt::format("{}/{}", ours, uid);
    std::error_code error;
    for (const auto& container : std::filesystem::directory_iterator(pod, error)) {
      std::error_code inner;
      if (container.is_directory(inner)) ::rmdir(container.path().c_str());
    }
    if (::rmdir(pod.c_str()) != 0 && errno != ENOENT) return os_error(errno, "remove " + pod);
    // Other pods, and other instances, share it.
    if (::rmdir(ours.c_str()) != 0 && !may_be_left(errno)) {
      return os_error(errno, "remove " + ours);
    }
  }
  return {};
}

}  // namespace tulle::node
