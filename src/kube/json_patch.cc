// RFC 6902 (JSON Patch) over RFC 6901 (JSON Pointer).
#include "base/check.h"
#include "base/format.h"
#include "kube/object.h"
#include "kube/patch.h"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <optional>

namespace tulle::kube {

namespace {

using Pointer = std::vector<std::string>;

// Upstream says only the first half; the reason is worth having.
ApiStatus does_not_apply(std::string_view why) {
  return {.code = 422,
          .reason = Reason::invalid,
          .message = fmt::format(
              "the server rejected our request due to an error in our request: {}", why)};
}

// --- Pointers -----------------------------------------------------------------------------------

std::optional<Pointer> parse_pointer(std::string_view text) {
  Pointer pointer;
  if (text.empty()) return pointer;
  if (text.front() != '/') return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '/') {
      pointer.emplace_back();
    } else if (text[i] == '~') {
      if (++i == text.size() || (text[i] != '0' && text[i] != '1')) return std::nullopt;
      pointer.back() += text[i] == '0' ? '~' : '/';
    } else {
      pointer.back() += text[i];
    }
  }
  return pointer;
}

// An array index below `end`: digits without a leading zero.
std::optional<std::size_t> parse_index(std::string_view token, std::size_t end) {
  std::size_t index = 0;
  const auto [stop, error] = std::from_chars(token.data(), token.data() + token.size(), index);
  if (error != std::errc() || stop != token.data() + token.size()) return std::nullopt;
  if (index >= end || (token.size() > 1 && token.front() == '0')) return std::nullopt;
  return index;
}

json::value* child(json::value& parent, std::string_view token) {
  if (auto* object = parent.if_object()) return object->if_contains(token);
  if (auto* array = parent.if_array())
    if (const auto index = parse_index(token, array->size())) return &(*array)[*index];
  return nullptr;
}

// The value the first `count` tokens lead to, or nullptr.
json::value* walk(json::value& root, const Pointer& pointer, std::size_t count) {
  json::value* at = &root;
  for (std::size_t i = 0; i < count && at != nullptr; ++i) at = child(*at, pointer[i]);
  return at;
}

json::value* walk(json::value& root, const Pointer& pointer) {
  return walk(root, pointer, pointer.size());
}

// --- Limits -------------------------------------------------------------------------------------

struct Extent {
  std::size_t bytes = 0;
  std::size_t depth = 0;
};

Extent measure(const json::value& value) {
  constexpr std::size_t scalar_bytes = 8;
  Extent extent{.bytes = scalar_bytes, .depth = 1};
  const auto add = [&](const json::value& inner) {
    const Extent part = measure(inner);
    extent.bytes += part.bytes;
    extent.depth = std::max(extent.depth, part.depth + 1);
  };
  if (const auto* string = value.if_string()) extent.bytes += string->size();
  if (const auto* array = value.if_array())
    for (const json::value& element : *array) add(element);
  if (const auto* object = value.if_object()) {
    for (const auto& member : *object) {
      extent.bytes += member.key().size();
      add(member.value());
    }
  }
  return extent;
}

// --- Operations ---------------------------------------------------------------------------------

enum class Op : std::uint8_t { add, remove, replace, move, copy, test };

struct Operation {
  Op op = Op::test;
  std::string path_text;
  Pointer path;
  Pointer from;
  const json::value* value = nullptr;  // of add, replace and test; null stands for null
};

std::optional<Op> parse_op(std::string_view text) {
  struct Row {
    std::string_view text;
    Op op;
  };
  constexpr Row rows[] = {{"add", Op::add},   {"remove", Op::remove}, {"replace", Op::replace},
                          {"move", Op::move}, {"copy", Op::copy},     {"test", Op::test}};
  const auto* row = std::ranges::find(rows, text, &Row::text);
  return row == std::end(rows) ? std::nullopt : std::optional(row->op);
}

ApiResult<Operation> parse_operation(const json::value& value, std::size_t index) {
  const auto bad = [&](std::string_view why) {
    return bad_request(fmt::format("error decoding patch: operation {}: {}", index, why));
  };
  const json::object* object = value.if_object();
  if (object == nullptr) return bad("must be an object");
  Operation operation;
  const auto op = parse_op(string_at(*object, "op"));
  if (!op) return bad(fmt::format("unexpected kind: \"{}\"", string_at(*object, "op")));
  operation.op = *op;
  const json::value* path = object->if_contains("path");
  if (path == nullptr || !path->is_string()) return bad("path must be given and be a string");
  operation.path_text = string_or(*path);
  auto pointer = parse_pointer(operation.path_text);
  if (!pointer) return bad(fmt::format("path \"{}\" is not a JSON pointer", operation.path_text));
  operation.path = *std::move(pointer);
  if (operation.op == Op::move || operation.op == Op::copy) {
    const json::value* from = object->if_contains("from");
    if (from == nullptr || !from->is_string()) return bad("from must be given and be a string");
    auto source = parse_pointer(string_or(*from));
    if (!source) return bad(fmt::format("from \"{}\" is not a JSON pointer", string_or(*from)));
    operation.from = *std::move(source);
  }
  operation.value = object->if_contains("value");
  if (operation.value == nullptr && (operation.op == Op::add || operation.op == Op::replace))
    return bad("value must be given");
  return operation;
}

// Carries the operations out on a document of its own.
class Patcher final {
 public:
  explicit Patcher(json::value root) : root_(std::move(root)) {}

  ApiResult<void> apply(const Operation& operation) {
    switch (operation.op) {
      case Op::add: return add(operation, *operation.value, "add");
      case Op::remove: return remove(operation.path, operation.path_text, "remove");
      case Op::replace: return replace(operation);
      case Op::move: return move(operation);
      case Op::copy: return copy(operation);
      case Op::test: return test(operation);
    }
    CHECK(false);
  }

  json::value take() && { return std::move(root_); }

 private:
  static ApiStatus missing(std::string_view op, std::string_view path) {
    return does_not_apply(fmt::format(
        "{} operation does not apply: doc is missing path: \"{}\": missing value", op, path));
  }

  ApiResult<void> add(const Operation& operation, json::value value, std::string_view op) {
    const Pointer& path = operation.path;
    if (path.size() + measure(value).depth > json_patch_depth_max)
      return request_entity_too_large(fmt::format(
          "the allowed maximum depth of a patched document is {}", json_patch_depth_max));
    if (path.empty()) {
      root_ = std::move(value);
      return {};
    }
    json::value* parent = walk(root_, path, path.size() - 1);
    if (parent == nullptr) return missing(op, operation.path_text);
    const std::string& token = path.back();
    if (auto* object = parent->if_object()) {
      (*object)[token] = std::move(value);
      return {};
    }
    auto* array = parent->if_array();
    if (array == nullptr) return missing(op, operation.path_text);
    const auto index = token == "-" ? array->size() : parse_index(token, array->size() + 1);
    if (!index)
      return does_not_apply(
          fmt::format("error in {} for path: '{}': Unable to access invalid "
                      "index: {}: invalid index referenced",
                      op, operation.path_text, token));
    array->insert(array->begin() + static_cast<std::ptrdiff_t>(*index), std::move(value));
    return {};
  }

  ApiResult<void> remove(const Pointer& path, std::string_view text, std::string_view op) {
    if (path.empty()) return does_not_apply("the whole document cannot be removed");
    json::value* parent = walk(root_, path, path.size() - 1);
    if (parent == nullptr) return missing(op, text);
    if (child(*parent, path.back()) == nullptr)
      return does_not_apply(
          fmt::format("error in {} for path: '{}': Unable to remove nonexistent key: {}: missing "
                      "value",
                      op, text, path.back()));
    if (auto* object = parent->if_object()) {
      object->erase(path.back());
    } else {
      auto& array = parent->get_array();
      const auto index = parse_index(path.back(), array.size());
      array.erase(array.begin() + static_cast<std::ptrdiff_t>(*index));
    }
    return {};
  }

  ApiResult<void> replace(const Operation& operation) {
    json::value* target = walk(root_, operation.path);
    if (target == nullptr)
      return does_not_apply(
          fmt::format("replace operation does not apply: doc is missing key: {}: missing value",
                      operation.path_text));
    if (operation.path.size() + measure(*operation.value).depth > json_patch_depth_max)
      return request_entity_too_large(fmt::format(
          "the allowed maximum depth of a patched document is {}", json_patch_depth_max));
    *target = *operation.value;
    return {};
  }

  ApiResult<void> move(const Operation& operation) {
    const Pointer& from = operation.from;
    const Pointer& to = operation.path;
    if (from == to) return walk(root_, from) == nullptr ? missing_from("move") : ApiResult<void>();
    if (from.size() < to.size() && std::equal(from.begin(), from.end(), to.begin()))
      return does_not_apply("move operation does not apply: a value cannot move into itself");
    json::value* source = walk(root_, from);
    if (source == nullptr) return missing_from("move");
    json::value value = std::move(*source);
    TRY_VOID(remove(from, operation.path_text, "move"));
    return add(operation, std::move(value), "move");
  }

  ApiResult<void> copy(const Operation& operation) {
    const json::value* source = walk(root_, operation.from);
    if (source == nullptr) return missing_from("copy");
    copied_bytes_ += measure(*source).bytes;
    if (copied_bytes_ > json_patch_copied_bytes_max)
      return request_entity_too_large(
          fmt::format("Unable to complete the copy, the accumulated size increase of copy is {}, "
                      "exceeding the limit {}",
                      copied_bytes_, json_patch_copied_bytes_max));
    return add(operation, *source, "copy");
  }

  ApiResult<void> test(const Operation& operation) {
    const json::value* target = walk(root_, operation.path);
    static const json::value null;
    const json::value& wanted = operation.value == nullptr ? null : *operation.value;
    if (target == nullptr ? wanted.is_null() : *target == wanted) return {};
    return does_not_apply(fmt::format("testing value {} failed: test failed", operation.path_text));
  }

  static ApiStatus missing_from(std::string_view op) {
    return does_not_apply(
        fmt::format("{} operation does not apply: doc is missing from path: missing value", op));
  }

  json::value root_;
  std::size_t copied_bytes_ = 0;
};

}  // namespace

ApiResult<json::object> apply_json_patch(const json::object& live, const json::value& patch) {
  const json::array* operations = patch.if_array();
  if (operations == nullptr)
    return bad_request("error decoding patch: a JSON patch must be an array of operations");
  if (operations->size() > json_patch_operations_max)
    return request_entity_too_large(
        fmt::format("The allowed maximum operations in a JSON patch is {}, got {}",
                    json_patch_operations_max, operations->size()));
  Patcher patcher(live);
  for (std::size_t i = 0; i < operations->size(); ++i) {
    TRY(const Operation operation, parse_operation((*operations)[i], i));
    TRY_VOID(patcher.apply(operation));
  }
  json::value result = std::move(patcher).take();
  if (!result.is_object()) return does_not_apply("the patched document is not an object");
  return std::move(result.get_object());
}

}  // namespace tulle::kube
