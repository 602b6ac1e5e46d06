// CHECK guards our own invariants and is always on. Never use it for a peer's bytes or for what the
// environment does: those are Results.
#pragma once

#include <source_location>
#include <string_view>

namespace tulle {

// Prints expression and place to standard error and aborts.
[[noreturn]] void check_failed(std::string_view expression, std::source_location where);

}  // namespace tulle

#define CHECK(condition)                                                  \
  do {                                                                    \
    if (!(condition)) [[unlikely]]                                        \
      ::tulle::check_failed(#condition, std::source_location::current()); \
  } while (false)
