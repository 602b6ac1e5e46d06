// The simple JSONPath of table columns and of CRDs' printer columns.
#pragma once

#include <boost/json/fwd.hpp>

#include <string_view>
#include <vector>

namespace tulle::kube {

// What `path` leads to, in document order; nothing for a path that does not parse. Understood:
// .field, ['quoted.key'], \. within a field, [0], [-1], [*], [?(@.field=="text")], and braces
// around all of it. The pointers live as long as `object` is unchanged.
std::vector<const boost::json::value*> evaluate_path(const boost::json::object& object,
                                                     std::string_view path);

}  // namespace tulle::kube
