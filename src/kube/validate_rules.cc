#include "kube/validate_rules.h"

#include "kube/object.h"
#include "kube/quantity.h"
#include "kube/selector.h"
#include "kube/validate.h"
#include "kube/validate_format.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <set>
#include <span>

namespace tulle::kube {
namespace {

using Check = ValidationRule::Check;

std::int64_t number_of(std::string_view text) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

bool is_empty(const json::value* value) {
  if (value == nullptr || value->is_null()) return true;
  if (const json::string* text = value->if_string()) return text->empty();
  if (const json::array* list = value->if_array()) return list->empty();
  if (value->is_int64()) return value->get_int64() == 0;
  return false;
}

std::string join(std::string_view field, std::string_view member) {
  if (member.find('.') != std::string_view::npos) return fmt::format("{}[{}]", field, member);
  return field.empty() ? std::string(member) : fmt::format("{}.{}", field, member);
}

// One place that a rule's path leads to.
struct Target {
  const json::object& holder;
  const json::value* value;  // null: absent
  const json::value* old;    // null: absent or not followed (through lists)
  const std::string& field;
};

class RuleRun final {
 public:
  RuleRun(const ValidationRule& rule, const RuleSubject& subject, FieldErrors& errors)
      : rule_(rule), subject_(subject), errors_(errors) {}

  void run() {
    std::string field{subject_.field};
    if (rule_.path.empty()) {
      visit({.holder = subject_.object, .value = nullptr, .old = nullptr, .field = field});
      return;
    }
    if (rule_.check == Check::unique) {
      follow_list();
      return;
    }
    follow_object(rule_.path, subject_.object, subject_.old, field);
  }

 private:
  using Steps = std::span<const PathStep>;

  void follow_object(Steps path, const json::object& holder, const json::object* old,
                     const std::string& field) {
    std::string_view name = path[0].name;
    const json::value* value = holder.if_contains(name);
    const json::value* before = old == nullptr ? nullptr : old->if_contains(name);
    std::string inner = join(field, name);
    if (path.size() == 1) {
      visit({.holder = holder, .value = value, .old = before, .field = inner});
    } else if (value != nullptr) {
      follow(path.subspan(1), holder, *value, before, inner);
    }
  }

  // `value` is what the steps so far led to; `holder` the object it is in.
  void follow(Steps path, const json::object& holder, const json::value& value,
              const json::value* old, const std::string& field) {
    if (path[0].kind == PathStep::Kind::each) {
      const json::array* elements = value.if_array();
      for (std::size_t i = 0; elements != nullptr && i < elements->size(); ++i) {
        arrive(path.subspan(1), holder, (*elements)[i], nullptr, fmt::format("{}[{}]", field, i));
      }
      return;
    }
    const json::object* object = value.if_object();
    if (object == nullptr) return;
    if (path[0].kind == PathStep::Kind::member) {
      follow_object(path, *object, old == nullptr ? nullptr : old->if_object(), field);
      return;
    }
    for (const auto& [key, member] : *object) {
      // Upstream names the map itself for labels: the value is in the message.
      arrive(path.subspan(1), holder, member, nullptr, field);
    }
  }

  void arrive(Steps path, const json::object& holder, const json::value& value,
              const json::value* old, const std::string& field) {
    if (path.empty()) {
      visit({.holder = holder, .value = &value, .old = old, .field = field});
    } else {
      follow(path, holder, value, old, field);
    }
  }

  // unique: the path is that of the list, with [] after it.
  void follow_list() {
    const json::value* list = subject_.object.if_contains(rule_.path[0].name);
    if (list == nullptr || !list->is_array()) return;
    std::set<std::string> seen;
    const json::array& elements = list->get_array();
    for (std::size_t i = 0; i < elements.size(); ++i) {
      const json::object& element = object_or_empty(elements[i]);
      std::string key;
      for (std::string_view member : rule_.arguments) {
        const json::value* part = element.if_contains(member);
        key += part == nullptr ? "" : json::serialize(*part);
        key += '\n';
      }
      const json::value* first = element.if_contains(rule_.arguments[0]);
      if (is_empty(first) || seen.insert(key).second) continue;
      std::string field = fmt::format("{}[{}]", join(subject_.field, rule_.path[0].name), i);
      if (rule_.arguments.size() == 1) {
        errors_.duplicate(join(field, rule_.arguments[0]), *first);
      } else {
        errors_.duplicate(field, members_of(element));
      }
    }
  }

  json::value members_of(const json::object& element) const {
    json::object shown;
    for (std::string_view member : rule_.arguments) {
      if (const json::value* part = element.if_contains(member)) shown[member] = *part;
    }
    return shown;
  }

  void visit(const Target& target) {
    if (!conditions_hold(rule_.conditions, target.holder, subject_.object, subject_.old)) return;
    switch (rule_.check) {
      case Check::required:
        if (is_empty(target.value)) errors_.required(target.field, rule_.text);
        return;
      case Check::forbidden:
        if (!is_empty(target.value)) errors_.forbidden(target.field, rule_.text);
        return;
      case Check::immutable:
      case Check::set_once: check_immutable(target); return;
      case Check::only_changes: check_changes(target); return;
      case Check::any_of:
      case Check::exactly_one: check_members(target); return;
      default:
        if (target.value != nullptr && !target.value->is_null()) check_value(target, *target.value);
    }
  }

  // The checks that look at a value that is there.
  void check_value(const Target& target, const json::value& value) {
    switch (rule_.check) {
      case Check::minimum:
      case Check::range:
      case Check::greater_than:
      case Check::at_least: check_number(target, value); return;
      case Check::length_max:
        if (string_or(value).size() > static_cast<std::size_t>(number_of(rule_.arguments[0]))) {
          errors_.too_long(target.field, rule_.arguments[0]);
        }
        return;
      case Check::items_max: {
        const json::array* list = value.if_array();
        std::size_t max = static_cast<std::size_t>(number_of(rule_.arguments[0]));
        if (list != nullptr && list->size() > max) {
          errors_.too_many(target.field, list->size(), rule_.arguments[0]);
        }
        return;
      }
      case Check::one_of: check_enum(target, value); return;
      case Check::format:
        if (is_empty(&value) && value.is_string()) return;
        for (const std::string& complaint : check_text_format(rule_.arguments[0], value)) {
          errors_.invalid(target.field, value, or_text(complaint));
        }
        return;
      case Check::keys: check_keys(target, value); return;
      case Check::selected_by: check_selected(target, value); return;
      case Check::found_in:
        if (!is_in_other(value)) errors_.not_found(target.field, value);
        return;
      case Check::absent_from:
        if (is_in_other(value)) errors_.duplicate(target.field, value);
        return;
      case Check::within: check_within(target, value); return;
      default: return;
    }
  }

  std::string_view or_text(std::string_view wording) const {
    return rule_.text.empty() ? wording : rule_.text;
  }

  void check_number(const Target& target, const json::value& value) {
    if (!value.is_int64()) return;
    std::int64_t number = value.get_int64();
    if (rule_.check == Check::greater_than || rule_.check == Check::at_least) {
      const json::value* other = find_step(target.holder, rule_.other);
      std::int64_t bound = other != nullptr && other->is_int64() ? other->get_int64() : 0;
      if (rule_.check == Check::greater_than) ++bound;
      if (number < bound) errors_.invalid(target.field, value, rule_.text);
      return;
    }
    std::int64_t low = number_of(rule_.arguments[0]);
    if (rule_.check == Check::minimum) {
      if (number >= low) return;
      std::string wording = fmt::format("must be greater than or equal to {}", low);
      errors_.invalid(target.field, value, or_text(wording));
      return;
    }
    std::int64_t high = number_of(rule_.arguments[1]);
    if (number >= low && number <= high) return;
    std::string wording = fmt::format("must be between {} and {}, inclusive", low, high);
    errors_.invalid(target.field, value, or_text(wording));
  }

  void check_enum(const Target& target, const json::value& value) {
    std::string text = scalar_text(value);
    if (text.empty() || std::ranges::find(rule_.arguments, text) != rule_.arguments.end()) return;
    if (rule_.text.empty()) {
      errors_.unsupported(target.field, value, rule_.arguments);
    } else {
      errors_.invalid(target.field, value, rule_.text);
    }
  }

  void check_keys(const Target& target, const json::value& value) {
    if (!value.is_object()) return;
    for (const auto& [key, member] : value.get_object()) {
      json::value name = json::string(key);
      // Upstream puts the key into the path for data, and into the message for labels.
      bool in_path = rule_.arguments[0] == "config_key";
      std::string field =
          in_path ? fmt::format("{}[{}]", target.field, std::string_view(key)) : target.field;
      for (const std::string& complaint : check_text_format(rule_.arguments[0], name)) {
        errors_.invalid(field, name, complaint);
      }
    }
  }

  void check_immutable(const Target& target) {
    if (subject_.old == nullptr) return;
    static const json::value nothing;
    bool once = rule_.check == Check::set_once;
    if (once && is_empty(target.old)) return;
    const json::value& before = target.old == nullptr ? nothing : *target.old;
    const json::value& after = target.value == nullptr ? nothing : *target.value;
    if (before == after) return;
    if (rule_.text.empty()) {
      errors_.invalid(target.field, after, once ? "may not change once set" : "field is immutable");
    } else {
      errors_.forbidden(target.field, rule_.text);
    }
  }

  static void erase_at(json::value& value, Steps path) {
    if (path[0].kind == PathStep::Kind::each) {
      if (json::array* elements = value.if_array()) {
        for (json::value& element : *elements) erase_at(element, path.subspan(1));
      }
    } else if (json::object* object = value.if_object()) {
      if (path.size() == 1) {
        object->erase(path[0].name);
      } else if (json::value* next = object->if_contains(path[0].name)) {
        erase_at(*next, path.subspan(1));
      }
    }
  }

  void check_changes(const Target& target) {
    if (target.old == nullptr || target.value == nullptr || *target.old == *target.value) return;
    json::value before = *target.old;
    json::value after = *target.value;
    for (const RulePath& path : rule_.others) {
      erase_at(before, path);
      erase_at(after, path);
    }
    if (before != after) errors_.forbidden(target.field, rule_.text);
  }

  void check_members(const Target& target) {
    const json::object* object = &target.holder;
    if (!rule_.path.empty()) object = target.value == nullptr ? nullptr : target.value->if_object();
    if (object == nullptr) return;
    bool found = false;
    for (std::string_view member : rule_.arguments) {
      const json::value* value = object->if_contains(member);
      if (value == nullptr || value->is_null()) continue;
      if (found && rule_.check == Check::exactly_one) {
        errors_.forbidden(join(target.field, member), "may not specify more than one of them");
      }
      found = true;
    }
    if (found) return;
    if (rule_.check == Check::exactly_one) {
      errors_.required(target.field, rule_.text);
    } else {
      errors_.invalid(target.field, *object, rule_.text);
    }
  }

  void check_selected(const Target& target, const json::value& labels) {
    const json::value* selector = find_step(subject_.object, rule_.other);
    if (selector == nullptr || !selector->is_object()) return;
    Result<Selector> parsed = Selector::from_label_selector(selector->get_object());
    if (!parsed || parsed->matches(object_or_empty(labels))) return;
    errors_.invalid(target.field, labels, "`selector` does not match template `labels`");
  }

  void check_within(const Target& target, const json::value& value) {
    const json::value* bounds = find_step(target.holder, rule_.other);
    if (bounds == nullptr || !bounds->is_object() || !value.is_object()) return;
    for (const auto& [name, amount] : value.get_object()) {
      const json::value* bound = bounds->get_object().if_contains(name);
      if (bound == nullptr) continue;
      const auto asked = Quantity::parse(scalar_text(amount));
      const auto most = Quantity::parse(scalar_text(*bound));
      if (!asked || !most || *asked <= *most) continue;
      errors_.invalid(target.field, amount,
                      fmt::format("must be less than or equal to {} limit of {}",
                                  std::string_view(name), most->to_string()));
    }
  }

  static bool is_in(const json::value& at, Steps path, const json::value& wanted) {
    if (path.empty()) return at == wanted;
    if (path[0].kind == PathStep::Kind::each) {
      const json::array* elements = at.if_array();
      return elements != nullptr && std::ranges::any_of(*elements, [&](const json::value& element) {
               return is_in(element, path.subspan(1), wanted);
             });
    }
    const json::object* object = at.if_object();
    const json::value* next = object == nullptr ? nullptr : object->if_contains(path[0].name);
    return next != nullptr && is_in(*next, path.subspan(1), wanted);
  }

  bool is_in_other(const json::value& value) const {
    const json::value* list = subject_.object.if_contains(rule_.other[0].name);
    return list != nullptr && is_in(*list, Steps(rule_.other).subspan(1), value);
  }

  const ValidationRule& rule_;
  const RuleSubject& subject_;
  FieldErrors& errors_;
};

std::string with_value(std::string_view what, const json::value& value, std::string_view detail) {
  std::string text = fmt::format("{}: {}", what, json::serialize(value));
  if (!detail.empty()) text.append(": ").append(detail);
  return text;
}

}  // namespace

void FieldErrors::add(std::string_view reason, std::string_view field, std::string message) {
  if (causes_.size() == field_errors_max) return;
  causes_.push_back(
      {.reason = std::string(reason), .message = std::move(message), .field = std::string(field)});
}

void FieldErrors::required(std::string_view field, std::string_view detail) {
  add("FieldValueRequired", field,
      detail.empty() ? "Required value" : fmt::format("Required value: {}", detail));
}

void FieldErrors::invalid(std::string_view field, const json::value& value,
                          std::string_view detail) {
  add("FieldValueInvalid", field, with_value("Invalid value", value, detail));
}

void FieldErrors::duplicate(std::string_view field, const json::value& value) {
  add("FieldValueDuplicate", field, with_value("Duplicate value", value, ""));
}

void FieldErrors::not_found(std::string_view field, const json::value& value) {
  add("FieldValueNotFound", field, with_value("Not found", value, ""));
}

void FieldErrors::forbidden(std::string_view field, std::string_view detail) {
  add("FieldValueForbidden", field,
      detail.empty() ? "Forbidden" : fmt::format("Forbidden: {}", detail));
}

void FieldErrors::unsupported(std::string_view field, const json::value& value,
                              const std::vector<std::string_view>& supported) {
  std::string list;
  for (std::string_view each : supported) {
    list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", each);
  }
  add("FieldValueNotSupported", field,
      with_value("Unsupported value", value, "supported values: " + list));
}

void FieldErrors::too_long(std::string_view field, std::string_view limit) {
  add("FieldValueTooLong", field, fmt::format("Too long: may not be more than {} bytes", limit));
}

void FieldErrors::too_many(std::string_view field, std::size_t actual, std::string_view limit) {
  add("FieldValueTooMany", field,
      fmt::format("Too many: {}: must have at most {} items", actual, limit));
}

void FieldErrors::type_invalid(std::string_view field, const json::value& value,
                               std::string_view detail) {
  add("FieldValueTypeInvalid", field, with_value("Invalid value", value, detail));
}

void check_rule(const ValidationRule& rule, const RuleSubject& subject, FieldErrors& errors) {
  RuleRun(rule, subject, errors).run();
}

}  // namespace tulle::kube
