#include "node/log_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>

namespace tulle::node {

namespace {

OwnedFd open_log(const std::string& path) {
  return OwnedFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
}

}  // namespace

LogWriter::LogWriter(std::string path) : path_(std::move(path)), file_(open_log(path_)) {
  struct stat status{};
  if (file_ && ::fstat(file_.get(), &status) == 0) {
    size_ = static_cast<std::uint64_t>(status.st_size);
  }
}

void LogWriter::add(Stream stream, std::string_view bytes, WallTime now) {
  std::string lines;
  cutters_.at(static_cast<std::size_t>(stream)).add(bytes, now, lines);
  write(lines);
}

void LogWriter::end(WallTime now) {
  std::string lines;
  for (LineCutter& cutter : cutters_) cutter.end(now, lines);
  write(lines);
}

// A log that cannot be written (a full disk) must not stop the container: the lines are lost, all
// of them, so that what comes later does not begin in the middle of one.
void LogWriter::write(const std::string& lines) {
  if (size_ > 0 && size_ + lines.size() > kLogFileBytesMax) {
    (void)std::rename(path_.c_str(), (path_ + ".1").c_str());
    file_.reset();
    size_ = 0;
  }
  if (!file_) file_ = open_log(path_);
  for (std::size_t done = 0; done < lines.size();) {
    const ssize_t count = ::write(file_.get(), lines.data() + done, lines.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      if (file_) (void)!::ftruncate(file_.get(), static_cast<off_t>(size_));
      return;
    }
    done += static_cast<std::size_t>(count);
  }
  size_ += lines.size();
}

}  // namespace tulle::node
