#include "node/handover_client.h"

#include "base/log.h"
#include "rt/combine.h"
#include "rt/sleep.h"

#include <fcntl.h>
#include <algorithm>
#include <cerrno>
#include <deque>
#include <filesystem>

namespace tulle::node {

namespace {

// The longer there is no proxy, the seldomer it is looked for.
constexpr Duration kRetryMin = std::chrono::milliseconds(10);
constexpr Duration kRetryMax = std::chrono::seconds(1);
constexpr Duration kWithdrawTime = std::chrono::seconds(2);
// A proxy that died is back long before that; without one nothing is under way.
constexpr Duration kProxyAbsentTime = std::chrono::seconds(2);

mesh::HandoverMessage offer_of(const HandedPod& pod) {
  return {.type = mesh::HandoverType::offer,
          .uid = pod.uid,
          .pod = pod.name,
          .address = pod.address,
          .message = {}};
}

}  // namespace

// One connection to a proxy.
struct HandoverClient::Link {
  std::unique_ptr<net::FdChannel> channel;
  std::deque<mesh::HandoverMessage> outbox = {};
  rt::WaitList more = {};
  std::set<std::string> draining = {};  // asked to, not yet answered
  std::set<std::string> leaving = {};   // withdrawn, not yet answered
};

void HandoverClient::ask(Link& link, mesh::HandoverMessage message) {
  link.outbox.push_back(std::move(message));
  link.more.wake_all(loop_);
}

void HandoverClient::hold(HandedPod pod) {
  if (current_) {
    current_->leaving.erase(pod.uid);
    ask(*current_, offer_of(pod));
  }
  const std::string uid = pod.uid;
  pods_.insert_or_assign(uid, Entry{.pod = std::move(pod)});
}

rt::Task<Result<void>> HandoverClient::accepted(std::string uid) {
  for (;;) {
    const auto found = pods_.find(uid);
    if (found == pods_.end()) co_return fail(Code::cancelled, "the pod was withdrawn");
    const Entry& entry = found->second;
    if (entry.state == State::accepted) co_return Result<void>();
    if (entry.state == State::failed) {
      co_return fail(Code::unavailable, "the proxy cannot listen in the pod: " + entry.why);
    }
    co_await rt::wait_on(answered_);
  }
}

rt::Task<void> HandoverClient::drained(std::string uid) {
  if (const auto found = pods_.find(uid); found != pods_.end()) {
    found->second.draining = true;
    for (const LinkPtr& link : links_) {
      link->draining.insert(uid);
      ask(*link, {.type = mesh::HandoverType::drain, .uid = uid});
    }
  }
  const auto under_way = [&] {
    return std::ranges::any_of(links_,
                               [&](const auto& link) { return link->draining.contains(uid); });
  };
  while (pods_.contains(uid)) {
    if (under_way()) {
      co_await rt::wait_on(answered_);
    } else if (current_) {
      co_return;
    } else {
      co_await rt::race(answer(), rt::until(loop_, loop_.now() + kProxyAbsentTime));
      if (!current_ && !under_way()) co_return;
    }
  }
}

rt::Task<void> HandoverClient::answer() { co_await rt::wait_on(answered_); }

rt::Task<void> HandoverClient::withdraw(std::string uid) {
  if (pods_.erase(uid) == 0) co_return;
  answered_.wake_all(loop_);
  for (const LinkPtr& link : links_) {
    link->draining.erase(uid);
    link->leaving.insert(uid);
    ask(*link, {.type = mesh::HandoverType::withdraw, .uid = uid});
  }
  co_await rt::race(withdrawn(uid), rt::until(loop_, loop_.now() + kWithdrawTime));
}

rt::Task<void> HandoverClient::withdrawn(std::string uid) {
  while (
      std::ranges::any_of(links_, [&](const auto& link) { return link->leaving.contains(uid); })) {
    co_await rt::wait_on(answered_);
  }
}

void HandoverClient::start() {
  find_replaced();
  scope_.spawn(run());
}

// Proxies that were replaced before this agent came, and still have work.
void HandoverClient::find_replaced() {
  const std::filesystem::path path(socket_path_);
  const std::string prefix = path.filename().string() + std::string(mesh::kRetiredSocket);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path.parent_path(), error)) {
    if (!entry.path().filename().string().starts_with(prefix)) continue;
    auto channel = net::FdChannel::connect(loop_, driver_, entry.path());
    if (!channel) {
      std::filesystem::remove(entry.path(), error);
      continue;
    }
    const auto link = std::make_shared<Link>(*std::move(channel));
    drain_again(*link);
    links_.insert(link);
    scope_.spawn(serve(link));
  }
}

rt::Task<void> HandoverClient::run() {
  Instant alone_since = loop_.now();
  for (;;) {
    auto channel = net::FdChannel::connect(loop_, driver_, socket_path_);
    if (channel) {
      current_ = std::make_shared<Link>(*std::move(channel));
      start_over(*current_);
      links_.insert(current_);
      scope_.spawn(serve(current_));
      answered_.wake_all(loop_);
      while (current_) co_await rt::wait_on(answered_);
      alone_since = loop_.now();
    }
    const Duration alone = loop_.now() - alone_since;
    co_await rt::sleep(loop_, std::clamp(alone / 8, kRetryMin, kRetryMax));
  }
}

// All that the proxy at the other end has to know.
void HandoverClient::start_over(Link& link) {
  for (auto& [uid, entry] : pods_) {
    if (entry.state == State::failed) entry.state = State::offered;
    link.outbox.push_back(offer_of(entry.pod));
  }
  link.outbox.push_back({.type = mesh::HandoverType::synced});
  drain_again(link);
}

void HandoverClient::drain_again(Link& link) {
  for (const auto& [uid, entry] : pods_) {
    if (!entry.draining) continue;
    link.draining.insert(uid);
    link.outbox.push_back({.type = mesh::HandoverType::drain, .uid = uid});
  }
}

// To the end of the connection.
rt::Task<void> HandoverClient::serve(LinkPtr link) {
  const auto ended = co_await rt::race(receive_all(*link), send_all(*link));
  links_.erase(link);
  if (current_ == link) {
    current_ = nullptr;
    const auto& outcome = ended.index() == 0 ? std::get<0>(ended) : std::get<1>(ended);
    log::warn("the connection to the proxy ended; connecting again",
              {{"why", outcome ? "" : outcome.error().message}});
  }
  answered_.wake_all(loop_);
}

rt::Task<Result<void>> HandoverClient::receive_all(Link& link) {
  for (;;) {
    CO_TRY(const net::FdMessage received, co_await link.channel->receive());
    CO_TRY(const mesh::HandoverMessage message, mesh::decode_handover(received.bytes));
    take(link, message);
  }
}

void HandoverClient::take(Link& link, const mesh::HandoverMessage& message) {
  const bool is_current = current_.get() == &link;
  if (message.type == mesh::HandoverType::withdrawn) link.leaving.erase(message.uid);
  if (message.type == mesh::HandoverType::drained) link.draining.erase(message.uid);
  if (message.type == mesh::HandoverType::retired && is_current) current_ = nullptr;
  const auto found = pods_.find(message.uid);
  if (found != pods_.end() && is_current) {
    if (message.type == mesh::HandoverType::accepted) found->second.state = State::accepted;
    if (message.type == mesh::HandoverType::failed) {
      found->second.state = State::failed;
      found->second.why = message.message;
    }
  }
  answered_.wake_all(loop_);
}

rt::Task<Result<void>> HandoverClient::send_all(Link& link) {
  for (;;) {
    while (link.outbox.empty()) co_await rt::wait_on(link.more);
    const mesh::HandoverMessage next = std::move(link.outbox.front());
    link.outbox.pop_front();
    if (next.type == mesh::HandoverType::offer && !pods_.contains(next.uid)) continue;
    CO_TRY(net::FdMessage message, message_of(next));
    CO_TRY_VOID(co_await link.channel->send(std::move(message)));
  }
}

Result<net::FdMessage> HandoverClient::message_of(const mesh::HandoverMessage& message) const {
  net::FdMessage out{.bytes = mesh::encode(message), .fds = {}};
  if (message.type != mesh::HandoverType::offer) return out;
  const int fd = pods_.at(message.uid).pod.space->fd.get();
  OwnedFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return os_error(errno, "copy the descriptor of a network namespace");
  out.fds.push_back(std::move(copy));
  return out;
}

}  // namespace tulle::node
