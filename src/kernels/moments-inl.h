// Rows described and compared (kernels.h, MomentKernels). Included once per instruction set. All in
// double: sixteen lanes, squares multiplied and added (not fused), the fixed tree at the end.
#ifndef VERNIER_KERNELS_MOMENTS_INL_H_
#define VERNIER_KERNELS_MOMENTS_INL_H_

#include "kernels/vec-inl.h"

namespace vernier::VERNIER_TARGET {

VERNIER_INLINE Vec<double> Magnitude(const Vec<double>& x) {
  using Bits = Native<double>::Bits;
  return ForParts<double>([&](int q) {
    const Bits bits = reinterpret_cast<Bits>(x.part[q]) & INT64_MAX;
    return reinterpret_cast<Native<double>::Type>(bits);
  });
}

inline constexpr double kLargestDouble = 0x1.fffffffffffffp1023;

// a where it is finite (a >= 0), else 0.
VERNIER_INLINE Vec<double> FiniteOrZero(const Vec<double>& a) {
  return ForParts<double>([&](int q) {
    const Native<double>::Type zero = {};
    return a.part[q] <= SetPart(kLargestDouble) ? a.part[q] : zero;
  });
}

// 16 counters, an element each.
struct Counter {
  Native<double>::Bits part[Vec<double>::kParts] = {};
  // Counts where `yes`, a comparison of part q, holds (its lanes are -1).
  VERNIER_INLINE void Add(int q, Native<double>::Bits yes) { part[q] -= yes; }
  VERNIER_INLINE uint64_t Total() const {
    uint64_t total = 0;
    for (const auto& p : part)
      for (int l = 0; l < Vec<double>::kWidth; ++l) total += static_cast<uint64_t>(p[l]);
    return total;
  }
};

template <class T>
RowExtent Extent(const T* x, size_t n) {
  Vec<double> squares = Set(0.0), largest = Set(0.0), smallest = Set(__builtin_inf());
  Counter zeros, nans, infinities;
  const auto add = [&](const Vec<double>& v) VERNIER_LAMBDA {
    const Vec<double> a = Magnitude(v), finite = FiniteOrZero(a);
    squares = squares + finite * finite;
    largest = Greater(largest, finite);
#pragma GCC unroll 8
    for (int q = 0; q < Vec<double>::kParts; ++q) {
      const auto p = a.part[q];
      const Native<double>::Type zero = {};
      const auto candidate = p > zero ? p : SetPart(__builtin_inf());  // NaN: infinity
      smallest.part[q] = candidate < smallest.part[q] ? candidate : smallest.part[q];
      zeros.Add(q, p == zero);
      nans.Add(q, p != p);
      infinities.Add(q, p == SetPart(__builtin_inf()));
    }
  };
  size_t i = 0;
  for (; i + 16 <= n; i += 16) add(Load<double>(x + i));
  if (i < n) add(LoadFirst(x + i, n - i, 0.0));
  RowExtent extent;
  extent.squares = SumLanes(squares);
  extent.largest = MaxLanes(largest);
  extent.smallest = -MaxLanes(Set(0.0) - smallest);
  extent.zeros = zeros.Total() - (16 - n % 16) % 16;
  extent.nans = nans.Total();
  extent.infinities = infinities.Total();
  return extent;
}

template <class T>
RowDistance Distance(const T* x, const T* y, size_t n) {
  Vec<double> squares = Set(0.0), largest = Set(0.0);
  const auto add = [&](const Vec<double>& a, const Vec<double>& b) VERNIER_LAMBDA {
    const Vec<double> d = FiniteOrZero(Magnitude(a - b));
    squares = squares + d * d;
    largest = Greater(largest, d);
  };
  size_t i = 0;
  for (; i + 16 <= n; i += 16) add(Load<double>(x + i), Load<double>(y + i));
  if (i < n) add(LoadFirst(x + i, n - i, 0.0), LoadFirst(y + i, n - i, 0.0));
  return {SumLanes(squares), MaxLanes(largest)};
}

// Exponent fields in the smallest integers that hold them, and a register of those.
template <class T>
struct FieldTypes;
template <>
struct FieldTypes<float> {
  typedef uint8_t Field;
  typedef uint8_t Fields __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
  typedef uint8_t Part __attribute__((vector_size(VERNIER_VECTOR_BYTES / 4)));
};
template <>
struct FieldTypes<double> {
  typedef uint16_t Field;
  typedef uint16_t Fields __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
  typedef uint16_t Part __attribute__((vector_size(VERNIER_VECTOR_BYTES / 4)));
};

// Counted at once: no counter of eight bits sees more than 240 of them.
inline constexpr size_t kFieldPiece = 240 * 16;

// The sum of all counters in a register, 16 bits being enough for it.
template <class Field, class Fields>
VERNIER_INLINE uint64_t SumCounters(const Fields& counters) {
  typedef uint64_t Words __attribute__((vector_size(VERNIER_VECTOR_BYTES)));
  Words words = reinterpret_cast<Words>(counters);
  if constexpr (sizeof(Field) == 1) {
    const Words even = (Words{} + 0x00ff00ff00ff00ffu);
    words = (words & even) + ((words >> 8) & even);
  }
  uint64_t sum = 0;
#pragma GCC unroll 8
  for (size_t i = 0; i < VERNIER_VECTOR_BYTES / 8; ++i) sum += words[i];
  return sum * 0x0001000100010001u >> 48;
}

// Counts the lanes where two registers are equal.
template <class Field, class Fields>
VERNIER_INLINE void CountEqual(const Fields& a, const Fields& b, Fields* counters) {
#if VERNIER_VECTOR_BYTES == 64  // the compiler makes three instructions of two
  const __m512i x = reinterpret_cast<__m512i>(a), y = reinterpret_cast<__m512i>(b),
                c = reinterpret_cast<__m512i>(*counters), ones = _mm512_set1_epi32(-1);
  *counters = reinterpret_cast<Fields>(
      sizeof(Field) == 1 ? _mm512_mask_sub_epi8(c, _mm512_cmpeq_epi8_mask(x, y), c, ones)
                         : _mm512_mask_sub_epi16(c, _mm512_cmpeq_epi16_mask(x, y), c, ones));
#else
  *counters -= reinterpret_cast<Fields>(a == b);
#endif
}

// Counts the fields [top - 15, top] of `n` registers' elements, sixteen counters side by side.
// Returns how many it has counted; *below: the largest smaller field, if there is one. `next`, what
// will be read after these elements, comes from memory meanwhile.
template <class T>
uint64_t CountWindow(const typename FieldTypes<T>::Fields* fields, size_t n, size_t top,
                     const T* next, uint32_t* counts, size_t* below) {
  using Field = typename FieldTypes<T>::Field;
  using Fields = typename FieldTypes<T>::Fields;
  constexpr size_t kWindow = 16;
  Fields counters[kWindow] = {}, rest = {};
  const Fields first = Fields{} + static_cast<Field>(top),
               lowest = Fields{} + static_cast<Field>(top < kWindow ? 0 : top - (kWindow - 1));
  for (size_t i = 0; i < n; ++i) {
    constexpr size_t kElements = sizeof(Fields) / sizeof(Field), kLine = 64 / sizeof(T);
    for (size_t e = 0; e < kElements; e += kLine) __builtin_prefetch(next + i * kElements + e);
    const Fields f = fields[i], smaller = f < lowest ? f : Fields{};
    rest = smaller > rest ? smaller : rest;
#pragma GCC unroll 16
    for (size_t w = 0; w < kWindow; ++w)
      CountEqual<Field>(f, first - static_cast<Field>(w), &counters[w]);
  }
  uint64_t counted = 0;
  for (size_t w = 0; w < kWindow && w <= top; ++w) {
    const uint64_t count = SumCounters<Field>(counters[w]);
    counts[top - w] += static_cast<uint32_t>(count);
    counted += count;
  }
  *below = 0;
  for (size_t l = 0; l < VERNIER_VECTOR_BYTES / sizeof(Field); ++l)
    *below = rest[l] > *below ? rest[l] : *below;
  return counted;
}

// Values of a row mostly lie within a few powers of two: compared with sixteen fields at a time,
// the largest first, without a memory access for each element.
template <class T>
void CountExponents(const T* x, size_t n, uint32_t* counts) {
  using Bits = typename Native<T>::Bits;
  using Types = FieldTypes<T>;
  using Fields = typename Types::Fields;
  constexpr int kShift = sizeof(T) == 4 ? 23 : 52;
  constexpr size_t kFields = kExponentFields<T>,
                   kInRegister = sizeof(Fields) / sizeof(typename Types::Field);
  Fields fields[kFieldPiece / kInRegister];
  for (; n > 0; x += kFieldPiece, n -= n < kFieldPiece ? n : kFieldPiece) {
    const size_t piece = n < kFieldPiece ? n : kFieldPiece;
    typename Types::Field* field = reinterpret_cast<typename Types::Field*>(fields);
    ForLanes(x, piece, x[0], [&](size_t i, const Vec<T>& v, size_t) VERNIER_LAMBDA {
#pragma GCC unroll 8
      for (int q = 0; q < Vec<T>::kParts; ++q) {
        const auto part = __builtin_convertvector(
            (reinterpret_cast<Bits>(v.part[q]) >> kShift) & (kFields - 1), typename Types::Part);
        memcpy(field + i + q * Vec<T>::kWidth, &part, sizeof part);
      }
    });
    // Lanes past the row repeat its first element.
    size_t filled = (piece + kLanes - 1) / kLanes * kLanes;
    for (; filled % kInRegister != 0; ++filled) field[filled] = field[0];
    const size_t registers = filled / kInRegister;
    Fields most = fields[0];
    for (size_t i = 1; i < registers; ++i) most = fields[i] > most ? fields[i] : most;
    size_t top = 0;
    for (size_t l = 0; l < kInRegister; ++l) top = most[l] > top ? most[l] : top;
    for (uint64_t counted = 0; counted < filled;)
      counted += CountWindow<T>(fields, registers, top, x + piece, counts, &top);
    counts[field[0]] -= static_cast<uint32_t>(filled - piece);
  }
}

// `mask`: there are elements that are not finite, to be left out.
template <bool mask, class T>
VERNIER_INLINE RowMoments FiniteMoments(const T* x, size_t n, double finite) {
  const Vec<double> none = Set(__builtin_inf());
  // Elements that are not finite, and those past the row, become `fill`.
  const auto load = [&](size_t i, double fill) VERNIER_LAMBDA {
    const Vec<double> v = i + kLanes <= n ? Load<double>(x + i) : LoadFirst(x + i, n - i, fill);
    if constexpr (!mask) return v;
    const Vec<double> a = Magnitude(v), other = Set(fill);
    return ForParts<double>(
        [&](int q) { return a.part[q] <= SetPart(kLargestDouble) ? v.part[q] : other.part[q]; });
  };
  Vec<double> sum = Set(0.0), squares = Set(0.0), low = none, high = Set(0.0) - none;
  for (size_t i = 0; i < n; i += kLanes) {
    const Vec<double> v = load(i, 0.0);
    sum = sum + v;
    squares = squares + v * v;
    low = Less(low, mask || i + kLanes > n ? load(i, __builtin_inf()) : v);
    high = Greater(high, mask || i + kLanes > n ? load(i, -__builtin_inf()) : v);
  }
  RowMoments m{SumLanes(sum), SumLanes(squares), 0, -MaxLanes(Set(0.0) - low), MaxLanes(high)};
  const double mean = m.sum / finite;
  Vec<double> deviations = Set(0.0);
  for (size_t i = 0; i < n; i += kLanes) {
    const Vec<double> d = load(i, mean) - Set(mean);
    deviations = deviations + d * d;
  }
  m.deviations = SumLanes(deviations);
  return m;
}

template <class T>
RowMoments Moments(const T* x, size_t n, size_t finite) {
  if (finite == n) return FiniteMoments<false>(x, n, static_cast<double>(n));
  return FiniteMoments<true>(x, n, static_cast<double>(finite));
}

template <class T>
constexpr MomentKernels<T> MakeMomentKernels() {
  return {CountExponents<T>, Moments<T>, Extent<T>, Distance<T>};
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_MOMENTS_INL_H_
