// Progress on standard error: a line that is redrawn on a terminal, and elsewhere a line every half
// minute.
#ifndef VERNIER_CLI_PROGRESS_H_
#define VERNIER_CLI_PROGRESS_H_

#include <memory>

#include "base/progress.h"

namespace vernier {

class ProgressLine {
 public:
  explicit ProgressLine(bool quiet);
  ~ProgressLine();  // clears the line
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ProgressSink Sink();  // must not outlive this; never asks to stop
  void Clear();         // before other output to the terminal

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace vernier

#endif  // VERNIER_CLI_PROGRESS_H_
