// Errors. Bad input (a file, an option, a study) is a value: Result<T> carries either a T or an
// Error whose message is one clear line naming file, offset or option and what was expected. A
// broken promise of our own code is a Defect: CHECK throws it, only main() catches it (exit status
// 3). The library itself never prints and never aborts.
#ifndef VERNIER_BASE_RESULT_H_
#define VERNIER_BASE_RESULT_H_

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace vernier {

struct Error {
  std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

// Fail("{}: expected ...", path) makes the error side of any Result.
template <class... Args>
tl::unexpected<Error> Fail(fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(Error{fmt::format(format, std::forward<Args>(args)...)});
}

// A defect of Vernier itself: what CHECK throws.
class Defect : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

[[noreturn]] void ThrowDefect(const char* file, int line, const char* condition);

}  // namespace vernier

#define CHECK(condition)                                      \
  do {                                                        \
    if (!(condition)) [[unlikely]]                            \
      ::vernier::ThrowDefect(__FILE__, __LINE__, #condition); \
  } while (0)

#define VERNIER_CONCAT_INNER(a, b) a##b
#define VERNIER_CONCAT(a, b) VERNIER_CONCAT_INNER(a, b)

// ASSIGN_OR_RETURN(auto x, F()): x takes F's value, or the enclosing function returns F's error.
#define ASSIGN_OR_RETURN(declaration, expression) \
  ASSIGN_OR_RETURN_INNER(VERNIER_CONCAT(result_, __LINE__), declaration, expression)
#define ASSIGN_OR_RETURN_INNER(result, declaration, expression)         \
  auto result = (expression);                                           \
  if (!result) return tl::unexpected<::vernier::Error>(result.error()); \
  declaration = std::move(*result)

// RETURN_IF_ERROR(F()): the same for a Status.
#define RETURN_IF_ERROR(expression) \
  RETURN_IF_ERROR_INNER(VERNIER_CONCAT(status_, __LINE__), expression)
#define RETURN_IF_ERROR_INNER(status, expression)                               \
  do {                                                                          \
    if (auto status = (expression); !status)                                    \
      return tl::unexpected<::vernier::Error>(std::move(status).error());       \
  } while (0)

#endif  // VERNIER_BASE_RESULT_H_
