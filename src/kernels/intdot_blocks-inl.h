// Products of repacked weights (IntDotOrder::kRepack): an integer sum of a block, then one chain of
// floats an output, as ggml's src/ggml-cpu/arch/x86/repack.cpp computes them (ggml-org/ggml).
#ifndef VERNIER_KERNELS_INTDOT_BLOCKS_INL_H_
#define VERNIER_KERNELS_INTDOT_BLOCKS_INL_H_

#include "kernels/intdot_rows-inl.h"
#include "kernels/quantise.h"

namespace vernier::VERNIER_TARGET {

// Types of four bits in blocks of 32. Codes(v): unsigned bytes of nibbles, kOffset too large.
struct BlocksQ4_0 {
  static constexpr TensorType kType = TensorType::kQ4_0;
  static constexpr uint8_t kOffset = 8;
  static constexpr bool kWide = false;  // codes above 127
  VERNIER_INLINE static Ints Codes(const Ints& nibbles) { return nibbles; }
  VERNIER_INLINE static Floats Scales(const uint8_t* unit, int q) {
    return Halves(unit + 2 * q * kWidth);
  }
};
struct BlocksIQ4_NL {
  static constexpr TensorType kType = TensorType::kIQ4_NL;
  static constexpr uint8_t kOffset = 128;
  static constexpr bool kWide = true;
  VERNIER_INLINE static Ints Codes(const Ints& nibbles) {
    return Lookup(kIQ4Levels, nibbles) ^ SetInts(static_cast<int32_t>(0x80808080u));
  }
  VERNIER_INLINE static Floats Scales(const uint8_t* unit, int q) {
    return Halves(unit + 2 * q * kWidth);
  }
};
struct BlocksMXFP4 {
  static constexpr TensorType kType = TensorType::kMXFP4;
  static constexpr uint8_t kOffset = 12;
  static constexpr bool kWide = false;
  static constexpr int8_t kLevels[16] = {12, 13, 14, 15, 16, 18, 20, 24,
                                         12, 11, 10, 9,  8,  6,  4,  0};  // kTwiceE2M1 plus 12
  VERNIER_INLINE static Ints Codes(const Ints& nibbles) { return Lookup(kLevels, nibbles); }
  // 2^(e - 128) from the exponent's bits; 0 and 1 are subnormal.
  VERNIER_INLINE static Floats Scales(const uint8_t* unit, int q) {
    const Ints e = Unsigned(unit + q * kWidth), small = e < SetInts(2);
    const Ints subnormal =
        (SetInts(0x200000) & ~(e == SetInts(1))) | (SetInts(0x400000) & (e == SetInts(1)));
    return reinterpret_cast<Floats>((small & subnormal) | (~small & ((e - SetInts(1)) << 23)));
  }
};

template <class B>
VERNIER_INLINE Ints BlockDot(const Ints& acc, const Ints& u, const Ints& s) {
  if constexpr (B::kWide) {
    return DotWide(acc, u, s);
  } else {
    return Dot(acc, u, s);
  }
}

template <class B, int P, int N>
VERNIER_INLINE void BlocksTile(const IntDotArgs& a, size_t panel, size_t j) {
  constexpr PackedLayout kLayout = LayoutOf(B::kType);
  constexpr ActivationFormat kFormat{ActivationKind::kQ8_0, false, B::kOffset};
  const size_t stride = kLayout.PanelBytes(a.k), offset = kLayout.ScalesOffset(a.k);
  const size_t scales_at = kFormat.Scales(a.k), sums_at = kFormat.Sums(a.k);
  const uint8_t* x[N];
  for (int n = 0; n < N; ++n) x[n] = a.x[j + n];
  for (int q = 0; q < kParts; ++q) {
    const uint8_t* codes = a.panels + panel * stride + q * sizeof(Ints);
    const uint8_t* scales = a.panels + panel * stride + offset;
    Floats sum[P][N] = {};
    for (size_t b = 0; b < a.k / 32; ++b) {
      // Past a panel's end comes the next one, which the loop beside reads: skip to the one after.
      [[maybe_unused]] const size_t skip = 256 * b + kAhead < stride ? 0 : (P - 1) * stride;
      Ints acc[P][N];
#pragma GCC unroll 12
      for (int n = 0; n < N; ++n)
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) acc[p][n] = Quad(x[n] + sums_at + 4 * b);
#pragma GCC unroll 4
      for (int o = 0; o < 4; ++o) {
        Ints low[P], high[P];
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) {
          const Ints v = LoadInts(codes + p * stride + 256 * b + 64 * o);
          if constexpr (N == 1) Prefetch(codes + p * stride + skip + 256 * b + 64 * o);
          low[p] = B::Codes(v & SetInts(0x0f0f0f0f));
          high[p] = B::Codes(ShiftRight(v, 4) & SetInts(0x0f0f0f0f));
        }
#pragma GCC unroll 12
        for (int n = 0; n < N; ++n) {
          const Ints x0 = Quad(x[n] + 32 * b + 8 * o), x1 = Quad(x[n] + 32 * b + 8 * o + 4);
#pragma GCC unroll 4
          for (int p = 0; p < P; ++p)
            acc[p][n] = BlockDot<B>(BlockDot<B>(acc[p][n], low[p], x0), high[p], x1);
        }
      }
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        const Floats d = B::Scales(scales + p * stride + kLayout.scale_bytes * b, q);
#pragma GCC unroll 12
        for (int n = 0; n < N; ++n) {
          const Floats dx = reinterpret_cast<Floats>(Quad(x[n] + scales_at + 4 * b));
          sum[p][n] = FmaPart(ToFloats(acc[p][n]), d * dx, sum[p][n]);
        }
      }
    }
    for (int p = 0; p < P; ++p)
      for (int n = 0; n < N; ++n)
        StoreOutputs(sum[p][n], (panel + p) * 16, q, a.outputs, a.y[j + n]);
  }
}

// Rows and panels that fill the registers: 2 P N accumulators.
inline constexpr int kBlockRows = VERNIER_VECTOR_BYTES == 64   ? 6
                                  : VERNIER_VECTOR_BYTES == 32 ? 4
                                                               : 2;
inline constexpr int kBlockPanels = VERNIER_VECTOR_BYTES == 64 ? 2 : 1;

template <class B>
void MatMulBlocks(const IntDotArgs& a) {
  for (size_t j = 0; j < a.n; j += kRowsTogether) {
    const size_t end = j + kRowsTogether < a.n ? j + kRowsTogether : a.n;
    size_t panel = a.first_panel;
    for (; panel + kBlockPanels <= a.last_panel; panel += kBlockPanels)
      ForTiles<kBlockRows>(j, end, [&](auto rows, size_t row) {
        BlocksTile<B, kBlockPanels, decltype(rows)::value>(a, panel, row);
      });
    for (; panel < a.last_panel; ++panel)
      ForTiles<kBlockRows>(j, end, [&](auto rows, size_t row) {
        BlocksTile<B, 1, decltype(rows)::value>(a, panel, row);
      });
  }
}

inline constexpr ActivationFormat kSuperFormat{ActivationKind::kQ8_K, false, 0};

// Q4_K. kFours: the products of rows four at a time are summed as floats after each 64 columns, of
// other rows after all 256.
template <bool kFours, int N>
VERNIER_INLINE void TileQ4_K(const IntDotArgs& a, size_t panel, size_t j) {
  constexpr PackedLayout kLayout = LayoutOf(TensorType::kQ4_K);
  const size_t stride = kLayout.PanelBytes(a.k), offset = kLayout.ScalesOffset(a.k);
  const size_t scales_at = kSuperFormat.Scales(a.k), sums_at = kSuperFormat.Sums(a.k) + a.k / 8;
  const uint8_t* x[N];
  for (int n = 0; n < N; ++n) x[n] = a.x[j + n];
  for (int q = 0; q < kParts; ++q) {
    const uint8_t* codes = a.panels + panel * stride + q * sizeof(Ints);
    const uint8_t* unit = a.panels + panel * stride + offset;
    Floats sum[N] = {}, minima[N] = {};
    for (size_t b = 0; b < a.k / 256; ++b, unit += kLayout.scale_bytes) {
      Floats d[N];
      {
        const Floats dmin = Halves(unit + 32 + 2 * q * kWidth);
        Ints acc[N] = {};
        Floats m[N];
        for (int n = 0; n < N; ++n)
          m[n] = dmin * reinterpret_cast<Floats>(Quad(x[n] + scales_at + 4 * b));
#pragma GCC unroll 4
        for (int pair = 0; pair < 4; ++pair) {
          const uint8_t* bytes = unit + 192 + 32 * pair + q * kWidth;
          const Ints mins = Couple(Unsigned(bytes), Unsigned(bytes + 16));
#pragma GCC unroll 12
          for (int n = 0; n < N; ++n) {
            const Ints sums = Quad(x[n] + sums_at + 16 * b + 4 * pair);
            if constexpr (kFours) {
              minima[n] = FmaPart(ToFloats(PairDot(Ints{}, sums, mins)), m[n], minima[n]);
            } else {
              acc[n] = PairDot(acc[n], sums, mins);
            }
          }
        }
        if constexpr (!kFours)
          for (int n = 0; n < N; ++n) minima[n] = FmaPart(ToFloats(acc[n]), m[n], minima[n]);
        const Floats dw = Halves(unit + 2 * q * kWidth);
        for (int n = 0; n < N; ++n)
          d[n] = dw * reinterpret_cast<Floats>(Quad(x[n] + scales_at + 4 * b));
      }
      Ints total[N] = {};
      for (int g = 0; g < 8; ++g) {
        Ints acc[N] = {};
        const uint8_t* group = codes + 2048 * b + 256 * g;
#pragma GCC unroll 4
        for (int o = 0; o < 4; ++o) {
          const Ints v = LoadInts(group + 64 * o);
          if constexpr (N == 1) Prefetch(group + 64 * o);
          const Ints low = v & SetInts(0x0f0f0f0f), high = ShiftRight(v, 4) & SetInts(0x0f0f0f0f);
#pragma GCC unroll 12
          for (int n = 0; n < N; ++n) {
            const uint8_t* at = x[n] + 256 * b + 32 * g + 8 * o;
            acc[n] = Dot(Dot(acc[n], low, Quad(at)), high, Quad(at + 4));
          }
        }
        const Ints scale = Unsigned(unit + 64 + 16 * g + q * kWidth);
#pragma GCC unroll 12
        for (int n = 0; n < N; ++n) total[n] += acc[n] * scale;
        if (kFours && g % 2 == 1) {
#pragma GCC unroll 12
          for (int n = 0; n < N; ++n) {
            sum[n] = FmaPart(ToFloats(total[n]), d[n], sum[n]);
            total[n] = Ints{};
          }
        }
      }
      if constexpr (!kFours)
        for (int n = 0; n < N; ++n) sum[n] = FmaPart(ToFloats(total[n]), d[n], sum[n]);
    }
    for (int n = 0; n < N; ++n)
      StoreOutputs(sum[n] - minima[n], panel * 16, q, a.outputs, a.y[j + n]);
  }
}

inline constexpr int kSuperRows = VERNIER_VECTOR_BYTES == 64   ? 6
                                  : VERNIER_VECTOR_BYTES == 32 ? 3
                                                               : 2;

inline void MatMulQ4_K(const IntDotArgs& a) {
  for (size_t j = 0; j < a.n; j += kRowsTogether) {
    const size_t end = j + kRowsTogether < a.n ? j + kRowsTogether : a.n;
    const size_t fours = a.fours < j ? j : a.fours < end ? a.fours : end;
    for (size_t panel = a.first_panel; panel < a.last_panel; ++panel) {
      ForTiles<kSuperRows>(j, fours, [&](auto rows, size_t row) {
        TileQ4_K<true, decltype(rows)::value>(a, panel, row);
      });
      ForTiles<kSuperRows>(fours, end, [&](auto rows, size_t row) {
        TileQ4_K<false, decltype(rows)::value>(a, panel, row);
      });
    }
  }
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_INTDOT_BLOCKS_INL_H_
