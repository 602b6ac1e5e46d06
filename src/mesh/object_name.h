// Namespace and name of an object: how services and workloads are called everywhere in the mesh.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace tulle::mesh {

// The same without owning the text: for lookups that must not allocate.
struct ObjectNameView {
  std::string_view namespace_name = {};
  std::string_view name = {};

  friend bool operator==(const ObjectNameView&, const ObjectNameView&) = default;
};

struct ObjectName {
  std::string namespace_name = {};
  std::string name = {};

  bool empty() const { return name.empty(); }
  std::string to_string() const { return namespace_name + "/" + name; }
  operator ObjectNameView() const { return {namespace_name, name}; }

  friend bool operator==(const ObjectName&, const ObjectName&) = default;
  friend auto operator<=>(const ObjectName&, const ObjectName&) = default;
  friend bool operator==(const ObjectName& a, const ObjectNameView& b) {
    return a.namespace_name == b.namespace_name && a.name == b.name;
  }
};

// Equal for an ObjectName and its view.
inline std::size_t hash_value(const ObjectNameView& name) {
  std::hash<std::string_view> hash;
  return hash(name.name) * 0x9e3779b97f4a7c15 + hash(name.namespace_name);
}

}  // namespace tulle::mesh

template <>
struct std::hash<tulle::mesh::ObjectName> {
  std::size_t operator()(const tulle::mesh::ObjectName& name) const noexcept {
    return tulle::mesh::hash_value(name);
  }
};
