// ImageStore: how images come in.
#include "base/format.h"
#include "node/archive_layer.h"
#include "node/archive_pack.h"
#include "node/digest.h"
#include "node/disk_room.h"
#include "node/image_archive.h"
#include "node/image_files.h"
#include "node/image_reference.h"
#include "node/image_store.h"

#include <fmt/chrono.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace tulle::node {
namespace {

// A layer that was there may be collected, as the last image that had it is removed, before the
// load that counted on it is done; it is then unpacked after all.
constexpr int install_attempts_max = 3;

Result<void> add_name(std::string_view text, const std::string& id, ImageIndex& names) {
  TRY(const ImageReference reference, parse_image_reference(text));
  // Tools write the default registry into names that were given without one.
  names.references[reference.normalized()] = {.image = id,
                                              .local = reference.registry == default_registry};
  return {};
}

Result<std::vector<std::string>> familiar_names(const ImageIndex& names) {
  std::vector<std::string> familiar;
  for (const auto& [name, entry] : names.references) {
    TRY(const ImageReference reference, parse_image_reference(name));
    familiar.push_back(reference.familiar());
  }
  return familiar;
}

Result<struct stat> status_of(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return os_error(errno, path);
  return status;
}

// A layer may not fill the disk, whatever else its limits are.
Result<UnpackedLayer> unpack_within_disk(const std::string& tar, const std::string& target,
                                         ArchiveLimits limits) {
  TRY(const DiskRoom disk, disk_room(target));
  const std::uint64_t room = disk.for_images();
  const std::uint64_t files = disk.files_for_images();
  const bool is_short = room < limits.bytes_max || files < limits.entries_max;
  limits.bytes_max = std::min(limits.bytes_max, room);
  limits.entries_max = std::min(limits.entries_max, files);
  auto layer = unpack_layer(tar, target, limits);
  const bool was_short =
      !layer && (layer.error().code == Code::exhausted || layer.error().os_error == ENOSPC);
  if (!was_short || !is_short) return layer;
  return failf(Code::exhausted, "{}; the disk has room for {} and {} files", layer.error().message,
               human_size(room), files);
}

// An image of the one layer packed at `tar`. Its age is that of what went into it, so that the
// same input makes the same image.
ArchivedImage one_layer_image(std::string tar, std::string diff_digest, ImageConfig config,
                              time_t created) {
  ArchivedImage image;
  image.document = {.config = std::move(config),
                    .created = fmt::format("{:%FT%TZ}", fmt::gmtime(created)),
                    .os = "linux",
                    .architecture = std::string(host_architecture()),
                    .diff_digests = {std::move(diff_digest)}};
  image.config_json = write_image_document(image.document);
  image.id = sha256_digest(image.config_json);
  image.layer_tars = {std::move(tar)};
  return image;
}

}  // namespace

Result<std::vector<ArchivedImage>> ImageStore::stage_images(const ImageStaging& staging,
                                                            const std::string& path) const {
  const std::string files = staging.path() + "/files";
  TRY_VOID(make_directories(files, 0700));
  auto archive = stage_archive(path, files, options_.limits);
  if (!archive) return std::move(archive).error().context(path);
  auto images = find_images(*archive);
  if (!images) return std::move(images).error().context(path);
  return images;
}

Result<void> ImageStore::unpack_missing(const ImageStaging& staging,
                                        const ArchivedImage& image) const {
  for (std::size_t i = 0; i < image.document.diff_digests.size(); ++i) {
    const std::string& digest = image.document.diff_digests[i];
    const std::string staged = fmt::format("{}/layer-{}", staging.path(), digest_hex(digest));
    if (::access(layer_path(digest).c_str(), F_OK) == 0) continue;
    if (::access(staged.c_str(), F_OK) == 0) continue;
    if (image.layer_tars[i].empty()) {
      return failf(Code::unavailable, "layer {} was removed meanwhile", i + 1);
    }
    TRY_VOID(make_directories(staged + "/fs", 0755));
    auto layer = unpack_within_disk(image.layer_tars[i], staged + "/fs", options_.limits);
    if (!layer) return std::move(layer).error().context(fmt::format("layer {}", i + 1));
    if (layer->diff_digest != digest) {
      return failf(Code::malformed, "layer {} has digest {} where the configuration says {}", i + 1,
                   layer->diff_digest, digest);
    }
    TRY_VOID(write_file_durably(staged + "/size", std::to_string(layer->size)));
  }
  return {};
}

Result<void> ImageStore::install(const ImageStaging& staging,
                                 const std::vector<ArchivedImage>& images,
                                 const ImageIndex& names) const {
  for (int attempt = 1;; ++attempt) {
    for (const ArchivedImage& image : images) TRY_VOID(unpack_missing(staging, image));
    auto done = commit(staging, images, names);
    const bool again = !done && done.error().code == Code::conflict;
    if (!again || attempt == install_attempts_max) return done;
  }
}

Result<std::vector<std::string>> ImageStore::load_archive(const std::string& path) const {
  TRY(const ImageStaging staging, stage());
  TRY(const auto images, stage_images(staging, path));
  ImageIndex names;
  for (const ArchivedImage& image : images) {
    for (const std::string& name : image.names) {
      auto added = add_name(name, image.id, names);
      if (!added) return std::move(added).error().context(path);
    }
  }
  if (names.references.empty()) {
    return failf(Code::malformed,
                 "{}: its images have no names; write them with docker save NAME:TAG, or skopeo "
                 "copy ... oci-archive:FILE:NAME:TAG",
                 path);
  }
  auto installed = install(staging, images, names);
  if (!installed) return std::move(installed).error().context(path);
  return familiar_names(names);
}

Result<std::string> ImageStore::import_path(std::string_view reference,
                                            const std::string& path) const {
  TRY(const ImageReference name, parse_image_reference(reference));
  TRY(const struct stat status, status_of(path));
  TRY(const ImageStaging staging, stage());
  const std::string tar = staging.path() + "/layer.tar";
  ImageConfig config;
  config.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  config.working_dir = "/";
  Result<std::string> digest;
  if (S_ISDIR(status.st_mode)) {
    digest = pack_directory(path, tar, options_.limits);
  } else if (S_ISREG(status.st_mode)) {
    const std::string program = "/" + std::filesystem::path(path).filename().string();
    config.entrypoint = {program};
    digest = pack_executable(path, tar);
  } else {
    digest = fail(Code::invalid_argument, "neither a file nor a directory");
  }
  if (!digest) return std::move(digest).error().context(path);

  std::vector<ArchivedImage> images;
  images.push_back(one_layer_image(tar, *std::move(digest), std::move(config), status.st_mtime));
  ImageIndex names;
  TRY_VOID(add_name(reference, images.front().id, names));
  TRY_VOID(install(staging, images, names));
  return name.familiar();
}

Result<bool> ImageStore::is_pulled(const ImageReference& reference,
                                   std::string_view manifest) const {
  TRY(const OwnedFd held, lock(LockMode::shared));
  TRY(const ImageIndex index, read_index());
  const auto entry = index.references.find(reference.normalized());
  return entry != index.references.end() && entry->second.pulled == manifest;
}

Result<std::vector<bool>> ImageStore::has_layers(const ImageDocument& document) const {
  TRY(const OwnedFd held, lock(LockMode::shared));
  std::vector<bool> has;
  has.reserve(document.diff_digests.size());
  for (const std::string& digest : document.diff_digests) {
    has.push_back(::access(layer_path(digest).c_str(), F_OK) == 0);
  }
  return has;
}

Result<void> ImageStore::install_pulled(const ImageStaging& staging, const ArchivedImage& image,
                                        const ImageReference& reference,
                                        const std::string& manifest) const {
  ImageIndex names;
  names.references[reference.normalized()] = {
      .image = image.id, .local = false, .pulled = manifest};
  return install(staging, {image}, names);
}

}  // namespace tulle::node
