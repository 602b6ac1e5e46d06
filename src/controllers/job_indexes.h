// Sets of completion indexes of a Job, and their text in its status: "0-2,5,7-8".
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace tulle::controllers {

// A value. Indexes that follow one another take the space of one.
class IndexSet final {
 public:
  // Ranges in ascending order, parted by commas; empty is the empty set. Nothing for other text.
  // What is at `end` or beyond it is left out.
  static std::optional<IndexSet> parse(std::string_view text, std::int64_t end);

  void add(std::int64_t index) { add(index, index); }
  bool contains(std::int64_t index) const;
  std::int64_t size() const;
  // How many of this set's indexes are in `other`, too.
  std::int64_t common(const IndexSet& other) const;
  // As upstream writes it: two that follow one another as a list, more as a range.
  std::string to_string() const;

  friend bool operator==(const IndexSet&, const IndexSet&) = default;

 private:
  void add(std::int64_t first, std::int64_t last);

  std::map<std::int64_t, std::int64_t> ranges_;  // first → last, with gaps between
};

}  // namespace tulle::controllers
