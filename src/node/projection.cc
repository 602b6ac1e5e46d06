#include "node/projection.h"

#include "base/format.h"
#include "base/owned_fd.h"
#include "node/image_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <set>

namespace tulle::node {

namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kDirectoryMode = 0755;
constexpr std::uint32_t kGroupMayRead = 0440;
constexpr std::uint32_t kGroupMayEnter = 02550;
constexpr std::uint64_t kFileBytesMax = 4 * 1024 * 1024;

std::string below(const std::string& directory, std::string_view name) {
  return fmt::format("{}/{}", directory, name);
}

std::string read_link(const std::string& path) {
  std::error_code error;
  return fs::read_symlink(path, error).string();
}

// The link `name` leads to `target` from one moment to the next, whatever was there.
Result<void> set_link(const std::string& directory, const std::string& name,
                      const std::string& target) {
  const std::string path = below(directory, name);
  if (read_link(path) == target) return {};
  const std::string temporary = directory + "/..link";  // no file of a volume begins with ".."
  TRY_VOID(remove_tree(temporary));
  std::error_code error;
  // A directory would stand in the way of the rename.
  if (fs::is_directory(fs::symlink_status(path, error))) TRY_VOID(remove_tree(path));
  if (::symlink(target.c_str(), temporary.c_str()) != 0 ||
      ::rename(temporary.c_str(), path.c_str()) != 0) {
    return os_error(errno, "link " + path);
  }
  return {};
}

VolumeFile with_group(VolumeFile file, std::optional<std::uint32_t> group) {
  if (group) file.mode |= kGroupMayRead;
  return file;
}

// Whether `state` holds these files and no others.
bool holds(const std::string& state, const VolumeFiles& files, std::optional<std::uint32_t> group) {
  std::size_t count = 0;
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(state, error)) {
    if (entry.is_directory()) continue;
    ++count;
    const auto wanted = files.find(entry.path().lexically_relative(state).string());
    if (wanted == files.end()) return false;
    struct stat status{};
    if (::stat(entry.path().c_str(), &status) != 0) return false;
    const auto text = read_small_file(entry.path(), kFileBytesMax);
    if (!text || VolumeFile{.text = *text, .mode = status.st_mode & 0777U} !=
                     with_group(wanted->second, group)) {
      return false;
    }
  }
  return !error && count == files.size();
}

Result<void> make_directory(const std::string& path, std::optional<std::uint32_t> group) {
  TRY_VOID(make_directories(path, kDirectoryMode));
  if (!group) return {};
  if (::chown(path.c_str(), static_cast<uid_t>(-1), *group) != 0 ||
      ::chmod(path.c_str(), kDirectoryMode | kGroupMayEnter) != 0) {
    return os_error(errno, "give a group to " + path);
  }
  return {};
}

Result<void> write_file(const std::string& path, const VolumeFile& file,
                        std::optional<std::uint32_t> group) {
  const OwnedFd out(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!out) return os_error(errno, "make " + path);
  TRY_VOID(write_at(out.get(), file.text, 0));
  if ((group && ::fchown(out.get(), static_cast<uid_t>(-1), *group) != 0) ||
      ::fchmod(out.get(), with_group(file, group).mode) != 0) {
    return os_error(errno, "write " + path);
  }
  return {};
}

Result<void> write_state(const std::string& state, const VolumeFiles& files,
                         std::optional<std::uint32_t> group) {
  TRY_VOID(remove_tree(state));
  TRY_VOID(make_directory(state, group));
  for (const auto& [path, file] : files) {
    for (std::size_t slash = path.find('/'); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
      TRY_VOID(make_directory(below(state, path.substr(0, slash)), group));
    }
    TRY_VOID(write_file(below(state, path), file, group));
  }
  return {};
}

std::string after(const std::string& state) {
  int number = 0;
  if (state.size() > 2) {
    std::from_chars(state.data() + 2, state.data() + state.size(), number);
  }
  return ".." + std::to_string(number + 1);
}

// Each name at the top leads into ..data; what does not belong there goes.
Result<void> set_names(const std::string& directory, const VolumeFiles& files,
                       const std::string& state) {
  std::set<std::string> names;
  for (const auto& [path, file] : files) names.insert(path.substr(0, path.find('/')));
  for (const std::string& name : names) {
    TRY_VOID(set_link(directory, name, "..data/" + name));
  }
  std::error_code error;
  std::vector<std::string> strangers;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename();
    if (name != "..data" && name != state && !names.contains(name)) strangers.push_back(name);
  }
  for (const std::string& name : strangers) TRY_VOID(remove_tree(below(directory, name)));
  return {};
}

}  // namespace

Result<void> write_projection(const std::string& directory, const VolumeFiles& files,
                              std::optional<std::uint32_t> group) {
  TRY_VOID(make_directory(directory, group));
  std::string state = read_link(directory + "/..data");
  if (state.empty() || !holds(directory + "/" + state, files, group)) {
    state = after(state);
    TRY_VOID(write_state(directory + "/" + state, files, group));
    TRY_VOID(set_link(directory, "..data", state));
  }
  return set_names(directory, files, state);
}

}  // namespace tulle::node
