// How near an endpoint is to this proxy, as far as its service or whoever wrote its EndpointSlice
// asks for the near ones. Source: Service spec.trafficDistribution, EndpointSlice endpoints[].hints
// (Kubernetes API reference).
#pragma once

#include "compile/facts.h"

#include <cstdint>
#include <string>

namespace tulle::compile {

// Where this proxy is; empty: not known.
struct Place {
  std::string node = {};
  std::string zone = {};
};

// Of endpoints that can take a request the nearest do. Where nothing is asked for all are `far`.
enum class Nearness : std::uint8_t { same_node, same_zone, far };
inline constexpr std::uint8_t kNearnessCount = 3;

Nearness nearness_by_preference(Preference preference, const Place& here,
                                const SliceFacts::Host& host);

// By hints, which hold in place of the preference where every ready endpoint has one: so none is
// passed over while they are being written.
Nearness nearness_by_hints(const Place& here, const SliceFacts::Host& host);

}  // namespace tulle::compile
