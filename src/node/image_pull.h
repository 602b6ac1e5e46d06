// Pulling one image: asks the registry what the name leads to, fetches the layers that the store
// does not have, and installs the image.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "node/image_archive.h"
#include "node/image_skopeo.h"
#include "node/image_store.h"
#include "rt/blocking.h"
#include "rt/sync.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tulle::node {

struct PullRequest {
  ImageReference reference;
  // Contents of containers-auth.json(5) to try one after the other; none: the machine's logins.
  std::vector<std::string> logins;
};

// How far a pull is.
struct PullProgress {
  enum class Step : std::uint8_t { waiting, asking, fetching, unpacking };

  Step step = Step::waiting;
  // While it fetches, and from then on.
  std::uint64_t bytes = 0;
  std::uint64_t bytes_total = 0;
  Instant grown_at = {};  // when `bytes` last changed
};

struct PullOptions {
  std::string skopeo = "skopeo";  // a path, or a name looked up in PATH
  // A registry that sends nothing for so long is given up.
  Duration silence_max = std::chrono::minutes(1);
  // One that sends, but never enough.
  Duration time_max = std::chrono::hours(1);
  Duration look_again = std::chrono::milliseconds(500);  // at the bytes that have come
};

class ImagePuller final {
 public:
  // The references must outlive it and its tasks.
  ImagePuller(rt::Loop& loop, rt::EpollDriver& driver, rt::Blocking& blocking, ImageStore store,
              PullOptions options);

  // `progress` must outlive the task. Dropping the task ends what it asks of the registry, and
  // removes what was fetched. Errors: unavailable and unsupported as Skopeo's; timed_out;
  // exhausted where the image is too large for the disk or the limits; malformed, where it is not
  // what it says it is.
  rt::Task<Result<void>> pull(PullRequest request, PullProgress& progress);

 private:
  // An image at its registry: what to fetch of it.
  struct Remote {
    std::string digest;  // what the name leads to
    OciManifest manifest;
    ArchivedImage image;
    std::uint64_t placeholders = 0;  // bytes of layers that need not be fetched
  };
  using Staging = std::shared_ptr<ImageStaging>;

  rt::Task<Result<std::string>> ask(rt::Task<Result<std::string>> question);
  rt::Task<Result<std::string>> log_in(SkopeoSource& source, const PullRequest& request);
  rt::Task<Result<void>> describe(SkopeoSource& source, const std::string& top, Remote& remote);
  rt::Task<Result<void>> prepare(const Staging& staging, Remote& remote, PullProgress& progress);
  rt::Task<Result<void>> fetch(SkopeoSource source, std::uint64_t placeholders,
                               PullProgress& progress);
  rt::Task<Error> watch(std::string folder, std::uint64_t placeholders, PullProgress& progress);

  rt::Loop& loop_;
  rt::Blocking& blocking_;
  const ImageStore store_;
  const PullOptions options_;
  Skopeo skopeo_;
  rt::Semaphore unpacking_;
};

}  // namespace tulle::node
