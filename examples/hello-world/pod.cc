#include "pod.h"

#include "base/format.h"
#include "codec/dns.h"
#include "codec/url.h"
#include "rt/combine.h"
#include "rt/process.h"

#include <unistd.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <sstream>

namespace hello_world {

using namespace std::chrono_literals;
using namespace tulle;
namespace {

constexpr auto kDrainTimeout = 20s;
constexpr auto kDnsTimeout = 2s;
constexpr int kDnsAttempts = 3;

struct Resolv {
  std::vector<SocketAddress> servers;
  std::vector<std::string> search;
  std::ptrdiff_t ndots = 1;
};

// resolv.conf(5), as far as it matters here.
Resolv read_resolv_conf() {
  Resolv resolv;
  std::ifstream file("/etc/resolv.conf");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string keyword;
    words >> keyword;
    for (std::string word; words >> word;) {
      if (keyword == "search") resolv.search.push_back(word);
      if (keyword == "options" && word.starts_with("ndots:")) {
        std::from_chars(word.data() + 6, word.data() + word.size(), resolv.ndots);
      }
      if (const auto ip = IpAddress::parse(word); keyword == "nameserver" && ip) {
        resolv.servers.push_back({.ip = *ip, .port = 53});
      }
    }
  }
  return resolv;
}

// One question to one server; no answer is Code::not_found.
rt::Task<Result<IpAddress>> query(net::Network& network, SocketAddress server, std::string name) {
  const SocketAddress any{.ip = server.ip.is_v4() ? IpAddress() : IpAddress::v6({}), .port = 0};
  CO_TRY(auto socket, network.bind_datagram({.at = any}));
  codec::DnsMessage question;
  question.id = socket->local_address().port;
  question.recursion_desired = true;
  question.questions.push_back({.name = name});
  CO_TRY(const std::string bytes, codec::build_dns(question));
  CO_TRY_VOID(socket->send(bytes, server));
  for (std::array<char, 4096> buffer;;) {
    CO_TRY(const auto received, co_await socket->receive(buffer));
    const auto reply = codec::parse_dns({buffer.data(), std::min(received.size, buffer.size())});
    if (!reply || reply->id != question.id || received.from != server) continue;
    for (const auto& record : reply->answers) {
      const auto* a = std::get_if<codec::DnsA>(&record.data);
      if (a == nullptr) continue;
      co_return IpAddress::v4(a->address[0], a->address[1], a->address[2], a->address[3]);
    }
    co_return failf(Code::not_found, "{} has no address", name);
  }
}

rt::Task<Result<IpAddress>> resolve(Program& program, std::string host) {
  if (const auto literal = IpAddress::parse(host)) co_return *literal;
  if (host == "localhost") co_return IpAddress::v4(127, 0, 0, 1);
  const Resolv resolv = read_resolv_conf();
  std::vector<std::string> names;
  names.reserve(resolv.search.size() + 1);
  for (const auto& domain : resolv.search) names.push_back(fmt::format("{}.{}", host, domain));
  const bool bare_first = std::ranges::count(host, '.') >= resolv.ndots;
  names.insert(bare_first ? names.begin() : names.end(), host);
  Error last = fail(Code::not_found, "/etc/resolv.conf names no server");
  for (const auto& name : names) {
    for (int attempt = 0; attempt < kDnsAttempts && !resolv.servers.empty(); ++attempt) {
      const auto server = resolv.servers[static_cast<std::size_t>(attempt) % resolv.servers.size()];
      auto found = co_await rt::with_deadline(program.loop, program.loop.now() + kDnsTimeout,
                                              query(program.network, server, name));
      if (found) co_return *found;
      last = std::move(found).error();
      if (last.code == Code::not_found) break;
    }
  }
  co_return std::move(last).context(host);
}

rt::Task<void> drain_at_signal(rt::Loop& loop, rt::Signals& signals, http::Server& server) {
  co_await signals.next();
  co_await server.drain(loop.now() + kDrainTimeout);
}

int report(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message.c_str());
  return 1;
}

}  // namespace

std::string pod_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

rt::Task<void> answer(http::Exchange& exchange, int status, std::string_view text) {
  const std::string pod = pod_name();
  const codec::ResponseHead head{.status = status,
                                 .headers = {{"Content-Type", "text/plain"}, {kPodField, pod}}};
  // An error means that the client is gone: there is nobody left to tell.
  static_cast<void>(co_await exchange.send(head, text));
}

int serve(Program& program, std::uint16_t port, http::Handler& handler) {
  auto signals = rt::Signals::watch(program.loop, program.driver, {SIGTERM, SIGINT});
  if (!signals) return report(signals.error());
  auto listener = program.network.listen({.at = {.ip = IpAddress(), .port = port}});
  if (!listener) return report(listener.error());
  http::Server server(program.loop, *std::move(listener), handler, {});
  program.loop.run(drain_at_signal(program.loop, **signals, server));
  return 0;
}

rt::Task<Result<Destination>> open(Program& program, std::string url) {
  if (!url.starts_with("http://")) co_return fail(Code::invalid_argument, "not an http:// URL");
  const codec::Target target = codec::split_target(url);
  CO_TRY(const codec::HostPort to, codec::parse_host_port(target.authority));
  CO_TRY(const IpAddress ip, co_await resolve(program, to.host));
  auto client = std::make_unique<http::Client>(
      program.loop, program.network,
      http::Client::Options{.address = {.ip = ip, .port = to.port.value_or(80)},
                            .host = std::string(target.authority),
                            .response_timeout = 10s});
  std::string path(target.path);
  if (target.has_query) path.append("?").append(target.query);
  co_return Destination{.client = std::move(client), .target = std::move(path)};
}

}  // namespace hello_world
