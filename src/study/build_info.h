// Which program this is.
#ifndef VERNIER_STUDY_BUILD_INFO_H_
#define VERNIER_STUDY_BUILD_INFO_H_

#include <string>

namespace vernier {

struct BuildInfo {
  std::string version;   // "0.1.0"
  std::string git;       // `git describe --always --dirty` when it was built; empty: not known
  std::string compiler;  // "GCC 12.2.0"
};
BuildInfo ThisBuild();

}  // namespace vernier

#endif  // VERNIER_STUDY_BUILD_INFO_H_
