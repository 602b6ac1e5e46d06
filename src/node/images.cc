#include "node/images.h"

#include "base/format.h"
#include "node/image_reference.h"
#include "rt/combine.h"
#include "rt/sleep.h"

#include <sys/stat.h>

#include <algorithm>

namespace tulle::node {

namespace {

constexpr Duration kLookAgain = std::chrono::milliseconds(250);
constexpr Duration kTell = std::chrono::seconds(1);

std::string how_to_load(std::string_view reference) {
  return fmt::format(
      "load it with `tulle image load FILE.tar`, or make it of a program or directory with `tulle "
      "image import {} PATH`",
      reference);
}

// Names without a registry are mostly of images that were to be loaded, not pulled.
std::string explain(std::string_view reference, const Error& error) {
  std::string text = fmt::format("Failed to pull image \"{}\": {}", reference, error.message);
  const auto parsed = parse_image_reference(reference);
  if (parsed && parsed->registry == default_registry) text += "; " + how_to_load(reference);
  return text;
}

}  // namespace

PullPolicy pull_policy(std::string_view text, std::string_view reference) {
  if (text == "Always") return PullPolicy::always;
  if (text == "Never") return PullPolicy::never;
  if (text == "IfNotPresent") return PullPolicy::if_not_present;
  const auto parsed = parse_image_reference(reference);
  return parsed && parsed->tag == "latest" ? PullPolicy::always : PullPolicy::if_not_present;
}

// Counts among those who wait for a pull.
class Images::Waiter final {
 public:
  Waiter(Images& images, JobPtr job) : images_(images), job_(std::move(job)) { ++job_->waiters; }
  ~Waiter() {
    if (--job_->waiters == 0) images_.leave(job_);
  }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

 private:
  Images& images_;
  const JobPtr job_;
};

Images::Images(rt::Loop& loop, rt::EpollDriver& driver, rt::Blocking& blocking, ImageStore store,
               PullOptions options)
    : loop_(loop),
      blocking_(blocking),
      store_(std::move(store)),
      puller_(loop, driver, blocking, store_, std::move(options)),
      scope_(loop) {}

// An image that was loaded here is used as it is: no registry knows it.
rt::Task<std::expected<std::optional<Image>, WaitReason>> Images::find(ImageRequest request) {
  using Outcome = std::expected<std::optional<Image>, WaitReason>;
  if (const auto parsed = parse_image_reference(request.reference); !parsed) {
    co_return Outcome(std::unexpect, "InvalidImageName",
                      fmt::format("Failed to apply default image tag \"{}\": {}", request.reference,
                                  parsed.error().message));
  }
  auto found = co_await rt::run_blocking(blocking_, [store = store_, request]() -> Result<Image> {
    if (request.policy == PullPolicy::always) {
      TRY(const bool is_local, store.is_local(request.reference));
      if (!is_local) return fail(Code::not_found, "its registry is to be asked");
    }
    return store.pin(request.owner, request.reference);
  });
  if (found) co_return Outcome(*std::move(found));
  if (request.policy != PullPolicy::never) co_return Outcome(std::nullopt);
  co_return Outcome(
      std::unexpect, "ErrImageNeverPull",
      fmt::format("Container image \"{}\" is not present with pull policy of Never; {}",
                  request.reference, how_to_load(request.reference)));
}

rt::Task<std::expected<PullTimes, WaitReason>> Images::pull(std::string reference,
                                                            std::vector<std::string> logins,
                                                            PullListener listener) {
  using Outcome = std::expected<PullTimes, WaitReason>;
  const Instant began = loop_.now();
  const auto taken = co_await wait_for(join(reference, std::move(logins)), std::move(listener));
  if (!taken) co_return Outcome(std::unexpect, "ErrImagePull", explain(reference, taken.error()));
  co_return PullTimes{.taken = *taken, .with_waiting = loop_.now() - began};
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

rt::Task<void> Images::arrived(std::string reference, PullPolicy policy, ImageVersion since) {
  for (;;) {
    while (version() == since) co_await rt::sleep(loop_, kLookAgain);
    since = version();
    const bool is_there = co_await rt::run_blocking(blocking_, [store = store_, reference, policy] {
      if (policy == PullPolicy::always) return store.is_local(reference).value_or(false);
      return store.resolve(reference).has_value();
    });
    if (is_there) co_return;
  }
}

// How long the registry and the unpacking took.
rt::Task<Result<Duration>> Images::wait_for(JobPtr job, PullListener listener) {
  const Waiter waiter(*this, job);
  while (!job->done.is_set()) {
    listener(job->progress);
    co_await rt::race(job->done.wait(), rt::until(loop_, loop_.now() + kTell));
  }
  if (!job->outcome) co_return job->outcome.error();
  co_return job->taken;
}

// Who has other logins asks for himself: what one may see, another may not.
Images::JobPtr Images::join(const std::string& reference, std::vector<std::string> logins) {
  ImageReference parsed = *parse_image_reference(reference);
  std::string key = parsed.normalized();
  for (const std::string& login : logins) {
    key += '\n';
    key += login;
  }
  if (const auto known = jobs_.find(key); known != jobs_.end()) return known->second;
  JobPtr job = std::make_shared<Job>(
      loop_, key, PullRequest{.reference = std::move(parsed), .logins = std::move(logins)});
  jobs_.emplace(std::move(key), job);
  waiting_.push_back(job);
  start_next();
  return job;
}

// The last one who waited has gone. What is fetched already is unpacked all the same.
void Images::leave(const JobPtr& job) {
  if (job->done.is_set() || job->progress.step == PullProgress::Step::unpacking) return;
  const auto known = jobs_.find(job->key);
  if (known != jobs_.end() && known->second == job) jobs_.erase(known);
  std::erase(waiting_, job);
  job->abandoned.set();
}

void Images::start_next() {
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    if (!may_start(**at)) {
      ++at;
      continue;
    }
    running_.push_back(*at);
    scope_.spawn(run(*at));
    at = waiting_.erase(at);
  }
}

bool Images::may_start(const Job& job) const {
  const auto of_registry = std::ranges::count_if(running_, [&job](const JobPtr& each) {
    return each->request.reference.registry == job.request.reference.registry;
  });
  return running_.size() < pulls_max &&
         static_cast<std::size_t>(of_registry) < pulls_of_registry_max;
}

rt::Task<void> Images::run(JobPtr job) {
  const Instant began = loop_.now();
  auto outcome =
      co_await rt::race(puller_.pull(job->request, job->progress), job->abandoned.wait());
  if (outcome.index() == 0) job->outcome = std::get<0>(std::move(outcome));
  job->taken = loop_.now() - began;
  const auto known = jobs_.find(job->key);
  if (known != jobs_.end() && known->second == job) jobs_.erase(known);
  std::erase(running_, job);
  job->done.set();
  start_next();
}

}  // namespace tulle::node
