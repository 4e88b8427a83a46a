// E2M1 elements under a small scale. MXFP4: OCP Microscaling Formats (MX) v1.0, an E8M0 scale for
// 32 elements, whose block as ggml stores it keeps the scale byte first and the elements' nibbles
// 16 apart. NVFP4: a UE4M3 scale for 16 elements, four of them in a block; the float32 scale of the
// whole tensor that belongs to the format is a tensor of its own in GGUF files.
#include "formats/decode_blocks.h"

namespace vernier {

void DecodeMXFP4(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 17, out += 32) {
    const float d = HalfE8M0(source[0]);
    for (int j = 0; j < 16; ++j) {
      out[j] = Times(d, kTwiceE2M1[source[1 + j] & 15]);
      out[j + 16] = Times(d, kTwiceE2M1[source[1 + j] >> 4]);
    }
  }
}

void DecodeNVFP4(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 36) {
    for (int group = 0; group < 4; ++group, out += 16) {
      const float d = HalfUE4M3(source[group]);
      const uint8_t* nibbles = source + 4 + 8 * group;
      for (int j = 0; j < 8; ++j) {
        out[j] = Times(d, kTwiceE2M1[nibbles[j] & 15]);
        out[j + 8] = Times(d, kTwiceE2M1[nibbles[j] >> 4]);
      }
    }
  }
}

}  // namespace vernier
