// Speeds are not tested: only that the loops of every instruction set run and count what they do.
#include "kernels/peak.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace vernier {
namespace {

TEST(Peak, LoopsCountTheirOperations) {
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    if (KernelsFor(isa) == nullptr) continue;
    const PeakKernels peak = PeakKernelsFor(isa);
    for (const auto loop : {peak.fma_f32, peak.fma_f64, peak.dot_i8}) {
      const double once = loop(1);
      EXPECT_GT(once, 0);
      EXPECT_EQ(loop(1000), 1000 * once);
    }
    EXPECT_EQ(peak.fma_f32(1), 2 * peak.fma_f64(1));
    EXPECT_NE(std::string(peak.dot_i8_name), "");
  }
}

TEST(Peak, ReadSeesEveryByte) {
  std::vector<uint8_t> bytes(64 * 512);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 37 >> 3);
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    if (KernelsFor(isa) == nullptr) continue;
    const PeakKernels peak = PeakKernelsFor(isa);
    uint64_t expected = 0;
    for (size_t i = 0; i < bytes.size(); i += 8) {
      uint64_t word;
      std::memcpy(&word, &bytes[i], 8);
      expected ^= word;
    }
    EXPECT_EQ(peak.read(bytes.data(), bytes.size()), expected);
    bytes[bytes.size() - 1] ^= 1;
    EXPECT_NE(peak.read(bytes.data(), bytes.size()), expected);
    bytes[bytes.size() - 1] ^= 1;
  }
}

}  // namespace
}  // namespace vernier
