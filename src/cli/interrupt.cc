#include "cli/interrupt.h"

namespace vernier {
namespace {

volatile std::sig_atomic_t caught = 0;

void Catch(int signal) {
  caught = 1;
  std::signal(signal, SIG_DFL);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  caught = 0;
  interrupt_ = std::signal(SIGINT, Catch);
  terminate_ = std::signal(SIGTERM, Catch);
}

InterruptGuard::~InterruptGuard() {
  std::signal(SIGINT, interrupt_);
  std::signal(SIGTERM, terminate_);
}

bool InterruptGuard::interrupted() { return caught != 0; }

}  // namespace vernier
