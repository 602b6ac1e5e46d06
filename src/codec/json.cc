#include "codec/json.h"

#include "base/format.h"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_stack.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_set>

namespace tulle::codec {
namespace {

namespace json = boost::json;
using ErrorCode = boost::system::error_code;
using Text = json::string_view;

std::string_view view(Text text) { return {text.data(), text.size()}; }

// Knows at which path the parser stands and which keys the objects around it hold already.
class KeyTracker final {
 public:
  explicit KeyTracker(std::vector<std::string>& duplicates) : duplicates_(duplicates) {}

  void begin() { frames_.emplace_back(); }
  void end() { frames_.pop_back(); }
  // After each value that is not a key.
  void value_ended() {
    if (!frames_.empty()) ++frames_.back().index;
  }
  void key_part(Text part) { key_.append(view(part)); }
  void key_ended() {
    Frame& frame = frames_.back();
    const bool is_new = frame.keys.insert(key_).second;
    std::swap(frame.key, key_);
    frame.has_key = true;
    key_.clear();
    if (!is_new && duplicates_.size() < json_duplicates_max) report();
  }

 private:
  struct Frame {
    bool has_key = false;  // else an array, or an object before its first key
    std::size_t index = 0;
    std::string key = {};
    std::unordered_set<std::string> keys = {};
  };

  void report() {
    std::string path;
    for (const Frame& frame : frames_) {
      path = frame.has_key ? join_path(path, frame.key) : join_path(path, frame.index);
    }
    if (std::ranges::find(duplicates_, path) == duplicates_.end()) {
      duplicates_.push_back(std::move(path));
    }
  }

  std::vector<std::string>& duplicates_;
  std::vector<Frame> frames_;
  std::string key_;
};

// What Boost's own parser does, with an eye on keys and on numbers too large for a double.
struct Handler {
  static constexpr std::size_t max_object_size = json::object::max_size();
  static constexpr std::size_t max_array_size = json::array::max_size();
  static constexpr std::size_t max_key_size = json::string::max_size();
  static constexpr std::size_t max_string_size = json::string::max_size();

  json::value_stack stack = {};
  KeyTracker* keys = nullptr;
  std::string number_text = {};

  bool on_document_begin(ErrorCode&) { return true; }
  bool on_document_end(ErrorCode&) { return true; }
  bool on_object_begin(ErrorCode&) { return begin(); }
  bool on_array_begin(ErrorCode&) { return begin(); }
  bool on_object_end(std::size_t size, ErrorCode&) {
    stack.push_object(size);
    return end();
  }
  bool on_array_end(std::size_t size, ErrorCode&) {
    stack.push_array(size);
    return end();
  }
  bool on_key_part(Text part, std::size_t, ErrorCode&) {
    stack.push_chars(part);
    if (keys != nullptr) keys->key_part(part);
    return true;
  }
  bool on_key(Text last, std::size_t, ErrorCode&) {
    stack.push_key(last);
    if (keys != nullptr) {
      keys->key_part(last);
      keys->key_ended();
    }
    return true;
  }
  bool on_string_part(Text part, std::size_t, ErrorCode&) {
    stack.push_chars(part);
    return true;
  }
  bool on_string(Text last, std::size_t, ErrorCode&) {
    stack.push_string(last);
    return value_ended();
  }
  bool on_number_part(Text part, ErrorCode&) {
    number_text.append(view(part));
    return true;
  }
  bool on_int64(std::int64_t number, Text, ErrorCode&) {
    number_text.clear();
    stack.push_int64(number);
    return value_ended();
  }
  bool on_uint64(std::uint64_t number, Text, ErrorCode&) {
    number_text.clear();
    stack.push_uint64(number);
    return value_ended();
  }
  // This Boost's own number is off by a few bits at times: a value must survive being read and
  // written again and again. It serves only to tell overflow from underflow.
  bool on_double(double nearly, Text last, ErrorCode& error) {
    number_text.append(view(last));
    double number = nearly;
    const char* const end = number_text.data() + number_text.size();
    const auto [stop, problem] = std::from_chars(number_text.data(), end, number);
    number_text.clear();
    if (problem == std::errc::result_out_of_range) number = nearly;
    if (!std::isfinite(number)) {
      error = json::error::exponent_overflow;
      return false;
    }
    stack.push_double(number);
    return value_ended();
  }
  bool on_bool(bool truth, ErrorCode&) {
    stack.push_bool(truth);
    return value_ended();
  }
  bool on_null(ErrorCode&) {
    stack.push_null();
    return value_ended();
  }
  bool on_comment_part(Text, ErrorCode&) { return true; }
  bool on_comment(Text, ErrorCode&) { return true; }

 private:
  bool begin() {
    if (keys != nullptr) keys->begin();
    return true;
  }
  bool end() {
    if (keys != nullptr) keys->end();
    return value_ended();
  }
  bool value_ended() {
    if (keys != nullptr) keys->value_ended();
    return true;
  }
};

Error error_at(std::string_view text, std::size_t offset, std::string_view reason) {
  const std::string_view before = text.substr(0, offset);
  const auto line = 1 + std::ranges::count(before, '\n');
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  return failf(Code::malformed, "line {} column {}: {}", line, offset - line_start + 1, reason);
}

}  // namespace

Result<json::value> parse_json(std::string_view text, const JsonOptions& options) {
  json::parse_options rules;
  rules.max_depth = options.depth_max;
  json::basic_parser<Handler> parser(rules);
  parser.handler().stack.reset();
  std::vector<std::string> duplicates;
  KeyTracker keys(duplicates);
  if (options.duplicate_keys != nullptr) parser.handler().keys = &keys;

  ErrorCode error;
  const std::size_t consumed = parser.write_some(false, text.data(), text.size(), error);
  if (error) return error_at(text, consumed, error.message());
  const std::size_t extra = text.find_first_not_of(" \t\r\n", consumed);
  if (extra != std::string_view::npos) {
    return error_at(text, extra, "something stands behind the value");
  }
  if (options.duplicate_keys != nullptr) *options.duplicate_keys = std::move(duplicates);
  return parser.handler().stack.release();
}

std::string join_path(std::string_view path, std::string_view key) {
  std::string result;
  result.reserve(path.size() + 1 + key.size());
  result.append(path);
  if (!path.empty()) result += '.';
  result.append(key);
  return result;
}

std::string join_path(std::string_view path, std::size_t index) {
  return fmt::format("{}[{}]", path, index);
}

}  // namespace tulle::codec
