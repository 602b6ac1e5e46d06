#include "node/image_archive.h"

#include "base/format.h"
#include "node/archive.h"
#include "node/digest.h"
#include "node/image_files.h"

namespace tulle::node {
namespace {

Error other_platform(std::string_view os, std::string_view architecture) {
  return failf(Code::unsupported, "the image is for {}/{} and this machine is linux/{}", os,
               architecture, host_architecture());
}

Result<std::string> read_document_file(const StagedArchive& archive, std::string_view name) {
  const StagedFile* file = archive.find(name);
  if (file == nullptr) return failf(Code::malformed, "{} is missing from the archive", name);
  auto text = read_small_file(file->path, image_document_bytes_max);
  if (!text && text.error().code == Code::exhausted) {
    return failf(Code::exhausted, "{} is larger than {} bytes", name, image_document_bytes_max);
  }
  return text;
}

// Fills in configuration and layers. `layer_files` are names inside the archive.
Result<void> read_image(const StagedArchive& archive, std::string_view config_file,
                        const std::vector<std::string>& layer_files, ArchivedImage& image) {
  TRY(std::string config_json, read_document_file(archive, config_file));
  auto described = describe_image(std::move(config_json), layer_files.size());
  if (!described) return std::move(described).error().context(config_file);
  image = *std::move(described);
  for (const std::string& name : layer_files) {
    const StagedFile* file = archive.find(name);
    if (file == nullptr)
      return failf(Code::malformed, "layer {} is missing from the archive", name);
    image.layer_tars.push_back(file->path);
  }
  return {};
}

Result<std::vector<ArchivedImage>> find_docker_images(const StagedArchive& archive) {
  TRY(const std::string text, read_document_file(archive, "manifest.json"));
  auto manifests = parse_docker_manifests(text);
  if (!manifests) return std::move(manifests).error().context("manifest.json");
  std::vector<ArchivedImage> images;
  for (DockerManifest& manifest : *manifests) {
    ArchivedImage& image = images.emplace_back();
    TRY_VOID(read_image(archive, manifest.config_file, manifest.layer_files, image));
    image.names = std::move(manifest.references);
  }
  return images;
}

std::string blob_name(std::string_view digest) { return "blobs/sha256/" + digest_hex(digest); }

// OCI names every blob by its digest; one whose contents differ is damaged or forged.
Result<void> check_blob(const StagedArchive& archive, std::string_view digest) {
  const StagedFile* file = archive.find(blob_name(digest));
  if (file == nullptr) return failf(Code::malformed, "blob {} is missing from the archive", digest);
  if (file->digest == digest) return {};
  return failf(Code::malformed, "blob {} holds something else, of digest {}", digest, file->digest);
}

Result<OciDocument> read_oci_document(const StagedArchive& archive, const std::string& digest) {
  TRY_VOID(check_blob(archive, digest));
  TRY(const std::string text, read_document_file(archive, blob_name(digest)));
  auto document = parse_oci_document(text);
  if (!document) return std::move(document).error().context(blob_name(digest));
  return document;
}

// The manifest that `descriptor` leads to, through at most one index of platforms.
Result<OciManifest> find_manifest(const StagedArchive& archive, const OciDescriptor& descriptor) {
  TRY(OciDocument document, read_oci_document(archive, descriptor.digest));
  if (!document.manifest.config_digest.empty()) return std::move(document.manifest);
  TRY(const OciDescriptor entry, choose_platform(document.manifests));
  TRY(OciDocument found, read_oci_document(archive, entry.digest));
  if (!found.manifest.config_digest.empty()) return std::move(found.manifest);
  return failf(Code::malformed, "{} leads to an index within an index", entry.digest);
}

// A bare tag ("latest") says nothing about whose tag it is.
std::string name_of(const OciDescriptor& descriptor) {
  if (!descriptor.full_name.empty()) return descriptor.full_name;
  const bool whole = descriptor.ref_name.find_first_of("/:") != std::string::npos;
  return whole ? descriptor.ref_name : "";
}

Result<std::vector<ArchivedImage>> find_oci_images(const StagedArchive& archive) {
  TRY(const std::string text, read_document_file(archive, "index.json"));
  auto index = parse_oci_document(text);
  if (!index) return std::move(index).error().context("index.json");
  std::vector<ArchivedImage> images;
  const OciDescriptor* skipped = nullptr;
  for (const OciDescriptor& descriptor : index->manifests) {
    if (descriptor.attestation) continue;
    if (!fits_host(descriptor.os, descriptor.architecture)) {
      skipped = &descriptor;
      continue;
    }
    TRY(const OciManifest manifest, find_manifest(archive, descriptor));
    TRY_VOID(check_blob(archive, manifest.config_digest));
    std::vector<std::string> layer_files;
    for (const std::string& digest : manifest.layer_digests) {
      TRY_VOID(check_blob(archive, digest));
      layer_files.push_back(blob_name(digest));
    }
    ArchivedImage& image = images.emplace_back();
    TRY_VOID(read_image(archive, blob_name(manifest.config_digest), layer_files, image));
    if (std::string name = name_of(descriptor); !name.empty()) image.names = {std::move(name)};
  }
  if (images.empty() && skipped != nullptr) {
    return other_platform(skipped->os, skipped->architecture);
  }
  return images;
}

}  // namespace

Result<ArchivedImage> describe_image(std::string config_json, std::size_t layers) {
  ArchivedImage image;
  TRY(image.document, parse_image_document(config_json));
  const ImageDocument& document = image.document;
  if (!fits_host(document.os, document.architecture)) {
    return other_platform(document.os, document.architecture);
  }
  if (document.diff_digests.size() != layers) {
    return failf(Code::malformed, "the configuration names {} layers where the image has {}",
                 document.diff_digests.size(), layers);
  }
  image.id = sha256_digest(config_json);
  image.config_json = std::move(config_json);
  return image;
}

Result<std::vector<ArchivedImage>> find_images(const StagedArchive& archive) {
  if (archive.find("manifest.json") != nullptr) return find_docker_images(archive);
  if (archive.find("index.json") != nullptr) return find_oci_images(archive);
  return fail(Code::malformed,
              "holds no image: neither manifest.json (docker save) nor index.json (OCI layout) is "
              "in it");
}

}  // namespace tulle::node
