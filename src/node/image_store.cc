#include "node/image_store.h"

#include "base/format.h"
#include "node/digest.h"
#include "node/image_archive.h"
#include "node/image_files.h"
#include "node/image_reference.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <map>
#include <ranges>

namespace tulle::node {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t owner_bytes_max = 200;

Result<std::vector<std::string>> names_in(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  if (error) return os_error(error.value(), fmt::format("list {}", directory));
  std::ranges::sort(names);
  return names;
}

Result<void> check_owner(std::string_view owner) {
  const bool valid = !owner.empty() && owner.size() <= owner_bytes_max && owner.front() != '.' &&
                     std::ranges::all_of(owner, [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
                     });
  if (valid) return {};
  return failf(Code::invalid_argument, "pin owner '{}' is no file name", owner);
}

Result<std::uint64_t> read_layer_size(const std::string& layer) {
  TRY(const std::string text, read_small_file(layer + "/size", 32));
  std::uint64_t size = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), size);
  if (parsed.ec != std::errc()) return failf(Code::malformed, "{}/size is damaged", layer);
  return size;
}

Error not_on_node(std::string_view reference) {
  return failf(Code::not_found,
               "image {} is not on this node; load it with: tulle image load ARCHIVE", reference);
}

}  // namespace

Result<ImageStore> ImageStore::open(std::string directory, ImageStoreOptions options) {
  std::error_code error;
  directory = fs::absolute(directory, error).lexically_normal().string();
  while (directory.size() > 1 && directory.ends_with('/')) directory.pop_back();
  // Layers hold set-user-id programs, which other users of the machine must not reach.
  TRY_VOID(make_directories(directory, 0700));
  for (const char* name : {"configs", "layers", "pins", "tmp"}) {
    TRY_VOID(make_directories(fmt::format("{}/{}", directory, name), 0700));
  }
  ImageStore store(std::move(directory), options);
  std::vector<ImageStaging> leftovers;
  std::optional<ImageStaging> garbage;
  TRY(OwnedFd lock, store.lock(LockMode::exclusive));
  TRY(leftovers, ImageStaging::adopt_leftovers(store.directory_ + "/tmp"));
  TRY(auto collected, store.collect());
  if (collected) garbage.emplace(*std::move(collected));
  lock.reset();
  return store;
}

std::string ImageStore::layer_path(std::string_view digest) const {
  return fmt::format("{}/layers/{}", directory_, digest_hex(digest));
}

std::string ImageStore::config_path(std::string_view digest) const {
  return fmt::format("{}/configs/{}", directory_, digest_hex(digest));
}

Result<OwnedFd> ImageStore::lock(LockMode mode) const {
  const std::string path = directory_ + "/lock";
  OwnedFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return os_error(errno, fmt::format("open {}", path));
  while (::flock(fd.get(), mode == LockMode::shared ? LOCK_SH : LOCK_EX) != 0) {
    if (errno != EINTR) return os_error(errno, fmt::format("lock {}", path));
  }
  return fd;
}

Result<ImageStaging> ImageStore::stage() const {
  TRY(const OwnedFd held, lock(LockMode::exclusive));
  return ImageStaging::create(directory_ + "/tmp");
}

Result<ImageIndex> ImageStore::read_index() const {
  auto text = read_small_file(index_path(), image_index_bytes_max);
  if (!text && text.error().os_error == ENOENT) return ImageIndex{};
  if (!text) return std::move(text).error();
  auto index = parse_image_index(*text);
  if (!index) return std::move(index).error().context(index_path() + " is damaged");
  return index;
}

Result<ImageDocument> ImageStore::read_document(std::string_view id) const {
  TRY(const std::string text, read_small_file(config_path(id), image_document_bytes_max));
  auto document = parse_image_document(text);
  if (!document) return std::move(document).error().context(config_path(id) + " is damaged");
  return document;
}

Result<std::uint64_t> ImageStore::size_of(const ImageDocument& document) const {
  std::uint64_t sum = 0;
  for (const std::string& digest : document.diff_digests) {
    TRY(const std::uint64_t size, read_layer_size(layer_path(digest)));
    sum += size;
  }
  return sum;
}

Result<ImageStore::Found> ImageStore::find(const ImageIndex& index,
                                           std::string_view reference) const {
  if (is_sha256_digest(reference)) {
    if (::access(config_path(reference).c_str(), F_OK) != 0) return not_on_node(reference);
    return Found{.id = std::string(reference), .pulled = ""};
  }
  TRY(const ImageReference name, parse_image_reference(reference));
  const auto entry = index.references.find(name.normalized());
  if (entry == index.references.end()) return not_on_node(name.familiar());
  Found found{.id = entry->second.image, .pulled = ""};
  if (!entry->second.pulled.empty()) {
    found.pulled = fmt::format("{}/{}@{}", name.registry, name.repository, entry->second.pulled);
  }
  return found;
}

Result<Image> ImageStore::read_image(Found found) const {
  TRY(ImageDocument document, read_document(found.id));
  Image image{.id = std::move(found.id),
              .config = std::move(document.config),
              .layers = {},
              .size = 0,
              .pulled = std::move(found.pulled)};
  TRY(image.size, size_of(document));
  // A layer that occurs twice hides its lower occurrence, and overlayfs takes each only once.
  std::set<std::string> seen;
  for (const std::string& digest : std::views::reverse(document.diff_digests)) {
    if (seen.insert(digest).second) image.layers.push_back(layer_path(digest) + "/fs");
  }
  return image;
}

Result<std::vector<ListedImage>> ImageStore::list() const {
  TRY(const OwnedFd held, lock(LockMode::shared));
  TRY(const ImageIndex index, read_index());
  std::vector<ListedImage> images;
  for (const auto& [name, entry] : index.references) {
    TRY(ImageDocument document, read_document(entry.image));
    TRY(const ImageReference reference, parse_image_reference(name));
    ListedImage& image = images.emplace_back(ListedImage{.reference = reference.familiar(),
                                                         .id = entry.image,
                                                         .size = 0,
                                                         .created = std::move(document.created)});
    TRY(image.size, size_of(document));
  }
  std::ranges::sort(images, {}, &ListedImage::reference);
  return images;
}

Result<std::vector<StoredImage>> ImageStore::images() const {
  TRY(const OwnedFd held, lock(LockMode::shared));
  return images_locked();
}

Result<std::vector<StoredImage>> ImageStore::images_locked() const {
  TRY(const ImageIndex index, read_index());
  TRY(const std::set<std::string> pinned, pinned_ids());
  std::map<std::string, StoredImage> by_id;
  for (const auto& [name, entry] : index.references) {
    auto [at, is_new] = by_id.try_emplace(entry.image);
    StoredImage& image = at->second;
    if (is_new) {
      TRY(const ImageDocument document, read_document(entry.image));
      TRY(const std::uint64_t size, size_of(document));
      image = {.id = entry.image,
               .names = {},
               .size = size,
               .is_pulled = true,
               .is_pinned = pinned.contains(entry.image)};
    }
    if (entry.pulled.empty()) {
      image.is_pulled = false;
    } else {
      TRY(const ImageReference reference, parse_image_reference(name));
      std::string digest_name =
          fmt::format("{}/{}@{}", reference.registry, reference.repository, entry.pulled);
      if (digest_name != name) image.names.push_back(std::move(digest_name));
    }
    image.names.push_back(name);
  }
  std::vector<StoredImage> images;
  images.reserve(by_id.size());
  for (auto& [id, image] : by_id) images.push_back(std::move(image));
  return images;
}

Result<bool> ImageStore::remove_unused(const std::string& id) const {
  std::optional<ImageStaging> garbage;
  TRY(OwnedFd held, lock(LockMode::exclusive));
  TRY(const std::vector<StoredImage> known, images_locked());
  const auto found = std::ranges::find(known, id, &StoredImage::id);
  if (found == known.end() || !found->is_pulled || found->is_pinned) return false;
  TRY(ImageIndex index, read_index());
  std::erase_if(index.references, [&](const auto& entry) { return entry.second.image == id; });
  TRY_VOID(write_file_durably(index_path(), write_image_index(index)));
  TRY(auto collected, collect());
  if (collected) garbage.emplace(*std::move(collected));
  held.reset();
  return true;
}

Result<void> ImageStore::remove(std::string_view reference) const {
  std::optional<ImageStaging> garbage;
  TRY(OwnedFd held, lock(LockMode::exclusive));
  TRY(ImageIndex index, read_index());
  if (is_sha256_digest(reference)) {
    const auto removed = std::erase_if(
        index.references, [&](const auto& entry) { return entry.second.image == reference; });
    if (removed == 0) return not_on_node(reference);
  } else {
    TRY(const ImageReference name, parse_image_reference(reference));
    if (index.references.erase(name.normalized()) == 0) return not_on_node(name.familiar());
  }
  TRY_VOID(write_file_durably(index_path(), write_image_index(index)));
  TRY(auto collected, collect());
  if (collected) garbage.emplace(*std::move(collected));
  held.reset();
  return {};
}

Result<Image> ImageStore::resolve(std::string_view reference) const {
  TRY(const OwnedFd held, lock(LockMode::shared));
  TRY(const ImageIndex index, read_index());
  TRY(Found found, find(index, reference));
  return read_image(std::move(found));
}

// The pin is a symbolic link because making one is a single step: a crash leaves none or all.
Result<Image> ImageStore::pin(std::string_view owner, std::string_view reference) const {
  TRY_VOID(check_owner(owner));
  TRY(const OwnedFd held, lock(LockMode::exclusive));
  TRY(const ImageIndex index, read_index());
  TRY(Found found, find(index, reference));
  TRY(Image image, read_image(std::move(found)));
  const std::string path = fmt::format("{}/pins/{}", directory_, owner);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return os_error(errno, fmt::format("remove {}", path));
  }
  if (::symlink(image.id.c_str(), path.c_str()) != 0) {
    return os_error(errno, fmt::format("create {}", path));
  }
  return image;
}

Result<void> ImageStore::unpin(std::string_view owner) const {
  TRY_VOID(check_owner(owner));
  std::optional<ImageStaging> garbage;
  TRY(OwnedFd held, lock(LockMode::exclusive));
  const std::string path = fmt::format("{}/pins/{}", directory_, owner);
  if (::unlink(path.c_str()) != 0) {
    if (errno == ENOENT) return {};
    return os_error(errno, fmt::format("remove {}", path));
  }
  TRY(auto collected, collect());
  if (collected) garbage.emplace(*std::move(collected));
  held.reset();
  return {};
}

Result<std::vector<std::string>> ImageStore::pinned() const {
  TRY(const OwnedFd held, lock(LockMode::shared));
  return names_in(directory_ + "/pins");
}

Result<bool> ImageStore::is_local(std::string_view reference) const {
  TRY(const ImageReference name, parse_image_reference(reference));
  TRY(const OwnedFd held, lock(LockMode::shared));
  TRY(const ImageIndex index, read_index());
  const auto entry = index.references.find(name.normalized());
  return entry != index.references.end() && entry->second.local;
}

Result<std::set<std::string>> ImageStore::pinned_ids() const {
  TRY(const auto owners, names_in(directory_ + "/pins"));
  std::set<std::string> ids;
  for (const std::string& owner : owners) {
    std::error_code error;
    std::string id = fs::read_symlink(fmt::format("{}/pins/{}", directory_, owner), error).string();
    if (error || !is_sha256_digest(id)) return failf(Code::malformed, "pin {} is damaged", owner);
    ids.insert(std::move(id));
  }
  return ids;
}

// The paths of all configurations and layers that a name or a pin leads to. When anything cannot
// be read there is no answer, so that nothing is ever collected on a guess.
Result<std::set<std::string>> ImageStore::live_files() const {
  TRY(const ImageIndex index, read_index());
  TRY(std::set<std::string> ids, pinned_ids());
  for (const auto& [name, entry] : index.references) ids.insert(entry.image);
  std::set<std::string> live;
  for (const std::string& id : ids) {
    live.insert(config_path(id));
    TRY(const ImageDocument document, read_document(id));
    for (const std::string& digest : document.diff_digests) live.insert(layer_path(digest));
  }
  return live;
}

// Moves everything that is not live aside. The caller drops the result after the lock: removing
// large trees takes long.
Result<std::optional<ImageStaging>> ImageStore::collect() const {
  TRY(const std::set<std::string> live, live_files());
  std::optional<ImageStaging> garbage;
  for (const char* kind : {"configs", "layers"}) {
    TRY(const auto names, names_in(fmt::format("{}/{}", directory_, kind)));
    for (const std::string& name : names) {
      const std::string path = fmt::format("{}/{}/{}", directory_, kind, name);
      if (live.contains(path)) continue;
      if (!garbage) {
        TRY(ImageStaging made, ImageStaging::create(directory_ + "/tmp"));
        garbage.emplace(std::move(made));
      }
      const std::string aside = fmt::format("{}/{}-{}", garbage->path(), kind, name);
      if (::rename(path.c_str(), aside.c_str()) != 0) {
        return os_error(errno, fmt::format("move {}", path));
      }
    }
  }
  return garbage;
}

// Error: conflict when the layer is neither in the store nor in `staging`.
Result<void> ImageStore::adopt_layer(const ImageStaging& staging, const std::string& digest) const {
  const std::string path = layer_path(digest);
  if (::access(path.c_str(), F_OK) == 0) return {};
  const std::string staged = fmt::format("{}/layer-{}", staging.path(), digest_hex(digest));
  if (::rename(staged.c_str(), path.c_str()) == 0) return {};
  if (errno == ENOENT) return failf(Code::conflict, "layer {} was removed meanwhile", digest);
  return os_error(errno, fmt::format("move {}", staged));
}

Result<std::optional<ImageStaging>> ImageStore::commit_locked(
    const ImageStaging& staging, const std::vector<ArchivedImage>& images,
    const ImageIndex& names) const {
  TRY(const OwnedFd held, lock(LockMode::exclusive));
  TRY(ImageIndex index, read_index());
  for (const ArchivedImage& image : images) {
    for (const std::string& digest : image.document.diff_digests) {
      TRY_VOID(adopt_layer(staging, digest));
    }
    TRY_VOID(write_file_durably(config_path(sha256_digest(image.config_json)), image.config_json));
  }
  TRY_VOID(sync_directory(directory_ + "/layers"));
  for (const auto& [name, entry] : names.references) index.references[name] = entry;
  TRY_VOID(write_file_durably(index_path(), write_image_index(index)));
  return collect();
}

// Syncs before it takes the lock, because that is what takes long.
Result<void> ImageStore::commit(const ImageStaging& staging,
                                const std::vector<ArchivedImage>& images,
                                const ImageIndex& names) const {
  TRY_VOID(sync_file_system(staging.path()));
  auto garbage = commit_locked(staging, images, names);
  if (!garbage) return std::move(garbage).error();
  return {};
}

}  // namespace tulle::node
