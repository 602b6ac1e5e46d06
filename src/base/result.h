// Result<T>: a value or an Error. Every expected failure travels in one; no exception crosses a
// function of ours.
//
//   Result<int> parse(std::string_view text);
//   Result<void> use(std::string_view text) {
//     TRY(int value, parse(text));            // returns the error, or declares `value`
//     TRY_VOID(check(value));
//     return {};
//   }
//
// CO_TRY and CO_TRY_VOID do the same inside a coroutine: CO_TRY(auto n, co_await read(buffer)).
#pragma once

#include "base/error.h"

#include <expected>
#include <utility>

namespace tulle {

template <class T = void>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using std::expected<T, Error>::expected;
  Result(Error error) : std::expected<T, Error>(std::unexpect, std::move(error)) {}
};

// fail(Code::malformed, "line {}: tab in indentation", line) needs base/format.h; this is the
// plain form.
inline Error fail(Code code, std::string message) {
  return {.code = code, .message = std::move(message)};
}

}  // namespace tulle

#define TULLE_JOIN_(a, b) a##b
#define TULLE_JOIN(a, b) TULLE_JOIN_(a, b)

#define TULLE_TRY_(keyword, temporary, declaration, ...) \
  auto temporary = (__VA_ARGS__);                        \
  if (!temporary) keyword std::move(temporary).error();  \
  declaration = *std::move(temporary)

#define TULLE_TRY_VOID_(keyword, temporary, ...) \
  if (auto temporary = (__VA_ARGS__); !temporary) keyword std::move(temporary).error()

#define TRY(declaration, ...) \
  TULLE_TRY_(return, TULLE_JOIN(try_result_, __LINE__), declaration, __VA_ARGS__)
#define TRY_VOID(...) TULLE_TRY_VOID_(return, TULLE_JOIN(try_result_, __LINE__), __VA_ARGS__)
#define CO_TRY(declaration, ...) \
  TULLE_TRY_(co_return, TULLE_JOIN(try_result_, __LINE__), declaration, __VA_ARGS__)
#define CO_TRY_VOID(...) TULLE_TRY_VOID_(co_return, TULLE_JOIN(try_result_, __LINE__), __VA_ARGS__)
