// HTTP messages without their wire format: headers, the two heads, and how a body is framed.
// RFC 9110 §5 (fields), §7.6.1 (hop-by-hop fields), RFC 9112 §6 (framing), §9 (connections).
//
// All types are values. A head is meant to be kept and used again: clear() keeps its memory.
// Views handed out by Headers are valid until the next change of that Headers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::codec {

// ASCII without regard to case, as field names and most field values compare.
bool equals_ignoring_case(std::string_view a, std::string_view b);

// RFC 9110 §5.6.2. Names and methods that come from outside must be checked with it before they
// are given to Headers or to an encoder.
bool is_token(std::string_view text);

// RFC 9110 §5.5: no control characters but tab.
bool is_field_value(std::string_view text);

struct Header {
  std::string_view name = {};
  std::string_view value = {};
};

// An ordered multi-map. Every name and value lies in one buffer with an index over it, so that a
// message costs no allocation per field, and none at all when a Headers is used again. A filter of
// the names tells most that are not there without a look at the fields.
// Names keep their spelling and compare without regard to case. Removed fields give their bytes
// back only at clear().
class Headers final {
 public:
  // Where one field lies in the block given to assign().
  struct Field {
    std::uint32_t name_offset = 0;
    std::uint32_t name_length = 0;
    std::uint32_t value_offset = 0;
    std::uint32_t value_length = 0;
  };

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Header;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = Header;

    Iterator() = default;
    Iterator(const Headers* headers, std::size_t index) : headers_(headers), index_(index) {}
    Header operator*() const { return (*headers_)[index_]; }
    Iterator& operator++() {
      ++index_;
      return *this;
    }
    Iterator operator++(int) { return {headers_, index_++}; }
    bool operator==(const Iterator& other) const { return index_ == other.index_; }

   private:
    const Headers* headers_ = nullptr;
    std::size_t index_ = 0;
  };

  Headers() = default;
  Headers(std::initializer_list<Header> fields);

  std::size_t size() const { return fields_.size(); }
  bool empty() const { return fields_.empty(); }
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, fields_.size()}; }
  // REQUIRES: index < size().
  Header operator[](std::size_t index) const {
    const Field& field = fields_[index];
    return {{bytes_.data() + field.name_offset, field.name_length},
            {bytes_.data() + field.value_offset, field.value_length}};
  }

  // The first field of that name.
  std::optional<std::string_view> get(std::string_view name) const {
    const std::size_t index = find(name);
    if (index == size()) return std::nullopt;
    return (*this)[index].value;
  }
  bool contains(std::string_view name) const { return find(name) < size(); }
  std::size_t count(std::string_view name) const;
  // Index of the first field of that name at or after `from`, or size().
  std::size_t find(std::string_view name, std::size_t from = 0) const {
    return may_hold(name) ? search(name, from) : size();
  }

  // Whether a comma-separated list, over all fields of that name, holds the token (any case).
  bool contains_token(std::string_view name, std::string_view token) const {
    return may_hold(name) && search_token(name, token);
  }

  // Both take any bytes as value: control characters (CR and LF above all) become spaces, and
  // spaces at both ends go, so that no value can break a message apart (RFC 9110 §5.5).
  // REQUIRES: is_token(name).
  void append(std::string_view name, std::string_view value);
  // Puts the value where the first field of that name stands and removes the others; else appends.
  void set(std::string_view name, std::string_view value);
  // Removes every field of that name; how many there were.
  std::size_t remove(std::string_view name) { return may_hold(name) ? erase(name) : 0; }
  // REQUIRES: index < size().
  void remove_at(std::size_t index);

  // The part of codec::remove_hop_by_hop() that needs no look at Connection.
  void remove_hop_by_hop_names();

  void clear();
  // Bytes of all names and values, for limits and metrics.
  std::size_t byte_size() const;

  // For parsers: takes over a copy of `block` and fields that lie in it. REQUIRES: the fields are
  // within the block, names are tokens and values valid.
  void assign(std::string_view block, std::span<const Field> fields);

  // Same fields in the same order; names compare without regard to case, values exactly.
  bool operator==(const Headers& other) const;

 private:
  // One of 64 bits for every name. The factors part what proxies look for from what is common.
  static constexpr std::uint64_t filter_bit(std::string_view name) {
    if (name.empty()) return 0;
    const auto first = static_cast<unsigned char>(name.front()) | 0x20U;
    const auto last = static_cast<unsigned char>(name.back()) | 0x20U;
    return std::uint64_t{1} << ((4 * name.size() + 4 * first + 11 * last) % 64);
  }
  bool may_hold(std::string_view name) const { return (filter_ & filter_bit(name)) != 0; }
  std::size_t search(std::string_view name, std::size_t from) const;
  bool search_token(std::string_view name, std::string_view token) const;
  std::size_t erase(std::string_view name);

  std::string bytes_;
  std::vector<Field> fields_;
  std::uint64_t filter_ = 0;  // filter_bit() of each name, and maybe of some that were removed
};

struct RequestHead {
  std::string method = {};
  std::string target = {};
  int minor_version = 1;  // of HTTP/1.x
  Headers headers = {};

  void clear();
  bool operator==(const RequestHead&) const = default;
};

struct ResponseHead {
  int status = 200;
  std::string reason =
      {};  // may be empty; append_response_head() then writes the registered phrase
  int minor_version = 1;
  Headers headers = {};

  void clear();
  bool operator==(const ResponseHead&) const = default;
};

// The phrase of RFC 9110 §15 for a status, or "" for one we do not know.
std::string_view reason_phrase(int status);

struct BodyFraming {
  enum class Kind : std::uint8_t {
    none,         // the message ends with its head
    length,       // `length` bytes follow, maybe 0
    chunked,      //
    until_close,  // responses only
    tunnel,       // the connection is no longer HTTP: 101, or 2xx to CONNECT
  };
  Kind kind = Kind::none;
  std::uint64_t length = 0;  // of Kind::length, else 0

  bool operator==(const BodyFraming&) const = default;
};

// How the body of a parsed message is framed, RFC 9112 §6.3. The parsers of http1.h have refused
// contradictory heads already. For a head built by hand: Transfer-Encoding wins over
// Content-Length, and a Content-Length that is no number counts as none.
// A CONNECT request has framing `none`: it turns into a tunnel by its response only.
BodyFraming body_framing(const RequestHead& request);
BodyFraming body_framing(const ResponseHead& response, std::string_view request_method);

// Whether the sender of this head lets the connection be used for another message, RFC 9112 §9.3.
// For a response the caller also looks at the framing: until_close and tunnel end the connection.
bool keep_alive(const RequestHead& request);
bool keep_alive(const ResponseHead& response);

// Expect: 100-continue (RFC 9110 §10.1.1), which HTTP/1.0 does not have.
bool expects_continue(const RequestHead& request);

// Whether the request asks for another protocol: Connection: upgrade and an Upgrade field.
bool is_upgrade(const RequestHead& request);

// Decimal digits only, no sign, no overflow.
std::optional<std::uint64_t> parse_content_length(std::string_view value);

// What a proxy must not hand on (RFC 9110 §7.6.1): the fields that Connection lists, Connection
// itself, Proxy-Connection, Keep-Alive, TE, Transfer-Encoding, Upgrade. Host, Content-Length and
// the like stay even if Connection lists them: a sender must not unmake routing or framing so.
void remove_hop_by_hop(Headers& headers);

}  // namespace tulle::codec
