#include "node/termination_message.h"

#include "base/owned_fd.h"
#include "codec/utf8.h"
#include "kube/object.h"
#include "node/log_selection.h"

#include <boost/json.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tulle::node {

namespace {

// Of the log, to find the last lines in: each has a time before it.
constexpr std::size_t kLogBytesRead = 64 * 1024;

// The last `bytes_max` bytes; empty for what cannot be read.
std::string read_end_of(const std::string& path, std::size_t bytes_max) {
  const OwnedFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status{};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  const auto size = static_cast<std::size_t>(status.st_size);
  const std::size_t begin = size - std::min(size, bytes_max);
  std::string text(size - begin, '\0');
  const ssize_t count = ::pread(file.get(), text.data(), text.size(), static_cast<off_t>(begin));
  text.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
  return text;
}

std::string last_bytes(std::string text, std::size_t bytes_max) {
  if (text.size() > bytes_max) text.erase(0, text.size() - bytes_max);
  return text;
}

// A character may have been cut, and a program may write anything.
std::string as_utf8(std::string text) {
  while (!text.empty() && (static_cast<unsigned char>(text.front()) & 0xc0) == 0x80)
    text.erase(0, 1);
  if (codec::is_utf8(text)) return text;
  for (char& c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  return text;
}

}  // namespace

std::string termination_message(const RunPlace& place, const boost::json::object& container,
                                const ContainerEnd& end) {
  std::string message = read_end_of(place.message(), kTerminationMessageBytesMax);
  const bool falls_back =
      kube::string_at(container, "terminationMessagePolicy") == "FallbackToLogsOnError";
  if (message.empty() && falls_back && end.code != 0) {
    LogSelection selection({.tail_lines = kTerminationLogLinesMax});
    message = last_bytes(selection.take_first(read_end_of(place.log(), kLogBytesRead)),
                         kTerminationLogBytesMax);
  }
  return as_utf8(std::move(message));
}

}  // namespace tulle::node
