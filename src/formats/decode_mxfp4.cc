// OCP Microscaling Formats (MX) v1.0, MXFP4: E2M1 elements under an E8M0 scale. The block as ggml
// stores it keeps the scale byte first and the elements' nibbles 16 apart.
#include "formats/decode_blocks.h"

namespace vernier {
namespace {

// Twice the E2M1 values 0 0.5 1 1.5 2 3 4 6 and their negatives, so that they are integers.
constexpr int8_t kTwice[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace

void DecodeMXFP4(const uint8_t* source, size_t blocks, float* out) {
  for (size_t b = 0; b < blocks; ++b, source += 17, out += 32) {
    const float d = HalfScale(source[0]);
    for (int j = 0; j < 16; ++j) {
      out[j] = Times(d, kTwice[source[1 + j] & 15]);
      out[j + 16] = Times(d, kTwice[source[1 + j] >> 4]);
    }
  }
}

}  // namespace vernier
