#include "measure/bench_formats.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>

#include "kernels/kernels.h"

namespace vernier {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

constexpr double kSample = 2e-4;  // seconds that a repetition takes at least, for the clock

// Calls a second of f, the best of samples that take `seconds` together.
template <class F>
double BestRate(double seconds, F f) {
  size_t calls = 1;
  double best = 0;
  const auto start = Clock::now();
  do {
    const auto from = Clock::now();
    for (size_t i = 0; i < calls; ++i) f();
    const double time = SecondsSince(from);
    if (time < kSample) {
      calls *= 2;
    } else {
      best = std::max(best, static_cast<double>(calls) / time);
    }
  } while (SecondsSince(start) < seconds || best == 0);
  return best;
}

// Two aligned rows, the first of numbers with mean 0 and variance 1 (sums of twelve uniform ones), a
// pattern repeated, the second written once.
template <class T>
struct Rows {
  struct Free {
    void operator()(T* p) const { operator delete[](p, std::align_val_t{4096}); }
  };
  explicit Rows(size_t bytes) : n(bytes / sizeof(T)), x(New(n)), y(New(n)) {
    const size_t pattern = std::min(n, size_t{1} << 16);
    for (size_t i = 0; i < pattern; ++i) {
      double sum = -6;
      for (uint64_t k = 0; k < 12; ++k) sum += RandomBits(k, i) * 0x1p-32;
      x[i] = static_cast<T>(sum);
    }
    for (size_t i = pattern; i < n; i += pattern)
      std::memcpy(&x[i], &x[0], std::min(pattern, n - i) * sizeof(T));
    std::memset(static_cast<void*>(y.get()), 0, n * sizeof(T));
  }
  static T* New(size_t n) { return new (std::align_val_t{4096}) T[n]; }
  size_t n;
  std::unique_ptr<T[], Free> x, y;
};

constexpr size_t kPieceBytes = size_t{2} << 20;  // of a row in memory, timed together

// Elements a second of f(x, n, y) over the rows, and of memcpy, piece by piece in turns. A piece is
// met again only when the whole of both rows has gone through the caches.
template <class T, class F>
void MemoryRates(const Rows<T>& rows, double seconds, F f, size_t* at, double* rate,
                 double* copy_rate) {
  const size_t piece = std::min(rows.n, kPieceBytes / sizeof(T));
  std::vector<double> rates, copies;
  const auto start = Clock::now();
  const auto timed = [&](auto work, std::vector<double>* out) {
    const auto from = Clock::now();
    work(&rows.x[*at], piece, &rows.y[*at]);
    out->push_back(static_cast<double>(piece) / SecondsSince(from));
    *at = *at + 2 * piece <= rows.n ? *at + piece : 0;
  };
  do {
    timed(f, &rates);
    timed([](const T* x, size_t n, T* y) { std::memcpy(y, x, n * sizeof(T)); }, &copies);
  } while (SecondsSince(start) < seconds || rates.size() < 3);
  *rate = Median(rates);
  *copy_rate = Median(copies);
}

template <class T>
class HostBench {
 public:
  explicit HostBench(const FormatBenchOptions& options)
      : options_(options), cache_(options.cache_bytes), memory_(options.memory_bytes) {}

  FormatSpeed Measure(const Format& format, Rounding mode) {
    FormatSpeed out;
    out.format = format.name;
    out.host = sizeof(T) == 4 ? "f32" : "f64";
    out.mode = mode;
    const RoundSpec spec = MakeRoundSpec(format, mode, DefaultOverflow(format));
    const auto round = [&](const T* x, size_t n, T* y) { RoundRow(spec, x, n, y); };
    const double elements = static_cast<double>(cache_.n);
    out.cache = elements * BestRate(options_.seconds,
                                    [&] { round(cache_.x.get(), cache_.n, cache_.y.get()); });
    MemoryRates(memory_, options_.seconds, round, &at_, &out.memory, &out.memcpy_memory);
    if constexpr (sizeof(T) == 4) {
      const auto peer = [&] {
        return BitwiseRound(format, mode, cache_.x.get(), cache_.n, cache_.y.get());
      };
      if (peer()) out.peer = elements * BestRate(options_.seconds / 2, peer);
    }
    return out;
  }

  double MemcpyBytes() const {
    return static_cast<double>(cache_.n * sizeof(T)) * BestRate(options_.seconds, [&] {
             std::memcpy(cache_.y.get(), cache_.x.get(), cache_.n * sizeof(T));
             asm volatile("" : : "r"(cache_.y.get()) : "memory");
           });
  }

 private:
  const FormatBenchOptions& options_;
  Rows<T> cache_, memory_;
  size_t at_ = 0;  // where the next piece of the memory row starts
};

struct Line {
  const Format* format;
  Rounding mode;
  bool wide;  // a float64 host
};

std::vector<Line> LinesOf(const std::vector<Format>& formats, const std::vector<Rounding>& modes) {
  const Format f32 = FindFormat("f32").value();
  std::vector<Line> lines;
  for (const bool wide : {false, true})
    for (const Format& format : formats) {
      CHECK(format.kind != FormatKind::kFixed);
      const bool only_wide = format.name != "e8m0" && ContainsFinite(format, f32);
      if (only_wide != wide && format.name != "posit32") continue;
      for (const Rounding mode : modes) lines.push_back({&format, mode, wide});
    }
  return lines;
}

}  // namespace

FormatBench BenchFormats(const FormatBenchOptions& options, const ProgressSink& progress) {
  std::vector<Format> formats = options.formats;
  if (formats.empty())
    for (const Format& f : NamedFormats())
      if (f.kind != FormatKind::kFixed) formats.push_back(f);
  std::vector<Rounding> modes = options.modes;
  if (modes.empty())
    for (const auto& [name, mode] : kRoundingNames) modes.push_back(mode);
  FormatBench bench;
  bench.isa = BestKernels().name;
  HostBench<float> narrow(options);
  HostBench<double> wide(options);
  bench.memcpy_cache = narrow.MemcpyBytes();
  std::vector<double> copies;
  const std::vector<Line> lines = LinesOf(formats, modes);
  for (const Line& line : lines) {
    bench.lines.push_back(line.wide ? wide.Measure(*line.format, line.mode)
                                    : narrow.Measure(*line.format, line.mode));
    copies.push_back(bench.lines.back().memcpy_memory * (line.wide ? 8 : 4));
    const Progress done{"measuring", static_cast<double>(bench.lines.size()),
                        static_cast<double>(lines.size()), "lines"};
    if (progress && !progress(done)) break;
  }
  bench.memcpy_memory = Median(copies);
  return bench;
}

}  // namespace vernier
