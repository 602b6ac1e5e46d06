// Header blocks of SPDY/3: a count, then names and values with their lengths, through zlib with a
// dictionary (§2.6.10).
#include "base/check.h"
#include "codec/spdy.h"

#include <zlib.h>

#include <algorithm>
#include <array>

namespace tulle::codec {

namespace {

constexpr std::size_t kLengthBytes = 4;

// The dictionary is these words, each behind its length, and then the text.
constexpr std::string_view kDictionaryWords[] = {"options",
                                                 "head",
                                                 "post",
                                                 "put",
                                                 "delete",
                                                 "trace",
                                                 "accept",
                                                 "accept-charset",
                                                 "accept-encoding",
                                                 "accept-language",
                                                 "accept-ranges",
                                                 "age",
                                                 "allow",
                                                 "authorization",
                                                 "cache-control",
                                                 "connection",
                                                 "content-base",
                                                 "content-encoding",
                                                 "content-language",
                                                 "content-length",
                                                 "content-location",
                                                 "content-md5",
                                                 "content-range",
                                                 "content-type",
                                                 "date",
                                                 "etag",
                                                 "expect",
                                                 "expires",
                                                 "from",
                                                 "host",
                                                 "if-match",
                                                 "if-modified-since",
                                                 "if-none-match",
                                                 "if-range",
                                                 "if-unmodified-since",
                                                 "last-modified",
                                                 "location",
                                                 "max-forwards",
                                                 "pragma",
                                                 "proxy-authenticate",
                                                 "proxy-authorization",
                                                 "range",
                                                 "referer",
                                                 "retry-after",
                                                 "server",
                                                 "te",
                                                 "trailer",
                                                 "transfer-encoding",
                                                 "upgrade",
                                                 "user-agent",
                                                 "vary",
                                                 "via",
                                                 "warning",
                                                 "www-authenticate",
                                                 "method",
                                                 "get",
                                                 "status",
                                                 "200 OK",
                                                 "version",
                                                 "HTTP/1.1",
                                                 "url",
                                                 "public",
                                                 "set-cookie",
                                                 "keep-alive",
                                                 "origin"};
constexpr std::string_view kDictionaryText =
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 "
    "Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,"
    "application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age="
    "gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

void append_length(std::string& out, std::size_t length) {
  for (std::size_t i = kLengthBytes; i-- > 0;) {
    out += static_cast<char>(length >> (8 * i) & 255);
  }
}

void append_string(std::string& out, std::string_view text) {
  append_length(out, text.size());
  out += text;
}

const std::string& dictionary() {
  static const std::string made = [] {
    std::string text;
    for (const std::string_view word : kDictionaryWords) append_string(text, word);
    return text.append(kDictionaryText);
  }();
  return made;
}

const Bytef* bytes_of(std::string_view text) { return reinterpret_cast<const Bytef*>(text.data()); }

// Takes numbers and strings off the front of a block; false when they are not there.
bool take_length(std::string_view& block, std::size_t& length) {
  if (block.size() < kLengthBytes) return false;
  length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length = length << 8 | static_cast<unsigned char>(block[i]);
  }
  block.remove_prefix(kLengthBytes);
  return true;
}

bool take_string(std::string_view& block, std::string_view& text) {
  std::size_t length = 0;
  if (!take_length(block, length) || length > block.size()) return false;
  text = block.substr(0, length);
  block.remove_prefix(length);
  return true;
}

Result<Headers> parse_block(std::string_view block) {
  const Error malformed = fail(Code::malformed, "the header block is malformed");
  Headers headers;
  std::size_t count = 0;
  if (!take_length(block, count)) return malformed;
  for (; count > 0; --count) {
    std::string_view name;
    std::string_view values;
    if (!take_string(block, name) || !is_token(name) || !take_string(block, values)) {
      return malformed;
    }
    for (std::size_t begin = 0; begin <= values.size();) {
      const std::size_t end = std::min(values.find('\0', begin), values.size());
      headers.append(name, values.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  if (!block.empty()) return malformed;
  return headers;
}

}  // namespace

SpdyInflater::SpdyInflater() : zlib_(std::make_unique<z_stream>()) {
  CHECK(::inflateInit(zlib_.get()) == Z_OK);
}

SpdyInflater::~SpdyInflater() { ::inflateEnd(zlib_.get()); }

Result<Headers> SpdyInflater::read(std::string_view block, std::size_t bytes_max) {
  std::string text;
  std::array<char, 4096> buffer;
  zlib_->next_in = const_cast<Bytef*>(bytes_of(block));
  zlib_->avail_in = static_cast<uInt>(block.size());
  for (;;) {
    zlib_->next_out = reinterpret_cast<Bytef*>(buffer.data());
    zlib_->avail_out = static_cast<uInt>(buffer.size());
    const int outcome = ::inflate(zlib_.get(), Z_SYNC_FLUSH);
    if (outcome == Z_NEED_DICT) {
      const std::string& known = dictionary();
      if (::inflateSetDictionary(zlib_.get(), bytes_of(known), static_cast<uInt>(known.size())) !=
          Z_OK) {
        return fail(Code::malformed, "the header block has another dictionary");
      }
      continue;
    }
    text.append(buffer.data(), buffer.size() - zlib_->avail_out);
    if (text.size() > bytes_max) return fail(Code::exhausted, "the header block is too long");
    // Z_BUF_ERROR: nothing was left to do.
    if (outcome == Z_BUF_ERROR || (outcome == Z_OK && zlib_->avail_out > 0)) break;
    if (outcome != Z_OK) return fail(Code::malformed, "the header block is no zlib stream");
  }
  return parse_block(text);
}

SpdyDeflater::SpdyDeflater() : zlib_(std::make_unique<z_stream>()) {
  CHECK(::deflateInit(zlib_.get(), Z_DEFAULT_COMPRESSION) == Z_OK);
  const std::string& known = dictionary();
  CHECK(::deflateSetDictionary(zlib_.get(), bytes_of(known), static_cast<uInt>(known.size())) ==
        Z_OK);
}

SpdyDeflater::~SpdyDeflater() { ::deflateEnd(zlib_.get()); }

std::string SpdyDeflater::write(const Headers& headers) {
  std::string block;
  append_length(block, headers.size());
  for (const Header header : headers) {
    append_string(block, header.name);
    append_string(block, header.value);
  }
  std::string out;
  std::array<char, 4096> buffer;
  zlib_->next_in = const_cast<Bytef*>(bytes_of(block));
  zlib_->avail_in = static_cast<uInt>(block.size());
  do {
    zlib_->next_out = reinterpret_cast<Bytef*>(buffer.data());
    zlib_->avail_out = static_cast<uInt>(buffer.size());
    CHECK(::deflate(zlib_.get(), Z_SYNC_FLUSH) != Z_STREAM_ERROR);
    out.append(buffer.data(), buffer.size() - zlib_->avail_out);
  } while (zlib_->avail_out == 0);
  return out;
}

}  // namespace tulle::codec
