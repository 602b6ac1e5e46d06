#include "kube/storage.h"

#include "kube/object.h"

#include <boost/json.hpp>

namespace tulle::kube {

std::string claim_name(const json::object& volume, std::string_view pod) {
  if (find_object(volume, "ephemeral.volumeClaimTemplate") != nullptr) {
    return std::string(pod).append("-").append(string_at(volume, "name"));
  }
  return std::string(string_at(volume, "persistentVolumeClaim.claimName"));
}

}  // namespace tulle::kube
