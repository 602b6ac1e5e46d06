#include "controllers/cron_policy.h"

#include "base/format.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::controllers {

namespace {

using kube::string_at;

constexpr std::string_view kScheduledTimestamp = "batch.kubernetes.io/cronjob-scheduled-timestamp";

kubeclient::EventText warning(std::string reason, std::string message) {
  return {.type = kubeclient::EventType::warning,
          .reason = std::move(reason),
          .message = std::move(message)};
}

}  // namespace

std::variant<CronTiming, kubeclient::EventText> read_cron_timing(const json::object& cron_job) {
  const std::string_view text = string_at(cron_job, "spec.schedule");
  const auto schedule = kube::CronSchedule::parse(text);
  if (!schedule) {
    return warning("UnparseableSchedule", fmt::format("unparseable schedule: \"{}\" : {}", text,
                                                      schedule.error().message));
  }
  const std::string_view name = string_at(cron_job, "spec.timeZone");
  if (name.empty()) return CronTiming{.schedule = *schedule};
  const auto zone = kube::TimeZone::find(name);
  if (!zone) {
    return warning("UnknownTimeZone",
                   fmt::format("invalid timeZone: \"{}\": {}", name, zone.error().message));
  }
  return CronTiming{.schedule = *schedule, .zone = *zone};
}

CronDue find_cron_due(const json::object& cron_job, const CronTiming& timing, kube::Time now) {
  auto since = kube::parse_time(string_at(cron_job, "status.lastScheduleTime"));
  if (!since) since = kube::parse_time(string_at(cron_job, "metadata.creationTimestamp"));
  if (!since) return {};
  kube::Time after = *since;
  if (kube::find(cron_job, "spec.startingDeadlineSeconds") != nullptr) {
    constexpr std::int64_t deadline_max = 100LL * 365 * 24 * 3600;
    const std::chrono::seconds deadline(
        std::min(kube::integer_at(cron_job, "spec.startingDeadlineSeconds"), deadline_max));
    after = std::max(after, now - deadline);
  }
  CronDue due{.time = timing.schedule.last_between(after, now, timing.zone)};
  int missed = 0;
  for (auto time = timing.schedule.next_after(after, timing.zone);
       time && *time <= now && missed <= CronDue::missed_max;
       time = timing.schedule.next_after(*time, timing.zone)) {
    ++missed;
  }
  due.many_missed = missed > CronDue::missed_max;
  return due;
}

json::object make_cron_run(const json::object& cron_job, const CronTiming& timing, kube::Time due) {
  const json::object& job_template = kube::object_at(cron_job, "spec.jobTemplate");
  const auto minutes =
      std::chrono::duration_cast<std::chrono::minutes>(due.time_since_epoch()).count();
  json::object job{{"apiVersion", "batch/v1"},
                   {"kind", "Job"},
                   {"metadata",
                    {{"name", fmt::format("{}-{}", kube::name_of(cron_job), minutes)},
                     {"namespace", kube::namespace_of(cron_job)},
                     {"labels", kube::object_at(job_template, "metadata.labels")},
                     {"annotations", kube::object_at(job_template, "metadata.annotations")},
                     {"ownerReferences", json::array{kube::controller_reference_to(cron_job)}}}},
                   {"spec", kube::object_at(job_template, "spec")}};
  kube::set_annotation(job, kScheduledTimestamp, timing.zone.format(due));
  return job;
}

}  // namespace tulle::controllers
