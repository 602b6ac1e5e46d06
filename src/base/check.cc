#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace tulle {

void check_failed(std::string_view expression, std::source_location where) {
  std::fprintf(stderr, "CHECK failed: %.*s at %s:%u\n", static_cast<int>(expression.size()),
               expression.data(), where.file_name(), where.line());
  std::abort();
}

}  // namespace tulle
