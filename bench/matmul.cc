// Matrix products of packed panels: time by type and number of rows, beside the machine's peak of
// fused multiply-adds and its memory bandwidth.
//
//   vernier_matmul_bench [THREADS [OUTPUTS K [MILLISECONDS [TYPE...]]]]
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "base/pages.h"
#include "base/parallel.h"
#include "kernels/arranged.h"
#include "kernels/kernels.h"
#include "kernels/packed.h"
#include "kernels/panels.h"
#include "model/tensor.h"

namespace vernier {
namespace {

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The best of the repetitions that fit into `limit` seconds.
template <class F>
double Best(double limit, F f) {
  const double start = Seconds();
  double best = 1e30;
  do {
    const double t0 = Seconds();
    f();
    best = std::min(best, Seconds() - t0);
  } while (Seconds() - start < limit);
  return best;
}

// Independent chains of fma, as many as hide its latency.
__attribute__((target("avx512f"))) float FmaLoop(size_t rounds) {
  typedef float V __attribute__((vector_size(64)));
  V a0{}, a1 = a0 + 1, a2 = a0 + 2, a3 = a0 + 3, a4 = a0 + 4, a5 = a0 + 5, a6 = a0 + 6, a7 = a0 + 7,
          b0 = a0 + 8, b1 = a0 + 9, b2 = a0, b3 = a0, b4 = a0, b5 = a0, b6 = a0, b7 = a0;
  V x = a0 + 0.999f, y = a0 + 1e-3f;
  for (size_t i = 0; i < rounds; ++i) {
#define VERNIER_FMA(v) asm volatile("vfmadd213ps %1, %2, %0" : "+v"(v) : "v"(y), "v"(x))
    VERNIER_FMA(a0);
    VERNIER_FMA(a1);
    VERNIER_FMA(a2);
    VERNIER_FMA(a3);
    VERNIER_FMA(a4);
    VERNIER_FMA(a5);
    VERNIER_FMA(a6);
    VERNIER_FMA(a7);
    VERNIER_FMA(b0);
    VERNIER_FMA(b1);
    VERNIER_FMA(b2);
    VERNIER_FMA(b3);
    VERNIER_FMA(b4);
    VERNIER_FMA(b5);
    VERNIER_FMA(b6);
    VERNIER_FMA(b7);
#undef VERNIER_FMA
  }
  const V sum = a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7 + b0 + b1 + b2 + b3 + b4 + b5 + b6 + b7;
  return sum[0];
}

double PeakGflops(Workers& workers) {
  if (!__builtin_cpu_supports("avx512f")) return 0;
  constexpr size_t kRounds = 2'000'000;
  const size_t threads = static_cast<size_t>(workers.threads());
  std::atomic<float> sink = 0;
  const double t = Best(0.2, [&] {
    workers.For(threads, 1, [&](size_t first, size_t last) {
      for (size_t i = first; i < last; ++i) sink = FmaLoop(kRounds);
    });
  });
  return static_cast<double>(threads * kRounds * 16 * 32) / t / 1e9;
}

double ReadGbs(Workers& workers) {
  const size_t words = size_t{1} << 26;  // 512 MB
  Pages pages(words * sizeof(uint64_t));
  uint64_t* const memory = static_cast<uint64_t*>(static_cast<void*>(pages.data()));
  std::fill_n(memory, words, 1u);
  std::atomic<uint64_t> sink = 0;
  const size_t parts = static_cast<size_t>(workers.threads()) * 8;
  const double t = Best(0.5, [&] {
    workers.For(parts, 1, [&](size_t first, size_t last) {
      typedef uint64_t V __attribute__((vector_size(64)));
      V a{}, b{}, c{}, d{};
      const uint64_t* end = memory + words / parts * last;
      for (const uint64_t* p = memory + words / parts * first; p < end; p += 32) {
        V v[4];
        std::memcpy(&v, p, sizeof v);
        a += v[0], b += v[1], c += v[2], d += v[3];
        __builtin_prefetch(p + 512);
      }
      sink += (a + b + c + d)[0];
    });
  });
  return static_cast<double>(words * 8) / t / 1e9;
}

struct Options {
  int threads = 0;
  size_t outputs = 5632, k = 2048;
  double limit = 0.3;
  std::vector<std::string> types;
};

void Measure(const PackedLayout& layout, const Options& o, Workers& workers, double peak,
             double bandwidth) {
  const TensorTypeInfo& info = Info(layout.type);
  const size_t panel_bytes = layout.PanelBytes(o.k), panels = (o.outputs + 15) / 16;
  // As many copies as do not fit in a cache.
  const size_t copies = std::max<size_t>(1, (size_t{200} << 20) / (panels * panel_bytes));
  Pages data(copies * panels * panel_bytes);
  std::mt19937 engine(1);
  std::vector<uint8_t> row(o.k / layout.unit * layout.block_bytes);
  for (size_t p = 0; p < panels * copies; ++p) {
    const uint8_t* rows[16];
    if (p < 4)
      for (uint8_t& byte : row) byte = static_cast<uint8_t>(engine() & 0x3b);
    for (const uint8_t*& r : rows) r = row.data();
    if (p < 4) {
      PackPanel(layout.type, rows, o.k, data.data() + p * panel_bytes);
    } else {
      std::memcpy(data.data() + p * panel_bytes, data.data() + p % 4 * panel_bytes, panel_bytes);
    }
  }
  const Kernels& kernels = BestKernels();
  for (const size_t n : {1, 2, 4, 8, 16, 32, 64, 512}) {
    std::vector<float> x(n * o.k, 0.5f), y(n * o.outputs);
    std::vector<const float*> in;
    std::vector<float*> out;
    for (size_t j = 0; j < n; ++j) {
      in.push_back(x.data() + j * o.k);
      out.push_back(y.data() + j * o.outputs);
    }
    AlignedArray<float> arranged(n < 32 ? 0 : ArrangedSize(n, o.k));
    const size_t used = n < 16 ? copies : 1, step = n < 64 ? 8 : 16;
    const double t = Best(o.limit, [&] {
      workers.For(n < 32 ? 0 : (o.k + kBlock - 1) / kBlock, 1, [&](size_t first, size_t last) {
        for (size_t block = first; block < last; ++block)
          ArrangeBlock(in.data(), n, o.k, block * kBlock, arranged.data());
      });
      for (size_t copy = 0; copy < used; ++copy) {
        workers.For((panels + step - 1) / step, 1, [&](size_t first, size_t last) {
          kernels.matmul_f32({layout.type,
                              data.data() + (copy * panels + first * step) * panel_bytes, o.k,
                              o.outputs, first * step, std::min(panels, last * step), in.data(), n,
                              out.data(), n < 32 ? nullptr : arranged.data()});
        });
      }
    });
    const double flops = 2.0 * static_cast<double>(used * n * o.outputs * o.k) / t / 1e9;
    const double bytes = static_cast<double>(used * panels * panel_bytes) / t / 1e9;
    fmt::print("{:7} n {:3}: {:6.1f} GFLOP/s {:4.0f} % of peak, {:5.1f} GB/s {:4.0f} %\n",
               info.name, n, flops, 100 * flops / peak, bytes, 100 * bytes / bandwidth);
  }
}

int Main(const std::vector<std::string>& arguments) {
  Options o;
  if (arguments.size() > 0) o.threads = std::stoi(arguments[0]);
  if (arguments.size() > 2) o.outputs = std::stoul(arguments[1]), o.k = std::stoul(arguments[2]);
  if (arguments.size() > 3) o.limit = std::stod(arguments[3]) / 1000;
  o.types.assign(arguments.begin() + std::min<std::ptrdiff_t>(4, std::ssize(arguments)),
                 arguments.end());
  Workers workers(o.threads);
  const double peak = PeakGflops(workers), bandwidth = ReadGbs(workers);
  fmt::print("{} threads, {} kernels: peak {:.0f} GFLOP/s, reads {:.1f} GB/s\n", workers.threads(),
             BestKernels().name, peak, bandwidth);
  for (const PackedLayout& layout : kPackedLayouts) {
    const std::string name = Info(layout.type).name;
    if (o.types.empty() || std::count(o.types.begin(), o.types.end(), name) > 0)
      Measure(layout, o, workers, peak, bandwidth);
  }
  return 0;
}

}  // namespace
}  // namespace vernier

int main(int argc, char** argv) { return vernier::Main({argv + 1, argv + argc}); }
