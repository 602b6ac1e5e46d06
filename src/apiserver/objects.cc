#include "apiserver/objects.h"

#include "codec/json.h"
#include "kube/endpoint_slice.h"
#include "kube/object.h"

#include <boost/json.hpp>

namespace tulle::apiserver {

namespace json = boost::json;

namespace {

void rename(json::object& object, std::string_view from, std::string_view to) {
  auto found = object.find(from);
  if (found == object.end()) return;
  json::value moved = std::move(found->value());
  object.erase(found);
  object.insert_or_assign(to, std::move(moved));
}

std::string storage_api_version(const kube::KindDefinition& kind) {
  if (kind.storage_version.empty()) return kind.api_version();
  if (kind.storage_group.empty()) return kind.storage_version;
  return kind.storage_group + "/" + kind.storage_version;
}

json::object to_storage(const kube::KindDefinition& kind, json::object object) {
  for (const auto& [here, there] : kind.storage_renames) rename(object, here, there);
  object["apiVersion"] = storage_api_version(kind);
  return object;
}

json::object from_storage(const kube::KindDefinition& kind, json::object object) {
  for (const auto& [here, there] : kind.storage_renames) rename(object, there, here);
  object["apiVersion"] = kind.api_version();
  return object;
}

// The slices of a Service with a selector follow from it and its pods, which are durable: when
// their controller starts it makes them again. Whom requests are sent to need not wait for the
// disk.
bool is_made_again(const kube::KindDefinition& kind, const json::object& document) {
  return kind.group == "discovery.k8s.io" && kind.plural == "endpointslices" &&
         kube::label_of(document, kube::slice_manager_label) == kube::slice_controller;
}

// Gives `document` its revision and returns the text to store.
store::Render render_into(const kube::KindDefinition& kind,
                          const std::shared_ptr<json::object>& document) {
  return [&kind, document](store::Revision revision) {
    kube::set_at(*document, "metadata.resourceVersion", json::value(std::to_string(revision)));
    if (Objects::served_as_stored(kind)) return codec::to_json(*document);
    return codec::to_json(to_storage(kind, *document));
  };
}

}  // namespace

std::string Objects::bucket(const kube::KindDefinition& kind) {
  const std::string& group = kind.storage_version.empty() ? kind.group : kind.storage_group;
  return group + "/" + kind.plural;
}

store::Key Objects::key(const kube::KindDefinition& kind, std::string_view namespace_,
                        std::string_view name) {
  return {bucket(kind), std::string(namespace_), std::string(name)};
}

bool Objects::served_as_stored(const kube::KindDefinition& kind) {
  return kind.storage_version.empty() ||
         (kind.storage_version == kind.version && kind.storage_group == kind.group);
}

DocumentRef Objects::document(const kube::KindDefinition& kind, const store::ItemRef& item) {
  DocumentRef stored = parsed(item);
  if (served_as_stored(kind)) return stored;
  return std::make_shared<const json::object>(from_storage(kind, *stored));
}

Objects::Bytes Objects::bytes(const kube::KindDefinition& kind, const store::ItemRef& item) {
  if (served_as_stored(kind)) return {item, item->value};
  auto text = std::make_shared<const std::string>(codec::to_json(*document(kind, item)));
  return {text, *text};
}

rt::Task<Result<Objects::Written>> Objects::put(const kube::KindDefinition& kind, store::Key key,
                                                store::Expected expected, json::object object) {
  auto document = std::make_shared<json::object>(std::move(object));
  const auto durability =
      is_made_again(kind, *document) ? store::Durability::later : store::Durability::first;
  CO_TRY(auto item,
         co_await store_.put(std::move(key), expected, render_into(kind, document), durability));
  if (served_as_stored(kind)) remember(item->revision, document);
  co_return Written{std::move(item), std::move(document)};
}

rt::Task<Result<Objects::Written>> Objects::erase(const kube::KindDefinition& kind, store::Key key,
                                                  store::Expected expected, json::object object) {
  auto document = std::make_shared<json::object>(std::move(object));
  CO_TRY(auto item, co_await store_.erase(std::move(key), expected, render_into(kind, document)));
  co_return Written{std::move(item), std::move(document)};
}

DocumentRef Objects::parsed(const store::ItemRef& item) {
  auto found = parsed_.find(item->revision);
  if (found != parsed_.end()) return found->second;
  auto value = codec::parse_json(item->value);
  // What we stored we can read; a file changed from outside shows as an empty object.
  auto document = std::make_shared<json::object>();
  if (value && value->is_object()) *document = std::move(value->get_object());
  remember(item->revision, document);
  return document;
}

void Objects::remember(store::Revision revision, DocumentRef document) {
  if (!parsed_.emplace(revision, std::move(document)).second) return;
  parsed_order_.push_back(revision);
  if (parsed_order_.size() <= parsed_documents_max) return;
  parsed_.erase(parsed_order_.front());
  parsed_order_.pop_front();
}

}  // namespace tulle::apiserver
