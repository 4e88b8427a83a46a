// Where the tests of this folder find the tiny models.
#ifndef VERNIER_ENGINE_ENGINE_TESTING_H_
#define VERNIER_ENGINE_ENGINE_TESTING_H_

#include <string>

namespace vernier {

inline const std::string kSource = VERNIER_SOURCE_DIR;

}  // namespace vernier

#endif  // VERNIER_ENGINE_ENGINE_TESTING_H_
