#include "proxy/recognise.h"

#include <algorithm>

namespace tulle::proxy {

namespace {

// HTTP/2's preface "PRI * HTTP/2.0" is no HTTP/1 and goes through as it is.
constexpr std::string_view kHttp2Method = "PRI";
constexpr std::string_view kScheme = "http";

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

}  // namespace

Recognised recognise(std::string_view bytes) {
  const std::size_t limit = std::min(bytes.size(), kRequestLineStartMax);
  std::size_t method = 0;
  while (method < limit && (is_upper(bytes[method]) || bytes[method] == '-')) ++method;
  if (method == limit) {
    return limit == kRequestLineStartMax ? Recognised::other : Recognised::undecided;
  }
  if (method == 0 || bytes[method] != ' ' || bytes.substr(0, method) == kHttp2Method) {
    return Recognised::other;
  }
  // Text protocols have verbs in capitals too; only a request target begins like this.
  const std::string_view target = bytes.substr(method + 1);
  if (target.empty()) return Recognised::undecided;
  if (target[0] == '/' || target[0] == '*') return Recognised::http;
  if (bytes.substr(0, method) == "CONNECT") return Recognised::http;
  const std::size_t common = std::min(target.size(), kScheme.size());
  if (target.substr(0, common) != kScheme.substr(0, common)) return Recognised::other;
  return common == kScheme.size() ? Recognised::http : Recognised::undecided;
}

}  // namespace tulle::proxy
