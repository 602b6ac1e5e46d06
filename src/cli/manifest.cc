#include "cli/manifest.h"

#include "base/format.h"
#include "codec/yaml.h"
#include "kube/object.h"
#include "kube/prune.h"
#include "kube/validate.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace tulle::cli {

namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kFileBytesMax = 16 * 1024 * 1024;

bool is_manifest(const fs::path& path) {
  const std::string extension = path.extension();
  return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

Result<std::vector<fs::path>> files_of(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    return fail(Code::not_found, path + ": there is no such file or folder");
  }
  if (!fs::is_directory(path, error)) return std::vector<fs::path>{path};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    if (entry.is_regular_file() && is_manifest(entry.path())) files.push_back(entry.path());
  }
  if (error) return os_error(error.value(), "reading " + path);
  std::ranges::sort(files);
  return files;
}

Result<std::string> read_text(const fs::path& path) {
  std::error_code error;
  if (fs::file_size(path, error) > kFileBytesMax) {
    return fail(Code::exhausted, path.string() + ": larger than 16 MiB");
  }
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return fail(Code::not_found, "cannot read " + path.string());
  return std::move(text).str();
}

// One object of a file, and where its fields stand.
struct Source {
  const fs::path& file;
  const codec::YamlDocument& document;
  std::string prefix;  // path of the object within the document: "items[0]", or empty

  std::string place(std::string_view field) const {
    std::string path = prefix;
    if (!field.empty()) path.append(path.empty() ? "" : ".").append(field);
    return fmt::format("{}:{}", file.string(), document.line_of(path));
  }
};

// The path in `unknown field "spec.x"`.
std::string_view path_in(std::string_view report) {
  const std::size_t begin = report.find('"');
  const std::size_t end = report.rfind('"');
  if (begin == std::string_view::npos || end == begin) return {};
  return report.substr(begin + 1, end - begin - 1);
}

Result<Manifest> check(const Source& source, boost::json::object object,
                       const kube::Scheme& scheme) {
  const std::string api_version(kube::api_version_of(object));
  const std::string kind(kube::kind_of(object));
  if (api_version.empty() || kind.empty()) {
    return failf(Code::invalid_argument, "{}: {} is missing", source.place({}),
                 api_version.empty() ? "apiVersion" : "kind");
  }
  Manifest manifest{.place = source.place({}),
                    .object = std::move(object),
                    .kind = scheme.find_kind(api_version, kind)};
  if (!manifest.kind) {
    return failf(Code::invalid_argument, "{}: kind {} of {} is not known here",
                 source.place("kind"), kind, api_version);
  }
  boost::json::value pruned = manifest.object;
  const auto reports = kube::prune(*manifest.kind->schema, pruned);
  if (!reports.empty()) {
    return failf(Code::invalid_argument, "{}: {}", source.place(path_in(reports.front())),
                 reports.front());
  }
  const auto typed =
      kube::check_types(*manifest.kind->schema, kind, manifest.kind->version, manifest.object);
  if (!typed) {
    return failf(Code::invalid_argument, "{}: {}", manifest.place, typed.error().message);
  }
  return manifest;
}

Result<void> read_document(const fs::path& file, const codec::YamlDocument& document,
                           const kube::Scheme& scheme, std::vector<Manifest>& out) {
  Source source{.file = file, .document = document, .prefix = {}};
  if (!document.duplicate_keys.empty()) {
    const std::string& field = document.duplicate_keys.front();
    return failf(Code::invalid_argument, "{}: duplicate field \"{}\"", source.place(field), field);
  }
  const auto* object = document.value.if_object();
  if (object == nullptr) {
    return failf(Code::invalid_argument, "{}: not a Kubernetes object", source.place({}));
  }
  if (kube::kind_of(*object) != "List") {
    TRY(auto manifest, check(source, *object, scheme));
    out.push_back(std::move(manifest));
    return {};
  }
  const auto& items = kube::array_at(*object, "items");
  for (std::size_t i = 0; i < items.size(); ++i) {
    source.prefix = fmt::format("items[{}]", i);
    TRY(auto manifest, check(source, kube::object_or_empty(items[i]), scheme));
    out.push_back(std::move(manifest));
  }
  return {};
}

}  // namespace

Result<std::vector<Manifest>> read_manifests(const std::vector<std::string>& paths,
                                             const kube::Scheme& scheme) {
  std::vector<Manifest> manifests;
  for (const std::string& path : paths) {
    TRY(const auto files, files_of(path));
    if (files.empty()) return fail(Code::not_found, path + ": no *.yaml, *.yml or *.json in it");
    for (const fs::path& file : files) {
      TRY(const std::string text, read_text(file));
      const auto documents = codec::parse_yaml(text);
      if (!documents) return Error(documents.error()).context(file.string());
      for (const auto& document : *documents) {
        TRY_VOID(read_document(file, document, scheme, manifests));
      }
    }
  }
  std::vector<Manifest> ordered;
  for (const bool namespaces : {true, false}) {
    for (Manifest& manifest : manifests) {
      if (manifest.kind && (manifest.kind->kind == "Namespace") == namespaces) {
        ordered.push_back(std::move(manifest));
      }
    }
  }
  return ordered;
}

}  // namespace tulle::cli
