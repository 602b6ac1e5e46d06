// Drops what the schema does not know.
#pragma once

#include "kube/schema.h"

#include <boost/json/fwd.hpp>

#include <string>
#include <vector>

namespace tulle::kube {

// Removes from `document`:
// - fields unknown to `schema`; each is reported in upstream's words, e.g.
//   `unknown field "spec.template.spec.containers[0].imag"`, in the order of the document;
// - nulls where the schema is not nullable, and empty values that a Go client could not have told
//   from absent ones (Property::keep_zero), so that equal objects are equal documents.
// Under fieldValidation=Strict the reports make a 400 (strict_decoding_error() of kube/status.h),
// under Warn one Warning header each, under Ignore nothing.
std::vector<std::string> prune(const Schema& schema, boost::json::value& document);

}  // namespace tulle::kube
