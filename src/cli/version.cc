#include "cli/version.h"

#include <fmt/format.h>

#include <thread>

#include "kernels/kernels.h"
#include "study/run.h"

namespace vernier {
namespace {

std::string Compiler() {
#ifdef __clang__
  return fmt::format("Clang {}", __clang_version__);
#else
  return fmt::format("GCC {}", __VERSION__);
#endif
}

#if defined(__SANITIZE_ADDRESS__)
constexpr const char* kKind = "with sanitizers";
#elif defined(__OPTIMIZE__)
constexpr const char* kKind = "optimised";
#else
constexpr const char* kKind = "not optimised";
#endif

}  // namespace

const char* Version() { return VERNIER_VERSION; }

std::string BuildFacts() {
  return fmt::format(
      "vernier {}\nnumerics: {}\nbuilt by: {}, C++{}, {}\nkernels:  {} on this machine, {} "
      "threads\n",
      Version(), kNumericsVersion, Compiler(), __cplusplus / 100 % 100, kKind, BestKernels().name,
      std::thread::hardware_concurrency());
}

}  // namespace vernier
