#include "ops/format_plan.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "formats/round-inl.h"

namespace vernier {
namespace {

using internal::Host;

// Bounds that nothing reaches.
constexpr int kFar = 100000;
// By how many binades at most the sum of a block's products exceeds the largest of them: 256 terms,
// each below 4 times the product of the powers below the operands, added with errors of at most as
// much again; and one more.
constexpr int kGrowth = 13;
static_assert(kBlock <= 256);

template <class T>
typename HostBits<T>::Type PowerBits(int e) {
  return std::bit_cast<typename HostBits<T>::Type>(static_cast<T>(std::ldexp(1.0, e)));
}

bool IsPlain(const FormatRounding& r) { return r.rounding == Rounding::kNearestEven && !r.flush; }

template <class T>
bool IsFloatGrid(const FormatRounding& r) {
  const Format& f = r.format;
  return f.kind == FormatKind::kFloat && IsPlain(r) && f.has_subnormals && f.has_sign &&
         f.has_zero && f.precision >= 2 && f.precision <= Host<T>::kPrecision - 2 &&
         f.emin >= Host<T>::kEmin;
}

// Fraction bits in the regimes next to 1.
int FractionOf(const Format& posit) { return posit.bits - 3 - posit.es; }

template <class T>
bool IsTaperedGrid(const FormatRounding& r) {
  const Format& f = r.format;
  return f.kind == FormatKind::kPosit && IsPlain(r) && f.es <= (sizeof(T) == 4 ? 2 : 4) &&
         FractionOf(f) >= 1 && FractionOf(f) <= Host<T>::kPrecision - 3;
}

template <class T>
ChainFormat<T> FloatConstants(const Format& f) {
  using H = Host<T>;
  ChainFormat<T> c;
  c.normal = PowerBits<T>(f.emin);
  c.offset = static_cast<typename H::Bits>(H::kPrecision - f.precision) << H::kFraction |
             typename H::Bits{1} << (H::kFraction - 1);
  c.sign = f.has_negative_zero ? H::kSign : 0;
  return c;
}

// Where a posit has fraction bits, and the loops' tables an entry.
struct PositRange {
  int low, high;
};
template <class T>
PositRange RangeOfPosit(const Format& f) {
  const int regimes = std::min(FractionOf(f), sizeof(T) == 4 ? 16 : 32);
  return {-(regimes << f.es), (regimes << f.es) - 1};
}

// The last place of a number with exponent e.
int LastPlace(const Format& f, int e) {
  if (f.kind == FormatKind::kFloat) return std::max(e, f.emin) - f.precision + 1;
  const int k = e >> f.es, regime = k < 0 ? -k - 1 : k;
  return e - std::max(0, FractionOf(f) - regime);
}

template <class T>
bool PlanTapered(const FormatMath& math, const ChainTables& tables, ChainPlan<T>* plan) {
  const FormatRounding& a = math.sum.partial;
  const ChainKernels<T>& kernels = ChainKernelsOf<T>(tables);
  constexpr auto kTapered = static_cast<int>(ChainGrid::kTapered);
  const bool fused = math.kind == FormatMathKind::kFused;
  if (!fused && !(math.values == a)) return false;
  plan->sum.es = a.format.es;
  plan->sum.fraction = FractionOf(a.format);
  plan->product = plan->sum;
  plan->run = fused                                            ? kernels.fused[kTapered]
              : PlainSumIsRight(a.format, Host<T>::kPrecision) ? kernels.plain[kTapered][kTapered]
                                                               : kernels.odd[kTapered][kTapered];
  // Products of all posits must be far from the ends of T, errors and all. Infinities are not among
  // them, and NaN stays NaN.
  const Format& r = math.values.format;
  if (r.kind == FormatKind::kPosit && a.overflow == Overflow::kSaturate &&
      2 * std::max(a.format.emax, r.emax) < Host<T>::kEmax - 2 * Host<T>::kPrecision &&
      a.format.emax < Host<T>::kEmax / 2) {
    constexpr auto kPosit = static_cast<int>(ChainGrid::kPosit);
    plan->rest = fused ? kernels.fused[kPosit] : kernels.odd[kPosit][kPosit];
    plan->sum.smallest = PowerBits<T>(a.format.emin);
    plan->sum.largest = PowerBits<T>(a.format.emax);
    plan->product = plan->sum;
  }
  const PositRange range = RangeOfPosit<T>(a.format);
  // Sums that are not zero are no smaller than the last place of a term.
  int lowest = range.low;
  while (lowest < 0 && LastPlace(a.format, lowest) < range.low) ++lowest;
  plan->low_is_last_place = fused;
  plan->low = fused ? range.low : lowest;
  plan->high = range.high - kGrowth;
  plan->lowest = PowerBits<T>(lowest);
  plan->highest = PowerBits<T>(range.high - 1);
  plan->largest = std::numeric_limits<T>::infinity();
  return lowest < 0;
}

// Sums in the host's arithmetic: whatever comes of them, T does it.
template <class T>
void AnySums(ChainPlan<T>* plan) {
  plan->low = -kFar;
  plan->high = kFar;
  plan->lowest = 0;
  plan->highest = static_cast<typename HostBits<T>::Type>(-1) >> 1;
  plan->largest = std::numeric_limits<T>::infinity();
}

template <class T>
void FloatSums(const Format& f, ChainPlan<T>* plan) {
  using H = Host<T>;
  // C must be a number.
  const int top = H::kEmax - (H::kPrecision - f.precision) - 2;
  plan->low = -kFar;
  plan->high = top - kGrowth;
  plan->lowest = 0;
  plan->highest = PowerBits<T>(top - 1);
  plan->largest = static_cast<T>(std::min(f.max_finite, std::ldexp(1.0, top)));
}

// A step whose products are rounded to floats.
template <class T>
bool PlanFloatStep(const FormatMath& math, const ChainTables& tables, ChainPlan<T>* plan) {
  using H = Host<T>;
  const Format &r = math.values.format, &a = math.sum.partial.format;
  const ChainKernels<T>& kernels = ChainKernelsOf<T>(tables);
  constexpr auto kFloat = static_cast<int>(ChainGrid::kFloat);
  plan->product = FloatConstants<T>(r);
  if (IsHostFormat<T>(math.sum.partial)) {
    plan->run = kernels.plain[kFloat][static_cast<int>(ChainGrid::kHost)];
    AnySums(plan);
  } else {
    plan->sum = FloatConstants<T>(a);
    // Rounded twice like once, and never to zero: products are multiples of the smallest number.
    const bool plain = r.precision + a.precision + 2 <= H::kPrecision &&
                       LastPlace(a, a.emin) <= LastPlace(r, r.emin);
    plan->run = plain ? kernels.plain[kFloat][kFloat] : kernels.odd[kFloat][kFloat];
    FloatSums(a, plan);
  }
  const int top = H::kEmax - (H::kPrecision - r.precision) - 2;
  plan->high = std::min({plan->high, std::ilogb(r.max_finite) - 2, top - 2});
  return plan->run != nullptr;
}

}  // namespace

bool PlainSumIsRight(const Format& posit, int precision) {
  if (precision < Host<double>::kPrecision) return posit.bits <= 16 && posit.es == 2;
  return posit.bits <= 32 && posit.es <= 2;
}

template <class T>
bool IsHostFormat(const FormatRounding& r) {
  const Format& f = r.format;
  using H = Host<T>;
  return f.kind == FormatKind::kFloat && IsPlain(r) && r.overflow == Overflow::kInfinity &&
         f.precision == H::kPrecision && f.emin == H::kEmin && f.has_infinity && f.has_subnormals &&
         f.max_finite == static_cast<double>(std::numeric_limits<T>::max());
}

template <class T>
ChainPlan<T> PlanChains(const FormatMath& math, const ChainTables& tables) {
  using H = Host<T>;
  ChainPlan<T> plan;
  if (math.sum.order != SumOrder::kSequential || math.kind == FormatMathKind::kQuire) return plan;
  const FormatRounding &r = math.values, &a = math.sum.partial;
  const ChainKernels<T>& kernels = ChainKernelsOf<T>(tables);
  const bool fused = math.kind == FormatMathKind::kFused;
  constexpr auto kHost = static_cast<int>(ChainGrid::kHost);
  bool good = false;
  if (IsTaperedGrid<T>(a)) {
    good = PlanTapered(math, tables, &plan);
  } else if (IsHostFormat<T>(a) && (fused || IsHostFormat<T>(r))) {
    AnySums(&plan);
    plan.run = fused ? kernels.fused[kHost] : kernels.plain[kHost][kHost];
    good = true;
  } else if (fused && IsFloatGrid<T>(a)) {
    plan.sum = FloatConstants<T>(a.format);
    FloatSums(a.format, &plan);
    // Without rounding modes in the instructions the error of a product must be a number of T.
    if (tables.odd == nullptr) plan.low = H::kEmin + 2 * H::kPrecision;
    plan.run = kernels.fused[static_cast<int>(ChainGrid::kFloat)];
    good = true;
  } else if (!fused && IsFloatGrid<T>(r) && (IsFloatGrid<T>(a) || IsHostFormat<T>(a))) {
    good = PlanFloatStep(math, tables, &plan);
  }
  if (!good) plan.run = plan.rest = nullptr;
  return plan;
}

template <class T>
ChainConversion<T> PlanConversion(const FormatRounding& values, const ChainTables& tables) {
  using H = Host<T>;
  const Format& f = values.format;
  const ChainKernels<T>& kernels = ChainKernelsOf<T>(tables);
  ChainConversion<T> c;
  if (IsTaperedGrid<T>(values)) {
    c.run = kernels.convert[static_cast<int>(ChainGrid::kTapered)];
    c.format.es = f.es;
    c.format.fraction = FractionOf(f);
    const PositRange range = RangeOfPosit<T>(f);
    c.lowest = std::ldexp(1.0f, std::max(range.low, -149));
    c.highest = std::ldexp(1.0f, std::min(range.high - 1, 127));
  } else if (IsFloatGrid<T>(values)) {
    c.run = kernels.convert[static_cast<int>(ChainGrid::kFloat)];
    c.format = FloatConstants<T>(f);
    const int top =
        std::min(std::ilogb(f.max_finite), H::kEmax - (H::kPrecision - f.precision) - 2);
    c.highest = std::ldexp(1.0f, std::min(top, 127));
  }
  return c;
}

template <class T>
OperandRange RangeOf(const ChainPlan<T>& plan, const Format& format, const ChainExtent<T>& extent) {
  if (extent.highest == 0) return {kFar, -kFar};
  const T low = std::bit_cast<T>(extent.lowest), high = std::bit_cast<T>(extent.highest);
  if (!std::isfinite(high)) return {-kFar, kFar};
  const int e = std::ilogb(low);
  return {plan.low_is_last_place ? LastPlace(format, e) : e, std::ilogb(high)};
}

#define VERNIER_INSTANTIATE(T)                                                           \
  template bool IsHostFormat<T>(const FormatRounding&);                                  \
  template ChainConversion<T> PlanConversion(const FormatRounding&, const ChainTables&); \
  template ChainPlan<T> PlanChains(const FormatMath&, const ChainTables&);               \
  template OperandRange RangeOf(const ChainPlan<T>&, const Format&, const ChainExtent<T>&);
VERNIER_INSTANTIATE(float)
VERNIER_INSTANTIATE(double)
#undef VERNIER_INSTANTIATE

}  // namespace vernier
