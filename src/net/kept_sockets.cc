#include "net/kept_sockets.h"

#include "net/fd_channel.h"

#include <fcntl.h>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

namespace tulle::net {

// Shared with tokens, which may be destroyed after the rest, on other threads.
struct KeptSockets::State : std::enable_shared_from_this<KeptSockets::State> {
  explicit State(rt::Loop& on) : loop(on) {}

  void say(FdMessage message) {
    {
      const std::lock_guard lock(mutex);
      outbox.push_back(std::move(message));
    }
    loop.post([self = shared_from_this()] { self->more.wake_all(self->loop); });
  }

  void drop(const std::string& name) {
    {
      const std::lock_guard lock(mutex);
      if (left) return;
    }
    say({.bytes = "drop " + name});
  }

  rt::Loop& loop;
  std::unique_ptr<FdChannel> channel;
  rt::WaitList more;
  std::mutex mutex;  // of what follows
  std::map<std::string, OwnedFd> inherited;
  std::deque<FdMessage> outbox;
  bool left = false;
};

rt::Task<Result<std::unique_ptr<KeptSockets>>> KeptSockets::inherit(rt::Loop& loop,
                                                                    rt::EpollDriver& driver,
                                                                    OwnedFd channel) {
  auto state = std::make_shared<State>(loop);
  CO_TRY(state->channel, FdChannel::adopt(loop, driver, std::move(channel)));
  for (;;) {
    CO_TRY(FdMessage message, co_await state->channel->receive());
    if (message.bytes == "all") break;
    constexpr std::string_view kHave = "have ";
    if (!message.bytes.starts_with(kHave) || message.fds.size() != 1) {
      co_return fail(Code::malformed, "the keeper of the sockets sent nonsense");
    }
    state->inherited[message.bytes.substr(kHave.size())] = std::move(message.fds[0]);
  }
  co_return std::unique_ptr<KeptSockets>(new KeptSockets(loop, std::move(state)));
}

KeptSockets::KeptSockets(rt::Loop& loop, std::shared_ptr<State> state)
    : state_(std::move(state)), sending_(loop) {
  sending_.spawn(send_all(*state_));
}

KeptSockets::~KeptSockets() = default;

// To the end of the channel: then there is nobody to keep anything.
rt::Task<void> KeptSockets::send_all(State& state) {
  const auto next = [&state]() -> std::optional<FdMessage> {
    const std::lock_guard lock(state.mutex);
    if (state.outbox.empty()) return std::nullopt;
    FdMessage message = std::move(state.outbox.front());
    state.outbox.pop_front();
    return message;
  };
  for (;;) {
    while (auto message = next()) {
      if (!co_await state.channel->send(*std::move(message))) co_return;
    }
    co_await rt::wait_on(state.more);
  }
}

std::optional<KeptSockets::Kept> KeptSockets::take(const std::string& name) {
  const std::lock_guard lock(state_->mutex);
  auto found = state_->inherited.extract(name);
  if (found.empty()) return std::nullopt;
  return Kept{.fd = std::move(found.mapped()), .token = token_of(name)};
}

std::shared_ptr<void> KeptSockets::keep(const std::string& name, int fd) {
  FdMessage message{.bytes = "keep " + name, .fds = {}};
  message.fds.emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  // Out of descriptors: it ends with this process, as it would without a keeper.
  if (message.fds[0]) state_->say(std::move(message));
  return token_of(name);
}

std::shared_ptr<void> KeptSockets::token_of(const std::string& name) {
  return {nullptr, [state = state_, name](void*) { state->drop(name); }};
}

bool KeptSockets::has_untaken() const {
  const std::lock_guard lock(state_->mutex);
  return !state_->inherited.empty();
}

void KeptSockets::drop_untaken() {
  std::map<std::string, OwnedFd> untaken;
  {
    const std::lock_guard lock(state_->mutex);
    untaken = std::exchange(state_->inherited, {});
  }
  for (const auto& [name, fd] : untaken) state_->drop(name);
}

void KeptSockets::leave() {
  const std::lock_guard lock(state_->mutex);
  state_->left = true;
}

void KeptSockets::say_retired() { state_->say({.bytes = "retired"}); }

}  // namespace tulle::net
