#include "kube/rules.h"

#include "kube/object.h"
#include "kube/schema_text.h"

#include <boost/json.hpp>

#include <algorithm>
#include <optional>
#include <span>

namespace tulle::kube {
namespace {

using Words = std::span<const std::string_view>;

// Empty for a text that is no path.
RulePath parse_path(std::string_view text) {
  RulePath path;
  while (!text.empty()) {
    if (text.starts_with("[]") || text.starts_with("{}")) {
      path.push_back({.kind = text.starts_with("[") ? PathStep::Kind::each : PathStep::Kind::values,
                      .name = {}});
      text.remove_prefix(2);
    } else if (text.starts_with("['")) {
      std::size_t end = text.find("']");
      if (end == std::string_view::npos) return {};
      path.push_back({.kind = PathStep::Kind::member, .name = text.substr(2, end - 2)});
      text.remove_prefix(end + 2);
    } else {
      if (text.starts_with('.')) text.remove_prefix(1);
      std::size_t end = std::min(text.find_first_of(".[{"), text.size());
      if (end == 0) return {};
      path.push_back({.kind = PathStep::Kind::member, .name = text.substr(0, end)});
      text.remove_prefix(end);
    }
  }
  return path;
}

// "[^|~]PATH set|unset|only|multiple|untagged" or "PATH is|in|not VALUE...".
std::optional<RuleCondition> parse_condition(std::string_view text) {
  std::vector<std::string_view> words = split_words(text);
  if (words.size() < 2) return std::nullopt;
  RuleCondition condition;
  if (words[0].starts_with('^')) condition.base = RuleCondition::Base::type;
  if (words[0].starts_with('~')) condition.base = RuleCondition::Base::old;
  if (condition.base != RuleCondition::Base::holder) words[0].remove_prefix(1);
  condition.path = parse_path(words[0]);
  condition.values.assign(words.begin() + 2, words.end());
  std::string_view test = words[1];
  using Test = RuleCondition::Test;
  if (test == "set") {
    condition.test = Test::set;
  } else if (test == "unset") {
    condition.test = Test::unset;
  } else if (test == "only") {
    condition.test = Test::only;
  } else if (test == "multiple") {
    condition.test = Test::multiple;
  } else if (test == "untagged") {
    condition.test = Test::untagged;
  } else if ((test == "is" || test == "in") && !condition.values.empty()) {
    condition.test = Test::in;
  } else if (test == "not" && !condition.values.empty()) {
    condition.test = Test::not_in;
  } else {
    return std::nullopt;
  }
  return condition.path.empty() ? std::nullopt : std::optional(std::move(condition));
}

// Conditions joined by " and ".
std::optional<std::vector<RuleCondition>> parse_conditions(std::string_view text) {
  std::vector<RuleCondition> conditions;
  while (!text.empty()) {
    std::string_view rest = cut(text, " and ");
    std::optional<RuleCondition> condition = parse_condition(text);
    if (!condition) return std::nullopt;
    conditions.push_back(std::move(*condition));
    text = rest;
  }
  return conditions;
}

bool parse_action(DefaultRule& rule, std::string_view verb, std::string_view operand) {
  struct Named {
    std::string_view name;
    DefaultRule::Action action;
  };
  static constexpr Named named[] = {
      {"copy", DefaultRule::Action::copy},     {"mirror", DefaultRule::Action::mirror},
      {"list", DefaultRule::Action::list},     {"fill", DefaultRule::Action::fill},
      {"base64", DefaultRule::Action::base64},
  };
  if (verb == "=") {
    json::error_code error;
    rule.value = json::parse(operand, error);
    return !error;
  }
  auto found = std::ranges::find(named, verb, &Named::name);
  if (found == std::end(named)) return false;
  rule.action = found->action;
  rule.from_type = operand.starts_with('^');
  if (rule.from_type) operand.remove_prefix(1);
  rule.from = parse_path(operand);
  return !rule.from.empty();
}

// What the arguments of a check are.
enum class Takes : std::uint8_t { nothing, one, two, many, path, paths };

struct NamedCheck {
  std::string_view name;
  ValidationRule::Check check;
  Takes takes;
};

constexpr NamedCheck checks[] = {
    {"required", ValidationRule::Check::required, Takes::nothing},
    {"min", ValidationRule::Check::minimum, Takes::one},
    {"range", ValidationRule::Check::range, Takes::two},
    {"length_max", ValidationRule::Check::length_max, Takes::one},
    {"items_max", ValidationRule::Check::items_max, Takes::one},
    {"one_of", ValidationRule::Check::one_of, Takes::many},
    {"format", ValidationRule::Check::format, Takes::one},
    {"keys", ValidationRule::Check::keys, Takes::one},
    {"immutable", ValidationRule::Check::immutable, Takes::nothing},
    {"set_once", ValidationRule::Check::set_once, Takes::nothing},
    {"only_changes", ValidationRule::Check::only_changes, Takes::paths},
    {"unique", ValidationRule::Check::unique, Takes::many},
    {"any_of", ValidationRule::Check::any_of, Takes::many},
    {"exactly_one", ValidationRule::Check::exactly_one, Takes::many},
    {"selected_by", ValidationRule::Check::selected_by, Takes::path},
    {"found_in", ValidationRule::Check::found_in, Takes::path},
    {"within", ValidationRule::Check::within, Takes::path},
    {"absent_from", ValidationRule::Check::absent_from, Takes::path},
    {"at_least", ValidationRule::Check::at_least, Takes::path},
    {"greater_than", ValidationRule::Check::greater_than, Takes::path},
    {"forbidden", ValidationRule::Check::forbidden, Takes::nothing},
};

bool parse_check(ValidationRule& rule, std::string_view name, Words arguments) {
  auto found = std::ranges::find(checks, name, &NamedCheck::name);
  if (found == std::end(checks)) return false;
  rule.check = found->check;
  rule.arguments.assign(arguments.begin(), arguments.end());
  switch (found->takes) {
    case Takes::nothing: return arguments.empty();
    case Takes::one: return arguments.size() == 1;
    case Takes::two: return arguments.size() == 2;
    case Takes::many: return !arguments.empty();
    case Takes::paths:
      for (std::string_view each : arguments) rule.others.push_back(parse_path(each));
      return !rule.others.empty();
    case Takes::path:
      rule.other = arguments.size() == 1 ? parse_path(arguments[0]) : RulePath{};
      return !rule.other.empty();
  }
  return false;
}

// ":latest" or neither tag nor digest: upstream pulls such images always.
bool means_latest(std::string_view image) {
  if (image.empty() || image.find('@') != std::string_view::npos) return false;
  std::string_view last = image.substr(image.rfind('/') + 1);
  std::size_t colon = last.find(':');
  return colon == std::string_view::npos || last.substr(colon + 1) == "latest";
}

bool holds(const RuleCondition& condition, const json::object& base) {
  const json::object* parent = &base;
  for (const PathStep& step : std::span(condition.path).first(condition.path.size() - 1)) {
    const json::value* next = parent == nullptr ? nullptr : parent->if_contains(step.name);
    parent = next == nullptr ? nullptr : next->if_object();
  }
  const json::value* value =
      parent == nullptr ? nullptr : parent->if_contains(condition.path.back().name);
  bool set = value != nullptr && !value->is_null();
  auto is_listed = [&] {
    return set && std::ranges::find(condition.values, std::string_view(scalar_text(*value))) !=
                      condition.values.end();
  };
  switch (condition.test) {
    case RuleCondition::Test::set: return set;
    case RuleCondition::Test::unset: return !set;
    case RuleCondition::Test::in: return is_listed();
    case RuleCondition::Test::not_in: return !is_listed();
    case RuleCondition::Test::only: return set && parent->size() == 1;
    case RuleCondition::Test::multiple:
      return set && value->is_array() && value->get_array().size() > 1;
    case RuleCondition::Test::untagged: return set && means_latest(scalar_text(*value));
  }
  return false;
}

}  // namespace

Result<void> load_defaults(SchemaSet& schemas, std::string_view file, std::string_view text) {
  for (const TextLine& line : split_lines(text)) {
    std::string_view rest = line.text;
    std::string_view when = cut(rest, " when ");
    std::vector<std::string_view> words = split_words(rest);
    if (words.size() < 4) return line_error(file, line, "expected TYPE PATH ACTION OPERAND");
    ObjectType* type = schemas.find_type(words[0]);
    if (type == nullptr) return line_error(file, line, "unknown type");
    DefaultRule& rule = schemas.add_default_rule();
    rule.path = parse_path(words[1]);
    std::string_view operand = rest.substr(static_cast<std::size_t>(words[3].data() - rest.data()));
    auto conditions = parse_conditions(when);
    bool good = !rule.path.empty() && rule.path.back().kind == PathStep::Kind::member &&
                conditions && parse_action(rule, words[2], operand);
    if (!good) return line_error(file, line, "bad path, action or condition");
    rule.conditions = std::move(*conditions);
    type->defaults.push_back(&rule);
    if (rule.path.size() > 1) continue;
    auto property = std::ranges::find(type->properties, rule.path[0].name, &Property::name);
    if (property == type->properties.end()) return line_error(file, line, "unknown field");
    if (rule.action == DefaultRule::Action::value && rule.conditions.empty()) {
      property->default_value = &rule.value;
    }
  }
  return {};
}

Result<void> load_validations(SchemaSet& schemas, std::string_view file, std::string_view text) {
  for (const TextLine& line : split_lines(text)) {
    std::string_view rest = line.text;
    std::string_view message = cut(rest, " -- ");
    std::string_view when = cut(rest, " when ");
    std::vector<std::string_view> words = split_words(rest);
    if (words.size() < 3) return line_error(file, line, "expected TYPE PATH CHECK");
    ObjectType* type = schemas.find_type(words[0]);
    if (type == nullptr) return line_error(file, line, "unknown type");
    ValidationRule& rule = schemas.add_validation_rule();
    bool whole = words[1] == ".";
    if (!whole) rule.path = parse_path(words[1]);
    rule.text = message;
    auto conditions = parse_conditions(when);
    bool good = (whole || !rule.path.empty()) && conditions &&
                parse_check(rule, words[2], Words(words).subspan(3));
    if (!good) return line_error(file, line, "bad path, check or condition");
    rule.conditions = std::move(*conditions);
    if (!whole && type->find(rule.path[0].name) == nullptr) {
      return line_error(file, line, "unknown field");
    }
    type->validations.push_back(&rule);
  }
  return {};
}

bool conditions_hold(const std::vector<RuleCondition>& conditions, const json::object& holder,
                     const json::object& type, const json::object* old) {
  return std::ranges::all_of(conditions, [&](const RuleCondition& condition) {
    switch (condition.base) {
      case RuleCondition::Base::holder: return holds(condition, holder);
      case RuleCondition::Base::type: return holds(condition, type);
      case RuleCondition::Base::old: return old != nullptr && holds(condition, *old);
    }
    return false;
  });
}

const json::value* find_step(const json::object& object, const RulePath& path) {
  const json::object* parent = &object;
  const json::value* value = nullptr;
  for (const PathStep& step : path) {
    if (parent == nullptr) return nullptr;
    value = parent->if_contains(step.name);
    if (value == nullptr) return nullptr;
    parent = value->if_object();
  }
  return value;
}

}  // namespace tulle::kube
