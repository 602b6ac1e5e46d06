// Documents in the store: where they lie, how they look there, and their parsed form.
//
// A kind may share the storage of another (events.k8s.io/v1 Event lies as a core/v1 Event) or be
// one of several versions of a CRD: then the stored bytes differ from what is served in apiVersion
// and in the names of some top-level fields. All other kinds are served as stored, byte by byte.
#pragma once

#include "kube/scheme.h"
#include "rt/task.h"
#include "store/store.h"

#include <boost/json/fwd.hpp>

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace tulle::apiserver {

using DocumentRef = std::shared_ptr<const boost::json::object>;

// How many parsed documents are kept for the next reader: watchers of one event come together.
inline constexpr std::size_t parsed_documents_max = 512;

class Objects final {
 public:
  explicit Objects(store::Store& store) : store_(store) {}
  Objects(const Objects&) = delete;
  Objects& operator=(const Objects&) = delete;

  static std::string bucket(const kube::KindDefinition& kind);
  static store::Key key(const kube::KindDefinition& kind, std::string_view namespace_,
                        std::string_view name);
  static bool served_as_stored(const kube::KindDefinition& kind);

  // The item as a document of `kind`. REQUIRES: the item is of the kind's bucket.
  DocumentRef document(const kube::KindDefinition& kind, const store::ItemRef& item);
  // The bytes to send; they live as long as `owner` does.
  struct Bytes {
    std::shared_ptr<const void> owner;
    std::string_view text;
  };
  Bytes bytes(const kube::KindDefinition& kind, const store::ItemRef& item);

  struct Written {
    store::ItemRef item;
    DocumentRef document;  // with its new resourceVersion
  };
  rt::Task<Result<Written>> put(const kube::KindDefinition& kind, store::Key key,
                                store::Expected expected, boost::json::object object);
  // `object` is the last state of the document.
  rt::Task<Result<Written>> erase(const kube::KindDefinition& kind, store::Key key,
                                  store::Expected expected, boost::json::object object);

 private:
  DocumentRef parsed(const store::ItemRef& item);
  void remember(store::Revision revision, DocumentRef document);

  store::Store& store_;
  // By revision, which no two items share. The oldest goes first.
  std::unordered_map<store::Revision, DocumentRef> parsed_;
  std::deque<store::Revision> parsed_order_;
};

}  // namespace tulle::apiserver
