#include "formats/decode_blocks.h"
#include "kernels/kernels.h"

namespace vernier {

void DecodeF32(const uint8_t* source, size_t blocks, float* out) {
  if (blocks > 0) std::memcpy(out, source, blocks * sizeof(float));
}

void DecodeF16(const uint8_t* source, size_t blocks, float* out) {
  BestKernels().floats_of_halves(source, blocks, out);
}

void DecodeBF16(const uint8_t* source, size_t blocks, float* out) {
  for (size_t i = 0; i < blocks; ++i) out[i] = std::bit_cast<float>(LoadU16(source + 2 * i) << 16);
}

void DecodeF64(const uint8_t* source, size_t blocks, float* out) {
  for (size_t i = 0; i < blocks; ++i) {
    double value;
    std::memcpy(&value, source + sizeof(value) * i, sizeof(value));
    out[i] = static_cast<float>(value);
  }
}

}  // namespace vernier
