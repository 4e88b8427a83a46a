#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

#include "report/table.h"

namespace vernier {
namespace {

using Clock = std::chrono::steady_clock;

std::string TimeText(double seconds) {
  const auto s = static_cast<long>(seconds + 0.5);
  if (s < 100) return fmt::format("{} s", s);
  if (s < 6000) return fmt::format("{} min", (s + 30) / 60);
  return fmt::format("{:.1f} h", static_cast<double>(s) / 3600);
}

}  // namespace

struct ProgressLine::State {
  bool quiet = false, terminal = false, drawn = false;
  std::string what;
  Clock::time_point start, last;

  void Report(const Progress& progress) {
    const auto now = Clock::now();
    if (what != progress.what) {
      what = progress.what;
      start = last = now;
    }
    const std::chrono::duration<double> since = now - last;
    if (quiet || since.count() < (terminal ? 0.2 : 30)) return;
    last = now;
    const double elapsed = std::chrono::duration<double>(now - start).count(),
                 rate = progress.done / elapsed;
    std::string line = fmt::format("{} {:.0f}/{:.0f} {}, {}/s", what, progress.done, progress.total,
                                   progress.unit, NumberText(rate));
    if (rate > 0)
      line += fmt::format(", {} left", TimeText((progress.total - progress.done) / rate));
    std::fprintf(stderr, terminal ? "\r\033[K%s" : "%s\n", line.c_str());
    std::fflush(stderr);
    drawn = terminal;
  }
};

ProgressLine::ProgressLine(bool quiet) : state_(std::make_unique<State>()) {
  state_->quiet = quiet;
  state_->terminal = isatty(STDERR_FILENO) == 1;
}

ProgressLine::~ProgressLine() { Clear(); }

ProgressSink ProgressLine::Sink() {
  return [state = state_.get()](const Progress& progress) {
    state->Report(progress);
    return true;
  };
}

void ProgressLine::Clear() {
  if (state_->drawn) std::fputs("\r\033[K", stderr);
  state_->drawn = false;
}

}  // namespace vernier
