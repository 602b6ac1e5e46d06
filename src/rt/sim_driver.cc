#include "rt/sim_driver.h"

namespace tulle::rt {

bool SimDriver::wait(Instant deadline) {
  if (deadline == kNever) return false;
  if (deadline > now_) now_ = deadline;
  return true;
}

}  // namespace tulle::rt
