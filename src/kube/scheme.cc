#include "kube/scheme.h"

#include "base/format.h"
#include "kube/object.h"

#include <algorithm>

namespace tulle::kube {
namespace {

bool is_at(const KindDefinition& kind, std::string_view group, std::string_view version) {
  return kind.group == group && kind.version == version;
}

}  // namespace

std::string KindDefinition::api_version() const {
  return group.empty() ? version : group + "/" + version;
}

std::string KindDefinition::group_resource() const {
  return group.empty() ? plural : plural + "." + group;
}

std::string KindDefinition::group_kind() const { return group.empty() ? kind : kind + "." + group; }

const Subresource* KindDefinition::find_subresource(std::string_view subresource) const {
  auto found = std::ranges::find(subresources, subresource, &Subresource::name);
  return found != subresources.end() ? &*found : nullptr;
}

Result<void> Scheme::add(KindDefinition kind) {
  auto same_version = [&](const KindRef& other) { return is_at(*other, kind.group, kind.version); };
  for (const KindRef& other : kinds_) {
    if (same_version(other) && other->kind == kind.kind && other->plural != kind.plural) {
      return failf(Code::already_exists, "kind {} of {} is served as {}", kind.kind,
                   kind.api_version(), other->plural);
    }
  }
  auto same = std::ranges::find_if(kinds_, [&](const KindRef& other) {
    return same_version(other) && other->plural == kind.plural;
  });
  ++revision_;
  if (same != kinds_.end()) {
    *same = std::make_shared<const KindDefinition>(std::move(kind));
    return {};
  }
  // Within its group version by plural; a new group version goes to the end, the core to the front.
  auto place = std::ranges::find_if(kinds_, same_version);
  if (place == kinds_.end() && kind.group.empty()) place = kinds_.begin();
  while (place != kinds_.end() && same_version(*place) && (*place)->plural < kind.plural) ++place;
  kinds_.insert(place, std::make_shared<const KindDefinition>(std::move(kind)));
  return {};
}

bool Scheme::remove(std::string_view group, std::string_view version, std::string_view plural) {
  std::size_t removed = std::erase_if(kinds_, [&](const KindRef& kind) {
    return is_at(*kind, group, version) && kind->plural == plural;
  });
  if (removed != 0) ++revision_;
  return removed != 0;
}

void Scheme::add_payload(std::string_view api_version, std::string_view kind, const Schema& schema,
                         std::shared_ptr<const SchemaSet> owner) {
  payloads_[{std::string(api_version), std::string(kind)}] = {.schema = &schema,
                                                              .owner = std::move(owner)};
}

KindRef Scheme::find_resource(std::string_view group, std::string_view version,
                              std::string_view plural) const {
  auto found = std::ranges::find_if(kinds_, [&](const KindRef& kind) {
    return kind->plural == plural && is_at(*kind, group, version);
  });
  return found != kinds_.end() ? *found : nullptr;
}

KindRef Scheme::find_kind(std::string_view api_version, std::string_view name) const {
  auto [group, version] = split_api_version(api_version);
  auto found = std::ranges::find_if(kinds_, [&](const KindRef& kind) {
    return kind->kind == name && is_at(*kind, group, version);
  });
  return found != kinds_.end() ? *found : nullptr;
}

const Schema* Scheme::find_schema(std::string_view api_version, std::string_view kind) const {
  if (KindRef resource = find_kind(api_version, kind)) return resource->schema;
  for (std::string_view where : {api_version, std::string_view()}) {
    auto found = payloads_.find(std::pair(std::string(where), std::string(kind)));
    if (found != payloads_.end()) return found->second.schema;
  }
  return nullptr;
}

std::vector<std::pair<std::string, std::string>> Scheme::group_versions() const {
  std::vector<std::pair<std::string, std::string>> result;
  for (const KindRef& kind : kinds_) {
    std::pair group_version(kind->group, kind->version);
    if (std::ranges::find(result, group_version) == result.end()) {
      result.push_back(std::move(group_version));
    }
  }
  return result;
}

}  // namespace tulle::kube
