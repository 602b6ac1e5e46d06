// The proxy's metrics, made once and shared by its workers.
#pragma once

#include "obs/access_record.h"
#include "obs/metrics.h"

#include <array>
#include <chrono>
#include <string>

namespace tulle::proxy {

class Metrics final {
 public:
  // `registry` must outlive this.
  explicit Metrics(obs::Registry& registry);

  // Counts what came of a connection. From any thread.
  void record_connection(const obs::AccessRecord& record);

  // Counts what came of requests. Keeps where the last was counted, since those of one client
  // mostly go to one service; belongs to one flow.
  class Requests final {
   public:
    explicit Requests(Metrics& metrics) : metrics_(metrics) {}
    void record(const obs::AccessRecord& record);

   private:
    Metrics& metrics_;
    std::string service_;
    std::uint16_t port_ = 0;
    obs::Histogram* duration_ = nullptr;           // null: nothing was counted yet
    std::array<obs::Counter*, 6> by_status_ = {};  // by the status' first digit, 0: none
  };

  // Endpoints left out by outlier detection, and requests turned away by circuit breaking.
  obs::Counter& ejections(const std::string& service, std::uint16_t port) {
    return ejections_.with({service, std::to_string(port)});
  }
  obs::Counter& shed(const std::string& service, std::uint16_t port) {
    return shed_.with({service, std::to_string(port)});
  }

  // How long a change of endpoints took until every worker used it. A clock of another machine that
  // is ahead makes that nothing.
  void record_propagation(std::chrono::microseconds took);

  // Connections that could not be accepted when they came, for want of descriptors or memory.
  obs::Counter& accept_failures() { return accept_failures_; }

  obs::Gauge& generation() { return generation_; }
  obs::Gauge& pods() { return pods_; }

 private:
  void count_retries(const obs::AccessRecord& record);

  obs::Family<obs::Counter>& requests_;
  obs::Family<obs::Counter>& connections_;
  obs::Family<obs::Counter>& retries_;
  obs::Family<obs::Counter>& ejections_;
  obs::Family<obs::Counter>& shed_;
  obs::Counter& accept_failures_;
  obs::Family<obs::Histogram>& duration_;
  obs::Histogram& propagation_;
  obs::Gauge& generation_;
  obs::Gauge& pods_;
};

}  // namespace tulle::proxy
