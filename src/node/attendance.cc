#include "node/attendance.h"

#include <sys/wait.h>
#include <vector>

namespace tulle::node {

namespace {

constexpr std::size_t kReadBytes = 64 * 1024;
// How long streams may stay open and silent after the container's end, held by somebody else.
constexpr Duration kSilence = std::chrono::milliseconds(500);

}  // namespace

Attendance::Attendance(rt::Loop& loop, rt::Signals& children, AttachHub& hub, Streams streams,
                       std::string log_file)
    : loop_(loop),
      children_(children),
      hub_(hub),
      streams_(std::move(streams)),
      log_(std::move(log_file)),
      copies_(loop) {}

rt::Task<int> Attendance::attend(int pid) {
  copies_.spawn(copy(*streams_.output, Channel::output));
  if (streams_.errors) copies_.spawn(copy(*streams_.errors, Channel::errors));
  const int status = co_await ended(pid);
  co_await copied_or_silent(copies_, progress_, kSilence);
  copies_.cancel();
  log_.end(loop_.wall_now());
  co_await hub_.finish();
  co_return status;
}

rt::Task<void> Attendance::copy(net::Stream& from, Channel channel) {
  std::vector<char> buffer(kReadBytes);
  const auto stream = channel == Channel::output ? LogWriter::Stream::out : LogWriter::Stream::err;
  for (;;) {
    const auto count = co_await net::read(from, buffer);
    // A terminal whose other end has gone gives EIO.
    if (!count || *count == 0) co_return;
    const std::string_view bytes(buffer.data(), *count);
    log_.add(stream, bytes, loop_.wall_now());
    const CopyProgress::Piece piece(progress_);
    co_await hub_.send(channel, bytes);
  }
}

rt::Task<int> Attendance::ended(int pid) {
  for (;;) {
    int status = 0;
    for (pid_t child; (child = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (child == pid) co_return status;
    }
    (void)co_await children_.next();
  }
}

}  // namespace tulle::node
