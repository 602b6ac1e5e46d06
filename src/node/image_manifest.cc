#include "node/image_manifest.h"

#include "base/format.h"
#include "codec/json.h"
#include "node/digest.h"

#include <boost/json.hpp>

namespace tulle::node {
namespace {

namespace json = boost::json;

constexpr std::size_t json_depth_max = 32;

Error wrong(std::string_view field, std::string_view expected) {
  return failf(Code::malformed, "{}: not {}", field, expected);
}

Result<json::value> parse(std::string_view text) {
  if (text.size() > image_document_bytes_max) {
    return failf(Code::exhausted, "larger than {} bytes", image_document_bytes_max);
  }
  return codec::parse_json(text, {.depth_max = json_depth_max});
}

// The member, or null when it is missing or JSON null.
const json::value* member(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

Result<std::string> text_at(const json::object& object, std::string_view key) {
  const json::value* value = member(object, key);
  if (value == nullptr) return std::string();
  const json::string* text = value->if_string();
  if (text == nullptr) return wrong(key, "a string");
  if (text->find('\0') != json::string::npos) return wrong(key, "free of NUL characters");
  return std::string(*text);
}

Result<std::vector<std::string>> texts_at(const json::object& object, std::string_view key) {
  std::vector<std::string> texts;
  const json::value* value = member(object, key);
  if (value == nullptr) return texts;
  const json::array* array = value->if_array();
  if (array == nullptr) return wrong(key, "a list of strings");
  for (const json::value& item : *array) {
    const json::string* text = item.if_string();
    if (text == nullptr) return wrong(key, "a list of strings");
    if (text->find('\0') != json::string::npos) return wrong(key, "free of NUL characters");
    texts.emplace_back(*text);
  }
  return texts;
}

// An empty object when the member is missing.
Result<const json::object*> object_at(const json::object& object, std::string_view key) {
  static const json::object none;
  const json::value* value = member(object, key);
  if (value == nullptr) return &none;
  if (const json::object* found = value->if_object()) return found;
  return wrong(key, "an object");
}

Result<std::string> digest_at(const json::object& object, std::string_view key) {
  TRY(std::string digest, text_at(object, key));
  if (!is_sha256_digest(digest)) return wrong(key, "a sha256 digest");
  return digest;
}

Result<const json::array*> array_at(const json::object& object, std::string_view key) {
  const json::value* value = member(object, key);
  const json::array* array = value == nullptr ? nullptr : value->if_array();
  if (array == nullptr) return wrong(key, "a list");
  return array;
}

Result<ImageConfig> read_config(const json::object& object) {
  ImageConfig config;
  TRY(config.entrypoint, texts_at(object, "Entrypoint"));
  TRY(config.cmd, texts_at(object, "Cmd"));
  TRY(config.env, texts_at(object, "Env"));
  TRY(config.working_dir, text_at(object, "WorkingDir"));
  TRY(config.user, text_at(object, "User"));
  TRY(config.stop_signal, text_at(object, "StopSignal"));
  TRY(const json::object* ports, object_at(object, "ExposedPorts"));
  for (const auto& port : *ports) config.exposed_ports.emplace_back(port.key());
  return config;
}

Result<OciDescriptor> read_descriptor(const json::value& value) {
  const json::object* object = value.if_object();
  if (object == nullptr) return wrong("manifests", "a list of descriptors");
  OciDescriptor descriptor;
  TRY(descriptor.digest, digest_at(*object, "digest"));
  TRY(const json::object* annotations, object_at(*object, "annotations"));
  TRY(descriptor.full_name, text_at(*annotations, "io.containerd.image.name"));
  TRY(descriptor.ref_name, text_at(*annotations, "org.opencontainers.image.ref.name"));
  TRY(const std::string type, text_at(*annotations, "vnd.docker.reference.type"));
  descriptor.attestation = type == "attestation-manifest";
  TRY(const json::object* platform, object_at(*object, "platform"));
  TRY(descriptor.os, text_at(*platform, "os"));
  TRY(descriptor.architecture, text_at(*platform, "architecture"));
  return descriptor;
}

Result<std::uint64_t> size_at(const json::object& object, std::string_view key) {
  const json::value* value = member(object, key);
  if (value == nullptr) return std::uint64_t{0};
  const std::int64_t* size = value->if_int64();
  if (size == nullptr || *size < 0) return wrong(key, "a number of bytes");
  return static_cast<std::uint64_t>(*size);
}

json::array to_array(const std::vector<std::string>& texts) {
  json::array array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

}  // namespace

Result<ImageDocument> parse_image_document(std::string_view text) {
  TRY(const json::value value, parse(text));
  const json::object* root = value.if_object();
  if (root == nullptr) return fail(Code::malformed, "not an object");
  ImageDocument document;
  TRY(document.created, text_at(*root, "created"));
  TRY(document.os, text_at(*root, "os"));
  TRY(document.architecture, text_at(*root, "architecture"));
  TRY(const json::object* config, object_at(*root, "config"));
  TRY(document.config, read_config(*config));
  TRY(const json::object* rootfs, object_at(*root, "rootfs"));
  TRY(document.diff_digests, texts_at(*rootfs, "diff_ids"));
  if (document.diff_digests.size() > image_layers_max) {
    return failf(Code::exhausted, "rootfs.diff_ids: more than {} layers", image_layers_max);
  }
  for (const std::string& digest : document.diff_digests) {
    if (!is_sha256_digest(digest)) return wrong("rootfs.diff_ids", "a list of sha256 digests");
  }
  return document;
}

std::string write_image_document(const ImageDocument& document) {
  json::object ports;
  for (const std::string& port : document.config.exposed_ports) ports[port] = json::object();
  json::object config{{"Entrypoint", to_array(document.config.entrypoint)},
                      {"Cmd", to_array(document.config.cmd)},
                      {"Env", to_array(document.config.env)},
                      {"WorkingDir", document.config.working_dir},
                      {"User", document.config.user},
                      {"ExposedPorts", std::move(ports)},
                      {"StopSignal", document.config.stop_signal}};
  const json::object root{
      {"created", document.created},
      {"architecture", document.architecture},
      {"os", document.os},
      {"config", std::move(config)},
      {"rootfs", {{"type", "layers"}, {"diff_ids", to_array(document.diff_digests)}}}};
  return codec::to_json(root);
}

Result<std::vector<DockerManifest>> parse_docker_manifests(std::string_view text) {
  TRY(const json::value value, parse(text));
  const json::array* images = value.if_array();
  if (images == nullptr) return fail(Code::malformed, "not a list");
  if (images->size() > archived_images_max) {
    return failf(Code::exhausted, "more than {} images", archived_images_max);
  }
  std::vector<DockerManifest> manifests;
  for (const json::value& image : *images) {
    const json::object* object = image.if_object();
    if (object == nullptr) return fail(Code::malformed, "not a list of objects");
    DockerManifest& manifest = manifests.emplace_back();
    TRY(manifest.config_file, text_at(*object, "Config"));
    TRY(manifest.references, texts_at(*object, "RepoTags"));
    TRY(manifest.layer_files, texts_at(*object, "Layers"));
  }
  return manifests;
}

Result<OciDocument> parse_oci_document(std::string_view text) {
  TRY(const json::value value, parse(text));
  const json::object* root = value.if_object();
  if (root == nullptr) return fail(Code::malformed, "not an object");
  OciDocument document;
  if (member(*root, "manifests") != nullptr) {
    TRY(const json::array* manifests, array_at(*root, "manifests"));
    if (manifests->size() > archived_images_max) {
      return failf(Code::exhausted, "manifests: more than {}", archived_images_max);
    }
    for (const json::value& item : *manifests) {
      TRY(OciDescriptor descriptor, read_descriptor(item));
      document.manifests.push_back(std::move(descriptor));
    }
    return document;
  }
  if (member(*root, "fsLayers") != nullptr) {
    return fail(Code::unsupported, "the manifest is of Docker's schema 1, which is long obsolete");
  }
  TRY(const json::object* config, object_at(*root, "config"));
  TRY(document.manifest.config_digest, digest_at(*config, "digest"));
  TRY(const json::array* layers, array_at(*root, "layers"));
  if (layers->size() > image_layers_max) {
    return failf(Code::exhausted, "layers: more than {}", image_layers_max);
  }
  for (const json::value& layer : *layers) {
    const json::object* object = layer.if_object();
    if (object == nullptr) return wrong("layers", "a list of descriptors");
    TRY(std::string digest, digest_at(*object, "digest"));
    TRY(const std::uint64_t size, size_at(*object, "size"));
    document.manifest.layer_digests.push_back(std::move(digest));
    document.manifest.layer_sizes.push_back(size);
  }
  return document;
}

bool fits_host(std::string_view os, std::string_view architecture) {
  return (os.empty() || os == "linux") &&
         (architecture.empty() || architecture == host_architecture());
}

Result<OciDescriptor> choose_platform(const std::vector<OciDescriptor>& manifests) {
  std::string others;
  for (const OciDescriptor& each : manifests) {
    if (each.attestation) continue;
    if (fits_host(each.os, each.architecture)) return each;
    if (!others.empty()) others += ", ";
    others += each.os;
    others += '/';
    others += each.architecture;
  }
  return failf(Code::unsupported, "the image is for {} and this machine is linux/{}",
               others.empty() ? "no platform" : others, host_architecture());
}

std::string_view host_architecture() {
#if defined(__x86_64__)
  return "amd64";
#elif defined(__aarch64__)
  return "arm64";
#elif defined(__riscv)
  return "riscv64";
#elif defined(__powerpc64__)
  return "ppc64le";
#elif defined(__s390x__)
  return "s390x";
#else
#error "name this architecture as GOARCH does"
#endif
}

}  // namespace tulle::node
