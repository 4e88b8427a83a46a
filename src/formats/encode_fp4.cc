// E2M1 elements under a small scale (see decode_fp4.cc), as ggml chooses them: the scale from the
// largest magnitude, each element's code the nearest, ties to the lower code.
#include "formats/decode_blocks.h"
#include "formats/encode_blocks.h"

namespace vernier {
namespace {

float Most(const float* x, int n) {
  float most = 0;
  for (int j = 0; j < n; ++j) most = std::abs(x[j]) > most ? std::abs(x[j]) : most;
  return most;
}

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

// Twice the distance of x to the nearest number q * d; the lowest code where several are.
uint8_t NearestCode(float x, float d) {
  int best = 0;
  float least = std::abs(Times(d, kTwiceE2M1[0]) - x);
  for (int code = 1; code < 16; ++code) {
    const float distance = std::abs(Times(d, kTwiceE2M1[code]) - x);
    if (distance < least) {
      best = code;
      least = distance;
    }
  }
  return static_cast<uint8_t>(best);
}

}  // namespace

void EncodeMXFP4(const EncodeTask& task, uint8_t* out) {
  for (size_t b = 0; b < task.blocks; ++b, out += 17) {
    const float* x = task.x + 32 * b;
    const uint32_t e = ScaleByte(Most(x, 32));
    const float d = HalfE8M0(e);
    out[0] = static_cast<uint8_t>(e);
    for (int j = 0; j < 16; ++j)
      out[1 + j] = static_cast<uint8_t>(NearestCode(x[j], d) | NearestCode(x[j + 16], d) << 4);
  }
}

void EncodeNVFP4(const EncodeTask& task, uint8_t* out) {
  for (size_t b = 0; b < task.blocks; ++b, out += 36) {
    for (int group = 0; group < 4; ++group) {
      const float* x = task.x + 64 * b + 16 * group;
      const uint32_t code = UE4M3(Most(x, 16) / 6);
      const float d = HalfUE4M3(code);
      out[group] = static_cast<uint8_t>(code);
      for (int j = 0; j < 8; ++j)
        out[4 + 8 * group + j] =
            static_cast<uint8_t>(NearestCode(x[j], d) | NearestCode(x[j + 8], d) << 4);
    }
  }
}

}  // namespace vernier
