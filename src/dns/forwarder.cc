#include "dns/forwarder.h"

#include "base/text.h"
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

// RFC 2308 and 8020: that there is no such name is an answer.
bool is_answer(codec::DnsRcode rcode) {
  return rcode == codec::DnsRcode::no_error || rcode == codec::DnsRcode::name_error;
}

bool is_at_or_below(std::string_view name, std::string_view domain) {
  if (name.size() < domain.size()) return false;
  const std::string_view end = name.substr(name.size() - domain.size());
  if (!codec::equals_ignoring_case(end, domain)) return false;
  return name.size() == domain.size() || name[name.size() - domain.size() - 1] == '.';
}

}  // namespace

const std::vector<SocketAddress>& Forwarder::resolvers_for(std::string_view name) const {
  const StubDomain* longest = nullptr;
  for (const StubDomain& stub : options_.stub_domains) {
    if (!is_at_or_below(name, stub.domain)) continue;
    if (longest == nullptr || stub.domain.size() > longest->domain.size()) longest = &stub;
  }
  return longest != nullptr ? longest->resolvers : options_.resolvers;
}

rt::Task<Result<codec::DnsMessage>> Forwarder::ask(Inquiry inquiry) {
  if (in_flight_ >= options_.in_flight_max) {
    co_return fail(Code::exhausted, "too many questions are under way");
  }
  const Count counted(in_flight_);
  codec::DnsMessage query;
  query.recursion_desired = true;
  query.checking_disabled = inquiry.checking_disabled;
  query.questions.push_back(std::move(inquiry.question));
  query.edns = {.dnssec_ok = inquiry.dnssec_ok};
  Error last = fail(Code::unavailable, "the host has no resolver");
  for (std::size_t round = 0; round < options_.rounds; ++round) {
    for (const SocketAddress& resolver : resolvers_for(query.questions[0].name)) {
      query.id = static_cast<std::uint16_t>(secret_.next());
      auto answer = co_await rt::with_deadline(loop_, loop_.now() + options_.timeout,
                                               ask_one(resolver, query));
      if (answer && is_answer(answer->rcode)) co_return answer;
      last = answer ? fail(Code::unavailable, "the resolver answers with an error")
                    : std::move(answer).error();
    }
  }
  co_return last;
}

std::string Forwarder::random_capitals(std::string name) {
  std::uint64_t bits = 0;
  int left = 0;
  for (char& c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!letter) continue;
    if (left == 0) {
      bits = secret_.next();
      left = 64;
    }
    c = static_cast<char>((bits & 1) != 0 ? c & ~0x20 : c | 0x20);
    bits >>= 1;
    --left;
  }
  return name;
}

rt::Task<Result<codec::DnsMessage>> Forwarder::ask_one(SocketAddress resolver,
                                                       codec::DnsMessage query) {
  std::string& name = query.questions[0].name;
  const bool keeps_case = !change_case_.contains(resolver);
  if (keeps_case) name = random_capitals(std::move(name));
  auto answer = co_await by_udp(resolver, query);
  if (!answer) co_return answer;
  const bool as_asked = answer->questions[0].name == name;
  if (!answer->truncated && (as_asked || !keeps_case)) co_return answer;
  // It may be forged, or the resolver may have other capitals of its own: TCP tells.
  auto sure = co_await by_tcp(resolver, query);
  if (sure && sure->questions[0].name != name) change_case_.insert(resolver);
  co_return sure;
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

Result<StubDomain> parse_stub_domain(std::string_view text) {
  std::string_view rest = text;
  StubDomain stub{.domain = to_lower(take_until(rest, '='))};
  while (stub.domain.ends_with('.')) stub.domain.pop_back();
  while (!rest.empty()) {
    const std::string_view one = take_until(rest, ',');
    if (const auto ip = IpAddress::parse(one)) {
      stub.resolvers.push_back({.ip = *ip, .port = kDnsPort});
    } else if (const auto address = SocketAddress::parse(one)) {
      stub.resolvers.push_back(*address);
    } else {
      return fail(Code::invalid_argument, "\"" + std::string(one) + "\" is not an address");
    }
  }
  if (stub.domain.empty() || stub.resolvers.empty()) {
    return fail(Code::invalid_argument,
                "\"" + std::string(text) + "\": write DOMAIN=ADDRESS[,ADDRESS]…");
  }
  return stub;
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
