#include "node/handover_client.h"

#include "base/log.h"
#include "rt/combine.h"
#include "rt/sleep.h"

#include <fcntl.h>
#include <cerrno>

namespace tulle::node {

namespace {

constexpr Duration kRetryMin = std::chrono::milliseconds(20);
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

void HandoverClient::hold(HandedPod pod) {
  if (connected_) {
    outbox_.push_back(offer_of(pod));
    more_.wake_all(loop_);
  }
  leaving_.erase(pod.uid);
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
    found->second.drain = Drain::asked;
    if (connected_) outbox_.push_back({.type = mesh::HandoverType::drain, .uid = uid});
    more_.wake_all(loop_);
  }
  for (;;) {
    const auto found = pods_.find(uid);
    if (found == pods_.end() || found->second.drain == Drain::done) co_return;
    if (connected_) {
      co_await rt::wait_on(answered_);
    } else {
      co_await rt::race(answer(), rt::until(loop_, loop_.now() + kProxyAbsentTime));
      if (!connected_) co_return;
    }
  }
}

rt::Task<void> HandoverClient::answer() { co_await rt::wait_on(answered_); }

rt::Task<void> HandoverClient::withdraw(std::string uid) {
  if (pods_.erase(uid) == 0 || !connected_) co_return;
  leaving_.insert(uid);
  outbox_.push_back(
      {.type = mesh::HandoverType::withdraw, .uid = uid, .pod = {}, .address = {}, .message = {}});
  more_.wake_all(loop_);
  co_await rt::race(withdrawn(uid), rt::until(loop_, loop_.now() + kWithdrawTime));
}

rt::Task<void> HandoverClient::withdrawn(std::string uid) {
  while (leaving_.contains(uid)) co_await rt::wait_on(answered_);
}

rt::Task<void> HandoverClient::run() {
  Duration pause = kRetryMin;
  for (;;) {
    auto channel = net::FdChannel::connect(loop_, driver_, socket_path_);
    if (channel) {
      pause = kRetryMin;
      outbox_.clear();
      for (auto& [uid, entry] : pods_) {
        entry.state = entry.state == State::accepted ? State::accepted : State::offered;
        outbox_.push_back(offer_of(entry.pod));
      }
      outbox_.push_back({});
      for (const auto& [uid, entry] : pods_) {
        if (entry.drain == Drain::asked) {
          outbox_.push_back({.type = mesh::HandoverType::drain, .uid = uid});
        }
      }
      connected_ = true;
      answered_.wake_all(loop_);
      const auto ended = co_await rt::race(receive_all(**channel), send_all(**channel));
      connected_ = false;
      leaving_.clear();
      answered_.wake_all(loop_);
      const auto& outcome = ended.index() == 0 ? std::get<0>(ended) : std::get<1>(ended);
      log::warn("the connection to the proxy ended; connecting again",
                {{"why", outcome ? "" : outcome.error().message}});
    }
    co_await rt::sleep(loop_, pause);
    pause = std::min(pause * 2, kRetryMax);
  }
}

rt::Task<Result<void>> HandoverClient::receive_all(net::FdChannel& channel) {
  for (;;) {
    CO_TRY(const net::FdMessage received, co_await channel.receive());
    CO_TRY(const mesh::HandoverMessage message, mesh::decode_handover(received.bytes));
    take(message);
  }
}

void HandoverClient::take(const mesh::HandoverMessage& message) {
  if (message.type == mesh::HandoverType::withdrawn) leaving_.erase(message.uid);
  const auto found = pods_.find(message.uid);
  if (found != pods_.end()) {
    if (message.type == mesh::HandoverType::accepted) found->second.state = State::accepted;
    if (message.type == mesh::HandoverType::drained) found->second.drain = Drain::done;
    if (message.type == mesh::HandoverType::failed) {
      found->second.state = State::failed;
      found->second.why = message.message;
    }
  }
  answered_.wake_all(loop_);
}

rt::Task<Result<void>> HandoverClient::send_all(net::FdChannel& channel) {
  for (;;) {
    while (outbox_.empty()) co_await rt::wait_on(more_);
    const mesh::HandoverMessage next = std::move(outbox_.front());
    outbox_.pop_front();
    if (next.type == mesh::HandoverType::offer && !pods_.contains(next.uid)) continue;
    CO_TRY(net::FdMessage message, message_of(next));
    CO_TRY_VOID(co_await channel.send(std::move(message)));
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
