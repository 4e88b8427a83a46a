// 4-bit indices into one table of 16 levels: a search for each 32 elements, then the nearest level
// under the scale found (IQ4_NL) or as stored (IQ4_XS).
#include <algorithm>
#include <cmath>

#include "formats/encode_blocks.h"

namespace vernier {
namespace {

constexpr size_t kGroup = 32;

// The scales of up to sixteen groups; `block` elements share the mean square that enters the
// weights, and *x is padded with zeros.
void SearchLevels(const EncodeTask& task, size_t first, size_t count, size_t block, float* scales) {
  const size_t columns = task.row_blocks * block;
  const float* x = task.x + first * kGroup;
  float padded[kGroups * kGroup], weights[kGroups * kGroup] = {};
  if (task.importance != nullptr) {
    for (size_t at = 0; at < count * kGroup; at += block) {
      float variance = 0;
      for (size_t i = 0; i < block; ++i) variance += x[at + i] * x[at + i];
      variance *= 2.0f / static_cast<float>(static_cast<int>(block));
      const float* importance = task.importance + (first * kGroup + at) % columns;
      task.kernels->weigh(x + at, importance, block, variance, weights + at);
    }
  }
  if (count < kGroups) {
    std::fill(std::copy_n(x, count * kGroup, padded), std::end(padded), 0.0f);
    x = padded;
  }
  task.kernels->levels(x, task.importance != nullptr ? weights : nullptr, scales);
}

void Pack(const uint8_t* codes, uint8_t* out) {
  for (size_t j = 0; j < kGroup / 2; ++j)
    out[j] = static_cast<uint8_t>(codes[j] | codes[j + kGroup / 2] << 4);
}

// One block of IQ4_XS.
void EncodeSuperBlock(const QuantiseKernels& kernels, const float* x, const float* scales,
                      uint8_t* out) {
  float most = 0, signed_most = 0;
  for (size_t g = 0; g < 8; ++g) {
    if (std::abs(scales[g]) > most) {
      most = std::abs(scales[g]);
      signed_most = scales[g];
    }
  }
  const float d = -signed_most / 32;
  const float inverse = d != 0 ? 1 / d : 0;
  uint32_t high = 0;
  std::memset(out, 0, 8);
  StoreHalf(d, out);
  for (size_t g = 0; g < 8; ++g) {
    const int code = std::clamp(Nearest(inverse * scales[g]), -32, 31);
    const float scale = d * static_cast<float>(code);
    uint8_t codes[kGroup];
    kernels.nearest_levels(x + kGroup * g, kGroup, scale != 0 ? 1 / scale : 0, codes);
    Pack(codes, out + 8 + 16 * g);
    const auto stored = static_cast<uint32_t>(code + 32);
    out[4 + g / 2] = static_cast<uint8_t>(out[4 + g / 2] | (stored & 15) << 4 * (g % 2));
    high |= stored >> 4 << 2 * g;
  }
  StoreU16(high, out + 2);
}

}  // namespace

void EncodeIQ4_NL(const EncodeTask& task, uint8_t* out) {
  for (size_t first = 0; first < task.blocks; first += kGroups) {
    const size_t count = std::min(kGroups, task.blocks - first);
    float scales[kGroups];
    SearchLevels(task, first, count, kGroup, scales);
    for (size_t g = 0; g < count; ++g, out += 18) {
      uint8_t codes[kGroup];
      StoreHalf(scales[g], out);
      const float inverse = scales[g] != 0 ? 1 / scales[g] : 0;
      task.kernels->nearest_levels(task.x + (first + g) * kGroup, kGroup, inverse, codes);
      Pack(codes, out + 2);
    }
  }
}

void EncodeIQ4_XS(const EncodeTask& task, uint8_t* out) {
  for (size_t first = 0; first < task.blocks; first += 2) {
    const size_t count = std::min<size_t>(2, task.blocks - first);
    float scales[kGroups];
    SearchLevels(task, 8 * first, 8 * count, 256, scales);
    for (size_t b = 0; b < count; ++b, out += 136)
      EncodeSuperBlock(*task.kernels, task.x + 256 * (first + b), scales + 8 * b, out);
  }
}

}  // namespace vernier
