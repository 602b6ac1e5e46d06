// fail() with a format string. Apart from base/result.h because fmt is costly to include.
#pragma once

#include "base/result.h"

#include <fmt/format.h>

namespace tulle {

template <class... Args>
Error failf(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return fail(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace tulle
