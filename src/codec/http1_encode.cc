// Heads and chunks out, and the names of what can be wrong.
#include "base/check.h"
#include "codec/http1.h"
#include "codec/http1_scan.h"

#include <array>
#include <charconv>
#include <cstring>

namespace tulle::codec {
namespace {

constexpr std::string_view line_end = "\r\n";

// Writes into space that was reckoned before: no check per piece.
class Writer final {
 public:
  explicit Writer(char* at) : at_(at) {}
  Writer& operator<<(std::string_view piece) {
    std::memcpy(at_, piece.data(), piece.size());
    at_ += piece.size();
    return *this;
  }

 private:
  char* at_;
};

std::size_t fields_size(const Headers& headers) {
  return headers.byte_size() + 4 * headers.size() + line_end.size();
}

void write_fields(Writer& writer, const Headers& headers) {
  for (const auto [name, value] : headers) writer << name << ": " << value << line_end;
  writer << line_end;
}

// Makes room for `size` more bytes and lets `write` fill them.
template <class Write>
void extend(std::string& out, std::size_t size, Write write) {
  const std::size_t before = out.size();
  // The size that the library hands to the function may be the whole capacity.
  out.resize_and_overwrite(before + size, [&](char* data, std::size_t) {
    Writer writer(data + before);
    write(writer);
    return before + size;
  });
}

std::string_view version_text(int minor_version) {
  return minor_version >= 1 ? "HTTP/1.1" : "HTTP/1.0";
}

std::string encode_target(std::string_view target) {
  static constexpr std::string_view digits = "0123456789ABCDEF";
  std::string result;
  for (const char byte : target) {
    const auto value = static_cast<unsigned char>(byte);
    if (!ends_target(byte)) {
      result += byte;
    } else {
      result += '%';
      result += digits[value >> 4];
      result += digits[value & 15];
    }
  }
  return result.empty() ? "/" : result;
}

std::string without_controls(std::string_view reason) {
  std::string result(reason);
  for (char& byte : result) {
    if (ends_value(byte)) byte = ' ';
  }
  return result;
}

}  // namespace

void append_request_head(std::string& out, const RequestHead& head) {
  CHECK(is_token(head.method));
  std::string encoded;
  std::string_view target = head.target;
  if (target.empty() || find_target_end(target, 0) != target.size()) {
    target = encoded = encode_target(target);
  }
  const std::string_view version = version_text(head.minor_version);
  const std::size_t line = head.method.size() + target.size() + version.size() + 4;
  extend(out, line + fields_size(head.headers), [&](Writer& writer) {
    writer << head.method << " " << target << " " << version << line_end;
    write_fields(writer, head.headers);
  });
}

void append_response_head(std::string& out, const ResponseHead& head) {
  CHECK(head.status >= 100 && head.status <= 999);
  std::string cleaned;
  std::string_view reason = head.reason;
  if (reason.empty()) reason = reason_phrase(head.status);
  if (!is_field_value(reason)) reason = cleaned = without_controls(reason);
  const std::array<char, 3> status = {static_cast<char>('0' + head.status / 100),
                                      static_cast<char>('0' + head.status / 10 % 10),
                                      static_cast<char>('0' + head.status % 10)};
  const std::string_view version = version_text(head.minor_version);
  const std::size_t line = version.size() + 3 + reason.size() + 4;
  extend(out, line + fields_size(head.headers), [&](Writer& writer) {
    writer << version << " " << std::string_view(status.data(), status.size()) << " " << reason
           << line_end;
    write_fields(writer, head.headers);
  });
}

void append_chunk_header(std::string& out, std::uint64_t size) {
  CHECK(size > 0);
  std::array<char, 16> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), size, 16);
  CHECK(error == std::errc{});
  out.append(digits.data(), end).append(line_end);
}

void append_chunk_end(std::string& out) { out.append(line_end); }

void append_last_chunk(std::string& out) { out.append("0\r\n\r\n"); }

void append_last_chunk(std::string& out, const Headers& trailers) {
  out.append("0\r\n");
  extend(out, fields_size(trailers), [&](Writer& writer) { write_fields(writer, trailers); });
}

int suggested_status(Http1Reason reason) {
  switch (reason) {
    case Http1Reason::target_too_long: return 414;
    case Http1Reason::head_too_large:
    case Http1Reason::too_many_fields:
    case Http1Reason::trailers_too_large: return 431;
    case Http1Reason::method_too_long:
    case Http1Reason::unsupported_transfer_coding: return 501;
    case Http1Reason::unsupported_version: return 505;
    default: return 400;
  }
}

std::string_view name(Http1Reason reason) {
  switch (reason) {
    case Http1Reason::ok: return "ok";
    case Http1Reason::bad_method: return "bad_method";
    case Http1Reason::method_too_long: return "method_too_long";
    case Http1Reason::bad_target_character: return "bad_target_character";
    case Http1Reason::bad_target_form: return "bad_target_form";
    case Http1Reason::target_too_long: return "target_too_long";
    case Http1Reason::bad_version: return "bad_version";
    case Http1Reason::unsupported_version: return "unsupported_version";
    case Http1Reason::bad_status: return "bad_status";
    case Http1Reason::bad_reason_character: return "bad_reason_character";
    case Http1Reason::head_too_large: return "head_too_large";
    case Http1Reason::too_many_fields: return "too_many_fields";
    case Http1Reason::empty_field_name: return "empty_field_name";
    case Http1Reason::bad_name_character: return "bad_name_character";
    case Http1Reason::space_before_colon: return "space_before_colon";
    case Http1Reason::obs_fold: return "obs_fold";
    case Http1Reason::bad_value_character: return "bad_value_character";
    case Http1Reason::bare_cr: return "bare_cr";
    case Http1Reason::bare_lf: return "bare_lf";
    case Http1Reason::missing_host: return "missing_host";
    case Http1Reason::duplicate_host: return "duplicate_host";
    case Http1Reason::bad_host: return "bad_host";
    case Http1Reason::bad_content_length: return "bad_content_length";
    case Http1Reason::duplicate_content_length: return "duplicate_content_length";
    case Http1Reason::conflicting_content_length: return "conflicting_content_length";
    case Http1Reason::length_with_chunked: return "length_with_chunked";
    case Http1Reason::duplicate_transfer_encoding: return "duplicate_transfer_encoding";
    case Http1Reason::unsupported_transfer_coding: return "unsupported_transfer_coding";
    case Http1Reason::transfer_encoding_in_http_1_0: return "transfer_encoding_in_http_1_0";
    case Http1Reason::bad_chunk_size: return "bad_chunk_size";
    case Http1Reason::bad_chunk_extension: return "bad_chunk_extension";
    case Http1Reason::chunk_extension_too_large: return "chunk_extension_too_large";
    case Http1Reason::bad_chunk_end: return "bad_chunk_end";
    case Http1Reason::trailers_too_large: return "trailers_too_large";
    case Http1Reason::forbidden_trailer: return "forbidden_trailer";
  }
  return "unknown";
}

}  // namespace tulle::codec
