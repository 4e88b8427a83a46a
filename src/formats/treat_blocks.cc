// MX and NVFP4 applied to numbers (docs/formats.md has the definitions).
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "formats/treat-inl.h"

namespace vernier::internal {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kLeastScale = -127, kMostScale = 127;  // exponents of E8M0
constexpr double kLargestE4m3 = 448, kLargestE2m1 = 6;

// The element format as the rules of MX see it: its largest number m 2^emax, and fraction bits.
// mxint8 has integers / 64, so that 127/64 is the largest.
struct MxElement {
  int emax, fraction_bits;
  double m;
};

MxElement ElementOf(const Format& format) {
  if (format.kind == FormatKind::kFixed) return {0, 6, 127.0 / 64};
  return {format.emax, format.precision - 1, std::ldexp(format.max_finite, -format.emax)};
}

// The exponent of a block's scale. amax = m 2^e with 1 <= m < 2; all comparisons are exact.
int ScaleExponent(ScaleRule rule, const MxElement& element, double amax) {
  if (amax == 0) return kLeastScale;
  int e = 0;
  const double m = 2 * std::frexp(amax, &e);
  e -= 1;
  if (rule == ScaleRule::kCeil) e += m > 1;
  if (rule == ScaleRule::kEven) e += m >= 2 - std::ldexp(1.0, -element.fraction_bits - 1);
  if (rule == ScaleRule::kRceil) e += m > element.m;
  return std::clamp(e - element.emax, kLeastScale, kMostScale);
}

// amax / 2688 as a float32: where the largest block has the scale 448.
double TensorScale(double amax) {
  constexpr double kMost = std::numeric_limits<float>::max();
  return static_cast<float>(std::min(amax / (kLargestE4m3 * kLargestE2m1), kMost));
}

double TensorScale(const Treatment& t, Largest shared) {
  if (t.scale == ScaleRule::kNone) return 1;
  if (t.scale == ScaleRule::kConstant) return static_cast<float>(t.scale_value);
  return TensorScale(t.scale == ScaleRule::kGivenAbsMax ? t.scale_value : shared.magnitude);
}

// What each block of a row is divided by and multiplied with again.
struct BlockScale {
  double to = 1, back = 1;
};
// All becomes zero; used for blocks that are lost as well.
constexpr BlockScale kNothing{kInfinity, 0};

struct Blocks {
  size_t size = 0;                 // elements of a block; the last may be shorter
  std::vector<BlockScale> scales;  // one for each
  std::vector<size_t> lost;        // blocks whose scale is NaN, ascending
};

template <class T>
Blocks MakeBlocks(const Treatment& t, const T* row, size_t n, Largest shared) {
  Blocks blocks;
  const bool mx = t.block->family == BlockFamily::kMx, own = !mx || t.per == Granularity::kGroup;
  blocks.size = !mx ? static_cast<size_t>(t.block->block) : own ? static_cast<size_t>(t.group) : n;
  const MxElement element = ElementOf(t.format);
  const double unit = t.format.kind == FormatKind::kFixed ? 64 : 1;
  const double tensor_scale = mx ? 1 : TensorScale(t, shared);
  static const Format kE4m3 = FindFormat("e4m3").value();
  const RoundSpec e4m3 = MakeRoundSpec(kE4m3, Rounding::kNearestEven, Overflow::kSaturate);
  for (size_t at = 0; at < n; at += blocks.size) {
    const Largest largest = own ? FindLargest(row + at, std::min(blocks.size, n - at)) : shared;
    double scale = 0;
    if (!largest.all_finite) {
      blocks.lost.push_back(blocks.scales.size());
    } else if (mx) {
      scale = std::ldexp(1 / unit, ScaleExponent(t.scale, element, largest.magnitude));
    } else if (tensor_scale > 0) {
      const double ideal = largest.magnitude / (kLargestE2m1 * tensor_scale);
      scale = RoundValue(e4m3, ideal) * tensor_scale;
    }
    blocks.scales.push_back(scale == 0 ? kNothing : BlockScale{scale, scale});
  }
  return blocks;
}

// Elements of lost blocks become NaN of their sign; returns how many were none.
template <class T>
TreatmentCounts LoseBlocks(const Blocks& blocks, const T* before, T* row, size_t n) {
  TreatmentCounts counts;
  for (const size_t b : blocks.lost) {
    for (size_t i = b * blocks.size; i < std::min(n, (b + 1) * blocks.size); ++i) {
      row[i] = before[i];
      if (std::isnan(before[i])) continue;
      row[i] = std::copysign(std::numeric_limits<T>::quiet_NaN(), before[i]);
      ++counts.changed;
      ++counts.saturated;
    }
  }
  return counts;
}

// `scaled` to integers from -127 to 127; returns how many were beyond.
uint64_t RoundToInt8(const Treatment& t, double* scaled, size_t n, uint64_t key, uint64_t first) {
  uint64_t saturated = 0;
  for (size_t i = 0; i < n; ++i) scaled[i] = Limit(scaled[i], -kBeyond, kBeyond);
  RoundToIntegers(t.rounding, scaled, n, key, first);
  for (size_t i = 0; i < n; ++i) {
    const double limited = Limit(scaled[i], -t.format.max_finite, t.format.max_finite);
    saturated += limited != scaled[i] && !std::isnan(scaled[i]);
    scaled[i] = limited + 0.0;
  }
  return saturated;
}

template <class T>
TreatmentCounts TreatScaledBlocks(const Treatment& t, const Blocks& blocks, T* row, size_t n,
                                  uint64_t key) {
  constexpr double kMax = std::numeric_limits<double>::max();
  const bool fixed = t.format.kind == FormatKind::kFixed;
  const RoundSpec spec =
      fixed ? RoundSpec{} : MakeRoundSpec(t.format, t.rounding, t.overflow, t.flush_subnormals);
  TreatmentCounts counts{n, 0, 0, 0};
  double scaled[kPiece], to[kPiece], back[kPiece];
  T after[kPiece];
  for (size_t from = 0; from < n; from += kPiece) {
    const size_t size = std::min(kPiece, n - from);
    for (size_t i = 0; i < size;) {
      const size_t b = (from + i) / blocks.size;
      const size_t end = std::min(size, (b + 1) * blocks.size - from);
      std::fill(to + i, to + end, blocks.scales[b].to);
      std::fill(back + i, back + end, blocks.scales[b].back);
      i = end;
    }
    for (size_t i = 0; i < size; ++i) scaled[i] = static_cast<double>(row[from + i]) / to[i];
    counts.saturated += fixed ? RoundToInt8(t, scaled, size, key, from)
                              : RoundRow(spec, scaled, size, key, from).saturated;
    for (size_t i = 0; i < size; ++i) {
      const double r = scaled[i];
      scaled[i] = std::abs(r) <= kMax ? LimitToHost<T>(r * back[i]) : r;
    }
    for (size_t i = 0; i < size; ++i) after[i] = static_cast<T>(scaled[i]);
    counts += Store(after, row + from, size);
  }
  return counts;
}

}  // namespace

template <class T>
Largest FindLargest(const T* x, size_t n) {
  // As integers, so that GCC vectorises it: bits of magnitudes ascend with them.
  using Signed = typename Host<T>::Signed;
  Signed finite = 0, all = 0;
  for (size_t i = 0; i < n; ++i) {
    const BitsOf<T> u = Magnitude(x[i]);
    const auto within = static_cast<Signed>(u & FiniteMask<T>(u)), any = static_cast<Signed>(u);
    finite = std::max(finite, within);
    all = std::max(all, any);
  }
  return {static_cast<double>(std::bit_cast<T>(finite)), all == finite};
}

template <class T>
TreatmentCounts TreatBlocks(const Treatment& t, T* row, size_t n, uint64_t key, Largest shared) {
  const Blocks blocks = MakeBlocks(t, row, n, shared);
  if (blocks.lost.empty()) return TreatScaledBlocks(t, blocks, row, n, key);
  // Lost blocks are zeros on the way and count once.
  const std::vector<T> before(row, row + n);
  for (const size_t b : blocks.lost)
    std::fill(row + b * blocks.size, row + std::min(n, (b + 1) * blocks.size), T{0});
  TreatmentCounts counts = TreatScaledBlocks(t, blocks, row, n, key);
  counts += LoseBlocks(blocks, before.data(), row, n);
  return counts;
}

template Largest FindLargest(const float* x, size_t n);
template Largest FindLargest(const double* x, size_t n);
template TreatmentCounts TreatBlocks(const Treatment& t, float* row, size_t n, uint64_t key,
                                     Largest shared);
template TreatmentCounts TreatBlocks(const Treatment& t, double* row, size_t n, uint64_t key,
                                     Largest shared);

}  // namespace vernier::internal
