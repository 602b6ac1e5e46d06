#include "apiserver/write.h"

#include "apiserver/admission.h"
#include "apiserver/limits.h"
#include "apiserver/negotiate.h"
#include "apiserver/read.h"
#include "apiserver/strategy.h"
#include "base/format.h"
#include "kube/defaults.h"
#include "kube/names.h"
#include "kube/object.h"
#include "kube/patch.h"
#include "kube/validate.h"

#include <boost/json.hpp>

namespace tulle::apiserver {

namespace json = boost::json;

namespace {

bool is_service(const kube::KindDefinition& kind) {
  return kind.group.empty() && kind.kind == "Service";
}

// The namespace of the URL and of the object must agree.
kube::ApiResult<void> settle_namespace(const Call& call, json::object& object) {
  json::object& metadata = kube::ensure_object(object, "metadata");
  std::string_view given = kube::namespace_of(object);
  if (!call.kind->namespaced) {
    metadata.erase("namespace");
    return {};
  }
  if (!given.empty() && given != call.namespace_) {
    return kube::bad_request(fmt::format(
        "the namespace of the provided object does not match the namespace sent on the request "
        "({} != {})",
        given, call.namespace_));
  }
  metadata["namespace"] = call.namespace_;
  return {};
}

kube::ApiResult<void> settle_name(const Call& call, json::object& object) {
  std::string_view given = kube::name_of(object);
  if (!given.empty() && given != call.name) {
    return kube::bad_request(fmt::format(
        "the name of the object ({}) does not match the name on the URL ({})", given, call.name));
  }
  kube::set_at(object, "metadata.name", json::value(call.name));
  return {};
}

// The versions that the client based its change on must be the current ones.
kube::ApiResult<void> check_versions(const Call& call, const json::object& live,
                                     const json::object& object) {
  std::string_view version = kube::resource_version_of(object);
  if (!version.empty() && version != "0" && version != kube::resource_version_of(live)) {
    return kube::modified_conflict(call.resource(), call.name);
  }
  std::string_view uid = kube::uid_of(object);
  if (!uid.empty() && uid != kube::uid_of(live)) {
    return kube::precondition_conflict(call.resource(), call.name, "UID", uid, kube::uid_of(live));
  }
  return {};
}

void release(Context& context, const Call& call, const store::Key& key) {
  if (is_service(*call.kind)) context.services.release(key);
}

kube::ApiResult<void> check(Context& context, const Call& call, const json::object* old,
                            const json::object& object) {
  auto causes = kube::validate(*call.kind, object, old);
  if (causes.empty()) return admit_by_limits(context, call, old, object);
  return kube::invalid(call.kind->group, call.kind->kind, kube::name_of(object), std::move(causes));
}

// Defaults, allocations and validation of a document whose identity is settled.
kube::ApiResult<void> complete(Context& context, const Call& call, const store::Key& key,
                               const json::object* old, json::object& object) {
  json::value document(std::move(object));
  kube::apply_defaults(*call.kind->schema, document);
  object = std::move(document.get_object());
  if (is_pod(*call.kind) && old == nullptr) {
    adopt_service_account(context, object);
    TRY_VOID(complete_pod(context, object));
  }
  if (is_service(*call.kind)) TRY_VOID(context.services.admit(key, old, object));
  auto checked = check(context, call, old, object);
  if (!checked) release(context, call, key);
  return checked;
}

struct Creation {
  Input input;
  bool generated = false;  // the name
};

kube::ApiResult<Creation> read_creation(Context& context, const Call& call,
                                        FieldValidation validation) {
  TRY(Input input, read_input(context, call.request, expected_kind(*call.kind), validation));
  TRY_VOID(settle_namespace(call, input.object));
  if (!kube::resource_version_of(input.object).empty()) {
    return kube::bad_request("resourceVersion should not be set on objects to be created");
  }
  bool generated = kube::name_of(input.object).empty() &&
                   !kube::string_at(input.object, "metadata.generateName").empty();
  return Creation{.input = std::move(input), .generated = generated};
}

rt::Task<kube::ApiResult<Outcome>> create_once(Context& context, const Call& call,
                                               json::object object, bool dry_run) {
  std::string name(kube::name_of(object));
  store::Key key = Objects::key(*call.kind, call.namespace_, name);
  CO_TRY_VOID(admit_to_namespace(context, call, name));
  // What exists is said before what is wrong, and before anything is allocated.
  if (context.store.head(key)) co_return kube::already_exists(call.resource(), name);
  prepare_create(*call.kind, object,
                 {.namespace_ = call.namespace_,
                  .uid = kube::generate_uid(context.random),
                  .created = context.now()});
  CO_TRY_VOID(complete(context, call, key, nullptr, object));
  if (dry_run) {
    release(context, call, key);
    co_return Outcome{.document = std::make_shared<const json::object>(std::move(object)),
                      .item = nullptr};
  }
  auto written =
      co_await context.objects.put(*call.kind, key, store::Expected::absent(), std::move(object));
  if (!written) {
    release(context, call, key);
    if (written.error().code == Code::already_exists) {
      co_return kube::already_exists(call.resource(), name);
    }
    co_return written.error();
  }
  co_return Outcome{.document = std::move(written->document), .item = std::move(written->item)};
}

kube::ApiStatus write_failure(const Call& call, const Error& error) {
  if (error.code == Code::conflict) return kube::modified_conflict(call.resource(), call.name);
  if (error.code == Code::not_found) return kube::not_found(call.resource(), call.name);
  return kube::from_error(error);
}

// Puts the new state, or takes the object away.
rt::Task<kube::ApiResult<Outcome>> store_object(Context& context, const Call& call,
                                                store::Revision current, json::object object,
                                                bool remove) {
  const store::Key key = call.key();
  auto expected = store::Expected::at(current);
  Result<Objects::Written> written = fail(Code::internal, "not written");
  if (remove) {
    written = co_await context.objects.erase(*call.kind, key, expected, std::move(object));
  } else {
    written = co_await context.objects.put(*call.kind, key, expected, std::move(object));
  }
  if (!written) {
    release(context, call, key);
    co_return write_failure(call, written.error());
  }
  co_return Outcome{.document = std::move(written->document),
                    .item = std::move(written->item),
                    .removed = remove};
}

kube::ApiResult<json::object> apply_patch(const Call& call, PatchType type,
                                          const json::object& live, const json::value& patch) {
  switch (type) {
    case PatchType::json: return kube::apply_json_patch(live, patch);
    case PatchType::merge: return kube::apply_merge_patch(live, patch);
    case PatchType::strategic:
      if (call.kind->builtin) return kube::apply_strategic_merge(*call.kind->schema, live, patch);
      break;
    case PatchType::apply: break;
  }
  std::vector<std::string> accepted{"application/json-patch+json", "application/merge-patch+json"};
  if (call.kind->builtin) accepted.emplace_back("application/strategic-merge-patch+json");
  return kube::unsupported_media_type(call.request.content_type, accepted);
}

}  // namespace

rt::Task<kube::ApiResult<ApiResponse>> create_object(Context& context, const Call& call) {
  CO_TRY(WriteQuery query, parse_write_query(call.request.query));
  CO_TRY(Creation creation, read_creation(context, call, query.field_validation));
  json::object& object = creation.input.object;
  for (int attempt = 1;; ++attempt) {
    if (creation.generated) {
      std::string_view base = kube::string_at(object, "metadata.generateName");
      kube::set_at(object, "metadata.name", json::value(kube::generate_name(base, context.random)));
    }
    auto outcome = co_await create_once(context, call, object, query.dry_run);
    if (outcome) {
      co_return show_outcome(context, call, 201, *outcome, creation.input.warnings);
    }
    bool again = creation.generated && attempt < generate_name_attempts_max &&
                 outcome.error().is(kube::Reason::already_exists);
    if (!again) co_return std::move(outcome).error();
  }
}

rt::Task<kube::ApiResult<ApiResponse>> update_object(Context& context, const Call& call) {
  CO_TRY(WriteQuery query, parse_write_query(call.request.query));
  CO_TRY(Input input,
         read_input(context, call.request, expected_kind(*call.kind), query.field_validation));
  CO_TRY_VOID(settle_namespace(call, input.object));
  CO_TRY_VOID(settle_name(call, input.object));
  CO_TRY(Live live, live_object(context, call));
  CO_TRY_VOID(check_versions(call, *live.document, input.object));
  CO_TRY(Outcome outcome,
         co_await apply_update(context, call, std::move(live), std::move(input.object),
                               {.subresource = call.subresource, .dry_run = query.dry_run}));
  co_return show_outcome(context, call, 200, outcome, input.warnings);
}

rt::Task<kube::ApiResult<ApiResponse>> patch_object(Context& context, const Call& call) {
  CO_TRY(WriteQuery query, parse_write_query(call.request.query));
  CO_TRY(PatchType type, patch_type(call.request.content_type));
  std::vector<std::string> duplicates;
  CO_TRY(json::value patch,
         decode_body(context.scheme, call.request.content_type, call.request.body, duplicates));
  CO_TRY(Live live, live_object(context, call));
  CO_TRY(json::object patched, apply_patch(call, type, *live.document, patch));
  CO_TRY(Input input, check_input(std::move(patched), expected_kind(*call.kind),
                                  query.field_validation, duplicates));
  CO_TRY_VOID(settle_namespace(call, input.object));
  CO_TRY_VOID(settle_name(call, input.object));
  CO_TRY_VOID(check_versions(call, *live.document, input.object));
  CO_TRY(Outcome outcome,
         co_await apply_update(context, call, std::move(live), std::move(input.object),
                               {.subresource = call.subresource, .dry_run = query.dry_run}));
  co_return show_outcome(context, call, 200, outcome, input.warnings);
}

kube::ApiResult<Live> live_object(Context& context, const Call& call) {
  store::ItemRef item = context.store.head(call.key());
  if (!item) return kube::not_found(call.resource(), call.name);
  return Live{.item = item, .document = context.objects.document(*call.kind, item)};
}

rt::Task<kube::ApiResult<Outcome>> apply_update(Context& context, const Call& call, Live live,
                                                json::object object, UpdateOptions options) {
  const json::object& old = *live.document;
  const store::Key key = call.key();
  prepare_update(*call.kind, options.subresource, old, object);
  CO_TRY_VOID(check_finalizers(*call.kind, old, object));
  CO_TRY_VOID(complete(context, call, key, &old, object));
  if (options.subresource.empty()) update_generation(*call.kind, old, object);
  bool removed = may_be_removed(*call.kind, object);
  if (options.dry_run) {
    release(context, call, key);
    co_return Outcome{.document = std::make_shared<const json::object>(std::move(object)),
                      .item = nullptr};
  }
  if (!removed && object == old) {
    release(context, call, key);
    // It may rest on a write that is not durable yet.
    CO_TRY_VOID(co_await context.store.flush());
    co_return Outcome{.document = live.document, .item = live.item};
  }
  co_return co_await store_object(context, call, live.item->revision, std::move(object), removed);
}

kube::ApiResult<ApiResponse> show_outcome(Context& context, const Call& call, int status,
                                          const Outcome& outcome,
                                          const std::vector<std::string>& warnings) {
  TRY(Representation representation, negotiate(call.request.accept));
  ApiResponse response;
  if (representation == Representation::object && outcome.item) {
    response.status = status;
    Objects::Bytes bytes = context.objects.bytes(*call.kind, outcome.item);
    response.body.append_shared(std::move(bytes.owner), bytes.text);
    response.body.append_shared(nullptr, "\n");
  } else {
    response = show(context, *call.kind, representation,
                    call.request.query.get_or("includeObject", ""), status, outcome.document);
  }
  for (const std::string& warning : warnings) response.headers.push_back(warning_header(warning));
  return response;
}

}  // namespace tulle::apiserver
