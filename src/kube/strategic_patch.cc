// Kubernetes' strategic merge patch; behaves as k8s.io/apimachinery/pkg/util/strategicpatch does,
// the order of merged lists included.
#include "base/format.h"
#include "kube/object.h"
#include "kube/patch.h"
#include "kube/schema.h"

#include <boost/json.hpp>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace tulle::kube {

namespace {

constexpr std::string_view patch_directive = "$patch";
constexpr std::string_view retain_keys_directive = "$retainKeys";
constexpr std::string_view delete_list_prefix = "$deleteFromPrimitiveList/";
constexpr std::string_view element_order_prefix = "$setElementOrder/";

enum class Directive : std::uint8_t { none, merge, replace, remove };

std::string_view key_text(const json::key_value_pair& member) {
  return {member.key().data(), member.key().size()};
}

bool is_directive(std::string_view key) {
  return key == patch_directive || key == retain_keys_directive ||
         key.starts_with(delete_list_prefix) || key.starts_with(element_order_prefix);
}

ApiResult<Directive> directive_of(const json::object& patch) {
  const json::value* value = patch.if_contains(patch_directive);
  if (value == nullptr) return Directive::none;
  const std::string_view text = string_or(*value);
  if (text == "merge") return Directive::merge;
  if (text == "replace") return Directive::replace;
  if (text == "delete") return Directive::remove;
  return bad_request(fmt::format("unknown patch type: {} in map: {}", json::serialize(*value),
                                 json::serialize(patch)));
}

bool is_delete(const json::value& value) {
  const json::object* object = value.if_object();
  const json::value* directive = object == nullptr ? nullptr : object->if_contains(patch_directive);
  return directive != nullptr && string_or(*directive) == "delete";
}

// What a patch says about a field that the document lacks: its content without directives,
// nulls and elements to be deleted.
json::value content_of(const json::value& patch) {
  if (const auto* object = patch.if_object()) {
    json::object out;
    for (const auto& member : *object) {
      const bool dropped =
          is_directive(key_text(member)) || member.value().is_null() || is_delete(member.value());
      if (!dropped) out.emplace(member.key(), content_of(member.value()));
    }
    return out;
  }
  if (const auto* array = patch.if_array()) {
    json::array out;
    for (const json::value& element : *array)
      if (!is_delete(element)) out.push_back(content_of(element));
    return out;
  }
  return patch;
}

// --- Lists --------------------------------------------------------------------------------------

// How the lists of one field merge. No key: a list of primitives.
struct ListRule {
  std::string_view name;
  bool merges = false;
  std::string_view key;
  const Schema* items = nullptr;
};

ListRule rule_of(const Schema* parent, std::string_view field) {
  const Schema* schema = parent == nullptr ? nullptr : parent->member(field);
  if (schema == nullptr) return {.name = field, .merges = false, .key = {}, .items = nullptr};
  return {.name = field,
          .merges = schema->patch_merge,
          .key = schema->patch_merge_key,
          .items = schema->items};
}

// What tells elements of a list apart, as text: the merge key's value or the primitive itself.
ApiResult<std::string> identity(const json::value& element, const ListRule& rule) {
  if (rule.key.empty()) {
    if (element.is_object() || element.is_array())
      return bad_request(fmt::format("cannot merge lists without merge key for {}", rule.name));
    return json::serialize(element);
  }
  const json::object* object = element.if_object();
  const json::value* key = object == nullptr ? nullptr : object->if_contains(rule.key);
  if (key == nullptr)
    return bad_request(fmt::format("map: {} does not contain declared merge key: {}",
                                   json::serialize(element), rule.key));
  return json::serialize(*key);
}

ApiResult<std::vector<std::string>> identities(const json::array& list, const ListRule& rule) {
  std::vector<std::string> out;
  out.reserve(list.size());
  for (const json::value& element : list) {
    TRY(std::string id, identity(element, rule));
    out.push_back(std::move(id));
  }
  return out;
}

// Identity → position of its first element.
using Positions = std::unordered_map<std::string, std::size_t>;

Positions positions_of(const std::vector<std::string>& ids) {
  Positions positions;
  for (std::size_t i = 0; i < ids.size(); ++i) positions.emplace(ids[i], i);
  return positions;
}

// Puts `list` into order: elements named in `wanted` in that order, the server's own in the order
// of `server`; where the server knows both, its order decides between the two groups, else the
// wanted element goes first.
ApiResult<json::array> put_in_order(json::array list, const Positions& wanted,
                                    const Positions& server, const ListRule& rule) {
  TRY(const auto ids, identities(list, rule));
  const auto position = [&](const Positions& positions, std::size_t element) {
    const auto found = positions.find(ids[element]);
    return found == positions.end() ? std::optional<std::size_t>() : found->second;
  };
  std::vector<std::size_t> named;
  std::vector<std::size_t> others;
  for (std::size_t i = 0; i < ids.size(); ++i)
    (wanted.contains(ids[i]) ? named : others).push_back(i);
  const auto sort_by = [&](std::vector<std::size_t>& elements, const Positions& positions) {
    std::ranges::sort(elements, {},
                      [&](std::size_t i) { return std::pair(position(positions, i), i); });
  };
  sort_by(named, wanted);
  sort_by(others, server);

  json::array out;
  out.reserve(list.size());
  auto other = others.begin();
  for (const std::size_t next : named) {
    const auto place = position(server, next);
    while (other != others.end() && place && position(server, *other) &&
           *position(server, *other) < *place)
      out.push_back(std::move(list[*other++]));
    out.push_back(std::move(list[next]));
  }
  for (; other != others.end(); ++other) out.push_back(std::move(list[*other]));
  return out;
}

// Takes the elements named in `removed` out of a list of primitives.
json::array without(const json::array& list, const json::array& removed) {
  std::unordered_set<std::string> gone;
  for (const json::value& value : removed) gone.insert(json::serialize(value));
  json::array out;
  for (const json::value& value : list)
    if (!gone.contains(json::serialize(value))) out.push_back(value);
  return out;
}

ApiResult<json::object> merge_object(const Schema* schema, json::object live,
                                     const json::object& patch);

// A patch list sorted out: what to delete, whether to replace, and the plain elements.
struct ListPatch {
  json::array elements;
  std::unordered_set<std::string> deleted;
  bool replace = false;
};

ApiResult<ListPatch> sort_out(const json::array& patch, const ListRule& rule) {
  ListPatch out;
  for (const json::value& element : patch) {
    const json::object* object = rule.key.empty() ? nullptr : element.if_object();
    Directive directive = Directive::none;
    if (object != nullptr) {
      TRY(directive, directive_of(*object));
    }
    switch (directive) {
      case Directive::none: out.elements.push_back(element); break;
      case Directive::replace: out.replace = true; break;
      case Directive::merge:
        return bad_request("merging lists cannot yet be specified in the patch");
      case Directive::remove: {
        TRY(std::string id, identity(element, rule));
        out.deleted.insert(std::move(id));
        break;
      }
    }
  }
  return out;
}

// REQUIRES: rule.merges.
ApiResult<json::array> merge_list(const json::array& live, const json::array& patch,
                                  const ListRule& rule) {
  TRY(ListPatch change, sort_out(patch, rule));
  if (change.replace) return content_of(change.elements).get_array();

  TRY(std::vector<std::string> ids, identities(live, rule));
  json::array merged;
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < live.size(); ++i) {
    if (change.deleted.contains(ids[i])) continue;
    merged.push_back(live[i]);
    kept.push_back(std::move(ids[i]));
  }
  const Positions server = positions_of(kept);
  TRY(const auto patch_ids, identities(change.elements, rule));
  Positions places = server;
  for (std::size_t i = 0; i < change.elements.size(); ++i) {
    const json::value& element = change.elements[i];
    const auto [place, is_new] = places.emplace(patch_ids[i], merged.size());
    if (is_new) {
      merged.push_back(content_of(element));
    } else if (!rule.key.empty()) {
      json::value& target = merged[place->second];
      TRY(target, merge_object(rule.items, std::move(target.get_object()), element.get_object()));
    }
  }
  return put_in_order(std::move(merged), positions_of(patch_ids), server, rule);
}

// --- Objects ------------------------------------------------------------------------------------

// $retainKeys: of the live object only these keys stay.
ApiResult<void> retain_keys(json::object& live, const json::object& patch) {
  const json::value* directive = patch.if_contains(retain_keys_directive);
  if (directive == nullptr) return {};
  const auto bad = [] { return bad_request("invalid patch format of retainKeys"); };
  const json::array* keys = directive->if_array();
  if (keys == nullptr) return bad();
  std::unordered_set<std::string_view> retained;
  for (const json::value& key : *keys) {
    if (!key.is_string()) return bad();
    retained.insert(string_or(key));
  }
  for (const auto& member : patch)
    if (!is_directive(key_text(member)) && !member.value().is_null() &&
        !retained.contains(key_text(member)))
      return bad();
  std::vector<std::string> gone;
  for (const auto& member : live)
    if (!retained.contains(key_text(member))) gone.emplace_back(member.key());
  for (const std::string& key : gone) live.erase(key);
  return {};
}

// The elements of a patch list must come in the order that $setElementOrder gives.
ApiResult<void> check_order(const json::array& patch, const Positions& order,
                            const ListRule& rule) {
  std::size_t least = 0;
  for (const json::value& element : patch) {
    if (element.is_object() && element.get_object().contains(patch_directive)) continue;
    TRY(const std::string id, identity(element, rule));
    const auto found = order.find(id);
    if (found == order.end() || found->second < least)
      return bad_request(fmt::format("The order in patch list:\n{}\n doesn't match {}{} list",
                                     json::serialize(patch), element_order_prefix, rule.name));
    least = found->second;
  }
  return {};
}

// $setElementOrder/field: merges the field's list and puts all of it into the given order.
ApiResult<void> merge_ordered_list(const Schema* schema, json::object& live,
                                   const json::object& patch, std::string_view field,
                                   const json::value& order_value) {
  const ListRule rule = rule_of(schema, field);
  const json::value* patch_value = patch.if_contains(field);
  if (patch_value != nullptr && patch_value->is_null()) return {};
  const json::array* order = order_value.if_array();
  json::value* live_value = live.if_contains(field);
  if (order == nullptr || (live_value != nullptr && !live_value->is_array()) ||
      (patch_value != nullptr && !patch_value->is_array()))
    return bad_request("invalid patch format of setElementOrder list");
  if (live_value == nullptr && patch_value == nullptr) return {};

  TRY(const auto order_ids, identities(*order, rule));
  const Positions wanted = positions_of(order_ids);
  json::array merged;
  Positions server;
  if (live_value != nullptr) {
    TRY(const auto live_ids, identities(live_value->get_array(), rule));
    server = positions_of(live_ids);
    merged = live_value->get_array();
  }
  if (patch_value != nullptr) {
    TRY_VOID(check_order(patch_value->get_array(), wanted, rule));
    if (live_value == nullptr || !rule.merges) {
      merged = content_of(*patch_value).get_array();
    } else {
      TRY(merged, merge_list(merged, patch_value->get_array(), rule));
    }
  }
  TRY(json::array ordered, put_in_order(std::move(merged), wanted, server, rule));
  live[field] = std::move(ordered);
  return {};
}

ApiResult<void> merge_member(const Schema* schema, json::object& live, std::string_view key,
                             const json::value& patch) {
  if (patch.is_null()) {
    live.erase(key);
    return {};
  }
  json::value* target = live.if_contains(key);
  if (target == nullptr) {
    if (!is_delete(patch)) live[key] = content_of(patch);
    return {};
  }
  if (target->is_object() && patch.is_object()) {
    const Schema* member = schema == nullptr ? nullptr : schema->member(key);
    TRY(*target, merge_object(member, std::move(target->get_object()), patch.get_object()));
    return {};
  }
  const ListRule rule = rule_of(schema, key);
  if (rule.merges && target->is_array() && patch.is_array()) {
    TRY(*target, merge_list(target->get_array(), patch.get_array(), rule));
    return {};
  }
  *target = content_of(patch);
  return {};
}

ApiResult<void> delete_from_list(json::object& live, std::string_view field,
                                 const json::value& removed) {
  if (!removed.is_array()) return bad_request("invalid patch format of primitive list");
  if (json::value* list = live.if_contains(field); list != nullptr && list->is_array())
    *list = without(list->get_array(), removed.get_array());
  return {};
}

ApiResult<json::object> merge_object(const Schema* schema, json::object live,
                                     const json::object& patch) {
  TRY(const Directive directive, directive_of(patch));
  if (directive == Directive::remove) return json::object();
  if (directive == Directive::replace) return content_of(patch).get_object();

  TRY_VOID(retain_keys(live, patch));
  for (const auto& member : patch) {
    const std::string_view key = key_text(member);
    if (key.starts_with(delete_list_prefix))
      TRY_VOID(delete_from_list(live, key.substr(delete_list_prefix.size()), member.value()));
  }
  std::unordered_set<std::string_view> done;
  for (const auto& member : patch) {
    std::string_view key = key_text(member);
    if (!key.starts_with(element_order_prefix)) continue;
    key.remove_prefix(element_order_prefix.size());
    TRY_VOID(merge_ordered_list(schema, live, patch, key, member.value()));
    const json::value* list = patch.if_contains(key);
    if (list != nullptr && list->is_array()) done.insert(key);
  }
  for (const auto& member : patch) {
    const std::string_view key = key_text(member);
    if (is_directive(key) || done.contains(key)) continue;
    TRY_VOID(merge_member(schema, live, key, member.value()));
  }
  return live;
}

}  // namespace

ApiResult<json::object> apply_strategic_merge(const Schema& schema, const json::object& live,
                                              const json::value& patch) {
  const json::object* object = patch.if_object();
  if (object == nullptr)
    return bad_request("error decoding patch: a strategic merge patch must be an object");
  return merge_object(&schema, live, *object);
}

}  // namespace tulle::kube
