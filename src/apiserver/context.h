// What every request works on, and the request once it is known what it is about.
#pragma once

#include "apiserver/api.h"
#include "apiserver/objects.h"
#include "apiserver/service_allocator.h"
#include "base/random.h"
#include "kube/scheme.h"
#include "kube/status.h"
#include "kube/time.h"
#include "rt/loop.h"
#include "store/store.h"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::apiserver {

class ResourceMetrics;

// Belongs to the server; outlives every request.
struct Context {
  rt::Loop& loop;
  store::Store& store;
  kube::Scheme& scheme;
  Random& random;
  Objects& objects;
  ServiceAllocator& services;
  const ResourceMetrics* metrics;  // null: nothing is measured

  kube::Time now() const { return std::chrono::floor<std::chrono::microseconds>(loop.wall_now()); }
};

// A request for objects of a kind the scheme knows. References stay valid while it is served.
struct Call {
  const ApiRequest& request;
  kube::KindRef kind;
  std::string namespace_;
  std::string name;
  std::string subresource;

  kube::GroupResource resource() const { return {kind->group, kind->plural}; }
  store::Key key() const { return Objects::key(*kind, namespace_, name); }
};

// A JSON document as an answer.
ApiResponse json_response(int status, const boost::json::object& document);
ApiResponse json_response(int status, std::string text);
// A Status document, with Retry-After where it has one.
ApiResponse failure_response(const kube::ApiStatus& status);
// The Warning field of RFC 7234 as kubectl prints it.
std::pair<std::string, std::string> warning_header(std::string_view text);

}  // namespace tulle::apiserver
