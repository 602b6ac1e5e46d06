// What went wrong, whose fault it is and whether it may be tried again.
//
// An Error is a value. Code that detects a failure makes one; code on the way up may add context();
// exactly one function per server turns it into a status, a retry decision and a log line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tulle {

enum class Code : std::uint8_t {
  invalid_argument,   // the caller's input is wrong; the message names the field
  malformed,          // bytes of a peer or a file that do not parse
  not_found,          //
  already_exists,     //
  conflict,           // the thing changed since it was read
  permission_denied,  //
  refused,            // a connection was refused: nothing was processed
  reset,              // a connection died under us
  closed,             // the other side ended in an orderly way where more was expected
  timed_out,          //
  cancelled,          // somebody who may do so ended it
  exhausted,          // a named limit was reached
  unavailable,        // cannot be done now, may work later
  unsupported,        //
  expired,            // the point in history asked for is gone
  io,                 // the operating system failed; os_error says how
  internal,           // our own fault
};

// The snake_case name of a code, for logs and metrics.
std::string_view name(Code code);

struct Error {
  Code code = Code::internal;
  std::string message;  // a sentence without a full stop, that says what to do where that is known
  int os_error = 0;     // errno where the operating system was asked, else 0

  // Puts "what: " before the message; keeps code and errno.
  [[nodiscard]] Error context(std::string_view what) &&;
};

// The error for errno value `os_error` of the failed call `what`; maps errno to the closest Code.
Error os_error(int os_error, std::string_view what);

}  // namespace tulle
