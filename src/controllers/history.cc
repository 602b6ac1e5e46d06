#include "controllers/history.h"

#include "kube/names.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>
#include <iterator>
#include <optional>
#include <tuple>

namespace tulle::controllers {

namespace {

// As upstream: a name of 253 characters keeps room for the hash.
constexpr std::size_t kPrefixMax = 223;
constexpr std::int64_t kHistoryDefault = 10;
constexpr std::string_view kPatchDirective = "$patch";

// The same document with the keys of every object in order of text. kubectl compares a revision's
// data byte by byte with what its own encoder makes of the template, and that sorts keys.
json::value with_sorted_keys(const json::value& value) {
  if (const auto* array = value.if_array()) {
    json::array sorted;
    sorted.reserve(array->size());
    for (const auto& element : *array) sorted.push_back(with_sorted_keys(element));
    return sorted;
  }
  const auto* object = value.if_object();
  if (object == nullptr) return value;
  std::vector<std::string_view> keys;
  keys.reserve(object->size());
  for (const auto& field : *object) keys.push_back(field.key());
  std::ranges::sort(keys);
  json::object sorted;
  for (const std::string_view key : keys) sorted[key] = with_sorted_keys(object->at(key));
  return sorted;
}

std::optional<std::int32_t> collisions_of(const json::object& owner) {
  if (kube::find(owner, "status.collisionCount") == nullptr) return std::nullopt;
  return static_cast<std::int32_t>(kube::integer_at(owner, "status.collisionCount"));
}

bool holds(const json::object& revision, const json::object& data) {
  return kube::object_at(revision, "data") == data;
}

}  // namespace

std::int64_t revision_number(const json::object& revision) {
  return kube::integer_at(revision, "revision");
}

json::object revision_data(const json::object& owner) {
  json::object pod_template = kube::object_at(owner, "spec.template");
  pod_template[kPatchDirective] = "replace";
  return {{"spec", {{"template", with_sorted_keys(pod_template)}}}};
}

json::object template_in(const json::object& revision) {
  json::object pod_template = kube::object_at(revision, "data.spec.template");
  pod_template.erase(kPatchDirective);
  return pod_template;
}

json::object new_revision(const json::object& owner, std::string_view hash_label,
                          std::int64_t number) {
  json::object data = revision_data(owner);
  const std::string hash = kube::template_hash(data, collisions_of(owner));
  json::object labels = kube::object_at(owner, "spec.template.metadata.labels");
  labels[hash_label] = hash;
  return {{"apiVersion", "apps/v1"},
          {"kind", "ControllerRevision"},
          {"metadata",
           {{"name", fmt::format("{}-{}", kube::name_of(owner).substr(0, kPrefixMax), hash)},
            {"namespace", kube::namespace_of(owner)},
            {"labels", std::move(labels)},
            {"annotations", kube::annotations_of(owner)},
            {"ownerReferences", json::array{kube::controller_reference_to(owner)}}}},
          {"data", std::move(data)},
          {"revision", number}};
}

void sort_oldest_first(std::vector<ObjectPtr>& revisions) {
  std::ranges::sort(revisions, [](const ObjectPtr& a, const ObjectPtr& b) {
    const auto age = [](const json::object& revision) {
      return std::tuple(revision_number(revision),
                        kube::string_at(revision, "metadata.creationTimestamp"),
                        kube::name_of(revision));
    };
    return age(*a) < age(*b);
  });
}

std::vector<ObjectPtr> forgettable(const std::vector<ObjectPtr>& revisions,
                                   const LiveRevisions& live, std::size_t limit) {
  std::vector<ObjectPtr> old;
  std::ranges::copy_if(revisions, std::back_inserter(old), [&live](const ObjectPtr& revision) {
    return !live.contains(kube::name_of(*revision));
  });
  old.resize(old.size() - std::min(old.size(), limit));
  return old;
}

rt::Task<ApiResult<std::vector<ObjectPtr>>> History::follow(ObjectPtr owner) {
  CO_TRY(auto revisions, co_await claim(shared_, shared_.controller_revisions, owner,
                                        [](const json::object& revision, const json::object&) {
                                          return !kube::is_deleting(revision);
                                        }));
  sort_oldest_first(revisions);
  const std::int64_t next = revisions.empty() ? 1 : revision_number(*revisions.back()) + 1;
  const json::object data = revision_data(*owner);
  const auto same =
      std::find_if(revisions.rbegin(), revisions.rend(),
                   [&data](const ObjectPtr& revision) { return holds(*revision, data); });
  if (same == revisions.rend()) {
    CO_TRY(ObjectPtr created, co_await create(owner, next));
    revisions.push_back(std::move(created));
    co_return revisions;
  }
  ObjectPtr current = *same;
  if (current == revisions.back()) co_return revisions;
  json::object changed = *current;
  changed["revision"] = next;
  CO_TRY(current,
         co_await shared_.client.update(kubeclient::kControllerRevisions, std::move(changed), {}));
  shared_.controller_revisions.observe(current);
  std::rotate(std::prev(same.base()), same.base(), revisions.end());
  revisions.back() = std::move(current);
  co_return revisions;
}

rt::Task<ApiResult<ObjectPtr>> History::create(ObjectPtr owner, std::int64_t number) {
  json::object revision = new_revision(*owner, hash_label_, number);
  const kubeclient::ObjectKey key{.namespace_ = std::string(kube::namespace_of(revision)),
                                  .name = std::string(kube::name_of(revision))};
  auto created =
      co_await shared_.client.create(kubeclient::kControllerRevisions, std::move(revision));
  if (created) {
    shared_.controller_revisions.observe(*created);
    co_return *std::move(created);
  }
  if (!created.error().is(kube::Reason::already_exists)) co_return created.error();
  // Ours from a try whose answer was lost, or another template's of the same hash.
  CO_TRY(const ObjectPtr existing,
         co_await shared_.client.get(kubeclient::kControllerRevisions, key));
  if (holds(*existing, revision_data(*owner)) &&
      kube::is_controlled_by(*existing, kube::uid_of(*owner))) {
    shared_.controller_revisions.observe(existing);
    co_return existing;
  }
  CO_TRY_VOID(co_await count_collision(owner));
  co_return created.error();
}

rt::Task<ApiResult<void>> History::count_collision(ObjectPtr owner) {
  json::object changed = *owner;
  kube::set_at(changed, "status.collisionCount", collisions_of(changed).value_or(0) + 1);
  co_return co_await write_status(shared_, owners_, owner, std::move(changed));
}

rt::Task<ApiResult<void>> History::forget(ObjectPtr owner, std::vector<ObjectPtr> revisions,
                                          LiveRevisions live) {
  const auto limit = static_cast<std::size_t>(std::max<std::int64_t>(
      0, kube::integer_at(*owner, "spec.revisionHistoryLimit", kHistoryDefault)));
  for (const ObjectPtr& old : forgettable(revisions, live, limit)) {
    CO_TRY_VOID(co_await remove(shared_, kubeclient::kControllerRevisions, old));
  }
  co_return ApiResult<void>();
}

}  // namespace tulle::controllers
