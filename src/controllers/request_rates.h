// What the mesh sees of each pod, for those who scale by it.
#pragma once

#include "base/address.h"

#include <optional>

namespace tulle::controllers {

class RequestRates {
 public:
  virtual ~RequestRates() = default;
  // Requests per second that reach the pod at this address, over the last half minute or so.
  // Nothing while that is not known: the pod is new, or nobody measures.
  virtual std::optional<double> per_second(const IpAddress& pod) = 0;
};

}  // namespace tulle::controllers
