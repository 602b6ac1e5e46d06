// Getting the image of a container: from the store, or from its registry first.
#pragma once

#include "base/result.h"
#include "node/image_pull.h"
#include "node/image_store.h"
#include "rt/blocking.h"
#include "rt/scope.h"
#include "rt/sync.h"

#include <deque>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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

struct ImageRequest {
  std::string owner;  // for whom the image is pinned (ImageStore::pin)
  std::string reference;
  PullPolicy policy = PullPolicy::if_not_present;
};

// Told of a pull when it begins to wait, and then once a second.
using PullListener = std::function<void(const PullProgress&)>;

struct PullTimes {
  Duration taken{};         // by the registry and the unpacking
  Duration with_waiting{};  // for other pulls, too
};

// Pulls each image once, however many wait for it, and some at a time: a registry that is slow or
// silent keeps others from nothing. What nobody waits for any more is not pulled.
class Images final {
 public:
  static constexpr std::size_t pulls_max = 4;
  // Fewer, so that no registry takes all.
  static constexpr std::size_t pulls_of_registry_max = 2;

  // The references must outlive it.
  Images(rt::Loop& loop, rt::EpollDriver& driver, rt::Blocking& blocking, ImageStore store,
         PullOptions options = {});

  // Pins the image for its owner where no registry has to be asked. Nothing where pull() is next.
  // The error is ErrImageNeverPull or InvalidImageName.
  rt::Task<std::expected<std::optional<Image>, WaitReason>> find(ImageRequest request);
  // Pulls it, with `logins` as PullRequest has them; it is not pinned yet. `listener` is called as
  // long as the task lives, which may be dropped. REQUIRES: the reference is an image's name. The
  // error is ErrImagePull.
  rt::Task<std::expected<PullTimes, WaitReason>> pull(std::string reference,
                                                      std::vector<std::string> logins,
                                                      PullListener listener);
  rt::Task<void> unpin(std::string owner);

  // Until the image may be obtained without a registry, which it could not at `since`.
  rt::Task<void> arrived(std::string reference, PullPolicy policy, ImageVersion since);
  ImageVersion version() const;

  const ImageStore& store() const { return store_; }

 private:
  struct Job {
    Job(rt::Loop& loop, std::string name, PullRequest what)
        : key(std::move(name)), request(std::move(what)), done(loop), abandoned(loop) {}
    const std::string key;
    const PullRequest request;
    PullProgress progress;
    std::size_t waiters = 0;
    Duration taken{};
    Result<void> outcome;
    rt::Event done;
    rt::Event abandoned;
  };
  using JobPtr = std::shared_ptr<Job>;
  class Waiter;

  rt::Task<Result<Duration>> wait_for(JobPtr job, PullListener listener);
  JobPtr join(const std::string& reference, std::vector<std::string> logins);
  void leave(const JobPtr& job);
  void start_next();
  bool may_start(const Job& job) const;
  rt::Task<void> run(JobPtr job);

  rt::Loop& loop_;
  rt::Blocking& blocking_;
  const ImageStore store_;
  ImagePuller puller_;
  std::map<std::string, JobPtr> jobs_;  // by image and logins; also those that wait
  std::deque<JobPtr> waiting_;
  std::vector<JobPtr> running_;
  rt::Scope scope_;
};

}  // namespace tulle::node
