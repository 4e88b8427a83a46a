// Exact products of every instruction set against 128-bit integers: the largest operands, all
// numbers of rows, blocks of sums, limbs, and sums rounded to odd at all lengths.
#include "kernels/exact.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/exact_fixed.h"

namespace vernier {
namespace {

__extension__ using int128 = __int128;
__extension__ using uint128 = unsigned __int128;
using Engine = std::mt19937_64;

std::vector<const ExactKernels*> Tables() {
  std::vector<const ExactKernels*> tables;
  for (const ExactIsa isa : {ExactIsa::kPortable, ExactIsa::kAvx2, ExactIsa::kAvx512Ifma})
    if (const ExactKernels* kernels = ExactKernelsFor(isa)) tables.push_back(kernels);
  return tables;
}

// Integers of up to `bits` bits, one of which has them all, so that the unit is known; most of one
// sign and large where `large`.
std::vector<double> Integers(size_t count, size_t stride, int bits, bool large, Engine& engine) {
  std::vector<double> x(count);
  const int64_t most = (int64_t{1} << bits) - 1;
  for (size_t i = 0; i < count; ++i) {
    const int64_t v = static_cast<int64_t>(engine() >> (64 - bits));
    x[i] = static_cast<double>(large ? most : engine() % 2 == 0 ? v : -v);
    if (i < stride || i % 97 == 0) x[i] = static_cast<double>(i % 2 == 0 || large ? most : -most);
  }
  return x;
}

struct Operands {
  size_t k, n;
  std::vector<double> x, w;  // rows of X; [k][16]
  std::vector<const double*> rows;
  int128 Sum(size_t r, size_t l) const {
    int128 sum = 0;
    for (size_t i = 0; i < k; ++i)
      sum += static_cast<int128>(x[r * k + i]) * static_cast<int128>(w[i * kLanes + l]);
    return sum;
  }
};
Operands MakeOperands(size_t n, size_t k, int x_bits, int w_bits, bool large, Engine& engine) {
  Operands o{k, n, {}, Integers(k * kLanes, kLanes, w_bits, large, engine), {}};
  for (size_t r = 0; r < n; ++r) {
    const std::vector<double> row = Integers(k, 1, x_bits, large, engine);
    o.x.insert(o.x.end(), row.begin(), row.end());
  }
  for (size_t r = 0; r < n; ++r) o.rows.push_back(o.x.data() + r * k);
  return o;
}

void ExpectSums(const Operands& o, const std::vector<int64_t>& high,
                const std::vector<uint64_t>& low, int unit, const char* what) {
  for (size_t i = 0; i < high.size(); ++i) {
    ASSERT_LT(low[i], uint64_t{1} << 52);
    const int128 got =
        static_cast<int128>(high[i]) * (int128{1} << 52) + static_cast<int128>(low[i]);
    const int128 expected = o.Sum(i / kLanes, i % kLanes);
    ASSERT_TRUE(got * (int128{1} << unit) == expected)
        << what << " n " << o.n << " k " << o.k << " row " << i / kLanes << " lane " << i % kLanes;
  }
}

TEST(Exact, WideSums) {
  Engine engine(1);
  const size_t shapes[][2] = {{1, 1},    {2, 3},    {3, 100},  {4, 2048}, {5, 2049}, {6, 64},
                              {7, 5000}, {12, 257}, {13, 300}, {19, 33},  {2, 8192}, {1, 20000}};
  for (const ExactKernels* kernels : Tables()) {
    for (const auto& [n, k] : shapes) {
      for (const bool large : {false, true}) {
        // From 8193 terms on operands have 50 bits.
        const int bits = k > 8192 ? 50 : 51;
        const Operands o = MakeOperands(n, k, bits, bits, large, engine);
        FixedPanel<double> panel;
        FixPanel(*kernels, o.w.data(), k, &panel);
        ASSERT_EQ(panel.count, 1u);
        ASSERT_EQ(panel.general, 0u);
        const FixedRows rows = FixRows<double>(*kernels, o.rows, k, {}, false, nullptr, nullptr);
        ASSERT_EQ(rows.x.size(), n);
        ASSERT_EQ(rows.units[0], 0);
        std::vector<int64_t> high(n * kLanes, -1);
        std::vector<uint64_t> low(n * kLanes, ~uint64_t{0});
        kernels->wide({k, panel.limbs[0].data.data(), panel.limbs[0].sums.data(), rows.x.data(),
                       rows.sums.data(), n, high.data(), low.data()});
        ExpectSums(o, high, low, 0, kernels->name);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(Exact, NarrowSums) {
  Engine engine(2);
  const int bits[][2] = {{1, 1}, {8, 8}, {25, 25}, {30, 20}, {11, 31}, {7, 40}};
  for (const ExactKernels* kernels : Tables()) {
    for (const auto& [x_bits, w_bits] : bits) {
      if (std::max(x_bits, w_bits) > kernels->narrow_most) continue;
      for (size_t n = 1; n < 24; n += 1 + n / 11) {
        const size_t k = n == 3 ? 4100 : 20 * n;
        const Operands o = MakeOperands(n, k, x_bits, w_bits, n % 2 == 0, engine);
        FixedPanel<double> panel;
        FixPanel(*kernels, o.w.data(), k, &panel);
        FixedRows rows = FixRows<double>(*kernels, o.rows, k, {}, true, nullptr, nullptr);
        ASSERT_EQ(panel.bits, w_bits);
        ASSERT_EQ(rows.bits, x_bits);
        ASSERT_EQ(rows.narrow.size(), n);
        NarrowPanel(*kernels, o.w.data(), &panel);
        std::vector<int64_t> high(n * kLanes, -1);
        std::vector<uint64_t> low(n * kLanes, ~uint64_t{0});
        kernels->narrow({k, panel.limbs[0].data.data(), panel.limbs[0].sums.data(),
                         rows.narrow.data(), rows.narrow_sums.data(), n, high.data(), low.data(),
                         rows.bits, panel.bits});
        ExpectSums(o, high, low, rows.narrow_units[0] + panel.limbs[0].units[0], kernels->name);
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Limbs add up to the row, and all tables make the same ones.
TEST(Exact, Limbs) {
  Engine engine(3);
  std::normal_distribution<double> normal;
  for (const int spread : {0, 10, 40, 90, 300}) {
    std::vector<double> w(100 * kLanes);
    for (double& v : w)
      v = std::ldexp(normal(engine),
                     -static_cast<int>(engine() % static_cast<unsigned>(spread + 1)));
    w[5] = -0.0;
    w[32 + 3] = std::ldexp(1.0, 500);
    w[48 + 7] = INFINITY;
    w[64 + 8] = NAN;
    size_t limbs = 0;
    uint32_t general = 0;
    for (const ExactKernels* kernels : Tables()) {
      FixedPanel<double> panel;
      FixPanel(*kernels, w.data(), 100, &panel);
      if (limbs == 0) {
        limbs = panel.count;
        general = panel.general;
        if (spread <= 10) {
          EXPECT_EQ(limbs, 2u);
        }
        EXPECT_EQ(general & 0x188, 0x188u);
        EXPECT_EQ(general == 0x188, spread < 200) << spread;
      }
      EXPECT_EQ(panel.count, limbs);
      EXPECT_EQ(panel.general, general);
      // A row that picks one element gives it back, limb by limb.
      for (const size_t at : {0, 2, 50, 99}) {
        std::vector<double> x(100);
        x[at] = 1;
        const double* row = x.data();
        const FixedRows rows =
            FixRows<double>(*kernels, {&row, 1}, 100, {}, false, nullptr, nullptr);
        double sums[kLanes] = {};
        for (size_t i = panel.count; i-- > 0;) {
          std::vector<int64_t> high(kLanes);
          std::vector<uint64_t> low(kLanes);
          const FixedLimb& limb = panel.limbs[i];
          kernels->wide({100, limb.data.data(), limb.sums.data(), rows.x.data(), rows.sums.data(),
                         1, high.data(), low.data()});
          double odd[kLanes];
          kernels->odd(high.data(), low.data(), 1, rows.units.data(), limb.units, odd);
          for (size_t l = 0; l < kLanes; ++l) sums[l] += odd[l];
        }
        for (size_t l = 0; l < kLanes; ++l) {
          if ((general >> l & 1) == 0) {
            EXPECT_EQ(sums[l], w[at * kLanes + l]) << l;
          }
        }
      }
    }
  }
}

// m rounded to odd in 53 bits, a bit at a time.
double Odd(int128 x, int e) {
  uint128 m = x < 0 ? -static_cast<uint128>(x) : static_cast<uint128>(x);
  for (; m >> 53 != 0; ++e) m = m >> 1 | (m & 1);
  const double value = std::ldexp(static_cast<double>(static_cast<uint64_t>(m)), e);
  return x < 0 ? -value : value;
}

TEST(Exact, OddDoubles) {
  Engine engine(4);
  std::vector<int128> sums = {0, 1, -1, (int128{1} << 115) - 1, -(int128{1} << 115)};
  for (int bits = 1; bits < 115; ++bits) {
    for (int i = 0; i < 40; ++i) {
      uint128 m = uint128{engine()} << 64 | engine();
      m >>= 128 - bits;
      m |= uint128{1} << (bits - 1);
      if (i % 4 == 1) m &= ~uint128{0} << engine() % static_cast<unsigned>(bits);  // few bits
      if (i % 4 == 2) m |= (uint128{1} << engine() % static_cast<unsigned>(bits)) - 1;
      sums.push_back(i % 2 == 0 ? static_cast<int128>(m) : -static_cast<int128>(m));
    }
  }
  sums.resize((sums.size() + kLanes - 1) / kLanes * kLanes);
  const size_t n = sums.size() / kLanes;
  std::vector<int64_t> high;
  std::vector<uint64_t> low;
  for (const int128 sum : sums) {
    high.push_back(static_cast<int64_t>(sum >> 52));
    low.push_back(static_cast<uint64_t>(sum) & ((uint64_t{1} << 52) - 1));
  }
  std::vector<int> x_units(n);
  for (int& unit : x_units) unit = static_cast<int>(engine() % 900) - 480;
  int w_units[kLanes];
  for (int& unit : w_units) unit = static_cast<int>(engine() % 900) - 480;
  for (const ExactKernels* kernels : Tables()) {
    std::vector<double> out(sums.size());
    kernels->odd(high.data(), low.data(), n, x_units.data(), w_units, out.data());
    for (size_t i = 0; i < sums.size(); ++i)
      ASSERT_EQ(std::bit_cast<uint64_t>(out[i]),
                std::bit_cast<uint64_t>(Odd(sums[i], x_units[i / kLanes] + w_units[i % kLanes])))
          << kernels->name << " " << i;
  }
}

}  // namespace
}  // namespace vernier
