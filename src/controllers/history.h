// The revisions of a workload's template, kept as ControllerRevisions: what a rollout comes from
// and goes to, and what `kubectl rollout undo` goes back to.
#pragma once

#include "controllers/shared.h"

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::controllers {

inline constexpr std::string_view kRevisionLabel = "controller-revision-hash";  // of pods

using LiveRevisions = std::set<std::string, std::less<>>;  // names

// Of the workloads of one kind. All must outlive it.
class History final {
 public:
  // `hash_label`: the label in which a revision says its hash.
  History(Shared& shared, kubeclient::Cache& owners, std::string_view hash_label)
      : shared_(shared), owners_(owners), hash_label_(hash_label) {}

  // The owner's revisions, oldest first: the last is that of its template as it is now, made where
  // there was none, and made the newest where the owner came back to an old one. Where another
  // template has the name already, the owner's status.collisionCount goes up and this fails; the
  // next try takes another name. REQUIRES: the owner is not being deleted.
  rt::Task<ApiResult<std::vector<ObjectPtr>>> follow(ObjectPtr owner);

  // Removes the oldest of the `revisions` that are not `live`, but for the last
  // spec.revisionHistoryLimit of them.
  rt::Task<ApiResult<void>> forget(ObjectPtr owner, std::vector<ObjectPtr> revisions,
                                   LiveRevisions live);

 private:
  rt::Task<ApiResult<ObjectPtr>> create(ObjectPtr owner, std::int64_t number);
  rt::Task<ApiResult<void>> count_collision(ObjectPtr owner);

  Shared& shared_;
  kubeclient::Cache& owners_;
  const std::string_view hash_label_;
};

std::int64_t revision_number(const json::object& revision);

// What a revision of the owner's template holds: a strategic merge patch that brings it back.
json::object revision_data(const json::object& owner);
// The template in a revision's data.
json::object template_in(const json::object& revision);

// A revision, named after its owner and a hash of the data and the owner's count of collisions.
json::object new_revision(const json::object& owner, std::string_view hash_label,
                          std::int64_t number);

// Oldest first; of equal numbers the one that was made first.
void sort_oldest_first(std::vector<ObjectPtr>& revisions);

// Which of the `revisions` (oldest first) may go.
std::vector<ObjectPtr> forgettable(const std::vector<ObjectPtr>& revisions,
                                   const LiveRevisions& live, std::size_t limit);

}  // namespace tulle::controllers
