// Idle client connections, kept for the next request to the same place.
#pragma once

#include "base/time.h"
#include "http/client_connection.h"
#include "rt/loop.h"

#include <algorithm>
#include <cstddef>
#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

namespace tulle::http {

struct PoolOptions {
  std::size_t idle_per_key_max = 128;
  std::size_t idle_max = 8 * 1024;  // the oldest goes first
  Duration idle_timeout = std::chrono::seconds(50);
};

// Key says what a connection may be used for: who calls, and where it leads. The newest connection
// is taken first, so that those too many grow old and go. A connection that the other side closes
// while idle, or on which it says anything, is dropped.
template <class Key, class Hash = std::hash<Key>>
class Pool final {
 public:
  // `loop` must outlive the pool.
  explicit Pool(rt::Loop& loop, const PoolOptions& options = {}) : loop_(loop), options_(options) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Null when there is none.
  std::unique_ptr<ClientConnection> take(const Key& key) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end() || found->second.empty()) return nullptr;
    const auto idle = found->second.back();
    auto connection = std::move(idle->connection);
    forget(idle);
    return connection;
  }

  // Closes it where it cannot be used again.
  void put(const Key& key, std::unique_ptr<ClientConnection> connection) {
    if (!connection || !connection->reusable() || !connection->idle_alive()) return;
    if (options_.idle_per_key_max == 0 || options_.idle_max == 0) return;
    idle_.emplace_back(*this, key, std::move(connection));
    const auto idle = std::prev(idle_.end());
    idle->self = idle;
    auto& same = by_key_[key];
    same.push_back(idle);
    if (same.size() > options_.idle_per_key_max) forget(same.front());
    if (idle_.size() > options_.idle_max) forget(idle_.begin());
    idle->connection->wait_idle(*idle);
    if (!expiry_.timer.armed()) expiry_.timer.arm(idle_.front().until);
  }

  // Closes the idle connections whose key `unwanted` says true to.
  template <class Unwanted>
  void drop_if(Unwanted unwanted) {
    for (auto idle = idle_.begin(); idle != idle_.end();) {
      const auto current = idle++;
      if (unwanted(current->key)) forget(current);
    }
  }

  std::size_t idle() const { return idle_.size(); }

 private:
  struct Idle;
  using Place = typename std::list<Idle>::iterator;

  struct Idle final : rt::Runnable {
    Idle(Pool& owner, const Key& its_key, std::unique_ptr<ClientConnection> kept)
        : pool(owner),
          key(its_key),
          connection(std::move(kept)),
          until(owner.loop_.now() + owner.options_.idle_timeout) {}

    // Something happened to the connection. Destroys this object if that ended it.
    void run() override {
      if (connection->idle_alive()) return connection->wait_idle(*this);
      pool.forget(self);
    }

    Pool& pool;
    Key key;
    std::unique_ptr<ClientConnection> connection;
    Instant until;
    Place self;
  };

  struct Expiry final : rt::Runnable {
    explicit Expiry(Pool& owner) : pool(owner), timer(owner.loop_, *this) {}
    void run() override {
      auto& idle = pool.idle_;
      while (!idle.empty() && idle.front().until <= pool.loop_.now()) pool.forget(idle.begin());
      std::erase_if(pool.by_key_, [](const auto& same) { return same.second.empty(); });
      if (!idle.empty()) timer.arm(idle.front().until);
    }

    Pool& pool;
    rt::Timer timer;
  };

  void forget(Place idle) {
    const auto found = by_key_.find(idle->key);
    std::erase(found->second, idle);
    idle_.erase(idle);
  }

  rt::Loop& loop_;
  const PoolOptions options_;
  std::list<Idle> idle_;  // the oldest first
  // A key without any stays until the next expiry: mostly its connection comes back at once.
  std::unordered_map<Key, std::vector<Place>, Hash> by_key_;
  Expiry expiry_{*this};
};

}  // namespace tulle::http
