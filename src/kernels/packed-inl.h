// The loops over a packed type (packed_types-inl.h): decoding to floats, and products of a few rows
// with weights that are decoded in registers.
#ifndef VERNIER_KERNELS_PACKED_INL_H_
#define VERNIER_KERNELS_PACKED_INL_H_

#include "kernels/packed_kernels.h"
#include "kernels/packed_types-inl.h"

namespace vernier::VERNIER_TARGET {

constexpr size_t kGroupColumns = 32;

// Where a panel's streams lie for group g (of 32 columns, counted from the panel's first).
template <TensorType type>
struct Streams {
  static constexpr PackedLayout kLayout = LayoutOf(type);
  static constexpr size_t kCodes = kGroupColumns / kLayout.group * kLayout.group_bytes;
  static constexpr bool kLong = kLayout.unit == 256;  // scales belong to blocks of 256
  const uint8_t *codes, *scales;
  VERNIER_INLINE Streams(const uint8_t* panel, size_t k)
      : codes(panel), scales(panel + kLayout.ScalesOffset(k)) {}
  VERNIER_INLINE const uint8_t* Codes(size_t g) const { return codes + g * kCodes; }
  VERNIER_INLINE const uint8_t* Unit(size_t g) const {
    return scales + (kLong ? g / 8 : g) * kLayout.scale_bytes;
  }
};

// One column past the last whole group: plain types alone have such.
template <TensorType type>
VERNIER_INLINE Floats ColumnOf(const uint8_t* codes, size_t column) {
  return Packed<type>::template Piece<0>(codes + column * LayoutOf(type).group_bytes, 0);
}

template <TensorType type>
void DecodeColumns(const uint8_t* panel, size_t k, size_t k0, size_t count, float* out) {
  using P = Packed<type>;
  const Streams<type> s(panel, k);
  size_t i = 0;
  for (; i + P::kColumns <= count; i += P::kColumns) {
    const size_t column = k0 + i, g = column / kGroupColumns;
    const uint8_t* unit = s.Unit(g);
    const auto scales = P::Scales(P::Unit(unit), unit, column % kBlock / P::kColumns);
    const uint8_t* codes = s.Codes(g);
    for (size_t o = i % kGroupColumns / 8, end = o + P::kColumns / 8; o < end; ++o) {
      float* to = out + (i / kGroupColumns * kGroupColumns + o * 8) * kLanes;
      Unroll<8 / P::kPiece>([&](auto p) VERNIER_LAMBDA {
        const auto piece = P::template Piece<p.value>(codes, o);
        Unroll<P::kPiece>([&](auto e) VERNIER_LAMBDA {
          Store(P::template Weight<e.value>(piece, scales),
                to + (p.value * P::kPiece + e.value) * kLanes);
        });
      });
    }
  }
  if constexpr (P::kPiece == 1)
    for (; i < count; ++i) Store(ColumnOf<type>(s.codes, k0 + i), out + i * kLanes);
}

// Prefetched this far ahead in each panel: DRAM answers after about 100 ns, in which a core that
// reads 30 GB/s takes 3 KB, of all panels together. Of a panel alone that is also where the next
// one begins.
template <int C>
constexpr size_t kAhead = C == 1 ? 4096 : 2048;

// The sums of C panels and N rows over one block; adds weight[c] times column i of X to them.
template <int N, int C>
struct BlockSums {
  Floats sum[C][N];
  const float* x[N];
  VERNIER_INLINE void Clear() {
    Unroll<C>([&](auto c) VERNIER_LAMBDA {
      Unroll<N>([&](auto j) VERNIER_LAMBDA { sum[c.value][j.value] = Set(0.0f); });
    });
  }
  VERNIER_INLINE void Add(size_t i, const Floats* weight) {
    Unroll<N>([&](auto j) VERNIER_LAMBDA {
      const Floats x_j = Set(x[j.value][i]);
      Unroll<C>([&](auto c) VERNIER_LAMBDA {
        sum[c.value][j.value] = Fma(weight[c.value], x_j, sum[c.value][j.value]);
      });
    });
  }
};

// Eight columns, from column i of X on: octet o of the groups at `codes`.
template <TensorType type, int N, int C, class S>
VERNIER_INLINE void Octet(const uint8_t* const* codes, size_t o, const S* scales, size_t i,
                          BlockSums<N, C>* sums) {
  using P = Packed<type>;
  constexpr size_t kBytes = Streams<type>::kCodes / 4;
  Unroll<8 / P::kPiece>([&](auto p) VERNIER_LAMBDA {
    decltype(P::template Piece<0>(nullptr, 0)) piece[C];
    Unroll<C>([&](auto c) VERNIER_LAMBDA {
      piece[c.value] = P::template Piece<p.value>(codes[c.value], o);
    });
    Unroll<P::kPiece>([&](auto e) VERNIER_LAMBDA {
      Floats weight[C];
      Unroll<C>([&](auto c) VERNIER_LAMBDA {
        weight[c.value] = P::template Weight<e.value>(piece[c.value], scales[c.value]);
      });
      sums->Add(i + p.value * P::kPiece + e.value, weight);
    });
  });
  Unroll<C>([&](auto c) VERNIER_LAMBDA {
    for (size_t line = 0; line < (kBytes + 63) / 64; ++line)
      __builtin_prefetch(codes[c.value] + o * kBytes + kAhead<C> + 64 * line);
  });
}

// C panels side by side, so that their chains hide the latency of fma and share what is broadcast.
template <TensorType type, int N, int C>
void FewRows(const FewRowsArgs& a) {
  using P = Packed<type>;
  using Unit = decltype(P::Unit(nullptr));
  using Scales = decltype(P::Scales(Unit{}, nullptr, 0));
  const uint8_t* panel[C];
  Unroll<C>([&](auto c) VERNIER_LAMBDA { panel[c.value] = a.panel + c.value * a.stride; });
  BlockSums<N, C> sums;
  Unroll<N>([&](auto j) VERNIER_LAMBDA { sums.x[j.value] = a.x[j.value]; });
  Floats total[C][N];
  for (size_t k0 = 0; k0 < a.k; k0 += kBlock) {
    const size_t end = a.k - k0 < kBlock ? a.k : k0 + kBlock;
    sums.Clear();
    Unit unit[C];
    Unroll<C>([&](auto c) VERNIER_LAMBDA {
      unit[c.value] = P::Unit(Streams<type>(panel[c.value], a.k).Unit(k0 / kGroupColumns));
    });
    size_t i = k0;
    for (; i + P::kColumns <= end; i += P::kColumns) {
      Scales scales[C];
      const uint8_t* codes[C];
      Unroll<C>([&](auto c) VERNIER_LAMBDA {
        const Streams<type> s(panel[c.value], a.k);
        scales[c.value] =
            P::Scales(unit[c.value], s.Unit(i / kGroupColumns), i % kBlock / P::kColumns);
        codes[c.value] = s.Codes(i / kGroupColumns);
      });
      for (size_t o = i % kGroupColumns / 8, at = i; at < i + P::kColumns; ++o, at += 8)
        Octet<type>(codes, o, scales, at, &sums);
    }
    if constexpr (P::kPiece == 1) {
      for (; i < end; ++i) {
        Floats weight[C];
        Unroll<C>([&](auto c)
                      VERNIER_LAMBDA { weight[c.value] = ColumnOf<type>(panel[c.value], i); });
        sums.Add(i, weight);
      }
    }
    Unroll<C>([&](auto c) VERNIER_LAMBDA {
      Unroll<N>([&](auto j) VERNIER_LAMBDA {
        const Floats& sum = sums.sum[c.value][j.value];
        Floats* t = &total[c.value][j.value];
        *t = k0 == 0 ? sum : *t + sum;
      });
    });
  }
  for (int c = 0; c < C; ++c)
    for (int j = 0; j < N; ++j)
      StoreLanes(total[c][j], a.y[j] + static_cast<size_t>(c) * kLanes,
                 c + 1 < C ? kLanes : a.valid);
}

template <TensorType type>
constexpr PackedTypeKernels KernelsOf() {
#if VERNIER_VECTOR_BYTES == 64
  // Plain numbers cost so little to decode that one chain of fma keeps up with memory, which gives
  // a single stream a tenth more than four side by side.
  constexpr int kOneRow = Packed<type>::kPiece == 1 ? 1 : 4;
  return {type,
          DecodeColumns<type>,
          FewRows<type, 1, 1>,
          {{kOneRow, FewRows<type, 1, kOneRow>},
           {4, FewRows<type, 2, 4>},
           {2, FewRows<type, 4, 2>},
           {2, FewRows<type, 8, 2>}}};
#elif VERNIER_VECTOR_BYTES == 32
  return {type,
          DecodeColumns<type>,
          FewRows<type, 1, 1>,
          {{2, FewRows<type, 1, 2>}, {1, FewRows<type, 2, 1>}, {1, FewRows<type, 4, 1>}, {}}};
#else
  return {type, DecodeColumns<type>, nullptr, {}};
#endif
}

// In the order of kPackedLayouts.
#define VERNIER_PACKED_KERNELS(Table)                   \
  const PackedTypeKernels Table[] = {                   \
      VERNIER_TARGET::KernelsOf<TensorType::kF32>(),    \
      VERNIER_TARGET::KernelsOf<TensorType::kF16>(),    \
      VERNIER_TARGET::KernelsOf<TensorType::kBF16>(),   \
      VERNIER_TARGET::KernelsOf<TensorType::kQ8_0>(),   \
      VERNIER_TARGET::KernelsOf<TensorType::kQ4_0>(),   \
      VERNIER_TARGET::KernelsOf<TensorType::kQ4_1>(),   \
      VERNIER_TARGET::KernelsOf<TensorType::kQ5_0>(),   \
      VERNIER_TARGET::KernelsOf<TensorType::kQ5_1>(),   \
      VERNIER_TARGET::KernelsOf<TensorType::kQ2_K>(),   \
      VERNIER_TARGET::KernelsOf<TensorType::kQ3_K>(),   \
      VERNIER_TARGET::KernelsOf<TensorType::kQ4_K>(),   \
      VERNIER_TARGET::KernelsOf<TensorType::kQ5_K>(),   \
      VERNIER_TARGET::KernelsOf<TensorType::kQ6_K>(),   \
      VERNIER_TARGET::KernelsOf<TensorType::kIQ4_NL>(), \
      VERNIER_TARGET::KernelsOf<TensorType::kIQ4_XS>(), \
      VERNIER_TARGET::KernelsOf<TensorType::kMXFP4>(),  \
  }

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_PACKED_INL_H_
