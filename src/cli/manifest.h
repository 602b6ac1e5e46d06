// Manifests: the YAML or JSON files that a user wrote, checked before anything is sent.
#pragma once

#include "base/result.h"
#include "kube/scheme.h"

#include <boost/json/object.hpp>

#include <string>
#include <vector>

namespace tulle::cli {

struct Manifest {
  std::string place;  // "hello.yaml:12", for messages
  boost::json::object object;
  kube::KindRef kind;
};

// Reads `paths`: files, and of folders all *.yaml, *.yml and *.json in order of name, not the
// folders within. Items of a List count one by one. Namespaces come first, then everything in its
// order. Every object is known to `scheme` and has no field that its kind does not. The error names
// file, line, field and reason.
Result<std::vector<Manifest>> read_manifests(const std::vector<std::string>& paths,
                                             const kube::Scheme& scheme);

}  // namespace tulle::cli
