#include "node/image_pull.h"

#include "base/format.h"
#include "node/digest.h"
#include "node/disk_room.h"
#include "node/image_files.h"
#include "node/image_manifest.h"
#include "rt/combine.h"
#include "rt/sleep.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>

namespace tulle::node {
namespace {

// Unpacking is the disk's work and the processor's: two at a time only take from each other, and
// from what else waits for a thread.
constexpr std::size_t unpackings_max = 1;
// Documents and what skopeo puts beside the layers.
constexpr std::uint64_t beside_layers_max = 16 << 20;

std::string blob_path(const std::string& folder, std::string_view digest) {
  return fmt::format("{}/blobs/sha256/{}", folder, digest_hex(digest));
}

long seconds_in(Duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

// Removing what was fetched takes long: not in the loop's own time.
class Discard final {
 public:
  Discard(rt::Blocking& blocking, std::shared_ptr<ImageStaging> staging)
      : blocking_(blocking), staging_(std::move(staging)) {}
  ~Discard() {
    blocking_.submit([staging = std::move(staging_)]() mutable { staging.reset(); }, [] {});
  }
  Discard(const Discard&) = delete;
  Discard& operator=(const Discard&) = delete;

 private:
  rt::Blocking& blocking_;
  std::shared_ptr<ImageStaging> staging_;
};

// Stands for a layer that need not be fetched. It has the layer's size and takes no room.
Result<void> put_placeholder(const std::string& path, std::uint64_t size) {
  const OwnedFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return os_error(errno, "create " + path);
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0)
    return os_error(errno, "extend " + path);
  return {};
}

// What skopeo has written so far, placeholders not counted.
std::uint64_t bytes_in(const std::string& folder, std::uint64_t placeholders) {
  std::uint64_t bytes = 0;
  for (const char* each : {"/image", "/blobs/sha256"}) {
    std::error_code error;
    for (std::filesystem::directory_iterator at(folder + each, error), end; !error && at != end;
         at.increment(error)) {
      std::error_code gone;
      if (!at->is_regular_file(gone)) continue;
      const std::uint64_t size = at->file_size(gone);
      if (!gone) bytes += size;
    }
  }
  return bytes > placeholders ? bytes - placeholders : 0;
}

// Lays out `folder` for skopeo and says where the layers will be. Blocking.
struct Layout {
  std::vector<std::string> layer_tars;  // as ArchivedImage::layer_tars
  std::uint64_t missing = 0;            // bytes
  std::uint64_t present = 0;
};

Result<Layout> lay_out(const ImageStore& store, const std::string& folder,
                       const OciManifest& manifest, const ImageDocument& document) {
  TRY(const std::vector<bool> has, store.has_layers(document));
  TRY(const DiskRoom disk, disk_room(folder));
  TRY_VOID(make_directories(folder + "/blobs/sha256", 0700));
  Layout layout;
  layout.layer_tars.resize(has.size());
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < has.size(); ++i) {
    const std::string path = blob_path(folder, manifest.layer_digests[i]);
    if (!has[i]) layout.layer_tars[i] = path;
    if (!seen.insert(manifest.layer_digests[i]).second) continue;
    std::uint64_t& sum = has[i] ? layout.present : layout.missing;
    if (__builtin_add_overflow(sum, manifest.layer_sizes[i], &sum)) {
      return fail(Code::malformed, "the sizes of its layers are absurd");
    }
    if (has[i]) TRY_VOID(put_placeholder(path, manifest.layer_sizes[i]));
  }
  if (layout.missing > disk.for_images()) {
    return failf(Code::exhausted, "there are {} to fetch, and the disk has room for {}",
                 human_size(layout.missing), human_size(disk.for_images()));
  }
  return layout;
}

// The digests of what was fetched are skopeo's to check; their sizes it does not look at. Blocking.
Result<void> check_sizes(const OciManifest& manifest, const std::vector<std::string>& layer_tars) {
  for (std::size_t i = 0; i < layer_tars.size(); ++i) {
    if (layer_tars[i].empty()) continue;
    std::error_code error;
    const std::uint64_t size = std::filesystem::file_size(layer_tars[i], error);
    if (error) return failf(Code::malformed, "layer {} did not come", i + 1);
    if (size == manifest.layer_sizes[i]) continue;
    return failf(Code::malformed, "layer {} has {} bytes where the manifest says {}", i + 1, size,
                 manifest.layer_sizes[i]);
  }
  return {};
}

Error other_digest(std::string_view what, std::string_view expected, std::string_view found) {
  return failf(Code::malformed, "the registry gave a {} of digest {} for {}", what, found,
               expected);
}

}  // namespace

ImagePuller::ImagePuller(rt::Loop& loop, rt::EpollDriver& driver, rt::Blocking& blocking,
                         ImageStore store, PullOptions options)
    : loop_(loop),
      blocking_(blocking),
      store_(std::move(store)),
      options_(std::move(options)),
      skopeo_(loop, driver, options_.skopeo),
      unpacking_(loop, unpackings_max) {}

rt::Task<Result<void>> ImagePuller::pull(PullRequest request, PullProgress& progress) {
  progress = {.step = PullProgress::Step::asking, .grown_at = loop_.now()};
  auto staged = co_await rt::run_blocking(
      blocking_, [store = store_]() -> Result<std::shared_ptr<ImageStaging>> {
        TRY(ImageStaging staging, store.stage());
        return std::make_shared<ImageStaging>(std::move(staging));
      });
  if (!staged) co_return std::move(staged).error();
  const Staging staging = *std::move(staged);
  const Discard discard(blocking_, staging);

  SkopeoSource source{.reference = request.reference, .folder = staging->path(), .auth_file = ""};
  CO_TRY(const std::string top, co_await log_in(source, request));
  Remote remote{.digest = sha256_digest(top), .manifest = {}, .image = {}, .placeholders = 0};
  const auto known = co_await rt::run_blocking(
      blocking_, [store = store_, reference = request.reference, digest = remote.digest] {
        return store.is_pulled(reference, digest);
      });
  if (known && *known) co_return Result<void>();
  CO_TRY_VOID(co_await describe(source, top, remote));
  CO_TRY_VOID(co_await prepare(staging, remote, progress));
  const bool misses_some = std::ranges::any_of(
      remote.image.layer_tars, [](const std::string& path) { return !path.empty(); });
  if (misses_some) {
    CO_TRY_VOID(co_await fetch(std::move(source), remote.placeholders, progress));
  }

  const auto permit = co_await unpacking_.acquire();
  progress.step = PullProgress::Step::unpacking;
  co_return co_await rt::run_blocking(
      blocking_,
      [store = store_, staging, reference = request.reference, remote]() -> Result<void> {
        TRY_VOID(check_sizes(remote.manifest, remote.image.layer_tars));
        return store.install_pulled(*staging, remote.image, reference, remote.digest);
      });
}

rt::Task<Result<std::string>> ImagePuller::ask(rt::Task<Result<std::string>> question) {
  auto answer =
      co_await rt::race(std::move(question), rt::until(loop_, loop_.now() + options_.silence_max));
  if (answer.index() == 0) co_return std::get<0>(std::move(answer));
  co_return failf(Code::timed_out, "the registry did not answer within {} seconds",
                  seconds_in(options_.silence_max));
}

// What the name leads to, asked with one login after the other. The one that was let in stays.
rt::Task<Result<std::string>> ImagePuller::log_in(SkopeoSource& source,
                                                  const PullRequest& request) {
  if (request.logins.empty()) co_return co_await ask(skopeo_.manifest(source));
  source.auth_file = source.folder + "/auth.json";
  Result<std::string> answer;
  for (const std::string& login : request.logins) {
    CO_TRY_VOID(write_file_whole(source.auth_file, login));
    answer = co_await ask(skopeo_.manifest(source));
    if (answer) break;
  }
  co_return answer;
}

// `top` is the manifest or index that the name leads to. From then on `source` is the manifest.
rt::Task<Result<void>> ImagePuller::describe(SkopeoSource& source, const std::string& top,
                                             Remote& remote) {
  std::string& digest = source.reference.digest;
  if (!digest.empty() && digest != remote.digest) {
    co_return other_digest("manifest", digest, remote.digest);
  }
  digest = remote.digest;
  CO_TRY(OciDocument document, parse_oci_document(top));
  if (document.manifest.config_digest.empty()) {
    CO_TRY(const OciDescriptor chosen, choose_platform(document.manifests));
    digest = chosen.digest;
    CO_TRY(const std::string text, co_await ask(skopeo_.manifest(source)));
    if (sha256_digest(text) != digest) {
      co_return other_digest("manifest", digest, sha256_digest(text));
    }
    CO_TRY(document, parse_oci_document(text));
  }
  remote.manifest = std::move(document.manifest);
  if (remote.manifest.config_digest.empty()) {
    co_return fail(Code::malformed, "its index leads to a further index");
  }
  CO_TRY(std::string config, co_await ask(skopeo_.configuration(source)));
  if (sha256_digest(config) != remote.manifest.config_digest) {
    co_return other_digest("configuration", remote.manifest.config_digest, sha256_digest(config));
  }
  CO_TRY(remote.image, describe_image(std::move(config), remote.manifest.layer_digests.size()));
  co_return Result<void>();
}

rt::Task<Result<void>> ImagePuller::prepare(const Staging& staging, Remote& remote,
                                            PullProgress& progress) {
  auto layout = co_await rt::run_blocking(
      blocking_,
      [store = store_, staging, manifest = remote.manifest, document = remote.image.document] {
        return lay_out(store, staging->path(), manifest, document);
      });
  if (!layout) co_return std::move(layout).error();
  remote.image.layer_tars = std::move(layout->layer_tars);
  remote.placeholders = layout->present;
  progress.bytes_total = layout->missing;
  co_return Result<void>();
}

rt::Task<Result<void>> ImagePuller::fetch(SkopeoSource source, std::uint64_t placeholders,
                                          PullProgress& progress) {
  progress.step = PullProgress::Step::fetching;
  progress.grown_at = loop_.now();
  const std::string folder = source.folder;
  auto outcome =
      co_await rt::race(skopeo_.fetch(std::move(source)), watch(folder, placeholders, progress));
  if (outcome.index() == 1) co_return std::get<1>(std::move(outcome));
  auto& fetched = std::get<0>(outcome);
  if (fetched) progress.bytes = progress.bytes_total;
  co_return std::move(fetched);
}

// Follows what comes, until that is to be given up.
rt::Task<Error> ImagePuller::watch(std::string folder, std::uint64_t placeholders,
                                   PullProgress& progress) {
  const Instant began = loop_.now();
  for (;;) {
    co_await rt::sleep(loop_, options_.look_again);
    const std::uint64_t bytes = co_await rt::run_blocking(
        blocking_, [folder, placeholders] { return bytes_in(folder, placeholders); });
    const Instant now = loop_.now();
    if (bytes != progress.bytes) {
      progress.bytes = bytes;
      progress.grown_at = now;
    }
    if (bytes > progress.bytes_total + beside_layers_max) {
      co_return failf(Code::malformed, "the registry sends more than the {} of the manifest",
                      human_size(progress.bytes_total));
    }
    if (now - progress.grown_at >= options_.silence_max) {
      co_return failf(
          Code::timed_out, "the registry sent nothing for {} seconds, with {} of {} fetched",
          seconds_in(options_.silence_max), human_size(bytes), human_size(progress.bytes_total));
    }
    if (now - began >= options_.time_max) {
      co_return failf(Code::timed_out, "{} of {} were fetched within {} seconds", human_size(bytes),
                      human_size(progress.bytes_total), seconds_in(options_.time_max));
    }
  }
}

}  // namespace tulle::node
