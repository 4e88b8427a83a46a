// Dot products rounded at every operation (kernels/chain.h). A tile is some rows with one panel, or
// one row with some panels: eight registers of sums, each a chain of operations that wait for each
// other.
#ifndef VERNIER_KERNELS_CHAIN_INL_H_
#define VERNIER_KERNELS_CHAIN_INL_H_

#include "kernels/chain.h"
#include "kernels/chain_lanes-inl.h"
#include "kernels/odd_rows-inl.h"

namespace vernier::VERNIER_TARGET {

// Sums of a tile, and what they are made of.
template <class T>
struct ChainTileShape {
  static constexpr int kParts = Vec<T>::kParts;
  static constexpr int kRows = kParts < 8 ? 8 / kParts : 1;
  static constexpr int kPanels = kRows < 4 ? kRows : 4;
};

// The operation of one term.
template <class T, ChainGrid kProduct, ChainGrid kSum, bool kOdd>
struct ChainStep {
  static constexpr bool kTracks = kSum == ChainGrid::kFloat;
  ChainRounder<T, kProduct> product;
  ChainRounder<T, kSum> sum;
  VERNIER_INLINE explicit ChainStep(const ChainBlock<T>& a) : product(a.product), sum(a.sum) {}
  template <class F>
  VERNIER_INLINE F Next(F s, F x, F w) const {
    // Where sums may be coarser than products they can become -0, and signs of zeros matter.
    if constexpr (kOdd) {
      return sum.RoundSigned(AddOdd(s, product.ProductSigned(x, w)));
    } else {
      return sum.Round(s + product.Product(x, w));
    }
  }
  static constexpr bool kScaled = ChainRounder<T, kSum>::kScaled;
};

template <class T, ChainGrid kSum>
struct ChainFused {
  static constexpr bool kTracks = kSum == ChainGrid::kFloat;
  ChainRounder<T, kSum> sum;
  VERNIER_INLINE explicit ChainFused(const ChainBlock<T>& a) : sum(a.sum) {}
  template <class F>
  VERNIER_INLINE F Next(F s, F x, F w) const {
    if constexpr (kSum == ChainGrid::kHost) return FmaPart(x, w, s);
    return sum.RoundSigned(FmaOdd(x, w, s));
  }
  static constexpr bool kScaled = ChainRounder<T, kSum>::kScaled;
};

// Whether all numbers are zero or in the range of sums before.
template <class T>
VERNIER_INLINE bool SumsFit(const ChainBlock<T>& a, const T* sums) {
  using R = RoundTypes<T>;
  typename R::U bad = {};
  for (size_t i = 0; i < kLanes; i += R::kWidth) {
    const auto u = R::LoadBits(sums + i) & R::All(R::kMagnitude);
    const auto low = R::Less(u, R::All(a.lowest)) & R::AsU(u != R::All(0));
    bad |= low | R::Less(R::All(a.highest), u);
  }
  typename R::Bits lanes[R::kWidth], any = 0;
  memcpy(lanes, &bad, sizeof bad);
  for (const auto lane : lanes) any |= lane;
  return any == 0;
}

// Rows [row, row + N) with the panels [panel, panel + Q).
template <class Op, class T, int N, int Q>
void ChainTile(const ChainBlock<T>& a, size_t row, size_t panel) {
  constexpr int kParts = Vec<T>::kParts, kWidth = Vec<T>::kWidth;
  using F = typename Vec<T>::Part;
  const Op op(a);
  F s[N][Q][kParts];
  [[maybe_unused]] F most[N][Q][kParts];
  bool some = false;
#pragma GCC unroll 16
  for (int j = 0; j < N; ++j)
#pragma GCC unroll 4
    for (int p = 0; p < Q; ++p) {
      const size_t r = row + static_cast<size_t>(j), q = panel + static_cast<size_t>(p);
      const T* from = a.sums[q] + r * kLanes;
      uint8_t* left = a.left + q * a.rows + r;
      if (*left == 0 && !SumsFit(a, from)) *left = 1;
      some |= *left == 0;
#pragma GCC unroll 8
      for (int c = 0; c < kParts; ++c) {
        s[j][p][c] = LoadPart(from + c * kWidth, T{});
        if constexpr (Op::kScaled) s[j][p][c] += s[j][p][c];
        if constexpr (Op::kTracks) most[j][p][c] = F{};
      }
    }
  if (!some) return;
  const T *x[N], *w[Q];
#pragma GCC unroll 16
  for (int j = 0; j < N; ++j) x[j] = a.x[row + static_cast<size_t>(j)] + a.column;
#pragma GCC unroll 4
  for (int p = 0; p < Q; ++p) w[p] = a.w[panel + static_cast<size_t>(p)];
  for (size_t i = 0; i < a.count; ++i) {
#pragma GCC unroll 4
    for (int p = 0; p < Q; ++p)
#pragma GCC unroll 16
      for (int j = 0; j < N; ++j) {
        F x_j = SetPart(x[j][i]);
        if constexpr (Op::kScaled) x_j += x_j;
#pragma GCC unroll 8
        for (int c = 0; c < kParts; ++c) {
          F& sum = s[j][p][c];
          sum = op.Next(sum, x_j, LoadPart(w[p] + i * kLanes + c * kWidth, T{}));
          if constexpr (Op::kTracks) most[j][p][c] = MaxMagnitude(most[j][p][c], sum);
        }
      }
  }
#pragma GCC unroll 16
  for (int j = 0; j < N; ++j)
#pragma GCC unroll 4
    for (int p = 0; p < Q; ++p) {
      const size_t r = row + static_cast<size_t>(j), q = panel + static_cast<size_t>(p);
      uint8_t* left = a.left + q * a.rows + r;
      if (*left != 0) continue;
      if constexpr (Op::kTracks) {
        T largest[kLanes], top = 0;
        memcpy(largest, most[j][p], sizeof largest);
        for (const T m : largest) top = m > top ? m : top;
        if (top > a.largest) {
          *left = 1;
          continue;
        }
      }
      T* to = a.sums[q] + r * kLanes;
#pragma GCC unroll 8
      for (int c = 0; c < kParts; ++c) {
        const F sum = Op::kScaled ? s[j][p][c] * SetPart(T{0.5}) : s[j][p][c];
        memcpy(to + c * kWidth, &sum, sizeof sum);
      }
    }
}

template <class Op, class T>
void RunChains(const ChainBlock<T>& a) {
  constexpr size_t kRows = ChainTileShape<T>::kRows, kPanels = ChainTileShape<T>::kPanels;
  size_t row = 0;
  for (; row + kRows <= a.rows; row += kRows)
    for (size_t p = 0; p < a.panels; ++p) ChainTile<Op, T, static_cast<int>(kRows), 1>(a, row, p);
  for (; row < a.rows; ++row) {
    size_t p = 0;
    for (; p + kPanels <= a.panels; p += kPanels)
      ChainTile<Op, T, 1, static_cast<int>(kPanels)>(a, row, p);
    for (; p < a.panels; ++p) ChainTile<Op, T, 1, 1>(a, row, p);
  }
}

template <class T>
ChainExtent<T> ExtentOf(const T* x, size_t n) {
  using R = RoundTypes<T>;
  using Bits = typename R::Bits;
  ChainExtent<T> e;
  auto low = R::All(e.lowest), high = R::All(0);
  size_t i = 0;
  for (; i + R::kWidth <= n; i += R::kWidth) {
    const auto u = R::LoadBits(x + i) & R::All(R::kMagnitude);
    low = R::Select(R::Less(u, low) & R::AsU(u != R::All(0)), u, low);
    high = R::LargerInteger(high, u);
  }
  Bits lows[R::kWidth], highs[R::kWidth];
  memcpy(lows, &low, sizeof lows);
  memcpy(highs, &high, sizeof highs);
  for (size_t l = 0; l < R::kWidth; ++l) {
    e.lowest = lows[l] < e.lowest ? lows[l] : e.lowest;
    e.highest = highs[l] > e.highest ? highs[l] : e.highest;
  }
  for (; i < n; ++i) {
    Bits u;
    memcpy(&u, x + i, sizeof u);
    u &= R::kMagnitude;
    if (u != 0 && u < e.lowest) e.lowest = u;
    if (u > e.highest) e.highest = u;
  }
  return e;
}

template <class T, ChainGrid kGrid>
void Convert(const ChainFormat<T>& format, const float* x, size_t n, T* y) {
  const ChainRounder<T, kGrid> rounder(format);
  for (size_t i = 0; i < n; i += Vec<T>::kWidth) {
    auto v = LoadPart(x + i, T{});
    if constexpr (ChainRounder<T, kGrid>::kScaled) v += v;
    v = rounder.RoundSigned(v);
    if constexpr (ChainRounder<T, kGrid>::kScaled) v *= SetPart(T{0.5});
    memcpy(y + i, &v, sizeof v);
  }
}

template <class T, ChainGrid kProduct, ChainGrid kSum>
constexpr void FillStep(ChainKernels<T>* k) {
  constexpr auto r = static_cast<int>(kProduct), a = static_cast<int>(kSum);
  constexpr bool kAll = kSum == ChainGrid::kPosit;
  if constexpr (!kAll) k->plain[r][a] = RunChains<ChainStep<T, kProduct, kSum, false>, T>;
  // Formats that are finer than what rounding twice allows do not go with floats.
  if constexpr (kAll || (sizeof(T) == sizeof(double) && kSum != ChainGrid::kHost))
    k->odd[r][a] = RunChains<ChainStep<T, kProduct, kSum, true>, T>;
}

template <class T>
constexpr ChainKernels<T> MakeChainKernels() {
  ChainKernels<T> k = {};
  FillStep<T, ChainGrid::kHost, ChainGrid::kHost>(&k);
  FillStep<T, ChainGrid::kFloat, ChainGrid::kHost>(&k);
  FillStep<T, ChainGrid::kFloat, ChainGrid::kFloat>(&k);
  FillStep<T, ChainGrid::kTapered, ChainGrid::kTapered>(&k);
  FillStep<T, ChainGrid::kPosit, ChainGrid::kPosit>(&k);
  k.fused[static_cast<int>(ChainGrid::kHost)] = RunChains<ChainFused<T, ChainGrid::kHost>, T>;
  k.fused[static_cast<int>(ChainGrid::kFloat)] = RunChains<ChainFused<T, ChainGrid::kFloat>, T>;
  k.fused[static_cast<int>(ChainGrid::kTapered)] = RunChains<ChainFused<T, ChainGrid::kTapered>, T>;
  k.fused[static_cast<int>(ChainGrid::kPosit)] = RunChains<ChainFused<T, ChainGrid::kPosit>, T>;
  k.extent = ExtentOf<T>;
  k.convert[static_cast<int>(ChainGrid::kFloat)] = Convert<T, ChainGrid::kFloat>;
  k.convert[static_cast<int>(ChainGrid::kTapered)] = Convert<T, ChainGrid::kTapered>;
  return k;
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_CHAIN_INL_H_
