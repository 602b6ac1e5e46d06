// The Prometheus text format 0.0.4, as far as `tulle status` reads the proxy's counters from it.
#pragma once

#include "base/result.h"

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tulle::cli {

struct Sample {
  std::string name = {};
  std::map<std::string, std::string> labels = {};
  double value = 0;

  friend bool operator==(const Sample&, const Sample&) = default;
};

class Samples final {
 public:
  // Comments and timestamps are left out. Error: malformed, with the line's number.
  static Result<Samples> parse(std::string_view text);

  // Label names and the values they must have; other labels may have any value.
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  // The sum of all samples of this name with these labels; 0 where there are none.
  double sum(std::string_view name, Labels labels = {}) const;
  // The first sample of this name.
  std::optional<double> value(std::string_view name) const;

  const std::vector<Sample>& all() const { return all_; }

 private:
  std::vector<Sample> all_;
};

}  // namespace tulle::cli
