#include <csignal>
#include <exception>
#include <string>

#include "cli/output.h"
#include "cli/verb.h"

int main(int argc, char** argv) {
  std::signal(SIGXFSZ,
              SIG_IGN);  // a file over the limit is an error of writing, and leaves nothing
  try {
    return vernier::RunCommandLine(vernier::Arguments(argv + (argc > 0 ? 1 : 0), argv + argc));
  } catch (const std::exception& e) {
    vernier::PrintErrorLine(std::string("defect: ") + e.what());
  } catch (...) {
    vernier::PrintErrorLine("defect: unknown exception");
  }
  return vernier::kDefect;
}
