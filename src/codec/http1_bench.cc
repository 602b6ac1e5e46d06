// What parsing and writing a head costs. Aim: a browser's request head below 400 ns.
#include "codec/http1.h"

#include <benchmark/benchmark.h>

namespace tulle::codec {
namespace {

constexpr std::string_view small_head = "GET / HTTP/1.1\r\nHost: world\r\nAccept: */*\r\n\r\n";

constexpr std::string_view browser_head =
    "GET /api/items/42?fields=name,price&limit=20 HTTP/1.1\r\n"
    "Host: shop.example.com\r\n"
    "Connection: keep-alive\r\n"
    "Cache-Control: max-age=0\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
    "\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes\r\n"
    "X-Request-Id: 6f1c1f0e-9d6f-4a55-8a3c-1b0c35bfa0f3\r\n"
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
    "\r\n";

void parse_head(benchmark::State& state, std::string_view wire) {
  RequestParser parser;
  RequestHead head;
  for (auto _ : state) {
    HeadResult result = parser.parse(wire, head);
    if (result.outcome != HeadResult::Outcome::complete) state.SkipWithError("refused");
    benchmark::DoNotOptimize(head);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(wire.size()));
}

// All that a proxy does to the head of a request it passes on.
void forward_head(benchmark::State& state, std::string_view wire) {
  RequestParser parser;
  RequestHead head;
  std::string out;
  for (auto _ : state) {
    out.clear();
    parser.parse(wire, head);
    benchmark::DoNotOptimize(body_framing(head));
    benchmark::DoNotOptimize(keep_alive(head));
    remove_hop_by_hop(head.headers);
    append_request_head(out, head);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(wire.size()));
}

BENCHMARK_CAPTURE(parse_head, small, small_head);
BENCHMARK_CAPTURE(parse_head, browser, browser_head);
BENCHMARK_CAPTURE(forward_head, small, small_head);
BENCHMARK_CAPTURE(forward_head, browser, browser_head);

}  // namespace
}  // namespace tulle::codec
