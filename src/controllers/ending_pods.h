// Pods that were told to end, until the cache shows it. Whatever the cache says of one meanwhile is
// behind: it may have become ready just before it was told, and nobody may count on it.
#pragma once

#include "controllers/shared.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>

namespace tulle::controllers {

class EndingPods final {
 public:
  // `shared` must outlive it. REQUIRES: the caches have not started.
  explicit EndingPods(Shared& shared);
  EndingPods(const EndingPods&) = delete;
  EndingPods& operator=(const EndingPods&) = delete;

  // Before a pod is deleted, and when the server has said that it is.
  void told(const json::object& pod);
  void answered(const json::object& pod);

  // REQUIRES: `pod` is as the cache has it now; of an older copy it may be known no more that it
  // ends.
  bool contains(const json::object& pod) const;
  // Told, but no answer came: it may not have been heard, and has to be told again.
  bool is_unanswered(const json::object& pod) const;

 private:
  enum class Telling : std::uint8_t { told, answered };

  Shared& shared_;
  std::map<std::string, Telling, std::less<>> pods_;  // by uid
};

}  // namespace tulle::controllers
