#include "unreliable_client.h"

#include "rt/sleep.h"

namespace tulle::sim {

using namespace kubeclient;
using kube::ApiResult;

namespace {

class UnreliableWatch final : public Watch {
 public:
  UnreliableWatch(UnreliableClient& client, std::unique_ptr<Watch> watch)
      : client_(client), watch_(std::move(watch)) {}

  rt::Task<ApiResult<WatchEvent>> next() override {
    auto event = co_await watch_->next();
    co_await client_.delay();
    if (auto lost = client_.lost_watch()) co_return *std::move(lost);
    co_return event;
  }

 private:
  UnreliableClient& client_;
  std::unique_ptr<Watch> watch_;
};

}  // namespace

bool UnreliableClient::happens(std::uint64_t of_a_hundred) {
  return of_a_hundred > 0 && random_.below(100) < of_a_hundred;
}

rt::Task<void> UnreliableClient::delay() {
  const auto latency = static_cast<std::uint64_t>(options_.latency_max.count());
  if (latency == 0) co_return;
  co_await rt::sleep(loop_, Duration(static_cast<std::int64_t>(random_.below(latency))));
}

std::optional<kube::ApiStatus> UnreliableClient::lost_watch() {
  if (!happens(options_.lost_watches)) return std::nullopt;
  switch (random_.below(3)) {
    case 0: return kube::timeout("the server ended the watch");
    case 1: return kube::expired("too old resource version");
    default: return kube::internal_error("connection reset");
  }
}

template <class T>
rt::Task<ApiResult<T>> UnreliableClient::carry(rt::Task<ApiResult<T>> call, bool is_update) {
  co_await delay();
  if (happens(options_.unavailable)) co_return kube::service_unavailable("simulated");
  if (is_update && happens(options_.conflicts)) co_return kube::conflict({}, "", "simulated");
  auto outcome = co_await std::move(call);
  co_await delay();
  if (happens(options_.lost_answers)) co_return kube::timeout("simulated");
  co_return outcome;
}

rt::Task<ApiResult<ObjectPtr>> UnreliableClient::get(Resource resource, ObjectKey key) {
  return carry(server_.get(resource, std::move(key)), false);
}

rt::Task<ApiResult<List>> UnreliableClient::list(Resource resource, ListOptions options) {
  return carry(server_.list(resource, std::move(options)), false);
}

rt::Task<ApiResult<std::unique_ptr<Watch>>> UnreliableClient::watch(Resource resource,
                                                                    ListOptions options,
                                                                    std::string resource_version) {
  auto watch = co_await carry(
      server_.watch(resource, std::move(options), std::move(resource_version)), false);
  if (!watch) co_return watch.error();
  co_return std::unique_ptr<Watch>(std::make_unique<UnreliableWatch>(*this, *std::move(watch)));
}

rt::Task<ApiResult<ObjectPtr>> UnreliableClient::create(Resource resource,
                                                        boost::json::object object) {
  return carry(server_.create(resource, std::move(object)), false);
}

rt::Task<ApiResult<ObjectPtr>> UnreliableClient::update(Resource resource,
                                                        boost::json::object object,
                                                        std::string subresource) {
  return carry(server_.update(resource, std::move(object), std::move(subresource)), true);
}

rt::Task<ApiResult<ObjectPtr>> UnreliableClient::patch(Resource resource, ObjectKey key,
                                                       PatchType type, boost::json::value patch,
                                                       std::string subresource) {
  return carry(
      server_.patch(resource, std::move(key), type, std::move(patch), std::move(subresource)),
      true);
}

rt::Task<ApiResult<void>> UnreliableClient::remove(Resource resource, ObjectKey key,
                                                   DeleteOptions options) {
  return carry(server_.remove(resource, std::move(key), std::move(options)), false);
}

}  // namespace tulle::sim
