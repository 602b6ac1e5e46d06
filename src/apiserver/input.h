// A document that a client sent, made fit for use: decoded, of the right kind, of the right types,
// without unknown fields.
#pragma once

#include "apiserver/context.h"

#include <boost/json/object.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::apiserver {

enum class FieldValidation : std::uint8_t { ignore, warn, strict };

// The query parameters of writes (metav1.CreateOptions, UpdateOptions, PatchOptions).
struct WriteQuery {
  bool dry_run = false;
  FieldValidation field_validation = FieldValidation::warn;
  std::string field_manager;
  bool force = false;
};
kube::ApiResult<WriteQuery> parse_write_query(const codec::Query& query);
// dryRun is "All" or absent.
kube::ApiResult<bool> parse_dry_run(const std::vector<std::string_view>& values);

// What a document must be.
struct ExpectedKind {
  std::string api_version;
  std::string kind;
  const kube::Schema* schema = nullptr;
};
ExpectedKind expected_kind(const kube::KindDefinition& kind);

struct Input {
  boost::json::object object;
  std::vector<std::string> warnings;
};

// The body as a document of that kind. apiVersion and kind may be missing; they are filled in. An
// empty body is 400.
kube::ApiResult<Input> read_input(Context& context, const ApiRequest& request,
                                  const ExpectedKind& expected, FieldValidation validation);

// The same for a document that a patch made; `duplicate_fields` are those of the patch.
kube::ApiResult<Input> check_input(boost::json::value document, const ExpectedKind& expected,
                                   FieldValidation validation,
                                   const std::vector<std::string>& duplicate_fields);

}  // namespace tulle::apiserver
