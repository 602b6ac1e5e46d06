#include "apiserver/event_stream.h"

#include "base/format.h"
#include "kube/object.h"
#include "rt/combine.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::apiserver {

namespace json = boost::json;

kube::ApiResult<std::unique_ptr<EventStream>> EventStream::open(Context& context, const Call& call,
                                                                ListQuery query) {
  std::unique_ptr<EventStream> stream(new EventStream(context, call, std::move(query)));
  TRY_VOID(stream->begin());
  return stream;
}

EventStream::EventStream(Context& context, const Call& call, ListQuery query)
    : context_(context),
      kind_(call.kind),
      namespace_(call.namespace_),
      name_(call.name),
      query_(std::move(query)) {
  Duration timeout = watch_timeout_min;
  if (query_.timeout_seconds.value_or(0) > 0) {
    auto asked = std::min<std::uint64_t>(*query_.timeout_seconds, 24 * 3600);
    timeout = std::chrono::seconds(asked);
  } else {
    timeout += Duration(context_.random.below(static_cast<std::uint64_t>(timeout.count())));
  }
  deadline_ = context_.loop.now() + timeout;
  next_bookmark_ = query_.allow_bookmarks ? context_.loop.now() + bookmark_interval : kNever;
}

kube::ApiResult<void> EventStream::begin() {
  store::Revision current = context_.store.revision();
  store::Revision asked = query_.resource_version.value_or(0);
  if (asked > current) return kube::too_large_resource_version(asked, current);

  bool initial_events = query_.send_initial_events.value_or(asked == 0);
  store::Revision from = initial_events || asked == 0 ? current : asked;
  std::string bucket = Objects::bucket(*kind_);
  std::optional<std::string_view> within;
  if (!namespace_.empty()) within = namespace_;
  auto watch = context_.store.watch({.bucket = bucket, .namespace_ = within, .from = from});
  if (!watch) return kube::expired(fmt::format("too old resource version: {}", from));
  watch_ = *std::move(watch);
  if (!initial_events) return {};

  TRY(store::Listing listing, context_.store.list({.bucket = bucket, .namespace_ = within}));
  for (store::ItemRef& item : listing.items) {
    if (!selects(item)) continue;
    store::Revision revision = item->revision;
    initial_.push_back({.type = WatchType::added, .item = std::move(item), .revision = revision});
  }
  if (query_.send_initial_events.value_or(false) && query_.allow_bookmarks) {
    initial_.push_back({.type = WatchType::bookmark,
                        .item = nullptr,
                        .revision = current,
                        .ends_initial_events = true});
  }
  return {};
}

kube::ApiResult<std::optional<StreamEvent>> EventStream::try_next() {
  if (!initial_.empty()) {
    std::optional<StreamEvent> event(std::move(initial_.front()));
    initial_.pop_front();
    return event;
  }
  for (;;) {
    auto event = watch_->try_next();
    if (!event) return kube::expired("The watch fell behind; list again");
    if (!*event) return std::optional<StreamEvent>();
    if (auto translated = translate(**event)) return translated;
  }
}

rt::Task<kube::ApiResult<std::optional<StreamEvent>>> EventStream::next() {
  for (;;) {
    auto event = try_next();
    if (!event || *event) co_return event;
    Instant now = context_.loop.now();
    if (now >= deadline_) co_return std::optional<StreamEvent>();
    if (now >= next_bookmark_) {
      next_bookmark_ = now + bookmark_interval;
      co_return StreamEvent{
          .type = WatchType::bookmark, .item = nullptr, .revision = context_.store.revision()};
    }
    co_await rt::race(watch_->ready(),
                      rt::until(context_.loop, std::min(deadline_, next_bookmark_)));
  }
}

json::object EventStream::bookmark(const StreamEvent& event) const {
  json::object metadata{{"resourceVersion", std::to_string(event.revision)},
                        {"creationTimestamp", nullptr}};
  if (event.ends_initial_events) {
    metadata["annotations"] = {{"k8s.io/initial-events-end", "true"}};
  }
  return {{"kind", kind_->kind}, {"apiVersion", kind_->api_version()}, {"metadata", metadata}};
}

std::optional<StreamEvent> EventStream::translate(const store::Event& event) {
  bool before = event.previous && selects(event.previous);
  bool after = !event.deleted && selects(event.item);
  if (!before && !after) return std::nullopt;
  WatchType type = WatchType::modified;
  if (!before) type = WatchType::added;
  if (!after) type = WatchType::deleted;
  return StreamEvent{.type = type, .item = event.item, .revision = event.item->revision};
}

bool EventStream::selects(const store::ItemRef& item) {
  if (!name_.empty() && item->key.name != name_) return false;
  return query_.selects_all() || query_.matches(*context_.objects.document(*kind_, item));
}

}  // namespace tulle::apiserver
