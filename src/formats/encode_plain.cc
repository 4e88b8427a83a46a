#include "formats/encode_blocks.h"

namespace vernier {

void EncodeF32(const EncodeTask& task, uint8_t* out) {
  if (task.blocks > 0) std::memcpy(out, task.x, task.blocks * sizeof(float));
}

void EncodeF16(const EncodeTask& task, uint8_t* out) {
  for (size_t i = 0; i < task.blocks; ++i) StoreHalf(task.x[i], out + 2 * i);
}

void EncodeBF16(const EncodeTask& task, uint8_t* out) {
  for (size_t i = 0; i < task.blocks; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(task.x[i]);
    const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    const uint32_t quiet = bits >> 16 | 0x40u;
    StoreU16((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded, out + 2 * i);
  }
}

void EncodeF64(const EncodeTask& task, uint8_t* out) {
  for (size_t i = 0; i < task.blocks; ++i) {
    const double wide = task.x[i];
    std::memcpy(out + sizeof(wide) * i, &wide, sizeof(wide));
  }
}

}  // namespace vernier
