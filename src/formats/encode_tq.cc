// Ternary blocks of 256: the nearest of -1, 0 and 1 to each element over the largest magnitude.
#include "formats/encode_blocks.h"

namespace vernier {
namespace {

// Codes 0, 1, 2; returns the scale.
float Encode256(const QuantiseKernels& kernels, const float* x, uint8_t* codes) {
  const float d = kernels.most(x, 256);
  int8_t trits[256];
  kernels.round_away(x, 256, Inverse(d), trits);
  for (int j = 0; j < 256; ++j) codes[j] = static_cast<uint8_t>(trits[j] + 1);
  return d;
}

// `count` bytes of `digits` trits each, the first digit the most significant of five; a byte is the
// ceiling of 256/243 times the number, so that DecodeTQ1_0 finds the digits by multiplying.
const uint8_t* PackTrits(const uint8_t* codes, int count, int digits, uint8_t* out) {
  for (int j = 0; j < count; ++j) {
    uint8_t number = 0;
    for (int n = 0; n < 5; ++n)
      number = static_cast<uint8_t>(3 * number + (n < digits ? codes[n * count + j] : 0));
    out[j] = static_cast<uint8_t>((number * 256 + 242) / 243);
  }
  return codes + digits * count;
}

}  // namespace

void EncodeTQ1_0(const EncodeTask& task, uint8_t* out) {
  for (size_t b = 0; b < task.blocks; ++b, out += 54) {
    uint8_t codes[256];
    StoreHalf(Encode256(*task.kernels, task.x + 256 * b, codes), out + 52);
    const uint8_t* next = PackTrits(codes, 32, 5, out);
    next = PackTrits(next, 16, 5, out + 32);
    PackTrits(next, 4, 4, out + 48);
  }
}

void EncodeTQ2_0(const EncodeTask& task, uint8_t* out) {
  for (size_t b = 0; b < task.blocks; ++b, out += 66) {
    uint8_t codes[256];
    StoreHalf(Encode256(*task.kernels, task.x + 256 * b, codes), out + 64);
    for (int half = 0; half < 2; ++half) {
      const uint8_t* first = codes + 128 * half;
      for (int i = 0; i < 32; ++i) {
        uint8_t packed = 0;
        for (int run = 0; run < 4; ++run)
          packed = static_cast<uint8_t>(packed | (first[32 * run + i] & 3) << 2 * run);
        out[32 * half + i] = packed;
      }
    }
  }
}

}  // namespace vernier
