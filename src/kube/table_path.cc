#include "kube/table_path.h"

#include "kube/object.h"

#include <boost/json.hpp>

#include <charconv>
#include <optional>
#include <string>

namespace tulle::kube {

namespace {

using Values = std::vector<const json::value*>;

void keep_member(Values& values, std::string_view key) {
  Values next;
  for (const json::value* value : values) {
    const json::object* object = value->if_object();
    const json::value* member = object == nullptr ? nullptr : object->if_contains(key);
    if (member != nullptr) next.push_back(member);
  }
  values = std::move(next);
}

void keep_all(Values& values) {
  Values next;
  for (const json::value* value : values) {
    if (const auto* array = value->if_array())
      for (const json::value& element : *array) next.push_back(&element);
    if (const auto* object = value->if_object())
      for (const auto& member : *object) next.push_back(&member.value());
  }
  values = std::move(next);
}

void keep_index(Values& values, std::int64_t index) {
  Values next;
  for (const json::value* value : values) {
    const json::array* array = value->if_array();
    if (array == nullptr) continue;
    const auto size = static_cast<std::int64_t>(array->size());
    const std::int64_t at = index < 0 ? index + size : index;
    if (at >= 0 && at < size) next.push_back(&(*array)[static_cast<std::size_t>(at)]);
  }
  values = std::move(next);
}

// Keeps the list elements whose `field` (a dotted path) reads as `wanted`.
void keep_where(Values& values, std::string_view field, std::string_view wanted) {
  Values next;
  for (const json::value* value : values) {
    const json::array* array = value->if_array();
    if (array == nullptr) continue;
    for (const json::value& element : *array) {
      const json::value* found = find(object_or_empty(element), field);
      if (found != nullptr && scalar_text(*found) == wanted) next.push_back(&element);
    }
  }
  values = std::move(next);
}

std::string_view unquoted(std::string_view text) {
  const bool is_quoted = text.size() >= 2 && (text.front() == '\'' || text.front() == '"') &&
                         text.front() == text.back();
  return is_quoted ? text.substr(1, text.size() - 2) : text;
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// What is between the brackets.
bool apply_subscript(Values& values, std::string_view inner) {
  if (inner == "*") {
    keep_all(values);
    return true;
  }
  if (inner.starts_with("?(@.") && inner.ends_with(')')) {
    const std::string_view condition = inner.substr(4, inner.size() - 5);
    const auto equals = condition.find("==");
    if (equals == condition.npos) return false;
    keep_where(values, trimmed(condition.substr(0, equals)),
               unquoted(trimmed(condition.substr(equals + 2))));
    return true;
  }
  if (const std::string_view key = unquoted(inner); key.size() != inner.size()) {
    keep_member(values, key);
    return true;
  }
  std::int64_t index = 0;
  const auto [end, error] = std::from_chars(inner.data(), inner.data() + inner.size(), index);
  if (error != std::errc() || end != inner.data() + inner.size()) return false;
  keep_index(values, index);
  return true;
}

// Where the bracket that `text` starts with closes; quotes hide brackets.
std::optional<std::size_t> closing_bracket(std::string_view text) {
  char quote = '\0';
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (quote != '\0') {
      if (text[i] == quote) quote = '\0';
    } else if (text[i] == '\'' || text[i] == '"') {
      quote = text[i];
    } else if (text[i] == ']') {
      return i;
    }
  }
  return std::nullopt;
}

// Cuts ".field" off the path; a backslash takes the next character as it is.
std::string take_field(std::string_view& path) {
  std::string field;
  std::size_t i = 1;
  for (; i < path.size() && path[i] != '.' && path[i] != '['; ++i) {
    if (path[i] == '\\' && i + 1 < path.size()) ++i;
    field += path[i];
  }
  path.remove_prefix(i);
  return field;
}

}  // namespace

std::vector<const json::value*> evaluate_path(const json::object& object, std::string_view path) {
  if (path.starts_with('{') && path.ends_with('}')) path = path.substr(1, path.size() - 2);
  if (path.starts_with('$')) path.remove_prefix(1);
  if (!path.starts_with('.')) return {};
  // The root is an object, not a value: its first member is looked up apart.
  const json::value* first = object.if_contains(take_field(path));
  if (first == nullptr) return {};
  Values values{first};
  while (!path.empty()) {
    if (path.front() == '.') {
      const std::string field = take_field(path);
      if (field == "*")
        keep_all(values);
      else if (!field.empty())
        keep_member(values, field);
      continue;
    }
    const auto end = path.front() == '[' ? closing_bracket(path) : std::nullopt;
    if (!end || !apply_subscript(values, path.substr(1, *end - 1))) return {};
    path.remove_prefix(*end + 1);
  }
  return values;
}

}  // namespace tulle::kube
