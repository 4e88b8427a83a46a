#include "base/result.h"

namespace vernier {

void ThrowDefect(const char* file, int line, const char* condition) {
  throw Defect(fmt::format("{}:{}: {} does not hold", file, line, condition));
}

}  // namespace vernier
