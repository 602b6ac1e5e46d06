// A hash map whose copies share what they have in common.
//
// The map is cut into a fixed number of shards, each immutable once made. A copy shares all
// shards; a change replaces one. So a snapshot of 10,000 services costs shard_count pointer
// copies, and changing one service copies about 10,000 / shard_count entries.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace tulle::mesh {

// A value type. One copy must not be changed by two threads at once; different copies may be read
// and changed from different threads freely, for shards are never written after they are shared.
// Key needs hash_value(key) found by argument-dependent lookup; find() takes any type that
// compares with Key and hashes alike. Value is cheap to copy (a shared_ptr).
template <class Key, class Value>
class SharedMap final {
 public:
  static constexpr std::size_t shard_count = 256;

  // Null when absent. The pointer lives as long as any copy that holds this entry.
  template <class Query>
  const Value* find(const Query& query) const {
    std::size_t hash = spread(hash_value(query));
    const Shard* shard = shards_[hash % shard_count].get();
    if (shard == nullptr) return nullptr;
    for (auto it = lower_bound(*shard, hash); it != shard->end() && it->hash == hash; ++it) {
      if (it->key == query) return &it->value;
    }
    return nullptr;
  }

  // Adds or replaces.
  void set(const Key& key, Value value) {
    std::size_t hash = spread(hash_value(key));
    auto& slot = shards_[hash % shard_count];
    auto changed = slot ? std::make_shared<Shard>(*slot) : std::make_shared<Shard>();
    auto it = lower_bound(*changed, hash);
    while (it != changed->end() && it->hash == hash && !(it->key == key)) ++it;
    if (it != changed->end() && it->hash == hash) {
      it->value = std::move(value);
    } else {
      changed->insert(it, Entry{hash, key, std::move(value)});
      ++size_;
    }
    slot = std::move(changed);
  }

  // Does nothing when absent.
  void erase(const Key& key) {
    if (find(key) == nullptr) return;
    std::size_t hash = spread(hash_value(key));
    auto& slot = shards_[hash % shard_count];
    auto changed = std::make_shared<Shard>(*slot);
    std::erase_if(*changed, [&](const Entry& e) { return e.hash == hash && e.key == key; });
    slot = changed->empty() ? nullptr : std::move(changed);
    --size_;
  }

  std::size_t size() const { return size_; }

  // Calls visit(key, value) for every entry, in no useful order but the same for equal histories.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const auto& shard : shards_) {
      if (!shard) continue;
      for (const Entry& entry : *shard) visit(entry.key, entry.value);
    }
  }

 private:
  struct Entry {
    std::size_t hash;
    Key key;
    Value value;
  };
  using Shard = std::vector<Entry>;  // ordered by hash

  // Finalizer of SplitMix64: shards go by the low bits, which a plain hash may leave poor.
  static std::size_t spread(std::size_t hash) {
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
    return hash ^ (hash >> 31);
  }

  template <class Entries>
  static auto lower_bound(Entries& entries, std::size_t hash) {
    return std::lower_bound(entries.begin(), entries.end(), hash,
                            [](const Entry& entry, std::size_t h) { return entry.hash < h; });
  }

  std::array<std::shared_ptr<const Shard>, shard_count> shards_;
  std::size_t size_ = 0;
};

}  // namespace tulle::mesh
