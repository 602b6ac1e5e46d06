#include "cli/status.h"

#include "base/format.h"
#include "kube/status.h"
#include "kubeclient/http_client.h"
#include "kubeclient/kubeconfig.h"
#include "kubeclient/resources.h"
#include "net/kernel_network.h"
#include "rt/epoll_driver.h"
#include "rt/sleep.h"

#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>

namespace tulle::cli {

namespace {

using kubeclient::ObjectPtr;

rt::Task<Result<Samples>> read_metrics(http::Client& proxy) {
  CO_TRY(const http::Reply reply, co_await proxy.get("/metrics"));
  if (reply.head.status != 200) {
    co_return failf(Code::unavailable, "/metrics answers with status {}", reply.head.status);
  }
  co_return Samples::parse(reply.body);
}

rt::Task<Result<Traffic>> read_traffic(rt::Loop& loop, http::Client& proxy) {
  Traffic traffic;
  CO_TRY(traffic.before, co_await read_metrics(proxy));
  const Instant start = loop.now();
  co_await rt::sleep(loop, kStatusInterval);
  CO_TRY(traffic.now, co_await read_metrics(proxy));
  traffic.between = loop.now() - start;
  co_return traffic;
}

rt::Task<Result<std::vector<ObjectPtr>>> list_all(kubeclient::Client& api,
                                                  kubeclient::Resource resource) {
  auto list = co_await api.list(resource, {});
  if (!list) co_return kube::to_error(list.error());
  co_return std::move(list->items);
}

Error no_instance(const std::string& data_dir) {
  const std::string flag = data_dir == "/var/lib/tulle" ? "" : " --data-dir " + data_dir;
  return failf(Code::not_found, "no tulle runs on {}; start one with tulle up{}", data_dir, flag);
}

// Control writes the kubeconfig anew each time it starts.
std::optional<kube::Time> start_time(const std::string& kubeconfig) {
  struct stat file{};
  if (::stat(kubeconfig.c_str(), &file) != 0) return std::nullopt;
  return kube::Time(std::chrono::seconds(file.st_mtim.tv_sec));
}

rt::Task<Result<StatusFacts>> gather(rt::Loop& loop, net::Network& network,
                                     const std::string& data_dir,
                                     const kubeclient::Kubeconfig& config) {
  CO_TRY(const IpAddress ip, IpAddress::parse(config.host));
  const auto probe = co_await network.connect({.to = {.ip = ip, .port = config.port}});
  if (!probe) {
    co_return probe.error().code == Code::refused ? no_instance(data_dir) : probe.error();
  }
  CO_TRY(const auto api, kubeclient::HttpClient::create(loop, network, config));
  http::Client proxy(loop, network, {.unix_path = data_dir + "/run/admin.sock"});
  CO_TRY(StatusFacts facts, co_await gather_status(loop, *api, proxy));
  facts.api_address = fmt::format("https://{}:{}", config.host, config.port);
  facts.data_dir = data_dir;
  facts.started = start_time(data_dir + "/kubeconfig");
  facts.now = std::chrono::floor<std::chrono::microseconds>(loop.wall_now());
  co_return facts;
}

Result<std::string> status_of(const std::string& data_dir) {
  TRY(auto driver, rt::EpollDriver::create());
  rt::Loop loop(driver);
  net::KernelNetwork network(loop, driver);
  const std::string path = data_dir + "/kubeconfig";
  if (::access(path.c_str(), R_OK) != 0) {
    if (errno != EACCES) return no_instance(data_dir);
    return fail(Code::permission_denied, "cannot read " + path + "; use sudo");
  }
  TRY(const auto config, kubeclient::load_kubeconfig(path));
  TRY(const StatusFacts facts, loop.run(gather(loop, network, data_dir, config)));
  return describe_status(facts);
}

}  // namespace

rt::Task<Result<StatusFacts>> gather_status(rt::Loop& loop, kubeclient::Client& api,
                                            http::Client& proxy) {
  StatusFacts facts;
  facts.traffic = co_await read_traffic(loop, proxy);
  CO_TRY(facts.services, co_await list_all(api, kubeclient::kServices));
  CO_TRY(facts.endpoint_slices, co_await list_all(api, kubeclient::kEndpointSlices));
  CO_TRY(facts.pods, co_await list_all(api, kubeclient::kPods));
  CO_TRY(facts.ingresses, co_await list_all(api, kubeclient::kIngresses));
  co_return facts;
}

int run_status(const std::string& data_dir) {
  const auto screen = status_of(data_dir);
  if (!screen) {
    std::fprintf(stderr, "tulle status: %s\n", screen.error().message.c_str());
    return 1;
  }
  std::fputs(screen->c_str(), stdout);
  return 0;
}

}  // namespace tulle::cli
