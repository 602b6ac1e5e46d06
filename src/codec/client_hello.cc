#include "codec/client_hello.h"

#include "base/text.h"

#include <algorithm>
#include <optional>

namespace tulle::codec {
namespace {

using Outcome = ClientHello::Outcome;

constexpr unsigned char handshake_record = 22;
constexpr unsigned char client_hello_message = 1;
constexpr std::size_t record_bytes_max = 16 * 1024;
constexpr std::size_t random_bytes = 32;
constexpr std::uint16_t server_name_extension = 0;
constexpr std::uint16_t alpn_extension = 16;

// Takes big-endian numbers and vectors off the front; a failure is for good.
class Reader final {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  bool failed() const { return failed_; }
  bool done() const { return failed_ || rest_.empty(); }

  std::size_t number(std::size_t bytes) {
    std::size_t value = 0;
    for (const char c : take(bytes)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  std::string_view take(std::size_t bytes) {
    if (failed_ || rest_.size() < bytes) {
      failed_ = true;
      return {};
    }
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }
  // A vector behind a length of so many bytes.
  std::string_view vector(std::size_t length_bytes) { return take(number(length_bytes)); }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

// The handshake message out of the records that carry it. Nothing: not all is there, or
// `malformed`.
std::optional<std::string> join_records(std::string_view bytes, bool& malformed) {
  std::string message;
  for (;;) {
    if (message.size() >= 4) {
      Reader header(message);
      malformed = header.number(1) != client_hello_message;
      const std::size_t length = header.number(3);
      malformed = malformed || length > client_hello_bytes_max;
      if (malformed) return std::nullopt;
      if (message.size() >= 4 + length) return message.substr(4, length);
    }
    // What is there of a record's header decides early: not TLS is not waited for.
    Reader record(bytes);
    if (bytes.empty()) return std::nullopt;
    malformed = record.number(1) != handshake_record;
    if (!malformed && bytes.size() >= 2) malformed = record.number(1) != 3;
    if (malformed || bytes.size() < 5) return std::nullopt;
    record.take(1);
    const std::size_t length = record.number(2);
    malformed = length == 0 || length > record_bytes_max;
    if (malformed) return std::nullopt;
    const std::string_view fragment = record.take(std::min(length, bytes.size() - 5));
    message.append(fragment);
    bytes.remove_prefix(5 + fragment.size());
    if (fragment.size() < length && message.size() < 4) return std::nullopt;
    if (fragment.size() < length) bytes = {};
  }
}

std::string normal_name(std::string_view name) {
  std::string lower = to_lower(name);
  if (lower.ends_with('.')) lower.pop_back();
  return lower;
}

// False where the extension is malformed.
bool read_server_name(std::string_view extension, ClientHello& hello) {
  Reader list(Reader(extension).vector(2));
  while (!list.done()) {
    const std::size_t type = list.number(1);
    const std::string_view name = list.vector(2);
    if (type != 0 || list.failed()) continue;
    if (name.empty() || name.find('\0') != std::string_view::npos) return false;
    if (hello.server_name.empty()) hello.server_name = normal_name(name);
  }
  return !list.failed();
}

bool read_alpn(std::string_view extension, ClientHello& hello) {
  Reader list(Reader(extension).vector(2));
  while (!list.done()) {
    const std::string_view protocol = list.vector(1);
    if (list.failed() || protocol.empty()) return false;
    hello.alpn.emplace_back(protocol);
  }
  return true;
}

bool read_message(std::string_view message, ClientHello& hello) {
  Reader reader(message);
  reader.take(2);  // the version
  reader.take(random_bytes);
  reader.vector(1);  // the session
  reader.vector(2);  // the ciphers
  reader.vector(1);  // the compressions
  if (reader.failed()) return false;
  if (reader.done()) return true;  // TLS 1.2 and before may have no extensions
  Reader extensions(reader.vector(2));
  while (!extensions.done()) {
    const std::size_t type = extensions.number(2);
    const std::string_view data = extensions.vector(2);
    if (extensions.failed()) return false;
    if (type == server_name_extension && !read_server_name(data, hello)) return false;
    if (type == alpn_extension && !read_alpn(data, hello)) return false;
  }
  return !reader.failed() && !extensions.failed();
}

}  // namespace

ClientHello parse_client_hello(std::string_view bytes) {
  ClientHello hello;
  bool malformed = false;
  const auto message = join_records(bytes, malformed);
  if (message) {
    const bool good = read_message(*message, hello);
    hello.outcome = good ? Outcome::complete : Outcome::malformed;
  } else if (malformed || bytes.size() > client_hello_bytes_max) {
    hello.outcome = Outcome::malformed;
  }
  return hello;
}

std::string_view unrecognized_name_alert() {
  static constexpr char alert[] = {21, 3, 3, 0, 2, 2, 112};
  return {alert, sizeof alert};
}

}  // namespace tulle::codec
