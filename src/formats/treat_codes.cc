// The integers of integer treatments (treat_codes.h).
#include "formats/treat_codes.h"

#include "base/result.h"
#include "formats/treat_grid-inl.h"

namespace vernier {
namespace {

using namespace internal;  // treat_grid-inl.h

// The codes and scale of elements that share a range.
template <class T>
CodeScale CodesInRange(const Treatment& t, Range range, const T* x, size_t n, uint64_t key,
                       uint64_t first, int16_t* codes) {
  const Scale s = ScaleOf(t, range);
  if (s.a == 0) {
    std::fill_n(codes, n, int16_t{0});
    return {0, 1};
  }
  const Grid grid = GridOf(t, range, s);
  double q[kPiece];
  for (size_t from = 0; from < n; from += kPiece) {
    const size_t size = std::min(kPiece, n - from);
    ToGrid(t, grid, x + from, q, size, key, first + from);
    for (size_t i = 0; i < size; ++i)
      codes[from + i] = static_cast<int16_t>(Limit(q[i], grid.low, grid.high));
  }
  return {s.a * s.up, s.b};
}

// One row; `shared` is not null where the tensor shares its scale.
template <class T>
void CodeRow(const Treatment& t, const T* row, uint64_t key, const Range* shared, IntegerCodes* out,
             size_t r) {
  const size_t n = out->columns;
  int16_t* const codes = out->codes.data() + r * n;
  for (size_t g = 0, i = 0; i < n; ++g, i += out->group) {
    const size_t size = std::min(out->group, n - i);
    const Range range = shared != nullptr  ? *shared
                        : ScaleFromData(t) ? FindRange(t, row + i, size)
                                           : GivenRange(t);
    out->scales[r * out->Groups() + g] = CodesInRange(t, range, row + i, size, key, i, codes + i);
  }
  out->nan[r] = std::any_of(row, row + n, [](T v) { return std::isnan(v); });
}

IntegerCodes EmptyCodes(const Treatment& t, size_t rows, size_t columns) {
  CHECK(CheckCodes(t) && t.scale != ScaleRule::kStatic);
  IntegerCodes out{columns, columns, {}, {}, {}};
  if (t.per == Granularity::kGroup && ScaleFromData(t))
    out.group = std::min(columns, static_cast<size_t>(t.group));
  out.codes.resize(rows * columns);
  out.scales.resize(rows * out.Groups());
  out.nan.resize(rows);
  return out;
}

template <class T>
IntegerCodes RowCodes(const Treatment& t, const T* row, size_t n, uint64_t key) {
  CHECK(!SharedByTensor(t));
  if (t.hadamard && n > 0) {
    std::vector<double> rotated(n);
    RotateIn(row, rotated.data(), n);
    return RowCodes(WithoutRotation(t), rotated.data(), n, key);
  }
  IntegerCodes out = EmptyCodes(t, 1, n);
  CodeRow(t, row, key, nullptr, &out, 0);
  return out;
}

template <class T>
IntegerCodes TensorCodes(const Treatment& t, const T* data, size_t rows, size_t columns,
                         uint64_t key, Workers* workers) {
  if (t.hadamard && rows > 0 && columns > 0) {
    std::vector<double> rotated(rows * columns);
    ForRows(workers, rows, columns, [&](size_t first, size_t last) {
      for (size_t r = first; r < last; ++r)
        RotateIn(data + r * columns, rotated.data() + r * columns, columns);
    });
    return TensorCodes(WithoutRotation(t), rotated.data(), rows, columns, key, workers);
  }
  IntegerCodes out = EmptyCodes(t, rows, columns);
  if (rows == 0 || columns == 0) return out;
  const bool shares = SharedByTensor(t);
  const Range shared = shares ? FindTensorRange(t, data, rows, columns, workers) : Range{};
  ForRows(workers, rows, columns, [&](size_t first, size_t last) {
    for (size_t r = first; r < last; ++r)
      CodeRow(t, data + r * columns, RowKey(key, r), shares ? &shared : nullptr, &out, r);
  });
  return out;
}

}  // namespace

Status CheckCodes(const Treatment& t) {
  const char* const kExpected = "int takes intN with N up to 8";
  if (t.block != nullptr) return Fail("{} is no intN; {}", t.block->name, kExpected);
  if (t.format.kind != FormatKind::kFixed || t.format.bits > 8)
    return Fail("{}: {}", t.format.name, kExpected);
  const char* other = !t.segments.empty()             ? "segments"
                      : t.outliers != Outliers::kClip ? "outliers"
                      : t.logarithm                   ? "of=log"
                      : t.IsAffine()                  ? "times= and plus"
                                                      : nullptr;
  if (other != nullptr)
    return Fail("{}{}: what it makes is no integer times a scale", other, t.logarithm ? "" : "=");
  return {};
}

int LargestCode(const Treatment& t) {
  if (!t.symmetric) return (1 << t.format.bits) - 1;
  return static_cast<int>(t.format.max_finite) + (t.full ? 1 : 0);
}

IntegerCodes CodesOfRow(const Treatment& treatment, const float* row, size_t n, uint64_t key) {
  return RowCodes(treatment, row, n, key);
}

IntegerCodes CodesOfRow(const Treatment& treatment, const double* row, size_t n, uint64_t key) {
  return RowCodes(treatment, row, n, key);
}

IntegerCodes CodesOfTensor(const Treatment& treatment, const float* data, size_t rows,
                           size_t columns, uint64_t key, Workers* workers) {
  return TensorCodes(treatment, data, rows, columns, key, workers);
}

IntegerCodes CodesOfTensor(const Treatment& treatment, const double* data, size_t rows,
                           size_t columns, uint64_t key, Workers* workers) {
  return TensorCodes(treatment, data, rows, columns, key, workers);
}

}  // namespace vernier
