// Products of super-blocks of 256 in ggml's orders: vec_dot's eight chains (src/ggml-cpu/arch/x86/
// quants.c), IQ4_XS in a batch, and repacked Q2_K (arch/x86/repack.cpp; ggml-org/ggml).
#ifndef VERNIER_KERNELS_INTDOT_SUPER_INL_H_
#define VERNIER_KERNELS_INTDOT_SUPER_INL_H_

#include "kernels/intdot_unpack-inl.h"

namespace vernier::VERNIER_TARGET {

// The chains of a row of X for one part of a panel: eight, and those of the minima.
struct Chains {
  Floats lane[8], minimum[4];
};

// kLanes: eight chains. kWhole: one of whole super-blocks. kFours and kOnes: Q2_K repacked, rows
// four at a time (a step for each 128 columns) and others.
enum class SuperOrder { kLanes, kWhole, kFours, kOnes };

template <class S>
constexpr ActivationFormat SuperFormat() {
  return {ActivationKind::kQ8_K, S::kSigned && kFlipped, 0};
}

VERNIER_INLINE Floats Number(const uint8_t* p) { return reinterpret_cast<Floats>(Quad(p)); }

// What the minima of super-block s of the chunk add to the chains of one row; x is its activations'
// scale of the super-block, sums16 and sums32 their sums.
template <class S>
VERNIER_INLINE void AddMinima(const SuperChunk& chunk, size_t s, int q, const uint8_t* scale,
                              const uint8_t* sums16, const uint8_t* sums32, Chains* chains) {
  const uint8_t* couples = chunk.couples + 512 * s + q * sizeof(Ints);
  const Floats m = -Number(scale) * LoadFloats(chunk.m + 16 * s + q * kWidth);
  if constexpr (S::kMinima == Minima::kInLanes) {
    for (int l = 0; l < 8; ++l)
      chains->lane[l] =
          FmaPart(m, ToFloats(PairDot(Ints{}, LoadInts(couples + 64 * l), Quad(sums16 + 4 * l))),
                  chains->lane[l]);
    return;
  }
  Ints total{};
  for (int i = 0; i < 4; ++i) {
    const Ints dot = PairDot(S::kMinima == Minima::kOneChain ? total : Ints{},
                             LoadInts(couples + 64 * i), Quad(sums32 + 4 * i));
    if constexpr (S::kMinima == Minima::kOneChain) {
      total = dot;
    } else {
      chains->minimum[i] = FmaPart(m, ToFloats(dot), chains->minimum[i]);
    }
  }
  if constexpr (S::kMinima == Minima::kOneChain)
    chains->minimum[0] = FmaPart(m, ToFloats(total), chains->minimum[0]);
}

inline constexpr int kSuperLanes = 4;  // half of the chains at once: they share their scales
inline constexpr int kSuperLanesRows = VERNIER_VECTOR_BYTES == 64   ? 6
                                       : VERNIER_VECTOR_BYTES == 32 ? 2
                                                                    : 1;

// The integers of chains [lane, lane + 4) of a super-block of N rows; x: its first column.
template <class S, int N>
VERNIER_INLINE void SuperIntegers(const SuperChunk& chunk, size_t s, int q, int lane,
                                  const uint8_t* const* x, size_t column,
                                  Ints (*acc)[kSuperLanes]) {
  const size_t at = q * sizeof(Ints);
  for (int g = 0; g < 8; ++g) {
    const Ints scale = LoadInts(chunk.scales + 1024 * s + 64 * (2 * g + lane / 4) + at);
    const uint8_t* codes = chunk.codes + 4096 * s + 64 * (8 * g + lane) + at;
#pragma GCC unroll 4
    for (int l = 0; l < kSuperLanes; ++l) {
      const Ints w = LoadInts(codes + 64 * l);
      const size_t from = column + 32 * g + 4 * (lane + l);
      if constexpr (S::kSigned) {
        const SignedCodes prepared = Prepare(w);
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) acc[n][l] += Dot4(prepared, Quad(x[n] + from)) * scale;
      } else {
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n)
          acc[n][l] = PairDot(acc[n][l], Pairs(w, Quad(x[n] + from)), scale);
      }
    }
  }
}

// Super-blocks [block, block + count) of N rows, part q of the panel.
template <class S, SuperOrder kOrder, int N>
VERNIER_INLINE void SuperTile(const IntDotArgs& a, const SuperChunk& chunk, size_t block,
                              size_t count, int q, size_t j, Chains* chains) {
  constexpr ActivationFormat kFormat = SuperFormat<S>();
  const uint8_t* x[N];
  for (int n = 0; n < N; ++n) x[n] = a.x[j + n];
  for (size_t s = 0; s < count; ++s) {
    const size_t scale_at = kFormat.Scales(a.k) + 4 * (block + s),
                 sums16_at = kFormat.Sums(a.k) + 32 * (block + s),
                 sums32_at = kFormat.Sums(a.k) + a.k / 8 + 16 * (block + s);
    Floats d[N];
    for (int n = 0; n < N; ++n) {
      d[n] = Number(x[n] + scale_at) * LoadFloats(chunk.d + 16 * s + q * kWidth);
      if constexpr (S::kMinima != Minima::kNone)
        AddMinima<S>(chunk, s, q, x[n] + scale_at, x[n] + sums16_at, x[n] + sums32_at, chains + n);
    }
    Ints total[N] = {};
    for (int lane = 0; lane < 8; lane += kSuperLanes) {
      Ints acc[N][kSuperLanes] = {};
      SuperIntegers<S, N>(chunk, s, q, lane, x, 256 * (block + s), acc);
#pragma GCC unroll 4
      for (int l = 0; l < kSuperLanes; ++l)
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) {
          if constexpr (S::kCorrection > 0)
            acc[n][l] -=
                PairDot(Ints{},
                        LoadInts(chunk.couples + 512 * s + 64 * (lane + l) + q * sizeof(Ints)),
                        Quad(x[n] + sums16_at + 4 * (lane + l)))
                << S::kCorrection;
          if constexpr (kOrder == SuperOrder::kWhole) {
            total[n] += acc[n][l];
          } else {
            Floats& sum = chains[n].lane[lane + l];
            sum = FmaPart(d[n], ToFloats(acc[n][l]), sum);
          }
        }
    }
    if constexpr (kOrder == SuperOrder::kWhole)
      for (int n = 0; n < N; ++n)
        chains[n].lane[0] = FmaPart(ToFloats(total[n]), d[n], chains[n].lane[0]);
  }
}

// Repacked Q2_K: the scales of the chunk are numbers.
template <class S, SuperOrder kOrder, int N>
VERNIER_INLINE void ChainTile(const IntDotArgs& a, const SuperChunk& chunk, size_t block,
                              size_t count, int q, size_t j, Chains* chains) {
  constexpr ActivationFormat kFormat = SuperFormat<S>();
  constexpr int kSteps = kOrder == SuperOrder::kFours ? 2 : 1;
  const size_t at = q * sizeof(Ints);
  const uint8_t* x[N];
  for (int n = 0; n < N; ++n) x[n] = a.x[j + n];
  for (size_t s = 0; s < count; ++s) {
    const size_t scale_at = kFormat.Scales(a.k) + 4 * (block + s),
                 sums_at = kFormat.Sums(a.k) + 32 * (block + s);
    for (int step = 0; step < kSteps; ++step) {
      Ints total[N] = {}, minima[N] = {};
      for (int i = 16 / kSteps * step; i < 16 / kSteps * (step + 1); ++i) {
        const uint8_t* codes = chunk.codes + 4096 * s + 256 * i + at;
        const Ints scale = LoadInts(chunk.scales + 1024 * s + 64 * i + at);
        Ints acc[N] = {};
#pragma GCC unroll 4
        for (int quad = 0; quad < 4; ++quad)
#pragma GCC unroll 8
          for (int n = 0; n < N; ++n)
            acc[n] = Dot(acc[n], LoadInts(codes + 64 * quad),
                         Quad(x[n] + 256 * (block + s) + 16 * i + 4 * quad));
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) total[n] += acc[n] * scale;
        if (i % 2 == 0) {
          const Ints couple = LoadInts(chunk.couples + 512 * s + 32 * i + at);
#pragma GCC unroll 8
          for (int n = 0; n < N; ++n)
            minima[n] = PairDot(minima[n], couple, Quad(x[n] + sums_at + 2 * i));
        }
      }
      for (int n = 0; n < N; ++n) {
        const Floats dx = Number(x[n] + scale_at);
        const Floats d = LoadFloats(chunk.d + 16 * s + q * kWidth) * dx,
                     m = LoadFloats(chunk.m + 16 * s + q * kWidth) * dx;
        chains[n].lane[0] = FmaPart(ToFloats(total[n]), d, chains[n].lane[0]);
        chains[n].minimum[0] = FmaPart(ToFloats(minima[n]), m, chains[n].minimum[0]);
      }
    }
  }
}

template <class S, SuperOrder kOrder>
VERNIER_INLINE Floats FinishChains(const Chains& c) {
  if constexpr (kOrder == SuperOrder::kWhole) return c.lane[0];
  if constexpr (kOrder == SuperOrder::kFours || kOrder == SuperOrder::kOnes)
    return c.lane[0] - c.minimum[0];
  const Floats y = SumChains(c.lane);
  if constexpr (S::kMinima == Minima::kFourChains)
    return y + ((c.minimum[0] + c.minimum[2]) + (c.minimum[1] + c.minimum[3]));
  if constexpr (S::kMinima == Minima::kOneChain) return y + c.minimum[0];
  return y;
}

// Rows [j, end) of one panel.
template <class S, SuperOrder kOrder>
void SuperPanel(const IntDotArgs& a, size_t panel, size_t j, size_t end) {
  constexpr PackedLayout kLayout = LayoutOf(S::kType);
  constexpr bool kChain = kOrder == SuperOrder::kFours || kOrder == SuperOrder::kOnes;
  const uint8_t* codes = a.panels + panel * kLayout.PanelBytes(a.k);
  const uint8_t* scales = codes + kLayout.ScalesOffset(a.k);
  const size_t blocks = a.k / 256, rows_here = end - j;
  SuperChunk chunk;
  Chains chains[kRowsTogether * kParts];
  memset(chains, 0, rows_here * kParts * sizeof(Chains));
  const size_t step = rows_here < 4 ? 1 : kChunk;  // one row: unpacking and products alternate
  for (size_t block = 0; block < blocks; block += step) {
    const size_t count = block + step < blocks ? step : blocks - block;
    UnpackSuper<S, kChain || S::kSigned>(codes + block * 8 * kLayout.group_bytes,
                                         scales + block * kLayout.scale_bytes, count, &chunk);
    for (int q = 0; q < kParts; ++q)
      ForTiles<kSuperLanesRows>(j, end, [&](auto rows, size_t row) {
        Chains* of_rows = chains + q * rows_here + (row - j);
        if constexpr (kChain) {
          ChainTile<S, kOrder, decltype(rows)::value>(a, chunk, block, count, q, row, of_rows);
        } else {
          SuperTile<S, kOrder, decltype(rows)::value>(a, chunk, block, count, q, row, of_rows);
        }
      });
  }
  for (int q = 0; q < kParts; ++q)
    for (size_t row = j; row < end; ++row)
      StoreOutputs(FinishChains<S, kOrder>(chains[q * rows_here + (row - j)]), panel * 16, q,
                   a.outputs, a.y[row]);
}

// Rows before a.fours in kFirst, the rest in kRest.
template <class S, SuperOrder kFirst, SuperOrder kRest = kFirst>
void MatMulSuper(const IntDotArgs& a) {
  const size_t fours = kFirst == kRest ? a.n : a.fours < a.n ? a.fours : a.n;
  const auto run = [&](auto panel_rows, size_t begin, size_t last) {
    for (size_t j = begin; j < last; j += kRowsTogether) {
      const size_t end = j + kRowsTogether < last ? j + kRowsTogether : last;
      for (size_t panel = a.first_panel; panel < a.last_panel; ++panel)
        panel_rows(a, panel, j, end);
    }
  };
  run(SuperPanel<S, kFirst>, 0, fours);
  if constexpr (kFirst != kRest) run(SuperPanel<S, kRest>, fours, a.n);
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_INTDOT_SUPER_INL_H_
