#include "kubeclient/cache.h"

#include "base/log.h"
#include "rt/sleep.h"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>

namespace tulle::kubeclient {

namespace {

constexpr Duration kPauseMin = std::chrono::milliseconds(50);
constexpr Duration kPauseMax = std::chrono::seconds(10);

// Versions of Tulle and upstream are decimal numbers (KEP-5504); 0 where one is not.
std::uint64_t version_number(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::uint64_t version_number(const ObjectPtr& object) {
  return version_number(kube::resource_version_of(*object));
}

}  // namespace

Cache::Cache(rt::Loop& loop, Client& client, Random random, const Resource& resource,
             ListOptions options)
    : loop_(loop),
      client_(client),
      random_(random),
      resource_(resource),
      options_(std::move(options)),
      synced_(loop),
      scope_(loop) {}

void Cache::start() { scope_.spawn(follow()); }

ObjectPtr Cache::get(const kube::NamespacedName& key) const {
  const auto found = objects_.find(key);
  return found == objects_.end() ? nullptr : found->second;
}

void Cache::observe(const ObjectPtr& object) {
  // What the watch has passed it has told, the object's end included.
  if (version_number(object) <= version_number(resource_version_)) return;
  put(object);
}

void Cache::put(const ObjectPtr& object) {
  const auto key = kube::key_of(*object);
  const ObjectPtr known = get(key);
  if (known && version_number(known) >= version_number(object)) return;
  change(key, object);
}

rt::Task<void> Cache::follow() {
  Duration pause = kPauseMin;
  for (;;) {
    auto outcome = resource_version_.empty() ? co_await list_once() : co_await watch_once();
    if (outcome) {
      pause = kPauseMin;
      continue;
    }
    const kube::ApiStatus& status = outcome.error();
    if (status.is(kube::Reason::expired) || status.is(kube::Reason::gone)) {
      resource_version_.clear();
      continue;
    }
    log::debug("watching failed; trying again",
               {{"resource", std::string(resource_.plural)}, {"why", status.message}});
    const double jitter = random_.unit() * static_cast<double>(pause.count());
    co_await rt::sleep(loop_, pause / 2 + Duration(static_cast<std::int64_t>(jitter)));
    pause = std::min(pause * 2, kPauseMax);
  }
}

rt::Task<kube::ApiResult<void>> Cache::list_once() {
  CO_TRY(List list, co_await client_.list(resource_, options_));
  resource_version_ = list.resource_version;
  replace_all(std::move(list));
  synced_.set();
  co_return kube::ApiResult<void>();
}

// Returns in order when the server ended the watch in order.
rt::Task<kube::ApiResult<void>> Cache::watch_once() {
  CO_TRY(const auto watch, co_await client_.watch(resource_, options_, resource_version_));
  for (;;) {
    auto event = co_await watch->next();
    if (!event && event.error().is(kube::Reason::timeout)) co_return kube::ApiResult<void>();
    if (!event) co_return event.error();
    resource_version_ = kube::resource_version_of(*event->object);
    apply(*event);
  }
}

void Cache::replace_all(List list) {
  std::map<kube::NamespacedName, ObjectPtr> gone = objects_;
  // Observed while the list was under way: the list does not know it yet.
  const std::uint64_t listed = version_number(list.resource_version);
  std::erase_if(gone,
                [listed](const auto& entry) { return version_number(entry.second) > listed; });
  for (auto& object : list.items) {
    gone.erase(kube::key_of(*object));
    put(object);
  }
  for (const auto& [key, object] : gone) change(key, nullptr);
}

void Cache::apply(const WatchEvent& event) {
  switch (event.type) {
    case WatchType::bookmark: return;
    case WatchType::deleted: {
      const auto key = kube::key_of(*event.object);
      // A newer object of the same name may have been observed already.
      const ObjectPtr known = get(key);
      if (!known || kube::uid_of(*known) != kube::uid_of(*event.object)) return;
      return change(key, nullptr);
    }
    case WatchType::added:
    case WatchType::modified: return put(event.object);
  }
}

void Cache::change(const kube::NamespacedName& key, ObjectPtr after) {
  ObjectPtr before = get(key);
  if (after) {
    objects_[key] = after;
  } else {
    objects_.erase(key);
  }
  for (const auto& handler : handlers_) handler(before, after);
}

}  // namespace tulle::kubeclient
