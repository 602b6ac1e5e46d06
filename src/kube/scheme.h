// The kinds this server knows: built-in ones from data, custom ones added at run time.
#pragma once

#include "base/result.h"
#include "kube/schema.h"
#include "kube/table.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tulle::kube {

// Paths of the scale subresource, as in CRDs: ".spec.replicas".
struct ScalePaths {
  std::string spec_replicas;
  std::string status_replicas;
  // A string, or a LabelSelector object, which is rendered as text in autoscaling/v1 Scale.
  std::string selector;
};

struct Subresource {
  std::string name;   // "status", "scale", "log", "exec", ...
  std::string group;  // the kind of its documents; for pods/eviction policy/v1 Eviction
  std::string version;
  std::string kind;
  std::vector<std::string> verbs;
};

// When the server raises metadata.generation.
enum class Generation : std::uint8_t {
  none,  // upstream never sets it for this kind
  spec,  // anything but metadata and status changed
};

// One version of one kind. A value; shared because requests outlive a CRD's deletion.
struct KindDefinition {
  std::string group;  // "" for core
  std::string version;
  std::string kind;
  std::string list_kind;
  std::string plural;
  std::string singular;
  std::vector<std::string> short_names;
  std::vector<std::string> categories;
  std::vector<std::string> verbs;
  bool namespaced = true;
  bool builtin = false;  // strategic merge patch is for these only
  bool stored = true;    // false: answered and not kept (SelfSubjectReview, PodMetrics, ...)
  Generation generation = Generation::none;
  std::string name_format;  // of metadata.name: a format of kube/validate_format.h
  const Schema* schema = nullptr;
  std::shared_ptr<const SchemaSet> schemas;  // keeps `schema` alive
  std::vector<Subresource> subresources;
  std::optional<ScalePaths> scale;
  std::vector<Column> columns;  // of `kubectl get`; Name and Age if none were given
  // The group whose storage holds the objects ("" for events.k8s.io/v1 Event, which is core/v1
  // Event), and the top-level fields that are named differently there: {here, in storage}.
  std::string storage_group;
  std::string storage_version;
  std::vector<std::pair<std::string, std::string>> storage_renames;
  // Field labels that a fieldSelector may name besides metadata.name and metadata.namespace.
  std::vector<std::string> selectable_fields;

  std::string api_version() const;     // "apps/v1", "v1"
  std::string group_resource() const;  // "deployments.apps", "pods"
  std::string group_kind() const;      // "Deployment.apps", "Pod"
  const Subresource* find_subresource(std::string_view subresource) const;
};

using KindRef = std::shared_ptr<const KindDefinition>;

// Belongs to one loop; nothing here is synchronised. Lookups return null for what is unknown.
class Scheme final {
 public:
  // Without kinds. See make_builtin_scheme().
  Scheme() = default;
  Scheme(const Scheme&) = delete;
  Scheme& operator=(const Scheme&) = delete;

  // Adds a kind, or replaces the one of the same group, version and plural. Refuses one whose
  // kind is taken by another plural of the group version.
  Result<void> add(KindDefinition kind);
  // Removes a kind; holders of its KindRef may go on using it. False if there was none.
  bool remove(std::string_view group, std::string_view version, std::string_view plural);

  // Makes documents of `kind` known that are no resource of their own: bodies of subresources,
  // DeleteOptions. An empty api_version stands for every group version.
  void add_payload(std::string_view api_version, std::string_view kind, const Schema& schema,
                   std::shared_ptr<const SchemaSet> owner);

  KindRef find_resource(std::string_view group, std::string_view version,
                        std::string_view plural) const;
  KindRef find_kind(std::string_view api_version, std::string_view kind) const;
  // The schema of any document, payloads included.
  const Schema* find_schema(std::string_view api_version, std::string_view kind) const;

  // In the order of discovery: the core group, then as added; kinds by plural.
  const std::vector<KindRef>& kinds() const { return kinds_; }
  // The group versions in that order, each once: {"", "v1"}, {"apps", "v1"}, ...
  std::vector<std::pair<std::string, std::string>> group_versions() const;
  // Grows with every change: caches of discovery and OpenAPI compare it.
  std::uint64_t revision() const { return revision_; }

 private:
  struct Payload {
    const Schema* schema = nullptr;
    std::shared_ptr<const SchemaSet> owner;
  };

  std::vector<KindRef> kinds_;
  std::map<std::pair<std::string, std::string>, Payload, std::less<>> payloads_;
  std::uint64_t revision_ = 0;
};

// A scheme of all built-in kinds (src/kube/data). An error is a mistake in the data, and names
// file and line.
Result<std::unique_ptr<Scheme>> make_builtin_scheme();

}  // namespace tulle::kube
