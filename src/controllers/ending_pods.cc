#include "controllers/ending_pods.h"

#include <boost/json.hpp>

namespace tulle::controllers {

EndingPods::EndingPods(Shared& shared) : shared_(shared) {
  shared_.pods.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    const bool other = before && after && kube::uid_of(*before) != kube::uid_of(*after);
    if (before && (!after || other)) pods_.erase(std::string(kube::uid_of(*before)));
    if (after && kube::is_deleting(*after)) pods_.erase(std::string(kube::uid_of(*after)));
  });
}

void EndingPods::told(const json::object& pod) {
  // One that is gone by now, or seen to go, will not be heard of again.
  const ObjectPtr current = shared_.pods.get(kube::key_of(pod));
  if (!current || kube::is_deleting(*current) || kube::uid_of(*current) != kube::uid_of(pod))
    return;
  pods_.insert_or_assign(std::string(kube::uid_of(pod)), Telling::told);
}

void EndingPods::answered(const json::object& pod) {
  const auto known = pods_.find(kube::uid_of(pod));
  if (known != pods_.end()) known->second = Telling::answered;
}

bool EndingPods::contains(const json::object& pod) const {
  return pods_.contains(kube::uid_of(pod));
}

bool EndingPods::is_unanswered(const json::object& pod) const {
  const auto known = pods_.find(kube::uid_of(pod));
  return known != pods_.end() && known->second == Telling::told;
}

}  // namespace tulle::controllers
