// Bytes under one scale: the largest magnitude becomes 127.
#include <cmath>

#include "formats/encode_blocks.h"

namespace vernier {
namespace {

// Codes of 32 elements; returns the scale.
float Encode32(const QuantiseKernels& kernels, const float* x, int8_t* codes) {
  const float d = kernels.most(x, 32) / 127;
  kernels.round_away(x, 32, Inverse(d), codes);
  return d;
}

// The first of 256 elements of largest magnitude.
float SignedMost(const QuantiseKernels& kernels, const float* x) {
  const float most = kernels.most(x, 256);
  const float* at = x;
  while (at < x + 255 && std::abs(*at) != most) ++at;
  return *at;
}

}  // namespace

void EncodeQ8_0(const EncodeTask& task, uint8_t* out) {
  const float* x = task.x;
  for (size_t b = 0; b < task.blocks; ++b, x += 32, out += 34) {
    int8_t codes[32];
    StoreHalf(Encode32(*task.kernels, x, codes), out);
    std::memcpy(out + 2, codes, sizeof(codes));
  }
}

void EncodeQ8_1(const EncodeTask& task, uint8_t* out) {
  const float* x = task.x;
  for (size_t b = 0; b < task.blocks; ++b, x += 32, out += 36) {
    int8_t codes[32];
    const float d = Encode32(*task.kernels, x, codes);
    int sum = 0;
    for (const int8_t code : codes) sum += code;
    StoreHalf(d, out);
    StoreHalf(static_cast<float>(sum) * d, out + 2);
    std::memcpy(out + 4, codes, sizeof(codes));
  }
}

void EncodeQ8_K(const EncodeTask& task, uint8_t* out) {
  const float* x = task.x;
  for (size_t b = 0; b < task.blocks; ++b, x += 256, out += 292) {
    const float most = SignedMost(*task.kernels, x);
    std::memset(out, 0, 292);
    if (most == 0) continue;
    const float inverse = -127.0f / most;
    const float d = 1 / inverse;
    std::memcpy(out, &d, sizeof(d));
    int8_t codes[256];
    for (int j = 0; j < 256; ++j) {
      const int32_t code = Nearest(inverse * x[j]);
      codes[j] = static_cast<int8_t>(code < 127 ? code : 127);
    }
    std::memcpy(out + 4, codes, sizeof(codes));
    for (int g = 0; g < 16; ++g) {
      int sum = 0;
      for (int i = 0; i < 16; ++i) sum += codes[16 * g + i];
      StoreU16(static_cast<uint32_t>(sum), out + 260 + 2 * g);
    }
  }
}

}  // namespace vernier
