// Products in the order of ggml's vec_dot on x86 (IntDotOrder::kVecDot): eight chains of floats an
// output, chain l of columns 4l .. 4l+3 of every 32, and their tree. ggml-org/ggml:
// src/ggml-cpu/arch/x86/quants.c; its tinyBLAS (llamafile/sgemm.cpp) has the same order for Q8_0.
#ifndef VERNIER_KERNELS_INTDOT_LANES_INL_H_
#define VERNIER_KERNELS_INTDOT_LANES_INL_H_

#include "kernels/intdot_blocks-inl.h"

namespace vernier::VERNIER_TARGET {

// The tree over the chains: l + (l+4), + (l+2), + (l+1).
VERNIER_INLINE Floats SumChains(const Floats* lane) {
  return ((lane[4] + lane[0]) + (lane[6] + lane[2])) + ((lane[5] + lane[1]) + (lane[7] + lane[3]));
}

// Blocks of 32 with signed codes.
struct LanesQ8_0 {
  static constexpr PackedType kType = PackedType::kQ8_0;
  VERNIER_INLINE static Ints Codes(const uint8_t* group, int quad) {
    return LoadInts(group + 64 * quad);
  }
};
struct LanesQ4_0 {
  static constexpr PackedType kType = PackedType::kQ4_0;
  VERNIER_INLINE static Ints Codes(const uint8_t* group, int quad) {
    const Ints v = ShiftRight(LoadInts(group + 64 * (quad / 2)), quad % 2 * 4);
    // v - 8 a byte: no sum carries into the next, and the flipped bit makes up for 0x80 too much.
    return ((v & SetInts(0x0f0f0f0f)) + SetInts(0x78787878)) ^
           SetInts(static_cast<int32_t>(0x80808080u));
  }
};

inline constexpr ActivationFormat kLanesFormat{ActivationKind::kQ8_0, kFlipped, 0};

// Chains [lane, lane + L) of N rows; sums: [n][8].
template <class B, int L, int N>
VERNIER_INLINE void LanesTile(const IntDotArgs& a, const uint8_t* panel, int q, int lane, size_t j,
                              Floats (*sums)[8]) {
  constexpr PackedLayout kLayout = LayoutOf(B::kType);
  const uint8_t* scales = panel + kLayout.ScalesOffset(a.k) + 2 * q * kWidth;
  const uint8_t* codes = panel + q * sizeof(Ints);
  const size_t scales_at = kLanesFormat.Scales(a.k);
  const uint8_t* x[N];
  for (int n = 0; n < N; ++n) x[n] = a.x[j + n];
  Floats sum[N][L] = {};
  for (size_t b = 0; b < a.k / 32; ++b) {
    const Floats dw = Halves(scales + kLayout.scale_bytes * b);
    Floats d[N];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n)
      d[n] = dw * reinterpret_cast<Floats>(Quad(x[n] + scales_at + 4 * b));
#pragma GCC unroll 8
    for (int l = 0; l < L; ++l) {
      const SignedCodes w = Prepare(B::Codes(codes + kLayout.group_bytes * b, lane + l));
      if constexpr (N == 1)
        if (64 * (lane + l) < kLayout.group_bytes)
          Prefetch(codes + kLayout.group_bytes * b + 64 * (lane + l));
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n)
        sum[n][l] =
            FmaPart(d[n], ToFloats(Dot4(w, Quad(x[n] + 32 * b + 4 * (lane + l)))), sum[n][l]);
    }
  }
  for (int n = 0; n < N; ++n)
    for (int l = 0; l < L; ++l) sums[n][lane + l] = sum[n][l];
}

inline constexpr int kLanesRows = VERNIER_VECTOR_BYTES == 64 ? 3 : 2;
inline constexpr int kLanesAtOnce = VERNIER_VECTOR_BYTES == 64 ? 8 : 4;

template <class B>
void MatMulLanes(const IntDotArgs& a) {
  const size_t stride = LayoutOf(B::kType).PanelBytes(a.k);
  for (size_t j = 0; j < a.n; j += kRowsTogether) {
    const size_t end = j + kRowsTogether < a.n ? j + kRowsTogether : a.n;
    for (size_t panel = a.first_panel; panel < a.last_panel; ++panel)
      ForTiles<kLanesRows>(j, end, [&](auto rows, size_t row) {
        constexpr int kRows = decltype(rows)::value;
        for (int q = 0; q < kParts; ++q) {
          Floats sums[kRows][8];
          for (int lane = 0; lane < 8; lane += kLanesAtOnce)
            LanesTile<B, kLanesAtOnce, kRows>(a, a.panels + panel * stride, q, lane, row, sums);
          for (int n = 0; n < kRows; ++n)
            StoreOutputs(SumChains(sums[n]), panel * 16, q, a.outputs, a.y[row + n]);
        }
      });
  }
}

// Super-blocks. Of a panel kChunk of them at a time are unpacked: the codes to bytes, the scales to
// couples of 16 bits, for all rows of X.
inline constexpr size_t kChunk = 4;
struct alignas(64) SuperChunk {
  uint8_t codes[kChunk * 64 * 64];   // [super-block][group of 32][quad][row]: unsigned codes
  uint8_t scales[kChunk * 16 * 64];  // [super-block][16 columns][row]: a scale twice
  uint8_t couples[kChunk * 8 * 64];  // [super-block][32 columns][row]: what a row's sums multiply
  float d[kChunk * 16], m[kChunk * 16];
};

VERNIER_INLINE void UnpackHalves(const uint8_t* halves, float* out) {
  for (int q = 0; q < kParts; ++q) {
    const Floats v = Halves(halves + 2 * q * kWidth);
    memcpy(out + q * kWidth, &v, sizeof v);
  }
}

// Each has: kCorrection, what the sums of 16 codes are multiplied with beside the couples of
// scales (a shift, 0: none); kMins, whether there are minima, four chains of 64 columns each.
struct SuperQ6_K {
  static constexpr PackedType kType = PackedType::kQ6_K;
  static constexpr int kCorrection = 5;
  static constexpr bool kMins = false;
  static void Unpack(const uint8_t* group, const uint8_t* unit, size_t count, SuperChunk* out) {
    for (int q = 0; q < kParts; ++q) {
      const size_t at = q * sizeof(Ints);
      for (size_t g = 0; g < count * 8; ++g) {
        const uint8_t* in = group + 384 * g + at;
        for (int i = 0; i < 6; ++i) Prefetch(in + 64 * i);
        uint8_t* codes = out->codes + 512 * g + at;
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
          const Ints top = LoadInts(in + 64 * half), mask = SetInts(0x30303030),
                     nibble = SetInts(0x0f0f0f0f);
          const Ints v0 = LoadInts(in + 128 + 128 * half), v1 = LoadInts(in + 192 + 128 * half);
          uint8_t* to = codes + 256 * half;
          StoreInts((v0 & nibble) | ((top << 4) & mask), to);
          StoreInts((ShiftRight(v0, 4) & nibble) | ((top << 2) & mask), to + 64);
          StoreInts((v1 & nibble) | (top & mask), to + 128);
          StoreInts((ShiftRight(v1, 4) & nibble) | (ShiftRight(top, 2) & mask), to + 192);
        }
      }
      for (size_t s = 0; s < count; ++s)
        for (size_t g = 0; g < 8; ++g) {
          const uint8_t* bytes = unit + 288 * s + 32 + 32 * g + q * kWidth;
          const Ints first = Signed(bytes), second = Signed(bytes + 16);
          uint8_t* to = out->scales + 64 * (16 * s + 2 * g) + at;
          StoreInts(Couple(first, first), to);
          StoreInts(Couple(second, second), to + 64);
          StoreInts(Couple(first, second), out->couples + 64 * (8 * s + g) + at);
        }
    }
    for (size_t s = 0; s < count; ++s) UnpackHalves(unit + 288 * s, out->d + 16 * s);
  }
};
struct SuperQ4_K {
  static constexpr PackedType kType = PackedType::kQ4_K;
  static constexpr int kCorrection = 0;
  static constexpr bool kMins = true;
  static void Unpack(const uint8_t* group, const uint8_t* unit, size_t count, SuperChunk* out) {
    for (int q = 0; q < kParts; ++q) {
      const size_t at = q * sizeof(Ints);
      for (size_t o = 0; o < count * 32; ++o) {
        const Ints v = LoadInts(group + 64 * o + at), nibble = SetInts(0x0f0f0f0f);
        Prefetch(group + 64 * o + at);
        StoreInts(v & nibble, out->codes + 128 * o + at);
        StoreInts(ShiftRight(v, 4) & nibble, out->codes + 128 * o + 64 + at);
      }
      for (size_t s = 0; s < count; ++s) {
        const uint8_t* bytes = unit + 320 * s + 64 + q * kWidth;
        for (size_t g = 0; g < 8; ++g) {
          const Ints scale = Unsigned(bytes + 16 * g), twice = Couple(scale, scale);
          uint8_t* to = out->scales + 64 * (16 * s + 2 * g) + at;
          StoreInts(twice, to);
          StoreInts(twice, to + 64);
        }
        for (size_t i = 0; i < 4; ++i)
          StoreInts(Couple(Unsigned(bytes + 128 + 32 * i), Unsigned(bytes + 144 + 32 * i)),
                    out->couples + 64 * (8 * s + i) + at);
      }
    }
    for (size_t s = 0; s < count; ++s) {
      UnpackHalves(unit + 320 * s, out->d + 16 * s);
      UnpackHalves(unit + 320 * s + 32, out->m + 16 * s);
    }
  }
};

// The chains of a row of X for one part of a panel: eight, and four of the minima.
struct Chains {
  Floats lane[8], minimum[4];
};

inline constexpr int kSuperLanes = 4;
inline constexpr int kSuperLanesRows = VERNIER_VECTOR_BYTES == 64   ? 6
                                       : VERNIER_VECTOR_BYTES == 32 ? 2
                                                                    : 1;

// Super-blocks [block, block + count) of N rows, part q of the panel.
template <class S, int N>
VERNIER_INLINE void SuperTile(const IntDotArgs& a, const SuperChunk& chunk, size_t block,
                              size_t count, int q, size_t j, Chains* chains) {
  const size_t scales_at = kSuperFormat.Scales(a.k) + 4 * block,
               sums16_at = kSuperFormat.Sums(a.k) + 32 * block,
               sums32_at = kSuperFormat.Sums(a.k) + a.k / 8 + 16 * block;
  const uint8_t* x[N];
  for (int n = 0; n < N; ++n) x[n] = a.x[j + n];
  const size_t at = q * sizeof(Ints);
  for (size_t s = 0; s < count; ++s) {
    Floats d[N];
    const Floats dw = LoadFloats(chunk.d + 16 * s + q * kWidth);
    for (int n = 0; n < N; ++n)
      d[n] = reinterpret_cast<Floats>(Quad(x[n] + scales_at + 4 * s)) * dw;
    if constexpr (S::kMins) {
      const Floats mw = LoadFloats(chunk.m + 16 * s + q * kWidth);
      for (int n = 0; n < N; ++n) {
        const Floats m = -reinterpret_cast<Floats>(Quad(x[n] + scales_at + 4 * s)) * mw;
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
          const Ints dot = PairDot(Ints{}, LoadInts(chunk.couples + 64 * (8 * s + i) + at),
                                   Quad(x[n] + sums32_at + 16 * s + 4 * i));
          chains[n].minimum[i] = FmaPart(m, ToFloats(dot), chains[n].minimum[i]);
        }
      }
    }
    for (int lane = 0; lane < 8; lane += kSuperLanes) {
      Ints acc[N][kSuperLanes] = {};
      for (int g = 0; g < 8; ++g) {
        const Ints scale = LoadInts(chunk.scales + 64 * (16 * s + 2 * g + lane / 4) + at);
        const uint8_t* codes = chunk.codes + 64 * (64 * s + 8 * g + lane) + at;
#pragma GCC unroll 4
        for (int l = 0; l < kSuperLanes; ++l) {
          const Ints w = LoadInts(codes + 64 * l);
#pragma GCC unroll 8
          for (int n = 0; n < N; ++n) {
            const uint8_t* from = x[n] + 256 * (block + s) + 32 * g + 4 * (lane + l);
            acc[n][l] = PairDot(acc[n][l], Pairs(w, Quad(from)), scale);
          }
        }
      }
#pragma GCC unroll 4
      for (int l = 0; l < kSuperLanes; ++l)
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) {
          if constexpr (S::kCorrection > 0)
            acc[n][l] -= PairDot(Ints{}, LoadInts(chunk.couples + 64 * (8 * s + lane + l) + at),
                                 Quad(x[n] + sums16_at + 32 * s + 4 * (lane + l)))
                         << S::kCorrection;
          Floats& sum = chains[n].lane[lane + l];
          sum = FmaPart(d[n], ToFloats(acc[n][l]), sum);
        }
    }
  }
}

template <class S>
void SuperPanel(const IntDotArgs& a, size_t panel, size_t j, size_t end) {
  constexpr PackedLayout kLayout = LayoutOf(S::kType);
  const uint8_t* codes = a.panels + panel * kLayout.PanelBytes(a.k);
  const uint8_t* scales = codes + kLayout.ScalesOffset(a.k);
  const size_t blocks = a.k / 256;
  SuperChunk chunk;
  alignas(64) Chains chains[kRowsTogether * kParts];
  memset(chains, 0, (end - j) * kParts * sizeof(Chains));
  const size_t step = end - j < 4 ? 1 : kChunk;
  for (size_t block = 0; block < blocks; block += step) {
    const size_t count = block + step < blocks ? step : blocks - block;
    S::Unpack(codes + block * 8 * kLayout.group_bytes, scales + block * kLayout.scale_bytes, count,
              &chunk);
    for (int q = 0; q < kParts; ++q)
      ForTiles<kSuperLanesRows>(j, end, [&](auto rows, size_t row) {
        SuperTile<S, decltype(rows)::value>(a, chunk, block, count, q, row,
                                            chains + q * (end - j) + (row - j));
      });
  }
  for (int q = 0; q < kParts; ++q)
    for (size_t row = j; row < end; ++row) {
      const Chains& c = chains[q * (end - j) + (row - j)];
      Floats y = SumChains(c.lane);
      if constexpr (S::kMins)
        y = y + ((c.minimum[0] + c.minimum[2]) + (c.minimum[1] + c.minimum[3]));
      StoreOutputs(y, panel * 16, q, a.outputs, a.y[row]);
    }
}

template <class S>
void MatMulSuper(const IntDotArgs& a) {
  for (size_t j = 0; j < a.n; j += kRowsTogether) {
    const size_t end = j + kRowsTogether < a.n ? j + kRowsTogether : a.n;
    for (size_t panel = a.first_panel; panel < a.last_panel; ++panel)
      SuperPanel<S>(a, panel, j, end);
  }
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_INTDOT_LANES_INL_H_
