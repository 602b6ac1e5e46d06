// The memory behind every store: the objects, the writes not durable yet, and the log.
#pragma once

#include "rt/sync.h"
#include "store/store.h"

#include <deque>
#include <map>
#include <span>
#include <string>
#include <utility>

namespace tulle::store {

class State final {
 public:
  explicit State(rt::Loop& loop) : loop_(loop) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // At start: every stored item, then the revision reached.
  void load(ItemRef item);
  void start_at(Revision revision);

  Revision revision() const { return revision_; }
  Revision head_revision() const { return head_revision_; }
  ItemRef get(const Key& key) const;
  ItemRef head(const Key& key) const;
  std::vector<ItemRef> heads(std::string_view bucket, std::string_view namespace_) const;
  Result<Listing> list(const ListOptions& options) const;
  Result<std::unique_ptr<Watch>> watch(const WatchOptions& options);

  // Gives a write its revision; head() shows it from now on.
  Result<EventRef> stage(Key key, Expected expected, const Render& render, bool erase);
  // The write is durable. REQUIRES: in the order of staging.
  void publish(const EventRef& event);
  // None of what is staged and not published will ever be.
  void discard_staged() { staged_.clear(); }

 private:
  using Name = std::pair<std::string, std::string>;  // namespace, name
  using NameView = std::pair<std::string_view, std::string_view>;
  struct NameLess {
    using is_transparent = void;
    bool operator()(const NameView& a, const NameView& b) const { return a < b; }
  };
  using Items = std::map<Name, ItemRef, NameLess>;
  struct Bucket {
    Items items;
    std::deque<EventRef> log;
    std::uint64_t log_start = 0;  // number of the log's first event since the start
    std::size_t log_bytes = 0;
    Revision compacted = 0;  // the log holds every event after this revision
    rt::WaitList waiters;
  };
  class BucketWatch;

  Bucket& bucket(std::string_view name);
  static void append(Bucket& bucket, const EventRef& event);
  // Undoes in `items` what happened after `at`.
  static void rewind(const Bucket& bucket, const ListOptions& options, Items& items);

  rt::Loop& loop_;
  std::map<std::string, Bucket, std::less<>> buckets_;
  std::map<Key, EventRef> staged_;  // the newest per key
  Revision revision_ = 0;
  Revision head_revision_ = 0;
  Revision start_revision_ = 0;
};

}  // namespace tulle::store
