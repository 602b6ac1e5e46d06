// Events (core/v1): what a component wants a person to see in `kubectl describe`.
#pragma once

#include "base/random.h"
#include "kubeclient/client.h"
#include "rt/scope.h"

#include <boost/json/object.hpp>

#include <deque>
#include <map>
#include <string>

namespace tulle::kubeclient {

enum class EventType : std::uint8_t { normal, warning };

struct EventText {
  EventType type = EventType::normal;
  std::string reason;  // "ScalingReplicaSet"
  std::string message;
};

// Writes events in the background. The same event again raises the count of the first. When too
// much is waiting the newest are dropped, and failures to write are: events are hints, not records.
class EventRecorder final {
 public:
  static constexpr std::size_t waiting_max = 1024;
  static constexpr std::size_t remembered_max = 1024;

  // `client` must outlive the recorder. `component` is source.component ("deployment-controller"),
  // `host` source.host, empty where none.
  EventRecorder(rt::Loop& loop, Client& client, Random random, std::string component,
                std::string host = {});

  // About `object`, which has apiVersion, kind and metadata.
  void record(const boost::json::object& object, EventText text);

 private:
  struct Waiting {
    std::string key;
    boost::json::object event;
  };

  rt::Task<void> write_all();
  rt::Task<void> write(const std::string& key, boost::json::object event);

  rt::Loop& loop_;
  Client& client_;
  Random random_;
  const std::string component_;
  const std::string host_;
  std::deque<Waiting> waiting_;
  std::map<std::string, ObjectPtr> written_;  // by what makes two events the same
  rt::WaitList more_;
  rt::Scope scope_;
};

}  // namespace tulle::kubeclient
