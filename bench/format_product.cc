// Speed of matrix products in a number format: M rows, N outputs, K terms, on one thread.
#include "ops/format_product.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/peak.h"

namespace vernier {
namespace {

FormatRounding RoundingOf(const char* name) {
  const Format format = FindFormat(name).value();
  return {format, Rounding::kNearestEven, DefaultOverflow(format), false};
}

struct Case {
  FormatMathKind kind;
  const char *values, *partial, *into;
  size_t chunk = 0;
  SumOrder order = SumOrder::kSequential;
};

template <class T>
void Measure(const FormatMath& math, const char* name, size_t m, size_t n, size_t k, Isa isa) {
  std::mt19937_64 engine(1);
  std::normal_distribution<double> normal;
  Panels<double> weights = MakePanels<double>(n, k);
  for (size_t i = 0; i < weights.data.size(); ++i) weights.data[i] = 0.03 * normal(engine);
  PackedMatrix packed = MakePacked(TensorType::kF32, n, k);
  for (size_t p = 0; p < packed.Count(); ++p) {
    float* out = reinterpret_cast<float*>(packed.data.data() + p * packed.stride);
    for (size_t i = 0; i < k * kLanes; ++i)
      out[i] = static_cast<float>(weights.data[p * k * kLanes + i]);
  }
  RoundSpec spec = SpecOf(math.values);
  spec.rounding = Rounding::kNearestEven;
  std::vector<T> x(m * k), y(m * n);
  for (T& v : x) v = RoundValue(spec, static_cast<T>(normal(engine)));
  std::vector<const T*> x_rows;
  std::vector<T*> y_rows;
  for (size_t r = 0; r < m; ++r) {
    x_rows.push_back(x.data() + r * k);
    y_rows.push_back(y.data() + r * n);
  }
  Workers workers(1);
  const Machine machine{KernelsFor(isa), &workers};
  double best = 1e9, total = 0;
  for (int i = 0; i < 5 && (i < 2 || total < 0.5); ++i) {
    const auto start = std::chrono::steady_clock::now();
    EvaluateFormatProduct<T>({&math, k, n, &packed, nullptr, x_rows, y_rows}, machine);
    const double s =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::min(best, s);
    total += s;
  }
  std::printf("%-34s %s m %zu: %8.0f M/s\n", name, sizeof(T) == 4 ? "f32" : "f64", m,
              static_cast<double>(m * n * k) / best * 1e-6);
  std::fflush(stdout);
}

}  // namespace
}  // namespace vernier

int main(int argc, char** argv) {
  using namespace vernier;
  const size_t m = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 256, n = 1024, k = 1024;
  const std::string only = argc > 2 ? argv[2] : "";
  const Isa isa = argc > 3 ? static_cast<Isa>(std::atoi(argv[3])) : BestKernels().isa;
  const PeakKernels peak = PeakKernelsFor(isa);
  for (const auto& [name, run] : {std::pair("f32", peak.fma_f32), std::pair("f64", peak.fma_f64)}) {
    double most = 0;
    for (int i = 0; i < 3; ++i) {
      const auto start = std::chrono::steady_clock::now();
      const double operations = run(2000000);
      most = std::max(
          most,
          operations /
              std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    std::printf("peak of %s multiply-adds: %.0f M/s\n", name, most / 2 * 1e-6);
  }
  constexpr auto kStep = FormatMathKind::kStep, kFused = FormatMathKind::kFused;
  const Case cases[] = {{kStep, "posit32", "posit32", "posit32"},
                        {kFused, "posit32", "posit32", "posit32"},
                        {kStep, "posit16", "posit16", "posit16"},
                        {kFused, "posit16", "posit16", "posit16"},
                        {kStep, "bf16", "bf16", "bf16"},
                        {kFused, "bf16", "bf16", "bf16"},
                        {kStep, "f16", "f16", "f16"},
                        {kFused, "f16", "f16", "f16"},
                        {kStep, "e4m3", "e4m3", "e4m3"},
                        {kFused, "e4m3", "e4m3", "e4m3"},
                        {kStep, "e5m2", "e5m2", "e5m2"},
                        {kStep, "bf16", "f32", "f32"},
                        {kFused, "bf16", "f32", "f32"},
                        {kFused, "e4m3", "f16", "f32", 128},
                        {kFused, "f32", "e8m13", "f32", 128},
                        {kStep, "f32", "f32", "f32"},
                        {kStep, "f64", "f64", "f64"},
                        {kStep, "posit64", "posit64", "posit64"},
                        {kFused, "posit64", "posit64", "posit64"},
                        {kStep, "e8m13", "e8m13", "e8m13"},
                        {kStep, "posit40", "posit40", "posit40"},
                        {kStep, "posit8", "posit8", "posit8"},
                        {kStep, "e2m1", "e2m1", "e2m1"},
                        {kStep, "f16", "f16", "f16", 0, SumOrder::kKahan},
                        {kStep, "f16", "f16", "f16", 0, SumOrder::kPairwise}};
  for (const Case& c : cases) {
    FormatMath math{c.kind,
                    RoundingOf(c.values),
                    {RoundingOf(c.partial), c.order, c.chunk, RoundingOf(c.into)},
                    Arithmetic::kF64};
    const std::string name =
        std::string(c.kind == kStep ? "step:" : "fused:") + c.values +
        (std::string(c.values) == c.partial ? "" : std::string(",acc=") + c.partial) +
        (c.chunk == 0 ? "" : ",chunk=" + std::to_string(c.chunk)) +
        (c.order == SumOrder::kKahan      ? ",kahan"
         : c.order == SumOrder::kPairwise ? ",pairwise"
                                          : "");
    if (name.find(only) == std::string::npos) continue;
    if (FormatMathHost(math) == Arithmetic::kF32)
      Measure<float>(math, name.c_str(), m, n, k, isa);
    else
      Measure<double>(math, name.c_str(), m, n, k, isa);
  }
}
