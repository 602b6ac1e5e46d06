// Whether the proxy uses the kernel fast path, which is decided once, at its start.
#pragma once

#include "fastpath/fast_path.h"
#include "obs/metrics.h"

#include <memory>

namespace tulle::app {

class FastPathRole final {
 public:
  // `registry` must outlive this.
  FastPathRole(fastpath::Mode mode, obs::Registry& registry);

  // Says in the log whether it is on, and if not why.
  void report() const;

  // For the networks of the workers, which this must outlive. Empty where it is off.
  net::SocketHooks hooks();

  // Brings the metrics up to date.
  void update_metrics();

 private:
  const fastpath::Mode mode_;
  Result<std::unique_ptr<fastpath::FastPath>> fast_path_;  // an error: off, for that reason
  fastpath::Counts of_check_ = {};  // what the check of the kernel counted is nobody's traffic
  obs::Counter& sockets_;
  obs::Counter& messages_;
  obs::Counter& bytes_;
  obs::Counter& held_back_;
  obs::Counter& not_joined_;
};

}  // namespace tulle::app
