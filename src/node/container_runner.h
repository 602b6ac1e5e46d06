// Keeps one container of a pod running, as its restart policy says, until the pod is to end.
#pragma once

#include "node/back_off.h"
#include "node/container.h"
#include "node/pod_context.h"
#include "node/probes.h"
#include "node/pull_report.h"

#include <boost/json/fwd.hpp>

#include <expected>
#include <memory>
#include <optional>
#include <string>

namespace tulle::node {

// What the pod's status tells of a container. A value.
struct ContainerView {
  enum class Phase : std::uint8_t { waiting, running, terminated };

  std::string name = {};
  std::string image = {};
  Phase phase = Phase::waiting;
  WaitReason waiting = {};
  std::string started_at = {};            // while it runs
  std::optional<ContainerEnd> end = {};   // when terminated
  std::optional<ContainerEnd> last = {};  // of the run before
  bool ready = false;
  bool started = false;
  int restarts = 0;
  std::string image_id = {};
  std::string container_id = {};  // of the latest run
  std::string last_container_id = {};
  bool sidecar = false;
};

// What a container is to its pod.
enum class ContainerRole : std::uint8_t {
  init,     // runs to its end before the next one begins
  sidecar,  // an init container of restartPolicy Always: the next one begins once it has started,
            // and it is stopped when the pod's work is done
  main,
  ephemeral,  // was added to look at the others (node/ephemeral.h): runs once, is never ready
};
ContainerRole role_of_init_container(const boost::json::object& spec);

class ContainerRunner final {
 public:
  // `spec` is the element of the pod's spec, and lives as long as `pod` does.
  ContainerRunner(PodContext& context, kubeclient::ObjectPtr pod, const boost::json::object& spec,
                  ContainerRole role);

  // Until it has ended for good: it succeeded, or may not be tried again, or the pod ends; a
  // sidecar until stop(). Takes over a run that is found on the disk.
  rt::Task<void> run();
  // Until its start-up probe says so, or at once without one.
  rt::Task<void> started();
  // REQUIRES: a sidecar. Ends it, within the pod's grace period.
  void stop() { stop_.set(); }
  // Until run() is done.
  rt::Task<void> finished() { return finished_.wait(); }

  ContainerView view() const;
  // Its run, while it runs.
  std::optional<RunPlace> running() const;
  std::string name() const { return view_.name; }
  ContainerRole role() const { return role_; }
  bool succeeded() const { return view_.end && view_.end->code == 0; }
  // Whether there was a run of it in the pod's network, in this agent's time or before.
  bool has_run() const { return number_ > left_behind_; }
  // The number of its latest run; -1: none.
  int latest_run() const { return number_; }
  // Runs up to this number were in an earlier network of the pod's, which a reboot took with all
  // else that was not on the disk: what an init container did is to be done again.
  void leave_behind(int run);

 private:
  using Started = std::expected<std::unique_ptr<Container>, WaitReason>;

  void look_back();
  std::optional<ContainerEnd> read_end_of(const RunPlace& place) const;
  ProbedBefore probed_before() const;
  bool may_run_again(const ContainerEnd& end) const;
  bool is_to_stop() const { return context_.ending || stopping_.is_set(); }
  rt::Task<bool> back_off(const ContainerEnd& end);
  rt::Task<Started> start();
  rt::Task<std::expected<Image, WaitReason>> get_image();
  rt::Task<std::expected<Image, WaitReason>> pull_image(ImageRequest request);
  void report_pull(PullReport& report, const PullProgress& progress);
  rt::Task<Result<void>> prepare(RunPlace place, const Image& image);
  rt::Task<bool> wait_to_start_again(WaitReason why);
  rt::Task<void> back_off_pulling(WaitReason why);
  rt::Task<ContainerEnd> attend(Container& container, bool is_new);
  rt::Task<ContainerEnd> end_container(Container& container, Duration grace);
  rt::Task<bool> run_post_start();
  rt::Task<void> until_killed(Container& container, Instant kill_at);
  rt::Task<void> ask_to_end(Container& container, Instant kill_at);
  rt::Task<void> killing_time(Instant kill_at);
  rt::Task<Result<void>> run_hook(std::string_view name, Instant deadline);
  void forget_old_runs() const;
  std::string reason_of_beginning() const;
  void set_waiting(std::string reason, std::string message);
  void set_ended(const ContainerEnd& end);
  RunPlace place_of(int number) const;

  PodContext& context_;
  const kubeclient::ObjectPtr pod_;
  const boost::json::object& spec_;
  const ContainerRole role_;
  rt::Event stop_;
  rt::Event& stopping_;  // what ends it: stop_ of a sidecar, else the end of the pod
  rt::Event finished_;
  ContainerView view_;
  int number_ = -1;  // of the latest run
  int left_behind_ = -1;
  std::string stop_signal_;
  BackOff crashes_{1};
  BackOff pulls_{0};
  BackOff starts_{0};
  ImageVersion images_seen_;           // when the image was last looked for
  std::uint64_t references_seen_ = 0;  // when they were
  std::unique_ptr<Container> adopted_;
  ProbedBefore before_;             // of what was adopted
  const Prober* prober_ = nullptr;  // while it runs
};

}  // namespace tulle::node
