// The pods that a Job makes.
#pragma once

#include "controllers/shared.h"

#include <optional>

namespace tulle::controllers {

struct JobPodOptions {
  std::optional<std::int64_t> index = std::nullopt;  // of an Indexed Job
  const json::object* replaced = nullptr;            // its latest failure of that index, if any
};
// Tracked, so that its end is counted. With an index: named and called after it, and told of it in
// JOB_COMPLETION_INDEX.
json::object make_job_pod(const json::object& job, const JobPodOptions& options);

}  // namespace tulle::controllers
