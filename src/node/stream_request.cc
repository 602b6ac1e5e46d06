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
  return kube::bad_request(
      fmt::format("container \"{}\" in pod \"{}\" is waiting to start: ContainerCreating",
                  container, kube::name_of(*request.pod)));
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
