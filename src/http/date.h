// Dates as fields of HTTP have them, RFC 9110 §5.6.7.
#pragma once

#include "base/time.h"

#include <optional>
#include <string>
#include <string_view>

namespace tulle::http {

// "Sun, 06 Nov 1994 08:49:37 GMT".
std::string http_date(WallTime time);

// That, or one of the obsolete forms "Sunday, 06-Nov-94 08:49:37 GMT" and "Sun Nov  6 08:49:37
// 1994". Two digits of a year are those of the year nearest to `now` that is at most 50 years
// ahead. The day of the week is not looked at.
std::optional<WallTime> parse_http_date(std::string_view text, WallTime now);

}  // namespace tulle::http
