// The Date field.
#pragma once

#include "base/time.h"

#include <string>

namespace tulle::http {

// RFC 9110 §5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT".
std::string http_date(WallTime time);

}  // namespace tulle::http
