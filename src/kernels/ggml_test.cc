// The profiles' kernels on every instruction set this machine runs, against
// kernels/ggml_reference.h, bit for bit. tests/golden_ggml_test.cc holds the whole to llama.cpp.
#include "kernels/ggml.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "kernels/ggml_reference.h"
#include "kernels/ggml_rows_reference.h"
#include "kernels/kernels.h"

namespace vernier {
namespace {

namespace plain = reference::ggml;

constexpr TensorType kTypes[] = {TensorType::kF32,   TensorType::kF16,    TensorType::kBF16,
                                 TensorType::kQ4_0,  TensorType::kQ4_1,   TensorType::kQ5_0,
                                 TensorType::kQ5_1,  TensorType::kQ8_0,   TensorType::kQ2_K,
                                 TensorType::kQ3_K,  TensorType::kQ4_K,   TensorType::kQ5_K,
                                 TensorType::kQ6_K,  TensorType::kIQ4_NL, TensorType::kIQ4_XS,
                                 TensorType::kTQ1_0, TensorType::kTQ2_0,  TensorType::kMXFP4};
constexpr GgmlOrder kOrders[] = {GgmlOrder::kDot, GgmlOrder::kBatch, GgmlOrder::kGemv,
                                 GgmlOrder::kGemm};

class GgmlTest : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    const Kernels* kernels = KernelsFor(GetParam());
    if (kernels == nullptr) GTEST_SKIP() << "this machine cannot run it";
    kernels_ = &kernels->ggml;
  }
  const GgmlKernels* kernels_ = nullptr;
};

// Normal numbers; some rows large, tiny, zero in places, or with equal magnitudes.
std::vector<float> Random(size_t n, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float& v : x) v = normal(engine);
  if (seed % 5 == 1)
    for (float& v : x) v *= 1e-7f;
  if (seed % 5 == 2)
    for (size_t i = 0; i < n / 2; ++i) x[i] = 0;
  if (seed % 5 == 3)
    for (size_t i = 0; i < n; i += 3) x[i] = i % 2 == 0 ? 2.5f : -2.5f;
  return x;
}

// A row quantised, and where it lies.
struct Row {
  explicit Row(size_t k) : values(k), d(k), s(k), codes(k), sums(k) {}
  GgmlRowBuffer Buffer(GgmlActivation activation) {
    return {values.data(), codes.data(), d.data(),
            activation == GgmlActivation::kQ8_1 ? s.data() : nullptr, sums.data()};
  }
  GgmlRow View() const { return {values.data(), codes.data(), d.data(), s.data(), sums.data()}; }
  bool operator==(const Row& o) const {
    return std::memcmp(values.data(), o.values.data(), values.size() * 4) == 0 &&
           std::memcmp(d.data(), o.d.data(), d.size() * 4) == 0 &&
           std::memcmp(s.data(), o.s.data(), s.size() * 4) == 0 && codes == o.codes &&
           sums == o.sums;
  }
  std::vector<float> values, d, s;
  std::vector<int8_t> codes;
  std::vector<int16_t> sums;
};

// A weight row of random codes and scales in the ranges that the type's blocks have.
struct Weight {
  Weight(TensorType type, size_t k, uint64_t seed)
      : values(Random(k, seed)), d(k), m(k), codes(k), scales(k), mins(k), type_(type) {
    std::mt19937_64 engine(seed);
    const auto draw = [&engine](int low, int high) {
      return std::uniform_int_distribution<int>(low, high)(engine);
    };
    const bool wide =
        type == TensorType::kQ8_0 || type == TensorType::kIQ4_NL || type == TensorType::kIQ4_XS;
    const bool raw = type == TensorType::kQ6_K || GgmlActivationOf(type) == GgmlActivation::kQ8_1;
    for (int8_t& code : codes)
      code = static_cast<int8_t>(wide ? draw(-128, 127) : raw ? draw(0, 63) : draw(-16, 15));
    const bool signs = type == TensorType::kQ6_K;
    for (int16_t& v : scales)
      v = static_cast<int16_t>(signs ? draw(-128, 127)
                                     : draw(type == TensorType::kIQ4_XS ? -32 : 0, 63));
    if (type == TensorType::kTQ1_0 || type == TensorType::kTQ2_0)
      std::fill(scales.begin(), scales.end(), int16_t{1});
    for (int16_t& v : mins) v = static_cast<int16_t>(draw(0, 63));
    for (float& v : d) v = plain::RoundToHalf(static_cast<float>(draw(-1000, 1000)) * 1e-4f);
    for (float& v : m) v = plain::RoundToHalf(static_cast<float>(draw(-1000, 1000)) * 1e-4f);
    if (type == TensorType::kF16)
      std::transform(values.begin(), values.end(), values.begin(), plain::RoundToHalf);
    if (type == TensorType::kBF16)
      std::transform(values.begin(), values.end(), values.begin(), plain::RoundToBF16);
  }
  GgmlWeightRow View() const {
    const bool minima = GgmlActivationOf(type_) == GgmlActivation::kQ8_1 ||
                        type_ == TensorType::kQ2_K || type_ == TensorType::kQ4_K ||
                        type_ == TensorType::kQ5_K;
    return {values.data(), codes.data(), d.data(), minima ? m.data() : nullptr,
            scales.data(), mins.data()};
  }
  std::vector<float> values, d, m;
  std::vector<int8_t> codes;
  std::vector<int16_t> scales, mins;

 private:
  TensorType type_;
};

bool Has(TensorType type, GgmlOrder order) {
  if (order == GgmlOrder::kDot) return true;
  if (order == GgmlOrder::kBatch) return GgmlBatchDiffers(type, 16, 256);
  return GgmlRepacks(type, 8);
}

TEST_P(GgmlTest, RowsAreQuantisedAsTheReferenceSays) {
  for (int a = 0; a < 6; ++a) {
    const auto activation = static_cast<GgmlActivation>(a);
    for (const size_t k : {256, 768, 1792}) {
      for (uint64_t seed = 0; seed < 20; ++seed) {
        const std::vector<float> x = Random(k, seed);
        Row expected(k), actual(k);
        plain::Quantise(activation, x.data(), k, expected.Buffer(activation));
        kernels_->quantise(activation, x.data(), k, actual.Buffer(activation));
        EXPECT_TRUE(expected == actual) << a << ' ' << k << ' ' << seed;
      }
    }
  }
}

TEST_P(GgmlTest, ProductsAreSummedAsTheReferenceSays) {
  for (const TensorType type : kTypes) {
    const size_t block = GgmlBlock(type) == 1 ? 32 : GgmlBlock(type);
    const GgmlActivation activation = GgmlActivationOf(type);
    for (const GgmlOrder order : kOrders) {
      if (!Has(type, order)) continue;
      for (const size_t blocks : {1, 2, 3, 7, 9}) {
        const size_t k = blocks * block;
        std::vector<Row> rows(13, Row(k));
        std::vector<GgmlRow> views;
        for (uint64_t r = 0; r < rows.size(); ++r) {
          plain::Quantise(activation, Random(k, 31 * k + r).data(), k, rows[r].Buffer(activation));
          views.push_back(rows[r].View());
        }
        const Weight weight(type, k, k + 7);
        std::vector<float> y(rows.size());
        const GgmlDots dots{type, order, k, weight.View(), views.data(), views.size(), y.data()};
        kernels_->dots(dots);
        for (size_t r = 0; r < rows.size(); ++r) {
          const float expected = plain::Dot(dots, views[r]);
          EXPECT_EQ(std::bit_cast<uint32_t>(y[r]), std::bit_cast<uint32_t>(expected))
              << "type " << static_cast<int>(type) << " order " << static_cast<int>(order) << " k "
              << k << ": " << y[r] << " for " << expected;
        }
      }
    }
  }
}

// Rows with an offset in front, and pointers to them.
struct Rows {
  Rows(size_t count, size_t width, uint64_t seed) {
    for (size_t r = 0; r < count; ++r) values.push_back(Random(width, seed + r));
    for (auto& row : values) pointers.push_back(row.data());
  }
  std::vector<std::vector<float>> values;
  std::vector<float*> pointers;
};

TEST_P(GgmlTest, ScoresOfAnyWidth) {
  const std::vector<size_t> keys = {37, 1, 16, 40, 37};
  constexpr size_t kOffset = 2;
  for (size_t n = 1; n < 200; ++n) {
    const Rows q(keys.size(), n, 5 * n), k(40, n + kOffset, 7 * n);
    for (const auto& [type, order] : {std::pair{TensorType::kF32, GgmlOrder::kDot},
                                      {TensorType::kF16, GgmlOrder::kDot},
                                      {TensorType::kF16, GgmlOrder::kBatch}}) {
      Rows out(keys.size(), 41, 3);
      const std::vector<std::vector<float>> before = out.values;
      kernels_->scores({type, order, k.pointers.data(), kOffset, n, q.pointers.data(), keys.data(),
                        keys.size(), out.pointers.data()});
      for (size_t i = 0; i < keys.size(); ++i) {
        for (size_t j = 0; j < keys[i]; ++j) {
          const float *a = k.values[j].data() + kOffset, *b = q.values[i].data();
          const float expected = order == GgmlOrder::kBatch ? plain::BatchF32(a, b, n)
                                 : type == TensorType::kF16 ? plain::DotF16(a, b, n)
                                                            : plain::DotF32(a, b, n);
          ASSERT_EQ(out.values[i][j], expected) << n << ' ' << i << ' ' << j;
        }
        for (size_t j = keys[i]; j < 41; ++j) ASSERT_EQ(out.values[i][j], before[i][j]);
      }
    }
  }
}

TEST_P(GgmlTest, SumsOfValues) {
  constexpr size_t kOffset = 2, kMost = 203;
  for (const size_t width : {3, 16, 83, 128}) {
    const Rows v(kMost, width + kOffset, 5);
    for (size_t rows = 1; rows < 8; ++rows) {
      const Rows p(rows, kMost, 11);
      std::vector<size_t> keys;  // more and less than whole turns, in any order
      for (size_t i = 0; i < rows; ++i) keys.push_back((61 * rows + 97 * i) % kMost + 1);
      for (const bool batch : {false, true}) {
        Rows out(rows, width + 1, 3);
        const std::vector<std::vector<float>> before = out.values;
        kernels_->value_sums({batch, v.pointers.data(), kOffset, width, p.pointers.data(),
                              keys.data(), rows, out.pointers.data()});
        for (size_t i = 0; i < rows; ++i) {
          std::vector<float> column(keys[i]);
          for (size_t e = 0; e < width; ++e) {
            for (size_t j = 0; j < keys[i]; ++j) column[j] = v.values[j][kOffset + e];
            ASSERT_EQ(out.values[i][e],
                      plain::WeightedSum(p.values[i].data(), column.data(), keys[i], batch))
                << width << ' ' << rows << ' ' << i << ' ' << e;
          }
          ASSERT_EQ(out.values[i][width], before[i][width]);
        }
      }
    }
  }
}

TEST_P(GgmlTest, NormsExponentialsAndRotations) {
  for (const size_t n : {1, 15, 16, 17, 33, 224, 256, 1000}) {
    const std::vector<float> x = Random(n, 5 * n), up = Random(n, 5 * n + 4);
    EXPECT_EQ(kernels_->norm_scale(x.data(), n, 1e-5f), plain::NormScale(x.data(), n, 1e-5f));
    std::vector<float> expected = x, actual = x;
    for (float& v : expected) v *= 30;
    actual = expected;
    plain::Softmax(expected.data(), n, 0.5f);
    kernels_->softmax(actual.data(), n, 0.5f);
    EXPECT_EQ(expected, actual) << n;
    kernels_->swiglu(x.data(), up.data(), n, actual.data());
    for (size_t i = 0; i < n; ++i) EXPECT_EQ(actual[i], plain::SwiGlu(x[i], up[i]));
  }
  // The exponential over its whole range, through silu, and through softmax, where it is the result
  // but for a factor, down to subnormal numbers.
  for (float x = -250; x < 250; x += 0.37f) {
    float y = 0;
    kernels_->silu(&x, 1, &y);
    EXPECT_EQ(y, plain::Silu(x)) << x;
    std::vector<float> expected = {250, x / 2, x, 2 * x - 250}, actual = expected;
    plain::Softmax(expected.data(), 4, 0.5f);
    kernels_->softmax(actual.data(), 4, 0.5f);
    EXPECT_EQ(expected, actual) << x;
  }
  const std::vector<float> x = Random(48, 5), cos = Random(10, 10), sin = Random(10, 15);
  for (const bool halves : {false, true}) {
    std::vector<float> y(48);
    kernels_->rope(x.data(), 2, 24, cos.data(), sin.data(), 10, halves, y.data());
    for (size_t h = 0; h < 2; ++h) {
      for (size_t i = 0; i < 10; ++i) {
        const size_t a = 24 * h + (halves ? i : 2 * i), b = a + (halves ? 10 : 1);
        const float down = x[b] * sin[i], up = x[b] * cos[i];
        EXPECT_EQ(y[a], std::fma(x[a], cos[i], -down));
        EXPECT_EQ(y[b], std::fma(x[a], sin[i], up));
      }
      for (size_t i = 24 * h + 20; i < 24 * h + 24; ++i) EXPECT_EQ(y[i], x[i]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, GgmlTest, ::testing::Values(Isa::kPortable, Isa::kAvx2, Isa::kAvx512),
                         [](const auto& test) {
                           return std::string(test.param == Isa::kPortable ? "Portable"
                                              : test.param == Isa::kAvx2   ? "Avx2"
                                                                           : "Avx512");
                         });

}  // namespace
}  // namespace vernier
