#include "dns/cache.h"

#include "base/text.h"
#include "codec/http_message.h"
#include "rt/combine.h"

#include <algorithm>

namespace tulle::dns {

namespace {

using codec::DnsMessage;

std::int64_t whole_seconds(Duration duration) {
  return std::chrono::floor<std::chrono::seconds>(duration).count();
}

// How long the answer may be kept: as its shortest-lived record says; of one that there is nothing,
// as the SOA of its zone says (RFC 2308 §5). Zero: not at all.
Duration time_to_live(const DnsMessage& message, const CacheOptions& options) {
  if (!message.answers.empty() && message.rcode == codec::DnsRcode::no_error) {
    const auto least = std::ranges::min(message.answers, {}, &codec::DnsRecord::ttl_s).ttl_s;
    return std::min<Duration>(std::chrono::seconds(least), options.ttl_max);
  }
  for (const codec::DnsRecord& record : message.authorities) {
    const auto* soa = std::get_if<codec::DnsSoa>(&record.data);
    if (soa == nullptr) continue;
    const std::chrono::seconds ttl(std::min(record.ttl_s, soa->minimum_s));
    return std::min<Duration>(ttl, options.negative_ttl_max);
  }
  return {};
}

template <class Change>
void for_each_ttl(DnsMessage& message, Change change) {
  for (auto* section : {&message.answers, &message.authorities}) {
    for (codec::DnsRecord& record : *section) record.ttl_s = change(record.ttl_s);
  }
}

// About what it takes in memory.
std::size_t size_of(const DnsMessage& message) {
  std::size_t size = 256;
  for (const auto* section : {&message.answers, &message.authorities}) {
    for (const codec::DnsRecord& record : *section) {
      size += sizeof record + record.name.size();
      if (const auto* raw = std::get_if<codec::DnsRaw>(&record.data)) size += raw->bytes.size();
      if (const auto* text = std::get_if<codec::DnsTxt>(&record.data)) {
        size += text->strings.size() * 256;
      }
    }
  }
  return size;
}

// Others may have asked with other capitals.
DnsMessage spelled_as(DnsMessage message, std::string_view name) {
  for (codec::DnsRecord& record : message.answers) {
    if (codec::equals_ignoring_case(record.name, name)) record.name = name;
  }
  return message;
}

}  // namespace

rt::Task<Result<DnsMessage>> Cache::ask(Inquiry inquiry) {
  const codec::DnsQuestion& question = inquiry.question;
  const Key key{.name = to_lower(question.name),
                .type = question.type,
                .dnssec_ok = inquiry.dnssec_ok,
                .checking_disabled = inquiry.checking_disabled};
  Entry* const entry = find(key);
  if (entry != nullptr) {
    if (auto kept = fresh(*entry)) {
      const Duration left = entry->stored_at + entry->ttl - loop_.now();
      if (entry->hits >= 2 && left * 10 <= entry->ttl) static_cast<void>(fetch(key));
      co_return spelled_as(*std::move(kept), question.name);
    }
    if (loop_.now() < entry->retry_at) {
      if (auto old = stale(*entry)) co_return spelled_as(*std::move(old), question.name);
      co_return entry->error;
    }
  }
  const std::shared_ptr<Fetch> under_way = fetch(key);
  const auto old = entry != nullptr ? stale(*entry) : std::nullopt;
  if (old) {
    const Instant patience = loop_.now() + options_.stale_after;
    co_await rt::race(under_way->done.wait(), rt::until(loop_, patience));
    if (!under_way->done.is_set() || !under_way->outcome) co_return spelled_as(*old, question.name);
  } else {
    co_await under_way->done.wait();
  }
  if (!under_way->outcome) co_return under_way->outcome.error();
  co_return spelled_as(*under_way->outcome, question.name);
}

Cache::Entry* Cache::find(const Key& key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  entries_.splice(entries_.end(), entries_, found->second);
  return &*found->second;
}

// With what is left of the TTLs.
std::optional<DnsMessage> Cache::fresh(Entry& entry) const {
  const Duration age = loop_.now() - entry.stored_at;
  if (!entry.message || age >= entry.ttl) return std::nullopt;
  ++entry.hits;
  DnsMessage message = *entry.message;
  const auto passed = static_cast<std::uint32_t>(whole_seconds(age));
  for_each_ttl(message, [passed](std::uint32_t ttl_s) { return ttl_s - std::min(ttl_s, passed); });
  return message;
}

std::optional<DnsMessage> Cache::stale(const Entry& entry) const {
  const Duration age = loop_.now() - entry.stored_at;
  if (!entry.message || age >= entry.ttl + options_.stale_max) return std::nullopt;
  DnsMessage message = *entry.message;
  for_each_ttl(message, [this](std::uint32_t) { return options_.stale_ttl_s; });
  return message;
}

std::shared_ptr<Cache::Fetch> Cache::fetch(const Key& key) {
  std::shared_ptr<Fetch>& under_way = under_way_[key];
  if (!under_way) {
    under_way = std::make_shared<Fetch>(loop_);
    fetches_.spawn(run(key, under_way));
  }
  return under_way;
}

// Goes on whoever asked: the answer is kept for the next one.
rt::Task<void> Cache::run(Key key, std::shared_ptr<Fetch> fetch) {
  fetch->outcome = co_await forwarder_.ask({.question = {.name = key.name, .type = key.type},
                                            .dnssec_ok = key.dnssec_ok,
                                            .checking_disabled = key.checking_disabled});
  store(key, fetch->outcome);
  under_way_.erase(key);
  fetch->done.set();
}

void Cache::store(const Key& key, const Result<DnsMessage>& outcome) {
  Entry* entry = find(key);
  const Duration ttl = outcome ? time_to_live(*outcome, options_) : Duration{};
  if (outcome && ttl == Duration{}) {
    if (entry != nullptr) forget(by_key_.at(key));
    return;
  }
  if (entry == nullptr) {
    entries_.push_back({.key = key});
    entry = &entries_.back();
    by_key_.emplace(key, std::prev(entries_.end()));
  }
  if (!outcome) {
    entry->error = outcome.error();
    entry->retry_at = loop_.now() + options_.failure_ttl;
  } else {
    bytes_ -= entry->bytes;
    entry->bytes = size_of(*outcome);
    bytes_ += entry->bytes;
    entry->message = *outcome;
    entry->stored_at = loop_.now();
    entry->ttl = ttl;
    entry->retry_at = {};
    entry->hits = 0;
  }
  while (entries_.size() > options_.entries_max || bytes_ > options_.bytes_max) {
    forget(entries_.begin());
  }
}

void Cache::forget(Place place) {
  bytes_ -= place->bytes;
  by_key_.erase(place->key);
  entries_.erase(place);
}

}  // namespace tulle::dns
