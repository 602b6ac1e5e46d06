#include "kubeclient/events.h"

#include "kube/object.h"
#include "kube/time.h"
#include "kubeclient/resources.h"

#include <fmt/format.h>
#include <boost/json.hpp>

namespace tulle::kubeclient {

namespace {

namespace json = boost::json;

std::string now_text(const rt::Loop& loop) {
  return kube::format_time(
      std::chrono::time_point_cast<std::chrono::microseconds>(loop.wall_now()));
}

json::object reference_to(const json::object& object) {
  return {{"apiVersion", kube::api_version_of(object)},
          {"kind", kube::kind_of(object)},
          {"namespace", kube::namespace_of(object)},
          {"name", kube::name_of(object)},
          {"uid", kube::uid_of(object)},
          {"resourceVersion", kube::resource_version_of(object)}};
}

}  // namespace

EventRecorder::EventRecorder(rt::Loop& loop, Client& client, Random random, std::string component,
                             std::string host)
    : loop_(loop),
      client_(client),
      random_(random),
      component_(std::move(component)),
      host_(std::move(host)),
      scope_(loop) {
  scope_.spawn(write_all());
}

void EventRecorder::record(const json::object& object, EventText text) {
  if (waiting_.size() >= waiting_max) return;
  const std::string_view type = text.type == EventType::normal ? "Normal" : "Warning";
  const std::string now = now_text(loop_);
  const std::string_view space =
      kube::namespace_of(object).empty() ? "default" : kube::namespace_of(object);
  json::object source{{"component", component_}};
  if (!host_.empty()) source["host"] = host_;
  json::object event{{"apiVersion", "v1"},
                     {"kind", "Event"},
                     {"metadata",
                      {{"name", fmt::format("{}.{:016x}", kube::name_of(object), random_.next())},
                       {"namespace", space}}},
                     {"involvedObject", reference_to(object)},
                     {"reason", text.reason},
                     {"message", text.message},
                     {"source", std::move(source)},
                     {"firstTimestamp", now},
                     {"lastTimestamp", now},
                     {"count", 1},
                     {"type", type},
                     {"reportingComponent", component_},
                     {"reportingInstance", host_}};
  std::string key =
      fmt::format("{}\n{}\n{}\n{}", kube::uid_of(object), type, text.reason, text.message);
  waiting_.push_back({.key = std::move(key), .event = std::move(event)});
  more_.wake_all(loop_);
}

rt::Task<void> EventRecorder::write_all() {
  for (;;) {
    while (waiting_.empty()) co_await rt::wait_on(more_);
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    co_await write(next.key, std::move(next.event));
  }
}

rt::Task<void> EventRecorder::write(const std::string& key, json::object event) {
  const auto known = written_.find(key);
  if (known != written_.end()) {
    json::object again = *known->second;
    again["count"] = kube::integer_at(again, "count", 1) + 1;
    again["lastTimestamp"] = event["lastTimestamp"];
    auto updated = co_await client_.update(kEvents, std::move(again), {});
    if (updated) {
      written_[key] = *std::move(updated);
      co_return;
    }
    written_.erase(key);  // expired, or changed by somebody: begin anew
  }
  auto created = co_await client_.create(kEvents, std::move(event));
  if (!created) co_return;
  if (written_.size() >= remembered_max) written_.erase(written_.begin());
  written_[key] = *std::move(created);
}

}  // namespace tulle::kubeclient
