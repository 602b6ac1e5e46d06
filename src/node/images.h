// Getting the image of a container: from the store, or from its registry first.
#pragma once

#include "base/result.h"
#include "node/image_store.h"
#include "rt/blocking.h"
#include "rt/scope.h"
#include "rt/sync.h"

#include <deque>
#include <expected>
#include <map>
#include <memory>
#include <string>

namespace tulle::node {

// Why a container waits, in the words of its status.
struct WaitReason {
  std::string reason;
  std::string message;
};

enum class PullPolicy : std::uint8_t { always, if_not_present, never };
// imagePullPolicy; where it is empty, upstream's default for that image name.
PullPolicy pull_policy(std::string_view text, std::string_view reference);

// Which images the store has: another value after every change.
struct ImageVersion {
  std::uint64_t inode = 0;
  std::int64_t seconds = 0;
  std::int64_t nanos = 0;

  bool operator==(const ImageVersion&) const = default;
};

// Pulls one image at a time, each once however many wait for it, so that slow registries hold up
// no other blocking work.
class Images final {
 public:
  Images(rt::Loop& loop, rt::Blocking& blocking, ImageStore store);

  // Pins the image for `owner`. The error is ErrImageNeverPull, ErrImagePull or
  // InvalidImageName.
  rt::Task<std::expected<Image, WaitReason>> obtain(std::string owner, std::string reference,
                                                    PullPolicy policy);
  rt::Task<void> unpin(std::string owner);

  // Until the store has changed since version() gave `since`.
  ImageVersion version() const;
  rt::Task<void> changed(ImageVersion since);

  const ImageStore& store() const { return store_; }

 private:
  struct Job {
    explicit Job(rt::Loop& loop) : done(loop) {}
    rt::Event done;
    Result<void> outcome;
  };
  rt::Task<Result<void>> pull(std::string reference);
  rt::Task<void> pull_all();

  rt::Loop& loop_;
  rt::Blocking& blocking_;
  const ImageStore store_;
  std::map<std::string, std::shared_ptr<Job>> jobs_;
  std::deque<std::string> waiting_;
  rt::WaitList more_;
  rt::Scope scope_;
};

}  // namespace tulle::node
