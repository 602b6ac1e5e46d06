// For tests: a temporary directory that goes away, and small file helpers.
#pragma once

#include "base/check.h"
#include "node/image_files.h"

#include <sys/stat.h>
#include <sys/xattr.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace tulle::node {

class TestDirectory final {
 public:
  TestDirectory() : path_(std::filesystem::temp_directory_path() / "tulle-test-XXXXXX") {
    CHECK(::mkdtemp(path_.data()) != nullptr);
  }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;
  ~TestDirectory() { (void)remove_tree(path_).has_value(); }

  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

  // Writes a file below the directory and returns its path.
  std::string write(std::string_view name, std::string_view contents) const {
    const std::string path = *this / name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << contents;
    return path;
  }

 private:
  std::string path_;
};

inline std::string contents_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// What stands at `path`, in one word that a table can hold: "file 0644", "dir 0755", "link TARGET",
// "whiteout", "fifo", "device", "nothing".
inline std::string what_is(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) return "nothing";
  char mode[8];
  std::snprintf(mode, sizeof mode, "%04o", status.st_mode & 07777U);
  if (S_ISREG(status.st_mode)) return std::string("file ") + mode;
  if (S_ISDIR(status.st_mode)) return std::string("dir ") + mode;
  if (S_ISLNK(status.st_mode)) return "link " + std::filesystem::read_symlink(path).string();
  if (S_ISFIFO(status.st_mode)) return "fifo";
  return S_ISCHR(status.st_mode) && status.st_rdev == 0 ? "whiteout" : "device";
}

inline std::string attribute_of(const std::string& path, const char* name) {
  char value[256];
  const ssize_t size = ::lgetxattr(path.c_str(), name, value, sizeof value);
  return size < 0 ? "" : std::string(value, static_cast<std::size_t>(size));
}

}  // namespace tulle::node
