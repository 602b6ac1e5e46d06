// The files of src/kube/data, which the build puts into the binary.
#pragma once

#include <string_view>

namespace tulle::kube::data {

extern const std::string_view types;
extern const std::string_view tulle_types;
extern const std::string_view kinds;
extern const std::string_view defaults;
extern const std::string_view validation;
extern const std::string_view descriptions;

}  // namespace tulle::kube::data
