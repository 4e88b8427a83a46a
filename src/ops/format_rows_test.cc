// Ops on rows in a format, against loops that do one exact operation at a time.
#include "ops/format_rows.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

#include "formats/exact_sum.h"
#include "formats/number.h"
#include "ops/format_attention.h"
#include "ops/format_functions.h"
#include "ops/format_product.h"
#include "ops/format_row_ops.h"
#include "ops/format_scan.h"

namespace vernier {
namespace {

struct Case {
  const char* math;
  const char* acc;
};
const Case kCases[] = {{"step:posit32", ""},
                       {"fused:posit32", ""},
                       {"quire:posit32", ""},
                       {"step:bf16", "f32"},
                       {"fused:bf16", "e8m13,round=toward-zero,chunk=16,into=f32"},
                       {"step:f16", "f16,order=kahan"},
                       {"fused:posit16", "posit16,order=pairwise"},
                       {"step:posit16", ""},
                       {"exact", ""},
                       {"quire:e4m3,overflow=saturate", ""},
                       {"step:f32,round=down", ""},
                       {"step:f64", ""},
                       {"fused:e11m20", ""}};

FormatMath MathOf(const Case& c) {
  FormatMath math = ParseFormatMath(c.math).value();
  if (c.acc[0] != '\0') {
    EXPECT_TRUE(ParseSumRules(c.acc, &math));
  }
  return math;
}

std::string NameOf(const Case& c) { return std::string(c.math) + " " + c.acc; }

template <class T>
auto BitsOf(T x) {
  if constexpr (sizeof(T) == 4) {
    return std::bit_cast<uint32_t>(x);
  } else {
    return std::bit_cast<uint64_t>(x);
  }
}

// The definitions, on doubles.
struct Plain {
  FormatMath math;
  RoundSpec r = SpecOf(math.values), operand = OperandSpec(math.values);
  RoundSpec a = math.kind == FormatMathKind::kQuire ? r : SpecOf(math.sum.partial);
  RoundSpec state =
      OperandSpec(math.kind == FormatMathKind::kQuire ? math.values : math.sum.partial);
  double Times(double x, double y) const { return RoundedProduct(r, x, y); }
  double Plus(double x, double y) const { return RoundedSum(r, x, y); }
  double Dot(const std::vector<double>& x, const std::vector<double>& w) const {
    return math.kind == FormatMathKind::kQuire
               ? ExactDot(r, x.data(), 1, w.data(), 1, x.size())
               : FormatDot(math, x.data(), 1, w.data(), 1, x.size());
  }
  double Operand(double x) const { return RoundValue(operand, x); }
  double TwoProducts(double x, double y, double z, double w) const {
    ExactSum sum;
    sum.AddProduct(x, y);
    sum.AddProduct(z, w);
    return sum.Round(r);
  }
};

std::vector<double> Normal(const Plain& plain, size_t n, uint32_t seed, double size = 1) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(0, size);
  std::vector<double> x(n);
  for (double& v : x) v = plain.Operand(normal(random));
  return x;
}

template <class T>
std::vector<T> As(const std::vector<double>& x) {
  return std::vector<T>(x.begin(), x.end());
}

template <class T>
void ExpectRow(const std::vector<double>& right, const T* got, const std::string& what) {
  for (size_t i = 0; i < right.size(); ++i)
    ASSERT_EQ(BitsOf(static_cast<T>(right[i])), BitsOf(got[i]))
        << what << " element " << i << ": " << got[i] << " instead of " << right[i];
}

// Runs check(T{}) with the host's type.
template <class Check>
void WithHost(const FormatMath& math, const Check& check) {
  if (math.host == Arithmetic::kF32) {
    check(float{});
  } else {
    check(double{});
  }
}

std::vector<double> PlainRow(const Plain& p, OpKind op, const OpShape& shape,
                             const std::vector<double>& a, const std::vector<double>& b,
                             const std::vector<double>& weight, const RopeTable& rope,
                             size_t position) {
  std::vector<double> y = a;
  const size_t n = shape.width;
  if (op == OpKind::kNormalise) {
    const double mean = RoundedQuotient(p.r, p.Dot(a, a), static_cast<double>(n));
    const double root = RoundedReciprocalRoot(p.r, p.Plus(mean, p.Operand(shape.eps)));
    for (size_t i = 0; i < n; ++i) y[i] = p.Times(a[i], root);
  }
  for (size_t i = 0; i < n && op != OpKind::kRope; ++i) {
    if (op == OpKind::kMultiply) y[i] = p.Times(a[i], p.Operand(weight[i]));
    if (op == OpKind::kBias) y[i] = p.Plus(a[i], p.Operand(weight[i]));
    if (op == OpKind::kAdd) y[i] = p.Plus(a[i], b[i]);
    if (op == OpKind::kSilu || op == OpKind::kSwiGlu)
      y[i] = p.Times(a[i], RoundedSigmoid(p.r, a[i]));
    if (op == OpKind::kSwiGlu) y[i] = p.Times(y[i], b[i]);
    if (op == OpKind::kSoftplus) y[i] = RoundedSoftplus(p.r, a[i]);
  }
  if (op != OpKind::kRope) return y;
  const size_t pairs = rope.pairs();
  const bool halves = rope.spec().layout == RopeLayout::kHalves;
  for (size_t h = 0; h < shape.heads; ++h)
    for (size_t i = 0; i < pairs; ++i) {
      const size_t at = h * shape.head_dim, f = at + (halves ? i : 2 * i),
                   s = at + (halves ? i + pairs : 2 * i + 1);
      const double cos = p.Operand(rope.Cos<double>(position)[i]),
                   sin = p.Operand(rope.Sin<double>(position)[i]);
      if (p.math.kind == FormatMathKind::kStep) {
        y[f] = p.Plus(p.Times(a[f], cos), -p.Times(a[s], sin));
        y[s] = p.Plus(p.Times(a[s], cos), p.Times(a[f], sin));
      } else if (p.math.kind == FormatMathKind::kFused) {
        y[f] = RoundedFused(p.r, a[f], cos, -p.Times(a[s], sin));
        y[s] = RoundedFused(p.r, a[s], cos, p.Times(a[f], sin));
      } else {
        y[f] = p.TwoProducts(a[f], cos, a[s], -sin);
        y[s] = p.TwoProducts(a[s], cos, a[f], sin);
      }
    }
  return y;
}

TEST(FormatRows, EveryOp) {
  Workers workers(2);
  RopeTable halves({RopeLayout::kHalves, 16, 10000, 1, {}}),
      neighbours({RopeLayout::kNeighbours, 16, 10000, 1, {}});
  for (RopeTable* rope : {&halves, &neighbours}) rope->Extend(8, workers);
  for (const Case& c : kCases) {
    const Plain p{MathOf(c)};
    OpShape shape{.width = 100, .in_width = 100, .eps = 1e-6};
    shape.heads = 5;
    shape.head_dim = 20;
    const std::vector<double> a = Normal(p, 100, 1, 3), b = Normal(p, 100, 2, 2);
    std::vector<double> weight(100);
    for (size_t i = 0; i < weight.size(); ++i) weight[i] = std::sin(static_cast<double>(i));
    for (const OpKind op : {OpKind::kNormalise, OpKind::kMultiply, OpKind::kBias, OpKind::kAdd,
                            OpKind::kSilu, OpKind::kSwiGlu, OpKind::kSoftplus, OpKind::kRope})
      for (RopeTable* rope : {&halves, &neighbours})
        WithHost(p.math, [&](auto zero) {
          using T = decltype(zero);
          const std::vector<T> x = As<T>(a), z = As<T>(b);
          std::vector<T> y(100);
          const T* const in[] = {x.data()};
          const T* const in_b[] = {z.data()};
          T* const out[] = {y.data()};
          const size_t positions[] = {5};
          EvaluateFormatRows<T>({&p.math, op, shape, weight, in, in_b, out, positions, rope},
                                {&BestKernels(), &workers});
          ExpectRow(PlainRow(p, op, shape, a, b, weight, *rope, 5), y.data(),
                    NameOf(c) + " " + Info(op).name);
        });
  }
}

// Scores, softmax and sums of one query, by the header.
std::vector<double> PlainAttention(const Plain& p, const OpShape& shape,
                                   const std::vector<double>& q,
                                   const std::vector<std::vector<double>>& k,
                                   const std::vector<std::vector<double>>& v, size_t keys) {
  std::vector<double> y(shape.width);
  const size_t dim = shape.head_dim, group = shape.heads / shape.kv_heads;
  const double scale = p.Operand(1 / std::sqrt(static_cast<double>(dim)));
  for (size_t h = 0; h < shape.heads; ++h) {
    const size_t at = h / group * dim;
    std::vector<double> e(keys), column(keys);
    const std::vector<double> query(q.begin() + static_cast<long>(h * dim),
                                    q.begin() + static_cast<long>((h + 1) * dim));
    for (size_t j = 0; j < keys; ++j) {
      const std::vector<double> key(k[j].begin() + static_cast<long>(at),
                                    k[j].begin() + static_cast<long>(at + dim));
      e[j] = p.Times(p.Dot(query, key), scale);
    }
    const double most = *std::max_element(e.begin(), e.end());
    for (double& s : e) s = RoundedExp(p.r, p.Plus(s, -most));
    const double sum = p.Dot(e, std::vector<double>(keys, 1.0));
    for (double& s : e) s = RoundedQuotient(p.r, s, sum);
    for (size_t d = 0; d < dim; ++d) {
      for (size_t j = 0; j < keys; ++j) column[j] = v[j][at + d];
      y[h * dim + d] = p.Dot(e, column);
    }
  }
  return y;
}

TEST(FormatRows, Attention) {
  Workers workers(2);
  const OpShape shape{.width = 72, .in_width = 72, .heads = 4, .kv_heads = 2, .head_dim = 18};
  constexpr size_t kTokens = 21;
  for (const Case& c : kCases) {
    const Plain p{MathOf(c)};
    std::vector<std::vector<double>> q, k, v;
    for (uint32_t t = 0; t < kTokens; ++t) {
      q.push_back(Normal(p, 72, 10 + t));
      k.push_back(Normal(p, 36, 50 + t));
      v.push_back(Normal(p, 36, 90 + t));
    }
    WithHost(p.math, [&](auto zero) {
      using T = decltype(zero);
      std::vector<std::vector<T>> rows, results(3, std::vector<T>(72));
      for (const auto* list : {&q, &k, &v})
        for (const auto& row : *list) rows.push_back(As<T>(row));
      const std::vector<size_t> keys = {1, 17, kTokens};
      std::vector<const T*> qs, ks, vs;
      std::vector<T*> out;
      for (size_t i = 0; i < keys.size(); ++i) {
        qs.push_back(rows[keys[i] - 1].data());
        out.push_back(results[i].data());
      }
      for (size_t t = 0; t < kTokens; ++t) {
        ks.push_back(rows[kTokens + t].data());
        vs.push_back(rows[2 * kTokens + t].data());
      }
      // With points inside looked at and without.
      for (const bool inner : {false, true}) {
        AttentionArgs<T> args{shape, qs, keys, ks, vs, out, {}};
        if (inner) args.inner = [](AttentionStage, size_t, T*, size_t) { return true; };
        EvaluateFormatAttention(p.math, args, {&BestKernels(), &workers});
        for (size_t i = 0; i < keys.size(); ++i)
          ExpectRow(PlainAttention(p, shape, q[keys[i] - 1], k, v, keys[i]), results[i].data(),
                    NameOf(c));
      }
    });
  }
}

Panels<double> PanelsOf(const std::vector<double>& values, size_t rows, size_t columns) {
  Panels<double> panels = MakePanels<double>(rows, columns);
  for (size_t p = 0; p < panels.Count(); ++p)
    FillPanel(&panels, p, values.data() + p * kLanes * columns,
              std::min(kLanes, rows - p * kLanes));
  return panels;
}

TEST(FormatRows, Convolution) {
  Workers workers(2);
  constexpr size_t kWidth = 37, kTaps = 4;
  for (const Case& c : kCases) {
    const Plain p{MathOf(c)};
    std::vector<double> weight(kWidth * kTaps);
    for (size_t i = 0; i < weight.size(); ++i) weight[i] = std::cos(static_cast<double>(i));
    const Panels<double> panels = PanelsOf(weight, kWidth, kTaps);
    std::vector<std::vector<double>> x;
    for (uint32_t t = 0; t < 5; ++t) x.push_back(Normal(p, kWidth, t));
    WithHost(p.math, [&](auto zero) {
      using T = decltype(zero);
      std::vector<std::vector<T>> rows, results(5, std::vector<T>(kWidth));
      for (const auto& row : x) rows.push_back(As<T>(row));
      std::vector<const T*> in;
      std::vector<T*> out;
      for (size_t t = 0; t < 5; ++t) {
        for (size_t i = 0; i < kTaps; ++i)
          in.push_back(t + i + 1 < kTaps ? nullptr : rows[t + i + 1 - kTaps].data());
        out.push_back(results[t].data());
      }
      OpShape shape{.width = kWidth, .in_width = kWidth};
      shape.taps = kTaps;
      EvaluateFormatConvolution<T>({&p.math, shape, &panels, in, out}, {&BestKernels(), &workers});
      for (size_t t = 0; t < 5; ++t) {
        std::vector<double> right(kWidth);
        for (size_t channel = 0; channel < kWidth; ++channel) {
          std::vector<double> terms(kTaps), w(kTaps);
          for (size_t i = 0; i < kTaps; ++i) {
            terms[i] = t + i + 1 < kTaps ? 0 : x[t + i + 1 - kTaps][channel];
            w[i] = p.Operand(weight[channel * kTaps + i]);
          }
          right[channel] = p.Dot(terms, w);
        }
        ExpectRow(right, results[t].data(), NameOf(c));
      }
    });
  }
}

// Every channel with rates of its own, or heads of channels with one; B and C by groups.
void TestScan(size_t width, size_t heads, size_t groups) {
  Workers workers(2);
  constexpr size_t kStates = 6, kTokens = 7;
  const size_t steps = heads > 0 ? heads : width, columns = heads > 0 ? 1 : kStates;
  for (const Case& c : kCases) {
    const Plain p{MathOf(c)};
    std::vector<double> rates(steps * columns);
    for (size_t i = 0; i < rates.size(); ++i) rates[i] = -0.1 - static_cast<double>(i % 7) / 3;
    const Panels<double> panels = PanelsOf(rates, steps, columns);
    std::vector<std::vector<double>> dt, x, b, cs, right_y, right_h;
    for (uint32_t t = 0; t < kTokens; ++t) {
      dt.push_back(Normal(p, steps, t));
      for (double& v : dt.back()) v = std::abs(v);
      x.push_back(Normal(p, width, 20 + t));
      b.push_back(Normal(p, groups * kStates, 40 + t));
      cs.push_back(Normal(p, groups * kStates, 60 + t));
    }
    std::vector<double> h(width * kStates);
    for (size_t t = 0; t < kTokens; ++t) {
      std::vector<double> y(width);
      for (size_t channel = 0; channel < width; ++channel) {
        std::vector<double> read(kStates);
        const size_t row = heads > 0 ? channel / (width / heads) : channel,
                     group = channel / (width / groups) * kStates;
        for (size_t n = 0; n < kStates; ++n) {
          double& state = h[channel * kStates + n];
          const double a =
              RoundedExp(p.r, p.Times(dt[t][row], p.Operand(rates[row * columns + n % columns])));
          const double u = p.Times(dt[t][row], x[t][channel]);
          if (p.math.kind == FormatMathKind::kStep)
            state = RoundedSum(p.a, p.Times(a, state), p.Times(u, b[t][group + n]));
          else if (p.math.kind == FormatMathKind::kFused)
            state = RoundedFused(p.a, a, state, p.Times(u, b[t][group + n]));
          else
            state = p.TwoProducts(a, state, u, b[t][group + n]);
          read[n] = p.Operand(state);
        }
        const auto at = cs[t].begin() + static_cast<std::ptrdiff_t>(group);
        y[channel] = p.Dot(std::vector<double>(at, at + kStates), read);
      }
      right_y.push_back(y);
      right_h.push_back(h);
    }
    WithHost(p.math, [&](auto zero) {
      using T = decltype(zero);
      std::vector<std::vector<T>> rows;
      for (const auto* list : {&dt, &x, &b, &cs})
        for (const auto& row : *list) rows.push_back(As<T>(row));
      // In one piece, with treatments that change nothing, and cut in two.
      for (const int way : {0, 1, 2}) {
        std::vector<std::vector<T>> y(kTokens, std::vector<T>(width)),
            kept(kTokens, std::vector<T>(width * kStates));
        std::vector<ScanSequence<T>> sequences(way == 2 ? 2 : 1);
        for (size_t t = 0; t < kTokens; ++t) {
          ScanSequence<T>& s = sequences[way == 2 && t >= 3 ? 1 : 0];
          s.dt.push_back(rows[t].data());
          s.x.push_back(rows[kTokens + t].data());
          s.b.push_back(rows[2 * kTokens + t].data());
          s.c.push_back(rows[3 * kTokens + t].data());
          s.y.push_back(y[t].data());
          s.kept.push_back(way == 0 && t % 2 == 0 ? nullptr : kept[t].data());
        }
        if (way == 2) {
          sequences[1].start = kept[2].data();
          sequences[1].after = 0;
        }
        OpShape shape{.width = width, .in_width = width};
        shape.states = kStates;
        shape.heads = heads;
        shape.groups = groups;
        FormatScanArgs<T> args{&p.math, shape, &panels, sequences};
        if (way == 1) args.treat = [](size_t, size_t, T*) {};
        EvaluateFormatScan<T>(args, {&BestKernels(), &workers});
        for (size_t t = 0; t < kTokens; ++t) {
          ExpectRow(right_y[t], y[t].data(), NameOf(c) + " y");
          if (sequences[0].kept.size() > t && sequences[0].kept[t] == nullptr) continue;
          ExpectRow(right_h[t], kept[t].data(), NameOf(c) + " state");
        }
      }
    });
  }
}

TEST(FormatRows, Scan) { TestScan(83, 0, 1); }

TEST(FormatRows, ScanOfHeads) {
  TestScan(84, 6, 2);  // a head and a group end inside sixteen channels
  TestScan(130, 2, 1);
}

// A norm by groups is the norm of each run by itself.
TEST(FormatRows, NormsByGroups) {
  Workers workers(1);
  for (const Case& c : kCases) {
    const Plain p{MathOf(c)};
    WithHost(p.math, [&](auto zero) {
      using T = decltype(zero);
      const std::vector<T> x = As<T>(Normal(p, 60, 3));
      std::vector<T> y(60), right(60);
      const auto run = [&](size_t groups, size_t n, const T* in, T* out) {
        OpShape shape{.width = n, .in_width = n, .eps = 1e-3};
        shape.groups = groups;
        const T* const a[] = {in};
        T* const to[] = {out};
        EvaluateFormatRows<T>({&p.math, OpKind::kNormalise, shape, {}, a, {}, to, {}, nullptr},
                              {&BestKernels(), &workers});
      };
      run(3, 60, x.data(), y.data());
      for (size_t i = 0; i < 60; i += 20) run(1, 20, x.data() + i, right.data() + i);
      EXPECT_EQ(y, right) << NameOf(c);
    });
  }
}

}  // namespace
}  // namespace vernier
