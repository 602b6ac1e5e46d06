#include "app/folder_source.h"

#include "base/log.h"
#include "cli/manifest.h"
#include "kube/object.h"

#include <boost/json.hpp>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>

namespace tulle::app {

namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

// Where to look for changes: editors replace a file, so that of a file is its folder.
std::vector<std::string> folders_of(const std::vector<std::string>& paths) {
  std::vector<std::string> folders;
  for (const std::string& path : paths) {
    std::error_code error;
    const fs::path parent = fs::path(path).parent_path();
    folders.push_back(fs::is_directory(path, error) ? path
                      : parent.empty()              ? "."
                                                    : parent.string());
  }
  return folders;
}

std::optional<compile::Kind> watched_kind(const kube::KindDefinition& kind) {
  const auto found = std::ranges::find_if(compile::watched_resources, [&](const auto& watched) {
    return watched.group == kind.group && watched.resource == kind.plural;
  });
  if (found == compile::watched_resources.end()) return std::nullopt;
  return found->kind;
}

json::object default_ingress_class() {
  json::object made;
  kube::set_at(made, "metadata.name", json::string(compile::ingress_class_name));
  kube::set_annotation(made, "ingressclass.kubernetes.io/is-default-class", "true");
  kube::set_at(made, "spec.controller", json::string(compile::ingress_controller_name));
  return made;
}

void give_door(json::object& service) {
  if (kube::string_at(service, "spec.type") != "LoadBalancer") return;
  if (!kube::array_at(service, "status.loadBalancer.ingress").empty()) return;
  const std::string_view asked = kube::string_at(service, "spec.loadBalancerIP");
  const json::object ingress{{"ip", asked.empty() ? "127.0.0.1" : asked}};
  kube::set_at(service, "status.loadBalancer.ingress", json::array{ingress});
}

}  // namespace

Result<void> FolderSource::start() {
  TRY(scheme_, kube::make_builtin_scheme());
  compiler_.upsert(compile::Kind::ingress_class, default_ingress_class());
  // Watched before it is read: no change falls between.
  TRY(watch_, rt::FolderWatch::open(loop_, driver_, folders_of(paths_)));
  TRY_VOID(read());
  following_.spawn(follow());
  return {};
}

rt::Task<void> FolderSource::follow() {
  for (;;) {
    co_await watch_->changed();
    const auto done = read();
    if (!done) {
      log::error("the manifests cannot be followed; what was read before stays",
                 {{"why", done.error().message}});
    }
  }
}

Result<void> FolderSource::read() {
  TRY(auto manifests, cli::read_manifests(paths_, *scheme_));
  std::map<Key, const json::object*> present;
  for (cli::Manifest& manifest : manifests) {
    const auto kind = watched_kind(*manifest.kind);
    if (!kind) {
      if (passed_over_.insert(manifest.kind->kind).second) {
        log::warn("the proxy alone does nothing with this kind",
                  {{"kind", manifest.kind->kind}, {"at", manifest.place}});
      }
      continue;
    }
    json::object& object = manifest.object;
    if (manifest.kind->namespaced && kube::namespace_of(object).empty()) {
      kube::set_at(object, "metadata.namespace", json::value("default"));
    }
    if (kube::name_of(object).empty()) {
      return fail(Code::invalid_argument, manifest.place + ": metadata.name is missing");
    }
    if (*kind == compile::Kind::service) give_door(object);
    const auto name = compile::object_name(object);
    if (!present.emplace(Key(*kind, name), &object).second) {
      return fail(Code::invalid_argument, manifest.place + ": " + manifest.kind->kind + " " +
                                              name.to_string() + " is there twice");
    }
  }
  for (const auto& [key, object] : present) compiler_.upsert(key.first, *object);
  for (const Key& key : known_) {
    if (!present.contains(key)) compiler_.remove(key.first, key.second);
  }
  known_.clear();
  for (const auto& [key, object] : present) known_.insert(key);
  mesh::SnapshotPtr snapshot = compiler_.build();
  if (snapshot != published_) publish_(published_ = std::move(snapshot));
  problems_.say(compiler_);
  return {};
}

}  // namespace tulle::app
