#include "app/succession.h"

#include "base/format.h"
#include "codec/json.h"
#include "rt/process.h"

#include <boost/json.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cerrno>

namespace tulle::app {

namespace {

constexpr const char* kResumeFlag = "--resume-fd";

}  // namespace

OwnedFd inherited(int fd) {
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  return OwnedFd(fd);
}

Error succeed(const std::string& program, std::vector<std::string> arguments,
              const boost::json::object& state, std::vector<int> descriptors) {
  const OwnedFd file(::memfd_create("tulle-succession", MFD_CLOEXEC));
  if (!file) return os_error(errno, "a file in memory");
  const std::string text = codec::to_json(state);
  // A file in memory takes all of it at once.
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return os_error(errno, "writing a file in memory");
  }
  descriptors.push_back(file.get());
  // Where this is not the first succession.
  if (arguments.size() >= 2 && arguments[arguments.size() - 2] == kResumeFlag) {
    arguments.resize(arguments.size() - 2);
  }
  arguments.insert(arguments.end(), {kResumeFlag, std::to_string(file.get())});
  return rt::execute(program, arguments, descriptors);
}

Result<boost::json::object> read_succession(int fd) {
  const OwnedFd file = inherited(fd);
  const off_t size = ::lseek(file.get(), 0, SEEK_END);
  std::string text(size > 0 ? static_cast<std::size_t>(size) : 0, '\0');
  if (size <= 0 || ::pread(file.get(), text.data(), text.size(), 0) != size) {
    return fail(Code::invalid_argument, "--resume-fd is for an upgrade; of no use by hand");
  }
  TRY(auto state, codec::parse_json(text));
  if (!state.is_object()) return fail(Code::malformed, "the program before left nonsense");
  return std::move(state.get_object());
}

}  // namespace tulle::app
