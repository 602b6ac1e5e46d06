// Rules that a type of the schema carries beside its fields: what to fill in (data/defaults.txt)
// and what must hold (data/validation.txt). Plain data; defaults.cc and validate.cc carry them out.
#pragma once

#include "base/result.h"
#include "kube/schema.h"

#include <boost/json/value.hpp>

#include <cstdint>
#include <string_view>
#include <vector>

namespace tulle::kube {

struct PathStep {
  enum class Kind : std::uint8_t {
    member,  // .name
    each,    // []: every element of an array
    values,  // {}: every value of an object
  };
  Kind kind = Kind::member;
  std::string_view name;
};
// "containers[].ports[].hostPort"; a name that holds dots is written ['like.this'].
using RulePath = std::vector<PathStep>;

struct RuleCondition {
  enum class Base : std::uint8_t {
    holder,  // the object that holds the rule's target
    type,    // ^: the object of the type that the rule belongs to
    old,     // ~: that object as it is stored; the condition fails where there is none
  };
  enum class Test : std::uint8_t { set, unset, in, not_in, only, multiple, untagged };
  Base base = Base::holder;
  RulePath path;  // members only
  // only: it is the single member of its object. multiple: a list of two or more.
  // untagged: an image reference that means :latest.
  Test test = Test::set;
  std::vector<std::string_view> values;  // compared with the text of a scalar
};

struct DefaultRule {
  enum class Action : std::uint8_t {
    value,   // = JSON       where the target is absent
    copy,    // copy PATH    the sibling's value, where the target is absent
    mirror,  // mirror PATH  the sibling's value, always
    list,    // list PATH    [the sibling's value], where the target is absent
    fill,    // fill PATH    the members of the sibling object that the target lacks
    base64,  // base64 PATH  moves the sibling object's strings into the target, encoded
  };
  RulePath path;  // ends with the target member
  Action action = Action::value;
  boost::json::value value;
  RulePath from;
  bool from_type = false;  // ^PATH: `from` starts at the type's object, not at the holder
  std::vector<RuleCondition> conditions;
};

struct ValidationRule {
  enum class Check : std::uint8_t {
    required,      // present and not empty
    minimum,       // N
    range,         // LOW HIGH
    length_max,    // N bytes
    items_max,     // N items
    one_of,        // enumerated VALUES
    format,        // NAME of a text format
    keys,          // NAME of a text format that every key of an object has
    immutable,     // as before, once the object exists
    set_once,      // as before, once it has a value
    only_changes,  // PATHS below it that may change; nothing else may
    unique,        // among the elements of a list, these MEMBERS together
    any_of,        // at least one of these members of the object
    exactly_one,   // of these members of the object
    selected_by,   // PATH of a label selector that must match these labels
    found_in,      // PATH in the type's object that has this value
    within,        // PATH of a sibling map: no quantity more than it has of the same name
    absent_from,   // PATH in the type's object that must not have this value
    greater_than,  // PATH of a sibling number
    at_least,      // PATH of a sibling number
    forbidden,     // must be absent
  };
  RulePath path;
  Check check = Check::required;
  std::vector<std::string_view> arguments;
  RulePath other;                // for checks that name one PATH
  std::vector<RulePath> others;  // for only_changes
  std::string_view text;         // replaces the check's own wording
  std::vector<RuleCondition> conditions;
};

// Reads rules into the types of `schemas`; errors name `file` and the line. `text` must outlive
// the set.
Result<void> load_defaults(SchemaSet& schemas, std::string_view file, std::string_view text);
Result<void> load_validations(SchemaSet& schemas, std::string_view file, std::string_view text);

// Whether all conditions hold. `old` may be null.
bool conditions_hold(const std::vector<RuleCondition>& conditions,
                     const boost::json::object& holder, const boost::json::object& type,
                     const boost::json::object* old);

// The value at a path of members, or null.
const boost::json::value* find_step(const boost::json::object& object, const RulePath& path);

}  // namespace tulle::kube
