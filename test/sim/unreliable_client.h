// A client between a component and its server that takes its time, loses watches and fails at
// random, as a network and a busy server do.
#pragma once

#include "base/random.h"
#include "kubeclient/client.h"
#include "rt/loop.h"

#include <boost/json.hpp>

namespace tulle::sim {

class UnreliableClient final : public kubeclient::Client {
 public:
  struct Options {
    Duration latency_max = std::chrono::milliseconds(2);  // before a call and after it
    // Of a hundred calls.
    std::uint64_t unavailable = 0;   // fails, nothing was done
    std::uint64_t lost_answers = 0;  // was done, and fails with a time-out
    std::uint64_t conflicts = 0;     // of updates and patches
    std::uint64_t lost_watches = 0;  // of a hundred events: the watch ends in one way or another
  };

  // Both must outlive the client.
  UnreliableClient(rt::Loop& loop, kubeclient::Client& server, Random random, Options options)
      : loop_(loop), server_(server), random_(random), options_(options) {}

  // From now on.
  void set_options(const Options& options) { options_ = options; }
  const Options& options() const { return options_; }

  rt::Task<kube::ApiResult<kubeclient::ObjectPtr>> get(kubeclient::Resource resource,
                                                       kubeclient::ObjectKey key) override;
  rt::Task<kube::ApiResult<kubeclient::List>> list(kubeclient::Resource resource,
                                                   kubeclient::ListOptions options) override;
  rt::Task<kube::ApiResult<std::unique_ptr<kubeclient::Watch>>> watch(
      kubeclient::Resource resource, kubeclient::ListOptions options,
      std::string resource_version) override;
  rt::Task<kube::ApiResult<kubeclient::ObjectPtr>> create(kubeclient::Resource resource,
                                                          boost::json::object object) override;
  rt::Task<kube::ApiResult<kubeclient::ObjectPtr>> update(kubeclient::Resource resource,
                                                          boost::json::object object,
                                                          std::string subresource) override;
  rt::Task<kube::ApiResult<kubeclient::ObjectPtr>> patch(kubeclient::Resource resource,
                                                         kubeclient::ObjectKey key,
                                                         kubeclient::PatchType type,
                                                         boost::json::value patch,
                                                         std::string subresource) override;
  rt::Task<kube::ApiResult<void>> remove(kubeclient::Resource resource, kubeclient::ObjectKey key,
                                         kubeclient::DeleteOptions options) override;

  // For its watches.
  rt::Task<void> delay();
  bool happens(std::uint64_t of_a_hundred);
  std::optional<kube::ApiStatus> lost_watch();

 private:
  template <class T>
  rt::Task<kube::ApiResult<T>> carry(rt::Task<kube::ApiResult<T>> call, bool is_update);

  rt::Loop& loop_;
  kubeclient::Client& server_;
  Random random_;
  Options options_;
};

}  // namespace tulle::sim
