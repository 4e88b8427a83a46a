#include "measure/bench_bounds.h"

#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "kernels/peak.h"

namespace vernier {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Processor seconds of the calling thread.
double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// What a rate is taken from. Arithmetic goes by the threads' own time, so that a busy neighbour
// does not count; memory, which the threads share, by the time from the first's begin to the last's
// end.
enum class Clocked { kThreads, kWall };

// Units a second of `work`, which does some and says how many, on so many threads at once.
double RateOnce(int threads, Clocked clocked, const std::function<double(int)>& work) {
  struct Sample {
    Clock::time_point begin, end;
    double units = 0, seconds = 0;
  };
  std::atomic<int> waiting = threads;
  std::vector<Sample> samples(static_cast<size_t>(threads));
  const auto run = [&](int thread) {
    Sample& sample = samples[static_cast<size_t>(thread)];
    --waiting;
    while (waiting > 0) std::this_thread::yield();
    sample.begin = Clock::now();
    const double before = ThreadSeconds();
    sample.units = work(thread);
    sample.seconds = ThreadSeconds() - before;
    sample.end = Clock::now();
  };
  std::vector<std::thread> others;
  for (int thread = 1; thread < threads; ++thread) others.emplace_back(run, thread);
  run(0);
  for (std::thread& other : others) other.join();
  double units = 0, rates = 0;
  auto begin = samples[0].begin, end = samples[0].end;
  for (const Sample& sample : samples) {
    units += sample.units;
    rates += sample.units / sample.seconds;
    begin = std::min(begin, sample.begin);
    end = std::max(end, sample.end);
  }
  return clocked == Clocked::kThreads ? rates
                                      : units / std::chrono::duration<double>(end - begin).count();
}

// Below `expected` it goes on for longer: a neighbour may hold up one of the threads.
double BestRate(int threads, Clocked clocked, double seconds, double expected,
                const std::function<double(int)>& work) {
  double best = 0;
  const auto start = Clock::now();
  int samples = 0;
  do {
    best = std::max(best, RateOnce(threads, clocked, work));
  } while (++samples < 3 || SecondsSince(start) < (best < expected ? 8 : 1) * seconds);
  return best;
}

Bound Both(const BoundOptions& options, Clocked clocked, const std::function<double(int)>& work) {
  Bound bound;
  bound.one = bound.all = BestRate(1, clocked, options.seconds, 0, work);
  if (options.threads > 1) {
    // Of cores that share nothing, which some threads of a processor do.
    const double expected = clocked == Clocked::kThreads ? 0.9 * options.threads * bound.one : 0;
    bound.all =
        std::max(bound.one, BestRate(options.threads, clocked, options.seconds, expected, work));
  }
  return bound;
}

// Memory in large pages where the system has them for the asking, as weights are kept.
struct Rows {
  Rows(size_t size, size_t count) : bytes(size) {
    const size_t page = size_t{2} << 20;
    for (size_t i = 0; i < count; ++i) {
      rows.emplace_back(new (std::align_val_t{page}) unsigned char[bytes]);
      madvise(rows.back().get(), bytes, MADV_HUGEPAGE);
      std::memset(rows.back().get(), 1, bytes);
    }
  }
  struct Free {
    void operator()(unsigned char* p) const {
      operator delete[](p, std::align_val_t{size_t{2} << 20});
    }
  };
  size_t bytes;
  std::vector<std::unique_ptr<unsigned char[], Free>> rows;
};

constexpr double kSample = 5e-3;  // seconds of arithmetic in a sample, about

// Rounds of a loop that take about that long.
size_t RoundsFor(double (*loop)(size_t)) {
  size_t rounds = 1 << 10;
  while (true) {
    const auto start = Clock::now();
    loop(rounds);
    const double seconds = SecondsSince(start);
    if (seconds > kSample || rounds > size_t{1} << 40) return rounds;
    rounds *= seconds < kSample / 8 ? 8 : 2;
  }
}

}  // namespace

MachineBounds MeasureBounds(const BoundOptions& options) {
  const Kernels& kernels = BestKernels();
  const PeakKernels peak = PeakKernelsFor(kernels.isa);
  MachineBounds bounds;
  bounds.isa = kernels.name;
  bounds.threads = options.threads;
  bounds.dot_i8_name = peak.dot_i8_name;
  const auto arithmetic = [&](double (*loop)(size_t)) {
    const size_t rounds = RoundsFor(loop);
    return Both(options, Clocked::kThreads, [=](int) { return loop(rounds); });
  };
  bounds.fma_f32 = arithmetic(peak.fma_f32);
  bounds.fma_f64 = arithmetic(peak.fma_f64);
  bounds.dot_i8 = arithmetic(peak.dot_i8);
  bounds.read_bytes = std::max<size_t>(options.read_bytes / 512 * 512, 512);
  BoundOptions longer = options;  // a sample of memory takes ten times as long as one of arithmetic
  longer.seconds *= 4;
  const Rows rows(bounds.read_bytes, static_cast<size_t>(options.threads));
  bounds.read = Both(longer, Clocked::kWall, [&](int thread) {
    const uint64_t seen = peak.read(rows.rows[static_cast<size_t>(thread)].get(), rows.bytes);
    asm volatile("" : : "r"(seen));
    return static_cast<double>(rows.bytes);
  });
  return bounds;
}

MachineBounds BestOf(const MachineBounds& a, const MachineBounds& b) {
  MachineBounds best = a;
  const auto larger = [](Bound* x, const Bound& y) {
    x->one = std::max(x->one, y.one);
    x->all = std::max(x->all, y.all);
  };
  larger(&best.fma_f32, b.fma_f32);
  larger(&best.fma_f64, b.fma_f64);
  larger(&best.dot_i8, b.dot_i8);
  larger(&best.read, b.read);
  return best;
}

}  // namespace vernier
