#include "app/fast_path_role.h"

#include "base/log.h"
#include "fastpath/check.h"

namespace tulle::app {

namespace {

Result<std::unique_ptr<fastpath::FastPath>> open(fastpath::Mode mode) {
  if (mode == fastpath::Mode::off) return fail(Code::cancelled, "--fast-path=off");
  TRY(auto fast_path, fastpath::FastPath::load());
  TRY_VOID(fastpath::check_streams(*fast_path));
  if (mode == fastpath::Mode::automatic) {
    auto outcome = fastpath::check_calls(*fast_path);
    if (!outcome) {
      return fail(Code::unsupported, outcome.error().message +
                                         " on this kernel; where no program needs that, use "
                                         "--fast-path=on");
    }
  }
  return fast_path;
}

obs::Counter& counter(obs::Registry& registry, const std::string& what, const std::string& help) {
  return registry.counter({.name = "tulle_fast_path_" + what + "_total", .help = help}).with();
}

void raise(obs::Counter& counter, std::uint64_t to) { counter.add(to - counter.value()); }

}  // namespace

FastPathRole::FastPathRole(fastpath::Mode mode, obs::Registry& registry)
    : mode_(mode),
      fast_path_(open(mode)),
      sockets_(counter(registry, "sockets", "Sockets joined by the kernel fast path.")),
      messages_(counter(registry, "messages", "Messages delivered past TCP.")),
      bytes_(counter(registry, "bytes", "Bytes delivered past TCP.")),
      held_back_(counter(registry, "held_back", "Messages that waited for a slow reader.")),
      not_joined_(counter(registry, "not_joined", "Sockets there was no room to join.")) {
  registry.gauge({.name = "tulle_fast_path", .help = "1 where the kernel fast path is on."})
      .with()
      .set(fast_path_ ? 1 : 0);
  if (fast_path_) of_check_ = (*fast_path_)->counts();
}

void FastPathRole::report() const {
  if (fast_path_) return log::info("the kernel fast path is on");
  log::write(mode_ == fastpath::Mode::on ? log::Level::warning : log::Level::info,
             "the kernel fast path is off", {{"why", fast_path_.error().message}});
}

net::SocketHooks FastPathRole::hooks() {
  return fast_path_ ? (*fast_path_)->hooks() : net::SocketHooks{};
}

void FastPathRole::update_metrics() {
  if (!fast_path_) return;
  const fastpath::Counts counts = (*fast_path_)->counts();
  raise(sockets_, counts.sockets - of_check_.sockets);
  raise(messages_, counts.messages - of_check_.messages);
  raise(bytes_, counts.bytes - of_check_.bytes);
  raise(held_back_, counts.held_back - of_check_.held_back);
  raise(not_joined_, counts.not_joined - of_check_.not_joined);
}

}  // namespace tulle::app
