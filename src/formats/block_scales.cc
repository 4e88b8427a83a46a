#include "formats/block_scales.h"

#include <algorithm>

#include "base/result.h"
#include "formats/decode_blocks.h"

namespace vernier {
namespace {

// One scale at `scale_at`, and an offset at `offset_at` (-1: none), both float16.
void OneScale(const uint8_t* block, int scale_at, int offset_at, float* scales, float* offsets) {
  scales[0] = LoadHalf(block + scale_at);
  offsets[0] = offset_at < 0 ? 0.0f : LoadHalf(block + offset_at);
}

void ScalesQ2_K(const uint8_t* block, float* scales, float* offsets) {
  const float d = LoadHalf(block + 80), dmin = LoadHalf(block + 82);
  for (int g = 0; g < 16; ++g) {
    scales[g] = Times(d, block[g] & 15);
    offsets[g] = -Times(dmin, block[g] >> 4);
  }
}

void ScalesQ3_K(const uint8_t* block, float* scales) {
  const float d = LoadHalf(block + 108);
  for (int g = 0; g < 16; ++g) scales[g] = Times(d, UnpackSixBits(block + 96, g) - 32);
}

void ScalesQ45_K(const uint8_t* block, float* scales, float* offsets) {
  const float d = LoadHalf(block), dmin = LoadHalf(block + 2);
  for (int g = 0; g < 8; ++g) {
    const ScaleAndMin pair = UnpackPair(block + 4, g);
    scales[g] = Times(d, pair.scale);
    offsets[g] = -Times(dmin, pair.min);
  }
}

void ScalesQ6_K(const uint8_t* block, float* scales) {
  const float d = LoadHalf(block + 208);
  for (int g = 0; g < 16; ++g) scales[g] = Times(d, static_cast<int8_t>(block[192 + g]));
}

void ScalesIQ4_XS(const uint8_t* block, float* scales) {
  const float d = LoadHalf(block);
  const uint32_t high = LoadU16(block + 2);
  for (int g = 0; g < 8; ++g) {
    const int low = block[4 + g / 2] >> 4 * (g % 2) & 15;
    scales[g] = Times(d, (low | static_cast<int>(high >> 2 * g & 3) << 4) - 32);
  }
}

}  // namespace

int ScaleGroups(TensorType type) {
  switch (type) {
    case TensorType::kF32:
    case TensorType::kF16:
    case TensorType::kBF16:
    case TensorType::kF64:
      return 0;
    case TensorType::kQ2_K:
    case TensorType::kQ3_K:
    case TensorType::kQ6_K:
      return 16;
    case TensorType::kQ4_K:
    case TensorType::kQ5_K:
    case TensorType::kIQ4_XS:
      return 8;
    case TensorType::kNVFP4:
      return 4;
    default:
      return 1;
  }
}

void BlockScales(TensorType type, const std::byte* bytes, float* scales, float* offsets) {
  const auto* block = reinterpret_cast<const uint8_t*>(bytes);
  CHECK(ScaleGroups(type) > 0);
  std::fill_n(offsets, ScaleGroups(type), 0.0f);
  switch (type) {
    case TensorType::kQ4_1:
    case TensorType::kQ5_1:
      return OneScale(block, 0, 2, scales, offsets);
    case TensorType::kQ2_K:
      return ScalesQ2_K(block, scales, offsets);
    case TensorType::kQ3_K:
      return ScalesQ3_K(block, scales);
    case TensorType::kQ4_K:
    case TensorType::kQ5_K:
      return ScalesQ45_K(block, scales, offsets);
    case TensorType::kQ6_K:
      return ScalesQ6_K(block, scales);
    case TensorType::kIQ4_XS:
      return ScalesIQ4_XS(block, scales);
    case TensorType::kTQ1_0:
      return OneScale(block, 52, -1, scales, offsets);
    case TensorType::kTQ2_0:
      return OneScale(block, 64, -1, scales, offsets);
    case TensorType::kMXFP4:
      scales[0] = 2 * HalfE8M0(block[0]);
      return;
    case TensorType::kNVFP4:
      for (int g = 0; g < 4; ++g) scales[g] = 2 * HalfUE4M3(block[g]);
      return;
    case TensorType::kQ8_K:
      scales[0] = std::bit_cast<float>(LoadU32(block));
      return;
    default:  // Q4_0, Q5_0, Q8_0, Q8_1, IQ4_NL: the scale comes first
      return OneScale(block, 0, -1, scales, offsets);
  }
}

}  // namespace vernier
