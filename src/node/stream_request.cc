#include "node/stream_request.h"

#include "base/format.h"
#include "kube/object.h"
#include "node/container.h"
#include "node/pod_context.h"

#include <boost/json.hpp>

#include <unistd.h>
#include <algorithm>

namespace tulle::node {

namespace json = boost::json;

namespace {

// What a container that has not run yet waits for, in the words of upstream's logs.
std::string_view what_it_waits_for(const json::object& pod, std::string_view container) {
  std::string_view reason;
  for (const std::string_view list : {"status.containerStatuses", "status.initContainerStatuses",
                                      "status.ephemeralContainerStatuses"}) {
    for (const json::value& each : kube::array_at(pod, list)) {
      const json::object& status = kube::object_or_empty(each);
      if (kube::string_at(status, "name") != container) continue;
      reason = kube::string_at(status, "state.waiting.reason");
    }
  }
  if (reason == "ErrImagePull") return "image can't be pulled";
  if (reason == "ImagePullBackOff") return "trying and failing to pull image";
  return reason.empty() ? "ContainerCreating" : reason;
}

}  // namespace

kube::ApiResult<std::string> chosen_container(const StreamRequest& request) {
  std::vector<std::string> names;
  for (const std::string_view list :
       {"spec.containers", "spec.initContainers", "spec.ephemeralContainers"}) {
    for (const json::value& each : kube::array_at(*request.pod, list)) {
      names.emplace_back(kube::string_at(kube::object_or_empty(each), "name"));
    }
  }
  const std::string_view pod = kube::name_of(*request.pod);
  std::string wanted(request.query.get_or("container", ""));
  if (wanted.empty()) {
    if (kube::array_at(*request.pod, "spec.containers").size() == 1) return names.front();
    std::string all;
    for (const std::string& name : names) all += all.empty() ? name : " " + name;
    return kube::bad_request(fmt::format(
        "a container name must be specified for pod {}, choose one of: [{}]", pod, all));
  }
  if (std::ranges::find(names, wanted) != names.end()) return wanted;
  return kube::bad_request(fmt::format("container {} is not valid for pod {}", wanted, pod));
}

kube::ApiResult<RunPlace> latest_run(const StreamRequest& request, const std::string& container) {
  const PodPlace pod = place_of(request.node, *request.pod);
  const std::vector<int> runs = find_runs(pod, container);
  if (!runs.empty()) return RunPlace{.pod = pod, .container = container, .number = runs.back()};
  return kube::bad_request(fmt::format("container \"{}\" in pod \"{}\" is waiting to start: {}",
                                       container, kube::name_of(*request.pod),
                                       what_it_waits_for(*request.pod, container)));
}

kube::ApiResult<RunPlace> current_run(const StreamRequest& request) {
  TRY(const std::string container, chosen_container(request));
  TRY(RunPlace place, latest_run(request, container));
  if (::access((place.bundle() + "/exit").c_str(), F_OK) != 0) return place;
  return kube::bad_request(fmt::format("container not found (\"{}\")", container));
}

bool flag_in(const codec::Query& query, std::string_view name) {
  const std::string_view text = query.get_or(name, "false");
  return text == "true" || text == "1";
}

}  // namespace tulle::node
