// What several parts ask of a pod's document.
#pragma once

#include "kube/object.h"

#include <boost/json/fwd.hpp>

#include <string_view>

namespace tulle::kube {

// Whether the phase is one that a pod does not leave: Succeeded or Failed.
inline bool is_final_phase(std::string_view phase) {
  return phase == "Succeeded" || phase == "Failed";
}
inline bool has_ended(const boost::json::object& pod) {
  return is_final_phase(string_at(pod, "status.phase"));
}

}  // namespace tulle::kube
