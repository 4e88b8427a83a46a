#include "cli/version.h"

#include <fmt/format.h>

#include <thread>

#include "kernels/kernels.h"
#include "study/build_info.h"
#include "study/run.h"

namespace vernier {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr const char* kKind = "with sanitizers";
#elif defined(__OPTIMIZE__)
constexpr const char* kKind = "optimised";
#else
constexpr const char* kKind = "not optimised";
#endif

}  // namespace

std::string Version() { return ThisBuild().version; }

std::string BuildFacts() {
  const BuildInfo build = ThisBuild();
  return fmt::format(
      "vernier {}{}\nnumerics: {}\nbuilt by: {}, C++{}, {}\nkernels:  {} on this machine, {} "
      "threads\n",
      build.version, build.git.empty() ? "" : " (" + build.git + ")", kNumericsVersion,
      build.compiler, __cplusplus / 100 % 100, kKind, BestKernels().name,
      std::thread::hardware_concurrency());
}

}  // namespace vernier
