// Progress on standard error: one line that is redrawn, where that is a terminal, and gone in the
// end; elsewhere nothing.
#ifndef VERNIER_CLI_PROGRESS_H_
#define VERNIER_CLI_PROGRESS_H_

#include <memory>
#include <string>

#include "base/progress.h"

namespace vernier {

// Nothing is shown of work that takes less than a second. While it lives, and where nobody else
// waits for it, an interrupt takes the line away and says that nothing was written.
class ProgressLine {
 public:
  // `what` is being done until there is a report.
  explicit ProgressLine(bool quiet, const std::string& what = "");
  ~ProgressLine();  // clears the line
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ProgressSink Sink();                  // must not outlive this; never asks to stop
  void Phase(const std::string& what);  // work that does not report: the time it takes is shown
  void Clear();                         // nothing is drawn until there is another report or phase

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The line: "scoring [####----]  50 %  2/4 chunks, 1.5/s, 2 s left"; with a total of 0 "scoring,
// 3 s". The last report came after `reported` seconds, `since` seconds ago. Never wider than
// `width`.
std::string ProgressText(const Progress& progress, double reported, double since, size_t width);

}  // namespace vernier

#endif  // VERNIER_CLI_PROGRESS_H_
