// Dot products in a format by blocks, rows and panels, against one term at a time
// (ops/format_dot.h), on every instruction set, bit for bit.
#include "ops/format_product.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "kernels/packed_reference.h"
#include "ops/format_test_cases.h"

namespace vernier {
namespace {

bool TestAll() { return std::getenv("VERNIER_TEST_ALL") != nullptr; }

std::vector<const Kernels*> AllKernels() {
  std::vector<const Kernels*> all;
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512})
    if (const Kernels* kernels = KernelsFor(isa)) all.push_back(kernels);
  return all;
}

template <class T>
bool Same(T a, T b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

std::string Show(const FormatMath& m) {
  return m.values.format.name + " kind " + std::to_string(static_cast<int>(m.kind)) + " mode " +
         std::to_string(static_cast<int>(m.values.rounding)) + " partial " +
         m.sum.partial.format.name + " order " + std::to_string(static_cast<int>(m.sum.order)) +
         " chunk " + std::to_string(m.sum.chunk);
}

// Rows, and weights in panels.
template <class T>
struct Chains {
  size_t rows, outputs, k;
  std::vector<T> x;
  AlignedArray<T> panels;
  std::vector<const T*> x_rows;

  Chains(OperandSource& source, Operands kind, size_t row_count, size_t output_count, size_t terms)
      : rows(row_count),
        outputs(output_count),
        k(terms),
        panels((output_count + kLanes - 1) / kLanes * kLanes * terms) {
    std::fill_n(panels.data(), panels.size(), T{0});
    // Operands come in pairs that cancel: rows get x, outputs w, of the same source.
    std::vector<DotOperands> pairs;
    for (size_t i = 0; i < std::max(rows, outputs); ++i) pairs.push_back(source.Make(kind, k));
    for (size_t r = 0; r < rows; ++r)
      for (const double v : pairs[r].x) x.push_back(static_cast<T>(v));
    for (size_t o = 0; o < outputs; ++o)
      for (size_t i = 0; i < k; ++i)
        panels[o / kLanes * k * kLanes + i * kLanes + o % kLanes] = static_cast<T>(pairs[o].w[i]);
    for (size_t r = 0; r < rows; ++r) x_rows.push_back(x.data() + r * k);
  }
  std::vector<T> Evaluate(const FormatMath& math, std::span<const size_t> terms,
                          const Kernels& kernels) const {
    std::vector<T> y(rows * outputs, T{-1});
    std::vector<T*> y_rows;
    for (size_t r = 0; r < rows; ++r) y_rows.push_back(y.data() + r * outputs);
    EvaluateFormatChains<T>({&math, panels.data(), k * kLanes, outputs, k, x_rows, terms, y_rows},
                            kernels);
    return y;
  }
  std::vector<T> Expected(const FormatMath& math, std::span<const size_t> terms) const {
    std::vector<T> y;
    for (size_t r = 0; r < rows; ++r)
      for (size_t o = 0; o < outputs; ++o)
        y.push_back(FormatDot(math, x_rows[r], 1,
                              panels.data() + o / kLanes * k * kLanes + o % kLanes, kLanes,
                              terms.empty() ? k : terms[r]));
    return y;
  }
};

template <class T>
void CheckChains(const FormatMath& math, Operands kind, size_t rows, size_t outputs, size_t k,
                 bool causal, uint64_t seed) {
  OperandSource source(math.values, seed);
  const Chains<T> chains(source, kind, rows, outputs, k);
  std::vector<size_t> terms;
  for (size_t r = 0; causal && r < rows; ++r) terms.push_back(r * k / rows);
  const std::vector<T> expected = chains.Expected(math, terms);
  for (const Kernels* kernels : AllKernels()) {
    const std::vector<T> got = chains.Evaluate(math, terms, *kernels);
    for (size_t i = 0; i < got.size(); ++i)
      ASSERT_TRUE(Same(got[i], expected[i]))
          << Show(math) << " " << kernels->name << " T " << sizeof(T) << " operands "
          << static_cast<int>(kind) << " row " << i / outputs << " output " << i % outputs
          << " of k " << k << " causal " << causal << ": " << got[i] << " not " << expected[i];
  }
}

void Check(const FormatMath& math, Operands kind, size_t rows, size_t outputs, size_t k,
           bool causal, uint64_t seed) {
  CheckChains<double>(math, kind, rows, outputs, k, causal, seed);
  if (FormatMathHost(math) == Arithmetic::kF32)
    CheckChains<float>(math, kind, rows, outputs, k, causal, seed);
}

constexpr const char* kFormats[] = {
    "f64",        "f32",        "tf32",     "f16",         "bf16",       "e5m2",
    "e4m3",       "e5m2fnuz",   "e4m3fnuz", "e4m3b11fnuz", "e3m2",       "e2m3",
    "e2m1",       "posit64",    "posit32",  "posit16",     "posit8",     "e8m13",
    "e11m48",     "e9m30",      "posit40",  "posit32es3",  "posit24es1", "posit20es0",
    "posit50es4", "posit16es1", "posit6",   "e8m23",       "e5m12"};
constexpr FormatMathKind kKinds[] = {FormatMathKind::kStep, FormatMathKind::kFused};

TEST(FormatChains, AreTheirDotProducts) {
  uint64_t seed = 1;
  const size_t repeats = TestAll() ? 60 : 1;
  std::mt19937_64 engine(5);
  for (size_t i = 0; i < repeats; ++i)
    for (const char* name : kFormats)
      for (const FormatMathKind math : kKinds)
        for (const Operands kind : kAllOperands)
          Check(MathOf(math, RoundingOf(name)), kind, 9, 37, 1 + engine() % 70, false, ++seed);
}

TEST(FormatChains, OfManyTermsAndRows) {
  uint64_t seed = 100;
  for (const char* name : {"posit32", "posit16", "bf16", "e4m3", "f32", "f16"})
    for (const FormatMathKind math : kKinds)
      for (const Operands kind : {Operands::kNormal, Operands::kExponents})
        Check(MathOf(math, RoundingOf(name)), kind, 3, 70, 700, true, ++seed);
}

TEST(FormatChains, InOtherModes) {
  uint64_t seed = 200;
  for (const char* name : {"posit32", "f16", "e4m3", "f64", "e2m1"})
    for (const FormatMathKind math : kKinds)
      for (const Rounding mode : {Rounding::kNearestAway, Rounding::kTowardZero, Rounding::kUp,
                                  Rounding::kDown, Rounding::kOdd})
        for (const Operands kind : kAllOperands)
          Check(MathOf(math, RoundingOf(name, mode)), kind, 2, 18, 40, false, ++seed);
}

TEST(FormatChains, OverflowByThePolicy) {
  uint64_t seed = 300;
  for (const char* name : {"f32", "f16", "bf16", "e4m3", "e5m2", "e2m1", "posit16"})
    for (const FormatMathKind math : kKinds)
      for (const Overflow overflow : {Overflow::kSaturate, Overflow::kInfinity, Overflow::kNan})
        for (const bool flush : {false, true})
          for (const Operands kind :
               {Operands::kNormal, Operands::kExponents, Operands::kSpecial}) {
            FormatRounding r = RoundingOf(name);
            r.overflow = overflow;
            r.flush = flush;
            Check(MathOf(math, r), kind, 2, 18, 40, false, ++seed);
          }
}

// Formats of operands, partial sums and sums of chunks.
constexpr const char* kAccumulations[][3] = {
    {"bf16", "f32", "f32"},    {"e4m3", "f16", "f32"},    {"f32", "e8m13", "f32"},
    {"f32", "f64", "f64"},     {"f16", "bf16", "f32"},    {"posit16", "posit32", "posit32"},
    {"posit32", "f32", "f64"}, {"f32", "f16", "bf16"},    {"posit64", "f32", "posit64"},
    {"f64", "f32", "f64"},     {"e5m2", "posit8", "f16"}, {"f16", "e4m3", "f16"},
    {"e4m3", "e2m1", "e4m3"},  {"f16", "f16", "f32"},     {"e8m13", "f32", "f32"}};

TEST(FormatChains, AddInOtherFormatsAndOrders) {
  uint64_t seed = 400;
  for (const auto& [values, partial, into] : kAccumulations)
    for (const FormatMathKind kind : kKinds)
      for (const SumOrder order : {SumOrder::kSequential, SumOrder::kPairwise, SumOrder::kKahan})
        for (const size_t chunk : {0, 1, 7, 32})
          for (const Operands operands : kAllOperands) {
            FormatMath math = MathOf(kind, RoundingOf(values));
            math.sum = {RoundingOf(partial), order, chunk, RoundingOf(into)};
            Check(math, operands, 2, 18, 50, false, ++seed);
          }
}

// Weights of a file: a type's codes at random, scales of any size that is finite.
PackedMatrix RandomMatrix(TensorType type, size_t outputs, size_t k, std::vector<uint8_t>* file) {
  std::mt19937 engine(11);
  PackedMatrix matrix = MakePacked(type, outputs, k);
  const PackedLayout& layout = LayoutOf(type);
  const size_t row_bytes = k / layout.unit * layout.block_bytes;
  file->resize(outputs * row_bytes);
  if (type == TensorType::kF32 || type == TensorType::kF16) {
    const size_t width = type == TensorType::kF32 ? 4 : 2;
    for (size_t i = 0; i < file->size(); ++i)
      (*file)[i] = static_cast<uint8_t>(i % width == width - 1 ? 0x2c + engine() % 16 : engine());
  } else {
    for (uint8_t& byte : *file) byte = static_cast<uint8_t>(engine());
    for (size_t i = 0; i < file->size(); i += layout.block_bytes) (*file)[i + 1] &= 0x3f;
  }
  for (size_t p = 0; p < matrix.Count(); ++p)
    PackPanelOf(matrix, p, file->data(), row_bytes, matrix.data.data() + p * matrix.stride);
  return matrix;
}

template <class T>
struct ProductRows {
  std::vector<T> x, y;
  std::vector<const T*> x_rows;
  std::vector<T*> y_rows;
  ProductRows(const FormatMath& math, size_t rows, size_t outputs, size_t k)
      : x(rows * k), y(rows * outputs, T{-1}) {
    std::mt19937_64 engine(3);
    std::normal_distribution<double> normal;
    RoundSpec spec = SpecOf(math.values);
    spec.rounding = Rounding::kNearestEven;
    for (T& v : x) v = static_cast<T>(RoundValue(spec, normal(engine)));
    for (size_t r = 0; r < rows; ++r) {
      x_rows.push_back(x.data() + r * k);
      y_rows.push_back(y.data() + r * outputs);
    }
  }
};

// Element (output, column) as it is stored.
double WeightOf(const PackedMatrix& matrix, size_t output, size_t column) {
  return reference::PackedElement(matrix.type, matrix.Panel(output / kLanes), matrix.k,
                                  output % kLanes, column);
}

template <class T>
void CheckProduct(const FormatMath& math, TensorType type) {
  constexpr size_t kOutputs = 70, kColumns = 512, kRows = 6;
  std::vector<uint8_t> file;
  const PackedMatrix matrix = RandomMatrix(type, kOutputs, kColumns, &file);
  PackedMatrix in_file;
  in_file.type = type;
  in_file.outputs = kOutputs;
  in_file.k = kColumns;
  in_file.stride = matrix.stride;
  in_file.mapped = file.data();
  in_file.row_bytes = file.size() / kOutputs;
  Panels<double> wide = MakePanels<double>(kOutputs, kColumns);
  std::fill_n(wide.data.data(), wide.data.size(), 0.0);
  RoundSpec spec = SpecOf(math.values);
  spec.rounding = Rounding::kNearestEven;
  ProductRows<T> rows(math, kRows, kOutputs, kColumns);
  std::vector<T> expected(kRows * kOutputs), w(kColumns);
  for (size_t o = 0; o < kOutputs; ++o) {
    for (size_t i = 0; i < kColumns; ++i) {
      const double stored = WeightOf(matrix, o, i);
      wide.data[o / kLanes * kColumns * kLanes + i * kLanes + o % kLanes] = stored;
      w[i] = static_cast<T>(RoundValue(spec, stored));
    }
    for (size_t r = 0; r < kRows; ++r)
      expected[r * kOutputs + o] = FormatDot(math, rows.x_rows[r], 1, w.data(), 1, kColumns);
  }
  for (const Kernels* kernels : AllKernels())
    for (const int threads : {1, 3})
      for (const size_t at_once : {1, 4, 6})
        for (const int source : {0, 1, 2}) {
          Workers workers(threads);
          std::fill(rows.y.begin(), rows.y.end(), T{-1});
          FormatProductArgs<T> args{&math, kColumns, kOutputs, nullptr, nullptr, {}, {}};
          if (source == 0) args.matrix = &matrix;
          if (source == 1) args.matrix = &in_file;
          if (source == 2) args.wide_matrix = &wide;
          for (size_t r = 0; r < kRows; r += at_once) {
            const size_t n = std::min(at_once, kRows - r);
            args.x = std::span(rows.x_rows).subspan(r, n);
            args.y = std::span(rows.y_rows).subspan(r, n);
            EvaluateFormatProduct(args, {kernels, &workers});
          }
          for (size_t i = 0; i < expected.size(); ++i)
            ASSERT_TRUE(Same(rows.y[i], expected[i]))
                << Show(math) << " " << kernels->name << " type " << static_cast<int>(type)
                << " source " << source << " at " << i << ": " << rows.y[i] << " not "
                << expected[i];
        }
}

TEST(FormatProduct, OfStoredWeights) {
  for (const TensorType type :
       {TensorType::kF32, TensorType::kF16, TensorType::kQ8_0, TensorType::kQ4_K})
    for (const FormatMathKind kind : {FormatMathKind::kStep, FormatMathKind::kQuire}) {
      CheckProduct<double>(MathOf(kind, RoundingOf("posit32")), type);
      CheckProduct<float>(MathOf(kind, RoundingOf("bf16")), type);
    }
}

TEST(FormatProduct, OfWholeChains) {
  FormatMath math = MathOf(FormatMathKind::kFused, RoundingOf("f16"));
  math.sum.order = SumOrder::kKahan;
  CheckProduct<float>(math, TensorType::kQ8_0);
  CheckProduct<double>(MathOf(FormatMathKind::kStep, RoundingOf("posit64")), TensorType::kF16);
}

}  // namespace
}  // namespace vernier
