#include "apiserver/limits.h"

#include "apiserver/strategy.h"
#include "base/format.h"
#include "kube/object.h"
#include "kube/quota.h"
#include "kube/resources.h"

#include <fmt/ranges.h>
#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <vector>

namespace tulle::apiserver {

namespace json = boost::json;
using kube::Resources;

namespace {

const kube::GroupResource pods{"", "pods"};

// The objects of one built-in kind in a namespace, with those on their way to the store.
std::vector<DocumentRef> heads(Context& context, const kube::KindDefinition& kind,
                               std::string_view namespace_) {
  const auto items = context.store.heads(Objects::bucket(kind), namespace_);
  std::vector<DocumentRef> documents;
  documents.reserve(items.size());
  for (const store::ItemRef& item : items) {
    documents.push_back(context.objects.document(kind, item));
  }
  return documents;
}

std::vector<DocumentRef> limit_ranges(Context& context, std::string_view namespace_) {
  const kube::KindRef kind = context.scheme.find_resource("", "v1", "limitranges");
  return heads(context, *kind, namespace_);
}

std::vector<DocumentRef> priority_classes(Context& context) {
  const kube::KindRef kind =
      context.scheme.find_resource("scheduling.k8s.io", "v1", "priorityclasses");
  return heads(context, *kind, "");
}

// --- Priority -----------------------------------------------------------------------------------

// The one of this name; for "" the default, of several the one that is worth least.
DocumentRef priority_class(Context& context, std::string_view name) {
  DocumentRef found;
  for (const DocumentRef& each : priority_classes(context)) {
    if (!name.empty()) {
      if (kube::name_of(*each) == name) return each;
    } else if (kube::bool_at(*each, "globalDefault") &&
               (!found || kube::integer_at(*each, "value") < kube::integer_at(*found, "value"))) {
      found = each;
    }
  }
  return found;
}

kube::ApiResult<void> settle_priority(Context& context, json::object& pod) {
  const std::string_view wanted = kube::string_at(pod, "spec.priorityClassName");
  const std::int64_t given = kube::integer_at(pod, "spec.priority");
  const DocumentRef found = priority_class(context, wanted);
  if (!found && !wanted.empty()) {
    return kube::forbidden(pods, kube::name_of(pod),
                           fmt::format("no PriorityClass with name {} was found", wanted));
  }
  const std::int64_t computed = found ? kube::integer_at(*found, "value") : 0;
  if (given != 0 && given != computed) {
    return kube::forbidden(
        pods, kube::name_of(pod),
        fmt::format("the integer value of priority ({}) must not be provided in pod spec; priority "
                    "admission controller computed {} from the given PriorityClass name",
                    given, computed));
  }
  if (!found) return {};
  const json::object& chosen = *found;
  json::object& spec = kube::ensure_object(pod, "spec");
  spec["priorityClassName"] = kube::name_of(chosen);
  spec["priority"] = kube::integer_at(chosen, "value");
  spec["preemptionPolicy"] = kube::string_at(chosen, "preemptionPolicy", "PreemptLowerPriority");
  return {};
}

// --- Limit ranges -------------------------------------------------------------------------------

// Adds to `list` of the container's resources what `defaults` has and it lacks.
void fill_in(json::object& container, std::string_view list, const json::object& defaults) {
  if (defaults.empty()) return;
  json::object& amounts = kube::ensure_object(kube::ensure_object(container, "resources"), list);
  for (const auto& [name, amount] : defaults) amounts.emplace(name, amount);
}

void fill_in_containers(json::object& pod, const json::object& item) {
  for (const char* list : {"spec.containers", "spec.initContainers"}) {
    json::array* containers = kube::find_array(pod, list);
    if (containers == nullptr) continue;
    for (json::value& value : *containers) {
      json::object* container = value.if_object();
      if (container == nullptr) continue;
      fill_in(*container, "requests", kube::object_at(item, "defaultRequest"));
      fill_in(*container, "limits", kube::object_at(item, "default"));
    }
  }
}

// What one item of a LimitRange is held against.
struct Subject {
  std::string_view type;  // "Container", "Pod", "PersistentVolumeClaim"
  Resources requests;
  Resources limits;
};

std::string amount_or_none(const Resources& resources, std::string_view name) {
  const auto found = resources.find(name);
  return found == resources.end() ? "" : found->second.to_string();
}

void check_minimum(const Subject& subject, const json::object& item,
                   std::vector<std::string>& complaints) {
  for (const auto& [name, minimum] : kube::resources_from(kube::object_at(item, "min"))) {
    const auto request = subject.requests.find(name);
    const auto limit = subject.limits.find(name);
    if (request == subject.requests.end()) {
      complaints.push_back(fmt::format("minimum {} usage per {} is {}.  No request is specified",
                                       name, subject.type, minimum.to_string()));
    } else if (request->second < minimum) {
      complaints.push_back(fmt::format("minimum {} usage per {} is {}, but request is {}", name,
                                       subject.type, minimum.to_string(),
                                       request->second.to_string()));
    } else if (limit != subject.limits.end() && limit->second < minimum) {
      complaints.push_back(fmt::format("minimum {} usage per {} is {}, but limit is {}", name,
                                       subject.type, minimum.to_string(),
                                       limit->second.to_string()));
    }
  }
}

void check_maximum(const Subject& subject, const json::object& item,
                   std::vector<std::string>& complaints) {
  // A claim has no limits: what it asks for is what it may use.
  const bool by_request = subject.type == "PersistentVolumeClaim";
  const Resources& used = by_request ? subject.requests : subject.limits;
  const std::string_view what = by_request ? "request" : "limit";
  for (const auto& [name, maximum] : kube::resources_from(kube::object_at(item, "max"))) {
    const auto found = used.find(name);
    const auto request = subject.requests.find(name);
    if (found == used.end()) {
      complaints.push_back(fmt::format("maximum {} usage per {} is {}.  No {} is specified", name,
                                       subject.type, maximum.to_string(), what));
    } else if (found->second > maximum) {
      complaints.push_back(fmt::format("maximum {} usage per {} is {}, but {} is {}", name,
                                       subject.type, maximum.to_string(), what,
                                       found->second.to_string()));
    } else if (request != subject.requests.end() && request->second > maximum) {
      complaints.push_back(fmt::format("maximum {} usage per {} is {}, but request is {}", name,
                                       subject.type, maximum.to_string(),
                                       request->second.to_string()));
    }
  }
}

void check_ratio(const Subject& subject, const json::object& item,
                 std::vector<std::string>& complaints) {
  const json::object& ratios = kube::object_at(item, "maxLimitRequestRatio");
  for (const auto& [name, most] : kube::resources_from(ratios)) {
    const auto request = subject.requests.find(name);
    const auto limit = subject.limits.find(name);
    const bool known = request != subject.requests.end() && !request->second.is_zero() &&
                       limit != subject.limits.end();
    const double ratio = known ? static_cast<double>(limit->second.milli_value()) /
                                     static_cast<double>(request->second.milli_value())
                               : 0;
    if (known && ratio <= static_cast<double>(most.milli_value()) / 1000) continue;
    complaints.push_back(
        known
            ? fmt::format("{} max limit to request ratio per {} is {}, but provided ratio is {:f}",
                          name, subject.type, most.to_string(), ratio)
            : fmt::format("{} max limit to request ratio per {} is {}, but no request is "
                          "specified or request is 0",
                          name, subject.type, most.to_string()));
  }
}

std::vector<Subject> subjects_of(const kube::KindDefinition& kind, const json::object& object) {
  std::vector<Subject> subjects;
  if (!is_pod(kind)) {
    subjects.push_back(
        {.type = "PersistentVolumeClaim",
         .requests = kube::resources_from(kube::object_at(object, "spec.resources.requests")),
         .limits = {}});
    return subjects;
  }
  for (const char* list : {"spec.containers", "spec.initContainers"}) {
    const json::array& containers = kube::array_at(object, list);
    subjects.reserve(subjects.size() + containers.size() + 1);
    for (const json::value& value : containers) {
      const json::object& container = kube::object_or_empty(value);
      subjects.push_back(
          {.type = "Container",
           .requests = kube::resources_from(kube::object_at(container, "resources.requests")),
           .limits = kube::resources_from(kube::object_at(container, "resources.limits"))});
    }
  }
  subjects.push_back(
      {.type = "Pod", .requests = kube::pod_requests(object), .limits = kube::pod_limits(object)});
  return subjects;
}

kube::ApiResult<void> check_limit_ranges(Context& context, const Call& call,
                                         const json::object& object) {
  std::vector<std::string> complaints;
  const auto subjects = subjects_of(*call.kind, object);
  for (const DocumentRef& range : limit_ranges(context, call.namespace_)) {
    for (const json::value& value : kube::array_at(*range, "spec.limits")) {
      const json::object& item = kube::object_or_empty(value);
      for (const Subject& subject : subjects) {
        if (subject.type != kube::string_at(item, "type")) continue;
        check_minimum(subject, item, complaints);
        check_maximum(subject, item, complaints);
        check_ratio(subject, item, complaints);
      }
    }
  }
  if (complaints.empty()) return {};
  const std::string why = complaints.size() == 1 ? complaints.front()
                                                 : fmt::format("[{}]", fmt::join(complaints, ", "));
  return kube::forbidden(call.resource(), kube::name_of(object), why);
}

// --- Quotas -------------------------------------------------------------------------------------

// "requests.cpu for: web": what a quota counts and a container of the pod does not state.
std::vector<std::string> unstated(const json::object& pod, const Resources& hard) {
  constexpr std::array names{"limits.cpu",      "limits.memory", "requests.cpu",
                             "requests.memory", "cpu",           "memory"};
  std::vector<std::string> missing;
  for (const std::string_view name : names) {
    if (!hard.contains(name)) continue;
    const bool limit = name.starts_with("limits.");
    const std::string_view resource = name.substr(name.find('.') + 1);  // whole where there is none
    std::vector<std::string_view> containers;
    for (const char* list : {"spec.initContainers", "spec.containers"}) {
      for (const json::value& value : kube::array_at(pod, list)) {
        const json::object& container = kube::object_or_empty(value);
        const json::object& amounts =
            kube::object_at(container, limit ? "resources.limits" : "resources.requests");
        if (!amounts.contains(resource)) containers.push_back(kube::string_at(container, "name"));
      }
    }
    if (containers.empty()) continue;
    missing.push_back(fmt::format("{} for: {}", name, fmt::join(containers, ",")));
  }
  return missing;
}

std::string listed(const Resources& resources, const std::vector<std::string>& names) {
  std::vector<std::string> parts;
  parts.reserve(names.size());
  for (const std::string& name : names) {
    const std::string amount = amount_or_none(resources, name);
    parts.push_back(fmt::format("{}={}", name, amount.empty() ? "0" : amount));
  }
  return fmt::format("{}", fmt::join(parts, ","));
}

// What all objects of the call's kind use of the quota, but for the one that is written.
Resources used_by_others(Context& context, const Call& call, const json::object& quota,
                         std::string_view name) {
  Resources used;
  for (const DocumentRef& other : heads(context, *call.kind, call.namespace_)) {
    if (kube::name_of(*other) == name) continue;
    if (!kube::quota_covers(quota, call.kind->group, call.kind->plural, *other)) continue;
    for (const auto& [resource, amount] :
         kube::quota_usage(call.kind->group, call.kind->plural, *other)) {
      used[resource] += amount;
    }
  }
  return used;
}

// Of what the quota limits, what the object uses more of than before. Shrinking is never refused.
std::vector<std::string> grown(const Resources& hard, const Resources& before,
                               const Resources& wanted) {
  std::vector<std::string> names;
  for (const auto& [resource, most] : hard) {
    const auto more = wanted.find(resource);
    if (more == wanted.end()) continue;
    const auto had = before.find(resource);
    if (had == before.end() || more->second > had->second) names.push_back(resource);
  }
  return names;
}

kube::ApiResult<void> check_quota(Context& context, const Call& call, const json::object& quota,
                                  const json::object* old, const json::object& object) {
  if (!kube::quota_covers(quota, call.kind->group, call.kind->plural, object)) return {};
  const Resources hard = kube::resources_from(kube::object_at(quota, "spec.hard"));
  const std::string_view name = kube::name_of(object);
  if (is_pod(*call.kind) && old == nullptr) {
    if (const auto missing = unstated(object, hard); !missing.empty()) {
      return kube::forbidden(call.resource(), name,
                             fmt::format("failed quota: {}: must specify {}", kube::name_of(quota),
                                         fmt::join(missing, "; ")));
    }
  }
  const Resources wanted = kube::quota_usage(call.kind->group, call.kind->plural, object);
  const Resources before =
      old == nullptr ? Resources{} : kube::quota_usage(call.kind->group, call.kind->plural, *old);
  const auto growing = grown(hard, before, wanted);
  if (growing.empty()) return {};
  const Resources others = used_by_others(context, call, quota, name);
  std::vector<std::string> exceeded;
  for (const std::string& resource : growing) {
    const auto taken = others.find(resource);
    kube::Quantity sum = taken == others.end() ? kube::Quantity() : taken->second;
    sum += wanted.at(resource);
    if (sum > hard.at(resource)) exceeded.push_back(resource);
  }
  if (exceeded.empty()) return {};
  return kube::forbidden(
      call.resource(), name,
      fmt::format("exceeded quota: {}, requested: {}, used: {}, limited: {}", kube::name_of(quota),
                  listed(wanted, exceeded), listed(others, exceeded), listed(hard, exceeded)));
}

// Of an object that is there already only a claim can ask for more. What it has it may keep.
bool is_limited(const kube::KindDefinition& kind, const json::object* old,
                const json::object& object) {
  if (is_pod(kind)) return old == nullptr;
  if (!kind.group.empty() || kind.kind != "PersistentVolumeClaim") return false;
  return old == nullptr ||
         kube::object_at(*old, "spec.resources") != kube::object_at(object, "spec.resources");
}

}  // namespace

kube::ApiResult<void> complete_pod(Context& context, json::object& pod) {
  TRY_VOID(settle_priority(context, pod));
  for (const DocumentRef& range : limit_ranges(context, kube::namespace_of(pod))) {
    for (const json::value& value : kube::array_at(*range, "spec.limits")) {
      const json::object& item = kube::object_or_empty(value);
      if (kube::string_at(item, "type") == "Container") fill_in_containers(pod, item);
    }
  }
  kube::set_at(pod, "status.qosClass", json::value(kube::qos_class(pod)));
  return {};
}

kube::ApiResult<void> admit_by_limits(Context& context, const Call& call, const json::object* old,
                                      const json::object& object) {
  if (!call.kind->namespaced || !call.subresource.empty()) return {};
  if (is_limited(*call.kind, old, object)) TRY_VOID(check_limit_ranges(context, call, object));
  const kube::KindRef quotas = context.scheme.find_resource("", "v1", "resourcequotas");
  for (const DocumentRef& quota : heads(context, *quotas, call.namespace_)) {
    TRY_VOID(check_quota(context, call, *quota, old, object));
  }
  return {};
}

}  // namespace tulle::apiserver
