// Exact products against GMP's integers (formats/exact_testing.h): formats, modes, lengths, rows of
// one limb and of more, of the whole range, infinite and NaN, on every instruction set. The normal
// run is a sample; VERNIER_TEST_ALL=1 makes a million dot products.
#include "ops/exact_product.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "formats/decode.h"
#include "formats/encode.h"
#include "formats/exact_sum.h"
#include "formats/exact_testing.h"
#include "kernels/exact.h"

namespace vernier {
namespace {

using Engine = std::mt19937_64;
constexpr Rounding kModes[] = {Rounding::kNearestEven, Rounding::kNearestAway,
                               Rounding::kTowardZero,  Rounding::kUp,
                               Rounding::kDown,        Rounding::kOdd};
constexpr Isa kIsas[] = {Isa::kPortable, Isa::kAvx2, Isa::kAvx512};

enum class Kind {
  kNormal,    // standard normal
  kOutliers,  // a few elements a thousand times as large
  kIntegers,  // small ones
  kWide,      // exponents from -60 to 60: some limbs
  kWhole,     // every exponent of the host: no fixed point
  kCancel,    // sums are zero, or what one term is
  kTiny,      // subnormals of floats
  kSpecial,   // with infinities, NaN and zeros
  kSparse,    // mostly zeros, whole rows of them
  kTies,      // halfway between two numbers of some format, or 2^-80 beside it
};
constexpr Kind kKinds[] = {Kind::kNormal, Kind::kOutliers, Kind::kIntegers, Kind::kWide,
                           Kind::kWhole,  Kind::kCancel,   Kind::kTiny,     Kind::kSpecial,
                           Kind::kSparse, Kind::kTies};

template <class T>
T Element(Kind kind, size_t row, Engine& engine) {
  std::normal_distribution<double> normal;
  const double v = normal(engine);
  switch (kind) {
    case Kind::kOutliers:
      return static_cast<T>(engine() % 64 == 0 ? 1000 * v : v);
    case Kind::kIntegers:
      return static_cast<T>(static_cast<int>(engine() % 255) - 127);
    case Kind::kWide:
      return static_cast<T>(std::ldexp(v, static_cast<int>(engine() % 121) - 60));
    case Kind::kWhole: {
      using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
      const T x = std::bit_cast<T>(static_cast<Bits>(engine()));
      return std::isfinite(x) ? x : T{1};
    }
    case Kind::kTiny:
      return static_cast<T>(std::ldexp(v, -140));
    case Kind::kSpecial:
      if (row % 4 == 0 && engine() % 32 == 0) {
        constexpr double kInfinity = std::numeric_limits<double>::infinity();
        constexpr double kValues[] = {kInfinity, -kInfinity, kInfinity, 0.0, -0.0};
        return static_cast<T>(row % 8 == 0 && engine() % 4 == 0 ? std::nan("")
                                                                : kValues[engine() % 5]);
      }
      return static_cast<T>(v);
    case Kind::kSparse:
      return static_cast<T>(row % 3 == 0 || engine() % 8 != 0 ? (engine() % 2 == 0 ? 0.0 : -0.0)
                                                              : v);
    default:
      return static_cast<T>(v);
  }
}

// Rows of k elements. With kCancel the second half repeats the first, in W with the other sign; an
// element in the middle, if there is one, is what remains.
template <class T>
std::vector<T> MakeRows(Kind kind, size_t rows, size_t k, bool weights, Engine& engine) {
  std::vector<T> x(rows * k);
  for (size_t r = 0; r < rows; ++r) {
    if (kind == Kind::kTies) {
      x[r * k] = weights ? static_cast<T>(1 + static_cast<int>(engine() % 8)) : T{1};
      if (k > 1)
        x[r * k + 1] =
            static_cast<T>(weights ? std::ldexp(1, -3 - static_cast<int>(engine() % 28)) : 1);
      if (k > 2)
        x[r * k + k - 1] =
            static_cast<T>(std::ldexp(weights ? static_cast<double>(engine() % 3) - 1 : 1, -40));
      continue;
    }
    for (size_t i = 0; i < k; ++i) x[r * k + i] = Element<T>(kind, r, engine);
    if (kind != Kind::kCancel) continue;
    for (size_t i = 0; i < k / 2; ++i)
      x[r * k + k - 1 - i] = weights ? -x[r * k + i] : x[r * k + i];
    if (k % 2 != 0)
      x[r * k + k / 2] = static_cast<T>(std::ldexp(1, -static_cast<int>(engine() % 30)));
  }
  return x;
}

struct Case {
  std::string format;
  Kind x, w;
  size_t n, k, outputs;
  Rounding mode = Rounding::kNearestEven;
  bool packed = false;
};

template <class T>
std::vector<T> Expected(const FormatRounding& values, const std::vector<T>& x,
                        const std::vector<double>& w, size_t n, size_t k, size_t outputs) {
  std::vector<T> y(n * outputs);
  ExactOracle oracle;
  for (size_t r = 0; r < n; ++r) {
    for (size_t o = 0; o < outputs; ++o) {
      oracle.Clear();
      for (size_t i = 0; i < k; ++i)
        oracle.AddProduct(static_cast<double>(x[r * k + i]), w[o * k + i]);
      y[r * outputs + o] = static_cast<T>(
          oracle.Round(values.format, values.rounding, values.overflow, values.flush));
    }
  }
  return y;
}

template <class T>
size_t Differences(const std::vector<T>& a, const std::vector<T>& b) {
  size_t count = 0;
  for (size_t i = 0; i < a.size(); ++i)
    count += !(std::isnan(a[i]) && std::isnan(b[i])) && std::memcmp(&a[i], &b[i], sizeof(T)) != 0;
  return count;
}

// W as float32 panels, or as doubles.
struct Matrix {
  PackedMatrix packed;
  Panels<double> wide;
};
template <class T>
Matrix MakeMatrix(const std::vector<T>& w, size_t outputs, size_t k, bool packed) {
  Matrix m;
  if (packed) {
    m.packed = MakePacked(TensorType::kF32, outputs, k);
    const std::vector<float> narrow(w.begin(), w.end());
    for (size_t p = 0; p < m.packed.Count(); ++p)
      PackPanelOf(m.packed, p, reinterpret_cast<const uint8_t*>(narrow.data()), 4 * k,
                  m.packed.data.data() + p * m.packed.stride);
    return m;
  }
  m.wide = MakePanels<double>(outputs, k);
  const std::vector<double> doubles(w.begin(), w.end());
  for (size_t p = 0; p < m.wide.Count(); ++p)
    FillPanel(&m.wide, p, doubles.data() + p * kLanes * k, std::min(kLanes, outputs - p * kLanes));
  return m;
}

template <class T>
void RunCase(const Case& c, Engine& engine, size_t* dots) {
  FormatRounding values{FindFormat(c.format).value(), c.mode, Overflow::kSaturate, false};
  values.overflow = DefaultOverflow(values.format);
  const RoundSpec operands =
      MakeRoundSpec(values.format, Rounding::kNearestEven, values.overflow, values.flush);
  std::vector<T> x = MakeRows<T>(c.x, c.n, c.k, false, engine);
  std::vector<T> w = MakeRows<T>(c.w, c.outputs, c.k, true, engine);
  if (c.packed)
    for (T& v : w) v = static_cast<T>(static_cast<float>(v));
  for (T& v : x) v = RoundValue(operands, v);
  std::vector<double> rounded(w.begin(), w.end());
  for (double& v : rounded) v = RoundValue(operands, v);
  const std::vector<T> expected = Expected<T>(values, x, rounded, c.n, c.k, c.outputs);
  const Matrix matrix = MakeMatrix(w, c.outputs, c.k, c.packed);
  for (const Isa isa : kIsas) {
    const Kernels* kernels = KernelsFor(isa);
    if (kernels == nullptr) continue;
    Workers workers(static_cast<int>(engine() % 3) + 1);
    std::vector<T> y(c.n * c.outputs, T{-77});
    std::vector<const T*> rows;
    std::vector<T*> out;
    for (size_t r = 0; r < c.n; ++r) {
      rows.push_back(x.data() + r * c.k);
      out.push_back(y.data() + r * c.outputs);
    }
    ExactProductArgs<T> args{values, nullptr, nullptr, rows, out};
    if (c.packed) {
      args.packed = &matrix.packed;
    } else {
      args.wide = &matrix.wide;
    }
    EvaluateExactProduct(args, {kernels, &workers});
    ASSERT_EQ(Differences(expected, y), 0u)
        << c.format << " x " << static_cast<int>(c.x) << " w " << static_cast<int>(c.w) << " n "
        << c.n << " k " << c.k << " outputs " << c.outputs << " mode " << static_cast<int>(c.mode)
        << (c.packed ? " packed " : " wide ") << kernels->name << " " << ExactKernelsOf(isa).name;
    *dots += y.size();
  }
}

template <class T>
void RunAll(const std::vector<std::string>& formats, int rounds, uint64_t seed) {
  Engine engine(seed);
  size_t dots = 0;
  for (int round = 0; round < rounds; ++round) {
    for (const std::string& format : formats) {
      Case c;
      c.format = format;
      c.x = kKinds[engine() % std::size(kKinds)];
      c.w = engine() % 3 == 0 ? kKinds[engine() % std::size(kKinds)] : c.x;
      if (c.x == Kind::kCancel || c.x == Kind::kTies) c.w = c.x;
      c.n = 1 + engine() % 23;
      c.k = 1 + engine() % (round % 8 == 0 ? 400 : 70);
      c.outputs = 1 + engine() % 40;
      c.mode = engine() % 2 == 0 ? Rounding::kNearestEven : kModes[engine() % std::size(kModes)];
      c.packed = sizeof(T) == 4 ? engine() % 2 == 0 : engine() % 4 == 0;
      RunCase<T>(c, engine, &dots);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
  std::printf("%zu dot products\n", dots);
}

int Rounds() { return std::getenv("VERNIER_TEST_ALL") != nullptr ? 200 : 3; }

TEST(ExactProduct, Floats) {
  RunAll<float>({"f32", "f16", "bf16", "tf32", "e4m3", "e5m2", "e2m1", "posit8", "posit16"},
                2 * Rounds(), 1);
}

TEST(ExactProduct, Doubles) {
  RunAll<double>({"posit32", "f64", "posit64", "f32", "posit16", "e11m10", "e8m52", "posit32es3"},
                 2 * Rounds(), 2);
}

TEST(ExactProduct, Ties) {
  Engine engine(6);
  size_t dots = 0;
  for (const Rounding mode : kModes) {
    for (const char* format : {"f32", "bf16", "tf32", "posit16"}) {
      RunCase<float>({format, Kind::kTies, Kind::kTies, 2, 5, 50, mode}, engine, &dots);
      RunCase<double>({format, Kind::kTies, Kind::kTies, 2, 5, 50, mode}, engine, &dots);
    }
    for (const char* format : {"posit32", "f64", "e11m40", "posit64"})
      RunCase<double>({format, Kind::kTies, Kind::kTies, 2, 5, 50, mode}, engine, &dots);
    if (HasFatalFailure()) return;
  }
}

TEST(ExactProduct, LongRows) {
  Engine engine(3);
  size_t dots = 0;
  const bool all = std::getenv("VERNIER_TEST_ALL") != nullptr;
  for (const size_t k : {2047, 2048, 2049, 4100, 8192, 8193, 20000}) {
    for (const Kind kind : {Kind::kNormal, Kind::kIntegers, Kind::kWide, Kind::kCancel}) {
      const size_t n = all ? 14 : 7, outputs = all ? 20 : 1;
      RunCase<float>({"f32", kind, kind, n, k, outputs}, engine, &dots);
      RunCase<double>({"posit32", kind, kind, 2, k, 2 * outputs}, engine, &dots);
      if (HasFatalFailure()) return;
    }
  }
}

// Weights as files store them, rounded to the format after decoding, from panels and from a file.
TEST(ExactProduct, StoredTypes) {
  Engine engine(5);
  constexpr size_t kColumns = 512, kOutputs = 21, kRows = 6;
  for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16,
                                TensorType::kQ8_0, TensorType::kQ4_K, TensorType::kQ6_K}) {
    const PackedLayout& layout = LayoutOf(type);
    const size_t row_bytes = kColumns / layout.unit * layout.block_bytes;
    const std::vector<float> plain =
        MakeRows<float>(Kind::kNormal, kOutputs, kColumns, true, engine);
    std::vector<uint8_t> file(kOutputs * row_bytes);
    EncodeRows(type, plain.data(), kOutputs, kColumns, {}, std::as_writable_bytes(std::span(file)));
    std::vector<double> decoded(plain.size());
    DecodeToDouble(type, std::as_bytes(std::span(file)), decoded);
    for (const char* name : {"f32", "bf16", "f16", "e4m3", "posit16", "posit32", "e11m10"}) {
      const FormatRounding values{FindFormat(name).value(), Rounding::kNearestEven,
                                  Overflow::kSaturate, name == std::string("bf16")};
      const RoundSpec operands =
          MakeRoundSpec(values.format, Rounding::kNearestEven, values.overflow, values.flush);
      std::vector<double> w = decoded;
      for (double& v : w) v = RoundValue(operands, v);
      std::vector<double> x = MakeRows<double>(Kind::kNormal, kRows, kColumns, false, engine);
      for (double& v : x) v = RoundValue(operands, v);
      const std::vector<double> expected =
          Expected<double>(values, x, w, kRows, kColumns, kOutputs);
      for (const bool mapped : {false, true}) {
        PackedMatrix matrix = MakePacked(type, kOutputs, kColumns);
        for (size_t p = 0; p < matrix.Count(); ++p)
          PackPanelOf(matrix, p, file.data(), row_bytes, matrix.data.data() + p * matrix.stride);
        if (mapped) {
          matrix.data = Pages();
          matrix.mapped = file.data();
          matrix.row_bytes = row_bytes;
        }
        std::vector<double> y(expected.size());
        std::vector<const double*> rows;
        std::vector<double*> out;
        for (size_t r = 0; r < kRows; ++r) {
          rows.push_back(&x[r * kColumns]);
          out.push_back(&y[r * kOutputs]);
        }
        Workers workers(2);
        BufferPool buffers;
        EvaluateExactProduct<double>({values, &matrix, nullptr, rows, out},
                                     {&BestKernels(), &workers, &buffers});
        EXPECT_EQ(Differences(expected, y), 0u)
            << name << " type " << static_cast<int>(type) << (mapped ? " mapped" : "");
      }
    }
  }
}

// All operands as large as their fixed point allows, all of one sign: the largest sums there are.
TEST(ExactProduct, LargestSums) {
  for (const size_t k : {2048, 8192, 8200, 40000}) {
    for (const float sign : {1.0f, -1.0f}) {
      const FormatRounding values{FindFormat("f64").value(), Rounding::kNearestEven,
                                  Overflow::kInfinity, false};
      const double large = std::nextafter(2.0, 0.0);
      std::vector<double> x(k, large), w(k, sign * large);
      ExactOracle oracle;
      // Up to 51 bits are one limb, 53 are two.
      for (const int bits : {50, 51, 53}) {
        const double v = std::ldexp(std::floor(std::ldexp(large, bits - 1)), 1 - bits);
        std::fill(x.begin(), x.end(), v);
        std::fill(w.begin(), w.end(), sign * v);
        oracle.Clear();
        for (size_t i = 0; i < k; ++i) oracle.AddProduct(x[i], w[i]);
        const double expected =
            oracle.Round(values.format, values.rounding, values.overflow, false);
        const Matrix matrix = MakeMatrix(w, 1, k, false);
        for (const Isa isa : kIsas) {
          if (KernelsFor(isa) == nullptr) continue;
          Workers workers(1);
          double y = 0;
          const double* row = x.data();
          double* out = &y;
          EvaluateExactProduct<double>({values, nullptr, &matrix.wide, {&row, 1}, {&out, 1}},
                                       {KernelsFor(isa), &workers});
          EXPECT_EQ(expected, y) << k << " " << bits << " " << KernelsFor(isa)->name;
        }
      }
    }
  }
}

// Rows of unlike lengths against numbers at hand, as attention has them, and a few dot products.
void ExpectChains(Kind kind, size_t n, size_t outputs, Engine& engine) {
  constexpr size_t kTerms = 77, kStride = kTerms * kLanes + 32;
  const FormatRounding values{FindFormat("f16").value(), Rounding::kNearestEven,
                              Overflow::kInfinity, false};
  const RoundSpec spec = MakeRoundSpec(values.format);
  std::vector<float> x = MakeRows<float>(kind, n, kTerms, false, engine);
  std::vector<float> panels = MakeRows<float>(kind, 3, kStride, true, engine);
  for (std::vector<float>* v : {&x, &panels}) RoundRow(spec, v->data(), v->size());
  const std::vector<size_t> all_terms = {77, 1, 0, 33, 76},
                            terms(all_terms.begin(), all_terms.begin() + static_cast<int>(n));
  std::vector<const float*> rows;
  std::vector<float> y(n * outputs), expected(y.size());
  std::vector<float*> out;
  ExactOracle oracle;
  for (size_t r = 0; r < n; ++r) {
    rows.push_back(x.data() + r * kTerms);
    out.push_back(y.data() + r * outputs);
    for (size_t o = 0; o < outputs; ++o) {
      oracle.Clear();
      for (size_t i = 0; i < terms[r]; ++i)
        oracle.AddProduct(static_cast<double>(rows[r][i]),
                          static_cast<double>(panels[o / 16 * kStride + i * 16 + o % 16]));
      expected[r * outputs + o] =
          static_cast<float>(oracle.Round(values.format, values.rounding, values.overflow, false));
    }
  }
  for (const Isa isa : kIsas) {
    if (KernelsFor(isa) == nullptr) continue;
    std::fill(y.begin(), y.end(), -77.0f);
    EvaluateExactChains<float>({values, panels.data(), kStride, outputs, kTerms, rows, terms, out},
                               *KernelsFor(isa));
    EXPECT_EQ(Differences(expected, y), 0u)
        << static_cast<int>(kind) << " " << n << " " << outputs << " " << KernelsFor(isa)->name;
  }
}

TEST(ExactProduct, Chains) {
  Engine engine(4);
  for (const Kind kind : kKinds) {
    ExpectChains(kind, 5, 37, engine);
    ExpectChains(kind, 2, 1, engine);
    ExpectChains(kind, 1, 2, engine);
    ExpectChains(kind, 1, 17, engine);
  }
}

}  // namespace
}  // namespace vernier
