// The JSON documents of images: an image's configuration (OCI image-spec, config.md), OCI indexes
// and manifests (image-index.md, manifest.md, image-layout.md) and docker-archive's manifest.json.
// All are foreign input. No I/O. Errors: malformed, with the field that is wrong.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::node {

inline constexpr std::uint64_t image_document_bytes_max = 4 << 20;
inline constexpr std::size_t image_layers_max = 127;
inline constexpr std::size_t archived_images_max = 256;

// How a container of the image runs unless the pod says otherwise.
struct ImageConfig {
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::vector<std::string> env;            // "NAME=value"
  std::string working_dir;                 // empty: "/"
  std::string user;                        // "", "name", "uid", "uid:gid"
  std::vector<std::string> exposed_ports;  // "8080/tcp"
  std::string stop_signal;                 // "", "SIGINT", "2"
};

struct ImageDocument {
  ImageConfig config;
  std::string created;  // RFC 3339, or empty
  std::string os;
  std::string architecture;
  std::vector<std::string> diff_digests;  // lowermost layer first
};

Result<ImageDocument> parse_image_document(std::string_view json);

// The document of an image that is made here.
std::string write_image_document(const ImageDocument& document);

// One entry of docker-archive's manifest.json; the files are names inside the archive.
struct DockerManifest {
  std::string config_file;
  std::vector<std::string> references;
  std::vector<std::string> layer_files;  // lowermost first
};

Result<std::vector<DockerManifest>> parse_docker_manifests(std::string_view json);

// An entry of an OCI index: a manifest or a further index.
struct OciDescriptor {
  std::string digest;
  std::string full_name;  // annotation io.containerd.image.name, or empty
  std::string ref_name;   // annotation org.opencontainers.image.ref.name, or empty
  std::string os;         // empty where no platform is given
  std::string architecture;
  bool attestation = false;  // describes another entry, is no image
};

struct OciManifest {
  std::string config_digest;
  std::vector<std::string> layer_digests;  // lowermost first
  std::vector<std::uint64_t> layer_sizes;  // bytes, as fetched; 0 where it does not say
};

// What a digest of an index leads to: an index holds `manifests`, a manifest `config`.
struct OciDocument {
  std::vector<OciDescriptor> manifests;  // of an index
  OciManifest manifest;                  // else, with a config_digest
};

Result<OciDocument> parse_oci_document(std::string_view json);

// Whether an image for that platform runs here. What is empty fits.
bool fits_host(std::string_view os, std::string_view architecture);

// The entry of an index that runs here. Error: unsupported, with what there is instead.
Result<OciDescriptor> choose_platform(const std::vector<OciDescriptor>& manifests);

// "amd64", "arm64": what this program was built for, in the words of GOARCH.
std::string_view host_architecture();

}  // namespace tulle::node
