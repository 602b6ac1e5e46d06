#include "kube/cron.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tulle::kube {
namespace {

std::string next(std::string_view schedule, std::string_view after, std::string_view zone = "UTC") {
  const auto parsed = CronSchedule::parse(schedule);
  if (!parsed) return parsed.error().message;
  const auto due = parsed->next_after(*parse_time(after), TimeZone::find(zone).value());
  return due ? format_time(*due) : "never";
}

TEST(CronSchedule, is_due_when_all_its_fields_say_so) {
  struct Row {
    std::string schedule, after, due;
  };
  const std::vector<Row> rows = {
      {"* * * * *", "2030-01-01T00:00:00Z", "2030-01-01T00:01:00Z"},
      {"* * * * *", "2030-01-01T00:00:59.9Z", "2030-01-01T00:01:00Z"},
      {"* * * * *", "2030-12-31T23:59:59Z", "2031-01-01T00:00:00Z"},
      {"? ? ? ? ?", "2030-01-01T00:00:00Z", "2030-01-01T00:01:00Z"},
      {"0 0 * * *", "2030-01-01T00:00:00Z", "2030-01-02T00:00:00Z"},
      {"*/15 * * * *", "2030-01-01T00:15:00Z", "2030-01-01T00:30:00Z"},
      {"7/20 * * * *", "2030-01-01T00:47:00Z", "2030-01-01T01:07:00Z"},
      {"5-20/5 * * * *", "2030-01-01T00:20:00Z", "2030-01-01T01:05:00Z"},
      {"3,1,2 4 * * *", "2030-01-01T04:01:30Z", "2030-01-01T04:02:00Z"},
      {"30 8-17 * * MON-FRI", "2030-01-04T17:30:00Z", "2030-01-07T08:30:00Z"},
      {"0 12 * feb-Apr *", "2030-01-01T00:00:00Z", "2030-02-01T12:00:00Z"},
      {"0 0 29 2 *", "2030-01-01T00:00:00Z", "2032-02-29T00:00:00Z"},
      {"0 0 31 * *", "2030-02-01T00:00:00Z", "2030-03-31T00:00:00Z"},
      // Sunday has two numbers. 2030-01-06 is one.
      {"0 0 * * 0", "2030-01-01T00:00:00Z", "2030-01-06T00:00:00Z"},
      {"0 0 * * 7", "2030-01-01T00:00:00Z", "2030-01-06T00:00:00Z"},
      {"0 0 * * sat-7", "2030-01-06T00:00:00Z", "2030-01-12T00:00:00Z"},
      {"0 0 * * 6/1", "2030-01-01T00:00:00Z", "2030-01-05T00:00:00Z"},
      {"0 0 * * 6/1", "2030-01-05T00:00:00Z", "2030-01-12T00:00:00Z"},
      // Of two fields for the day either will do, unless one is a star.
      {"0 0 15 * fri", "2030-01-01T00:00:00Z", "2030-01-04T00:00:00Z"},
      {"0 0 15 * fri", "2030-01-11T00:00:00Z", "2030-01-15T00:00:00Z"},
      {"0 0 */2 * fri", "2030-01-01T00:00:00Z", "2030-01-03T00:00:00Z"},
      {"0 0 * * fri", "2030-01-01T00:00:00Z", "2030-01-04T00:00:00Z"},
      {"0 0 */1 * fri", "2030-01-01T00:00:00Z", "2030-01-04T00:00:00Z"},
      {"@yearly", "2030-01-01T00:00:00Z", "2031-01-01T00:00:00Z"},
      {"@monthly", "2030-01-01T00:00:00Z", "2030-02-01T00:00:00Z"},
      {"@weekly", "2030-01-01T00:00:00Z", "2030-01-06T00:00:00Z"},
      {"@daily", "2030-01-01T00:00:00Z", "2030-01-02T00:00:00Z"},
      {"@hourly", "2030-01-01T00:59:00Z", "2030-01-01T01:00:00Z"},
      {"@every 1h30m", "2030-01-01T00:00:00.5Z", "2030-01-01T01:30:00Z"},
      {"@every 10ms", "2030-01-01T00:00:00Z", "2030-01-01T00:00:01Z"},
      {"0 0 30 2 *", "2030-01-01T00:00:00Z", "never"},
      {"0 0 31 4,6,9,11 *", "2030-01-01T00:00:00Z", "never"},
      {", * * * *", "2030-01-01T00:00:00Z", "never"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(next(row.schedule, row.after), row.due) << row.schedule << " after " << row.after;
  }
}

TEST(CronSchedule, follows_the_clocks_of_its_zone) {
  struct Row {
    std::string schedule, zone, after, due;
  };
  const std::vector<Row> rows = {
      {"0 9 * * *", "Europe/Berlin", "2030-01-01T00:00:00Z", "2030-01-01T08:00:00Z"},
      {"0 9 * * *", "Europe/Berlin", "2030-07-01T00:00:00Z", "2030-07-01T07:00:00Z"},
      {"0 9 * * *", "Asia/Kathmandu", "2030-01-01T00:00:00Z", "2030-01-01T03:15:00Z"},
      // On 2012-03-11 clocks in New York skip from 02:00 to 03:00, which is 07:00 UTC.
      {"30 2 * * *", "America/New_York", "2012-03-11T05:00:00Z", "2012-03-12T06:30:00Z"},
      {"0 * * * *", "America/New_York", "2012-03-11T06:00:00Z", "2012-03-11T07:00:00Z"},
      {"0 3 * * *", "America/New_York", "2012-03-11T05:00:00Z", "2012-03-11T07:00:00Z"},
      // On 2012-11-04 they show 01:00 to 02:00 twice, from 05:00 UTC on.
      {"30 1 * * *", "America/New_York", "2012-11-04T04:00:00Z", "2012-11-04T05:30:00Z"},
      {"30 1 * * *", "America/New_York", "2012-11-04T05:30:00Z", "2012-11-04T06:30:00Z"},
      {"30 1 * * *", "America/New_York", "2012-11-04T06:30:00Z", "2012-11-05T06:30:00Z"},
      {"0 2 * * *", "America/New_York", "2012-11-04T04:00:00Z", "2012-11-04T07:00:00Z"},
      // A midnight that is skipped, in São Paulo on 2018-11-04.
      {"0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-05T02:00:00Z"},
      {"0 1 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-04T03:00:00Z"},
      // Half an hour that comes twice, on Lord Howe Island.
      {"45 1 * * *", "Australia/Lord_Howe", "2030-04-06T14:00:00Z", "2030-04-06T14:45:00Z"},
      {"45 1 * * *", "Australia/Lord_Howe", "2030-04-06T14:45:00Z", "2030-04-06T15:15:00Z"},
      // A day that there was not, in Samoa.
      {"0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", "2012-12-29T22:00:00Z"},
      // Offsets were not whole minutes everywhere.
      {"0 12 * * *", "Europe/Amsterdam", "1930-01-01T00:00:00Z", "1930-01-01T11:40:28Z"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(next(row.schedule, row.after, row.zone), row.due)
        << row.schedule << " in " << row.zone << " after " << row.after;
  }
}

TEST(CronSchedule, finds_the_last_time_however_long_ago) {
  struct Row {
    std::string schedule, after, until, last;
  };
  const std::vector<Row> rows = {
      {"* * * * *", "2030-01-01T00:00:00Z", "2030-01-01T00:00:59Z", "never"},
      {"* * * * *", "2030-01-01T00:00:00Z", "2030-01-01T00:01:00Z", "2030-01-01T00:01:00Z"},
      {"* * * * *", "2020-01-01T00:00:00Z", "2030-01-01T00:01:30Z", "2030-01-01T00:01:00Z"},
      {"0 0 29 2 *", "2020-03-01T00:00:00Z", "2030-01-01T00:00:00Z", "2028-02-29T00:00:00Z"},
      {"0 0 29 2 *", "2028-02-29T00:00:00Z", "2030-01-01T00:00:00Z", "never"},
      {"0 0 30 2 *", "2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z", "never"},
      {"@every 7m", "2030-01-01T00:00:00Z", "2030-01-01T00:06:59Z", "never"},
      {"@every 7m", "2030-01-01T00:00:00Z", "2030-01-01T00:20:59Z", "2030-01-01T00:14:00Z"},
      {"@every 7m", "2030-01-01T00:00:00Z", "2030-01-01T00:21:00Z", "2030-01-01T00:21:00Z"},
  };
  for (const Row& row : rows) {
    const auto last =
        CronSchedule::parse(row.schedule)
            ->last_between(*parse_time(row.after), *parse_time(row.until), TimeZone::utc());
    EXPECT_EQ(last ? format_time(*last) : "never", row.last)
        << row.schedule << " until " << row.until;
  }
}

TEST(CronSchedule, says_what_is_wrong_with_other_text) {
  struct Row {
    std::string schedule, message;
  };
  const std::vector<Row> rows = {
      {"", "empty spec string"},
      {"* * * *", "expected exactly 5 fields, found 4: [* * * *]"},
      {"error schedule", "expected exactly 5 fields, found 2: [error schedule]"},
      {"x * * * *", R"(failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax)"},
      {"* * * * mon-x", R"(failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax)"},
      {"60 * * * *", "end of range (60) above maximum (59): 60"},
      {"* 24 * * *", "end of range (24) above maximum (23): 24"},
      {"* * 0 * *", "beginning of range (0) below minimum (1): 0"},
      {"* * * 13 *", "end of range (13) above maximum (12): 13"},
      {"* * * * 8", "end of range (8) above maximum (7): 8"},
      {"9-3 * * * *", "beginning of range (9) beyond end of range (3): 9-3"},
      {"1-2-3 * * * *", "too many hyphens: 1-2-3"},
      {"1/2/3 * * * *", "too many slashes: 1/2/3"},
      {"*/0 * * * *", "step of range should be a positive number: */0"},
      {"99/2 * * * *", "end of range (99) above maximum (59): 99/2"},
      {"@sometimes", "unrecognized descriptor: @sometimes"},
      {"99999999999 * * * *",
       "failed to parse int from 99999999999: strconv.Atoi: parsing \"99999999999\": "
       "value out of range"},
  };
  for (const Row& row : rows) EXPECT_EQ(next(row.schedule, "2030-01-01T00:00:00Z"), row.message);
}

TEST(TimeZone, writes_times_with_its_offset) {
  const Time time = *parse_time("2030-07-01T00:00:00Z");
  EXPECT_EQ(TimeZone::utc().format(time), "2030-07-01T00:00:00Z");
  EXPECT_EQ(TimeZone::find("Europe/Berlin")->format(time), "2030-07-01T02:00:00+02:00");
  EXPECT_EQ(TimeZone::find("America/St_Johns")->format(time), "2030-06-30T21:30:00-02:30");
}

TEST(TimeZone, is_a_name_of_the_database_and_no_other_file) {
  for (const std::string name :
       {"UTC", "Europe/Berlin", "Etc/GMT+5", "America/Argentina/Buenos_Aires", "EST5EDT"}) {
    EXPECT_TRUE(TimeZone::find(name)) << name;
  }
  for (const std::string name :
       {"", "Mars/Olympus", "/etc/localtime", "../zoneinfo/UTC", "Europe/../UTC", "Europe/", "-UTC",
        "libc:localtime", "file:/etc/localtime", "Fixed/UTC+01:00:00", "tzdata.zi"}) {
    const auto found = TimeZone::find(name);
    ASSERT_FALSE(found) << name;
    EXPECT_EQ(found.error().message, "unknown time zone " + name);
  }
}

}  // namespace
}  // namespace tulle::kube
