// What the server itself decides about an object: its identity, what a client may not change, when
// it is a new generation, when it may go. Pure.
#pragma once

#include "kube/scheme.h"
#include "kube/status.h"
#include "kube/time.h"

#include <boost/json/fwd.hpp>

#include <string>
#include <string_view>

namespace tulle::apiserver {

struct NewIdentity {
  std::string_view namespace_;
  std::string uid;
  kube::Time created;
};

// A new object begins without history and, where status is a subresource, without status.
void prepare_create(const kube::KindDefinition& kind, boost::json::object& object,
                    const NewIdentity& identity);

// Puts back what an update by this way ("" or a subresource) may not change.
void prepare_update(const kube::KindDefinition& kind, std::string_view subresource,
                    const boost::json::object& old, boost::json::object& object);

// Raises metadata.generation where the kind has one and the update changed more than metadata and
// status. Call it when the object is complete.
void update_generation(const kube::KindDefinition& kind, const boost::json::object& old,
                       boost::json::object& object);

// Fails where the update adds finalizers to an object that is being deleted.
kube::ApiResult<void> check_finalizers(const kube::KindDefinition& kind,
                                       const boost::json::object& old,
                                       const boost::json::object& object);

// Whether nothing holds an object whose deletion has begun: no finalizer, no grace left.
bool may_be_removed(const kube::KindDefinition& kind, const boost::json::object& object);

bool is_namespace(const kube::KindDefinition& kind);
bool is_pod(const kube::KindDefinition& kind);

}  // namespace tulle::apiserver
