// A watch without its wire format: what happened to the objects that a query selects.
#pragma once

#include "apiserver/context.h"
#include "apiserver/list_query.h"
#include "kubeclient/client.h"
#include "rt/task.h"

#include <deque>
#include <memory>
#include <optional>
#include <string>

namespace tulle::apiserver {

using kubeclient::WatchType;

// How often an idle watch is told how far it is.
inline constexpr Duration bookmark_interval = std::chrono::seconds(60);
// A watch without timeoutSeconds ends after a random time between this and its double, so that the
// clients of a restarted server do not all come back at once.
inline constexpr Duration watch_timeout_min = std::chrono::minutes(30);

struct StreamEvent {
  WatchType type = WatchType::added;
  store::ItemRef item;               // null for a bookmark
  store::Revision revision = 0;      // of the item, or how far the watch is
  bool ends_initial_events = false;  // of a bookmark
};

class EventStream final {
 public:
  // 410 where the log does not reach back far enough, 504 for a revision of the future.
  static kube::ApiResult<std::unique_ptr<EventStream>> open(Context& context, const Call& call,
                                                            ListQuery query);

  // The next event that is there already; nothing if there is none.
  kube::ApiResult<std::optional<StreamEvent>> try_next();
  // Waits for the next; nothing once the time is over. Dropping it loses nothing.
  rt::Task<kube::ApiResult<std::optional<StreamEvent>>> next();

  const kube::KindDefinition& kind() const { return *kind_; }
  // The document of a bookmark.
  boost::json::object bookmark(const StreamEvent& event) const;

 private:
  EventStream(Context& context, const Call& call, ListQuery query);
  kube::ApiResult<void> begin();
  // What the event is to a client that sees only what the query selects.
  std::optional<StreamEvent> translate(const store::Event& event);
  bool selects(const store::ItemRef& item);

  Context& context_;
  kube::KindRef kind_;
  const std::string namespace_;
  const std::string name_;  // where only one object is watched
  const ListQuery query_;
  std::deque<StreamEvent> initial_;
  std::unique_ptr<store::Watch> watch_;
  Instant deadline_;
  Instant next_bookmark_;
};

}  // namespace tulle::apiserver
