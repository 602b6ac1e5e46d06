// Many clients, servers that fail in every way, endpoints and policies that change all the time: by
// seed, so that what fails can be seen again. What must hold whatever happens:
//   - every request gets one answer, or its connection is cut after an answer had begun;
//   - an answer is the one to its request;
//   - a request that must not be processed twice is not;
//   - no more is processed again than the retry budget allows.
#include "proxy/test_world.h"
#include "rt/combine.h"

#include <fmt/format.h>

namespace tulle::proxy {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kServers = 4;
constexpr int kClients = 12;
constexpr int kRequestsPerClient = 25;
constexpr std::uint32_t kRetriesPerSecond = 5;
constexpr Duration kPatience = 60s;

// Reads until `received` holds a head and the body that its Content-Length says. Nothing: the
// stream ended before. What is behind stays in `received`.
rt::Task<std::optional<std::string>> read_whole(net::Stream& stream, std::string& received) {
  for (;;) {
    const std::size_t end = received.find("\r\n\r\n");
    if (end != std::string::npos) {
      const std::size_t field = received.find("Content-Length: ");
      const std::size_t length =
          field < end ? std::strtoul(received.c_str() + field + 16, nullptr, 10) : 0;
      if (received.size() >= end + 4 + length) {
        std::string whole = received.substr(0, end + 4 + length);
        received.erase(0, whole.size());
        co_return whole;
      }
    }
    std::array<char, 1024> buffer;
    const auto count = co_await net::read(stream, buffer);
    if (!count || *count == 0) co_return std::nullopt;
    received.append(buffer.data(), *count);
  }
}

std::string field(const std::string& message, std::string_view name) {
  const std::size_t at = message.find(std::string(name) + ": ");
  if (at == std::string::npos) return "";
  const std::size_t from = at + name.size() + 2;
  return message.substr(from, message.find("\r\n", from) - from);
}

class Chaos : public ProxyTest {
 protected:
  void run(std::uint64_t seed) {
    random = Random(seed);
    start = sim.loop.now();
    make_servers(kServers);
    for (std::size_t i = 0; i < kServers; ++i) {
      listeners.push_back(listen_raw(i));
      tasks.spawn(serve(*listeners[i]));
    }
    change_policy();
    for (int i = 0; i < kClients; ++i) clients.spawn(ask(i));
    tasks.spawn(churn());
    sim.loop.run(clients.idle());
    tasks.cancel();
    check();
  }

  void check() {
    EXPECT_EQ(answered + cut, kClients * kRequestsPerClient);
    std::size_t again = 0;
    for (const auto& [id, times] : processed) {
      if (id.starts_with("POST")) EXPECT_EQ(times, 1) << id;
      again += static_cast<std::size_t>(times - 1);
    }
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(sim.loop.now() - start).count();
    EXPECT_LE(again, kRetriesPerSecond * static_cast<std::size_t>(seconds + 1));
    EXPECT_GT(answered, kClients * kRequestsPerClient / 2) << "the test tests something";
  }

  // One server: answers, fails, dawdles, or breaks off at any byte.
  rt::Task<void> serve(net::Listener& listener) {
    for (;;) {
      auto stream = co_await listener.accept();
      if (!stream) co_return;
      if (random.below(20) == 0) continue;  // closed at once
      connections.spawn(serve_connection(*std::move(stream)));
    }
  }
  rt::Task<void> serve_connection(std::unique_ptr<net::Stream> stream) {
    std::string received;
    for (;;) {
      const auto request = co_await read_whole(*stream, received);
      if (!request) co_return;
      const std::string id = field(*request, "X-Id");
      ++processed[id];
      const std::uint64_t fate = random.below(100);
      if (fate < 15) co_await rt::sleep(sim.loop, std::chrono::milliseconds(random.below(3000)));
      const bool fails = fate >= 15 && fate < 25;
      std::string response =
          fmt::format("HTTP/1.1 {}\r\nX-Id: {}\r\nContent-Length: {}\r\n\r\n",
                      fails ? "503 Service Unavailable" : "200 OK", id, id.size() + 200);
      response += id + std::string(200, '.');
      const bool breaks = fate >= 25 && fate < 35;
      if (breaks) response.resize(random.below(response.size()));
      if (!response.empty() && !co_await net::write_all(*stream, response)) co_return;
      if (breaks) co_return;
    }
  }

  rt::Task<void> ask(int client_number) {
    std::unique_ptr<net::Stream> stream;
    std::string received;
    for (int i = 0; i < kRequestsPerClient; ++i) {
      const bool safe = random.below(2) == 0;
      const std::string id = fmt::format("{}-{}-{}", safe ? "GET" : "POST", client_number, i);
      if (!stream) {
        received.clear();
        auto dialled = co_await network.connect({.to = at("10.96.0.5:80"), .in = client->space});
        if (!dialled) {
          ADD_FAILURE() << "the proxy does not listen";
          co_return;
        }
        stream = *std::move(dialled);
      }
      const std::string request =
          fmt::format("{} / HTTP/1.1\r\nHost: world\r\nX-Id: {}\r\nContent-Length: {}\r\n\r\n{}",
                      safe ? "GET" : "POST", id, safe ? 0 : 5, safe ? "" : "hello");
      if (!co_await net::write_all(*stream, request)) {
        stream.reset();
        --i;  // the connection was closed between two requests: nothing was asked
        continue;
      }
      auto outcome = co_await rt::race(read_whole(*stream, received),
                                       rt::until(sim.loop, sim.loop.now() + kPatience));
      if (outcome.index() == 1) {
        ADD_FAILURE() << id << " has no answer";
        co_return;
      }
      note(id, std::get<0>(outcome), received, stream);
      co_await rt::sleep(sim.loop, std::chrono::milliseconds(random.below(50)));
    }
  }
  void note(const std::string& id, const std::optional<std::string>& response,
            std::string& received, std::unique_ptr<net::Stream>& stream) {
    if (!response) {
      EXPECT_TRUE(received.starts_with("HTTP/1.1 ")) << id << " was cut without any answer";
      ++cut;
      stream.reset();
      return;
    }
    ++answered;
    const std::string answered_id = field(*response, "X-Id");
    if (status_of(*response) == "200") EXPECT_EQ(answered_id, id);
    if (!answered_id.empty()) EXPECT_EQ(answered_id, id);
    if (field(*response, "Connection") == "close") stream.reset();
  }

  // Endpoints come and go, one stays; policies change.
  rt::Task<void> churn() {
    for (;;) {
      co_await rt::sleep(sim.loop, std::chrono::milliseconds(random.below(200)));
      const std::size_t i = 1 + random.below(kServers - 1);
      health_of[servers[i].address] =
          random.below(3) == 0 ? mesh::Health::not_ready : mesh::Health::ready;
      if (random.below(10) == 0) {
        change_policy();
      } else {
        publish_now();
      }
    }
  }
  void change_policy() {
    using mesh::LoadBalancing;
    constexpr std::array all{LoadBalancing::least_request, LoadBalancing::round_robin,
                             LoadBalancing::random,        LoadBalancing::peak_ewma,
                             LoadBalancing::ring_hash,     LoadBalancing::maglev};
    mesh::Policy policy{.load_balancing = all[random.below(all.size())],
                        .retry_budget = {.percent = 0, .per_second_min = kRetriesPerSecond}};
    policy.hash_on = mesh::HashOn{.type = mesh::HashOn::Type::header, .name = "X-Id"};
    if (random.below(2) == 0) policy.retry.codes = {503};
    if (random.below(2) == 0) policy.timeouts.per_try = std::chrono::milliseconds(500);
    if (random.below(3) == 0) policy.timeouts.request = 2s;
    if (random.below(2) == 0) policy.outlier.consecutive_failures = 3;
    if (random.below(2) == 0) policy.hedging_percentile = 90;
    if (random.below(3) == 0) {
      policy.circuit_breaking = {.requests_max = 8, .pending_max = 4, .pending_timeout = 100ms};
    }
    if (random.below(3) == 0) policy.slow_start = 1s;
    service.load_balancing = *policy.load_balancing;
    service.policy = std::make_shared<const mesh::Policy>(std::move(policy));
    publish_now();
  }

  Random random{0};
  Instant start;
  std::map<std::string, int> processed;  // by id, whole requests that a server has read
  int answered = 0;
  int cut = 0;  // after an answer had begun
  std::vector<std::unique_ptr<net::Listener>> listeners;
  rt::Scope connections{sim.loop};
  rt::Scope tasks{sim.loop};
  rt::Scope clients{sim.loop};
};

class ChaosTest : public Chaos, public testing::WithParamInterface<int> {};

TEST_P(ChaosTest, every_request_has_one_answer_and_none_is_processed_twice_that_must_not) {
  run(static_cast<std::uint64_t>(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Seeds, ChaosTest, testing::Range(1, 31));

}  // namespace
}  // namespace tulle::proxy
