// Exact matrix products (ops/exact_product.h) and what they are made of: multiply-adds a second on
// one thread, beside the machine's peak of AVX512-IFMA.
//   cmake --build build/release --target vernier_exact_bench
//   build/release/vernier_exact_bench [THREADS]
// Operands are normally distributed numbers of the format; best of some runs of the whole product,
// the conversion of both operands to fixed point and the rounding of the sums included.
#include "kernels/exact.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <random>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "formats/exact_sum.h"
#include "kernels/exact_fixed.h"
#include "ops/exact_product.h"

namespace vernier {
namespace {

template <class F>
double BestSeconds(const F& run, int milliseconds = 200) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9;
  const Clock::time_point start = Clock::now();
  do {
    const Clock::time_point begin = Clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - begin).count());
  } while (Clock::now() - start < std::chrono::milliseconds(milliseconds));
  return best;
}

#if defined(__x86_64__)
// vpmadd52luq of eight numbers each, in 16 independent chains; how many.
__attribute__((target("avx512f,avx512ifma"), noinline)) double Ifma(size_t rounds) {
  __m512i sum[16];
  for (int i = 0; i < 16; ++i) sum[i] = _mm512_set1_epi64(i);
  __m512i a = _mm512_set1_epi64(3), b = _mm512_set1_epi64(5);
  asm volatile("" : "+v"(a), "+v"(b));
  for (size_t r = 0; r < rounds; ++r) {
    asm volatile("" : "+v"(a));
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) sum[i] = _mm512_madd52lo_epu64(sum[i], a, b);
  }
  for (int i = 1; i < 16; ++i) sum[0] = _mm512_add_epi64(sum[0], sum[i]);
  asm volatile("" : : "v"(sum[0]));
  return 16.0 * static_cast<double>(rounds);
}
#endif

void Peak() {
#if defined(__x86_64__)
  if (ExactKernelsFor(ExactIsa::kAvx512Ifma) == nullptr) return;
  double count = 0;
  const double seconds = BestSeconds([&] { count = Ifma(1000000); });
  fmt::print("peak of IFMA: {:.1f} G multiply-adds/s of 104 bits, {:.1f} of 52\n",
             count / seconds * 4e-9, count / seconds * 8e-9);
#endif
}

std::vector<float> Normal(size_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float& v : x) v = normal(engine);
  return x;
}

// One panel, without conversion and rounding.
void Core(const ExactKernels& kernels, size_t n, size_t k) {
  const std::vector<float> x = Normal(n * k, 1), w = Normal(k * kLanes, 2);
  std::vector<const float*> rows_of_x;
  for (size_t r = 0; r < n; ++r) rows_of_x.push_back(&x[r * k]);
  FixedPanel<float> panel;
  const double fix = BestSeconds([&] { FixPanel(kernels, w.data(), k, &panel); }, 30);
  const FixedRows rows = FixRows<float>(kernels, rows_of_x, k, {}, false, nullptr, nullptr);
  std::vector<int64_t> high(n * kLanes);
  std::vector<uint64_t> low(n * kLanes);
  std::vector<double> odd(n * kLanes);
  const double seconds = BestSeconds([&] {
    kernels.wide({k, panel.limbs[0].data.data(), panel.limbs[0].sums.data(), rows.x.data(),
                  rows.sums.data(), n, high.data(), low.data()});
  });
  const double round = BestSeconds(
      [&] {
        kernels.odd(high.data(), low.data(), n, rows.units.data(), panel.limbs[0].units,
                    odd.data());
      },
      30);
  fmt::print(
      "core {:<11} k {:5}: {:6.2f} G/s; fixed point {:.2f} ns an element, sum to double "
      "{:.2f} ns\n",
      kernels.name, k, static_cast<double>(n * k * kLanes) / seconds * 1e-9,
      fix / static_cast<double>(k * kLanes) * 1e9, round / static_cast<double>(n * kLanes) * 1e9);
}

template <class T>
void Product(const char* name, size_t n, size_t outputs, size_t k, Isa isa, int threads) {
  const Kernels* kernels = KernelsFor(isa);
  if (kernels == nullptr) return;
  const Format format = FindFormat(name).value();
  const FormatRounding values{format, Rounding::kNearestEven, DefaultOverflow(format), false};
  const RoundSpec spec = MakeRoundSpec(format);
  const std::vector<float> plain = Normal(n * k, 1), w = Normal(outputs * k, 2);
  std::vector<T> x(plain.begin(), plain.end()), y(n * outputs);
  RoundRow(spec, x.data(), x.size());
  PackedMatrix matrix = MakePacked(TensorType::kF32, outputs, k);
  for (size_t p = 0; p < matrix.Count(); ++p)
    PackPanelOf(matrix, p, reinterpret_cast<const uint8_t*>(w.data()), 4 * k,
                matrix.data.data() + p * matrix.stride);
  std::vector<const T*> rows;
  std::vector<T*> out;
  for (size_t r = 0; r < n; ++r) {
    rows.push_back(&x[r * k]);
    out.push_back(&y[r * outputs]);
  }
  Workers workers(threads);
  BufferPool buffers;
  const double seconds = BestSeconds([&] {
    EvaluateExactProduct<T>({values, &matrix, nullptr, rows, out}, {kernels, &workers, &buffers});
  });
  fmt::print("{:<8} {:4} x {:5} x {:5}  {:<11} {:6.2f} G/s  {:8.3f} ms\n", name, n, outputs, k,
             ExactKernelsOf(isa).name, static_cast<double>(n * outputs * k) / seconds * 1e-9,
             seconds * 1e3);
}

void Dots() {
  const RoundSpec spec = MakeRoundSpec(FindFormat("f32").value());
  const std::vector<float> x = Normal(4096, 1), w = Normal(4096, 2);
  for (const size_t n : {16, 64, 256, 4096}) {
    float sum = 0;
    const double seconds = BestSeconds(
        [&] {
          for (int i = 0; i < 100; ++i) sum += ExactDot(spec, x.data(), 1, w.data(), 1, n);
        },
        30);
    fmt::print("one dot product of {:4} terms: {:7.1f} ns{}\n", n, seconds * 1e7,
               sum == 0 ? " (zero)" : "");
  }
  ExactSum sum;
  const double seconds = BestSeconds(
      [&] {
        sum.Clear();
        for (size_t i = 0; i < x.size(); ++i)
          sum.AddProduct(static_cast<double>(x[i]), static_cast<double>(w[i]));
      },
      30);
  fmt::print("ExactSum: {:.1f} ns a product\n", seconds * 1e9 / static_cast<double>(x.size()));
}

void Run(int threads) {
  Peak();
  for (const ExactIsa isa : {ExactIsa::kAvx512Ifma, ExactIsa::kAvx2, ExactIsa::kPortable})
    if (const ExactKernels* kernels = ExactKernelsFor(isa))
      for (const size_t k : {64, 1024, 4096}) Core(*kernels, 60, k);
  for (const Isa isa : {Isa::kAvx512, Isa::kAvx2, Isa::kPortable}) {
    Product<double>("posit32", 1024, 1024, 1024, isa, threads);
    Product<float>("f32", 1024, 1024, 1024, isa, threads);
    Product<float>("bf16", 1024, 1024, 1024, isa, threads);
    Product<float>("e4m3", 1024, 1024, 1024, isa, threads);
    for (const size_t n : {1, 4, 16}) Product<float>("f32", n, 4096, 1024, isa, threads);
    Product<double>("posit32", 1, 4096, 1024, isa, threads);
    Product<float>("f32", 64, 64, 64, isa, threads);
    Product<double>("f64", 256, 1024, 1024, isa, threads);
  }
  Dots();
}

}  // namespace
}  // namespace vernier

int main(int argc, char** argv) {
  vernier::Run(argc > 1 ? std::max(1, std::atoi(argv[1])) : 1);
  return 0;
}
