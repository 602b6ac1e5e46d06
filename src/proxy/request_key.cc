#include "proxy/request_key.h"

#include "base/text.h"
#include "codec/url.h"
#include "mesh/consistent_hash.h"

#include <charconv>

#include <fmt/format.h>

namespace tulle::proxy {

namespace {

std::optional<std::string_view> find_cookie_in(std::string_view field, std::string_view name) {
  while (!field.empty()) {
    std::string_view value = take_until(field, ';');
    if (trim(take_until(value, '=')) == name) return trim(value);
  }
  return std::nullopt;
}

// As it is spelled: one that is encoded in two ways may have two endpoints.
std::optional<std::string_view> find_parameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    std::string_view value = take_until(query, '&');
    if (take_until(value, '=') == name) return value;
  }
  return std::nullopt;
}

std::optional<std::string_view> key_text(const mesh::HashOn& on, const codec::RequestHead& head) {
  using Type = mesh::HashOn::Type;
  switch (on.type) {
    case Type::header: return head.headers.get(on.name);
    case Type::cookie: return find_cookie(head.headers, on.name);
    case Type::query_parameter:
      return find_parameter(codec::split_target(head.target).query, on.name);
    case Type::path: return codec::split_target(head.target).path;
    case Type::client_address: break;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string_view> find_cookie(const codec::Headers& headers, std::string_view name) {
  for (std::size_t i = headers.find("Cookie"); i < headers.size();
       i = headers.find("Cookie", i + 1)) {
    if (const auto found = find_cookie_in(headers[i].value, name)) return found;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> hash_key(const mesh::HashOn& on, const codec::RequestHead* head,
                                      const IpAddress& client) {
  if (on.type == mesh::HashOn::Type::client_address) return hash_value(client);
  if (head == nullptr) return std::nullopt;
  const auto text = key_text(on, *head);
  if (!text) return std::nullopt;
  return mesh::hash_text(*text);
}

mesh::PickRequest pick_request(const mesh::Policy& policy, const IpAddress& client,
                               const codec::RequestHead* head) {
  mesh::PickRequest made{.client = client};
  if (policy.hash_on) made.hash = hash_key(*policy.hash_on, head, client);
  if (policy.session && head != nullptr) {
    made.session = read_session(*policy.session, head->headers);
  }
  return made;
}

std::optional<std::uint64_t> read_session(const mesh::SessionPersistence& session,
                                          const codec::Headers& headers) {
  const auto text = session.type == mesh::SessionPersistence::Type::cookie
                        ? find_cookie(headers, session.name)
                        : headers.get(session.name);
  if (!text) return std::nullopt;
  std::uint64_t value = 0;
  const auto read = std::from_chars(text->data(), text->data() + text->size(), value, 16);
  if (read.ec != std::errc() || read.ptr != text->data() + text->size()) return std::nullopt;
  return value;
}

void write_session(const mesh::SessionPersistence& session, std::uint64_t value,
                   codec::Headers& headers) {
  const std::string text = fmt::format("{:016x}", value);
  if (session.type == mesh::SessionPersistence::Type::header) {
    headers.set(session.name, text);
    return;
  }
  std::string cookie = session.name + "=" + text + "; Path=/; HttpOnly; SameSite=Lax";
  if (session.cookie_age) cookie += fmt::format("; Max-Age={}", session.cookie_age->count());
  headers.append("Set-Cookie", cookie);
}

}  // namespace tulle::proxy
