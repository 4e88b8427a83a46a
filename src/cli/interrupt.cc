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
  hang_up_ = std::signal(SIGHUP, Catch);
  if (hang_up_ == SIG_IGN) std::signal(SIGHUP, SIG_IGN);  // nohup
}

InterruptGuard::~InterruptGuard() {
  std::signal(SIGINT, interrupt_);
  std::signal(SIGTERM, terminate_);
  std::signal(SIGHUP, hang_up_);
}

bool InterruptGuard::interrupted() { return caught != 0; }

}  // namespace vernier
