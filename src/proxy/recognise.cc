#include "proxy/recognise.h"

#include <algorithm>

namespace tulle::proxy {

namespace {

constexpr std::string_view kScheme = "http";

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

}  // namespace

Recognised recognise(std::string_view bytes) {
  // An empty line before a request line is passed over, as the parser does (RFC 9112 §2.2).
  if (bytes.starts_with("\r\n")) bytes.remove_prefix(2);
  if (bytes == "\r") return Recognised::undecided;
  const std::size_t limit = std::min(bytes.size(), kRequestLineStartMax);
  std::size_t method = 0;
  while (method < limit && (is_upper(bytes[method]) || bytes[method] == '-')) ++method;
  if (method == limit) {
    return limit == kRequestLineStartMax ? Recognised::other : Recognised::undecided;
  }
  if (method == 0 || bytes[method] != ' ') return Recognised::other;
  // Text protocols have verbs in capitals too; only a request target begins like this.
  const std::string_view target = bytes.substr(method + 1);
  if (target.empty()) return Recognised::undecided;
  if (target[0] == '/' || target[0] == '*') return Recognised::http;
  if (bytes.substr(0, method) == "CONNECT") return Recognised::http;
  const std::size_t common = std::min(target.size(), kScheme.size());
  if (target.substr(0, common) != kScheme.substr(0, common)) return Recognised::other;
  return common == kScheme.size() ? Recognised::http : Recognised::undecided;
}

bool is_http2_greeting(std::string_view bytes) {
  constexpr std::size_t header = 9;
  constexpr std::string_view settings("\4\0\0\0\0\0", 6);  // type, no flags, stream 0
  if (bytes.size() < header || bytes.substr(3, settings.size()) != settings) return false;
  constexpr unsigned setting = 6;
  const auto length = static_cast<unsigned>(static_cast<unsigned char>(bytes[2]));
  return bytes[0] == 0 && bytes[1] == 0 && length % setting == 0;
}

}  // namespace tulle::proxy
