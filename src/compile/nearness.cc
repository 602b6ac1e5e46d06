#include "compile/nearness.h"

#include <algorithm>

namespace tulle::compile {
namespace {

bool is_same(const std::string& place, const std::string& other) {
  return !place.empty() && place == other;
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return !name.empty() && std::ranges::find(names, name) != names.end();
}

}  // namespace

Nearness nearness_by_preference(Preference preference, const Place& here,
                                const SliceFacts::Host& host) {
  if (preference == Preference::none) return Nearness::far;
  const bool same_node = is_same(here.node, host.node);
  if (same_node && preference == Preference::same_node) return Nearness::same_node;
  return same_node || is_same(here.zone, host.zone) ? Nearness::same_zone : Nearness::far;
}

Nearness nearness_by_hints(const Place& here, const SliceFacts::Host& host) {
  if (has(host.hint_nodes, here.node)) return Nearness::same_node;
  return has(host.hint_zones, here.zone) ? Nearness::same_zone : Nearness::far;
}

}  // namespace tulle::compile
