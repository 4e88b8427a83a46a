#include "ops/format_product.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/result.h"
#include "ops/format_dot.h"
#include "ops/format_weights.h"

namespace vernier {
namespace {

// Formats that float32 does for: twice their precision and two bits more is what it has, so that
// rounding twice to nearest is rounding once (Figueroa 1995), and their numbers are its normal ones
// or where it has all that they have. Of posits the sum is what takes an argument
// (docs/arithmetic.md).
bool HostedByFloat(const Format& format) {
  constexpr int kMost = 11, kEmin = -126, kEmax = 127;
  if (format.kind == FormatKind::kPosit) return format.bits <= 16 && format.es == 2;
  return format.precision <= kMost && format.emin >= kEmin && format.emax <= kEmax;
}

bool IsFloat(const Format& format) {
  return format.kind == FormatKind::kFloat && format.precision == 24 && format.emin == -126 &&
         format.has_infinity && format.has_subnormals && format.emax == 127;
}

}  // namespace

Arithmetic FormatMathHost(const FormatMath& math) {
  const Format& values = math.values.format;
  // What partial sums are is of no matter to exact sums.
  const bool sums = math.kind != FormatMathKind::kQuire;
  const Format& partial = sums ? math.sum.partial.format : values;
  const Format& into = sums && math.sum.chunk != 0 ? math.sum.into.format : partial;
  const bool f32 = (HostedByFloat(values) || IsFloat(values)) &&
                   (IsFloat(partial) || (HostedByFloat(partial) && !IsFloat(values))) &&
                   (IsFloat(into) || (HostedByFloat(into) && !IsFloat(partial)));
  return f32 ? Arithmetic::kF32 : Arithmetic::kF64;
}

RoundSpec SpecOf(const FormatRounding& r) {
  return MakeRoundSpec(r.format, r.rounding, r.overflow, r.flush);
}

template <class T>
T FormatDot(const FormatMath& math, const T* x, size_t x_stride, const T* w, size_t w_stride,
            size_t n) {
  const FormatRules rules = MakeFormatRules(math);
  return static_cast<T>(FormatDotOf(rules, n, [&](size_t i) {
    return FormatTerm{static_cast<double>(x[i * x_stride]), static_cast<double>(w[i * w_stride])};
  }));
}

template <class T>
void EvaluateFormatChains(const FormatChainsArgs<T>& args, const Kernels&) {
  const FormatRules rules = MakeFormatRules(*args.math);
  for (size_t r = 0; r < args.y.size(); ++r) {
    const size_t terms = args.terms.empty() ? args.k : args.terms[r];
    for (size_t o = 0; o < args.outputs; ++o) {
      const T* w = args.panels + o / kLanes * args.panel_stride + o % kLanes;
      args.y[r][o] = static_cast<T>(FormatDotOf(rules, terms, [&](size_t i) {
        return FormatTerm{static_cast<double>(args.x[r][i]), static_cast<double>(w[i * kLanes])};
      }));
    }
  }
}

template <class T>
void EvaluateFormatProduct(const FormatProductArgs<T>& args, const Machine& machine) {
  RoundSpec to_nearest = SpecOf(args.math->values);
  to_nearest.rounding = Rounding::kNearestEven;
  const size_t panels = (args.outputs + kLanes - 1) / kLanes;
  machine.workers->For(panels, 1, [&](size_t first, size_t last) {
    FormatWeights<T> weights(args.matrix, args.wide_matrix, to_nearest, *machine.kernels);
    AlignedArray<T> panel(args.k * kLanes);
    std::vector<T*> y(args.y.size());
    for (size_t p = first; p < last; ++p) {
      weights.Load(p, 0, args.k, panel.data());
      for (size_t r = 0; r < y.size(); ++r) y[r] = args.y[r] + p * kLanes;
      EvaluateFormatChains<T>({args.math,
                               panel.data(),
                               0,
                               std::min(kLanes, args.outputs - p * kLanes),
                               args.k,
                               args.x,
                               {},
                               y},
                              *machine.kernels);
    }
  });
}

template float FormatDot(const FormatMath&, const float*, size_t, const float*, size_t, size_t);
template double FormatDot(const FormatMath&, const double*, size_t, const double*, size_t, size_t);
template void EvaluateFormatChains(const FormatChainsArgs<float>&, const Kernels&);
template void EvaluateFormatChains(const FormatChainsArgs<double>&, const Kernels&);
template void EvaluateFormatProduct(const FormatProductArgs<float>&, const Machine&);
template void EvaluateFormatProduct(const FormatProductArgs<double>&, const Machine&);

}  // namespace vernier
