// Label and field selectors. Values: parsed once, matched often.
#pragma once

#include "base/result.h"

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::kube {

// A conjunction of requirements on labels. The empty selector matches everything.
class Selector final {
 public:
  enum class Operator : std::uint8_t {
    equals,
    not_equals,
    in,
    not_in,
    exists,
    does_not_exist,
    greater_than,
    less_than,
  };
  struct Requirement {
    std::string key = {};
    Operator op = Operator::exists;
    std::vector<std::string> values = {};  // sorted; one for equals, not_equals and comparisons

    friend bool operator==(const Requirement&, const Requirement&) = default;
  };

  Selector() = default;

  // `a=b,c!=d,e in (x,y),f notin (z),g,!h,i>3`. Code::invalid_argument, upstream's wording.
  static Result<Selector> parse(std::string_view text);
  // A metav1.LabelSelector {matchLabels, matchExpressions}. An empty one matches everything.
  static Result<Selector> from_label_selector(const boost::json::object& label_selector);
  // A plain map of labels that must all be there, as Service.spec.selector.
  static Selector from_map(const boost::json::object& labels);
  static Selector nothing();

  bool matches(const boost::json::object& labels) const;
  bool matches_everything() const { return !matches_nothing_ && requirements_.empty(); }
  const std::vector<Requirement>& requirements() const { return requirements_; }

  // The string form, requirements in order of key; status.selector of a Scale is one.
  std::string to_string() const;

  friend bool operator==(const Selector&, const Selector&) = default;

 private:
  std::vector<Requirement> requirements_;  // ordered by key
  bool matches_nothing_ = false;
};

// A conjunction of `path=value`, `path==value` and `path!=value` over fields of an object.
class FieldSelector final {
 public:
  struct Requirement {
    std::string path = {};  // "metadata.name"
    std::string value = {};
    bool negated = false;

    friend bool operator==(const Requirement&, const Requirement&) = default;
  };

  FieldSelector() = default;

  // Backslash escapes '\', ',' and '=' in a value.
  static Result<FieldSelector> parse(std::string_view text);

  // Fails with `field label not supported: x` for a path that is not among `paths`;
  // metadata.name and metadata.namespace are always supported.
  Result<void> check_supported(std::span<const std::string> paths) const;

  // Numbers and bools compare as their text. A field that is absent has the zero value of its
  // type, which the document does not know: it equals "", "false" and "0".
  bool matches(const boost::json::object& object) const;
  bool matches_everything() const { return requirements_.empty(); }
  const std::vector<Requirement>& requirements() const { return requirements_; }

  // The one value that `path` must have, where the selector says so: a lookup instead of a scan.
  std::optional<std::string_view> exact_value(std::string_view path) const;

  std::string to_string() const;

  friend bool operator==(const FieldSelector&, const FieldSelector&) = default;

 private:
  std::vector<Requirement> requirements_;
};

}  // namespace tulle::kube
