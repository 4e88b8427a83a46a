// Rounding against oracles that share no code with it: for formats of up to 16 bits a list of all
// their numbers and exact comparisons; for wider ones MPFR.
#include "formats/round.h"

#include <gtest/gtest.h>
#include <mpfr.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/kernels.h"

namespace vernier {
namespace {

constexpr Rounding kModes[] = {
    Rounding::kNearestEven, Rounding::kNearestAway, Rounding::kTowardZero, Rounding::kUp,
    Rounding::kDown,        Rounding::kOdd,         Rounding::kStochastic};
constexpr Overflow kPolicies[] = {Overflow::kSaturate, Overflow::kInfinity, Overflow::kNan};

Format Get(std::string_view name) { return FindFormat(name).value(); }

template <class T>
bool SameBits(T a, T b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}
template <class T>
bool SameOrNan(T a, T b) {
  return SameBits(a, b) || (std::isnan(a) && std::isnan(b) && std::signbit(a) == std::signbit(b));
}

// All numbers of a format, from its definition, in ascending order; number i has code i, so its
// significand is even where i is. Two binades above the top follow, for the overflow test.
struct Numbers {
  std::vector<double> list;
  double max;  // the largest of the format that the host holds
  double normal;

  Numbers(const Format& f, double host_max) : normal(std::ldexp(1.0, f.emin)) {
    const int half = 1 << (f.precision - 1);
    for (int m = 0; m < half; ++m) list.push_back(std::ldexp(m, f.emin - f.precision + 1));
    for (int e = f.emin; e <= f.emax + 2; ++e)
      for (int m = half; m < 2 * half; ++m) list.push_back(std::ldexp(m, e - f.precision + 1));
    max = 0;
    for (double v : list)
      if (v <= f.max_finite && v <= host_max) max = v;
  }
};

// Between which numbers a finite |x| lies, and how it compares with the middle.
struct Place {
  double below = 0, above = 0;
  bool exact = false, even = false, beyond = false;  // even: `below` is
  int middle = 0;                                    // -1, 0, 1: |x| against the middle
};

Place Locate(const Numbers& numbers, double a) {
  Place p;
  const auto it = std::upper_bound(numbers.list.begin(), numbers.list.end(), a);
  if (it == numbers.list.end()) {
    p.beyond = true;
    return p;
  }
  p.below = *(it - 1);
  p.above = *it;
  p.exact = p.below == a;
  p.even = (it - 1 - numbers.list.begin()) % 2 == 0;
  const double twice = 2 * a, sum = p.below + p.above;  // both exact
  p.middle = twice < sum ? -1 : twice > sum;
  return p;
}

bool GoesUp(const Place& p, double a, bool negative, Rounding mode, uint32_t random) {
  if (p.exact) return false;
  switch (mode) {
    case Rounding::kNearestEven:
      return p.middle > 0 || (p.middle == 0 && !p.even);
    case Rounding::kNearestAway:
      return p.middle >= 0;
    case Rounding::kTowardZero:
      return false;
    case Rounding::kUp:
      return !negative;
    case Rounding::kDown:
      return negative;
    case Rounding::kOdd:
      return p.even;
    case Rounding::kStochastic:
      break;
  }
  // The gap is a power of two, so the fraction is exact.
  const double fraction = (a - p.below) / (p.above - p.below);
  return std::floor(random / 2.0) + std::floor(std::ldexp(fraction, 31)) >= 0x1p31;
}

template <class T>
T Expected(const Format& f, const Numbers& numbers, const Place& p, T x, Rounding mode,
           Overflow policy, bool flush, uint32_t random, bool* over) {
  const bool negative = std::signbit(x), infinite = std::isinf(x);
  *over = false;
  if (std::isnan(x) || (infinite && f.has_infinity)) return x;
  const double a = std::abs(static_cast<double>(x));
  double r = p.beyond || infinite                   ? HUGE_VAL
             : GoesUp(p, a, negative, mode, random) ? p.above
                                                    : p.below;
  if (r > numbers.max) {
    *over = true;
    const bool inward = !infinite && (mode == Rounding::kTowardZero || mode == Rounding::kOdd ||
                                      mode == (negative ? Rounding::kUp : Rounding::kDown));
    r = policy == Overflow::kSaturate || inward ? numbers.max
        : policy == Overflow::kInfinity         ? HUGE_VAL
                                                : std::nan("");
  } else if (flush && r < numbers.normal) {
    r = 0;
  }
  if (r == 0 && !f.has_negative_zero) return T{0};
  return std::copysign(static_cast<T>(r), x);
}

// The numbers, the middles between them, their neighbours in the host, special values, and random
// values with every exponent alike; all with both signs.
template <class T>
std::vector<T> Inputs(const Numbers& numbers, size_t random_values, uint32_t seed) {
  std::vector<T> x;
  const T inf = std::numeric_limits<T>::infinity();
  const auto around = [&](double v) {
    const T t = static_cast<T>(v);
    for (T u : {t, std::nextafter(t, T{0}), std::nextafter(t, inf)}) {
      x.push_back(u);
      x.push_back(-u);
    }
  };
  for (size_t i = 0; i + 1 < numbers.list.size(); ++i) {
    if (numbers.list[i + 1] > static_cast<double>(std::numeric_limits<T>::max())) break;
    around(numbers.list[i]);
    around((numbers.list[i] + numbers.list[i + 1]) / 2);
  }
  around(std::numeric_limits<T>::max());
  around(std::numeric_limits<T>::min());
  around(std::numeric_limits<T>::denorm_min());
  for (T v : {inf, std::numeric_limits<T>::quiet_NaN(), T{0}}) {
    x.push_back(v);
    x.push_back(-v);
  }
  std::mt19937_64 random(seed);
  const int low = std::max(std::ilogb(numbers.list[1]) - 4, std::numeric_limits<T>::min_exponent);
  const int high =
      std::min(std::ilogb(numbers.list.back()) + 3, std::numeric_limits<T>::max_exponent - 1);
  for (size_t i = 0; i < random_values; ++i) {
    const double m = 1 + std::ldexp(static_cast<double>(random() >> 12), -52);
    const int e = low + static_cast<int>(random() % static_cast<uint64_t>(high - low + 1));
    const T v = static_cast<T>(std::ldexp(m, e));
    x.push_back(random() & 1 ? v : -v);
  }
  return x;
}

// Each instruction set this machine runs.
std::vector<const Kernels*> Tables() {
  std::vector<const Kernels*> tables;
  for (Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512})
    if (const Kernels* k = KernelsFor(isa)) tables.push_back(k);
  return tables;
}

// RoundRow against RoundValue, values and counts, in pieces of odd lengths, out of place and in
// place; `first` is where the upper half of the index changes.
template <class T>
void CheckRow(const RoundSpec& spec, const std::vector<T>& x) {
  const uint64_t key = 77, first = (uint64_t{1} << 32) - 1000;
  TreatmentCounts expected{x.size(), 0, 0, 0};
  std::vector<T> values(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    bool over = false;
    const T r = values[i] = RoundValue(spec, x[i], RandomBits(key, first + i), &over);
    expected.changed += !SameBits(r, x[i]);
    expected.saturated += over;
    expected.flushed += x[i] != 0 && r == 0;
  }
  for (const Kernels* kernels : Tables()) {
    for (const size_t piece : {x.size(), size_t{777}}) {
      const bool in_place = piece == x.size();
      std::vector<T> row = x, out(x.size(), T{-1});
      TreatmentCounts counts;
      for (size_t i = 0; i < x.size(); i += piece)
        counts += RoundRow(spec, row.data() + i, std::min(piece, x.size() - i),
                           (in_place ? row : out).data() + i, key, first + i, kernels);
      const std::vector<T>& y = in_place ? row : out;
      size_t wrong = 0;
      for (size_t i = 0; i < x.size(); ++i)
        if (!SameBits(values[i], y[i]) && wrong++ < 3)
          ADD_FAILURE() << kernels->name << " mode " << static_cast<int>(spec.rounding) << " row "
                        << y[i] << " value " << values[i] << " of " << x[i];
      EXPECT_EQ(wrong, 0u);
      EXPECT_TRUE(counts == expected)
          << kernels->name << ": changed " << counts.changed << " " << expected.changed
          << " saturated " << counts.saturated << " " << expected.saturated << " flushed "
          << counts.flushed << " " << expected.flushed;
    }
  }
}

template <class T>
void CheckSmallFormat(const Format& f, size_t random_values) {
  const Numbers numbers(f, static_cast<double>(std::numeric_limits<T>::max()));
  const std::vector<T> x = Inputs<T>(numbers, random_values, 5);
  size_t wrong = 0, checked = 0;
  std::vector<RoundSpec> specs;
  for (Rounding mode : kModes)
    for (Overflow policy : kPolicies) {
      specs.push_back(MakeRoundSpec(f, mode, policy, false));
      if (mode == Rounding::kNearestEven || policy == Overflow::kInfinity)
        specs.push_back(MakeRoundSpec(f, mode, policy, true));
    }
  for (size_t i = 0; i < x.size(); ++i) {
    const bool finite = std::isfinite(x[i]);
    const Place p = finite ? Locate(numbers, std::abs(static_cast<double>(x[i]))) : Place{};
    const uint32_t random = RandomBits(3, i);
    for (const RoundSpec& s : specs) {
      bool over = false, expected_over = false;
      const T r = RoundValue(s, x[i], random, &over);
      const T e =
          Expected(f, numbers, p, x[i], s.rounding, s.overflow, s.flush, random, &expected_over);
      ++checked;
      if (!(SameOrNan(r, e) && over == expected_over) && wrong++ < 5)
        ADD_FAILURE() << f.name << " mode " << static_cast<int>(s.rounding) << " policy "
                      << static_cast<int>(s.overflow) << ": " << x[i] << " gave " << r
                      << ", expected " << e;
    }
  }
  EXPECT_EQ(wrong, 0u) << "of " << checked;
  for (const RoundSpec& s : specs)
    if (s.rounding == Rounding::kNearestEven || x.size() < 100000) CheckRow(s, x);
}

class SmallFormat : public testing::TestWithParam<const char*> {};

TEST_P(SmallFormat, FloatEqualsEnumeration) { CheckSmallFormat<float>(Get(GetParam()), 50000); }
TEST_P(SmallFormat, DoubleEqualsEnumeration) { CheckSmallFormat<double>(Get(GetParam()), 50000); }

INSTANTIATE_TEST_SUITE_P(Formats, SmallFormat,
                         testing::Values("f16", "bf16", "e5m2", "e4m3", "e5m2fnuz", "e4m3fnuz",
                                         "e4m3b11fnuz", "e3m2", "e2m3", "e2m1", "e2m5", "e4m2",
                                         "e3m9", "e6m9", "e7m3", "e8m3", "e9m3", "e10m2"));

// f32 of a double, tf32, and eXmY up to p = 41, by MPFR: the four modes it has with its emulation
// of subnormals, the others by its integer functions on the grid of x.
class Mpfr {
 public:
  explicit Mpfr(const Format& f) : f_(f) {
    mpfr_init2(y_, f.precision);
    mpfr_init2(wide_, 64);
    mpfr_set_emin(f.emin - f.precision + 2);  // 0.1b * 2^e in MPFR's words
    mpfr_set_emax(2000);
  }
  ~Mpfr() {
    mpfr_clear(y_);
    mpfr_clear(wide_);
    mpfr_set_emin(mpfr_get_emin_min());
    mpfr_set_emax(mpfr_get_emax_max());
  }
  Mpfr(const Mpfr&) = delete;
  Mpfr& operator=(const Mpfr&) = delete;

  // |x| with unbounded exponents; x finite, not 0; the sign kept.
  double Round(double x, Rounding mode) {
    switch (mode) {
      case Rounding::kNearestEven:
        return Native(x, MPFR_RNDN);
      case Rounding::kTowardZero:
        return Native(x, MPFR_RNDZ);
      case Rounding::kUp:
        return Native(x, MPFR_RNDU);
      case Rounding::kDown:
        return Native(x, MPFR_RNDD);
      default:
        return OnGrid(x, mode);
    }
  }

 private:
  double Native(double x, mpfr_rnd_t mode) {
    const int direction = mpfr_set_d(y_, x, mode);
    mpfr_subnormalize(y_, direction, mode);
    return mpfr_get_d(y_, MPFR_RNDN);
  }
  double OnGrid(double x, Rounding mode) {
    mpfr_set_emin(mpfr_get_emin_min());
    const int quantum = std::max(std::ilogb(x), f_.emin) - f_.precision + 1;
    mpfr_set_d(wide_, x, MPFR_RNDN);
    mpfr_mul_2si(wide_, wide_, -quantum, MPFR_RNDN);
    if (mode == Rounding::kNearestAway) {
      mpfr_round(wide_, wide_);
    } else if (!mpfr_integer_p(wide_)) {
      mpfr_trunc(wide_, wide_);
      const bool even = std::fmod(mpfr_get_d(wide_, MPFR_RNDN), 2) == 0;
      if (even) mpfr_add_si(wide_, wide_, x < 0 ? -1 : 1, MPFR_RNDN);
    }
    mpfr_mul_2si(wide_, wide_, quantum, MPFR_RNDN);
    mpfr_set_emin(f_.emin - f_.precision + 2);
    const double r = mpfr_get_d(wide_, MPFR_RNDN);
    return r == 0 ? std::copysign(0.0, x) : r;
  }
  Format f_;
  mpfr_t y_, wide_;
};

template <class T>
std::vector<T> WideInputs(const Format& f, size_t count) {
  std::mt19937_64 random(11);
  std::vector<T> x;
  const int low = std::max(f.emin - f.precision - 4, std::numeric_limits<T>::min_exponent - 30);
  const int high = std::min(f.emax + 2, std::numeric_limits<T>::max_exponent - 1);
  for (size_t i = 0; i < count; ++i) {
    const int e = low + static_cast<int>(random() % static_cast<uint64_t>(high - low + 1));
    uint64_t m = random() >> 12;
    // Numbers of the format, ties and their neighbours as well as plain random ones.
    const int keep = f.precision - 1 + static_cast<int>(random() % 3);
    if (i % 2 == 0 && keep < 52) m = m >> (52 - keep) << (52 - keep);
    double v = std::ldexp(1 + std::ldexp(static_cast<double>(m), -52), e);
    if (i % 16 == 2) v = std::nextafter(v, 0.0);
    if (i % 16 == 4) v = std::nextafter(v, HUGE_VAL);
    const T t = static_cast<T>(v);
    if (std::isfinite(t) && t != 0) x.push_back(random() & 1 ? t : -t);
  }
  return x;
}

template <class T>
void CheckWideFormat(const Format& f, size_t count) {
  const std::vector<T> x = WideInputs<T>(f, count);
  Mpfr oracle(f);
  size_t wrong = 0;
  for (Rounding mode : kModes) {
    if (mode == Rounding::kStochastic) continue;
    const RoundSpec spec = MakeRoundSpec(f, mode, Overflow::kNan);
    for (T v : x) {
      bool over = false;
      const T r = RoundValue(spec, v, 0, &over);
      const double e = oracle.Round(v, mode);
      const double host_max = static_cast<double>(std::numeric_limits<T>::max());
      const bool expected_over = std::abs(e) > std::min(f.max_finite, host_max);
      const bool right = over == expected_over && (over || static_cast<double>(r) == e) &&
                         std::signbit(r) == std::signbit(v);
      if (!right && wrong++ < 5)
        ADD_FAILURE() << f.name << " mode " << static_cast<int>(mode) << ": " << v << " gave " << r
                      << ", expected " << e;
    }
  }
  EXPECT_EQ(wrong, 0u);
  for (Rounding mode : kModes)
    for (Overflow policy : kPolicies)
      for (bool flush : {false, true}) CheckRow(MakeRoundSpec(f, mode, policy, flush), x);
}

class WideFormat : public testing::TestWithParam<const char*> {};

size_t WideCount() { return std::getenv("VERNIER_TEST_ALL") != nullptr ? 1500000 : 20000; }

TEST_P(WideFormat, FloatEqualsMpfr) { CheckWideFormat<float>(Get(GetParam()), WideCount()); }
TEST_P(WideFormat, DoubleEqualsMpfr) { CheckWideFormat<double>(Get(GetParam()), WideCount()); }

INSTANTIATE_TEST_SUITE_P(Formats, WideFormat,
                         testing::Values("tf32", "f32", "f64", "e5m20", "e5m23", "e5m30", "e8m12",
                                         "e8m30", "e9m14", "e10m23", "e11m3", "e11m40", "e2m40"));

// Posits by RoundValue, which posit_test.cc holds to the standard: every exponent of the host,
// random significands of all lengths with their neighbours, zeros, and blocks that stay in the
// middle range.
template <class T>
std::vector<T> PositInputs(size_t count) {
  std::mt19937_64 random(17);
  std::vector<T> x;
  const int low = std::numeric_limits<T>::min_exponent - 30;
  const int range = std::numeric_limits<T>::max_exponent - low;
  for (size_t i = 0; i < count; ++i) {
    const bool middle = i / 512 % 2 == 0;  // two blocks of each kind
    const int e = middle ? static_cast<int>(random() % 40) - 20
                         : low + static_cast<int>(random() % static_cast<uint64_t>(range));
    const int keep = static_cast<int>(random() % 53);
    const uint64_t m = random() >> 12 >> keep << keep;
    T v = static_cast<T>(std::ldexp(1 + std::ldexp(static_cast<double>(m), -52), e));
    if (i % 8 == 1) v = std::nextafter(v, T{0});
    if (i % 8 == 2) v = std::nextafter(v, std::numeric_limits<T>::infinity());
    if (i % 32 == 3) v = 0;
    x.push_back(random() & 1 ? v : -v);
  }
  x.push_back(std::numeric_limits<T>::quiet_NaN());
  x.push_back(-std::numeric_limits<T>::infinity());
  return x;
}

class PositRow : public testing::TestWithParam<const char*> {};

TEST_P(PositRow, EqualsRoundValue) {
  const auto floats = PositInputs<float>(3000);
  const auto doubles = PositInputs<double>(3000);
  for (Rounding mode : kModes)
    for (Overflow policy : {Overflow::kSaturate, Overflow::kNan}) {
      CheckRow(MakeRoundSpec(Get(GetParam()), mode, policy), floats);
      CheckRow(MakeRoundSpec(Get(GetParam()), mode, policy), doubles);
    }
}

// Floats and doubles with every upper half (sign, exponent and first fraction bits), followed by
// the lowest, the highest, what is around the middle and something else: all ties of posits up to
// 16 bits and their neighbours.
template <class T>
std::vector<T> UpperHalves() {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  constexpr int kLower = sizeof(T) == 4 ? 16 : 48;
  constexpr Bits kHalf = Bits{1} << (kLower - 1), kAll = 2 * kHalf - 1;
#ifdef __SANITIZE_ADDRESS__
  constexpr Bits kStep = 61;  // some of them: what sanitizers look for is the same in all
#else
  constexpr Bits kStep = 1;
#endif
  std::vector<T> x;
  for (Bits upper = 0; upper < 1 << 16; upper += kStep) {
    const Bits other = RandomBits(1, upper) & kAll;
    for (const Bits lower : {Bits{0}, Bits{1}, kHalf - 1, kHalf, kHalf + 1, kAll, other})
      x.push_back(std::bit_cast<T>(upper << kLower | lower));
  }
  return x;
}

template <class T>
void CheckUpperHalves(std::initializer_list<const char*> names) {
  const std::vector<T> x = UpperHalves<T>();
  for (const char* name : names)
    for (Rounding mode : kModes)
      for (Overflow policy : {Overflow::kSaturate, Overflow::kNan})
        CheckRow(MakeRoundSpec(Get(name), mode, policy), x);
}

TEST(UpperHalfRow, FloatEqualsRoundValue) {
  CheckUpperHalves<float>({"posit8", "posit16", "posit7", "posit32", "e8m0", "bf16"});
}
TEST(UpperHalfRow, DoubleEqualsRoundValue) {
  CheckUpperHalves<double>({"posit8", "posit32", "e8m0"});
}

INSTANTIATE_TEST_SUITE_P(Formats, PositRow,
                         testing::Values("posit64", "posit56", "posit55", "posit32", "posit28",
                                         "posit27", "posit26", "posit24es3", "posit20es1",
                                         "posit16", "posit16es0", "posit16es4", "posit12", "posit8",
                                         "posit8es0", "posit7", "posit6", "posit5", "posit3",
                                         "posit2", "e8m0"));

TEST(RoundValue, FloatFormatsWiderThanTheHostChangeNothing) {
  std::mt19937 random(3);
  std::vector<float> x(10000);
  for (float& v : x) v = std::bit_cast<float>(static_cast<uint32_t>(random()));
  for (const char* name : {"f32", "f64", "e9m23", "e8m30"})
    for (Rounding mode : kModes)
      for (Overflow policy : kPolicies) {
        std::vector<float> row = x;
        const auto counts =
            RoundRow(MakeRoundSpec(Get(name), mode, policy), row.data(), row.size());
        EXPECT_EQ(counts, (TreatmentCounts{x.size(), 0, 0, 0})) << name;
        EXPECT_EQ(std::memcmp(row.data(), x.data(), x.size() * sizeof(float)), 0);
      }
}

TEST(RoundValue, DoubleToF32EqualsTheHardware) {
  std::mt19937_64 random(9);
  const RoundSpec spec = MakeRoundSpec(Get("f32"));
  for (int i = 0; i < 1000000; ++i) {
    const int e = static_cast<int>(random() % 290) - 155;
    const double x = std::ldexp(1 + std::ldexp(static_cast<double>(random() >> 12), -52), e);
    ASSERT_EQ(RoundValue(spec, x), static_cast<double>(static_cast<float>(x))) << x;
  }
}

// Published thresholds: OCP OFP8 1.0 section 5.2 for FP8; half a unit above the top for the others.
TEST(RoundValue, OverflowThresholds) {
  struct Case {
    const char* name;
    float last, first;  // the last value that rounds to max_finite, the first that overflows
    float max;
  };
  const Case cases[] = {
      {"e4m3", 464, std::nextafter(464.0f, 1e9f), 448},
      {"e5m2", std::nextafter(61440.0f, 0.0f), 61440, 57344},
      {"f16", std::nextafter(65520.0f, 0.0f), 65520, 65504},
      {"bf16", 0x1.fefffep127f, 0x1.ffp127f, 0x1.fep127f},
      {"e2m1", std::nextafter(7.0f, 0.0f), 7, 6},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    for (Overflow policy : kPolicies) {
      const RoundSpec spec = MakeRoundSpec(Get(c.name), Rounding::kNearestEven, policy);
      bool over = true;
      EXPECT_EQ(RoundValue(spec, c.last, 0, &over), c.max);
      EXPECT_FALSE(over);
      const float r = RoundValue(spec, -c.first, 0, &over);
      EXPECT_TRUE(over);
      EXPECT_TRUE(std::signbit(r));
      if (policy == Overflow::kSaturate) {
        EXPECT_EQ(r, -c.max);
      }
      if (policy == Overflow::kInfinity) {
        EXPECT_TRUE(std::isinf(r));
      }
      if (policy == Overflow::kNan) {
        EXPECT_TRUE(std::isnan(r));
      }
    }
  }
}

TEST(RoundValue, InfinitiesAndNan) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::bit_cast<float>(0xff812345u);  // a signalling one, negative, with payload
  for (Rounding mode : kModes)
    for (const char* name : {"f16", "e4m3", "e2m1"}) {
      for (Overflow policy : kPolicies)
        EXPECT_TRUE(SameBits(RoundValue(MakeRoundSpec(Get(name), mode, policy), nan), nan));
      float row[] = {nan};
      EXPECT_EQ(RoundRow(MakeRoundSpec(Get(name), mode), row, 1).changed, 0u);
      EXPECT_TRUE(SameBits(row[0], nan));
    }
  for (Rounding mode : kModes) {
    EXPECT_EQ(RoundValue(MakeRoundSpec(Get("f16"), mode, Overflow::kSaturate), -inf), -inf);
    EXPECT_EQ(RoundValue(MakeRoundSpec(Get("e4m3"), mode, Overflow::kSaturate), -inf), -448);
    EXPECT_TRUE(std::isnan(RoundValue(MakeRoundSpec(Get("e4m3"), mode, Overflow::kNan), -inf)));
  }
}

TEST(RoundValue, CutTopBinade) {
  const Format f = Get("e4m3");
  EXPECT_EQ(RoundValue(MakeRoundSpec(f, Rounding::kTowardZero, Overflow::kNan), 479.0f), 448);
  EXPECT_EQ(RoundValue(MakeRoundSpec(f, Rounding::kTowardZero, Overflow::kNan), 1e6f), 448);
  EXPECT_TRUE(std::isnan(RoundValue(MakeRoundSpec(f, Rounding::kUp, Overflow::kNan), 449.0f)));
  EXPECT_EQ(RoundValue(MakeRoundSpec(f, Rounding::kUp, Overflow::kNan), -1e6f), -448);
  EXPECT_EQ(RoundValue(MakeRoundSpec(f, Rounding::kOdd, Overflow::kNan), 449.0f), 448);
}

TEST(Stochastic, MeanIsTheValue) {
  // n draws of a two-point variable of gap g and probability f: sigma of the mean g sqrt(f(1-f)/n).
  constexpr int kDraws = 200000;
  struct Case {
    const char* name;
    double x;
  };
  for (const Case& c : {Case{"bf16", 1.001}, Case{"f16", -3.14159}, Case{"e4m3", 0.3},
                        Case{"e4m3", 0.0003}, Case{"e5m2", -1000.7}, Case{"e2m1", 0.01}}) {
    const Format f = Get(c.name);
    const double up = RoundValue(MakeRoundSpec(f, Rounding::kUp, Overflow::kSaturate), c.x);
    const double down = RoundValue(MakeRoundSpec(f, Rounding::kDown, Overflow::kSaturate), c.x);
    const RoundSpec spec = MakeRoundSpec(f, Rounding::kStochastic, Overflow::kSaturate);
    double sum = 0;
    for (uint64_t i = 0; i < kDraws; ++i) {
      const double r = RoundValue(spec, c.x, RandomBits(42, i));
      ASSERT_TRUE(r == up || r == down);
      sum += r;
    }
    const double fraction = (c.x - down) / (up - down);
    const double sigma = (up - down) * std::sqrt(fraction * (1 - fraction) / kDraws);
    EXPECT_NEAR(sum / kDraws, c.x, 5 * sigma) << c.name << " " << c.x;
  }
}

TEST(Stochastic, ThresholdIsExact) {
  const auto away = [](const char* name, double x, uint32_t random) {
    const RoundSpec spec = MakeRoundSpec(Get(name), Rounding::kStochastic);
    return std::abs(RoundValue(spec, x, random)) > std::abs(x);
  };
  const uint32_t half = uint32_t{1} << 31;
  EXPECT_TRUE(away("bf16", 1 + 0x1p-8, half));
  EXPECT_FALSE(away("bf16", 1 + 0x1p-8, half - 1));
  EXPECT_TRUE(away("bf16", -1 - 0x1p-23, ~uint32_t{0} << 16));
  EXPECT_FALSE(away("bf16", -1 - 0x1p-23, (~uint32_t{0} << 16) - 1));
  EXPECT_TRUE(away("e2m1", 0x1p-32, ~uint32_t{1}));  // one step of 31 bits, of a gap of 1/2
  EXPECT_FALSE(away("e2m1", 0x1p-32, ~uint32_t{1} - 1));
  EXPECT_FALSE(away("e2m1", 0x1.8p-33, ~uint32_t{0}));  // below the last random bit
  EXPECT_FALSE(away("e2m1", 0x1p-1074, ~uint32_t{0}));
}

TEST(Stochastic, DependsOnKeyAndIndexAlone) {
  std::vector<float> x(1000);
  std::mt19937 random(1);
  for (float& v : x) v = std::normal_distribution<float>()(random);
  const RoundSpec spec = MakeRoundSpec(Get("e4m3"), Rounding::kStochastic);
  std::vector<float> whole = x, parts = x, other = x;
  RoundRow(spec, whole.data(), whole.size(), 5);
  for (size_t i = 0; i < x.size(); i += 37)
    RoundRow(spec, parts.data() + i, std::min<size_t>(37, x.size() - i), 5, i);
  RoundRow(spec, other.data(), other.size(), 6);
  EXPECT_EQ(whole, parts);
  EXPECT_NE(whole, other);
  std::vector<float> again = whole;
  EXPECT_EQ(RoundRow(spec, again.data(), again.size(), 9).changed, 0u);  // numbers stay
}

TEST(RandomBits, IsTheStatedFunction) {
  // Computed from the formula of round.h with Python's integers.
  EXPECT_EQ(RandomBits(0, 0), 0x20d450e4u);
  EXPECT_EQ(RandomBits(42, 7), 0x4c71423u);
  EXPECT_EQ(RandomBits(~uint64_t{0}, ~uint64_t{0}), 0xd7164fdu);
  EXPECT_EQ(RandomBits(5, (uint64_t{1} << 32) + 3), 0xb4fb940du);
}

// Frequencies of single bits, and agreement of the words of neighbouring elements, of neighbouring
// keys, and of words shifted against each other: each a binomial of 1/2, within 5 standard
// deviations (1500 comparisons: one beyond in 1200 runs by chance, and the numbers are fixed).
TEST(RandomBits, BitsAreFairAndIndependent) {
  constexpr int kDraws = 100000;
  int ones[32] = {}, next[32] = {}, key[32] = {}, shifted[32] = {};
  for (uint64_t i = 0; i < kDraws; ++i) {
    const uint64_t k = i / 1000, j = i % 1000;
    const uint32_t w = RandomBits(k, j), n = w ^ RandomBits(k, j + 1), o = w ^ RandomBits(k + 1, j);
    for (int b = 0; b < 32; ++b) {
      ones[b] += w >> b & 1;
      next[b] += n >> b & 1;
      key[b] += o >> b & 1;
      shifted[b] += (w ^ std::rotl(w, b)) & 1;
    }
  }
  const double allowed = 5 * std::sqrt(kDraws) / 2;
  for (int b = 0; b < 32; ++b) {
    EXPECT_NEAR(ones[b], kDraws / 2, allowed) << b;
    EXPECT_NEAR(next[b], kDraws / 2, allowed) << b;
    EXPECT_NEAR(key[b], kDraws / 2, allowed) << b;
    if (b > 0) {
      EXPECT_NEAR(shifted[b], kDraws / 2, allowed) << b;
    }
  }
}

// Chi-squared of 256 cells: mean 255, standard deviation sqrt(510) = 22.6; within 5 of them.
TEST(RandomBits, BytesAreUniform) {
  constexpr int kDraws = 256 * 1000;
  for (int byte = 0; byte < 4; ++byte)
    for (bool along_keys : {false, true}) {
      int count[256] = {};
      for (uint64_t i = 0; i < kDraws; ++i)
        ++count[(along_keys ? RandomBits(i, 17) : RandomBits(9, i)) >> (8 * byte) & 255];
      double chi = 0;
      for (int c : count) chi += (c - 1000.0) * (c - 1000.0) / 1000;
      EXPECT_NEAR(chi, 255, 113) << byte << along_keys;
    }
}

}  // namespace
}  // namespace vernier
