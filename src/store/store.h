// A revisioned map with a log: what the API server keeps its objects in.
//
// The whole state is in memory, as the very bytes that will be sent. Every write gets the next
// number of one global counter, its revision. A write is acknowledged, and visible to get(), list()
// and watches, only when it is durable, but for those that ask for less (Durability::later). Writes
// become visible in the order of their revisions.
//
// A store belongs to one loop. Values are shared and immutable, so readers keep them as long as
// they like.
#pragma once

#include "base/result.h"
#include "rt/task.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::store {

using Revision = std::uint64_t;  // 0: none; the first write of a new store has 1

struct Key {
  std::string bucket;      // "group/resource", "/pods" for the core group
  std::string namespace_;  // "" for cluster scope
  std::string name;

  friend auto operator<=>(const Key&, const Key&) = default;
};

// One version of one object.
struct Item {
  Key key;
  std::string value;
  Revision revision = 0;
};
using ItemRef = std::shared_ptr<const Item>;

// One write that happened.
struct Event {
  bool deleted = false;
  // What was written; of a deletion the last state, rendered with the deletion's revision.
  ItemRef item;
  ItemRef previous;  // null for a creation
};
using EventRef = std::shared_ptr<const Event>;

// Makes the final bytes once the revision is known, which is part of them. Called at most once,
// inside put() or erase(), before their first suspension.
using Render = std::function<std::string(Revision)>;

// The revision that the key must have: a number, `absent`, or anything.
struct Expected {
  static Expected absent() { return {0}; }
  static Expected at(Revision revision) { return {revision}; }
  static Expected anything() { return {std::nullopt}; }
  std::optional<Revision> revision;
};

// When a write is shown, against when it is durable.
enum class Durability : std::uint8_t {
  first,  // durable, then shown
  // Shown and acknowledged at once, unless a write before it is not shown yet; durable with the
  // next commit. A crash may take it back: for what its writer makes again whenever it starts.
  later,
};

// Beyond this many that are shown and not durable yet, Durability::later is as `first`.
inline constexpr std::size_t shown_early_max = 256;

struct Listing {
  std::vector<ItemRef> items;  // by namespace, then name
  Revision revision = 0;       // at which all of them were current
};

struct ListOptions {
  std::string_view bucket;
  std::optional<std::string_view> namespace_ = std::nullopt;  // nullopt: all
  Revision at = 0;  // 0: now; else as it was then, Code::expired if that is gone from the log
  // Where set, only what comes after this namespace and name.
  std::optional<std::pair<std::string, std::string>> after = std::nullopt;
};

// The events of a bucket (and namespace), in order, pulled: who does not pull costs nothing, and is
// told Code::expired when the log no longer reaches back to where he stands.
class Watch {
 public:
  virtual ~Watch() = default;
  // The next event, or null when there is none yet.
  virtual Result<EventRef> try_next() = 0;
  // Until try_next() may give something. Dropping it is safe.
  virtual rt::Task<void> ready() = 0;
};

struct WatchOptions {
  std::string_view bucket;
  std::optional<std::string_view> namespace_ = std::nullopt;
  Revision from = 0;  // events after this one; Code::expired if the log does not reach so far
};

// The limits of a bucket's log: whichever is reached first drops the oldest events.
inline constexpr std::size_t log_events_max = 4096;
inline constexpr std::size_t log_bytes_max = 4 * 1024 * 1024;

class Store {
 public:
  virtual ~Store() = default;

  // Of the last durable write.
  virtual Revision revision() const = 0;
  // Null when there is none.
  virtual ItemRef get(const Key& key) const = 0;
  // As get(), but with the writes that are not durable yet: what a new write must be based on. It
  // must not be shown to anybody before a later put() or flush() succeeded.
  virtual ItemRef head(const Key& key) const = 0;
  // What head() gives for every key of one namespace, in order of name.
  virtual std::vector<ItemRef> heads(std::string_view bucket,
                                     std::string_view namespace_) const = 0;
  virtual Result<Listing> list(const ListOptions& options) const = 0;
  // Must not outlive the store.
  virtual Result<std::unique_ptr<Watch>> watch(const WatchOptions& options) = 0;

  // Both check `expected` against head() at once. Code::conflict, Code::already_exists (absent was
  // expected) or Code::not_found, and the store's own Code::io or Code::unavailable (disk full).
  // Dropping the task does not take the write back.
  virtual rt::Task<Result<ItemRef>> put(Key key, Expected expected, Render render,
                                        Durability durability) = 0;
  virtual rt::Task<Result<ItemRef>> erase(Key key, Expected expected, Render render) = 0;
  // Until everything put or erased before is durable.
  virtual rt::Task<Result<void>> flush() = 0;
};

}  // namespace tulle::store
