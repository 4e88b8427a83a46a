// Products in the order of ggml's vec_dot on x86 (IntDotOrder::kDot), blocks of 32: eight chains of
// floats an output, chain l of columns 4l .. 4l+3 of every 32, and their tree. ggml-org/ggml:
// src/ggml-cpu/arch/x86/quants.c; its tinyBLAS (llamafile/sgemm.cpp) has the same order for most.
#ifndef VERNIER_KERNELS_INTDOT_LANES_INL_H_
#define VERNIER_KERNELS_INTDOT_LANES_INL_H_

#include "kernels/intdot_blocks-inl.h"

namespace vernier::VERNIER_TARGET {

// The tree over the chains: l + (l+4), + (l+2), + (l+1).
VERNIER_INLINE Floats SumChains(const Floats* lane) {
  return ((lane[4] + lane[0]) + (lane[6] + lane[2])) + ((lane[5] + lane[1]) + (lane[7] + lane[3]));
}

// Quads of a group of packed codes as unsigned bytes (kernels/packed.h).
VERNIER_INLINE Ints NibbleQuad(const uint8_t* octets, int quad) {
  return ShiftRight(LoadInts(octets + 64 * (quad / 2)), quad % 2 * 4) & SetInts(0x0f0f0f0f);
}
// Bit kBit of each byte from a vector of the quads' bits.
template <int kBit>
VERNIER_INLINE Ints BitQuad(const uint8_t* bits, int quad) {
  return (ShiftRight(LoadInts(bits), quad) & SetInts(0x01010101)) << kBit;
}
VERNIER_INLINE Ints PairQuad(const uint8_t* pairs, int quad) {
  return ShiftRight(LoadInts(pairs + 64 * (quad / 4)), quad % 4 * 2) & SetInts(0x03030303);
}
// Unsigned bytes below 128 less kOffset: no sum carries into the next byte, and the flipped bit is
// the 128 that was added.
template <int kOffset>
VERNIER_INLINE Ints Less(const Ints& v) {
  return (v + SetInts((128 - kOffset) * 0x01010101)) ^ SetInts(static_cast<int32_t>(0x80808080u));
}

// Types of blocks of 32. Codes(group, quad): signed bytes. kMinima: Q8_1's sums times the minima
// are a chain of their own. kPairs: even and odd blocks have chains of their own.
struct LanesQ8_0 {
  static constexpr TensorType kType = TensorType::kQ8_0;
  static constexpr bool kMinima = false, kPairs = false;
  VERNIER_INLINE static Ints Codes(const uint8_t* group, int quad) {
    return LoadInts(group + 64 * quad);
  }
  VERNIER_INLINE static Floats Scales(const uint8_t* unit, int q) {
    return Halves(unit + 2 * q * kWidth);
  }
};
struct LanesQ4_0 : LanesQ8_0 {
  static constexpr TensorType kType = TensorType::kQ4_0;
  VERNIER_INLINE static Ints Codes(const uint8_t* group, int quad) {
    return Less<8>(NibbleQuad(group, quad));
  }
};
struct LanesQ5_0 : LanesQ8_0 {
  static constexpr TensorType kType = TensorType::kQ5_0;
  VERNIER_INLINE static Ints Codes(const uint8_t* group, int quad) {
    return Less<16>(NibbleQuad(group + 64, quad) | BitQuad<4>(group, quad));
  }
};
struct LanesQ4_1 : LanesQ8_0 {
  static constexpr TensorType kType = TensorType::kQ4_1;
  static constexpr bool kMinima = true;
  VERNIER_INLINE static Ints Codes(const uint8_t* group, int quad) {
    return NibbleQuad(group, quad);
  }
};
struct LanesQ5_1 : LanesQ4_1 {
  static constexpr TensorType kType = TensorType::kQ5_1;
  VERNIER_INLINE static Ints Codes(const uint8_t* group, int quad) {
    return NibbleQuad(group + 64, quad) | BitQuad<4>(group, quad);
  }
};
template <bool kInPairs>
struct LanesIQ4_NL : LanesQ8_0 {
  static constexpr TensorType kType = TensorType::kIQ4_NL;
  static constexpr bool kPairs = kInPairs;
  VERNIER_INLINE static Ints Codes(const uint8_t* group, int quad) {
    return Lookup(kIQ4Levels, NibbleQuad(group, quad));
  }
};
struct LanesMXFP4 {
  static constexpr TensorType kType = TensorType::kMXFP4;
  static constexpr bool kMinima = false, kPairs = true;
  VERNIER_INLINE static Ints Codes(const uint8_t* group, int quad) {
    return Lookup(kTwiceE2M1, NibbleQuad(group, quad));
  }
  VERNIER_INLINE static Floats Scales(const uint8_t* unit, int q) {
    return BlocksMXFP4::Scales(unit, q);
  }
};

template <class B>
constexpr ActivationFormat LanesFormat() {
  return {B::kMinima ? ActivationKind::kQ8_1 : ActivationKind::kQ8_0, kFlipped, 0};
}

// A block's chains [lane, lane + L) of N rows; codes and scales are the block's.
template <class B, int L, int N>
VERNIER_INLINE void LanesBlock(const uint8_t* codes, const Floats& dw, int lane, size_t b,
                               size_t scales_at, const uint8_t* const* x, Floats (*sum)[L]) {
  Floats d[N];
#pragma GCC unroll 8
  for (int n = 0; n < N; ++n) d[n] = dw * reinterpret_cast<Floats>(Quad(x[n] + scales_at + 4 * b));
#pragma GCC unroll 8
  for (int l = 0; l < L; ++l) {
    const SignedCodes w = Prepare(B::Codes(codes, lane + l));
    if constexpr (N == 1) {
      if (64 * (lane + l) < LayoutOf(B::kType).group_bytes) Prefetch(codes + 64 * (lane + l));
    }
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n)
      sum[n][l] = FmaPart(d[n], ToFloats(Dot4(w, Quad(x[n] + 32 * b + 4 * (lane + l)))), sum[n][l]);
  }
}

// Rows and chains at once: L N accumulators, of pairs twice as many.
inline constexpr int kLanesRows = VERNIER_VECTOR_BYTES == 64 ? 3 : 2;
template <class B>
inline constexpr int kLanesAtOnce = (VERNIER_VECTOR_BYTES == 64 ? 8 : 4) / (B::kPairs ? 2 : 1);

// Sixteen outputs of N rows, part q of the panel.
template <class B, int N>
VERNIER_INLINE void LanesTile(const IntDotArgs& a, size_t panel, int q, size_t j) {
  constexpr PackedLayout kLayout = LayoutOf(B::kType);
  constexpr int L = kLanesAtOnce<B>;
  const uint8_t* codes = a.panels + panel * kLayout.PanelBytes(a.k) + q * sizeof(Ints);
  const uint8_t* scales = a.panels + panel * kLayout.PanelBytes(a.k) + kLayout.ScalesOffset(a.k);
  const size_t scales_at = LanesFormat<B>().Scales(a.k), sums_at = LanesFormat<B>().Sums(a.k);
  const size_t blocks = a.k / 32, whole = B::kPairs ? blocks / 2 * 2 : blocks;
  const uint8_t* x[N];
  for (int n = 0; n < N; ++n) x[n] = a.x[j + n];
  Floats chains[N][8];
  for (int lane = 0; lane < 8; lane += L) {
    Floats sum[N][L] = {}, odd[N][L] = {};
    for (size_t b = 0; b < whole; b += B::kPairs ? 2 : 1) {
      const uint8_t *group = codes + kLayout.group_bytes * b,
                    *unit = scales + kLayout.scale_bytes * b;
      LanesBlock<B, L, N>(group, B::Scales(unit, q), lane, b, scales_at, x, sum);
      if constexpr (B::kPairs)
        LanesBlock<B, L, N>(group + kLayout.group_bytes, B::Scales(unit + kLayout.scale_bytes, q),
                            lane, b + 1, scales_at, x, odd);
    }
    for (int n = 0; n < N; ++n)
      for (int l = 0; l < L; ++l)
        chains[n][lane + l] = B::kPairs ? sum[n][l] + odd[n][l] : sum[n][l];
  }
  for (int n = 0; n < N; ++n) {
    Floats y = SumChains(chains[n]);
    if (whole < blocks) {  // a last block without a pair: one number
      Ints total{};
      for (int quad = 0; quad < 8; ++quad)
        total += Dot4(Prepare(B::Codes(codes + kLayout.group_bytes * whole, quad)),
                      Quad(x[n] + 32 * whole + 4 * quad));
      const Floats d = B::Scales(scales + kLayout.scale_bytes * whole, q) *
                       reinterpret_cast<Floats>(Quad(x[n] + scales_at + 4 * whole));
      y = FmaPart(d, ToFloats(total), y);
    }
    if constexpr (B::kMinima) {
      Floats m{};
      for (size_t b = 0; b < blocks; ++b)
        m = FmaPart(B::Scales(scales + kLayout.scale_bytes * b + 32, q),
                    reinterpret_cast<Floats>(Quad(x[n] + sums_at + 4 * b)), m);
      y = y + m;
    }
    StoreOutputs(y, panel * 16, q, a.outputs, a.y[j + n]);
  }
}

template <class B>
void MatMulLanes(const IntDotArgs& a) {
  for (size_t j = 0; j < a.n; j += kRowsTogether) {
    const size_t end = j + kRowsTogether < a.n ? j + kRowsTogether : a.n;
    for (size_t panel = a.first_panel; panel < a.last_panel; ++panel)
      ForTiles<kLanesRows>(j, end, [&](auto rows, size_t row) {
        for (int q = 0; q < kParts; ++q) LanesTile<B, decltype(rows)::value>(a, panel, q, row);
      });
  }
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_INTDOT_LANES_INL_H_
