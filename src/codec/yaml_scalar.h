// What a YAML scalar means, as go-yaml v2, under Kubernetes' clients, has it. Internal to codec.
#pragma once

#include "base/result.h"

#include <boost/json/fwd.hpp>

#include <string_view>

namespace tulle::codec {

struct YamlScalar {
  std::string_view text = {};
  std::string_view tag = {};  // resolved, or empty if none was written
  bool plain = false;         // without quotes, and no block
};

// Error: malformed for a tag we do not know, a text that its tag does not fit, and for numbers that
// JSON does not have; the message holds no place.
Result<boost::json::value> resolve_yaml_scalar(const YamlScalar& scalar);

}  // namespace tulle::codec
