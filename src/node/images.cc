#include "node/images.h"

#include "base/format.h"
#include "node/image_reference.h"
#include "rt/sleep.h"

#include <sys/stat.h>

namespace tulle::node {

namespace {

constexpr Duration kLookAgain = std::chrono::milliseconds(250);

std::string how_to_load(std::string_view reference) {
  return fmt::format(
      "load it with `tulle image load FILE.tar`, or make it of a program or directory with `tulle "
      "image import {} PATH`",
      reference);
}

}  // namespace

PullPolicy pull_policy(std::string_view text, std::string_view reference) {
  if (text == "Always") return PullPolicy::always;
  if (text == "Never") return PullPolicy::never;
  if (text == "IfNotPresent") return PullPolicy::if_not_present;
  const auto parsed = parse_image_reference(reference);
  return parsed && parsed->tag == "latest" ? PullPolicy::always : PullPolicy::if_not_present;
}

Images::Images(rt::Loop& loop, rt::Blocking& blocking, ImageStore store)
    : loop_(loop), blocking_(blocking), store_(std::move(store)), scope_(loop) {
  scope_.spawn(pull_all());
}

rt::Task<std::expected<Image, WaitReason>> Images::obtain(std::string owner, std::string reference,
                                                          PullPolicy policy) {
  using Outcome = std::expected<Image, WaitReason>;
  if (const auto parsed = parse_image_reference(reference); !parsed) {
    co_return Outcome(std::unexpect, "InvalidImageName",
                      fmt::format("Failed to apply default image tag \"{}\": {}", reference,
                                  parsed.error().message));
  }
  // An image that was loaded here is used as it is: no registry knows it.
  const auto local = co_await rt::run_blocking(
      blocking_, [store = store_, reference] { return store.is_local(reference); });
  const bool may_pull = policy != PullPolicy::never && !(local && *local);
  const auto pin = [store = store_, owner, reference] { return store.pin(owner, reference); };
  if (!may_pull || policy == PullPolicy::if_not_present) {
    auto image = co_await rt::run_blocking(blocking_, pin);
    if (image) co_return *std::move(image);
    if (policy == PullPolicy::never) {
      co_return Outcome(std::unexpect, "ErrImageNeverPull",
                        fmt::format("Container image \"{}\" is not present with pull policy of "
                                    "Never; {}",
                                    reference, how_to_load(reference)));
    }
  }
  auto pulled = co_await pull(reference);
  auto image =
      pulled ? co_await rt::run_blocking(blocking_, pin) : Result<Image>(std::move(pulled).error());
  if (image) co_return *std::move(image);
  co_return Outcome(std::unexpect, "ErrImagePull",
                    fmt::format("Failed to pull image \"{}\": {}; {}", reference,
                                image.error().message, how_to_load(reference)));
}

rt::Task<void> Images::unpin(std::string owner) {
  (void)co_await rt::run_blocking(blocking_,
                                  [store = store_, owner] { return store.unpin(owner); });
}

ImageVersion Images::version() const {
  struct stat status{};
  if (::stat(store_.index_path().c_str(), &status) != 0) return {};
  return {
      .inode = status.st_ino, .seconds = status.st_mtim.tv_sec, .nanos = status.st_mtim.tv_nsec};
}

rt::Task<void> Images::changed(ImageVersion since) {
  while (version() == since) co_await rt::sleep(loop_, kLookAgain);
}

rt::Task<Result<void>> Images::pull(std::string reference) {
  auto& slot = jobs_[reference];
  if (!slot) {
    slot = std::make_shared<Job>(loop_);
    waiting_.push_back(reference);
    more_.wake_all(loop_);
  }
  const std::shared_ptr<Job> job = slot;
  co_await job->done.wait();
  co_return job->outcome;
}

rt::Task<void> Images::pull_all() {
  for (;;) {
    while (waiting_.empty()) co_await rt::wait_on(more_);
    const std::string reference = std::move(waiting_.front());
    waiting_.pop_front();
    auto outcome = co_await rt::run_blocking(
        blocking_, [store = store_, reference] { return store.pull(reference); });
    const std::shared_ptr<Job> job = jobs_.at(reference);
    jobs_.erase(reference);
    job->outcome = std::move(outcome);
    job->done.set();
  }
}

}  // namespace tulle::node
