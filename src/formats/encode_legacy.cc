// Blocks of 32 of 4 or 5 bits with one scale and at most one offset: without importance from the
// extremes, with it by the searches of kernels/quantise.h, sixteen blocks at a time. A nibble byte
// j holds element j in its low half and element j + 16 in its high half.
#include <algorithm>
#include <limits>

#include "formats/encode_blocks.h"

namespace vernier {
namespace {

constexpr size_t kBlock = 32;

// The first of the elements of largest magnitude; +0 where all are zero.
float SignedMost(const float* x) {
  int32_t bits = 0;
  for (size_t j = 0; j < kBlock; ++j) {
    const auto magnitude = static_cast<int32_t>(std::bit_cast<uint32_t>(x[j]) & 0x7fffffffu);
    bits = magnitude > bits ? magnitude : bits;
  }
  const float most = std::bit_cast<float>(bits);
  int32_t positive = 0, negative = 0;
  for (size_t j = 0; j < kBlock; ++j) {
    positive |= x[j] == most ? 1 : 0;
    negative |= x[j] == -most ? 1 : 0;
  }
  if (negative == 0 || most == 0) return most;
  if (positive == 0) return -most;
  return *std::find_if(x, x + kBlock, [&](float v) { return std::abs(v) == most; });
}

struct Extremes {
  float least, most;
};
Extremes FindExtremes(const float* x) {
  Extremes e = {std::numeric_limits<float>::max(), -std::numeric_limits<float>::max()};
  for (size_t j = 0; j < kBlock; ++j) {
    e.least = x[j] < e.least ? x[j] : e.least;
    e.most = x[j] > e.most ? x[j] : e.most;
  }
  return e;
}

// Codes of (x - offset) / d, rounded by adding `bias` and cutting.
void CutCodes(const float* x, float offset, float d, float bias, int top, uint8_t* codes) {
  const float inverse = d != 0 ? 1 / d : 0;
  for (size_t j = 0; j < kBlock; ++j) {
    const int code = static_cast<int8_t>(Truncate((x[j] - offset) * inverse + bias));
    codes[j] = static_cast<uint8_t>(code < top ? code : top);
  }
}

void PackNibbles(const uint8_t* codes, uint8_t* out) {
  for (size_t j = 0; j < kBlock / 2; ++j)
    out[j] = static_cast<uint8_t>((codes[j] & 15) | codes[j + kBlock / 2] << 4);
}

// Bit 4 of each code, code j at bit j.
uint32_t FifthBits(const uint8_t* codes) {
  uint32_t bits = 0;
  for (size_t j = 0; j < kBlock; ++j) bits |= (uint32_t{codes[j]} >> 4 & 1) << j;
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
  const int levels = 1 << shape.bits;
  const float* x = task.x;
  for (size_t b = 0; b < task.blocks; ++b, x += kBlock, out += shape.Bytes()) {
    uint8_t codes[kBlock];
    if (shape.affine) {
      const Extremes e = FindExtremes(x);
      const float d = (e.most - e.least) / static_cast<float>(levels - 1);
      CutCodes(x, e.least, d, 0.5f, levels - 1, codes);
      Pack(shape, d, e.least, codes, out);
    } else {
      const float d = SignedMost(x) / static_cast<float>(-levels / 2);
      CutCodes(x, 0, d, static_cast<float>(levels / 2) + 0.5f, levels - 1, codes);
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
  const int top = (1 << shape.bits) - 1;
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
    float d[kGroups], m[kGroups] = {};
    uint8_t codes[kGroups * kBlock];
    if (shape.affine) {
      kernels.affine(search, x, weights, d, m, codes);
    } else {
      kernels.symmetric(kBlock, 1 << (shape.bits - 1), x, weights, d, codes);
    }
    for (size_t g = 0; g < count; ++g, out += shape.Bytes())
      Pack(shape, d[g], -m[g], codes + g * kBlock, out);
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
