// The node's images: names, configurations and unpacked layers, in one directory.
//
//   index.json               names → image ids, replaced as a whole
//   configs/<hex>            image configurations by their digest, which is the image's id
//   layers/<hex>/fs, size    unpacked layers by the digest of their tar stream, each stored once
//   pins/<owner>             symbolic link "sha256:...": what a container runs from, kept from
//                            collection when its name goes away
//   tmp/                     unfinished work
//   lock                     held, by flock, while any of the above is read or changed
//
// Every method blocks on the disk: call it from a worker thread. Any number of threads and
// processes may use one directory at once; unpacking happens outside the lock. A method that fails,
// or whose process dies, leaves no visible change; what it left behind is removed by the next
// open().
#pragma once

#include "base/owned_fd.h"
#include "base/result.h"
#include "node/archive.h"
#include "node/image_index.h"
#include "node/image_manifest.h"
#include "node/image_staging.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::node {

struct ArchivedImage;
struct ImageReference;

struct ImageStoreOptions {
  ArchiveLimits limits = {};
};

// An image ready to run. A value.
struct Image {
  std::string id;  // "sha256:..."
  ImageConfig config;
  std::vector<std::string> layers;  // absolute paths, uppermost first: overlayfs's lowerdir
  std::uint64_t size = 0;           // bytes of file contents in all its layers
  // What was pulled: "docker.io/library/hello@sha256:...". Empty when it was loaded by hand.
  std::string pulled = {};
};

struct ListedImage {
  std::string reference;  // familiar form: "hello:latest"
  std::string id;
  std::uint64_t size = 0;  // bytes of file contents in all its layers
  std::string created;     // RFC 3339, or empty
};

// An image that has names, for who collects what is not used.
struct StoredImage {
  std::string id;
  std::vector<std::string> names;  // whole: "docker.io/library/hello:latest", "...@sha256:..."
  std::uint64_t size = 0;          // as ListedImage::size
  bool is_pulled = false;          // under all of its names: a registry has it
  bool is_pinned = false;
};

class ImageStore final {
 public:
  // Makes the directory (mode 0700) where it is missing and cleans up after dead processes.
  static Result<ImageStore> open(std::string directory, ImageStoreOptions options = {});

  // Loads all images of a docker-archive or an OCI layout in a tar, perhaps compressed, under the
  // names it holds. Returns the names, in familiar form. Errors say what is wrong with the file:
  // io, malformed, exhausted, unsupported (for another platform).
  Result<std::vector<std::string>> load_archive(const std::string& path) const;

  // Makes an image of one layer: a static executable becomes its entrypoint, a directory its root
  // file system. The same input gives the same image id. Returns the name in familiar form.
  Result<std::string> import_path(std::string_view reference, const std::string& path) const;

  // The steps of a pull (node/image_pull.h). A place for what is fetched:
  Result<ImageStaging> stage() const;
  // Whether the name stands for what was pulled by that manifest or index.
  Result<bool> is_pulled(const ImageReference& reference, std::string_view manifest) const;
  // Of each of the image's layers, whether it is here.
  Result<std::vector<bool>> has_layers(const ImageDocument& document) const;
  // Unpacks what is missing and names the image. A layer that was here needs no tar: its path is
  // empty. Errors as of load_archive(); unavailable when such a layer has gone meanwhile.
  Result<void> install_pulled(const ImageStaging& staging, const ArchivedImage& image,
                              const ImageReference& reference, const std::string& manifest) const;

  // Sorted by name.
  Result<std::vector<ListedImage>> list() const;

  // By id.
  Result<std::vector<StoredImage>> images() const;

  // Removes an image with all its names, unless it is pinned or was loaded by hand: nothing would
  // bring that back. Returns whether it did.
  Result<bool> remove_unused(const std::string& id) const;

  // `reference` is a name or an image id, which removes all names of that image. Layers that
  // neither another image nor a pin needs are removed. Error: not_found.
  Result<void> remove(std::string_view reference) const;

  // `reference` is a name or an image id. Error: not_found, which says how to load it. The layers
  // may be removed at any time after; a container is started from pin().
  Result<Image> resolve(std::string_view reference) const;

  // As resolve(), and keeps the image's layers until unpin(owner), across restarts. `owner` is a
  // file name: letters, digits, '.', '_', '-'. Pinning again replaces what the owner pinned.
  Result<Image> pin(std::string_view owner, std::string_view reference) const;

  // What is not pinned is no error.
  Result<void> unpin(std::string_view owner) const;

  // All owners with pins, for a restarted node agent to unpin those that are gone.
  Result<std::vector<std::string>> pinned() const;

  // True when `reference` was loaded or imported (not pulled) under a name without a registry
  // host: such an image is never looked for in a registry. False when it is not in the store.
  Result<bool> is_local(std::string_view reference) const;

  // Replaced by rename on each change of a name: watch its directory with inotify.
  std::string index_path() const { return directory_ + "/index.json"; }

 private:
  enum class LockMode { shared, exclusive };

  ImageStore(std::string directory, ImageStoreOptions options)
      : directory_(std::move(directory)), options_(options) {}

  std::string layer_path(std::string_view digest) const;
  std::string config_path(std::string_view digest) const;
  Result<OwnedFd> lock(LockMode mode) const;

  // These need the lock.
  Result<ImageIndex> read_index() const;
  Result<ImageDocument> read_document(std::string_view id) const;
  Result<std::uint64_t> size_of(const ImageDocument& document) const;
  Result<std::set<std::string>> pinned_ids() const;
  Result<std::vector<StoredImage>> images_locked() const;
  // What the name of an image, or an id, leads to.
  struct Found {
    std::string id;
    std::string pulled;  // as Image::pulled
  };
  Result<Found> find(const ImageIndex& index, std::string_view reference) const;
  Result<Image> read_image(Found found) const;
  Result<std::set<std::string>> live_files() const;
  Result<std::optional<ImageStaging>> collect() const;
  Result<void> adopt_layer(const ImageStaging& staging, const std::string& digest) const;
  Result<std::optional<ImageStaging>> commit_locked(const ImageStaging& staging,
                                                    const std::vector<ArchivedImage>& images,
                                                    const ImageIndex& names) const;

  // These take the lock where they need it (image_load.cc).
  Result<std::vector<ArchivedImage>> stage_images(const ImageStaging& staging,
                                                  const std::string& path) const;
  Result<void> unpack_missing(const ImageStaging& staging, const ArchivedImage& image) const;
  Result<void> commit(const ImageStaging& staging, const std::vector<ArchivedImage>& images,
                      const ImageIndex& names) const;
  Result<void> install(const ImageStaging& staging, const std::vector<ArchivedImage>& images,
                       const ImageIndex& names) const;

  std::string directory_;
  ImageStoreOptions options_;
};

}  // namespace tulle::node
