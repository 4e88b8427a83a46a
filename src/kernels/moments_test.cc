// MomentKernels of every instruction set this machine runs against their definition: sixteen lanes
// in double, and the tree l + (l+8), then + (l+4), + (l+2), + (l+1).
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/kernels.h"

namespace vernier {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double Tree(const double (&lane)[16]) {
  double t[16];
  for (int l = 0; l < 16; ++l) t[l] = lane[l];
  for (int half = 8; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) t[l] += t[l + half];
  return t[0];
}

template <class T>
RowExtent ExtentOf(const std::vector<T>& x) {
  RowExtent e;
  e.smallest = kInfinity;
  double squares[16] = {};
  for (size_t i = 0; i < x.size(); ++i) {
    const double a = std::abs(double{x[i]});
    e.nans += std::isnan(a);
    e.infinities += std::isinf(a);
    e.zeros += a == 0;
    if (!std::isfinite(a)) continue;
    squares[i % 16] += a * a;
    e.largest = std::max(e.largest, a);
    if (a > 0) e.smallest = std::min(e.smallest, a);
  }
  e.squares = Tree(squares);
  return e;
}

template <class T>
RowDistance DistanceOf(const std::vector<T>& x, const std::vector<T>& y) {
  RowDistance d;
  double squares[16] = {};
  for (size_t i = 0; i < x.size(); ++i) {
    const double a = std::abs(double{x[i]} - double{y[i]});
    if (!std::isfinite(a)) continue;
    squares[i % 16] += a * a;
    d.largest = std::max(d.largest, a);
  }
  d.squares = Tree(squares);
  return d;
}

template <class T>
std::vector<T> Row(size_t n, std::mt19937& random) {
  std::normal_distribution<double> normal;
  std::vector<T> x(n);
  for (T& v : x) {
    v = static_cast<T>(std::ldexp(normal(random), static_cast<int>(random() % 40) - 20));
    switch (random() % 16) {
      case 0:
        v = T{0};
        break;
      case 1:
        v = -std::numeric_limits<T>::infinity();
        break;
      case 2:
        v = std::numeric_limits<T>::quiet_NaN();
        break;
      case 3:
        v = std::numeric_limits<T>::denorm_min();
        break;
      default:
        break;
    }
  }
  return x;
}

template <class T>
RowMoments MomentsOf(const std::vector<T>& x, size_t finite) {
  const auto sum = [&](auto term) {
    double lanes[16] = {};
    for (size_t i = 0; i < x.size(); ++i)
      if (std::isfinite(x[i])) lanes[i % 16] += term(static_cast<double>(x[i]));
    for (size_t half = 8; half > 0; half /= 2)
      for (size_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
    return lanes[0];
  };
  RowMoments m;
  m.sum = sum([](double v) { return v; });
  m.squares = sum([](double v) { return v * v; });
  const double mean = m.sum / static_cast<double>(finite);
  m.deviations = sum([&](double v) { return (v - mean) * (v - mean); });
  m.low = INFINITY;
  m.high = -INFINITY;
  for (const T v : x) {
    if (!std::isfinite(v)) continue;
    m.low = std::min(m.low, static_cast<double>(v));
    m.high = std::max(m.high, static_cast<double>(v));
  }
  return m;
}

template <class T>
void CheckMoments(const MomentKernels<T>& kernels, const std::vector<T>& x) {
  const size_t n = x.size();
  const size_t finite =
      static_cast<size_t>(std::count_if(x.begin(), x.end(), [](T v) { return std::isfinite(v); }));
  if (finite > 0) {
    const RowMoments m = kernels.moments(x.data(), n, finite), expected = MomentsOf(x, finite);
    EXPECT_EQ(m.sum, expected.sum) << n;
    EXPECT_EQ(m.squares, expected.squares) << n;
    EXPECT_EQ(m.deviations, expected.deviations) << n;
    EXPECT_EQ(m.low, expected.low) << n;
    EXPECT_EQ(m.high, expected.high) << n;
  }
  constexpr size_t kFields = kExponentFields<T>;
  std::vector<uint32_t> counts(kFields, 3), expected(kFields, 3);  // counts are added
  kernels.exponents(x.data(), n, counts.data());
  for (const T v : x) {
    const int exponent = std::isfinite(v) && std::abs(v) >= std::numeric_limits<T>::min()
                             ? std::ilogb(v) + std::numeric_limits<T>::max_exponent - 1
                             : 0;
    ++expected[std::isfinite(v) ? static_cast<size_t>(exponent) : kFields - 1];
  }
  for (size_t f = 0; f < kFields; ++f) ASSERT_EQ(counts[f], expected[f]) << n << " field " << f;
}

template <class T>
void Check(const MomentKernels<T>& kernels) {
  std::mt19937 random(5);
  std::vector<size_t> sizes;
  for (size_t n = 0; n < 100; ++n) sizes.push_back(n);
  // Exponents are counted in pieces of 3840, in counters that would overflow after a few more.
  for (const size_t n : {255, 3839, 3840, 3841, 9001}) sizes.push_back(n);
  for (const size_t n : sizes) {
    const std::vector<T> x = Row<T>(n, random), y = Row<T>(n, random);
    const RowExtent e = kernels.extent(x.data(), n), expected = ExtentOf(x);
    EXPECT_EQ(e.squares, expected.squares) << n;
    EXPECT_EQ(e.largest, expected.largest) << n;
    EXPECT_EQ(e.smallest, expected.smallest) << n;
    EXPECT_EQ(e.zeros, expected.zeros) << n;
    EXPECT_EQ(e.nans, expected.nans) << n;
    EXPECT_EQ(e.infinities, expected.infinities) << n;
    const RowDistance d = kernels.distance(x.data(), y.data(), n), right = DistanceOf(x, y);
    EXPECT_EQ(d.squares, right.squares) << n;
    EXPECT_EQ(d.largest, right.largest) << n;
    CheckMoments(kernels, x);
    std::vector<T> finite = y;
    for (T& v : finite) v = std::isfinite(v) ? v : T{3};
    CheckMoments(kernels, finite);
    CheckMoments(kernels, std::vector<T>(n, T{-3}));
    CheckMoments(kernels, std::vector<T>(n, T{0}));
  }
}

TEST(Moments, EveryInstructionSetGivesTheDefinition) {
  int ran = 0;
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    const Kernels* kernels = KernelsFor(isa);
    if (kernels == nullptr) continue;
    Check(kernels->moments_f32);
    Check(kernels->moments_f64);
    ++ran;
  }
  EXPECT_GE(ran, 1);
}

}  // namespace
}  // namespace vernier
