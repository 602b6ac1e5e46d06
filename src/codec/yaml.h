// YAML 1.1 text to boost::json::value, read as Kubernetes clients read it (sigs.k8s.io/yaml): plain
// yes/no/on/off/y/n are booleans, keys become strings, merge keys (<<) are applied, values with no
// counterpart in JSON are refused.
#pragma once

#include "base/result.h"

#include <boost/json/value.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tulle::codec {

struct YamlLimits {
  std::size_t depth_max = 64;
  std::size_t documents_max = 10'000;
  // Values made in all documents together, with every alias counted as often as it is used: a
  // few lines of aliases to aliases can otherwise ask for billions.
  std::size_t values_max = 1'000'000;
};

struct YamlDocument {
  boost::json::value value = {};
  std::size_t line = 0;  // of its first content; lines count from 1
  // Lines of mapping keys and sequence items, by path: "spec.ports[0].name".
  std::unordered_map<std::string, std::size_t> lines = {};
  // Paths of keys that their mapping already held, as JsonOptions::duplicate_keys.
  std::vector<std::string> duplicate_keys = {};

  // The line of a field, or, where the text does not hold it, of its closest parent.
  std::size_t line_of(std::string_view path) const;
};

// Every document of a stream that holds something: empty ones, as kubectl sees them, are left out.
// JSON is YAML too. Error: Code::malformed (Code::exhausted for a limit), "line 3 column 7:
// reason".
Result<std::vector<YamlDocument>> parse_yaml(std::string_view text, const YamlLimits& limits = {});

}  // namespace tulle::codec
