// Percentiles against sorting; what is not kept, within its bound.
#include "measure/magnitudes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace vernier {
namespace {

template <class T>
using Rows = std::vector<std::vector<T>>;

template <class T>
void AddRows(const Rows<T>& rows, size_t first, size_t last, Workers* workers, Magnitudes* out) {
  std::vector<const void*> at;
  std::vector<size_t> widths;
  for (size_t r = first; r < last; ++r) {
    at.push_back(rows[r].data());
    widths.push_back(rows[r].size());
  }
  out->Add({sizeof(T) == 4 ? Arithmetic::kF32 : Arithmetic::kF64, at, widths}, workers);
}

template <class T>
std::vector<double> SortedMagnitudes(const Rows<T>& rows) {
  std::vector<double> out;
  for (const auto& row : rows)
    for (const T x : row)
      if (std::isfinite(x)) out.push_back(std::abs(static_cast<double>(x)));
  std::sort(out.begin(), out.end());
  return out;
}

double FromSorted(const std::vector<double>& sorted, double p) {
  const double at = p / 100 * static_cast<double>(sorted.size() - 1);
  const auto k = static_cast<size_t>(at);
  if (k + 1 == sorted.size()) return sorted[k];
  return sorted[k] + (at - static_cast<double>(k)) * (sorted[k + 1] - sorted[k]);
}

// Of all sizes, with what is not finite, zeros and repetitions among them.
template <class T>
Rows<T> MakeRows(size_t rows, size_t width, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  Rows<T> out(rows);
  for (auto& row : out) {
    row.resize(1 + random() % (2 * width));
    for (T& x : row) {
      x = static_cast<T>(std::ldexp(normal(random), static_cast<int>(random() % 12)));
      const uint32_t kind = random() % 64;
      if (kind == 0) x = 0;
      if (kind == 1) x = static_cast<T>(-3);
      if (kind == 2) x = std::numeric_limits<T>::denorm_min();
      if (kind == 3) x = std::numeric_limits<T>::quiet_NaN();
      if (kind == 4) x = -std::numeric_limits<T>::infinity();
    }
  }
  return out;
}

constexpr double kPercents[] = {0.001, 1, 25, 50, 90, 99, 99.5, 99.9, 99.99, 100};

TEST(Magnitudes, SmallNumbersByHand) {
  Magnitudes m(10);
  AddRows<float>({{1, -4}, {2, 3, -0.0f}}, 0, 2, nullptr, &m);
  EXPECT_EQ(m.count(), 5u);
  EXPECT_EQ(m.Percentile(100).value, 4);
  EXPECT_EQ(m.Percentile(50).value, 2);
  EXPECT_EQ(m.Percentile(62.5).value, 2.5);
  EXPECT_EQ(Magnitudes::Needed(5, 50), 3u);
  EXPECT_EQ(Magnitudes::Needed(5, 62.5), 3u);
  EXPECT_EQ(Magnitudes::Needed(5, 100), 1u);
}

template <class T>
void CheckAgainstSorting() {
  const Rows<T> rows = MakeRows<T>(200, 300, 7);
  const std::vector<double> sorted = SortedMagnitudes(rows);
  for (const size_t most : {size_t{1}, size_t{50}, size_t{700}, size_t{9000}, size_t{1000000}}) {
    Magnitudes m(most);
    AddRows(rows, 0, rows.size(), nullptr, &m);
    ASSERT_EQ(m.count(), sorted.size());
    for (const double p : kPercents) {
      const Magnitudes::Value v = m.Percentile(p);
      const double is = FromSorted(sorted, p);
      EXPECT_EQ(v.exact, Magnitudes::Needed(sorted.size(), p) <= most) << p << " " << most;
      if (v.exact) {
        EXPECT_EQ(v.value, is) << p << " " << most;
      } else {  // header: less than 2^-8 of the value; 0 only below 2^-1030
        EXPECT_LE(std::abs(v.value - is), is * 0x1p-8 + 0x1p-1030) << p << " " << most;
      }
    }
  }
}

TEST(Magnitudes, AreThoseOfSorting) {
  CheckAgainstSorting<float>();
  CheckAgainstSorting<double>();
}

TEST(Magnitudes, DependOnTheNumbersAlone) {
  const Rows<float> rows = MakeRows<float>(300, 200, 11);
  Magnitudes whole(500), cut(500), threaded(500), merged(500);
  AddRows(rows, 0, rows.size(), nullptr, &whole);
  Workers workers(3);
  AddRows(rows, 0, rows.size(), &workers, &threaded);
  for (size_t first = 0, n = 1; first < rows.size(); first += n, n = n * 2 + 1) {
    AddRows(rows, first, std::min(first + n, rows.size()), nullptr, &cut);
    Magnitudes part(800);
    AddRows(rows, first, std::min(first + n, rows.size()), &workers, &part);
    part.Percentile(99);  // reading changes nothing
    merged.Add(part);
  }
  for (const double p : kPercents) {
    const Magnitudes::Value v = whole.Percentile(p);
    for (Magnitudes* other : {&cut, &threaded, &merged}) {
      EXPECT_EQ(other->count(), whole.count());
      EXPECT_EQ(other->Percentile(p).value, v.value) << p;
      EXPECT_EQ(other->Percentile(p).exact, v.exact) << p;
    }
  }
}

// The least that is kept, where rows come one by one and what is kept is cut again and again.
TEST(Magnitudes, TheLeastThatIsKept) {
  Rows<double> rows(400, std::vector<double>(100));
  std::mt19937 random(3);
  std::uniform_real_distribution<double> uniform(1, 1.25);
  for (auto& row : rows)
    for (double& x : row) x = uniform(random);
  const std::vector<double> sorted = SortedMagnitudes(rows);
  const size_t n = sorted.size();
  for (const size_t most : {size_t{2}, size_t{64}, size_t{500}, size_t{5000}}) {
    Magnitudes m(most), merged(most);
    for (size_t r = 0; r < rows.size(); ++r) {
      AddRows(rows, r, r + 1, nullptr, &m);
      Magnitudes part(most);
      AddRows(rows, r, r + 1, nullptr, &part);
      merged.Add(part);
    }
    const double p = 100 * (static_cast<double>(n - most) + 0.5) / static_cast<double>(n - 1);
    ASSERT_EQ(Magnitudes::Needed(n, p), most);
    for (Magnitudes* one : {&m, &merged}) {
      EXPECT_TRUE(one->Percentile(p).exact) << most;
      EXPECT_EQ(one->Percentile(p).value, FromSorted(sorted, p)) << most;
    }
  }
}

// More than fits in one piece, with most of it the same number.
TEST(Magnitudes, OfManyEqualOnes) {
  Rows<float> rows(600, std::vector<float>(4096, -0.5f));
  for (size_t r = 0; r < rows.size(); ++r)
    for (size_t i = 0; i < 4; ++i) rows[r][i * 7] = static_cast<float>(r * 4 + i) / 1024;
  const std::vector<double> sorted = SortedMagnitudes(rows);
  Workers workers(2);
  Magnitudes m(Magnitudes::Needed(sorted.size(), 99.9));
  AddRows(rows, 0, rows.size(), &workers, &m);
  for (const double p : {99.9, 99.95, 99.999, 100.0}) {
    EXPECT_TRUE(m.Percentile(p).exact);
    EXPECT_EQ(m.Percentile(p).value, FromSorted(sorted, p)) << p;
  }
  EXPECT_FALSE(m.Percentile(50).exact);
  EXPECT_NEAR(m.Percentile(50).value, 0.5, 0.5 * 0x1p-8);
}

}  // namespace
}  // namespace vernier
