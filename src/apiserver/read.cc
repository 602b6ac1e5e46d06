#include "apiserver/read.h"

#include "base/format.h"
#include "codec/json.h"
#include "kube/object.h"
#include "kube/table.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::apiserver {

namespace json = boost::json;

namespace {

struct Page {
  std::vector<store::ItemRef> items;
  store::Revision revision = 0;
  std::string continue_token;
  std::size_t remaining = 0;  // 0: unknown or none
};

kube::TableOptions table_options(Context& context, const kube::KindDefinition& kind,
                                 std::string_view include_object) {
  return {
      .columns = table_columns(kind),
      .include = kube::parse_include_object(include_object).value_or(kube::IncludeObject::metadata),
      .now = context.now()};
}

// What the store is asked for: the revision and the place to begin.
kube::ApiResult<store::ListOptions> store_options(Context& context, const Call& call,
                                                  const ListQuery& query, std::string_view bucket) {
  store::ListOptions options{.bucket = bucket};
  if (!call.namespace_.empty()) options.namespace_ = call.namespace_;
  if (!query.continue_token.empty()) {
    TRY(ContinueToken token, parse_continue_token(query.continue_token));
    options.at = token.revision;
    options.after = std::move(token.after);
    if (options.at > context.store.revision()) {
      return kube::bad_request("continue key is not valid");
    }
    return options;
  }
  store::Revision asked = query.resource_version.value_or(0);
  if (asked > context.store.revision()) {
    return kube::too_large_resource_version(asked, context.store.revision());
  }
  bool exact = query.match == VersionMatch::exact;
  // A limited list at a revision without a match is at exactly that revision, too.
  if (query.match == VersionMatch::none && query.limit > 0) exact = asked > 0;
  if (exact) options.at = asked;
  return options;
}

// 410, with a token that lets the client go on from where it is in the current state.
kube::ApiStatus expired_list(const store::ListOptions& options) {
  kube::ApiStatus status = kube::expired(
      "The provided continue parameter is too old to display a consistent list result. You can "
      "start a new list without the continue parameter, or use the continue token in this "
      "response to retrieve the remainder of the results. Continuing with the provided token "
      "results in an inconsistent list - objects that were created, modified, or deleted between "
      "the time the first chunk was returned and now may show up in the list.");
  if (options.after) status.continue_token = to_string({.revision = 0, .after = *options.after});
  return status;
}

kube::ApiResult<Page> read_page(Context& context, const Call& call, const ListQuery& query) {
  std::string bucket = Objects::bucket(*call.kind);
  TRY(store::ListOptions options, store_options(context, call, query, bucket));
  auto listing = context.store.list(options);
  if (!listing) {
    if (options.after) return expired_list(options);
    return kube::expired(fmt::format("too old resource version: {}", options.at));
  }
  Page page{.items = {}, .revision = listing->revision, .continue_token = {}};
  std::vector<store::ItemRef>& found = listing->items;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!query.selects_all() && !query.matches(*context.objects.document(*call.kind, found[i]))) {
      continue;
    }
    if (query.limit != 0 && page.items.size() == query.limit) {
      const store::Key& last = page.items.back()->key;
      page.continue_token =
          to_string({.revision = page.revision, .after = {last.namespace_, last.name}});
      if (query.selects_all()) page.remaining = found.size() - i;
      break;
    }
    page.items.push_back(found[i]);
  }
  return page;
}

json::object list_metadata(const Page& page) {
  json::object metadata{{"resourceVersion", std::to_string(page.revision)}};
  if (!page.continue_token.empty()) metadata["continue"] = page.continue_token;
  if (page.remaining > 0) metadata["remainingItemCount"] = page.remaining;
  return metadata;
}

// The list put together from the items' own bytes.
Body concatenated(Context& context, const kube::KindDefinition& kind, const Page& page) {
  Body body(fmt::format(R"({{"kind":"{}","apiVersion":"{}","metadata":{},"items":[)",
                        kind.list_kind, kind.api_version(), codec::to_json(list_metadata(page))));
  bool first = true;
  for (const store::ItemRef& item : page.items) {
    if (!first) body.append_shared(nullptr, ",");
    first = false;
    Objects::Bytes bytes = context.objects.bytes(kind, item);
    body.append_shared(std::move(bytes.owner), bytes.text);
  }
  body.append_shared(nullptr, "]}\n");
  return body;
}

}  // namespace

std::span<const kube::Column> table_columns(const kube::KindDefinition& kind) {
  if (!kind.columns.empty()) return kind.columns;
  return kube::columns_of(kind.group, kind.kind);
}

kube::ApiResult<ApiResponse> get_object(Context& context, const Call& call) {
  TRY(Representation representation, negotiate(call.request.accept));
  store::ItemRef item = context.store.get(call.key());
  if (!item) return kube::not_found(call.resource(), call.name);
  if (representation == Representation::object) {
    ApiResponse response;
    Objects::Bytes bytes = context.objects.bytes(*call.kind, item);
    response.body.append_shared(std::move(bytes.owner), bytes.text);
    response.body.append_shared(nullptr, "\n");
    return response;
  }
  return show(context, *call.kind, representation, call.request.query.get_or("includeObject", ""),
              200, context.objects.document(*call.kind, item));
}

kube::ApiResult<ApiResponse> list_objects(Context& context, const Call& call) {
  TRY(Representation representation, negotiate(call.request.accept));
  TRY(ListQuery query, parse_list_query(call.request.query, *call.kind));
  TRY(Page page, read_page(context, call, query));
  if (representation == Representation::object) {
    ApiResponse response;
    response.body = concatenated(context, *call.kind, page);
    return response;
  }
  std::vector<DocumentRef> documents;
  documents.reserve(page.items.size());
  for (const store::ItemRef& item : page.items) {
    documents.push_back(context.objects.document(*call.kind, item));
  }
  return show_list(context, call, representation, list_metadata(page), documents);
}

ApiResponse show(Context& context, const kube::KindDefinition& kind, Representation representation,
                 std::string_view include_object, int status, const DocumentRef& document) {
  switch (representation) {
    case Representation::object: return json_response(status, *document);
    case Representation::metadata: return json_response(status, kube::partial_metadata(*document));
    case Representation::table: {
      const json::object* row = document.get();
      json::object metadata{{"resourceVersion", std::string(kube::resource_version_of(*document))}};
      return json_response(status, kube::make_table(metadata, std::span(&row, 1),
                                                    table_options(context, kind, include_object)));
    }
  }
  return {};
}

ApiResponse show_list(Context& context, const Call& call, Representation representation,
                      const json::object& metadata, const std::vector<DocumentRef>& documents) {
  std::vector<const json::object*> objects;
  objects.reserve(documents.size());
  for (const DocumentRef& document : documents) objects.push_back(document.get());
  switch (representation) {
    case Representation::object: {
      json::array items;
      for (const json::object* object : objects) items.emplace_back(*object);
      return json_response(200, json::object{{"kind", call.kind->list_kind},
                                             {"apiVersion", call.kind->api_version()},
                                             {"metadata", metadata},
                                             {"items", std::move(items)}});
    }
    case Representation::metadata:
      return json_response(200, kube::partial_metadata_list(metadata, objects));
    case Representation::table: {
      const auto options =
          table_options(context, *call.kind, call.request.query.get_or("includeObject", ""));
      return json_response(200, kube::make_table(metadata, objects, options));
    }
  }
  return {};
}

std::vector<store::ItemRef> select_items(Context& context, const Call& call, const ListQuery& query,
                                         std::vector<store::ItemRef> items) {
  if (query.selects_all()) return items;
  std::erase_if(items, [&](const store::ItemRef& item) {
    return !query.matches(*context.objects.document(*call.kind, item));
  });
  return items;
}

}  // namespace tulle::apiserver
