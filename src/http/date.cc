#include "http/date.h"

#include <array>
#include <chrono>
#include <string_view>

namespace tulle::http {
namespace {

constexpr std::array<std::string_view, 7> days = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void append_two_digits(std::string& out, unsigned value) {
  out += static_cast<char>('0' + value / 10 % 10);
  out += static_cast<char>('0' + value % 10);
}

}  // namespace

std::string http_date(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto midnight = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date(midnight);
  const auto of_day = static_cast<unsigned>((seconds - midnight).count());
  const auto year = static_cast<unsigned>(static_cast<int>(date.year()));
  std::string out;
  out.append(days[std::chrono::weekday(midnight).c_encoding()]).append(", ");
  append_two_digits(out, static_cast<unsigned>(date.day()));
  out.append(" ").append(months[static_cast<unsigned>(date.month()) - 1]).append(" ");
  append_two_digits(out, year / 100);
  append_two_digits(out, year);
  out += ' ';
  append_two_digits(out, of_day / 3600);
  out += ':';
  append_two_digits(out, of_day / 60 % 60);
  out += ':';
  append_two_digits(out, of_day % 60);
  return out.append(" GMT");
}

}  // namespace tulle::http
