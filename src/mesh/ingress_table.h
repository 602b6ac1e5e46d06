// The rules of all Ingress objects (networking.k8s.io/v1) as one table.
//
// Of the rules whose host and path both match a request, the host decides first: exact, then
// "*.", then none; then the path: the longest, counted in path elements, and Exact before Prefix.
// If none matches, the default backend. Lookup costs one hash per path element and host form.
#pragma once

#include "mesh/object_name.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace tulle::mesh {

enum class PathType : std::uint8_t { exact, prefix };  // ImplementationSpecific is a prefix here

struct IngressBackend {
  ObjectName service = {};
  std::string port_name = {};     // empty: by number
  std::uint16_t port_number = 0;  // 0: by name

  friend bool operator==(const IngressBackend&, const IngressBackend&) = default;
};

struct IngressMatch {
  const IngressBackend* backend = nullptr;
  std::string_view ingress = {};  // "namespace/name"
  std::string_view path = {};     // of the rule; empty for the default backend
  PathType type = PathType::prefix;
  bool is_default = false;
};

// A value; immutable once it is part of a Snapshot.
class IngressTable final {
 public:
  struct Rule {
    std::string ingress = {};  // "namespace/name"
    std::string host = {};     // "", "a.b" or "*.b"
    std::string path = {};     // absolute; "" means "/"
    PathType type = PathType::prefix;
    IngressBackend backend = {};
  };

  // False when a rule for this host, path and type is there already: the first one stays.
  bool add(Rule rule);
  // False when there is one already: the first one stays.
  bool set_default(std::string ingress, IngressBackend backend);

  // `host` as in the Host header (any case, with or without port), `path` as in the request line;
  // what is no path counts as "/".
  std::optional<IngressMatch> match(std::string_view host, std::string_view path) const;

  bool empty() const { return rule_count_ == 0 && !default_; }
  std::size_t rule_count() const { return rule_count_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  template <class Value>
  using TextMap = std::unordered_map<std::string, Value, Hash, std::equal_to<>>;

  // Keys: the path of exact rules; the path without slashes at its end ("" for "/") of prefixes.
  struct Paths {
    TextMap<Rule> exact;
    TextMap<Rule> prefix;
  };

  static const Rule* find_path(const Paths& paths, std::string_view path);

  TextMap<Paths> exact_hosts_;
  TextMap<Paths> wildcard_hosts_;  // by what follows "*."
  Paths any_host_;
  std::optional<Rule> default_;
  std::size_t rule_count_ = 0;
};

}  // namespace tulle::mesh
