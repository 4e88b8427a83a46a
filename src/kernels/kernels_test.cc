// Every instruction set this machine runs, against kernels/reference.h, bit for bit; and exp
// against MPFR.
#include "kernels/kernels.h"

#include <gtest/gtest.h>
#include <mpfr.h>

#include <cstring>
#include <random>
#include <vector>

#include "kernels/panels.h"
#include "kernels/reference.h"

namespace vernier {
namespace {

template <class T>
std::vector<T> Random(size_t n, uint64_t seed, double spread = 1) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> normal;
  std::vector<T> x(n);
  for (T& v : x) v = static_cast<T>(normal(engine) * spread);
  return x;
}

template <class T>
bool SameBits(const T* a, const T* b, size_t n) {
  return std::memcmp(a, b, n * sizeof(T)) == 0;
}

class KernelsTest : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    kernels_ = KernelsFor(GetParam());
    if (kernels_ == nullptr) GTEST_SKIP() << "this machine cannot run it";
  }
  const Kernels* kernels_ = nullptr;
};

// Weights that are not float32 numbers; packed ones are in packed_kernels_test.cc.
void TestWideMatMul(const Kernels& kernels, size_t outputs, size_t k, size_t n) {
  const std::vector<double> weights = Random<double>(outputs * k, outputs + k);
  const std::vector<double> x = Random<double>(n * k, n);
  Panels<double> panels = MakePanels<double>(outputs, k);
  for (size_t p = 0; p < panels.Count(); ++p)
    FillPanel(&panels, p, weights.data() + p * kLanes * k, std::min(kLanes, outputs - p * kLanes));
  std::vector<double> y(n * outputs, -7);
  std::vector<const double*> in;
  std::vector<double*> out;
  for (size_t j = 0; j < n; ++j) {
    in.push_back(x.data() + j * k);
    out.push_back(y.data() + j * outputs);
  }
  const size_t middle = panels.Count() / 2;  // two calls, as two threads would make them
  kernels.matmul_f64_wide({panels.data.data(), k, outputs, 0, middle, in.data(), n, out.data()});
  kernels.matmul_f64_wide(
      {panels.data.data(), k, outputs, middle, panels.Count(), in.data(), n, out.data()});
  for (size_t j = 0; j < n; ++j) {
    for (size_t o = 0; o < outputs; ++o) {
      const double expected = reference::Dot<double>([&](size_t i) { return weights[o * k + i]; },
                                                     [&](size_t i) { return x[j * k + i]; }, k);
      ASSERT_TRUE(SameBits(&expected, &y[j * outputs + o], 1))
          << "row " << j << " output " << o << " of " << outputs << "x" << k;
    }
  }
}

TEST_P(KernelsTest, WideMatMulIsOneChainInBlocks) {
  for (const auto& [outputs, k] :
       {std::pair<size_t, size_t>{16, 256}, {37, 224}, {70, 600}, {5, 1}, {128, 513}})
    for (const size_t n : {1, 2, 3, 5, 7, 13, 25}) TestWideMatMul(*kernels_, outputs, k, n);
  for (size_t n = 1; n <= 24; ++n)  // every tile of every instruction set
    TestWideMatMul(*kernels_, 70, 300, n);
  TestWideMatMul(*kernels_, 20, 300, 300);  // more rows than pass over a panel at once
}

template <class T>
void TestRows(const RowKernels<T>& k) {
  for (const size_t n : {1, 15, 16, 17, 224, 256, 1000}) {
    const std::vector<T> x = Random<T>(n, n), u = Random<T>(n, n + 1),
                         wide = Random<T>(n, n + 2, 30);
    std::vector<T> y(n), expected(n);
    k.normalise(x.data(), n, T(1e-6), y.data());
    reference::Normalise(x.data(), n, T(1e-6), expected.data());
    EXPECT_TRUE(SameBits(y.data(), expected.data(), n)) << "normalise " << n;
    k.swiglu(wide.data(), u.data(), n, y.data());
    for (size_t i = 0; i < n; ++i) expected[i] = reference::SwiGlu(wide[i], u[i]);
    EXPECT_TRUE(SameBits(y.data(), expected.data(), n)) << "swiglu " << n;
    y = expected = wide;
    k.softmax(y.data(), n, T(0.3));
    reference::Softmax(expected.data(), n, T(0.3));
    EXPECT_TRUE(SameBits(y.data(), expected.data(), n)) << "softmax " << n;
    k.silu(wide.data(), n, y.data());
    for (size_t i = 0; i < n; ++i) expected[i] = reference::Silu(wide[i]);
    EXPECT_TRUE(SameBits(y.data(), expected.data(), n)) << "silu " << n;
    k.softplus(wide.data(), n, y.data());
    for (size_t i = 0; i < n; ++i) expected[i] = static_cast<T>(reference::Softplus(wide[i]));
    EXPECT_TRUE(SameBits(y.data(), expected.data(), n)) << "softplus " << n;
    k.multiply(x.data(), u.data(), n, y.data());
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(y[i], x[i] * u[i]);
    k.add(x.data(), u.data(), n, y.data());
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(y[i], x[i] + u[i]);
  }
}

TEST_P(KernelsTest, RowsEqualTheReference) {
  TestRows<float>(kernels_->f32);
  TestRows<double>(kernels_->f64);
}

template <class T>
std::vector<const T*> RowsOf(const std::vector<T>& values, size_t width) {
  std::vector<const T*> rows;
  for (size_t at = 0; at < values.size(); at += width) rows.push_back(values.data() + at);
  return rows;
}

// Both products of attention on packed keys and values: every tile, rows of different numbers of
// terms, blocks added to earlier ones.
template <class T>
void TestScores(const RowKernels<T>& kernels, size_t keys, size_t column, size_t head_dim,
                size_t n) {
  const size_t width = column + head_dim + 3, padded = (keys + kLanes - 1) / kLanes * kLanes;
  const std::vector<T> q = Random<T>(n * head_dim, n), k = Random<T>(keys * width, keys);
  std::vector<T> panels(padded * head_dim), scores(n * padded, T{-7});
  const std::vector<const T*> ks = RowsOf(k, width), qs = RowsOf(q, head_dim);
  std::vector<T*> ys;
  for (size_t r = 0; r < n; ++r) ys.push_back(scores.data() + r * padded);
  kernels.pack_keys(ks.data(), column, keys, head_dim, panels.data());
  kernels.chains({panels.data(), head_dim * kLanes, padded, head_dim, qs.data(), nullptr, n,
                  ys.data(), false});
  for (size_t r = 0; r < n; ++r) {
    for (size_t j = 0; j < keys; ++j) {
      const T expected = reference::Dot<T>([&](size_t i) { return ks[j][column + i]; },
                                           [&](size_t i) { return qs[r][i]; }, head_dim);
      ASSERT_TRUE(SameBits(&expected, &ys[r][j], 1)) << n << " rows, row " << r << " key " << j;
    }
  }
}

template <class T>
void TestWeightedSums(const RowKernels<T>& kernels, size_t keys, size_t column, size_t head_dim,
                      size_t n) {
  const size_t width = column + head_dim + 3, padded = (head_dim + kLanes - 1) / kLanes * kLanes;
  const std::vector<T> p = Random<T>(n * keys, n), v = Random<T>(keys * width, keys);
  std::vector<T> panels(padded * kBlock), out(n * head_dim, T{-7});
  const std::vector<const T*> vs = RowsOf(v, width);
  std::vector<T*> ys;
  std::vector<size_t> seen;  // row r sees the first of the keys, the last row all
  for (size_t r = 0; r < n; ++r) {
    ys.push_back(out.data() + r * head_dim);
    seen.push_back(keys - std::min(keys - 1, n - 1 - r));
  }
  for (size_t at = 0; at < keys; at += kBlock) {
    const size_t block = std::min(kBlock, keys - at);
    std::vector<const T*> xs;
    std::vector<size_t> terms;
    for (size_t r = 0; r < n; ++r) {
      xs.push_back(p.data() + r * keys + at);
      terms.push_back(std::min(kBlock, seen[r] - std::min(seen[r], at)));
    }
    kernels.pack_values(vs.data() + at, column, block, head_dim, panels.data());
    kernels.chains({panels.data(), kBlock * kLanes, head_dim, block, xs.data(), terms.data(), n,
                    ys.data(), at > 0});
  }
  for (size_t r = 0; r < n; ++r) {
    for (size_t d = 0; d < head_dim; ++d) {
      const T expected = reference::Dot<T>([&](size_t j) { return vs[j][column + d]; },
                                           [&](size_t j) { return p[r * keys + j]; }, seen[r]);
      ASSERT_TRUE(SameBits(&expected, &ys[r][d], 1)) << n << " rows, row " << r << " element " << d;
    }
  }
}

template <class T>
void TestAttention(const RowKernels<T>& kernels) {
  for (size_t n = 1; n <= 26; ++n) {  // every tile of every instruction set
    TestScores(kernels, 70, 5, 20, n);
    TestWeightedSums(kernels, 70, 5, 37, n);
    TestWeightedSums(kernels, 259, 0, 32, n);  // rows that end in different blocks
  }
  TestScores(kernels, 16, 0, 300, 3);  // a chain in two blocks
  TestScores(kernels, 256, 0, 64, 48);
  TestWeightedSums(kernels, 600, 3, 64, 48);
}

TEST_P(KernelsTest, AttentionEqualsTheReference) {
  TestAttention<float>(kernels_->f32);
  TestAttention<double>(kernels_->f64);
}

template <class T>
void TestRope(const RowKernels<T>& kernels) {
  const size_t heads = 3, head_dim = 12, pairs = 5;
  const std::vector<T> x = Random<T>(heads * head_dim, 4), cos = Random<T>(pairs, 5),
                       sin = Random<T>(pairs, 6);
  std::vector<T> y(x.size());
  for (const bool halves : {false, true}) {
    (halves ? kernels.rope_halves : kernels.rope_neighbours)(x.data(), heads, head_dim, cos.data(),
                                                             sin.data(), pairs, y.data());
    for (size_t h = 0; h < heads; ++h) {
      const T* in = x.data() + h * head_dim;
      const T* out = y.data() + h * head_dim;
      for (size_t i = 0; i < pairs; ++i) {
        const size_t a = halves ? i : 2 * i, b = halves ? i + pairs : 2 * i + 1;
        EXPECT_EQ(out[a], in[a] * cos[i] - in[b] * sin[i]);
        EXPECT_EQ(out[b], in[b] * cos[i] + in[a] * sin[i]);
      }
      for (size_t i = 2 * pairs; i < head_dim; ++i) EXPECT_EQ(out[i], in[i]);
    }
  }
}

TEST_P(KernelsTest, RopeRotatesPairs) {
  TestRope<float>(kernels_->f32);
  TestRope<double>(kernels_->f64);
}

template <class T>
Panels<T> PanelsOf(const std::vector<T>& weights, size_t outputs, size_t k) {
  Panels<T> panels = MakePanels<T>(outputs, k);
  for (size_t p = 0; p < panels.Count(); ++p)
    FillPanel(&panels, p, weights.data() + p * kLanes * k, std::min(kLanes, outputs - p * kLanes));
  return panels;
}

template <class T>
void TestConvolution(const RowKernels<T>& kernels, size_t width, size_t taps) {
  const std::vector<T> weights = Random<T>(width * taps, 7), rows = Random<T>(width * taps, 8);
  const Panels<T> panels = PanelsOf(weights, width, taps);
  std::vector<const T*> x = RowsOf(rows, width);
  for (size_t missing = 0; missing <= taps; ++missing) {
    if (missing > 0) x[missing - 1] = nullptr;
    std::vector<T> y(width, T{-7});
    kernels.convolve(panels.data.data(), x.data(), taps, width, y.data());
    for (size_t c = 0; c < width; ++c) {
      const T expected = reference::Convolve(weights.data() + c * taps, x.data(), taps, c);
      ASSERT_TRUE(SameBits(&expected, &y[c], 1)) << width << " " << taps << " channel " << c;
    }
  }
}

TEST_P(KernelsTest, ConvolutionEqualsTheReference) {
  for (const size_t width : {1, 16, 37, 512}) {
    TestConvolution<float>(kernels_->f32, width, 4);
    TestConvolution<double>(kernels_->f64, width, 4);
  }
  TestConvolution<float>(kernels_->f32, 20, 300);  // more than a block
}

struct OpSizes {
  size_t width, states, heads, groups, tokens;
};

// A sequence in one call, and in two with the state carried in memory.
template <class T>
void TestScan(const RowKernels<T>& kernels, size_t width, size_t states, size_t tokens) {
  std::vector<T> a = Random<T>(width * states, 1, 3), dt = Random<T>(width * tokens, 2, 0.3);
  for (T& v : a) v = -std::abs(v);
  for (T& v : dt) v = std::abs(v);
  const std::vector<T> x = Random<T>(width * tokens, 3), b = Random<T>(states * tokens, 4),
                       c = Random<T>(states * tokens, 5);
  const Panels<T> panels = PanelsOf(a, width, states);
  const auto dts = RowsOf(dt, width), xs = RowsOf(x, width), bs = RowsOf(b, states),
             cs = RowsOf(c, states);
  std::vector<T> y(width * tokens), kept(width * states * tokens), scratch(states * kLanes),
      read(width);
  std::vector<T*> ys, keep;
  for (size_t t = 0; t < tokens; ++t) {
    ys.push_back(y.data() + t * width);
    keep.push_back(kept.data() + t * width * states);
  }
  const size_t middle = tokens / 2, half = panels.Count() / 2;
  const auto run = [&](size_t t0, size_t t1, size_t p0, size_t p1, const T* start) {
    kernels.scan({panels.data.data(), width, states, p0, p1, t1 - t0, dts.data() + t0,
                  xs.data() + t0, bs.data() + t0, cs.data() + t0, start, keep.data() + t0,
                  ys.data() + t0, scratch.data()});
  };
  run(0, middle, half, panels.Count(), nullptr);
  run(0, middle, 0, half, nullptr);
  run(middle, tokens, 0, panels.Count(), middle == 0 ? nullptr : keep[middle - 1]);
  std::vector<T> h(width * states);
  for (size_t t = 0; t < tokens; ++t) {
    kernels.read_state(keep[t], cs[t], states, width, 1, read.data(), scratch.data());
    for (size_t i = 0; i < width; ++i) {
      const T expected = reference::ScanStep(a.data() + i * states, dts[t][i], xs[t][i], bs[t],
                                             cs[t], states, h.data() + i * states);
      ASSERT_TRUE(SameBits(&expected, &ys[t][i], 1)) << "token " << t << " channel " << i;
      ASSERT_TRUE(SameBits(&expected, &read[i], 1)) << "token " << t << " channel " << i;
    }
    ASSERT_TRUE(SameBits(h.data(), keep[t], h.size())) << "token " << t;
  }
  keep.assign(tokens, nullptr);  // nothing kept, only the last token read
  std::vector<T*> last(tokens, nullptr);
  last.back() = read.data();
  kernels.scan({panels.data.data(), width, states, 0, panels.Count(), tokens, dts.data(), xs.data(),
                bs.data(), cs.data(), nullptr, keep.data(), last.data(), scratch.data()});
  EXPECT_TRUE(SameBits(read.data(), ys.back(), width));
}

// With heads or without, in chunks or without, a text cut anywhere.
template <class T>
void TestScanOrder(const RowKernels<T>& kernels, const OpSizes& s, size_t chunk) {
  const size_t channels = s.heads > 0 ? s.width / s.heads : 1,
               steps = s.heads > 0 ? s.heads : s.width, of_group = s.groups * s.states,
               size = s.width * s.states, blocks = chunk > 0 ? 4 : 1;
  const size_t rows = s.heads > 0 ? s.heads : s.width, columns = s.heads > 0 ? 1 : s.states;
  std::vector<T> a = Random<T>(rows * columns, 1, 3), dt = Random<T>(steps * s.tokens, 2, 0.3);
  for (T& v : a) v = -std::abs(v);
  for (T& v : dt) v = std::abs(v);
  const std::vector<T> x = Random<T>(s.width * s.tokens, 3), b = Random<T>(of_group * s.tokens, 4),
                       c = Random<T>(of_group * s.tokens, 5);
  const Panels<T> panels = PanelsOf(a, rows, columns);
  const auto dts = RowsOf(dt, steps), xs = RowsOf(x, s.width), bs = RowsOf(b, of_group),
             cs = RowsOf(c, of_group);
  std::vector<T> y(s.width * s.tokens), kept(blocks * size * s.tokens), read(s.width),
      scratch(4 * s.states * kLanes);
  std::vector<T*> ys, keep;
  for (size_t t = 0; t < s.tokens; ++t) {
    ys.push_back(y.data() + t * s.width);
    keep.push_back(kept.data() + t * blocks * size);
  }
  const size_t last = s.groups * ((s.width / s.groups + kLanes - 1) / kLanes), half = last / 3;
  const auto run = [&](size_t t0, size_t t1, size_t p0, size_t p1, const T* start) {
    kernels.scan({panels.data.data(), s.width, s.states, p0, p1, t1 - t0, dts.data() + t0,
                  xs.data() + t0, bs.data() + t0, cs.data() + t0, start, keep.data() + t0,
                  ys.data() + t0, scratch.data(), s.heads, s.groups, chunk, t0});
  };
  const size_t cut = s.tokens / 3;
  run(0, cut, half, last, nullptr);
  run(0, cut, 0, half, nullptr);
  run(cut, s.tokens, 0, last, cut == 0 ? nullptr : keep[cut - 1]);
  std::vector<reference::ChunkedState<T>> chunked(s.width);
  std::vector<T> h(size), zeros(s.states);
  for (auto& of : chunked) of = {zeros, zeros, zeros, zeros};
  for (size_t t = 0; t < s.tokens; ++t) {
    kernels.read_state(keep[t], cs[t], s.states, s.width, s.groups, read.data(), scratch.data());
    for (size_t i = 0; i < s.width; ++i) {
      const size_t row = i / channels, group = i / (s.width / s.groups) * s.states;
      const T *const rate = a.data() + row * columns, *const bt = bs[t] + group,
                     *const ct = cs[t] + group;
      const size_t stride = s.heads > 0 ? 0 : 1;
      T expected;
      if (chunk > 0) {
        expected = reference::ChunkedScanStep(rate, stride, dts[t][row], xs[t][i], bt, ct, s.states,
                                              t % chunk == 0, &chunked[i]);
        const std::vector<T>* const parts[] = {&chunked[i].h, &chunked[i].base, &chunked[i].p,
                                               &chunked[i].l};
        for (size_t q = 0; q < 4; ++q)
          ASSERT_TRUE(SameBits(parts[q]->data(), keep[t] + q * size + i * s.states, s.states))
              << "token " << t << " channel " << i << " part " << q;
      } else {
        expected = reference::ScanStep(rate, dts[t][row], xs[t][i], bt, ct, s.states,
                                       h.data() + i * s.states, stride);
      }
      ASSERT_TRUE(SameBits(&expected, &ys[t][i], 1)) << "token " << t << " channel " << i;
      ASSERT_TRUE(SameBits(&expected, &read[i], 1)) << "token " << t << " channel " << i;
    }
    if (chunk == 0) {
      ASSERT_TRUE(SameBits(h.data(), keep[t], size)) << "token " << t;
    }
  }
}

TEST_P(KernelsTest, ScanOfHeadsAndInChunksEqualsTheReference) {
  const OpSizes sizes[] = {{.width = 192, .states = 24, .heads = 3, .groups = 1, .tokens = 9},
                           {.width = 160, .states = 7, .heads = 8, .groups = 2, .tokens = 8},
                           {.width = 30, .states = 5, .heads = 6, .groups = 3, .tokens = 6},
                           {.width = 32, .states = 300, .heads = 2, .groups = 1, .tokens = 4},
                           {.width = 37, .states = 6, .heads = 0, .groups = 1, .tokens = 8}};
  for (const OpSizes& s : sizes) {
    for (const size_t chunk : {0, 1, 3, 64}) {
      SCOPED_TRACE(testing::Message() << s.width << " wide, chunk " << chunk);
      TestScanOrder<float>(kernels_->f32, s, chunk);
      TestScanOrder<double>(kernels_->f64, s, chunk);
    }
  }
}

TEST_P(KernelsTest, ScanEqualsTheReference) {
  TestScan<float>(kernels_->f32, 512, 16, 9);
  TestScan<float>(kernels_->f32, 37, 5, 6);
  TestScan<float>(kernels_->f32, 20, 300, 3);  // more than a block of states
  TestScan<double>(kernels_->f64, 100, 16, 7);
  TestScan<double>(kernels_->f64, 3, 1, 1);
}

TEST_P(KernelsTest, SoftplusIsWithinFourUlp) {
  std::vector<double> x = {0.0, -0.0, 20.0, 1e300, -700.0, -750.0, INFINITY, -INFINITY};
  for (int i = -60000; i <= 3000; i += 7) x.push_back(i / 100.0 + 1e-7 * (i % 13));
  std::vector<double> y(x.size());
  kernels_->f64.softplus(x.data(), x.size(), y.data());
  mpfr_t e, right;
  mpfr_inits2(200, e, right, nullptr);
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(y[i], reference::Softplus(x[i])) << x[i];
    if (x[i] > 20) {
      EXPECT_EQ(y[i], x[i]);
      continue;
    }
    mpfr_set_d(e, x[i], MPFR_RNDN);
    mpfr_exp(e, e, MPFR_RNDN);
    mpfr_log1p(right, e, MPFR_RNDN);
    const double nearest = mpfr_get_d(right, MPFR_RNDN);
    const double ulp = std::max(std::nextafter(nearest, INFINITY) - nearest, 0x1p-1074);
    mpfr_sub_d(right, right, y[i], MPFR_RNDN);
    EXPECT_LE(std::abs(mpfr_get_d(right, MPFR_RNDN)), 4 * ulp) << x[i];
  }
  mpfr_clears(e, right, nullptr);
  double nan = NAN;
  kernels_->f64.softplus(&nan, 1, &nan);
  EXPECT_TRUE(std::isnan(nan));
}

TEST_P(KernelsTest, ExpIsWithinOneUlp) {
  std::vector<double> x = {0.0,    -0.0,   1.0,    -1.0,   709.78,  709.79,   1000.0,
                           -708.5, -740.0, -745.2, -746.0, -1000.0, INFINITY, -INFINITY};
  for (int i = -74000; i <= 70900; i += 7) x.push_back(i / 100.0 + 1e-7 * (i % 13));
  std::vector<double> y(x.size());
  kernels_->exp_f64(x.data(), x.size(), y.data());
  mpfr_t e;
  mpfr_init2(e, 200);
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(y[i], reference::Exp(x[i])) << x[i];
    mpfr_set_d(e, x[i], MPFR_RNDN);
    mpfr_exp(e, e, MPFR_RNDN);
    const double right = mpfr_get_d(e, MPFR_RNDN);
    if (std::isinf(right) || right == 0) {
      EXPECT_EQ(y[i], right) << x[i];
      continue;
    }
    const double ulp = std::max(std::nextafter(right, INFINITY) - right, 0x1p-1074);
    mpfr_sub_d(e, e, y[i], MPFR_RNDN);
    EXPECT_LE(std::abs(mpfr_get_d(e, MPFR_RNDN)), ulp) << x[i];
  }
  mpfr_clear(e);
  double nan = NAN;
  kernels_->exp_f64(&nan, 1, &nan);
  EXPECT_TRUE(std::isnan(nan));
}

// The exponential of float32 nodes, before it is rounded to float32.
TEST(ShortExp, IsWithinTwoToTheMinus36) {
  mpfr_t e;
  mpfr_init2(e, 200);
  for (int i = -10400; i <= 8900; ++i) {
    const double x = static_cast<float>(i / 100.0 + 1e-5 * (i % 13));
    mpfr_set_d(e, x, MPFR_RNDN);
    mpfr_exp(e, e, MPFR_RNDN);
    const double right = mpfr_get_d(e, MPFR_RNDN);
    EXPECT_LE(std::abs(reference::ShortExp(x) - right), std::ldexp(right, -36)) << x;
  }
  mpfr_clear(e);
  EXPECT_EQ(reference::ShortExp(0), 1);
  EXPECT_EQ(static_cast<float>(reference::ShortExp(-INFINITY)), 0);
  EXPECT_EQ(static_cast<float>(reference::ShortExp(INFINITY)), INFINITY);
}

// Which the softmax of every instruction set uses, special values included.
TEST_P(KernelsTest, SoftmaxOfSpecialValues) {
  std::vector<float> p = {0, -103, -104.5f, -1000, -INFINITY, -0.0f}, expected = p;
  kernels_->f32.softmax(p.data(), p.size(), 1);
  reference::Softmax(expected.data(), expected.size(), 1.0f);
  EXPECT_TRUE(SameBits(p.data(), expected.data(), p.size()));
  EXPECT_EQ(p[3], 0);
  EXPECT_EQ(p[4], 0);
  p = {1, NAN, 2};
  kernels_->f32.softmax(p.data(), p.size(), 1);
  for (const float v : p) EXPECT_TRUE(std::isnan(v));
}

// Quotients by way of a reciprocal are those of a division: many sums, and scores down to where the
// division itself is used.
TEST_P(KernelsTest, SoftmaxDivides) {
  for (size_t n = 1; n < 400; ++n)
    for (const float width : {0.01f, 3.0f, 50.0f, 100.0f}) {
      std::vector<float> p = Random<float>(n, n + 7, width), expected = p;
      kernels_->f32.softmax(p.data(), n, 0.7f);
      reference::Softmax(expected.data(), n, 0.7f);
      ASSERT_TRUE(SameBits(p.data(), expected.data(), n)) << n << " scores, " << width;
    }
}

TEST_P(KernelsTest, SumExp) {
  const std::vector<float> x = Random<float>(1003, 8, 5);
  const double expected = reference::LaneSum<double>(
      x.size(), [&](size_t i, double lane) { return lane + reference::Exp(x[i] - 3.0); });
  EXPECT_EQ(kernels_->sum_exp_f32(x.data(), x.size(), 3.0), expected);
  const std::vector<double> wide(x.begin(), x.end());
  EXPECT_EQ(kernels_->sum_exp_f64(wide.data(), wide.size(), 3.0), expected);
}

INSTANTIATE_TEST_SUITE_P(Every, KernelsTest,
                         ::testing::Values(Isa::kPortable, Isa::kAvx2, Isa::kAvx512),
                         [](const auto& test) {
                           return std::string(test.param == Isa::kPortable ? "portable"
                                              : test.param == Isa::kAvx2   ? "avx2"
                                                                           : "avx512");
                         });

}  // namespace
}  // namespace vernier
