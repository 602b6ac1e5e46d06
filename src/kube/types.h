// Reads src/kube/data/types.txt and descriptions.txt into a SchemaSet.
#pragma once

#include "base/result.h"
#include "kube/schema.h"

#include <string_view>

namespace tulle::kube {

// Adds the types of `text`, which must outlive the set. Errors name `file` and the line.
Result<void> load_types(SchemaSet& schemas, std::string_view file, std::string_view text);

// Sets descriptions of types and fields: `TYPE[.FIELD] TEXT` per line.
Result<void> load_descriptions(SchemaSet& schemas, std::string_view file, std::string_view text);

}  // namespace tulle::kube
