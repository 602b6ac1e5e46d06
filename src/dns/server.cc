#include "dns/server.h"

#include "dns/message_stream.h"
#include "mesh/snapshot_builder.h"
#include "rt/combine.h"
#include "rt/sync.h"

#include <algorithm>
#include <array>

namespace tulle::dns {

namespace {

constexpr std::size_t kUdpQueryBytesMax = 4096;
constexpr Duration kAcceptRetry = std::chrono::milliseconds(50);

// What is said to a message that cannot be read, if it is a question at all. Never longer than it.
std::optional<std::string> complaint_about(std::string_view bytes) {
  constexpr std::size_t kHeaderBytes = 12;
  if (bytes.size() < kHeaderBytes) return std::nullopt;
  const auto byte = [bytes](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const bool is_response = (byte(2) & 0x80) != 0;
  if (is_response) return std::nullopt;
  const codec::DnsMessage complaint{.id = static_cast<std::uint16_t>(byte(0) << 8 | byte(1)),
                                    .response = true,
                                    .opcode = static_cast<std::uint8_t>(byte(2) >> 3 & 0x0f),
                                    .rcode = codec::DnsRcode::format_error};
  auto out = codec::build_dns(complaint);
  if (!out) return std::nullopt;
  return *std::move(out);
}

}  // namespace

// One connection: questions are answered side by side, each when it is ready.
struct Server::Conversation {
  Conversation(rt::Loop& loop, net::Stream& over)
      : stream(over),
        room(loop, kQuestionsPerConnectionMax),
        turn(loop, 1),
        broken(loop),
        answers(loop) {}
  net::Stream& stream;
  rt::Semaphore room;
  rt::Semaphore turn;  // to write
  rt::Event broken;    // nothing more is read
  rt::Scope answers;
};

struct Server::Attached {
  Attached(rt::Loop& loop, mesh::ObjectName who)
      : workload(std::move(who)), answers(loop), connections(loop), receiving(loop) {}
  mesh::ObjectName workload;
  std::unique_ptr<net::Datagram> udp;
  std::unique_ptr<net::Listener> tcp;
  rt::Scope answers;  // to what came by UDP
  rt::Scope connections;
  rt::Scope receiving;
};

Server::Server(rt::Loop& loop, net::Network& network, Random random, Random secret,
               ServerOptions options)
    : loop_(loop),
      network_(network),
      random_(random),
      options_(std::move(options)),
      forwarder_(loop, network, secret, options_.forwarder),
      cache_(loop, forwarder_, options_.cache),
      snapshot_(mesh::SnapshotBuilder().build()) {}

Server::~Server() = default;

Result<std::unique_ptr<Server::Attached>> Server::listen(mesh::ObjectName workload,
                                                         const net::ListenOptions& options) {
  auto attached = std::make_unique<Attached>(loop_, std::move(workload));
  TRY(attached->udp, network_.bind_datagram(options));
  TRY(attached->tcp, network_.listen(options));
  attached->receiving.spawn(serve_udp(*attached));
  attached->receiving.spawn(serve_tcp(*attached));
  return attached;
}

Result<void> Server::listen_in(const std::string& uid, mesh::ObjectName workload,
                               net::NamespacePtr space) {
  leave(uid);
  TRY(attached_[uid],
      listen(std::move(workload), {.at = options_.address, .in = std::move(space)}));
  return {};
}

Result<void> Server::listen_on_host(const SocketAddress& address) {
  TRY(attached_[""], listen({}, {.at = address}));
  return {};
}

void Server::leave(const std::string& uid) { attached_.erase(uid); }

void Server::retire() {
  for (const auto& [uid, attached] : attached_) {
    attached->receiving.cancel();
    attached->tcp.reset();
  }
}

std::size_t Server::pending() const {
  std::size_t count = 0;
  for (const auto& [uid, attached] : attached_) {
    count += attached->answers.size() + attached->connections.size();
  }
  return count;
}

rt::Task<void> Server::serve_udp(Attached& attached) {
  std::array<char, kUdpQueryBytesMax> buffer;
  for (;;) {
    const auto received = co_await attached.udp->receive(buffer);
    if (!received) {
      co_await rt::sleep(loop_, kAcceptRetry);
      continue;
    }
    if (received->size > buffer.size() || attached.answers.size() >= kQuestionsPerPodMax) continue;
    attached.answers.spawn(
        answer_udp(attached, std::string(buffer.data(), received->size), received->from));
  }
}

rt::Task<void> Server::answer_udp(Attached& attached, std::string bytes, SocketAddress from) {
  auto query = codec::parse_dns(bytes);
  if (!query) {
    if (const auto complaint = complaint_about(bytes)) (void)attached.udp->send(*complaint, from);
    co_return;
  }
  const std::size_t bytes_max = codec::dns_udp_bytes_max(*query);
  const auto answered = co_await answer(attached, *std::move(query));
  if (!answered) co_return;
  const auto out = codec::build_dns(*answered, bytes_max);
  // A datagram that cannot be sent is lost, as datagrams are: the client asks again.
  if (out) (void)attached.udp->send(*out, from);
}

rt::Task<void> Server::serve_tcp(Attached& attached) {
  for (;;) {
    auto stream = co_await attached.tcp->accept();
    if (!stream) {
      co_await rt::sleep(loop_, kAcceptRetry);
    } else if (attached.connections.size() < kTcpConnectionsPerPodMax) {
      attached.connections.spawn(serve_stream(attached, *std::move(stream)));
    }
  }
}

rt::Task<void> Server::serve_stream(Attached& attached, std::unique_ptr<net::Stream> stream) {
  Conversation conversation(loop_, *stream);
  for (;;) {
    auto outcome = co_await rt::race(
        rt::with_deadline(loop_, loop_.now() + options_.tcp_idle_timeout, read_message(*stream)),
        conversation.broken.wait());
    if (outcome.index() == 1) break;
    auto& bytes = std::get<0>(outcome);
    if (!bytes) break;
    // Who asks faster than it reads waits here.
    auto room = co_await conversation.room.acquire();
    conversation.answers.spawn(
        answer_tcp(attached, conversation, *std::move(bytes), std::move(room)));
  }
  co_await conversation.answers.idle();
}

rt::Task<void> Server::answer_tcp(Attached& attached, Conversation& conversation, std::string bytes,
                                  rt::Semaphore::Permit room) {
  const auto held = std::move(room);
  auto query = codec::parse_dns(bytes);
  std::optional<std::string> out;
  if (!query) {
    out = complaint_about(bytes);
    conversation.broken.set();  // what follows is not to be trusted
  } else if (const auto answered = co_await answer(attached, *std::move(query))) {
    if (auto built = codec::build_dns(*answered)) out = *std::move(built);
  }
  if (!out) co_return;
  const auto turn = co_await conversation.turn.acquire();
  const auto written =
      co_await rt::with_deadline(loop_, loop_.now() + options_.tcp_write_timeout,
                                 write_message(conversation.stream, *std::move(out)));
  if (!written) conversation.broken.set();
}

rt::Task<std::optional<codec::DnsMessage>> Server::answer(const Attached& attached,
                                                          codec::DnsMessage query) {
  if (query.response) co_return std::nullopt;
  codec::DnsMessage response = codec::dns_response_to(query);
  response.recursion_available = true;
  if (query.opcode != 0) {
    response.rcode = codec::DnsRcode::not_implemented;
  } else if (query.edns && query.edns->version != 0) {
    response.rcode = codec::DnsRcode::bad_version;
  } else if (query.questions.size() != 1) {
    response.rcode = codec::DnsRcode::format_error;
  } else if (query.questions[0].type == codec::DnsType::any ||
             query.questions[0].klass != codec::dns_class_in) {
    response.rcode = codec::DnsRcode::refused;
  } else {
    co_return co_await resolve(attached, std::move(response));
  }
  co_return response;
}

// Completes `response`, which holds the one question.
rt::Task<codec::DnsMessage> Server::resolve(const Attached& attached, codec::DnsMessage response) {
  const codec::DnsQuestion question = response.questions[0];
  mesh::DnsAnswer own;
  {
    const mesh::Workload* workload = snapshot_->workload(attached.workload);  // none: the host
    mesh::DnsQuery query{.name = question.name, .type = question.type};
    if (workload != nullptr) query.search_domains = workload->search_domains;
    own = mesh::resolve(*snapshot_, query);
  }
  response.answers = std::move(own.answers);
  response.authorities = std::move(own.authorities);
  response.additionals = std::move(own.additionals);
  switch (own.outcome) {
    case mesh::DnsOutcome::answered: response.authoritative = true; break;
    case mesh::DnsOutcome::no_such_name:
      response.authoritative = true;
      response.rcode = codec::DnsRcode::name_error;
      break;
    case mesh::DnsOutcome::forward: {
      Inquiry inquiry{.question = question,
                      .dnssec_ok = response.edns && response.edns->dnssec_ok,
                      .checking_disabled = response.checking_disabled};
      inquiry.question.name = own.forward_name;
      auto forwarded = co_await cache_.ask(std::move(inquiry));
      if (!forwarded) {
        response.rcode = codec::DnsRcode::server_failure;
        break;
      }
      response.rcode = forwarded->rcode;
      std::ranges::move(forwarded->answers, std::back_inserter(response.answers));
      response.authorities = std::move(forwarded->authorities);
      break;
    }
  }
  // A client takes the first address: each gets another one. An alias must stay before its target.
  const bool all_asked = std::ranges::all_of(
      response.answers, [&question](const auto& record) { return record.type == question.type; });
  if (all_asked && response.answers.size() > 1) {
    const auto turn = static_cast<std::ptrdiff_t>(random_.below(response.answers.size()));
    std::ranges::rotate(response.answers, response.answers.begin() + turn);
  }
  co_return response;
}

}  // namespace tulle::dns
