// Which Vernier this is, and how it was built.
#ifndef VERNIER_CLI_VERSION_H_
#define VERNIER_CLI_VERSION_H_

#include <string>

namespace vernier {

std::string Version();     // "0.1.0"
std::string BuildFacts();  // lines for --version

}  // namespace vernier

#endif  // VERNIER_CLI_VERSION_H_
