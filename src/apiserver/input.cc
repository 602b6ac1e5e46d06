#include "apiserver/input.h"

#include "apiserver/list_query.h"
#include "apiserver/negotiate.h"
#include "base/format.h"
#include "kube/object.h"
#include "kube/prune.h"
#include "kube/validate.h"

#include <boost/json.hpp>

namespace tulle::apiserver {

namespace json = boost::json;

namespace {

kube::ApiResult<FieldValidation> parse_field_validation(std::string_view text) {
  if (text.empty() || text == "Warn") return FieldValidation::warn;
  if (text == "Ignore") return FieldValidation::ignore;
  if (text == "Strict") return FieldValidation::strict;
  return kube::invalid("meta.k8s.io", "CreateOptions", "",
                       {{.reason = "FieldValueNotSupported",
                         .message = fmt::format("Unsupported value: \"{}\": supported values: "
                                                "\"\", \"Ignore\", \"Strict\", \"Warn\"",
                                                text),
                         .field = "fieldValidation"}});
}

// Fills in apiVersion and kind, or refuses others than expected.
kube::ApiResult<void> check_kind(json::object& object, const ExpectedKind& expected) {
  if (kube::api_version_of(object).empty()) object["apiVersion"] = expected.api_version;
  if (kube::kind_of(object).empty()) object["kind"] = expected.kind;
  if (kube::api_version_of(object) != expected.api_version) {
    return kube::bad_request(
        fmt::format("the API version in the data ({}) does not match the expected API version ({})",
                    kube::api_version_of(object), expected.api_version));
  }
  if (kube::kind_of(object) != expected.kind) {
    return kube::bad_request(
        fmt::format("the kind in the data ({}) does not match the expected kind ({})",
                    kube::kind_of(object), expected.kind));
  }
  return {};
}

}  // namespace

kube::ApiResult<bool> parse_dry_run(const std::vector<std::string_view>& values) {
  bool dry_run = false;
  for (std::string_view value : values) {
    if (value.empty()) continue;
    if (value != "All") {
      return kube::invalid("meta.k8s.io", "CreateOptions", "",
                           {{.reason = "FieldValueNotSupported",
                             .message = fmt::format("Unsupported value: [\"{}\"]: supported "
                                                    "values: \"All\"",
                                                    value),
                             .field = "dryRun"}});
    }
    dry_run = true;
  }
  return dry_run;
}

kube::ApiResult<WriteQuery> parse_write_query(const codec::Query& query) {
  WriteQuery parsed;
  TRY(parsed.dry_run, parse_dry_run(query.get_all("dryRun")));
  TRY(parsed.field_validation, parse_field_validation(query.get_or("fieldValidation", "")));
  parsed.field_manager = query.get_or("fieldManager", "");
  parsed.force = is_true(query.get_or("force", ""));
  return parsed;
}

ExpectedKind expected_kind(const kube::KindDefinition& kind) {
  return {.api_version = kind.api_version(), .kind = kind.kind, .schema = kind.schema};
}

kube::ApiResult<Input> check_input(json::value document, const ExpectedKind& expected,
                                   FieldValidation validation,
                                   const std::vector<std::string>& duplicate_fields) {
  json::object* object = document.if_object();
  if (object == nullptr) {
    return kube::bad_request(
        fmt::format("the object provided is unrecognized (must be of type {})", expected.kind));
  }
  TRY_VOID(check_kind(*object, expected));
  std::string_view version = kube::split_api_version(expected.api_version).second;
  auto typed = kube::check_types(*expected.schema, expected.kind, version, document);
  if (!typed) return kube::bad_request(typed.error().message);

  std::vector<std::string> faults = kube::prune(*expected.schema, document);
  for (const std::string& path : duplicate_fields) {
    faults.push_back(fmt::format("duplicate field \"{}\"", path));
  }
  Input input;
  switch (validation) {
    case FieldValidation::strict:
      if (!faults.empty()) {
        return kube::strict_decoding_error(version, expected.kind, faults);
      }
      break;
    case FieldValidation::warn: input.warnings = std::move(faults); break;
    case FieldValidation::ignore: break;
  }
  input.object = std::move(*object);
  return input;
}

kube::ApiResult<Input> read_input(Context& context, const ApiRequest& request,
                                  const ExpectedKind& expected, FieldValidation validation) {
  std::vector<std::string> duplicates;
  TRY(json::value document,
      decode_body(context.scheme, request.content_type, request.body, duplicates));
  return check_input(std::move(document), expected, validation, duplicates);
}

}  // namespace tulle::apiserver
