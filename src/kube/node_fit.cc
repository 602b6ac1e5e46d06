#include "kube/node_fit.h"

#include "kube/object.h"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

namespace tulle::kube {

namespace {

constexpr std::string_view kUnschedulable = "node.kubernetes.io/unschedulable";

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
  if (error != std::errc() || end != text.end()) return std::nullopt;
  return value;
}

bool is_among(const json::array& values, std::string_view text) {
  return std::ranges::any_of(values,
                             [text](const json::value& value) { return string_or(value) == text; });
}

// A NodeSelectorRequirement over the labels, or the fields, of a node.
bool meets(const json::object& requirement, const json::object& of_node) {
  const auto* has = of_node.if_contains(string_at(requirement, "key"));
  const std::string_view text = has != nullptr ? string_or(*has) : std::string_view();
  const json::array& values = array_at(requirement, "values");
  const std::string_view op = string_at(requirement, "operator");
  if (op == "Exists") return has != nullptr;
  if (op == "DoesNotExist") return has == nullptr;
  if (op == "In") return has != nullptr && is_among(values, text);
  if (op == "NotIn") return has == nullptr || !is_among(values, text);
  const auto left = number(text);
  const auto right = values.empty() ? std::nullopt : number(string_or(values.front()));
  if (!left || !right) return false;
  return op == "Gt" ? *left > *right : op == "Lt" && *left < *right;
}

bool meets_all(const json::array& requirements, const json::object& of_node) {
  return std::ranges::all_of(requirements, [&of_node](const json::value& requirement) {
    return meets(object_or_empty(requirement), of_node);
  });
}

// A NodeSelectorTerm; one without requirements matches no node.
bool matches(const json::object& term, const json::object& node) {
  const json::array& labels = array_at(term, "matchExpressions");
  const json::array& fields = array_at(term, "matchFields");
  const json::object node_fields{{"metadata.name", name_of(node)}};
  return !(labels.empty() && fields.empty()) && meets_all(labels, labels_of(node)) &&
         meets_all(fields, node_fields);
}

bool tolerates(const json::object& toleration, const json::object& taint) {
  const std::string_view effect = string_at(toleration, "effect");
  if (!effect.empty() && effect != string_at(taint, "effect")) return false;
  const std::string_view key = string_at(toleration, "key");
  if (!key.empty() && key != string_at(taint, "key")) return false;
  if (string_at(toleration, "operator") == "Exists") return true;
  return !key.empty() && string_at(toleration, "value") == string_at(taint, "value");
}

bool tolerates_taint(const json::object& pod_spec, const json::object& taint) {
  return std::ranges::any_of(array_at(pod_spec, "tolerations"), [&taint](const json::value& each) {
    return tolerates(object_or_empty(each), taint);
  });
}

}  // namespace

bool selects_node(const json::object& pod_spec, const json::object& node) {
  for (const auto& [key, value] : object_at(pod_spec, "nodeSelector")) {
    const auto* has = labels_of(node).if_contains(key);
    if (has == nullptr || *has != value) return false;
  }
  const json::object* required =
      find_object(pod_spec, "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution");
  return required == nullptr || std::ranges::any_of(array_at(*required, "nodeSelectorTerms"),
                                                    [&node](const json::value& term) {
                                                      return matches(object_or_empty(term), node);
                                                    });
}

bool tolerates_node(const json::object& pod_spec, const json::object& node, TaintEffect effect) {
  const auto counts = [effect](std::string_view of_taint) {
    return of_taint == "NoExecute" ||
           (of_taint == "NoSchedule" && effect == TaintEffect::no_schedule);
  };
  for (const auto& value : array_at(node, "spec.taints")) {
    const auto& taint = object_or_empty(value);
    if (counts(string_at(taint, "effect")) && !tolerates_taint(pod_spec, taint)) return false;
  }
  return effect != TaintEffect::no_schedule || !bool_at(node, "spec.unschedulable") ||
         tolerates_taint(pod_spec, {{"key", kUnschedulable}, {"effect", "NoSchedule"}});
}

}  // namespace tulle::kube
