#include "measure/bench_arithmetic.h"

#include <algorithm>
#include <chrono>

#include "kernels/exact.h"
#include "kernels/exact_fixed.h"
#include "kernels/panels.h"
#include "ops/format_product.h"

namespace vernier {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Numbers as activations and weights are: of both signs, most of one binade or two, some smaller. A
// function of i.
float Element(size_t i) {
  uint64_t x = (i + 1) * 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9;
  x ^= x >> 32;
  float sum = 0;  // of four uniform numbers
  for (int part = 0; part < 4; ++part) sum += static_cast<float>((x >> (16 * part)) & 0xffff);
  return (sum / 65536 - 2) * 1.7F;
}

PackedMatrix Weights(size_t outputs, size_t k) {
  std::vector<float> rows(outputs * k);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = Element(i) / 32;
  PackedMatrix matrix = MakePacked(TensorType::kF32, outputs, k);
  for (size_t p = 0; p < matrix.Count(); ++p)
    PackPanelOf(matrix, p, reinterpret_cast<const uint8_t*>(rows.data()), k * sizeof(float),
                matrix.data.data() + p * matrix.stride);
  return matrix;
}

template <class T>
class Product {
 public:
  Product(const FormatMath& math, const PackedMatrix& weights, size_t size)
      : math_(math), weights_(weights), x_(size * size), y_(size * size) {
    const RoundSpec spec = SpecOf(math.values);
    for (size_t i = 0; i < x_.size(); ++i) x_[i] = RoundValue(spec, T{Element(i + 12345)});
    for (size_t r = 0; r < size; ++r) {
      rows_.push_back(x_.data() + r * size);
      out_.push_back(y_.data() + r * size);
    }
  }

  // Seconds of the product of so many rows.
  double Pass(size_t rows, const Machine& machine) {
    const auto start = Clock::now();
    FormatProductArgs<T> args{&math_, weights_.k, weights_.outputs, &weights_, nullptr, {}, {}};
    args.x = std::span(rows_).first(rows);
    args.y = std::span(out_).first(rows);
    EvaluateFormatProduct(args, machine);
    return SecondsSince(start);
  }

 private:
  const FormatMath& math_;
  const PackedMatrix& weights_;
  std::vector<T> x_, y_;
  std::vector<const T*> rows_;
  std::vector<T*> out_;
};

template <class T>
ArithmeticSpeed Measure(const NamedMath& named, const PackedMatrix& weights,
                        const ArithmeticBenchOptions& o, const Machine& machine) {
  Product<T> product(named.math, weights, o.size);
  // A few rows say how many fit the time.
  const size_t few = std::min<size_t>(o.size, 4 * static_cast<size_t>(machine.workers->threads()));
  const double guess = std::min(product.Pass(few, machine), product.Pass(few, machine));
  const double fitting = o.seconds / guess * static_cast<double>(few);
  const size_t rows = fitting >= static_cast<double>(o.size)
                          ? o.size
                          : std::max(few, static_cast<size_t>(fitting) / few * few);
  double best = 1e30;
  const auto start = Clock::now();
  do {
    best = std::min(best, product.Pass(rows, machine));
  } while (SecondsSince(start) < o.seconds);
  const double count = static_cast<double>(rows * o.size) * static_cast<double>(o.size);
  return {named.text, sizeof(T) == sizeof(float) ? "f32" : "f64", false, rows, count / best};
}

// One panel of 16 outputs, on one thread.
ArithmeticSpeed MeasureCore(const NamedMath& named, const ArithmeticBenchOptions& o,
                            const Machine& machine) {
  const ExactKernels& kernels = ExactKernelsOf(machine.kernels->isa);
  const size_t k = o.size;
  std::vector<float> x(o.size * k), w(k * kLanes);
  for (size_t i = 0; i < x.size(); ++i) x[i] = Element(i + 12345);
  for (size_t i = 0; i < w.size(); ++i) w[i] = Element(i) / 32;
  std::vector<const float*> rows_of_x;
  for (size_t r = 0; r < o.size; ++r) rows_of_x.push_back(&x[r * k]);
  FixedPanel<float> panel;
  FixPanel(kernels, w.data(), k, &panel);
  const FixedRows rows = FixRows<float>(kernels, rows_of_x, k, {}, false, nullptr, nullptr);
  std::vector<int64_t> high(o.size * kLanes);
  std::vector<uint64_t> low(o.size * kLanes);
  double best = 1e30;
  const auto start = Clock::now();
  do {
    const auto pass = Clock::now();
    kernels.wide({k, panel.limbs[0].data.data(), panel.limbs[0].sums.data(), rows.x.data(),
                  rows.sums.data(), o.size, high.data(), low.data()});
    best = std::min(best, SecondsSince(pass));
  } while (SecondsSince(start) < o.seconds / 4);
  return {named.text, "f32", true, o.size, static_cast<double>(o.size * k * kLanes) / best};
}

}  // namespace

Result<NamedMath> ParseNamedMath(const std::string& text) {
  const size_t plus = text.find("+acc=");
  ASSIGN_OR_RETURN(FormatMath math, ParseFormatMath(text.substr(0, plus)));
  if (plus != std::string::npos) RETURN_IF_ERROR(ParseSumRules(text.substr(plus + 5), &math));
  return NamedMath{text, math};
}

ArithmeticBench BenchArithmetic(const ArithmeticBenchOptions& o, const ProgressSink& progress) {
  Workers workers(o.threads);
  BufferPool buffers;
  const Machine machine{&BestKernels(), &workers, &buffers};
  const PackedMatrix weights = Weights(o.size, o.size);
  ArithmeticBench bench{workers.threads(), machine.kernels->name, {}};
  double done = 0;
  for (const NamedMath& named : o.maths) {
    bench.lines.push_back(named.math.host == Arithmetic::kF32
                              ? Measure<float>(named, weights, o, machine)
                              : Measure<double>(named, weights, o, machine));
    if (named.math.kind == FormatMathKind::kQuire && o.threads == 1 &&
        named.math.host == Arithmetic::kF32)
      bench.lines.push_back(MeasureCore(named, o, machine));
    if (progress &&
        !progress({"measuring", ++done, static_cast<double>(o.maths.size()), "products"}))
      break;
  }
  return bench;
}

}  // namespace vernier
