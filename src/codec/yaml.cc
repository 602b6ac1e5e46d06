#include "codec/yaml.h"

#include "base/format.h"
#include "codec/json.h"
#include "codec/yaml_scalar.h"

#include <yaml.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>
#include <unordered_set>

namespace tulle::codec {
namespace {

namespace json = boost::json;

// Fields whose path is longer have no line of their own, so that what is kept per field is bounded.
constexpr std::size_t path_bytes_max = 1024;

Error error_at(const yaml_mark_t& mark, std::string_view reason, Code code = Code::malformed) {
  return failf(code, "line {} column {}: {}", mark.line + 1, mark.column + 1, reason);
}

std::string_view text_of(const yaml_char_t* text) {
  return text == nullptr ? std::string_view() : reinterpret_cast<const char*>(text);
}

// Owns one event of libyaml.
class Event final {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { yaml_event_delete(&event_); }

  yaml_event_t* fresh() {
    yaml_event_delete(&event_);
    event_ = {};
    return &event_;
  }
  const yaml_event_t& operator*() const { return event_; }
  const yaml_event_t* operator->() const { return &event_; }

 private:
  yaml_event_t event_{};
};

// Composes documents from events, one event ahead.
class Reader final {
 public:
  Reader(std::string_view text, const YamlLimits& limits) : limits_(limits) {
    yaml_parser_initialize(&parser_);
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { yaml_parser_delete(&parser_); }

  Result<std::vector<YamlDocument>> read() {
    std::vector<YamlDocument> documents;
    TRY_VOID(next());  // the stream's beginning
    TRY_VOID(next());
    while (event_->type == YAML_DOCUMENT_START_EVENT) {
      YamlDocument document;
      TRY_VOID(read_document(document));
      if (document.value.is_null()) continue;
      if (documents.size() == limits_.documents_max) {
        return error_at(event_->start_mark, "too many documents", Code::exhausted);
      }
      documents.push_back(std::move(document));
    }
    return documents;
  }

 private:
  struct Anchor {
    json::value value;
    std::size_t values = 0;  // that it is made of
  };

  Result<void> next() {
    if (yaml_parser_parse(&parser_, event_.fresh()) == 1) return {};
    return parser_error();
  }

  Error parser_error() const {
    const std::string_view problem = parser_.problem == nullptr ? "out of memory" : parser_.problem;
    if (parser_.error == YAML_READER_ERROR) {
      return failf(Code::malformed, "offset {}: {}", parser_.problem_offset, problem);
    }
    if (parser_.context == nullptr) return error_at(parser_.problem_mark, problem);
    return error_at(parser_.problem_mark,
                    fmt::format("{}, {} that begins on line {}", problem, parser_.context,
                                parser_.context_mark.line + 1));
  }

  Result<void> read_document(YamlDocument& document) {
    document_ = &document;
    anchors_.clear();
    path_.clear();
    TRY_VOID(next());
    document.line = event_->start_mark.line + 1;
    TRY(document.value, read_node(0));
    return next();  // past the document's end
  }

  // Counts values as they are made, copies included.
  Result<void> spend(std::size_t values) {
    values_ += values;
    if (values_ <= limits_.values_max) return {};
    return error_at(event_->start_mark, "too many values; aliases count as often as they are used",
                    Code::exhausted);
  }

  // The node whose first event is at hand; leaves the first event behind it at hand.
  Result<json::value> read_node(std::size_t depth) {
    const std::size_t values_before = values_;
    if (event_->type == YAML_ALIAS_EVENT) return read_alias(depth);
    TRY_VOID(spend(1));
    if (depth >= limits_.depth_max && event_->type != YAML_SCALAR_EVENT) {
      return error_at(event_->start_mark, "nested too deeply", Code::exhausted);
    }
    json::value value;
    std::string anchor;
    switch (event_->type) {
      case YAML_SCALAR_EVENT: {
        anchor = text_of(event_->data.scalar.anchor);
        TRY(value, read_scalar());
        break;
      }
      case YAML_SEQUENCE_START_EVENT: {
        anchor = text_of(event_->data.sequence_start.anchor);
        TRY_VOID(check_tag(event_->data.sequence_start.tag, YAML_SEQ_TAG));
        TRY(value, read_sequence(depth));
        break;
      }
      case YAML_MAPPING_START_EVENT: {
        anchor = text_of(event_->data.mapping_start.anchor);
        TRY_VOID(check_tag(event_->data.mapping_start.tag, YAML_MAP_TAG));
        TRY(value, read_mapping(depth));
        break;
      }
      default: return error_at(event_->start_mark, "a value is missing");
    }
    if (!anchor.empty()) {
      const std::size_t values = values_ - values_before;
      TRY_VOID(spend(values));  // the copy kept for aliases
      anchors_.insert_or_assign(anchor, Anchor{value, values});
    }
    TRY_VOID(next());
    return value;
  }

  Result<json::value> read_alias(std::size_t depth) {
    const std::string name(text_of(event_->data.alias.anchor));
    const auto found = anchors_.find(name);
    if (found == anchors_.end()) {
      return error_at(event_->start_mark, fmt::format("nothing was named &{} before", name));
    }
    // The copy may stand deeper than where it was written.
    if (depth + depth_of(found->second.value) > limits_.depth_max) {
      return error_at(event_->start_mark, "nested too deeply", Code::exhausted);
    }
    TRY_VOID(spend(found->second.values));
    json::value value = found->second.value;
    TRY_VOID(next());
    return value;
  }

  static std::size_t depth_of(const json::value& value) {
    std::size_t deepest = 0;
    if (const auto* items = value.if_array()) {
      for (const auto& item : *items) deepest = std::max(deepest, depth_of(item));
      return deepest + 1;
    }
    if (const auto* members = value.if_object()) {
      for (const auto& [key, item] : *members) deepest = std::max(deepest, depth_of(item));
      return deepest + 1;
    }
    return 0;
  }

  Result<void> check_tag(const yaml_char_t* tag, std::string_view expected) {
    const std::string_view text = text_of(tag);
    if (text.empty() || text == "!" || text == expected) return {};
    return error_at(event_->start_mark, fmt::format("the tag {} is not supported here", text));
  }

  Result<json::value> read_scalar() {
    const auto& scalar = event_->data.scalar;
    const std::string_view text(reinterpret_cast<const char*>(scalar.value), scalar.length);
    auto value = resolve_yaml_scalar({.text = text,
                                      .tag = text_of(scalar.tag),
                                      .plain = scalar.style == YAML_PLAIN_SCALAR_STYLE});
    if (!value) return error_at(event_->start_mark, value.error().message);
    return std::move(*value);
  }

  Result<json::value> read_sequence(std::size_t depth) {
    json::array items;
    TRY_VOID(next());
    const std::size_t parent = path_.size();
    while (event_->type != YAML_SEQUENCE_END_EVENT) {
      path_ = join_path(path_, items.size());
      note_line();
      TRY(json::value item, read_node(depth + 1));
      items.push_back(std::move(item));
      path_.resize(parent);
    }
    return items;
  }

  Result<json::value> read_mapping(std::size_t depth) {
    json::object members;
    std::vector<json::value> merged;
    TRY_VOID(next());
    const std::size_t parent = path_.size();
    while (event_->type != YAML_MAPPING_END_EVENT) {
      const yaml_mark_t mark = event_->start_mark;
      const bool merge = is_merge_key();
      TRY(const std::string key, read_key());
      TRY_VOID(next());
      path_ = join_path(path_, key);
      if (!merge) note_key(members.contains(key), mark);
      TRY(json::value value, read_node(depth + 1));
      path_.resize(parent);
      if (merge) {
        TRY_VOID(add_merge(merged, std::move(value), mark));
      } else {
        members.insert_or_assign(key, std::move(value));
      }
    }
    // The mapping's own keys win over merged ones, and earlier merged ones over later.
    for (json::value& each : merged) {
      for (auto& [key, value] : *each.if_object()) members.emplace(key, std::move(value));
    }
    return members;
  }

  bool is_merge_key() const {
    return event_->type == YAML_SCALAR_EVENT && event_->data.scalar.tag == nullptr &&
           event_->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           text_of(event_->data.scalar.value) == "<<";
  }

  static Result<void> add_merge(std::vector<json::value>& merged, json::value value,
                                const yaml_mark_t& mark) {
    if (value.is_object()) {
      merged.push_back(std::move(value));
      return {};
    }
    auto* const items = value.if_array();
    if (items == nullptr || !std::ranges::all_of(*items, &json::value::is_object)) {
      return error_at(mark, "<< takes a mapping or a list of mappings");
    }
    for (json::value& item : *items) merged.push_back(std::move(item));
    return {};
  }

  // Keys of JSON are strings: other scalars are spelled out.
  Result<std::string> read_key() {
    json::value value;
    if (event_->type == YAML_ALIAS_EVENT) {
      const auto found = anchors_.find(std::string(text_of(event_->data.alias.anchor)));
      if (found == anchors_.end()) return error_at(event_->start_mark, "a key of unknown name");
      value = found->second.value;
    } else if (event_->type == YAML_SCALAR_EVENT) {
      TRY(value, read_scalar());
      const std::string anchor(text_of(event_->data.scalar.anchor));
      if (!anchor.empty()) anchors_.insert_or_assign(anchor, Anchor{value, 1});
    }
    TRY_VOID(spend(1));
    if (const auto* text = value.if_string()) return std::string(text->data(), text->size());
    if (value.is_bool() || value.is_number()) return to_json(value);
    return error_at(event_->start_mark, "a key is a string, number or boolean");
  }

  void note_line() {
    if (path_.size() <= path_bytes_max) {
      document_->lines.insert_or_assign(path_, event_->start_mark.line + 1);
    }
  }

  void note_key(bool duplicate, const yaml_mark_t& mark) {
    if (path_.size() > path_bytes_max) return;
    document_->lines.insert_or_assign(path_, mark.line + 1);
    auto& told = document_->duplicate_keys;
    if (!duplicate || told.size() == json_duplicates_max) return;
    if (std::ranges::find(told, path_) == told.end()) told.push_back(path_);
  }

  const YamlLimits limits_;
  yaml_parser_t parser_{};
  Event event_;
  YamlDocument* document_ = nullptr;
  std::unordered_map<std::string, Anchor> anchors_;
  std::string path_;
  std::size_t values_ = 0;
};

// "labels[app.kubernetes.io/name]", as upstream spells a key in a message, to "labels.app...".
std::string with_dots(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const std::size_t open = std::min(path.find('['), path.size());
    const std::size_t close = path.find(']', open);
    out += path.substr(0, open);
    if (close == std::string_view::npos) return out.append(path.substr(open));
    const std::string_view inner = path.substr(open + 1, close - open - 1);
    const bool index = std::ranges::all_of(inner, [](char c) { return c >= '0' && c <= '9'; });
    if (index)
      out.append("[").append(inner).append("]");
    else
      out.append(".").append(inner);
    path.remove_prefix(close + 1);
  }
  return out;
}

}  // namespace

std::size_t YamlDocument::line_of(std::string_view path) const {
  std::string wanted = with_dots(path);
  while (!wanted.empty()) {
    if (const auto found = lines.find(wanted); found != lines.end()) return found->second;
    const std::size_t parent = wanted.find_last_of(".[");
    wanted.resize(parent == std::string::npos ? 0 : parent);
  }
  return line;
}

Result<std::vector<YamlDocument>> parse_yaml(std::string_view text, const YamlLimits& limits) {
  return Reader(text, limits).read();
}

}  // namespace tulle::codec
