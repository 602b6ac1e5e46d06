// Reads src/kube/data/kinds.txt into a Scheme.
#pragma once

#include "base/result.h"
#include "kube/scheme.h"

#include <memory>
#include <string_view>

namespace tulle::kube {

// Adds the kinds and payloads of `text`, whose types are in `schemas`. Errors name `file` and the
// line.
Result<void> load_kinds(Scheme& scheme, const std::shared_ptr<SchemaSet>& schemas,
                        std::string_view file, std::string_view text);

}  // namespace tulle::kube
