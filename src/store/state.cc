#include "store/state.h"

#include "base/format.h"

#include <algorithm>

namespace tulle::store {

namespace {

bool in_namespace(const Key& key, std::optional<std::string_view> wanted) {
  return !wanted || key.namespace_ == *wanted;
}

std::size_t bytes_of(const Event& event) { return event.item->value.size() + sizeof(Event); }

}  // namespace

class State::BucketWatch final : public Watch {
 public:
  BucketWatch(Bucket& bucket, std::optional<std::string_view> wanted, std::uint64_t position)
      : bucket_(bucket), namespace_(wanted), position_(position) {}

  Result<EventRef> try_next() override {
    if (position_ < bucket_.log_start) {
      return fail(Code::expired, "the watch fell behind the log of events");
    }
    while (position_ < end()) {
      const EventRef& event = bucket_.log[position_ - bucket_.log_start];
      ++position_;
      if (in_namespace(event->item->key, namespace_)) return event;
    }
    return EventRef();
  }

  rt::Task<void> ready() override {
    while (position_ == end()) co_await rt::wait_on(bucket_.waiters);
  }

 private:
  std::uint64_t end() const { return bucket_.log_start + bucket_.log.size(); }

  Bucket& bucket_;
  std::optional<std::string> namespace_;
  std::uint64_t position_;
};

State::Bucket& State::bucket(std::string_view name) {
  auto found = buckets_.find(name);
  if (found != buckets_.end()) return found->second;
  Bucket& made = buckets_[std::string(name)];
  made.compacted = start_revision_;
  return made;
}

void State::load(ItemRef item) {
  Items& items = bucket(item->key.bucket).items;
  Name name(item->key.namespace_, item->key.name);
  items.insert_or_assign(std::move(name), std::move(item));
}

void State::start_at(Revision revision) {
  revision_ = head_revision_ = start_revision_ = revision;
  for (auto& [name, bucket] : buckets_) bucket.compacted = revision;
}

ItemRef State::get(const Key& key) const {
  auto found = buckets_.find(key.bucket);
  if (found == buckets_.end()) return nullptr;
  auto item = found->second.items.find(NameView(key.namespace_, key.name));
  return item == found->second.items.end() ? nullptr : item->second;
}

ItemRef State::head(const Key& key) const {
  auto staged = staged_.find(key);
  if (staged == staged_.end()) return get(key);
  return staged->second->deleted ? nullptr : staged->second->item;
}

std::vector<ItemRef> State::heads(std::string_view bucket, std::string_view namespace_) const {
  std::map<std::string_view, ItemRef> by_name;
  if (const auto found = buckets_.find(bucket); found != buckets_.end()) {
    const Items& items = found->second.items;
    for (auto item = items.lower_bound(NameView(namespace_, ""));
         item != items.end() && item->first.first == namespace_; ++item) {
      by_name.emplace(item->first.second, item->second);
    }
  }
  const Key first{.bucket = std::string(bucket), .namespace_ = std::string(namespace_), .name = {}};
  for (auto staged = staged_.lower_bound(first);
       staged != staged_.end() && staged->first.bucket == bucket &&
       staged->first.namespace_ == namespace_;
       ++staged) {
    if (staged->second->deleted) {
      by_name.erase(staged->first.name);
    } else {
      by_name.insert_or_assign(staged->first.name, staged->second->item);
    }
  }
  std::vector<ItemRef> heads;
  heads.reserve(by_name.size());
  for (auto& [name, item] : by_name) heads.push_back(std::move(item));
  return heads;
}

Result<Listing> State::list(const ListOptions& options) const {
  Listing listing{.items = {}, .revision = options.at == 0 ? revision_ : options.at};
  auto found = buckets_.find(options.bucket);
  if (options.at != 0) {
    Revision compacted = found == buckets_.end() ? start_revision_ : found->second.compacted;
    if (options.at < compacted) {
      return failf(Code::expired, "revision {} is gone, the oldest is {}", options.at, compacted);
    }
  }
  if (found == buckets_.end()) return listing;

  const Bucket& bucket = found->second;
  bool past = options.at != 0 && options.at < revision_;
  Items rewound;
  if (past) {
    rewound = bucket.items;
    rewind(bucket, options, rewound);
  }
  const Items& items = past ? rewound : bucket.items;
  auto position = items.begin();
  if (options.after) {
    position = items.upper_bound(NameView(options.after->first, options.after->second));
  } else if (options.namespace_) {
    position = items.lower_bound(NameView(*options.namespace_, ""));
  }
  for (; position != items.end(); ++position) {
    if (!in_namespace(position->second->key, options.namespace_)) break;
    listing.items.push_back(position->second);
  }
  return listing;
}

void State::rewind(const Bucket& bucket, const ListOptions& options, Items& items) {
  for (auto event = bucket.log.rbegin(); event != bucket.log.rend(); ++event) {
    const Item& written = *(*event)->item;
    if (written.revision <= options.at) break;
    Name name(written.key.namespace_, written.key.name);
    if ((*event)->previous) {
      items.insert_or_assign(std::move(name), (*event)->previous);
    } else {
      items.erase(name);
    }
  }
}

Result<std::unique_ptr<Watch>> State::watch(const WatchOptions& options) {
  Bucket& watched = bucket(options.bucket);
  if (options.from < watched.compacted) {
    return failf(Code::expired, "revision {} is gone, the oldest is {}", options.from,
                 watched.compacted);
  }
  auto first = std::upper_bound(
      watched.log.begin(), watched.log.end(), options.from,
      [](Revision revision, const EventRef& event) { return revision < event->item->revision; });
  auto position = watched.log_start + static_cast<std::uint64_t>(first - watched.log.begin());
  return std::make_unique<BucketWatch>(watched, options.namespace_, position);
}

Result<EventRef> State::stage(Key key, Expected expected, const Render& render, bool erase) {
  ItemRef current = head(key);
  if (expected.revision == 0 && current) return fail(Code::already_exists, "the key exists");
  if (!current && (erase || expected.revision.value_or(0) != 0)) {
    return fail(Code::not_found, "the key does not exist");
  }
  if (current && expected.revision && current->revision != *expected.revision) {
    return fail(Code::conflict, "the object changed meanwhile");
  }
  Revision revision = ++head_revision_;
  std::string value = render(revision);
  auto item = std::make_shared<const Item>(key, std::move(value), revision);
  auto event = std::make_shared<const Event>(erase, std::move(item), std::move(current));
  staged_.insert_or_assign(std::move(key), event);
  return event;
}

void State::publish(const EventRef& event) {
  const Key& key = event->item->key;
  Bucket& written = bucket(key.bucket);
  Name name(key.namespace_, key.name);
  if (event->deleted) {
    written.items.erase(name);
  } else {
    written.items.insert_or_assign(std::move(name), event->item);
  }
  append(written, event);
  revision_ = event->item->revision;
  auto staged = staged_.find(key);
  if (staged != staged_.end() && staged->second == event) staged_.erase(staged);
  written.waiters.wake_all(loop_);
}

void State::append(Bucket& bucket, const EventRef& event) {
  bucket.log.push_back(event);
  bucket.log_bytes += bytes_of(*event);
  while (bucket.log.size() > log_events_max ||
         (bucket.log_bytes > log_bytes_max && bucket.log.size() > 1)) {
    const Event& oldest = *bucket.log.front();
    bucket.compacted = oldest.item->revision;
    bucket.log_bytes -= bytes_of(oldest);
    bucket.log.pop_front();
    ++bucket.log_start;
  }
}

}  // namespace tulle::store
