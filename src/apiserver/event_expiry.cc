#include "apiserver/event_expiry.h"

#include "kube/object.h"
#include "rt/sleep.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::apiserver {

namespace {

kube::Time last_seen(const boost::json::object& event) {
  kube::Time last{};
  for (std::string_view path :
       {"series.lastObservedTime", "lastTimestamp", "eventTime", "metadata.creationTimestamp"}) {
    auto time = kube::parse_time(kube::string_at(event, path));
    if (time) last = std::max(last, *time);
  }
  return last;
}

rt::Task<void> remove_old(Context& context, const kube::KindDefinition& kind) {
  std::string bucket = Objects::bucket(kind);
  auto listing = context.store.list({.bucket = bucket});
  if (!listing) co_return;
  for (const store::ItemRef& item : listing->items) {
    DocumentRef document = context.objects.document(kind, item);
    if (context.now() - last_seen(*document) < event_lifetime) continue;
    // One that changed meanwhile is not old; one that cannot be written now is tried again later.
    (void)co_await context.objects.erase(kind, item->key, store::Expected::at(item->revision),
                                         *document);
  }
}

}  // namespace

rt::Task<void> expire_events(Context& context) {
  for (;;) {
    co_await rt::sleep(context.loop, event_expiry_interval);
    kube::KindRef kind = context.scheme.find_resource("", "v1", "events");
    if (kind) co_await remove_old(context, *kind);
  }
}

}  // namespace tulle::apiserver
