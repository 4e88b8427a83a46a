// Treatments applied to numbers (docs/formats.md has the definitions). Element formats with and
// without scale are here; block formats in treat_blocks.cc and treat_stored.cc.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <mutex>
#include <vector>

#include "base/hash.h"
#include "formats/rotate.h"
#include "formats/treat_grid-inl.h"

namespace vernier {
namespace internal {

void RoundToIntegers(Rounding rounding, double* q, size_t n, uint64_t key, uint64_t first) {
  constexpr double kMagic = 0x1.8p52;  // adding it rounds |q| < 2^51 to an integer, ties to even
  if (rounding == Rounding::kNearestEven) {
    for (size_t i = 0; i < n; ++i) q[i] = (q[i] + kMagic) - kMagic;
    return;
  }
  const bool stochastic = rounding == Rounding::kStochastic;
  for (size_t i = 0; i < n; ++i)
    q[i] = RoundToMultiple(q[i], 0, rounding, stochastic ? RandomBits(key, first + i) : 0);
}

}  // namespace internal

namespace {

using namespace internal;  // the shared pieces of treat-inl.h

// What all elements that share a scale have in common.
struct Shared {
  Range range;
  double outlier = -1;  // the largest finite outlier, 0 if there is none; -1: not known
  Largest largest;      // block formats
};

// The scale of outliers up to `outlier`.
Grid SecondGrid(const Treatment& t, const Grid& grid, double outlier) {
  const double most = t.format.max_finite;
  if (!(outlier > 0)) return {grid.s, -most, most};
  const bool huge = outlier >= 0x1p512;
  const double down = huge ? 0x1p-512 : 1, up = huge ? 0x1p512 : 1;
  return {{outlier * down, most, down, up}, -most, most};
}

// The largest finite magnitude beyond the grid; 0 when there is none.
template <class T>
double LargestOutlier(const Treatment& t, const Grid& grid, const T* x, size_t n, uint64_t key,
                      uint64_t first) {
  double q[kPiece], largest = 0;
  for (size_t from = 0; from < n; from += kPiece) {
    const size_t size = std::min(kPiece, n - from);
    ToGrid(t, grid, x + from, q, size, key, first + from);
    for (size_t i = 0; i < size; ++i)
      if ((q[i] < grid.low || q[i] > grid.high) && std::isfinite(x[from + i]))
        largest = std::max(largest, std::abs(static_cast<double>(x[from + i])));
  }
  return largest;
}

// One element beyond the grid, as `outliers` wants it. Returns whether it is clamped all the same.
template <class T>
bool TreatOutlier(const Treatment& t, const Grid& second, T x, T* after, uint64_t key,
                  uint64_t index) {
  *after = x;
  if (t.outliers == Outliers::kKeep) return false;
  double q = 0;
  ToGrid(t, second, &x, &q, 1, key, index);
  const double limited = Limit(q, second.low, second.high);
  *after = static_cast<T>(LimitToHost<T>(second.s.From(limited)));
  return limited != q;
}

// Loops of one stage each: GCC 12 vectorises them so, and the two divisions bound the time. NaN is
// 0 on the way and put back at the end.
template <class T>
TreatmentCounts TreatFixed(const Treatment& t, const Grid& grid, const Grid& second, T* x, size_t n,
                           uint64_t key, uint64_t first) {
  const Grid g = grid;
  TreatmentCounts counts{n, 0, 0, 0};
  double q[kPiece];
  T after[kPiece];
  bool outlier[kPiece];
  for (size_t from = 0; from < n; from += kPiece) {
    const size_t size = std::min(kPiece, n - from);
    T* const block = x + from;
    ToGrid(t, g, block, q, size, key, first + from);
    if (t.outliers != Outliers::kClip)
      for (size_t i = 0; i < size; ++i) outlier[i] = q[i] < g.low || q[i] > g.high;
    uint64_t within = 0;  // counted downwards: a mask is -1
    for (size_t i = 0; i < size; ++i) {
      const double limited = Limit(q[i], g.low, g.high);
      const uint64_t beyond = std::bit_cast<uint64_t>(limited) ^ std::bit_cast<uint64_t>(q[i]);
      within += MaskLess(beyond >> 1 | (beyond & 1), uint64_t{1});
      q[i] = LimitToHost<T>(g.s.From(limited + 0.0));  // + 0.0: integers have one zero
    }
    for (size_t i = 0; i < size; ++i) after[i] = static_cast<T>(q[i]);
    uint64_t saturated = size - (0 - within);
    for (size_t i = 0; i < size && saturated > 0 && t.outliers != Outliers::kClip; ++i)
      if (outlier[i] && !TreatOutlier(t, second, block[i], after + i, key, first + from + i))
        --counts.saturated;  // put back in the sum below
    counts.saturated += saturated;
    counts += Store(after, block, size);
  }
  return counts;
}

// The scale is zero: so are all numbers; infinities go by the format.
template <class T>
TreatmentCounts TreatWithoutRange(const Treatment& t, T* x, size_t n) {
  TreatmentCounts counts{n, 0, 0, 0};
  for (size_t i = 0; i < n; ++i) {
    const T v = x[i];
    if (std::isinf(v) && t.format.has_infinity) continue;
    T after = t.format.has_negative_zero ? std::copysign(T{0}, v) : T{0};
    if (std::isinf(v) && t.overflow == Overflow::kNan)
      after = std::copysign(std::numeric_limits<T>::quiet_NaN(), v);
    counts.saturated += !std::isnan(v) && v != 0;
    counts += Store(&after, x + i, 1);
  }
  return counts;
}

template <class T>
TreatmentCounts TreatScaledFloat(const Treatment& t, const Scale& s, T* x, size_t n, uint64_t key,
                                 uint64_t first) {
  constexpr double kMax = std::numeric_limits<double>::max();
  const RoundSpec spec = MakeRoundSpec(t.format, t.rounding, t.overflow, t.flush_subnormals);
  TreatmentCounts counts{n, 0, 0, 0};
  double scaled[kPiece];
  T after[kPiece];
  for (size_t from = 0; from < n; from += kPiece) {
    const size_t size = std::min(kPiece, n - from);
    for (size_t i = 0; i < size; ++i) {
      const T v = x[from + i];
      const double y = Limit(s.To(v), -kMax, kMax);  // a NaN stays one
      scaled[i] = std::abs(v) <= std::numeric_limits<T>::max() ? y : static_cast<double>(v);
    }
    counts.saturated += RoundRow(spec, scaled, size, key, first + from).saturated;
    for (size_t i = 0; i < size; ++i) {
      const double r = scaled[i];
      scaled[i] = std::abs(r) <= kMax ? LimitToHost<T>(s.From(r)) : r;
    }
    for (size_t i = 0; i < size; ++i) after[i] = static_cast<T>(scaled[i]);
    counts += Store(after, x + from, size);
  }
  return counts;
}

// The range is 0, so that every other number is an outlier.
template <class T>
TreatmentCounts TreatOutliersOnly(const Treatment& t, double outlier, T* x, size_t n, uint64_t key,
                                  uint64_t first) {
  TreatmentCounts counts{n, 0, 0, 0};
  const Grid second = SecondGrid(t, {}, outlier);
  for (size_t i = 0; i < n; ++i) {
    T after = 0;
    if (x[i] != 0 && !std::isnan(x[i])) {
      if (t.outliers == Outliers::kSecond && !(outlier > 0))
        ++counts.saturated;  // infinities alone: there is no second scale
      else
        counts.saturated += TreatOutlier(t, second, x[i], &after, key, first + i);
    }
    counts += Store(&after, x + i, 1);
  }
  return counts;
}

// Treats n elements that share the range; `first` is the index of the first in its row.
template <class T>
TreatmentCounts TreatInRange(const Treatment& t, const Shared& shared, T* x, size_t n, uint64_t key,
                             uint64_t first) {
  const Scale s = ScaleOf(t, shared.range);
  if (t.format.kind != FormatKind::kFixed)
    return s.a == 0 ? TreatWithoutRange(t, x, n) : TreatScaledFloat(t, s, x, n, key, first);
  const Grid grid = s.a == 0 ? Grid{} : GridOf(t, shared.range, s);
  double outlier = t.second > 0 ? t.second : shared.outlier;
  if (t.outliers == Outliers::kSecond && outlier < 0) {
    outlier = s.a == 0 ? FindLargest(x, n).magnitude : LargestOutlier(t, grid, x, n, key, first);
  }
  if (s.a == 0)
    return t.outliers == Outliers::kClip ? TreatWithoutRange(t, x, n)
                                         : TreatOutliersOnly(t, outlier, x, n, key, first);
  return TreatFixed(t, grid, SecondGrid(t, grid, outlier), x, n, key, first);
}

// A row without rotation; `shared` is not null where the tensor shares its scale.
template <class T>
TreatmentCounts PlainRow(const Treatment& t, T* row, size_t n, uint64_t key, const Shared* shared) {
  CHECK(t.scale != ScaleRule::kStatic && !t.logarithm);
  CHECK(shared != nullptr || !SharedByTensor(t));
  CHECK(t.per != Granularity::kGroup || t.group > 0);
  if (t.IsStored()) return TreatStored(t, row, n);
  if (t.block != nullptr) {
    const bool by_row = shared == nullptr && t.per == Granularity::kRow && ScaleFromData(t);
    return TreatBlocks(t, row, n, key,
                       shared != nullptr ? shared->largest
                       : by_row          ? FindLargest(row, n)
                                         : Largest{});
  }
  if (t.format.kind != FormatKind::kFixed && t.scale == ScaleRule::kNone)
    return RoundRow(MakeRoundSpec(t.format, t.rounding, t.overflow, t.flush_subnormals), row, n,
                    key);
  if (shared != nullptr) return TreatInRange(t, *shared, row, n, key, 0);
  if (!ScaleFromData(t)) return TreatInRange(t, {GivenRange(t), -1, {}}, row, n, key, 0);
  const size_t step = t.per == Granularity::kGroup ? static_cast<size_t>(t.group) : n;
  TreatmentCounts counts;
  for (size_t i = 0; i < n; i += step) {
    const size_t size = std::min(step, n - i);
    counts += TreatInRange(t, {FindRange(t, row + i, size), -1, {}}, row + i, size, key, i);
  }
  return counts;
}

// Rotates back into the row; blocks that are not finite become NaN. Counts changed and flushed.
template <class T>
TreatmentCounts RotateOut(double* rotated, T* row, size_t n) {
  const size_t block = HadamardBlock(n);
  for (size_t i = 0; i < n; i += block) {
    const bool lost = !AllFinite(rotated + i, block);
    Hadamard(rotated + i, block, block);
    for (size_t j = i; lost && j < i + block; ++j)
      rotated[j] = std::copysign(std::numeric_limits<double>::quiet_NaN(), row[j]);
  }
  TreatmentCounts counts{n, 0, 0, 0};
  T after[kPiece];
  for (size_t from = 0; from < n; from += kPiece) {
    const size_t size = std::min(kPiece, n - from);
    for (size_t i = 0; i < size; ++i)
      after[i] = static_cast<T>(LimitToHost<T>(rotated[from + i]));  // NaN stays
    counts += Store(after, row + from, size);
  }
  return counts;
}

template <class T>
TreatmentCounts Row(const Treatment& t, T* row, size_t n, uint64_t key,
                    const Shared* shared = nullptr);

// times= and plus=, then the treatment without them. NaN stays as it is.
template <class T>
TreatmentCounts AffineRow(const Treatment& t, T* row, size_t n, uint64_t key) {
  const std::vector<T> before(row, row + n);
  for (size_t i = 0; i < n; ++i)
    if (!std::isnan(row[i]))
      row[i] = static_cast<T>(std::fma(static_cast<double>(row[i]), t.times, t.plus));
  Treatment plain = t;
  plain.times = 1;
  plain.plus = 0;
  TreatmentCounts counts = Row(plain, row, n, key);
  counts.changed = 0;
  for (size_t i = 0; i < n; ++i) counts.changed += std::memcmp(&before[i], &row[i], sizeof(T)) != 0;
  return counts;
}

template <class T>
TreatmentCounts Row(const Treatment& t, T* row, size_t n, uint64_t key, const Shared* shared) {
  if (t.IsAffine()) return AffineRow(t, row, n, key);
  if (!t.hadamard) return PlainRow(t, row, n, key, shared);
  if (n == 0) return {};
  std::vector<double> rotated(n);
  uint64_t saturated = RotateIn(row, rotated.data(), n);
  saturated += PlainRow(WithoutRotation(t), rotated.data(), n, key, shared).saturated;
  TreatmentCounts counts = RotateOut(rotated.data(), row, n);
  counts.saturated = saturated;
  return counts;
}

// The sum of row(r) over all rows.
template <class RowCounts>
TreatmentCounts SumRows(Workers* workers, size_t rows, size_t columns, const RowCounts& row) {
  TreatmentCounts counts;
  std::mutex mutex;
  ForRows(workers, rows, columns, [&](size_t first, size_t last) {
    TreatmentCounts sum;
    for (size_t r = first; r < last; ++r) sum += row(r);
    const std::lock_guard lock(mutex);
    counts += sum;
  });
  return counts;
}

// What the rows of a tensor share. Largest and smallest do not depend on the order.
template <class T>
Shared FindShared(const Treatment& t, const T* data, size_t rows, size_t columns, uint64_t key,
                  Workers* workers) {
  Shared shared;
  std::mutex mutex;
  shared.range = FindTensorRange(t, data, rows, columns, workers);
  ForRows(workers, t.block != nullptr ? rows : 0, columns, [&](size_t first, size_t last) {
    const Largest largest = FindLargest(data + first * columns, (last - first) * columns);
    const std::lock_guard lock(mutex);
    shared.largest.magnitude = std::max(shared.largest.magnitude, largest.magnitude);
    shared.largest.all_finite = shared.largest.all_finite && largest.all_finite;
  });
  if (t.outliers != Outliers::kSecond) return shared;
  const Scale s = ScaleOf(t, shared.range);
  const Grid grid = s.a == 0 ? Grid{} : GridOf(t, shared.range, s);
  shared.outlier = 0;
  ForRows(workers, rows, columns, [&](size_t first, size_t last) {
    double largest = 0;
    for (size_t r = first; r < last; ++r) {
      const T* const row = data + r * columns;
      largest =
          std::max(largest, s.a == 0 ? FindLargest(row, columns).magnitude
                                     : LargestOutlier(t, grid, row, columns, RowKey(key, r), 0));
    }
    const std::lock_guard lock(mutex);
    shared.outlier = std::max(shared.outlier, largest);
  });
  return shared;
}

// Rotated rows that share a scale: all are rotated before any is treated.
template <class T>
TreatmentCounts RotatedTensor(const Treatment& t, T* data, size_t rows, size_t columns,
                              uint64_t key, Workers* workers) {
  const Treatment plain = WithoutRotation(t);
  std::vector<double> rotated(rows * columns);
  TreatmentCounts lost = SumRows(workers, rows, columns, [&](size_t r) {
    TreatmentCounts counts;
    counts.saturated = RotateIn(data + r * columns, rotated.data() + r * columns, columns);
    return counts;
  });
  const Shared shared = FindShared(plain, rotated.data(), rows, columns, key, workers);
  TreatmentCounts counts = SumRows(workers, rows, columns, [&](size_t r) {
    double* const row = rotated.data() + r * columns;
    const uint64_t saturated = PlainRow(plain, row, columns, RowKey(key, r), &shared).saturated;
    TreatmentCounts c = RotateOut(row, data + r * columns, columns);
    c.saturated = saturated;
    return c;
  });
  counts.saturated += lost.saturated;
  return counts;
}

template <class T>
TreatmentCounts Tensor(const Treatment& t, T* data, size_t rows, size_t columns, uint64_t key,
                       Workers* workers) {
  if (rows == 0 || columns == 0) return {};
  const bool shares = SharedByTensor(t);
  if (shares && t.hadamard) return RotatedTensor(t, data, rows, columns, key, workers);
  const Shared shared = shares ? FindShared(t, data, rows, columns, key, workers) : Shared{};
  return SumRows(workers, rows, columns, [&](size_t r) {
    return Row(t, data + r * columns, columns, RowKey(key, r), shares ? &shared : nullptr);
  });
}

template <class T>
bool Holds(const Treatment& treatment, const T* row, size_t n) {
  // Without a scale in pieces, so that a long row that fails early costs little.
  const bool elementwise = treatment.scale == ScaleRule::kNone && treatment.block == nullptr &&
                           !treatment.hadamard && !treatment.IsAffine() &&
                           treatment.outliers != Outliers::kSecond;
  const size_t step = elementwise ? 4096 : std::max<size_t>(n, 1);
  std::vector<T> copy;
  for (size_t i = 0; i < n; i += step) {
    copy.assign(row + i, row + std::min(n, i + step));
    if (Row(treatment, copy.data(), copy.size(), 0).changed != 0) return false;
  }
  return true;
}

template <class T>
bool TensorHolds(const Treatment& treatment, const T* data, size_t rows, size_t columns,
                 Workers* workers) {
  if (SharedByTensor(treatment)) {
    std::vector<T> copy(data, data + rows * columns);
    return Tensor(treatment, copy.data(), rows, columns, 0, workers).changed == 0;
  }
  std::vector<T> copy;
  for (size_t r = 0; r < rows; ++r) {
    copy.assign(data + r * columns, data + (r + 1) * columns);
    if (Row(treatment, copy.data(), columns, RowKey(0, r)).changed != 0) return false;
  }
  return true;
}

}  // namespace

TreatmentCounts TreatRow(const Treatment& treatment, float* row, size_t n, uint64_t key) {
  return Row(treatment, row, n, key);
}

TreatmentCounts TreatRow(const Treatment& treatment, double* row, size_t n, uint64_t key) {
  return Row(treatment, row, n, key);
}

uint64_t RowKey(uint64_t key, uint64_t r) { return Combine(Hash128{key, 0}, r).low; }

TreatmentCounts TreatTensor(const Treatment& treatment, float* data, size_t rows, size_t columns,
                            uint64_t key, Workers* workers) {
  return Tensor(treatment, data, rows, columns, key, workers);
}

TreatmentCounts TreatTensor(const Treatment& treatment, double* data, size_t rows, size_t columns,
                            uint64_t key, Workers* workers) {
  return Tensor(treatment, data, rows, columns, key, workers);
}

bool HoldsExactly(const Treatment& treatment, const float* row, size_t n) {
  return Holds(treatment, row, n);
}

bool HoldsExactly(const Treatment& treatment, const double* row, size_t n) {
  return Holds(treatment, row, n);
}

bool TensorHoldsExactly(const Treatment& treatment, const float* data, size_t rows, size_t columns,
                        Workers* workers) {
  return TensorHolds(treatment, data, rows, columns, workers);
}

bool TensorHoldsExactly(const Treatment& treatment, const double* data, size_t rows, size_t columns,
                        Workers* workers) {
  return TensorHolds(treatment, data, rows, columns, workers);
}

}  // namespace vernier
