// Blocks of 256 in groups of 16 or 32. In three steps: a search in each group for its own scale
// (and minimum); those made small integers under one or two float16 numbers of the block; and the
// elements' codes found anew for the scales as stored. Batches of sixteen blocks, so that the
// second step has sixteen lanes too where it is a search.
#include <algorithm>
#include <cmath>

#include "formats/decode_blocks.h"
#include "formats/encode_blocks.h"

namespace vernier {
namespace {

constexpr size_t kBlock = 256;
constexpr size_t kBatch = kGroups;  // blocks

// Up to sixteen blocks of groups of n elements; what is past `count` blocks is zero.
struct Batch {
  size_t count, n;
  const float* x;  // count blocks
  float weights[kBatch * kBlock];
  uint8_t codes[kBatch * kBlock];
  // Of group g of block b: entry b * Groups() + g.
  float scales[kBatch * kBlock / 16], minima[kBatch * kBlock / 16], sums[kBatch * kBlock / 16];
  float inverses[kBatch * kBlock / 16], offsets[kBatch * kBlock / 16];  // of the search's codes
  uint8_t scale_codes[kBatch * kBlock / 16], min_codes[kBatch * kBlock / 16];
  float d[kBatch], m[kBatch];

  size_t Groups() const { return kBlock / n; }
};

// Calls f(first group, x, weights) for sixteen groups at a time; the last ones are padded with
// zeros.
template <class F>
void ForGroups(Batch& batch, const F& f) {
  const size_t all = batch.count * batch.Groups();
  for (size_t g = 0; g < all; g += kGroups) {
    if (g + kGroups <= all) {
      f(g, batch.x + g * batch.n, batch.weights + g * batch.n);
      continue;
    }
    float x[kGroups * kGroupLimit] = {}, weights[kGroups * kGroupLimit] = {};
    std::copy_n(batch.x + g * batch.n, (all - g) * batch.n, x);
    std::copy_n(batch.weights + g * batch.n, (all - g) * batch.n, weights);
    f(g, x, weights);
  }
}

float SumOfSquares(const float* x, size_t n) {
  float sum = 0;
  for (size_t i = 0; i < n; ++i) sum += x[i] * x[i];
  return sum;
}

// weights = importance * sqrt(factor * sum of the block's squares / 256 + x^2), and their sum in
// each group.
void Weigh(const EncodeTask& task, size_t first, float factor, Batch& batch) {
  for (size_t b = 0; b < batch.count; ++b) {
    const float* x = batch.x + b * kBlock;
    const float variance = factor * SumOfSquares(x, kBlock) / 256;
    const float* importance = task.importance + (first + b) % task.row_blocks * kBlock;
    task.kernels->weigh(x, importance, kBlock, variance, batch.weights + b * kBlock);
  }
  std::fill(std::begin(batch.sums), std::end(batch.sums), 0.0f);
  for (size_t g = 0; g < batch.count * batch.Groups(); ++g)
    for (size_t i = 0; i < batch.n; ++i) batch.sums[g] += batch.weights[g * batch.n + i];
}

// The scales, or minima, of a block's groups as multiples of d, the largest as `top`; negative ones
// modulo 256.
void ScalesByMost(int top, const float* scales, size_t groups, float* d, uint8_t* codes) {
  float most = 0;
  for (size_t g = 0; g < groups; ++g) most = scales[g] > most ? scales[g] : most;
  const float inverse = most > 0 ? static_cast<float>(top) / most : 0;
  *d = most / static_cast<float>(top);
  for (size_t g = 0; g < groups; ++g) codes[g] = static_cast<uint8_t>(Nearest(inverse * scales[g]));
}

// Scales and minima of the types with both.
void AffineScales(const EncodeTask& task, int top, Batch& batch) {
  const size_t groups = batch.Groups();
  if (task.importance != nullptr) {
    const QuantiseKernels& kernels = *task.kernels;
    kernels.positive(groups, top, batch.scales, batch.sums, batch.d, batch.scale_codes);
    kernels.positive(groups, top, batch.minima, batch.sums, batch.m, batch.min_codes);
    return;
  }
  for (size_t b = 0; b < batch.count; ++b) {
    const size_t g = b * groups;
    ScalesByMost(top, batch.scales + g, groups, &batch.d[b], batch.scale_codes + g);
    ScalesByMost(top, batch.minima + g, groups, &batch.m[b], batch.min_codes + g);
  }
}

void Limit(uint8_t top, uint8_t* codes, size_t n) {
  for (size_t i = 0; i < n; ++i) codes[i] = std::min(codes[i], top);
}

// Codes of a group for the scale and minimum as stored; where the scale is zero those of the
// search.
void EncodeGroup(const EncodeTask& task, size_t group, float scale, float min, int low, int high,
                 Batch& batch) {
  const float* x = batch.x + group * batch.n;
  uint8_t* codes = batch.codes + group * batch.n;
  if (scale != 0) {
    task.kernels->requantise(x, batch.n, scale, min, low, high, codes);
  } else if (!std::isinf(batch.inverses[group])) {
    task.kernels->codes(x, batch.n, batch.inverses[group], batch.offsets[group], low, high, codes);
  } else {
    std::fill_n(codes, batch.n, uint8_t{0});
  }
}

// Two bits of each code, from bit `shift` on: in each 128 elements those 32 apart share a byte.
void PackTwoBits(const uint8_t* codes, int shift, uint8_t* out) {
  for (size_t half = 0; half < 2; ++half, codes += 128, out += 32)
    for (size_t i = 0; i < 32; ++i)
      out[i] = static_cast<uint8_t>((codes[i] >> shift & 3) | (codes[i + 32] >> shift & 3) << 2 |
                                    (codes[i + 64] >> shift & 3) << 4 |
                                    (codes[i + 96] >> shift & 3) << 6);
}

// The low halves of 2 n codes, those n apart sharing a byte.
void PackNibbles(const uint8_t* codes, size_t n, uint8_t* out) {
  for (size_t i = 0; i < n; ++i)
    out[i] = static_cast<uint8_t>((codes[i] & 15) | (codes[i + n] & 15) << 4);
}

// Bit `bit` of each code: those 32 apart share a byte.
template <int bit>
void PackOneBit(const uint8_t* codes, uint8_t* out) {
  for (size_t i = 0; i < 32; ++i) {
    unsigned byte = 0;
    for (size_t g = 0; g < 8; ++g) byte |= (unsigned{codes[32 * g + i]} >> bit & 1u) << g;
    out[i] = static_cast<uint8_t>(byte);
  }
}

template <class Before, class After>
void EncodeBatches(const EncodeTask& task, size_t n, size_t block_bytes, uint8_t* out,
                   const Before& search, const After& pack) {
  Batch batch;
  batch.n = n;
  for (size_t first = 0; first < task.blocks; first += kBatch) {
    batch.count = std::min(kBatch, task.blocks - first);
    batch.x = task.x + first * kBlock;
    std::fill(std::begin(batch.scales), std::end(batch.scales), 0.0f);
    std::fill(std::begin(batch.minima), std::end(batch.minima), 0.0f);
    search(first, batch);
    for (size_t b = 0; b < batch.count; ++b, out += block_bytes) pack(batch, b, out);
  }
}

void SearchAffine(const EncodeTask& task, const AffineSearch& search, Batch& batch) {
  ForGroups(batch, [&](size_t g, const float* x, const float* weights) {
    task.kernels->affine(search, x, weights, batch.scales + g, batch.minima + g, batch.inverses + g,
                         batch.offsets + g);
  });
}

// Q4_K and Q5_K: eight pairs of 6-bit numbers in 12 bytes (UnpackPair in decode_k.cc).
void PackPairs(const uint8_t* s, const uint8_t* t, uint8_t* out) {
  for (size_t j = 0; j < 4; ++j) {
    out[j] = static_cast<uint8_t>(s[j] | s[j + 4] >> 4 << 6);
    out[j + 4] = static_cast<uint8_t>(t[j] | t[j + 4] >> 4 << 6);
    out[j + 8] = static_cast<uint8_t>((s[j + 4] & 15) | (t[j + 4] & 15) << 4);
  }
}

}  // namespace

void EncodeQ2_K(const EncodeTask& task, uint8_t* out) {
  const auto search = [&](size_t first, Batch& batch) {
    if (task.importance != nullptr) {
      Weigh(task, first, 1, batch);
      SearchAffine(task, {16, 3, -0.9f, 0.05f, 36, false}, batch);
    } else {
      for (size_t i = 0; i < batch.count * kBlock; ++i) batch.weights[i] = std::abs(batch.x[i]);
      SearchAffine(task, {16, 3, -0.5f, 0.1f, 15, true}, batch);
    }
    AffineScales(task, 15, batch);
  };
  EncodeBatches(task, 16, 84, out, search, [&](Batch& batch, size_t b, uint8_t* block) {
    StoreHalf(batch.d[b], block + 80);
    StoreHalf(batch.m[b], block + 82);
    const float d = LoadHalf(block + 80), m = LoadHalf(block + 82);
    for (size_t g = 0; g < 16; ++g) {
      const size_t group = 16 * b + g;
      block[g] = static_cast<uint8_t>(batch.scale_codes[group] | batch.min_codes[group] << 4);
      EncodeGroup(task, group, Times(d, block[g] & 15), Times(m, block[g] >> 4), 0, 3, batch);
    }
    PackTwoBits(batch.codes + b * kBlock, 0, block + 16);
  });
}

namespace {

// Q4_K (bits = 4) and Q5_K: the same but for a fifth bit of each code.
void EncodePairs(const EncodeTask& task, int bits, const AffineSearch& plain, uint8_t* out) {
  const int top = (1 << bits) - 1;
  const auto search = [&](size_t first, Batch& batch) {
    if (task.importance != nullptr) {
      Weigh(task, first, 2, batch);
      SearchAffine(task, {32, top, -0.9f, 0.05f, 36, false}, batch);
    } else {
      for (size_t g = 0; g < batch.count * 8; ++g) {
        const float* x = batch.x + 32 * g;
        const float mean = std::sqrt(SumOfSquares(x, 32) / 32);
        for (size_t i = 0; i < 32; ++i) batch.weights[32 * g + i] = mean + std::abs(x[i]);
      }
      SearchAffine(task, plain, batch);
    }
    AffineScales(task, 63, batch);
    if (bits == 4 && task.importance != nullptr) return;  // ggml's Q4_K does not limit these
    Limit(63, batch.scale_codes, batch.count * 8);
    Limit(63, batch.min_codes, batch.count * 8);
  };
  const auto pack = [&](Batch& batch, size_t b, uint8_t* block) {
    StoreHalf(batch.d[b], block);
    StoreHalf(batch.m[b], block + 2);
    const float d = LoadHalf(block), m = LoadHalf(block + 2);
    PackPairs(batch.scale_codes + 8 * b, batch.min_codes + 8 * b, block + 4);
    for (int g = 0; g < 8; ++g) {
      const ScaleAndMin pair = UnpackPair(block + 4, g);
      EncodeGroup(task, 8 * b + static_cast<size_t>(g), Times(d, pair.scale), Times(m, pair.min), 0,
                  top, batch);
    }
    const uint8_t* codes = batch.codes + b * kBlock;
    uint8_t* nibbles = block + 16;
    if (bits == 5) {
      PackOneBit<4>(codes, nibbles);
      nibbles += 32;
    }
    for (size_t quarter = 0; quarter < 4; ++quarter)
      PackNibbles(codes + 64 * quarter, 32, nibbles + 32 * quarter);
  };
  EncodeBatches(task, 32, bits == 4 ? 144 : 176, out, search, pack);
}

}  // namespace

void EncodeQ4_K(const EncodeTask& task, uint8_t* out) {
  EncodePairs(task, 4, {32, 15, -1.0f, 0.1f, 20, false}, out);
}

void EncodeQ5_K(const EncodeTask& task, uint8_t* out) {
  EncodePairs(task, 5, {32, 31, -0.5f, 0.1f, 15, false}, out);
}

namespace {

// The scale of largest magnitude, the first of several; 0 where all are.
float SignedMost(const float* scales, size_t n) {
  float most = 0, signed_most = 0;
  for (size_t i = 0; i < n; ++i) {
    if (std::abs(scales[i]) > most) {
      most = std::abs(scales[i]);
      signed_most = scales[i];
    }
  }
  return signed_most;
}

// x in groups of 16; weights null: x^2.
void SearchSymmetric(const EncodeTask& task, int top, const float* weights, Batch& batch) {
  std::fill(std::begin(batch.offsets), std::end(batch.offsets), 0.0f);
  for (size_t g = 0; g < 16 * batch.count; g += kGroups)
    task.kernels->symmetric(16, top, batch.x + 16 * g,
                            weights != nullptr ? weights + 16 * g : nullptr, batch.scales + g,
                            batch.inverses + g);
}

// Sixteen 6-bit numbers in 12 bytes (UnpackSixBits in decode_k.cc).
void PackSixBits(const uint8_t* codes, uint8_t* out) {
  for (size_t j = 0; j < 8; ++j)
    out[j] = static_cast<uint8_t>((codes[j] & 15) | (codes[j + 8] & 15) << 4);
  for (size_t j = 0; j < 4; ++j)
    out[j + 8] = static_cast<uint8_t>(codes[j] >> 4 | codes[j + 4] >> 4 << 2 |
                                      codes[j + 8] >> 4 << 4 | codes[j + 12] >> 4 << 6);
}

// Sixteen scales as 6-bit numbers plus 32, without importance.
float SixBitScales(const float* scales, uint8_t* codes) {
  const float most = SignedMost(scales, 16);
  const float inverse = -32.0f / most;
  for (size_t g = 0; g < 16; ++g) {
    const auto code = most != 0 ? static_cast<int8_t>(Nearest(inverse * scales[g])) : int8_t{-32};
    codes[g] = static_cast<uint8_t>(std::clamp<int>(code, -32, 31) + 32);
  }
  return most != 0 ? 1 / inverse : 0;
}

}  // namespace

void EncodeQ3_K(const EncodeTask& task, uint8_t* out) {
  const QuantiseKernels& kernels = *task.kernels;
  const auto search = [&](size_t first, Batch& batch) {
    if (task.importance == nullptr) {
      kernels.descent(batch.x, 16 * batch.count, batch.scales, nullptr);
      for (size_t b = 0; b < batch.count; ++b)
        batch.d[b] = SixBitScales(batch.scales + 16 * b, batch.scale_codes + 16 * b);
      return;
    }
    Weigh(task, first, 2, batch);
    SearchSymmetric(task, 4, batch.weights, batch);
    float inverses[kBatch];
    kernels.symmetric(16, 32, batch.scales, batch.sums, batch.d, inverses);
    for (size_t b = 0; b < batch.count; ++b) {
      uint8_t* codes = batch.scale_codes + 16 * b;
      std::fill_n(codes, 16, uint8_t{0});
      if (!std::isinf(inverses[b]))
        kernels.codes(batch.scales + 16 * b, 16, inverses[b], 0, -32, 31, codes);
    }
  };
  EncodeBatches(task, 16, 110, out, search, [&](Batch& batch, size_t b, uint8_t* block) {
    StoreHalf(batch.d[b], block + 108);
    const float d = LoadHalf(block + 108);
    const uint8_t* scales = batch.scale_codes + 16 * b;
    if (task.importance == nullptr &&
        (d == 0 || std::find(scales, scales + 16, 32) < scales + 16)) {
      float again[16];  // some groups keep the codes of the descent
      kernels.descent(batch.x + b * kBlock, 16, again, batch.codes + b * kBlock);
    }
    for (size_t g = 0; g < 16; ++g) {
      const float scale = Times(d, scales[g] - 32);
      if (scale != 0 || task.importance != nullptr)
        EncodeGroup(task, 16 * b + g, scale, 0, -4, 3, batch);
    }
    PackOneBit<2>(batch.codes + b * kBlock, block);
    PackTwoBits(batch.codes + b * kBlock, 0, block + 32);
    PackSixBits(scales, block + 96);
  });
}

void EncodeQ6_K(const EncodeTask& task, uint8_t* out) {
  const auto search = [&](size_t first, Batch& batch) {
    if (task.importance == nullptr) return SearchSymmetric(task, 32, nullptr, batch);
    for (size_t b = 0; b < batch.count; ++b)
      std::copy_n(task.importance + (first + b) % task.row_blocks * kBlock, kBlock,
                  batch.weights + b * kBlock);
    SearchSymmetric(task, 32, batch.weights, batch);
  };
  EncodeBatches(task, 16, 210, out, search, [&](Batch& batch, size_t b, uint8_t* block) {
    const float most = SignedMost(batch.scales + 16 * b, 16);
    if (std::abs(most) < kZeroGroup) {
      std::memset(block, 0, 210);
      return;
    }
    const float inverse = -128.0f / most;
    StoreHalf(1 / inverse, block + 208);
    const float d = LoadHalf(block + 208);
    for (size_t g = 0; g < 16; ++g) {
      const int code = Nearest(inverse * batch.scales[16 * b + g]);
      const auto scale = static_cast<int8_t>(code < 127 ? code : 127);
      block[192 + g] = static_cast<uint8_t>(scale);
      EncodeGroup(task, 16 * b + g, Times(d, scale), 0, -32, 31, batch);
    }
    const uint8_t* codes = batch.codes + b * kBlock;
    for (size_t half = 0; half < 2; ++half) PackNibbles(codes + 128 * half, 64, block + 64 * half);
    PackTwoBits(codes, 4, block + 128);
  });
}

}  // namespace vernier
