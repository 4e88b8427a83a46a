// How long work reports itself. The library calls a ProgressSink; only the command line draws.
#ifndef VERNIER_BASE_PROGRESS_H_
#define VERNIER_BASE_PROGRESS_H_

#include <functional>
#include <string_view>

namespace vernier {

struct Progress {
  std::string_view what;  // "scoring", "loading"
  double done = 0, total = 0;
  std::string_view unit;  // "tokens", "MB"
};

// Called often; must be cheap. Returning false asks the work to stop at the next safe point.
using ProgressSink = std::function<bool(const Progress&)>;

}  // namespace vernier

#endif  // VERNIER_BASE_PROGRESS_H_
