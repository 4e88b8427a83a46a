// Matrix products on packed panels of every type, against the chain of kernels/reference.h on
// elements read one by one (kernels/packed_reference.h, which formats/packed_test.cc holds to the
// decoders), bit for bit, on every instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/even_rows.h"
#include "kernels/packed_reference.h"
#include "kernels/panels.h"
#include "kernels/reference.h"

namespace vernier {
namespace {

template <class T>
bool SameValue(T a, T b) {  // same bits, or both NaN
  return (a != a && b != b) || std::memcmp(&a, &b, sizeof a) == 0;
}

// Where a block has binary16 numbers.
std::vector<size_t> HalvesOf(TensorType type) {
  switch (type) {
    case TensorType::kQ4_1:
    case TensorType::kQ5_1:
    case TensorType::kQ4_K:
    case TensorType::kQ5_K:
      return {0, 2};
    case TensorType::kQ2_K:
      return {80, 82};
    case TensorType::kQ3_K:
      return {108};
    case TensorType::kQ6_K:
      return {208};
    case TensorType::kF32:
    case TensorType::kMXFP4:
      return {};
    default:
      return {0};
  }
}

// Random blocks, scales of either sign and finite but in row 3, where they are anything.
struct Weights {
  PackedMatrix matrix;
  std::vector<std::vector<float>> rows;
};
Weights RandomWeights(const PackedLayout& layout, size_t outputs, size_t k, uint64_t seed) {
  std::mt19937_64 engine(seed);
  const size_t row_bytes = k / layout.unit * layout.block_bytes;
  std::vector<uint8_t> file(outputs * row_bytes);
  for (uint8_t& byte : file) byte = static_cast<uint8_t>(engine());
  for (size_t o = 0; o < outputs; ++o) {
    for (size_t u = 0; u < k / layout.unit && o != 3; ++u) {
      uint8_t* block = file.data() + o * row_bytes + u * layout.block_bytes;
      for (const size_t at : HalvesOf(layout.type)) block[at + 1] &= 0xbf;
      if (layout.type == TensorType::kF32) block[3] = (block[3] & 0x80) | 0x3d;
    }
  }
  Weights w{MakePacked(layout.type, outputs, k), {}};
  for (size_t p = 0; p < w.matrix.Count(); ++p)
    PackPanelOf(w.matrix, p, file.data(), row_bytes, w.matrix.data.data() + p * w.matrix.stride);
  for (size_t o = 0; o < outputs; ++o) {
    w.rows.emplace_back(k);
    for (size_t c = 0; c < k; ++c)
      w.rows[o][c] =
          reference::PackedElement(layout.type, w.matrix.Panel(o / kLanes), k, o % kLanes, c);
  }
  return w;
}

template <class T>
void TestPacked(void (*matmul)(const MatMulArgs<T>&), const PackedLayout& layout, size_t outputs,
                size_t k, const std::vector<size_t>& ns, size_t most) {
  const Weights w = RandomWeights(layout, outputs, k, outputs * k);
  std::mt19937_64 engine(7);
  std::normal_distribution<double> normal;
  // Rows that lie evenly, and the same ones where they do not.
  const size_t stride = EvenStride<T>(k), room = stride + 1;
  std::vector<T> x(most * stride), uneven_x(most * room), expected(most * outputs);
  for (T& v : x) v = static_cast<T>(normal(engine));
  std::vector<const T*> in, uneven;
  for (size_t j = 0; j < most; ++j) {
    in.push_back(x.data() + j * stride);
    uneven.push_back(std::copy_n(in[j], k, uneven_x.data() + j * room + j % 2) - k);
  }
  for (size_t j = 0; j < most; ++j)
    for (size_t o = 0; o < outputs; ++o)
      expected[j * outputs + o] =
          reference::Dot<T>([&](size_t i) { return static_cast<T>(w.rows[o][i]); },
                            [&](size_t i) { return in[j][i]; }, k);
  const size_t panels = w.matrix.Count();
  for (const size_t n : ns) {
    std::vector<T> y(n * outputs + 16, T{-7});
    std::vector<T*> out;
    for (size_t j = 0; j < n; ++j) out.push_back(y.data() + j * outputs);
    const auto& rows = n % 2 == 1 || n == 300 ? in : uneven;  // 300 are more than a chunk
    // Two calls, as two threads would make them; the parts differ with n.
    const size_t middle = panels * (n % 4) / 4;
    for (const auto& [first, last] : {std::pair<size_t, size_t>{0, middle}, {middle, panels}})
      matmul({layout.type, w.matrix.Panel(first), k, outputs, first, last, rows.data(), n,
              out.data()});
    for (size_t i = 0; i < n * outputs; ++i)
      ASSERT_TRUE(SameValue(y[i], expected[i]))
          << "type " << static_cast<int>(layout.type) << " " << outputs << "x" << k << " n " << n
          << " row " << i / outputs << " output " << i % outputs << ": " << y[i] << " and "
          << expected[i];
    for (size_t i = n * outputs; i < y.size(); ++i) ASSERT_EQ(y[i], T{-7});
  }
}

class PackedKernelsTest : public ::testing::TestWithParam<std::tuple<Isa, size_t>> {
 protected:
  void SetUp() override {
    kernels_ = KernelsFor(std::get<0>(GetParam()));
    if (kernels_ == nullptr) GTEST_SKIP() << "this machine cannot run it";
  }
  const PackedLayout& layout() const { return kPackedLayouts[std::get<1>(GetParam())]; }
  const Kernels* kernels_ = nullptr;
};

TEST_P(PackedKernelsTest, EveryNumberOfRowsIsOneChainInBlocks) {
  const size_t unit = layout().unit;
  // One block, a part of one, and several with a part; of plain types also odd numbers of columns.
  const size_t short_k = unit == 256 ? 256 : unit == 32 ? 96 : 37;
  const size_t long_k = unit == 256 ? 768 : unit == 32 ? 544 : 541;
  std::vector<size_t> all;
  for (size_t n = 1; n <= 61; ++n) all.push_back(n);
  TestPacked(kernels_->matmul_f32, layout(), 75, long_k, all, 61);  // five panels
  TestPacked(kernels_->matmul_f64, layout(), 75, long_k, {1, 2, 5, 13}, 13);
  TestPacked(kernels_->matmul_f32, layout(), 37, short_k, {1, 2, 3, 8, 9}, 9);
  TestPacked(kernels_->matmul_f32, layout(), 490, long_k, {16, 23}, 23);  // in sets of 16 panels
  TestPacked(kernels_->matmul_f64, layout(), 5, short_k, {1, 9}, 9);
  TestPacked(kernels_->matmul_f32, layout(), 20, unit == 1 ? 1 : unit, {1, 4, 290, 300}, 300);
}

INSTANTIATE_TEST_SUITE_P(
    Every, PackedKernelsTest,
    ::testing::Combine(::testing::Values(Isa::kPortable, Isa::kAvx2, Isa::kAvx512),
                       ::testing::Range(size_t{0}, std::size(kPackedLayouts))),
    [](const auto& test) {
      const Isa isa = std::get<0>(test.param);
      return std::string(isa == Isa::kPortable ? "portable"
                         : isa == Isa::kAvx2   ? "avx2"
                                               : "avx512") +
             "_" + std::to_string(static_cast<int>(kPackedLayouts[std::get<1>(test.param)].type));
    });

}  // namespace
}  // namespace vernier
