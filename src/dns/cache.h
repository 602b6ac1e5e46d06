// Answers of the host's resolvers, kept for as long as they said.
//
// RFC 2308: that a name, or a record of it, does not exist is kept, too, as long as its SOA says.
// RFC 8767: while no resolver answers, what is older is better than nothing. A question that is
// asked while the same one is under way waits for that. What is often asked for is asked for anew
// shortly before its time is over, so that nobody waits for it.
#pragma once

#include "codec/dns.h"
#include "dns/forwarder.h"
#include "rt/scope.h"

#include <compare>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace tulle::dns {

struct CacheOptions {
  std::size_t entries_max = 4096;                          // the longest unused goes first
  std::size_t bytes_max = 8 * 1024 * 1024;                 // of all of them, about
  Duration ttl_max = std::chrono::hours(24);               // whatever a resolver says
  Duration negative_ttl_max = std::chrono::minutes(5);     //
  Duration failure_ttl = std::chrono::seconds(5);          // nobody is asked again before
  Duration stale_max = std::chrono::hours(24);             // beyond its time
  Duration stale_after = std::chrono::milliseconds(1800);  // of waiting for a new answer
  std::uint32_t stale_ttl_s = 30;
};

// Belongs to one loop.
class Cache final {
 public:
  // `forwarder` must outlive it.
  Cache(rt::Loop& loop, Forwarder& forwarder, CacheOptions options = {})
      : loop_(loop), forwarder_(forwarder), options_(options), fetches_(loop) {}

  // As Forwarder::ask(). The TTLs are what is left of them; records of the asked name have its
  // spelling.
  rt::Task<Result<codec::DnsMessage>> ask(Inquiry inquiry);

  std::size_t size() const { return entries_.size(); }

 private:
  // Answers to different flags are kept apart: what was not validated is not for who relies on it.
  struct Key {
    std::string name;  // in lower case
    codec::DnsType type = codec::DnsType::a;
    bool dnssec_ok = false;
    bool checking_disabled = false;
    auto operator<=>(const Key&) const = default;
  };
  struct Entry {
    Key key;
    std::optional<codec::DnsMessage> message = {};  // none: only failures so far
    Error error = {};                               // of the last failure
    Instant stored_at = {};
    Duration ttl = {};
    Instant retry_at = {};  // after a failure
    std::size_t bytes = 0;
    std::uint32_t hits = 0;  // since it was stored
  };
  using Place = std::list<Entry>::iterator;
  struct Fetch {
    explicit Fetch(rt::Loop& loop) : done(loop) {}
    rt::Event done;
    Result<codec::DnsMessage> outcome = codec::DnsMessage();
  };

  Entry* find(const Key& key);
  std::optional<codec::DnsMessage> fresh(Entry& entry) const;
  std::optional<codec::DnsMessage> stale(const Entry& entry) const;
  std::shared_ptr<Fetch> fetch(const Key& key);
  rt::Task<void> run(Key key, std::shared_ptr<Fetch> fetch);
  void store(const Key& key, const Result<codec::DnsMessage>& outcome);
  void forget(Place place);

  rt::Loop& loop_;
  Forwarder& forwarder_;
  const CacheOptions options_;
  std::list<Entry> entries_;  // the longest unused first
  std::map<Key, Place> by_key_;
  std::size_t bytes_ = 0;
  std::map<Key, std::shared_ptr<Fetch>> under_way_;
  rt::Scope fetches_;
};

}  // namespace tulle::dns
