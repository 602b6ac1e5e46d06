#include "app/pod_registry.h"

#include "base/log.h"
#include "rt/combine.h"
#include "rt/sync.h"

#include <sys/stat.h>

#include <utility>

namespace tulle::app {

namespace {

constexpr Duration kAcceptRetry = std::chrono::milliseconds(50);
constexpr std::size_t kAnswersMax = 4096;

mesh::HandoverMessage answer_to(const std::string& uid, const Result<void>& outcome,
                                mesh::HandoverType fine) {
  if (outcome) return {.type = fine, .uid = uid};
  return {.type = mesh::HandoverType::failed, .uid = uid, .message = outcome.error().message};
}

bool same_file(const OwnedFd& a, const OwnedFd& b) {
  struct stat first{};
  struct stat second{};
  return ::fstat(a.get(), &first) == 0 && ::fstat(b.get(), &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

}  // namespace

struct PodRegistry::Session {
  Session(rt::Loop& loop, std::unique_ptr<net::FdChannel> connected)
      : channel(std::move(connected)), answers(loop, kAnswersMax) {}

  // An agent that reads no answers loses them: it will connect again.
  void answer(const mesh::HandoverMessage& message) { answers.try_push(mesh::encode(message)); }

  rt::Task<void> send_answers() {
    while (auto next = co_await answers.pop()) {
      const auto sent = co_await channel->send({.bytes = *std::move(next), .fds = {}});
      if (!sent) co_return;
    }
  }

  std::unique_ptr<net::FdChannel> channel;
  rt::Queue<std::string> answers;
  std::set<std::string> offered;
  // Until all of them are known: a pod that is listened for calls others.
  bool synced = false;
  std::vector<std::function<void()>> attach_later;
};

rt::Task<void> PodRegistry::serve(net::FdChannelListener& listener) {
  for (;;) {
    auto channel = co_await listener.accept();
    if (channel) {
      channels_.spawn(serve_agent(*std::move(channel)));
    } else {
      co_await rt::sleep(loop_, kAcceptRetry);
    }
  }
}

rt::Task<void> PodRegistry::serve_agent(std::unique_ptr<net::FdChannel> channel) {
  const auto session = std::make_shared<Session>(loop_, std::move(channel));
  sessions_.insert(session);
  if (retired_) session->answer({.type = mesh::HandoverType::retired});
  co_await receive_from(session);
  sessions_.erase(session);
}

// To the end of the channel.
rt::Task<void> PodRegistry::receive_from(std::shared_ptr<Session> session) {
  rt::Scope sender(loop_);
  sender.spawn(session->send_answers());
  for (;;) {
    auto received = co_await session->channel->receive();
    if (!received) co_return;
    const auto message = mesh::decode_handover(received->bytes);
    if (!message) {
      log::error("the node agent sent nonsense", {{"why", message.error().message}});
      co_return;
    }
    switch (message->type) {
      case mesh::HandoverType::offer: offer(session, *message, std::move(received->fds)); break;
      case mesh::HandoverType::withdraw:
        session->offered.erase(message->uid);
        withdraw(message->uid, [session, uid = message->uid](const Result<void>& outcome) {
          session->answer(answer_to(uid, outcome, mesh::HandoverType::withdrawn));
        });
        break;
      case mesh::HandoverType::synced:
        if (retired_) break;
        drop_others(session->offered);
        session->synced = true;
        for (const auto& attach : std::exchange(session->attach_later, {})) attach();
        actions_.synced();
        break;
      case mesh::HandoverType::drain: drain(session, message->uid); break;
      case mesh::HandoverType::accepted:
      case mesh::HandoverType::withdrawn:
      case mesh::HandoverType::drained:
      case mesh::HandoverType::failed:
      case mesh::HandoverType::retired: co_return;  // not an agent's to say
    }
  }
}

void PodRegistry::retire() {
  retired_ = true;
  for (const auto& session : sessions_) session->answer({.type = mesh::HandoverType::retired});
}

void PodRegistry::offer(const std::shared_ptr<Session>& session,
                        const mesh::HandoverMessage& message, std::vector<OwnedFd> fds) {
  if (retired_) return;
  if (fds.size() != 1) {
    session->answer({.type = mesh::HandoverType::failed,
                     .uid = message.uid,
                     .message = "an offer needs exactly one descriptor"});
    return;
  }
  session->offered.insert(message.uid);
  const auto answer = [session, uid = message.uid](const Result<void>& outcome) {
    session->answer(answer_to(uid, outcome, mesh::HandoverType::accepted));
  };
  // An agent that came back offers what is held already: the sockets stay as they are.
  const auto held = pods_.find(message.uid);
  if (held != pods_.end() && same_file(held->second->space->fd, fds[0])) return answer({});
  auto pod = std::make_shared<proxy::Pod>();
  pod->uid = message.uid;
  pod->name = message.pod;
  pod->address = message.address;
  pod->space = std::make_shared<net::Namespace>(message.pod.to_string(), std::move(fds[0]));
  pods_[message.uid] = pod;
  publish();
  auto attach = [this, pod, answer] { this->attach(pod, answer); };
  if (session->synced) {
    attach();
  } else {
    session->attach_later.emplace_back(std::move(attach));
  }
}

// Unless it was withdrawn or replaced in the meantime.
void PodRegistry::attach(const std::shared_ptr<const proxy::Pod>& pod, Actions::Done answer) {
  const auto held = pods_.find(pod->uid);
  if (held == pods_.end() || held->second != pod) return;
  actions_.attach(pod, [this, pod, answer = std::move(answer)](const Result<void>& outcome) {
    if (!outcome) {
      pods_.erase(pod->uid);
      publish();
    }
    answer(outcome);
  });
}

void PodRegistry::withdraw(const std::string& uid, Actions::Done done) {
  if (pods_.erase(uid) == 0) return done({});
  publish();
  actions_.detach(uid, std::move(done));
}

// Of a pod that is not held nothing can be under way.
void PodRegistry::drain(const std::shared_ptr<Session>& session, const std::string& uid) {
  const auto answer = [session, uid] {
    session->answer({.type = mesh::HandoverType::drained, .uid = uid});
  };
  const auto held = pods_.find(uid);
  if (held == pods_.end()) return answer();
  actions_.drain(*held->second, answer);
}

void PodRegistry::drop_others(const std::set<std::string>& offered) {
  std::vector<std::string> gone;
  for (const auto& [uid, pod] : pods_) {
    if (!offered.contains(uid)) gone.push_back(uid);
  }
  for (const std::string& uid : gone) withdraw(uid, [](const Result<void>&) {});
}

void PodRegistry::publish() {
  auto table = std::make_shared<proxy::PodTable>();
  for (const auto& [uid, pod] : pods_) table->emplace(pod->address, pod);
  actions_.publish(std::move(table));
}

}  // namespace tulle::app
