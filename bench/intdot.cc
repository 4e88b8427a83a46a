// The integer matrix products (kernels/intdot.h) on the shapes of a small model: how many
// multiplications a second, and how many bytes of weights.
//   cmake --build build/release --target vernier_intdot_bench
//   build/release/vernier_intdot_bench [THREADS]
// n rows at once; of one row the weights come from memory. Best of some runs of the whole product,
// the quantisation of the rows included and beside it alone.
#include "kernels/intdot.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/panels.h"
#include "ops/integer_product.h"

namespace vernier {
namespace {

struct Case {
  TensorType type;
  const char* name;
  GgmlOrder many, one;
};
constexpr Case kCases[] = {
    {TensorType::kQ8_0, "q8_0", GgmlOrder::kBatch, GgmlOrder::kDot},
    {TensorType::kQ4_0, "q4_0", GgmlOrder::kGemm, GgmlOrder::kGemv},
    {TensorType::kQ4_K, "q4_k", GgmlOrder::kGemm, GgmlOrder::kGemv},
    {TensorType::kQ6_K, "q6_k", GgmlOrder::kBatch, GgmlOrder::kDot},
    {TensorType::kQ5_K, "q5_k", GgmlOrder::kBatch, GgmlOrder::kDot},
    {TensorType::kQ5_0, "q5_0", GgmlOrder::kBatch, GgmlOrder::kDot},
    {TensorType::kQ4_1, "q4_1", GgmlOrder::kBatch, GgmlOrder::kDot},
    {TensorType::kQ5_1, "q5_1", GgmlOrder::kBatch, GgmlOrder::kDot},
    {TensorType::kIQ4_NL, "iq4_nl", GgmlOrder::kGemm, GgmlOrder::kGemv},
    {TensorType::kIQ4_XS, "iq4_xs", GgmlOrder::kBatch, GgmlOrder::kDot},
    {TensorType::kMXFP4, "mxfp4", GgmlOrder::kGemm, GgmlOrder::kGemv},
    {TensorType::kQ2_K, "q2_k", GgmlOrder::kGemm, GgmlOrder::kGemv},
    {TensorType::kQ3_K, "q3_k", GgmlOrder::kBatch, GgmlOrder::kDot},
};
struct Shape {
  size_t outputs, k, n;
};
constexpr Shape kShapes[] = {{2048, 2048, 512}, {2048, 5632, 512}, {256, 2048, 512},
                             {5632, 2048, 16},  {5632, 2048, 4},   {32000, 2048, 1}};

template <class F>
double BestSeconds(const F& run) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9;
  const Clock::time_point start = Clock::now();
  do {
    const Clock::time_point begin = Clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - begin).count());
  } while (Clock::now() - start < std::chrono::milliseconds(80));
  return best;
}

void Measure(const Case& c, const Shape& shape, const Machine& machine) {
  const size_t stride = LayoutOf(c.type).PanelBytes(shape.k), count = (shape.outputs + 15) / 16;
  AlignedArray<uint8_t> panels(count * stride);
  std::mt19937_64 engine(1);
  for (size_t i = 0; i + 8 <= panels.size(); i += 8) {
    const uint64_t bits = engine() & 0x3f3f3f3f3f3f3f3f;  // no scale is infinite
    std::memcpy(panels.data() + i, &bits, 8);
  }
  std::vector<float> x(shape.n * shape.k), y(shape.n * shape.outputs);
  std::normal_distribution<float> normal;
  for (float& v : x) v = normal(engine);
  std::vector<const float*> in;
  std::vector<float*> out;
  for (size_t r = 0; r < shape.n; ++r) {
    in.push_back(x.data() + r * shape.k);
    out.push_back(y.data() + r * shape.outputs);
  }
  const std::vector<GgmlOrder> orders(shape.n, shape.n >= 4 ? c.many : c.one);
  const IntegerProductArgs args{c.type, panels.data(), shape.k, shape.outputs, in, orders, out};
  const double whole = BestSeconds([&] { EvaluateIntegerProduct(args, machine); });
  const IntDotKernels& kernels = IntDotKernelsOf(machine.kernels->isa);
  const ActivationFormat format = kernels.find(c.type, IntDotOrder::kDot).format;
  AlignedArray<uint8_t> row(format.RowBytes(shape.k));
  const double quantise =
      BestSeconds([&] { kernels.quantise(format, x.data(), shape.k, row.data()); });
  const double products = static_cast<double>(shape.outputs * shape.k * shape.n);
  fmt::print("{:7} {:6} x {:5} n {:4}  {:8.1f} GMAC/s  {:6.1f} GB/s  quantise {:5.2f} G/s\n",
             c.name, shape.outputs, shape.k, shape.n, products / whole * 1e-9,
             static_cast<double>(panels.size()) / whole * 1e-9,
             static_cast<double>(shape.k) / quantise * 1e-9);
}

}  // namespace
}  // namespace vernier

int main(int argc, char** argv) {
  vernier::Workers workers(argc > 1 ? std::atoi(argv[1]) : 0);
  const vernier::Machine machine{&vernier::BestKernels(), &workers};
  fmt::print("{}, {} threads\n", vernier::BestIntDotKernels().name, workers.threads());
  for (const vernier::Case& c : vernier::kCases)
    for (const vernier::Shape& shape : vernier::kShapes) vernier::Measure(c, shape, machine);
}
