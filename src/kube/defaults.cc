#include "kube/defaults.h"

#include "codec/base64.h"
#include "kube/object.h"
#include "kube/rules.h"

#include <boost/json.hpp>

#include <span>

namespace tulle::kube {
namespace {

bool is_absent(const json::object& holder, std::string_view name) {
  const json::value* value = holder.if_contains(name);
  return value == nullptr || value->is_null();
}

// Moves the strings of object `from` into object member `target`, base64-encoded.
void encode_strings(json::object& holder, std::string_view target, std::string_view from) {
  json::value* source = holder.if_contains(from);
  if (source == nullptr || !source->is_object()) return;
  json::object strings = std::move(source->get_object());
  holder.erase(from);
  json::value& place = holder[target];
  if (!place.is_object()) place.emplace_object();
  for (const auto& [key, value] : strings) {
    place.get_object()[key] = codec::base64_encode(string_or(value));
  }
}

void fill(json::object& holder, std::string_view target, const json::value& from) {
  if (!from.is_object() || from.get_object().empty()) return;
  json::object copy = from.get_object();
  json::value& place = holder[target];
  if (place.is_null()) place.emplace_object();
  if (!place.is_object()) return;
  for (auto& [key, value] : copy) place.get_object().emplace(key, value);
}

void carry_out(const DefaultRule& rule, json::object& holder, json::object& type) {
  if (!conditions_hold(rule.conditions, holder, type, nullptr)) return;
  std::string_view target = rule.path.back().name;
  using Action = DefaultRule::Action;
  if (rule.action == Action::value) {
    if (is_absent(holder, target)) holder[target] = rule.value;
    return;
  }
  const json::object& base = rule.from_type ? type : holder;
  if (rule.action == Action::base64) {
    encode_strings(holder, target, rule.from.back().name);
    return;
  }
  const json::value* from = find_step(base, rule.from);
  if (from == nullptr || from->is_null()) return;
  json::value copy = *from;  // `from` may be moved by the insertion below
  if (rule.action == Action::fill) {
    fill(holder, target, copy);
  } else if (rule.action == Action::mirror || is_absent(holder, target)) {
    holder[target] = rule.action == Action::list ? json::value(json::array{copy}) : copy;
  }
}

// Carries the rule out at every object that `path`, the rest of the rule's path, leads to.
void descend(const DefaultRule& rule, std::span<const PathStep> path, json::value& at,
             json::object& type) {
  if (path.size() == 1) {
    if (json::object* holder = at.if_object()) carry_out(rule, *holder, type);
    return;
  }
  if (path[0].kind == PathStep::Kind::each) {
    if (json::array* elements = at.if_array()) {
      for (json::value& element : *elements) descend(rule, path.subspan(1), element, type);
    }
    return;
  }
  json::object* object = at.if_object();
  if (object == nullptr) return;
  if (path[0].kind == PathStep::Kind::values) {
    for (auto& [key, value] : *object) descend(rule, path.subspan(1), value, type);
  } else if (json::value* next = object->if_contains(path[0].name)) {
    descend(rule, path.subspan(1), *next, type);
  }
}

}  // namespace

void apply_defaults(const Schema& schema, json::value& document) {
  if (json::array* elements = document.if_array()) {
    if (schema.items == nullptr) return;
    for (json::value& element : *elements) apply_defaults(*schema.items, element);
    return;
  }
  json::object* object = document.if_object();
  if (object == nullptr) return;
  if (schema.object != nullptr) {
    for (const DefaultRule* rule : schema.object->defaults) {
      descend(*rule, rule->path, document, *object);
    }
  }
  for (auto& [key, value] : *object) {
    if (const Schema* member = schema.member(key)) apply_defaults(*member, value);
  }
}

}  // namespace tulle::kube
