// The environment of a container, and $(NAME) in its command: pure functions of what the API holds.
#pragma once

#include "base/address.h"
#include "base/result.h"
#include "kubeclient/client.h"

#include <boost/json/object.hpp>

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tulle::node {

// Names to values in the order in which they were first set; the last value wins.
class Environment final {
 public:
  void set(std::string name, std::string value);
  // Empty where it is not set.
  std::string_view get(std::string_view name) const;
  bool contains(std::string_view name) const;
  // "NAME=value".
  std::vector<std::string> assignments() const;

 private:
  std::vector<std::pair<std::string, std::string>> variables_;
};

// $(NAME) becomes the variable's value; $$ is a dollar sign, and what is not set stays as it is
// (k8s.io/kubernetes/third_party/forked/golang/expansion).
std::string expand(std::string_view text, const Environment& variables);

// What a pod's containers may refer to. Null for what does not exist.
struct References {
  std::map<std::string, kubeclient::ObjectPtr> config_maps;
  std::map<std::string, kubeclient::ObjectPtr> secrets;
  std::map<std::string, kubeclient::ObjectPtr> claims = {};
  std::map<std::string, kubeclient::ObjectPtr> volumes = {};  // those of the claims, by claim
};

struct ReferenceNames {
  std::set<std::string> config_maps;
  std::set<std::string> secrets;
  std::set<std::string> claims;  // of persistent volumes
};
// Names of all config maps, secrets and claims that the pod's volumes are made of.
ReferenceNames references_of_volumes(const boost::json::object& pod);
// Those, and what its containers use.
ReferenceNames references_of(const boost::json::object& pod);

// The bytes of one key of a ConfigMap or Secret. not_found where it has none.
Result<std::string> read_key(const boost::json::object& object, std::string_view key);
// All keys and their bytes.
Result<std::map<std::string, std::string>> read_keys(const boost::json::object& object);

struct EnvironmentSources {
  const boost::json::object& pod;
  IpAddress pod_address;
  IpAddress host_address;
  const References& references;
  // Of the pod's namespace, and default/kubernetes.
  std::vector<kubeclient::ObjectPtr> services;
  boost::json::object allocatable = {};  // what the node has, as its status says it
};

// The variables that upstream sets for services with a cluster address, Docker links included.
void add_service_variables(const std::vector<kubeclient::ObjectPtr>& services,
                           Environment& environment);

// Of `container` of the pod: the image's variables, those of services, envFrom, env. Errors say
// what is missing, for the reason CreateContainerConfigError.
Result<Environment> make_environment(const boost::json::object& container,
                                     const std::vector<std::string>& image_variables,
                                     const EnvironmentSources& sources);

}  // namespace tulle::node
