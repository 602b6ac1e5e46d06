// What changes with every request, kept apart from the Snapshot, which never changes.
//
// Endpoints and ports of a Snapshot point to their live state. The state is found again by
// identity (endpoint: address, port and transport; service port: service name, port and transport)
// when the next Snapshot is built, so counters survive, and whoever still holds a request keeps it
// alive. All loops of a process share it: one process sees every client of the node.
#pragma once

#include "mesh/affinity_table.h"
#include "mesh/gate.h"
#include "mesh/outlier.h"
#include "mesh/peak_ewma.h"
#include "mesh/retry_tokens.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace tulle::mesh {

// How near its end an endpoint is (proxy/drains.h).
enum class Drain : std::uint8_t {
  none,
  avoided,  // takes a request only where nobody else can
  shut,     // takes nothing any more
};

// Told when nothing is under way any more at an endpoint that drains.
class DrainBell {
 public:
  // On the thread of whoever ended last. May be for nothing.
  virtual void ring() = 0;

 protected:
  ~DrainBell() = default;
};

struct alignas(64) EndpointState {
  std::atomic<std::uint32_t> in_flight{0};  // requests and TCP connections now at this endpoint
  std::atomic<std::uint64_t> requests{0};   // and all that were ever sent there
  std::atomic<Drain> drain{Drain::none};
  // Null but while it drains. Outlives every InFlight there is.
  std::atomic<DrainBell*> bell{nullptr};
  OutlierRecord outlier;
  std::atomic<bool> check_fails{false};  // by the policy's health check
  PeakEwma latency;                      // kept where a policy balances by it
  // When the slow start of the endpoint began, in monotonic nanoseconds; 0: with its next pick.
  std::atomic<std::int64_t> slow_start{0};
  // SnapshotBuilder's alone.
  bool known_ready = false;                     // it was ready in the Snapshot before
  std::shared_ptr<Gate> connections_gate = {};  // once a policy has limited its connections
};

// Who spoke first on the last connection to a port where that was told by who did.
enum class FirstSpeaker : std::uint8_t { unknown, client, server };

struct alignas(64) PortState {
  std::atomic<std::uint64_t> turn{0};  // the round-robin position
  AffinityTable affinity;
  RetryTokens retries;
  std::atomic<FirstSpeaker> first_speaker{FirstSpeaker::unknown};
};

// Counts one request (or TCP connection) at an endpoint for as long as it lives. Make one from a
// Pick at once, with no co_await between: that is what makes least-request exact.
class InFlight final {
 public:
  InFlight() = default;
  explicit InFlight(std::shared_ptr<EndpointState> state) : state_(std::move(state)) {
    if (state_) state_->in_flight.fetch_add(1, std::memory_order_relaxed);
  }
  InFlight(InFlight&& other) noexcept = default;
  InFlight& operator=(InFlight&& other) noexcept {
    if (this != &other) {
      end();
      state_ = std::move(other.state_);
    }
    return *this;
  }
  ~InFlight() { end(); }

  explicit operator bool() const { return state_ != nullptr; }
  EndpointState* state() const { return state_.get(); }  // null when it has ended
  // It was not dialled in advance: there is something to send.
  void note_sent() {
    if (state_) state_->requests.fetch_add(1, std::memory_order_relaxed);
  }

  // Ends the count early. Does nothing when empty.
  void end() {
    const auto state = std::exchange(state_, nullptr);
    if (!state || state->in_flight.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    if (DrainBell* const bell = state->bell.load(std::memory_order_acquire)) bell->ring();
  }

 private:
  std::shared_ptr<EndpointState> state_;
};

// Leave for one retry, for as long as it lives (mesh/retry_tokens.h).
class RetryLease final {
 public:
  RetryLease() = default;
  // `state` has given a token for it.
  explicit RetryLease(std::shared_ptr<PortState> state) : state_(std::move(state)) {}
  RetryLease(RetryLease&& other) noexcept = default;
  RetryLease& operator=(RetryLease&& other) noexcept {
    if (this != &other) {
      end();
      state_ = std::move(other.state_);
    }
    return *this;
  }
  ~RetryLease() { end(); }

  void end() {
    if (auto state = std::exchange(state_, nullptr)) state->retries.give_back();
  }

 private:
  std::shared_ptr<PortState> state_;
};

}  // namespace tulle::mesh
