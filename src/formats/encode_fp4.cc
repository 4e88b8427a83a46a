// E2M1 elements under a small scale (see decode_fp4.cc), as ggml chooses them: the scale from the
// largest magnitude, each element's code the nearest, ties to the lower code.
#include "formats/decode_blocks.h"
#include "formats/encode_blocks.h"

namespace vernier {
namespace {

// floor(log2 x) with the logarithm rounded to float32 first, x > 0 and finite. A number just below
// a power of two 2^N has log2 N - delta / ln 2, which rounds to N while delta / ln 2 is at most
// half of the gap below N: fewer than ln 2 * 2^k of the last numbers, 2^k <= |N| or |N| - 1 <
// 2^(k+1).
int FloorLog2(float x) {
  uint32_t bits = std::bit_cast<uint32_t>(x);
  int shift = 0;
  if (bits < 0x800000u) {  // subnormal
    shift = std::countl_zero(bits) - 8;
    bits <<= shift;
  }
  const int exponent = shift == 0 ? static_cast<int>(bits >> 23) - 127 : -126 - shift;
  static constexpr uint32_t kLast[9] = {0, 0, 1, 2, 5, 11, 22, 44, 88};  // ln 2 * 2^(index - 1)
  const auto distance = static_cast<uint32_t>(exponent >= 0 ? exponent : -1 - exponent);
  const uint32_t last = kLast[std::bit_width(distance)];
  return exponent + ((bits & 0x7fffffu) + last >= 0x800000u ? 1 : 0);
}

// MXFP4's scale byte.
uint32_t ScaleByte(float most) {
  if (!(most > 0) || most > std::numeric_limits<float>::max()) return 0;
  const auto e = static_cast<uint32_t>(FloorLog2(most) - 2 + 127) & 255u;
  return e == 255 ? 0 : e;
}

// NVFP4's scale byte: UE4M3, ties away from zero; from 248 on the largest.
uint32_t UE4M3(float x) {
  if (!(x > 0)) return 0;
  const uint32_t bits = std::bit_cast<uint32_t>(x > 448 ? 448.0f : x);
  const int exponent = static_cast<int>(bits >> 23) - 127 + 7;
  if (exponent <= 0) {
    const int fraction = static_cast<int>(x * 512 + 0.5f);
    return static_cast<uint32_t>(fraction > 7 ? 7 : fraction);
  }
  const auto code = (static_cast<uint32_t>(exponent) << 3) + (((bits >> 19 & 15u) + 1) >> 1);
  return code >= 120 ? 126 : code;
}

// The codes of n elements, the first and the second half sharing bytes.
void EncodeNibbles(const QuantiseKernels& kernels, const float* x, size_t n, float d,
                   uint8_t* out) {
  uint8_t codes[32];
  kernels.nearest_e2m1(x, n, d, codes);
  for (size_t j = 0; j < n / 2; ++j)
    out[j] = static_cast<uint8_t>(codes[j] | codes[j + n / 2] << 4);
}

}  // namespace

void EncodeMXFP4(const EncodeTask& task, uint8_t* out) {
  const QuantiseKernels& kernels = *task.kernels;
  for (size_t b = 0; b < task.blocks; ++b, out += 17) {
    const float* x = task.x + 32 * b;
    const uint32_t e = ScaleByte(kernels.most(x, 32));
    out[0] = static_cast<uint8_t>(e);
    EncodeNibbles(kernels, x, 32, HalfE8M0(e), out + 1);
  }
}

void EncodeNVFP4(const EncodeTask& task, uint8_t* out) {
  const QuantiseKernels& kernels = *task.kernels;
  for (size_t b = 0; b < task.blocks; ++b, out += 36) {
    for (size_t group = 0; group < 4; ++group) {
      const float* x = task.x + 64 * b + 16 * group;
      const uint32_t scale = UE4M3(kernels.most(x, 16) / 6);
      out[group] = static_cast<uint8_t>(scale);
      EncodeNibbles(kernels, x, 16, HalfUE4M3(scale), out + 4 + 8 * group);
    }
  }
}

}  // namespace vernier
