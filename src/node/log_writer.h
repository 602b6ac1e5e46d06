// Writes a container's log, and starts a new file when it has become too long: FILE becomes FILE.1,
// whose predecessor goes.
#pragma once

#include "base/owned_fd.h"
#include "node/log_format.h"

#include <array>
#include <cstdint>
#include <string>

namespace tulle::node {

inline constexpr std::uint64_t kLogFileBytesMax = 10 * 1024 * 1024;

class LogWriter final {
 public:
  explicit LogWriter(std::string path);

  enum class Stream : std::uint8_t { out, err };
  void add(Stream stream, std::string_view bytes, WallTime now);
  void end(WallTime now);

 private:
  void write(const std::string& lines);

  const std::string path_;
  OwnedFd file_;
  std::uint64_t size_ = 0;
  std::array<LineCutter, 2> cutters_{LineCutter("stdout"), LineCutter("stderr")};
};

}  // namespace tulle::node
