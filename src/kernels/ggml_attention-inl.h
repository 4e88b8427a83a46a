// Products of attention in ggml's orders (kernels/ggml.h): tiles of keys or of columns whose sums
// stay in registers, each sum in its own order. Included once per instruction set.
#ifndef VERNIER_KERNELS_GGML_ATTENTION_INL_H_
#define VERNIER_KERNELS_GGML_ATTENTION_INL_H_

#include "kernels/ggml.h"
#include "kernels/ggml_dots-inl.h"
#include "kernels/ggml_lanes-inl.h"

namespace vernier::VERNIER_TARGET {

// Tiles that fill the registers.
inline constexpr int kKeysTogether = VERNIER_VECTOR_BYTES == 64 ? 4 : 1;
inline constexpr int kValueRows = VERNIER_VECTOR_BYTES == 64   ? 4
                                  : VERNIER_VECTOR_BYTES == 32 ? 2
                                                               : 1;
inline constexpr int kValueColumns = VERNIER_VECTOR_BYTES == 64   ? 4
                                     : VERNIER_VECTOR_BYTES == 32 ? 2
                                                                  : 1;  // sixteens

// The lanes of one q with kKeysTogether keys over `whole` elements: in four accumulators by turns,
// which are added, or in one.
template <int kAccumulators>
VERNIER_INLINE void KeyLanes(const float* q, const float* const* k, size_t whole,
                             Vec<float>* lanes) {
  Vec<float> t[kKeysTogether][kAccumulators];
#pragma GCC unroll 4
  for (int key = 0; key < kKeysTogether; ++key)
#pragma GCC unroll 4
    for (int a = 0; a < kAccumulators; ++a) t[key][a] = Set(0.0f);
  for (size_t i = 0; i < whole; i += 16 * kAccumulators) {
#pragma GCC unroll 4
    for (int a = 0; a < kAccumulators; ++a) {
      const Vec<float> x = Load<float>(q + i + 16 * a);
#pragma GCC unroll 4
      for (int key = 0; key < kKeysTogether; ++key)
        t[key][a] = Fma(Load<float>(k[key] + i + 16 * a), x, t[key][a]);
    }
  }
#pragma GCC unroll 4
  for (int key = 0; key < kKeysTogether; ++key) {
    if constexpr (kAccumulators == 4) {
      lanes[key] = (t[key][0] + t[key][2]) + (t[key][1] + t[key][3]);
    } else {
      lanes[key] = t[key][0];
    }
  }
}

template <int kAccumulators>
inline void ScoreTiles(const GgmlScores& a) {
  const size_t whole = a.width / (16 * kAccumulators) * (16 * kAccumulators);
  size_t most = 0;
  for (size_t q = 0; q < a.n; ++q) most = a.keys[q] > most ? a.keys[q] : most;
  for (size_t j = 0; j < most; j += 16) {
    const float* k[16];  // past the last, the last once more
    for (size_t i = 0; i < 16; ++i) k[i] = a.k[j + i < most ? j + i : most - 1] + a.offset;
    for (size_t q = 0; q < a.n; ++q) {
      if (a.keys[q] <= j) continue;
      Vec<float> lanes[16];
#pragma GCC unroll 16
      for (int i = 0; i < 16; i += kKeysTogether)
        KeyLanes<kAccumulators>(a.q[q], k + i, whole, lanes + i);
      const size_t count = a.keys[q] - j < 16 ? a.keys[q] - j : 16;
      float* out = a.out[q] + j;
      StoreLanes(SumLanesOfEach(lanes), out, count);
      if (whole == a.width) continue;
      for (size_t i = 0; i < count; ++i)
        out[i] = GgmlDotRest(a.type, a.q[q], k[i], whole, a.width, out[i]);
    }
  }
}

inline void GgmlScoreRows(const GgmlScores& a) {
  if (a.order == GgmlOrder::kDot) return ScoreTiles<4>(a);
  if (a.width % 16 == 0) return ScoreTiles<1>(a);
  for (size_t q = 0; q < a.n; ++q)
    for (size_t j = 0; j < a.keys[q]; ++j)
      a.out[q][j] = GgmlBatchF32(a.k[j] + a.offset, a.q[q], a.width);
}

// t[i][c] = the sum over j = lane, lane + lanes, ... of the values' sixteen columns c times p of
// row q + i; `common` keys are every row's.
template <int Q, int C>
VERNIER_INLINE void ValueLane(const GgmlValueSums& a, const float* const* p, const size_t* keys,
                              size_t common, size_t column, size_t lane, size_t lanes,
                              Vec<float> (&t)[Q][C]) {
#pragma GCC unroll 4
  for (int i = 0; i < Q; ++i)
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) t[i][c] = Set(0.0f);
  size_t j = lane;
  for (; j < common; j += lanes) {
    const float* row = a.v[j] + column;
    Vec<float> v[C];
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) v[c] = Load<float>(row + 16 * c);
#pragma GCC unroll 4
    for (int i = 0; i < Q; ++i) {
      const Vec<float> weight = Set(p[i][j]);
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) t[i][c] = Fma(v[c], weight, t[i][c]);
    }
  }
  if constexpr (Q == 1) return;
#pragma GCC unroll 4
  for (int i = 0; i < Q; ++i) {
    for (size_t more = j; more < keys[i]; more += lanes) {
      const float* row = a.v[more] + column;
      const Vec<float> weight = Set(p[i][more]);
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) t[i][c] = Fma(Load<float>(row + 16 * c), weight, t[i][c]);
    }
  }
}

template <int Q, int C>
VERNIER_INLINE void AddTiles(Vec<float> (&sum)[Q][C], const Vec<float> (&t)[Q][C]) {
#pragma GCC unroll 4
  for (int i = 0; i < Q; ++i)
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) sum[i][c] = sum[i][c] + t[i][c];
}

// Rows q .. q + Q - 1, 16 C columns. Of 64 lanes the four that are sixteen apart come together at
// once, so that sixteen are kept either way.
template <int Q, int C>
inline void ValueTile(const GgmlValueSums& a, size_t q, size_t first) {
  const float* const* p = a.p + q;
  const size_t *keys = a.keys + q, column = a.offset + first;
  size_t common = keys[0];
  for (int i = 1; i < Q; ++i) common = keys[i] < common ? keys[i] : common;
  Vec<float> lanes[16][Q][C];
  for (size_t l = 0; l < 16; ++l) {
    Vec<float> t[Q][C];
    if (a.batch) {
      ValueLane<Q, C>(a, p, keys, common, column, l, 16, t);
      memcpy(lanes[l], t, sizeof t);
      continue;
    }
    ValueLane<Q, C>(a, p, keys, common, column, l + 16, 64, lanes[l]);
    ValueLane<Q, C>(a, p, keys, common, column, l + 48, 64, t);
    AddTiles(lanes[l], t);
    Vec<float> even[Q][C];
    ValueLane<Q, C>(a, p, keys, common, column, l, 64, even);
    ValueLane<Q, C>(a, p, keys, common, column, l + 32, 64, t);
    AddTiles(even, t);
    AddTiles(lanes[l], even);
  }
  for (int half = 8; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) AddTiles(lanes[l], lanes[l + half]);
  for (int i = 0; i < Q; ++i)
    for (int c = 0; c < C; ++c)
      Store(lanes[0][i][c], a.out[q + static_cast<size_t>(i)] + first + 16 * c);
}

template <int Q, int C>
inline void ValueTiles(const GgmlValueSums& a, size_t q, size_t first) {
  for (; q + Q <= a.n; q += Q) ValueTile<Q, C>(a, q, first);
  if constexpr (Q > 1) {
    if (q < a.n) ValueTiles<Q - 1, C>(a, q, first);
  }
}

inline void GgmlValueRows(const GgmlValueSums& a) {
  size_t first = 0;
  for (; first + 16 * kValueColumns <= a.width; first += 16 * kValueColumns)
    ValueTiles<kValueRows, kValueColumns>(a, 0, first);
  for (; first + 16 <= a.width; first += 16) ValueTiles<kValueRows, 1>(a, 0, first);
  const size_t lanes = a.batch ? 16 : 64;
  for (; first < a.width; ++first) {
    for (size_t q = 0; q < a.n; ++q) {
      float t[64] = {};
      for (size_t j = 0; j < a.keys[q]; ++j)
        t[j % lanes] = __builtin_fmaf(a.v[j][a.offset + first], a.p[q][j], t[j % lanes]);
      for (size_t half = lanes / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; ++l) t[l] += t[l + half];
      a.out[q][first] = t[0];
    }
  }
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_GGML_ATTENTION_INL_H_
