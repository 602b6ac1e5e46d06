// Which PersistentVolume a claim gets, and what is written into both. Pure.
#pragma once

#include "controllers/shared.h"

#include <string>
#include <string_view>
#include <vector>

namespace tulle::controllers {

inline constexpr std::string_view kLocalPathClass = "local-path";
inline constexpr std::string_view kDefaultClassAnnotation =
    "storageclass.kubernetes.io/is-default-class";
inline constexpr std::string_view kClaimProtection = "kubernetes.io/pvc-protection";

// The class of a claim, or volume: spec.storageClassName, or the annotation that came before it.
std::string_view class_of(const json::object& object);
// Whether a claim says nothing of a class: then the default one is meant.
bool names_no_class(const json::object& claim);

// Whether spec.claimRef is this claim. A reference without a uid means whatever has the name.
bool is_claimed_by(const json::object& volume, const json::object& claim);

// The volume for a claim that has none yet, of those that are free or promised to it: with its
// class, modes and labels, and large enough; the smallest of them. Null: none fits.
ObjectPtr volume_for(const json::object& claim, const std::vector<ObjectPtr>& volumes);

// A new volume that the provisioner tulle.dev/local-path gives the claim: a directory of this
// node, below `directory`. The node makes and removes it (node/local_volumes.h).
json::object provision(const json::object& claim, const json::object& storage_class,
                       const std::string& directory);

// The two as they are to be when they are bound.
json::object bound_volume(const json::object& volume, const json::object& claim);
json::object bound_claim(const json::object& claim, const json::object& volume);
// status of a claim that is bound to the volume.
json::object bound_status(const json::object& claim, const json::object& volume);

// status.phase of a volume. `claim`: that which spec.claimRef names, null where there is none.
std::string_view volume_phase(const json::object& volume, const ObjectPtr& claim);

// Names of the claims that a pod uses.
std::vector<std::string> claims_of(const json::object& pod);

// The claims of its own that a pod is to have, for its ephemeral volumes.
std::vector<json::object> ephemeral_claims_of(const json::object& pod);

}  // namespace tulle::controllers
