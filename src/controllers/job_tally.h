// Counts the pods of a Job, each exactly once. Pure.
//
// Counting is exact because of two things that the API keeps. A pod that has ended holds the
// finalizer batch.kubernetes.io/job-tracking until the Job's status knows of it; and the status
// names the pod in uncountedTerminatedPods until the finalizer is gone. So of the three states that
// a pod goes through (ended, named, released) each is written before the next, and whoever takes
// over sees where it stands. Indexed successes need no name: the index in completedIndexes is one.
#pragma once

#include "controllers/job_failures.h"
#include "controllers/job_indexes.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace tulle::controllers {

// The pods of a Job by what they mean to it. "Tracked" are those that hold the finalizer.
struct JobTally {
  std::vector<ObjectPtr> active = {};  // tracked, neither ended nor told to end
  std::vector<ObjectPtr> strays = {};  // active, but not tracked: they are to end uncounted
  std::int64_t ready = 0;
  std::int64_t terminating = 0;  // told to end, and still at it
  std::set<std::int64_t> indexes_terminating = {};

  // Ended and tracked, and not named in the status yet.
  std::vector<ObjectPtr> succeeded = {};
  std::vector<ObjectPtr> failed = {};
  std::vector<ObjectPtr> ignored = {};  // failures that count for nothing
  // Tracked, though the status knows all about them.
  std::vector<ObjectPtr> settled = {};

  // The status with those that are released moved from their names to the numbers.
  std::int64_t counted_succeeded = 0;
  std::int64_t counted_failed = 0;
  std::set<std::string, std::less<>> named_succeeded = {};  // uids
  std::set<std::string, std::less<>> named_failed = {};

  // Of an Indexed Job, with what ended now.
  IndexSet completed = {};
  IndexSet failed_indexes = {};
  // With a limit per index: the latest failure of each index that is still to be replaced. It
  // stays tracked until then, for it holds how many there have been.
  std::map<std::int64_t, ObjectPtr> unreplaced = {};

  // Counted, named or neither yet.
  std::int64_t succeeded_total = 0;
  std::int64_t failed_total = 0;
};

// `pods` are all that the Job controls.
JobTally tally_job(const json::object& job, const std::vector<ObjectPtr>& pods);

bool is_indexed(const json::object& job);

}  // namespace tulle::controllers
