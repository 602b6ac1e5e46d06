#include "dns/forwarder.h"

#include "codec/http_message.h"
#include "dns/message_stream.h"
#include "rt/combine.h"

#include <array>

namespace tulle::dns {

namespace {

constexpr std::uint16_t kDnsPort = 53;

struct Count {
  explicit Count(std::size_t& counted) : value(counted) { ++value; }
  ~Count() { --value; }
  Count(const Count&) = delete;
  Count& operator=(const Count&) = delete;
  std::size_t& value;
};

bool answers(const codec::DnsMessage& response, const codec::DnsMessage& query) {
  if (!response.response || response.id != query.id || response.questions.size() != 1) return false;
  const auto& asked = query.questions.front();
  const auto& told = response.questions.front();
  return asked.type == told.type && asked.klass == told.klass &&
         codec::equals_ignoring_case(asked.name, told.name);
}

}  // namespace

rt::Task<Result<codec::DnsMessage>> Forwarder::ask(codec::DnsQuestion question) {
  if (in_flight_ >= options_.in_flight_max) {
    co_return fail(Code::exhausted, "too many questions are under way");
  }
  const Count counted(in_flight_);
  codec::DnsMessage query;
  query.recursion_desired = true;
  query.questions.push_back(std::move(question));
  query.edns.emplace();
  Error last = fail(Code::unavailable, "the host has no resolver");
  for (const SocketAddress& resolver : options_.resolvers) {
    query.id = static_cast<std::uint16_t>(random_.next());
    auto answer =
        co_await rt::with_deadline(loop_, loop_.now() + options_.timeout, ask_one(resolver, query));
    if (answer && answer->rcode != codec::DnsRcode::server_failure) co_return answer;
    last = answer ? fail(Code::unavailable, "SERVFAIL") : std::move(answer).error();
  }
  co_return last;
}

rt::Task<Result<codec::DnsMessage>> Forwarder::ask_one(SocketAddress resolver,
                                                       codec::DnsMessage query) {
  auto answer = co_await by_udp(resolver, query);
  if (answer && answer->truncated) co_return co_await by_tcp(resolver, query);
  co_return answer;
}

rt::Task<Result<codec::DnsMessage>> Forwarder::by_udp(SocketAddress resolver,
                                                      const codec::DnsMessage& query) {
  const IpAddress any = resolver.ip.is_v4() ? IpAddress() : IpAddress::v6({});
  CO_TRY(const auto socket, network_.bind_datagram({.at = {.ip = any, .port = 0}}));
  CO_TRY(const std::string bytes, codec::build_dns(query));
  CO_TRY_VOID(socket->send(bytes, resolver));
  std::array<char, 4096> buffer;
  for (;;) {
    CO_TRY(const auto received, co_await socket->receive(buffer));
    if (received.from != resolver || received.size > buffer.size()) continue;
    auto answer = codec::parse_dns(std::string_view(buffer.data(), received.size));
    if (answer && answers(*answer, query)) co_return answer;
  }
}

rt::Task<Result<codec::DnsMessage>> Forwarder::by_tcp(SocketAddress resolver,
                                                      const codec::DnsMessage& query) {
  CO_TRY(const auto stream, co_await network_.connect({.to = resolver}));
  CO_TRY(std::string bytes, codec::build_dns(query));
  CO_TRY_VOID(co_await write_message(*stream, std::move(bytes)));
  CO_TRY(const std::string answered, co_await read_message(*stream));
  CO_TRY(auto answer, codec::parse_dns(answered));
  if (!answers(answer, query)) co_return fail(Code::malformed, "an answer to another question");
  co_return answer;
}

std::vector<SocketAddress> parse_resolvers(std::string_view resolv_conf) {
  constexpr std::string_view kKeyword = "nameserver";
  constexpr std::string_view kBlank = " \t\r";
  std::vector<SocketAddress> resolvers;
  while (!resolv_conf.empty()) {
    const std::size_t end = resolv_conf.find('\n');
    std::string_view line = resolv_conf.substr(0, end);
    resolv_conf.remove_prefix(end == std::string_view::npos ? resolv_conf.size() : end + 1);
    if (!line.starts_with(kKeyword)) continue;
    line.remove_prefix(kKeyword.size());
    const std::size_t begin = line.find_first_not_of(kBlank);
    if (begin == 0 || begin == std::string_view::npos) continue;
    line.remove_prefix(begin);
    line = line.substr(0, line.find_first_of(kBlank));
    if (const auto ip = IpAddress::parse(line)) resolvers.push_back({.ip = *ip, .port = kDnsPort});
  }
  return resolvers;
}

}  // namespace tulle::dns
