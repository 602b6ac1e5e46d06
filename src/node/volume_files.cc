#include "node/volume_files.h"

#include "base/format.h"
#include "base/text.h"
#include "kube/object.h"
#include "node/downward.h"

#include <boost/json.hpp>

namespace tulle::node {

namespace {

namespace json = boost::json;
using kube::string_at;

constexpr std::int64_t kFileMode = 0644;

using Objects = std::map<std::string, kubeclient::ObjectPtr>;

// Puts in one source after another; a later one wins.
class Filler final {
 public:
  Filler(const EnvironmentSources& sources, std::int64_t default_mode)
      : sources_(sources), default_mode_(default_mode) {}

  Result<void> add_config_map(const json::object& source, std::string_view name) {
    return add_object(source, sources_.references.config_maps, "configmap", "config", name);
  }
  Result<void> add_secret(const json::object& source, std::string_view name) {
    return add_object(source, sources_.references.secrets, "secret", "secret", name);
  }
  Result<void> add_downward(const json::object& source);
  Result<void> add_projected(const json::object& source);

  VolumeFiles take() && { return std::move(files_); }

 private:
  Result<void> add_object(const json::object& source, const Objects& objects, std::string_view kind,
                          std::string_view key_kind, std::string_view name);
  Result<void> put(std::string_view path, std::string text, const json::object& item) {
    // Names that begin with ".." are those of the volume's own workings.
    if (!stays_inside(path) || path.starts_with("..")) {
      return failf(Code::invalid_argument, "\"{}\" is no path within a volume", path);
    }
    files_[std::string(path)] = {
        .text = std::move(text),
        .mode = static_cast<std::uint32_t>(kube::integer_at(item, "mode", default_mode_))};
    return {};
  }

  const EnvironmentSources& sources_;
  const std::int64_t default_mode_;
  VolumeFiles files_;
};

// All keys of the object, or those that `items` lists.
Result<void> Filler::add_object(const json::object& source, const Objects& objects,
                                std::string_view kind, std::string_view key_kind,
                                std::string_view name) {
  const bool optional = kube::bool_at(source, "optional");
  const auto found = objects.find(std::string(name));
  if (found == objects.end() || !found->second) {
    if (optional) return {};
    return failf(Code::not_found, "{} \"{}\" not found", kind, name);
  }
  const json::object& object = *found->second;
  const json::array& items = kube::array_at(source, "items");
  if (items.empty()) {
    TRY(auto values, read_keys(object));
    for (auto& [key, text] : values) TRY_VOID(put(key, std::move(text), {}));
    return {};
  }
  for (const json::value& each : items) {
    const json::object& item = kube::object_or_empty(each);
    const std::string_view key = string_at(item, "key");
    auto text = read_key(object, key);
    if (!text && text.error().code != Code::not_found) return std::move(text).error();
    if (text) {
      TRY_VOID(put(string_at(item, "path"), *std::move(text), item));
    } else if (!optional) {
      return failf(Code::not_found, "{} references non-existent {} key: {}", kind, key_kind, key);
    }
  }
  return {};
}

const json::object& container_named(const json::object& pod, std::string_view name) {
  for (const std::string_view list : {"spec.containers", "spec.initContainers"}) {
    for (const json::value& each : kube::array_at(pod, list)) {
      const json::object& container = kube::object_or_empty(each);
      if (string_at(container, "name") == name) return container;
    }
  }
  return kube::object_or_empty(json::value());
}

Result<void> Filler::add_downward(const json::object& source) {
  for (const json::value& each : kube::array_at(source, "items")) {
    const json::object& item = kube::object_or_empty(each);
    std::string text;
    if (const json::object* field = kube::find_object(item, "fieldRef")) {
      TRY(text, field_value(sources_, string_at(*field, "fieldPath")));
    } else {
      const json::object& resource = kube::object_at(item, "resourceFieldRef");
      const json::object& container =
          container_named(sources_.pod, string_at(resource, "containerName"));
      TRY(text, resource_value(sources_, container, resource));
    }
    TRY_VOID(put(string_at(item, "path"), std::move(text), item));
  }
  return {};
}

Result<void> Filler::add_projected(const json::object& source) {
  for (const json::value& each : kube::array_at(source, "sources")) {
    const json::object& one = kube::object_or_empty(each);
    if (const json::object* map = kube::find_object(one, "configMap")) {
      TRY_VOID(add_config_map(*map, string_at(*map, "name")));
    } else if (const json::object* secret = kube::find_object(one, "secret")) {
      TRY_VOID(add_secret(*secret, string_at(*secret, "name")));
    } else if (const json::object* downward = kube::find_object(one, "downwardAPI")) {
      TRY_VOID(add_downward(*downward));
    } else {
      return failf(Code::unsupported,
                   "projected source {} is not supported; configMap, secret and downwardAPI are",
                   one.empty() ? "none" : std::string(one.begin()->key()));
    }
  }
  return {};
}

}  // namespace

bool is_made_of_objects(const json::object& volume) {
  return volume.contains("configMap") || volume.contains("secret") ||
         volume.contains("downwardAPI") || volume.contains("projected");
}

Result<VolumeFiles> volume_files(const json::object& volume, const EnvironmentSources& sources) {
  const auto filler_of = [&sources](const json::object& source) {
    return Filler(sources, kube::integer_at(source, "defaultMode", kFileMode));
  };
  if (const json::object* map = kube::find_object(volume, "configMap")) {
    Filler filler = filler_of(*map);
    TRY_VOID(filler.add_config_map(*map, string_at(*map, "name")));
    return std::move(filler).take();
  }
  if (const json::object* secret = kube::find_object(volume, "secret")) {
    Filler filler = filler_of(*secret);
    TRY_VOID(filler.add_secret(*secret, string_at(*secret, "secretName")));
    return std::move(filler).take();
  }
  if (const json::object* downward = kube::find_object(volume, "downwardAPI")) {
    Filler filler = filler_of(*downward);
    TRY_VOID(filler.add_downward(*downward));
    return std::move(filler).take();
  }
  const json::object& projected = kube::object_at(volume, "projected");
  Filler filler = filler_of(projected);
  TRY_VOID(filler.add_projected(projected));
  return std::move(filler).take();
}

bool stays_inside(std::string_view path) {
  if (path.empty() || path.front() == '/') return false;
  while (!path.empty()) {
    if (take_until(path, '/') == "..") return false;
  }
  return true;
}

}  // namespace tulle::node
