// Ctrl-C: long work stops at the next safe point, and leaves nothing half done.
#ifndef VERNIER_CLI_INTERRUPT_H_
#define VERNIER_CLI_INTERRUPT_H_

#include <csignal>

namespace vernier {

inline constexpr int kInterrupted = 130;  // the exit status shells report SIGINT with

// While it lives, the first SIGINT, SIGTERM or SIGHUP is kept and a second one ends the program.
// One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  static bool interrupted();

 private:
  void (*interrupt_)(int);
  void (*terminate_)(int);
  void (*hang_up_)(int);
};

}  // namespace vernier

#endif  // VERNIER_CLI_INTERRUPT_H_
