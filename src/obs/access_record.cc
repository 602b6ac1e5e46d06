#include "obs/access_record.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

namespace tulle::obs {
namespace {

// Printable ASCII without space, quote and backslash needs no quotes.
bool is_plain(std::string_view text) {
  return std::ranges::all_of(text,
                             [](char c) { return c > ' ' && c < 0x7f && c != '"' && c != '\\'; });
}

class Line final {
 public:
  void add(std::string_view key, std::string_view text) {
    if (text.empty()) return;
    begin(key);
    if (is_plain(text)) {
      line_ += text;
      return;
    }
    line_ += '"';
    for (char c : text) add_quoted(c);
    line_ += '"';
  }
  void add(std::string_view key, std::uint64_t number) {
    if (number == 0) return;
    begin(key);
    line_ += fmt::format("{}", number);
  }
  void add(std::string_view key, const SocketAddress& address) {
    if (address == SocketAddress{}) return;
    add(key, address.to_string());
  }
  void add_ms(std::string_view key, Duration duration) {
    begin(key);
    line_ += fmt::format("{:.3f}", std::chrono::duration<double, std::milli>(duration).count());
  }
  std::string take() && { return std::move(line_); }

 private:
  void begin(std::string_view key) {
    if (!line_.empty()) line_ += ' ';
    line_ += key;
    line_ += '=';
  }
  // A peer's bytes must not forge a line or reach a terminal as control codes.
  void add_quoted(char c) {
    if (c == '"' || c == '\\') line_ += '\\';
    auto byte = static_cast<unsigned char>(c);
    if (byte < ' ' || byte == 0x7f) {
      line_ += fmt::format("\\x{:02x}", byte);
    } else {
      line_ += c;
    }
  }

  std::string line_;
};

}  // namespace

std::string to_line(const AccessRecord& record) {
  auto started_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(record.started_at.time_since_epoch());
  Line line;
  line.add("started_ms", static_cast<std::uint64_t>(started_ms.count()));
  line.add("from", record.downstream_workload);
  line.add("from_address", record.downstream_address);
  line.add("listener", record.listener);
  line.add("destination", record.destination);
  line.add("protocol", record.protocol);
  line.add("method", record.method);
  line.add("host", record.host);
  line.add("path", record.path);
  line.add("service", record.service);
  line.add("service_port", record.service_port);
  line.add("to", record.upstream_workload);
  line.add("to_address", record.upstream_address);
  line.add("route_reason", record.route_reason);
  line.add("pick_reason", record.pick_reason);
  line.add("generation", record.generation);
  line.add("attempts", record.attempts);
  line.add("status", record.status);
  line.add("error", record.error);
  line.add("bytes_in", record.bytes_from_downstream);
  line.add("bytes_out", record.bytes_to_downstream);
  line.add_ms("first_byte_ms", record.to_first_byte);
  line.add_ms("total_ms", record.total);
  return std::move(line).take();
}

}  // namespace tulle::obs
