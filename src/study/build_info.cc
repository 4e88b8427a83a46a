#include "study/build_info.h"

#include <vernier_git.h>  // made by cmake/git.cmake

namespace vernier {

BuildInfo ThisBuild() {
#ifdef __clang__
  const std::string compiler = std::string("Clang ") + __clang_version__;
#else
  const std::string compiler = std::string("GCC ") + __VERSION__;
#endif
  return {VERNIER_VERSION, kGitDescription, compiler};
}

}  // namespace vernier
