#include "mesh/affinity_table.h"

namespace tulle::mesh {

std::optional<SocketAddress> AffinityTable::find(const IpAddress& client, Duration timeout,
                                                 Instant now) {
  std::lock_guard lock(mutex_);
  auto found = by_client_.find(client);
  if (found == by_client_.end() || now - found->second->used_at >= timeout) return std::nullopt;
  return found->second->endpoint;
}

void AffinityTable::bind(const IpAddress& client, const SocketAddress& endpoint, Duration timeout,
                         Instant now) {
  std::lock_guard lock(mutex_);
  if (auto found = by_client_.find(client); found != by_client_.end()) {
    *found->second = {.client = client, .endpoint = endpoint, .used_at = now};
    entries_.splice(entries_.end(), entries_, found->second);
  } else {
    entries_.push_back({.client = client, .endpoint = endpoint, .used_at = now});
    by_client_.emplace(client, std::prev(entries_.end()));
  }
  while (entries_.size() > clients_max || now - entries_.front().used_at >= timeout) {
    by_client_.erase(entries_.front().client);
    entries_.pop_front();
  }
}

std::size_t AffinityTable::size() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace tulle::mesh
