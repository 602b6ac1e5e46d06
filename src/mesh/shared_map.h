// A hash map that shares what it has in common with the maps taken from it.
//
// The map is cut into a fixed number of shards. share() gives a map of the same shards; from then
// on the first change of a shard replaces it by a copy. So a snapshot of 10,000 services costs
// shard_count pointer copies, and changing one service copies about 10,000 / shard_count entries.
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace tulle::mesh {

// Movable, one owner. Maps that share may be read and changed from different threads freely, for a
// shard is never written once it is shared.
// Key needs hash_value(key) found by argument-dependent lookup; find() takes any type that
// compares with Key and hashes alike. Value is cheap to copy (a shared_ptr).
template <class Key, class Value>
class SharedMap final {
 public:
  static constexpr std::size_t shard_count = 256;

  SharedMap() = default;
  SharedMap(SharedMap&&) noexcept = default;
  SharedMap& operator=(SharedMap&&) noexcept = default;

  // A map with the same entries. Later changes of either do not show in the other.
  SharedMap share() {
    own_.reset();
    SharedMap other;
    other.shards_ = shards_;
    other.size_ = size_;
    return other;
  }

  // Null when absent. The pointer lives until this map changes.
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
    Shard& shard = own_shard(hash % shard_count);
    auto it = lower_bound(shard, hash);
    while (it != shard.end() && it->hash == hash && !(it->key == key)) ++it;
    if (it != shard.end() && it->hash == hash) {
      it->value = std::move(value);
    } else {
      shard.insert(it, Entry{hash, key, std::move(value)});
      ++size_;
    }
  }

  // Does nothing when absent.
  void erase(const Key& key) {
    if (find(key) == nullptr) return;
    std::size_t hash = spread(hash_value(key));
    Shard& shard = own_shard(hash % shard_count);
    std::erase_if(shard, [&](const Entry& e) { return e.hash == hash && e.key == key; });
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

  // The shard at `index`, which no other map shares.
  Shard& own_shard(std::size_t index) {
    std::shared_ptr<Shard>& shard = shards_[index];
    if (!own_[index]) shard = shard ? std::make_shared<Shard>(*shard) : std::make_shared<Shard>();
    own_.set(index);
    return *shard;
  }

  template <class Entries>
  static auto lower_bound(Entries& entries, std::size_t hash) {
    return std::lower_bound(entries.begin(), entries.end(), hash,
                            [](const Entry& entry, std::size_t h) { return entry.hash < h; });
  }

  std::array<std::shared_ptr<Shard>, shard_count> shards_;
  std::bitset<shard_count> own_;  // not shared since they were made
  std::size_t size_ = 0;
};

}  // namespace tulle::mesh
