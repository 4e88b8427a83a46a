// Rounding of rows: which loop of the kernels rounds as RoundValue does, and its constants.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "formats/round-inl.h"
#include "formats/round.h"
#include "kernels/kernels.h"

namespace vernier {
namespace {

using internal::Host;

enum class Way {
  kScalar,
  kNothing,  // the format holds every number of the host, and its infinities
  kGrid      // RoundKernels::row
};

template <class T>
T RoundSlowly(const void* spec, T x, uint32_t random, bool* overflowed) {
  return RoundValue(*static_cast<const RoundSpec*>(spec), x, random, overflowed);
}

template <class T>
typename Host<T>::Bits PowerBits(int e) {
  return std::bit_cast<typename Host<T>::Bits>(static_cast<T>(std::ldexp(1.0, e)));
}

// The exponents c of the constant 1.5 * 2^c that the loops can work with: stochastic rounding
// multiplies by 2^31 over its unit in the last place.
template <class T>
bool GoodConstant(int c) {
  using H = Host<T>;
  return c >= 31 + H::kFraction - H::kEmax && c <= H::kEmax;
}

// e8m0. Kernels take its overflows with their sign.
template <class T>
Way PowersGrid(const RoundSpec& spec, RoundGrid<T>* g) {
  using H = Host<T>;
  using Bits = typename H::Bits;
  if (spec.has_sign || spec.has_zero || spec.precision != 1 || spec.emin < H::kEmin - 1)
    return Way::kScalar;
  g->kind = GridKind::kPowers;
  g->shift = H::kFraction;
  g->smallest = PowerBits<T>(spec.emin);
  g->normal = PowerBits<T>(std::max(spec.emin + 1, H::kEmin));
  g->max = std::bit_cast<Bits>(internal::HostMax<T>(spec));
  g->highest = g->max - (Bits{1} << H::kFraction);  // its double does not overflow
  g->overflow[0] = internal::Overflowed<T>(spec, false, false);
  g->overflow[1] = spec.overflow == Overflow::kSaturate
                       ? g->smallest
                       : internal::OverflowBits<T>(spec) | H::kSign;
  g->infinite = internal::OverflowBits<T>(spec);
  return Way::kGrid;
}

template <class T>
Way FloatGrid(const RoundSpec& spec, RoundGrid<T>* g) {
  using H = Host<T>;
  using Bits = typename H::Bits;
  const bool wide = spec.emin <= H::kEmin;
  if (!spec.has_zero || (wide && !spec.has_negative_zero)) return Way::kScalar;
  g->shift = std::max(0, H::kPrecision - spec.precision);
  if (g->shift > H::kFraction - 1) return Way::kScalar;
  g->max = std::bit_cast<Bits>(internal::HostMax<T>(spec));
  g->beyond = ((g->max >> H::kFraction) + 1) << H::kFraction;
  g->overflow[0] = internal::Overflowed<T>(spec, false, false);
  g->overflow[1] = internal::Overflowed<T>(spec, false, true);
  g->infinite = internal::OverflowBits<T>(spec);
  g->untouched = spec.has_infinity ? H::kInfinity - 1 : H::kInfinity;
  g->smallest_kept = spec.flush ? PowerBits<T>(spec.emin) : 0;
  g->zero_is_plain = spec.has_negative_zero;
  g->signed_zero = spec.has_negative_zero;
  g->highest = g->max;
  if (wide) {
    // p bits among the host's subnormals are not a matter of cutting the same bits everywhere.
    if (spec.emin < H::kEmin && g->shift > 0) return Way::kScalar;
    g->kind = GridKind::kWide;
    g->lowest = std::max(g->smallest_kept, Bits{1} << g->shift);  // less can become zero
    const bool all =
        g->shift == 0 && g->smallest_kept == 0 && spec.has_infinity && g->max == H::kInfinity - 1;
    return all ? Way::kNothing : Way::kGrid;
  }
  const int top = static_cast<int>(g->beyond >> H::kFraction) - H::kEmax;
  if (g->shift < 2 || !GoodConstant<T>(spec.emin + g->shift) || !GoodConstant<T>(top + g->shift))
    return Way::kScalar;
  g->kind = GridKind::kNarrow;
  g->normal = g->lowest = PowerBits<T>(spec.emin);
  return Way::kGrid;
}

// A posit with exponent E has n - 3 - es - m fraction bits (with exponent bits missing: less than
// none), m = floor(E / 2^es) or, where that is negative, -1 less it.
template <class T>
Way PositGrid(const RoundSpec& spec, RoundGrid<T>* g) {
  using H = Host<T>;
  using Bits = typename H::Bits;
  const int n = spec.posit_bits, binades = 1 << spec.es;
  const bool stochastic = spec.rounding == Rounding::kStochastic;
  const double smallest = sizeof(T) == 4 ? double{spec.smallest_float} : spec.smallest_double;
  const bool subnormal = smallest < std::ldexp(1.0, H::kEmin);
  g->kind = GridKind::kTapered;
  g->es = spec.es;
  g->shift = H::kFraction - (n - 3 - spec.es);
  // Plain are: where the host is coarser only what stays; else all but the last regime, and in the
  // stochastic mode what has all its exponent bits.
  g->plain_stay = g->shift <= 0;
  const int last = g->plain_stay ? std::min(-g->shift, n - 4)
                   : stochastic  ? n - std::max(4, 3 + spec.es)
                                 : n - 4;
  const int most = std::min(H::kEmax + 1, -H::kEmin) / binades - 1;
  const int m = std::min(last, most);
  g->max = std::bit_cast<Bits>(internal::HostMax<T>(spec));
  g->lowest = PowerBits<T>(-(m + 1) * binades);
  g->highest = std::min(PowerBits<T>((m + 1) * binades) - 1, g->max);
  g->zero_is_plain = !g->plain_stay;  // its loop makes +0 of -0
  g->smallest =
      std::bit_cast<Bits>(static_cast<T>(subnormal ? std::ldexp(1.0, H::kEmin) : smallest));
  g->odd_ends = n % 2 == 0;
  for (const bool negative : {false, true}) {
    g->overflow[negative] = internal::Overflowed<T>(spec, false, negative);
    const bool zero =
        spec.rounding != Rounding::kOdd && internal::StaysFinite(spec.rounding, negative);
    g->below[negative] = zero ? 0 : g->smallest;
  }
  g->infinite = H::kQuietNan;
  g->untouched = H::kInfinity;
  if (stochastic || subnormal) {
    g->slow = RoundSlowly<T>;
    g->context = &spec;
  }
  return Way::kGrid;
}

template <class T>
TreatmentCounts RoundScalar(const RoundSpec& spec, const T* x, size_t n, T* y, uint64_t key,
                            uint64_t first) {
  using Bits = typename Host<T>::Bits;
  const bool stochastic = spec.rounding == Rounding::kStochastic;
  TreatmentCounts counts{n, 0, 0, 0};
  for (size_t i = 0; i < n; ++i) {
    bool over = false;
    const uint32_t random = stochastic ? RandomBits(key, first + i) : 0;
    const T before = x[i], after = RoundValue(spec, before, random, &over);
    y[i] = after;
    counts.changed += std::bit_cast<Bits>(before) != std::bit_cast<Bits>(after);
    counts.saturated += over;
    counts.flushed += after == 0 && before != 0;
  }
  return counts;
}

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;

uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

RandomStream StreamAt(uint64_t key, uint64_t index) {
  const uint64_t z = Mix(Mix(key ^ kGolden) + (index >> 32));
  return {static_cast<uint32_t>(z) + static_cast<uint32_t>(index) * kRandomStep,
          static_cast<uint32_t>(z >> 32)};
}

template <class T>
const RoundKernels<T>& KernelsOf(const Kernels& kernels) {
  if constexpr (sizeof(T) == 4)
    return kernels.round_f32;
  else
    return kernels.round_f64;
}

template <class T>
TreatmentCounts Row(const RoundSpec& spec, const T* x, size_t n, T* y, uint64_t key, uint64_t first,
                    const Kernels* kernels) {
  RoundGrid<T> grid = {};
  const Way way = spec.posit_bits != 0 ? PositGrid(spec, &grid)
                  : spec.has_sign      ? FloatGrid(spec, &grid)
                                       : PowersGrid(spec, &grid);
  if (way == Way::kScalar) return RoundScalar(spec, x, n, y, key, first);
  if (way == Way::kNothing) {
    if (x != y) std::memcpy(y, x, n * sizeof(T));
    return {n, 0, 0, 0};
  }
  // Without dropped bits the mode does not matter, and the loops of some want one.
  const bool drops = grid.shift > 0 || grid.kind == GridKind::kTapered;
  const Rounding mode = drops ? spec.rounding : Rounding::kTowardZero;
  const RoundKernels<T>& table = KernelsOf<T>(kernels != nullptr ? *kernels : BestKernels());
  const auto round = table.row[static_cast<int>(grid.kind)][static_cast<int>(mode)];
  TreatmentCounts counts;
  for (size_t i = 0; i < n;) {
    // Up to where the upper half of the index changes, and what the kernels can count.
    const uint64_t same_half = (uint64_t{1} << 32) - (first + i) % (uint64_t{1} << 32);
    const size_t size = std::min({n - i, static_cast<size_t>(same_half), size_t{1} << 30});
    const RoundCounts c = round(grid, StreamAt(key, first + i), x + i, size, y + i);
    counts += TreatmentCounts{size, c.changed, c.saturated, c.flushed};
    i += size;
  }
  return counts;
}

}  // namespace

uint32_t RandomBits(uint64_t key, uint64_t index) {
  const RandomStream stream = StreamAt(key, index);
  uint32_t x = stream.start;
  x = (x ^ (x >> 17)) * 0xed5ad4bb;
  x = ((x ^ (x >> 11)) + stream.key) * 0xac4c1b51;
  x = (x ^ (x >> 15)) * 0x31848bab;
  return x ^ (x >> 14);
}

TreatmentCounts RoundRow(const RoundSpec& spec, const float* x, size_t n, float* y, uint64_t key,
                         uint64_t first, const Kernels* kernels) {
  return Row(spec, x, n, y, key, first, kernels);
}

TreatmentCounts RoundRow(const RoundSpec& spec, const double* x, size_t n, double* y, uint64_t key,
                         uint64_t first, const Kernels* kernels) {
  return Row(spec, x, n, y, key, first, kernels);
}

TreatmentCounts RoundRow(const RoundSpec& spec, float* row, size_t n, uint64_t key,
                         uint64_t first) {
  return Row(spec, row, n, row, key, first, nullptr);
}

TreatmentCounts RoundRow(const RoundSpec& spec, double* row, size_t n, uint64_t key,
                         uint64_t first) {
  return Row(spec, row, n, row, key, first, nullptr);
}

}  // namespace vernier
