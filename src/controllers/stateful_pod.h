// The identity of a StatefulSet's pods: their names and numbers, and the claims that stay theirs.
// Pure.
#pragma once

#include "controllers/shared.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::controllers {

// "db-2".
std::string pod_name(const json::object& set, std::int64_t ordinal);
// 2 of pod "db-2" of set "db"; nothing for a name that is none of the set's.
std::optional<std::int64_t> ordinal_in(std::string_view pod, const json::object& set);

// The pod of this ordinal as `pod_template` has it, of the revision of this name. Its volumes are
// its claims, and those of the template that are not named as one of them.
json::object stateful_pod(const json::object& set, const json::object& pod_template,
                          std::string_view revision, std::int64_t ordinal);

// The claims of this ordinal, one for each of spec.volumeClaimTemplates: "data-db-2".
std::vector<json::object> claims_of(const json::object& set, std::int64_t ordinal);

// Who takes a claim along, by spec.persistentVolumeClaimRetentionPolicy: the set when it is
// deleted, and the pod when its ordinal is no longer wanted. `pod` is null while it is not there.
struct ClaimOwners {
  const json::object& set;
  const json::object* pod = nullptr;
  bool condemned = false;
};
// The owner references of `claim` as they should be; those to others stay.
json::array claim_owner_references(const json::object& claim, const ClaimOwners& owners);

// Whether `claim` goes with an earlier pod of this name: the next one waits until it is gone.
bool goes_with_earlier_pod(const json::object& claim, std::string_view pod);

}  // namespace tulle::controllers
