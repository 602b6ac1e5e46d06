// The well-known labels and annotations of an EndpointSlice (Kubernetes API reference).
#pragma once

#include <string_view>

namespace tulle::kube {

// Label: the Service that its endpoints stand behind.
inline constexpr std::string_view service_name_label = "kubernetes.io/service-name";
// Label: who writes it; and the name of the controller that makes slices of pods.
inline constexpr std::string_view slice_manager_label = "endpointslice.kubernetes.io/managed-by";
inline constexpr std::string_view slice_controller = "endpointslice-controller.k8s.io";
// Annotation: when the change was made that its endpoints come from.
inline constexpr std::string_view change_time_annotation =
    "endpoints.kubernetes.io/last-change-trigger-time";

}  // namespace tulle::kube
