#include "controllers/job_indexes.h"

#include "base/format.h"

#include <algorithm>
#include <charconv>

namespace tulle::controllers {

namespace {

std::optional<std::int64_t> number_in(std::string_view text) {
  std::int64_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

}  // namespace

std::optional<IndexSet> IndexSet::parse(std::string_view text, std::int64_t end) {
  IndexSet set;
  std::int64_t last_before = -1;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const std::size_t dash = part.find('-');
    const auto first = number_in(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number_in(part.substr(dash + 1));
    if (!first || !last || *first <= last_before || *last < *first) return std::nullopt;
    if (*first < end) set.add(*first, std::min(*last, end - 1));
    last_before = *last;
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) return std::nullopt;
  }
  return set;
}

void IndexSet::add(std::int64_t first, std::int64_t last) {
  auto next = ranges_.upper_bound(first);
  if (next != ranges_.begin()) {
    const auto before = std::prev(next);
    if (before->second >= first - 1) {
      first = before->first;
      last = std::max(last, before->second);
      ranges_.erase(before);
    }
  }
  while (next != ranges_.end() && next->first <= last + 1) {
    last = std::max(last, next->second);
    next = ranges_.erase(next);
  }
  ranges_.emplace(first, last);
}

bool IndexSet::contains(std::int64_t index) const {
  const auto after = ranges_.upper_bound(index);
  return after != ranges_.begin() && std::prev(after)->second >= index;
}

std::int64_t IndexSet::size() const {
  std::int64_t count = 0;
  for (const auto& [first, last] : ranges_) count += last - first + 1;
  return count;
}

std::int64_t IndexSet::common(const IndexSet& other) const {
  std::int64_t count = 0;
  auto theirs = other.ranges_.begin();
  for (const auto& [first, last] : ranges_) {
    while (theirs != other.ranges_.end() && theirs->second < first) ++theirs;
    for (auto each = theirs; each != other.ranges_.end() && each->first <= last; ++each) {
      count += std::min(last, each->second) - std::max(first, each->first) + 1;
    }
  }
  return count;
}

std::string IndexSet::to_string() const {
  std::string text;
  for (const auto& [first, last] : ranges_) {
    if (!text.empty()) text += ',';
    text += fmt::format("{}", first);
    if (last > first) text += fmt::format("{}{}", last > first + 1 ? '-' : ',', last);
  }
  return text;
}

}  // namespace tulle::controllers
