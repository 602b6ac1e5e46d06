#include "node/ephemeral.h"

#include "kube/object.h"
#include "kube/pod.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::node {

namespace json = boost::json;

void EphemeralContainers::start_new() {
  if (context_.ending || kube::has_ended(*context_.pod)) return;
  const kubeclient::ObjectPtr pod = context_.pod;
  for (const json::value& each : kube::array_at(*pod, "spec.ephemeralContainers")) {
    const json::object& spec = kube::object_or_empty(each);
    if (knows(kube::string_at(spec, "name"))) continue;
    runners_.push_back(
        std::make_unique<ContainerRunner>(context_, pod, spec, ContainerRole::ephemeral));
    scope_.spawn(runners_.back()->run());
    context_.touch();
  }
}

bool EphemeralContainers::knows(std::string_view name) const {
  return std::ranges::any_of(runners_,
                             [name](const auto& each) { return each->view().name == name; });
}

std::vector<ContainerView> EphemeralContainers::views() const {
  std::vector<ContainerView> views;
  views.reserve(runners_.size());
  for (const auto& each : runners_) views.push_back(each->view());
  return views;
}

std::vector<RunPlace> EphemeralContainers::running() const {
  std::vector<RunPlace> places;
  for (const auto& each : runners_) {
    if (auto place = each->running()) places.push_back(*std::move(place));
  }
  return places;
}

}  // namespace tulle::node
