// Blocks of 32 of 4 or 5 bits with one scale and at most one offset: without importance from the
// extremes, with it by the searches of kernels/quantise.h, sixteen blocks at a time. A nibble byte
// j holds element j in its low half and element j + 16 in its high half.
#include <algorithm>
#include <cmath>
#include <limits>

#include "formats/encode_blocks.h"

namespace vernier {
namespace {

constexpr size_t kBlock = 32;

struct Extremes {
  float least, most;
};

// Of the zeros of both signs the first counts.
Extremes FindExtremes(const QuantiseKernels& kernels, const float* x) {
  Extremes e;
  kernels.extremes(x, kBlock, &e.least, &e.most);
  const auto first_zero = [&] { return *std::find(x, x + kBlock, 0.0f); };
  if (e.least == 0) e.least = first_zero();
  if (e.most == 0) e.most = first_zero();
  return e;
}

// The first of the elements of largest magnitude; +0 where all are zero.
float SignedMost(const QuantiseKernels& kernels, const float* x) {
  float least, most;
  kernels.extremes(x, kBlock, &least, &most);
  if (most > -least) return most;
  if (most < -least) return least;
  if (most == 0) return 0;
  return *std::find_if(x, x + kBlock - 1, [&](float v) { return std::abs(v) == most; });
}

void PackNibbles(const uint8_t* codes, uint8_t* out) {
  for (size_t j = 0; j < kBlock / 2; ++j)
    out[j] = static_cast<uint8_t>((codes[j] & 15) | codes[j + kBlock / 2] << 4);
}

// Bit 4 of each code, code j at bit j. The product moves the lowest bit of byte i of a word to bit
// 56 + i.
uint32_t FifthBits(const uint8_t* codes) {
  uint32_t bits = 0;
  for (size_t j = 0; j < kBlock; j += 8) {
    uint64_t word;
    std::memcpy(&word, codes + j, sizeof(word));
    word = (word >> 4 & 0x0101010101010101u) * 0x0102040810204080u;
    bits |= static_cast<uint32_t>(word >> 56) << j;
  }
  return bits;
}

// What a type makes of the blocks: bits of a code, and whether there is an offset.
struct Shape {
  int bits;
  bool affine;
  size_t Bytes() const { return (affine ? 4 : 2) + (bits == 5 ? 4 : 0) + kBlock / 2; }
};

void Pack(const Shape& shape, float d, float m, const uint8_t* codes, uint8_t* out) {
  StoreHalf(d, out);
  out += 2;
  if (shape.affine) {
    StoreHalf(m, out);
    out += 2;
  }
  if (shape.bits == 5) {
    StoreU32(FifthBits(codes), out);
    out += 4;
  }
  PackNibbles(codes, out);
}

void EncodePlain(const EncodeTask& task, const Shape& shape, uint8_t* out) {
  const QuantiseKernels& kernels = *task.kernels;
  const int levels = 1 << shape.bits;
  const float* x = task.x;
  for (size_t b = 0; b < task.blocks; ++b, x += kBlock, out += shape.Bytes()) {
    uint8_t codes[kBlock];
    if (shape.affine) {
      const Extremes e = FindExtremes(kernels, x);
      const float d = (e.most - e.least) / static_cast<float>(levels - 1);
      kernels.cut(x, kBlock, e.least, Inverse(d), 0.5f, levels - 1, codes);
      Pack(shape, d, e.least, codes, out);
    } else {
      const float d = SignedMost(kernels, x) / static_cast<float>(-levels / 2);
      const float bias = static_cast<float>(levels / 2) + 0.5f;
      kernels.cut(x, kBlock, 0, Inverse(d), bias, levels - 1, codes);
      Pack(shape, d, 0, codes, out);
    }
  }
}

// The mean square of a row, summed in order.
float MeanSquare(const float* x, size_t n) {
  float sum = 0;
  for (size_t i = 0; i < n; ++i) sum += x[i] * x[i];
  return sum / static_cast<float>(static_cast<int64_t>(n));
}

void EncodeWeighted(const EncodeTask& task, const Shape& shape, uint8_t* out) {
  const QuantiseKernels& kernels = *task.kernels;
  const int top = (1 << shape.bits) - 1, low = shape.affine ? 0 : -(1 << (shape.bits - 1));
  const AffineSearch search = {kBlock, top, -0.9f, 0.05f, 36, false};
  const size_t columns = task.row_blocks * kBlock;
  float variance = 0;
  float x[kGroups * kBlock] = {}, weights[kGroups * kBlock] = {};
  for (size_t first = 0; first < task.blocks; first += kGroups) {
    const size_t count = std::min(kGroups, task.blocks - first);
    std::copy_n(task.x + first * kBlock, count * kBlock, x);
    for (size_t g = 0; g < count; ++g) {
      const size_t block = (first + g) % task.row_blocks;
      if (block == 0) variance = MeanSquare(task.x + (first + g) * kBlock, columns);
      kernels.weigh(x + g * kBlock, task.importance + block * kBlock, kBlock, variance,
                    weights + g * kBlock);
    }
    float d[kGroups], m[kGroups] = {}, inverses[kGroups], offsets[kGroups] = {};
    if (shape.affine) {
      kernels.affine(search, x, weights, d, m, inverses, offsets);
    } else {
      kernels.symmetric(kBlock, -low, x, weights, d, inverses);
    }
    for (size_t g = 0; g < count; ++g, out += shape.Bytes()) {
      uint8_t codes[kBlock] = {};
      if (!std::isinf(inverses[g]))
        kernels.codes(x + g * kBlock, kBlock, inverses[g], offsets[g], low, low + top, codes);
      Pack(shape, d[g], -m[g], codes, out);
    }
  }
}

void Encode(const EncodeTask& task, const Shape& shape, uint8_t* out) {
  if (task.importance == nullptr) {
    EncodePlain(task, shape, out);
  } else {
    EncodeWeighted(task, shape, out);
  }
}

}  // namespace

void EncodeQ4_0(const EncodeTask& task, uint8_t* out) { Encode(task, {4, false}, out); }
void EncodeQ4_1(const EncodeTask& task, uint8_t* out) { Encode(task, {4, true}, out); }
void EncodeQ5_0(const EncodeTask& task, uint8_t* out) { Encode(task, {5, false}, out); }
void EncodeQ5_1(const EncodeTask& task, uint8_t* out) { Encode(task, {5, true}, out); }

}  // namespace vernier
