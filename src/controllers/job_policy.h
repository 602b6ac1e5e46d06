// What a Job is to do next: whether it ends, and which pods go and come. Pure, in upstream's words.
#pragma once

#include "controllers/job_tally.h"

#include <optional>
#include <string>
#include <vector>

namespace tulle::controllers {

// Pods of a Job made or ended in one go; the rest follows in the next.
inline constexpr std::size_t kJobBurstMax = 500;

enum class JobOutcome : std::uint8_t { goes_on, complete, failed };

struct JobVerdict {
  JobOutcome outcome = JobOutcome::goes_on;
  std::string reason = {};
  std::string message = {};
};
// What was decided before stays so.
JobVerdict judge_job(const json::object& job, const JobTally& tally, kube::Time now);

// How long until activeDeadlineSeconds are over; nothing where they do not run.
std::optional<Duration> deadline_left(const json::object& job, kube::Time now);

struct JobPodPlan {
  std::vector<ObjectPtr> end = {};  // to be released first, so that they do not count
  std::vector<json::object> create = {};
  Duration again_after{};  // a back-off has that long to go; zero: none
};
// For a Job that goes on. `pods` as for the tally.
JobPodPlan plan_job_pods(const json::object& job, const JobTally& tally,
                         const std::vector<ObjectPtr>& pods, kube::Time now);

}  // namespace tulle::controllers
