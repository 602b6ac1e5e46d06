// GET .../pods/NAME/log.
#include "base/format.h"
#include "base/log.h"
#include "kube/object.h"
#include "kube/time.h"
#include "node/log_format.h"
#include "node/log_selection.h"
#include "node/stream_request.h"
#include "rt/combine.h"
#include "rt/sleep.h"

#include <boost/json.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <charconv>

namespace tulle::node {

namespace {

constexpr Duration kLookAgain = std::chrono::milliseconds(100);

std::optional<std::int64_t> number_in(const codec::Query& query, std::string_view name) {
  const auto text = query.get(name);
  std::int64_t number = 0;
  if (!text || text->empty()) return std::nullopt;
  std::from_chars(text->data(), text->data() + text->size(), number);
  return number;
}

LogOptions options_of(const StreamRequest& request) {
  LogOptions options;
  options.timestamps = flag_in(request.query, "timestamps");
  options.tail_lines = number_in(request.query, "tailLines");
  options.limit_bytes = number_in(request.query, "limitBytes");
  if (const auto since = kube::parse_time(request.query.get_or("sinceTime", ""))) {
    options.since = format_nano_time(*since);
  }
  if (const auto seconds = number_in(request.query, "sinceSeconds")) {
    options.since = format_nano_time(request.node.loop.wall_now() - std::chrono::seconds(*seconds));
  }
  return options;
}

// A log file that grows, and is replaced by a new one of the same name when it is full.
class LogReader final {
 public:
  explicit LogReader(std::string path) : path_(std::move(path)) { open(); }

  // What was added since the last call; whole lines only.
  std::string read() {
    std::string out = read_open();
    struct stat now{};
    if (::stat(path_.c_str(), &now) == 0 && now.st_ino != inode_) {
      open();
      out += read_open();
    }
    return out;
  }

 private:
  void open() {
    file_ = OwnedFd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status{};
    if (file_ && ::fstat(file_.get(), &status) == 0) inode_ = status.st_ino;
  }

  std::string read_open() {
    std::array<char, 64 * 1024> buffer;
    while (file_) {
      const ssize_t count = ::read(file_.get(), buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) break;
      partial_.append(buffer.data(), static_cast<std::size_t>(count));
    }
    const std::size_t end = partial_.rfind('\n');
    if (end == std::string::npos) return "";
    std::string out = partial_.substr(0, end + 1);
    partial_.erase(0, end + 1);
    return out;
  }

  const std::string path_;
  OwnedFd file_;
  ino_t inode_ = 0;
  std::string partial_;
};

bool run_is_over(const RunPlace& place) {
  return ::access((place.bundle() + "/exit").c_str(), F_OK) == 0 ||
         ::access(place.bundle().c_str(), F_OK) != 0;
}

// Sends what comes until the run is over.
rt::Task<void> follow(StreamRequest request, RunPlace place, LogReader& reader,
                      LogSelection& selection) {
  for (;;) {
    const bool over = run_is_over(place);
    std::string text = selection.take(reader.read());
    if (!text.empty() && !co_await request.exchange.write(text)) co_return;
    if (over || selection.full()) co_return;
    co_await rt::sleep(request.node.loop, kLookAgain);
  }
}

}  // namespace

rt::Task<void> serve_log(StreamRequest request) {
  auto container = chosen_container(request);
  auto place =
      container ? latest_run(request, *container) : kube::ApiResult<RunPlace>(container.error());
  if (place && flag_in(request.query, "previous") && place->number-- == 0) {
    place = kube::bad_request(
        fmt::format("previous terminated container \"{}\" in pod \"{}\" not found",
                    place->container, kube::name_of(*request.pod)));
  }
  if (!place) co_return co_await send_failure(request.exchange, place.error());
  LogSelection selection(options_of(request));
  LogReader rotated(place->log() + ".1");
  LogReader reader(place->log());
  const std::string text = selection.take_first(rotated.read() + reader.read());
  codec::ResponseHead head{.status = 200};
  head.headers.append("Content-Type", "text/plain");
  if (!flag_in(request.query, "follow") || selection.full()) {
    (void)co_await request.exchange.send(head, text);
    co_return;
  }
  if (!co_await request.exchange.start(head)) co_return;
  if (!text.empty() && !co_await request.exchange.write(text)) co_return;
  auto ended =
      co_await rt::race(follow(request, *place, reader, selection), request.exchange.client_gone());
  if (ended.index() == 0) (void)co_await request.exchange.finish();
}

}  // namespace tulle::node
