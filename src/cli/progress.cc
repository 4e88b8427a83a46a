#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <thread>

#include "cli/terminal.h"
#include "report/table.h"

namespace vernier {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto kFirst = milliseconds(1000), kEvery = milliseconds(200);
constexpr size_t kBar = 20, kNarrowestWithBar = 72;
constexpr const char* kErase = "\r\033[K";

std::string TimeText(double seconds) {
  const auto s = static_cast<long>(std::min(seconds, 1e9) + 0.5);
  if (s < 100) return fmt::format("{} s", s);
  if (s < 6000) return fmt::format("{} min", (s + 30) / 60);
  return fmt::format("{:.1f} h", static_cast<double>(s) / 3600);
}

// Of a signal that ends the program: nothing but system calls may be made here.
void Leave(int signal) {
  static constexpr char kSaid[] = "\r\033[Kvernier: interrupted; nothing was written\n";
  if (write(STDERR_FILENO, kSaid, sizeof(kSaid) - 1) < 0) {
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

std::string ProgressText(const Progress& progress, double reported, double since, size_t width) {
  std::string line(progress.what);
  if (!(progress.total > 0))
    return CutText(fmt::format("{}, {}", line, TimeText(reported + since)), width, true);
  const double share = std::clamp(progress.done / progress.total, 0.0, 1.0);
  if (width >= kNarrowestWithBar) {
    const auto full = static_cast<size_t>(share * kBar);
    line += fmt::format(" [{}{}]", std::string(full, '#'), std::string(kBar - full, '-'));
  }
  line += fmt::format(" {:3.0f} %  {}/{} {}", std::floor(100 * share),
                      CountText(static_cast<uint64_t>(std::max(0.0, progress.done))),
                      CountText(static_cast<uint64_t>(progress.total)), progress.unit);
  const double rate = reported > 0 ? progress.done / reported : 0;
  if (rate > 0)
    line += fmt::format(", {}/s, {} left", NumberText(rate),
                        TimeText(std::max(0.0, (progress.total - progress.done) / rate - since)));
  return CutText(line, width, true);
}

struct ProgressLine::State {
  bool draws = false, leaves = false;
  std::mutex mutex;  // of all below
  std::condition_variable ends;
  bool active = false, drawn = false, over = false;
  std::string what, unit;
  double done = 0, total = 0;
  Clock::time_point start, last;  // the last report
  std::thread drawer;

  void Begin(std::string_view name, Clock::time_point now) {
    what = name;
    unit.clear();
    done = total = 0;
    start = last = now;
    active = true;
  }
  void Erase() {
    if (drawn) std::fputs(kErase, stderr);
    drawn = false;
  }
  void Draw() {
    std::unique_lock lock(mutex);
    while (!ends.wait_for(lock, kEvery, [&] { return over; })) {
      const auto elapsed = Clock::now() - start;
      if (!active || elapsed < kFirst) continue;
      const size_t width = ScreenOf(STDERR_FILENO, ColourWhen::kNever, 0).width - 1;
      const std::chrono::duration<double> reported = last - start, all = elapsed;
      const std::string line = ProgressText({what, done, total, unit}, reported.count(),
                                            (all - reported).count(), width);
      std::fprintf(stderr, "%s%s", kErase, line.c_str());
      std::fflush(stderr);
      drawn = true;
    }
  }
};

ProgressLine::ProgressLine(bool quiet, const std::string& what)
    : state_(std::make_unique<State>()) {
  state_->draws = !quiet && IsTerminal(STDERR_FILENO);
  if (!state_->draws) return;
  const auto before = std::signal(SIGINT, Leave);
  state_->leaves = before == SIG_DFL;
  if (!state_->leaves) std::signal(SIGINT, before);
  state_->start = Clock::now();
  if (!what.empty()) state_->Begin(what, state_->start);
  state_->drawer = std::thread([state = state_.get()] { state->Draw(); });
}

ProgressLine::~ProgressLine() {
  if (!state_->draws) return;
  {
    const std::lock_guard lock(state_->mutex);
    state_->over = true;
    state_->Erase();
  }
  state_->ends.notify_one();
  state_->drawer.join();
  if (state_->leaves) std::signal(SIGINT, SIG_DFL);
}

ProgressSink ProgressLine::Sink() {
  return [state = state_.get()](const Progress& progress) {
    if (!state->draws) return true;
    const std::lock_guard lock(state->mutex);
    // What is new began when the last work ended, not with its first report.
    if (!state->active || state->what != progress.what || progress.done < state->done)
      state->Begin(progress.what, state->active && state->total == 0 ? state->start : Clock::now());
    state->last = Clock::now();
    state->unit = progress.unit;
    state->done = progress.done;
    state->total = progress.total;
    return true;
  };
}

void ProgressLine::Phase(const std::string& what) {
  const std::lock_guard lock(state_->mutex);
  state_->Begin(what, Clock::now());
}

void ProgressLine::Clear() {
  const std::lock_guard lock(state_->mutex);
  state_->active = false;
  state_->Erase();
}

}  // namespace vernier
