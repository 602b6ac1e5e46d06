// The status of a Job, from what its pods do. Pure.
#pragma once

#include "controllers/job_policy.h"

#include <vector>

namespace tulle::controllers {

struct JobStatusChange {
  // Pods named in one status at the most; the others follow.
  static constexpr std::size_t names_max = 500;

  json::object job;                     // with the new status
  std::vector<ObjectPtr> release = {};  // once that is written
  bool finished = false;                // Complete or Failed has come to it
  bool suspended = false;               // has just been
  bool resumed = false;                 // has just been
};
JobStatusChange next_job_status(const json::object& job, const JobTally& tally,
                                const JobVerdict& verdict, kube::Time now);

// Complete or Failed: nothing will change any more.
bool is_job_finished(const json::object& job);
// When that came about.
std::optional<kube::Time> job_finish_time(const json::object& job);

}  // namespace tulle::controllers
