// When a CronJob is due, and the Job that it then makes. Pure, but for the time zone database.
#pragma once

#include "controllers/shared.h"
#include "kube/cron.h"

#include <optional>
#include <string>
#include <variant>

namespace tulle::controllers {

struct CronTiming {
  kube::CronSchedule schedule;
  kube::TimeZone zone = kube::TimeZone::utc();
};
// Of the CronJob's spec, or the event that tells why not.
std::variant<CronTiming, kubeclient::EventText> read_cron_timing(const json::object& cron_job);

struct CronDue {
  // More are too many to think that nothing is wrong.
  static constexpr int missed_max = 100;

  std::optional<kube::Time> time = std::nullopt;  // the latest that was not started yet
  bool many_missed = false;
};
// Since the last start, or since it was made; no longer ago than spec.startingDeadlineSeconds.
CronDue find_cron_due(const json::object& cron_job, const CronTiming& timing, kube::Time now);

// The Job of that time. Its name follows from the time, so that none is made twice.
json::object make_cron_run(const json::object& cron_job, const CronTiming& timing, kube::Time due);

}  // namespace tulle::controllers
