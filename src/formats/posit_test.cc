// Posits against their definition: codes spelled out bit by bit (Posit Standard 2022, section 3),
// rounding by its section 4.1 and, for the other modes, by exact comparisons in GMP's integers.
#include "formats/posit.h"

#include <gmp.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "formats/round.h"
#include "formats/treatment.h"

namespace vernier {
namespace {

constexpr Rounding kModes[] = {
    Rounding::kNearestEven, Rounding::kNearestAway, Rounding::kTowardZero, Rounding::kUp,
    Rounding::kDown,        Rounding::kOdd,         Rounding::kStochastic};
constexpr Overflow kPolicies[] = {Overflow::kSaturate, Overflow::kInfinity, Overflow::kNan};

bool TestAll() { return std::getenv("VERNIER_TEST_ALL") != nullptr; }
#ifdef __SANITIZE_ADDRESS__
constexpr bool kSanitized = true;  // some cases of everything: what sanitizers look for is the same in all
#else
constexpr bool kSanitized = false;
#endif

struct Dyadic {
  uint64_t m = 0;  // with its top bit set, or 0
  int e = 0;       // of that bit: the number is m * 2^(e - 63)
  friend auto operator<=>(const Dyadic& a, const Dyadic& b) {
    if (a.m == 0 || b.m == 0) return a.m <=> b.m;
    return a.e != b.e ? a.e <=> b.e : a.m <=> b.m;
  }
  friend bool operator==(const Dyadic&, const Dyadic&) = default;
};

Dyadic OfDouble(double x) {
  if (x == 0) return {};
  int e = 0;
  const double m = std::frexp(x, &e);
  return {static_cast<uint64_t>(std::ldexp(m, 64)), e - 1};
}

// The nearest double, ties to even: exact where that is a double.
double ToDouble(Dyadic x) { return std::ldexp(static_cast<double>(x.m), x.e - 63); }

// Posit n with a positive code, n up to 65.
Dyadic Definition(int n, int es, uint64_t code) {
  std::string bits;
  for (int i = n - 2; i >= 0; --i) bits += (code >> i & 1) != 0 ? '1' : '0';
  const size_t end = std::min(bits.find(bits[0] == '1' ? '0' : '1'), bits.size());
  const int run = static_cast<int>(end), r = bits[0] == '1' ? run - 1 : -run;
  std::string rest = end < bits.size() ? bits.substr(end + 1) : "";
  rest += std::string(static_cast<size_t>(es) + 64, '0');  // bits beyond the string are zeros
  int exponent = 0;
  for (int i = 0; i < es; ++i) exponent = 2 * exponent + (rest[static_cast<size_t>(i)] - '0');
  uint64_t m = 1;
  for (int i = 0; i < 63; ++i)
    m = 2 * m + static_cast<uint64_t>(rest[static_cast<size_t>(es + i)] - '0');
  return {m, r * (1 << es) + exponent};
}

class Mpz {
 public:
  explicit Mpz(Dyadic x, int unit) {  // x / 2^unit, an integer
    mpz_init_set_ui(z_, 0);
    if (x.m == 0) return;
    mpz_set_ui(z_, x.m);
    const int shift = x.e - 63 - unit;
    if (shift >= 0) {
      mpz_mul_2exp(z_, z_, static_cast<unsigned>(shift));
    } else {
      mpz_tdiv_q_2exp(z_, z_, static_cast<unsigned>(-shift));
    }
  }
  ~Mpz() { mpz_clear(z_); }
  Mpz(const Mpz&) = delete;
  Mpz& operator=(const Mpz&) = delete;
  mpz_t z_;
};

// R + floor(2^31 (x - u) / (w - u)) >= 2^31, R = floor(random / 2), or (2^31 - R)(w - u) <=
// 2^31 (x - u).
bool RandomlyAbove(Dyadic x, Dyadic u, Dyadic w, uint32_t random) {
  int unit = x.e;
  for (const Dyadic& v : {x, u, w})
    if (v.m != 0) unit = std::min(unit, v.e - 63 + std::countr_zero(v.m));
  Mpz above(w, unit), below(u, unit), value(x, unit);
  mpz_sub(above.z_, above.z_, below.z_);
  mpz_sub(value.z_, value.z_, below.z_);
  mpz_mul_2exp(value.z_, value.z_, 31);
  Mpz left({}, 0);
  mpz_set_ui(left.z_, (uint32_t{1} << 31) - random / 2);
  mpz_mul(left.z_, left.z_, above.z_);
  return mpz_cmp(left.z_, value.z_) <= 0;
}

class Oracle {
 public:
  Oracle(int n, int es, double host_max, double host_min)
      : n_(n), es_(es), last_((uint64_t{1} << (n - 1)) - 1) {
    // Cut to the host: the first and last code whose number it holds.
    largest_ = LastUpTo(OfDouble(host_max)).value();
    smallest_ = 1;
    if (const auto below = LastUpTo(OfDouble(host_min)))
      smallest_ = Number(*below) == OfDouble(host_min) ? *below : *below + 1;
  }

  Dyadic Number(uint64_t code) const { return code == 0 ? Dyadic{} : Definition(n_, es_, code); }
  uint64_t last() const { return last_; }
  // v of section 4.1, between `code` and the next.
  Dyadic Threshold(uint64_t code) const { return Definition(n_ + 1, es_, 2 * code + 1); }
  std::optional<uint64_t> LastUpTo(Dyadic x) const {
    uint64_t low = 0, high = last_;  // low: not above x (or zero)
    while (low < high) {
      const uint64_t middle = low + (high - low + 1) / 2;
      if (Number(middle) <= x) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low == 0 ? std::nullopt : std::optional(low);
  }

  struct Place {
    Dyadic x, below, above;
    uint64_t code = 0;
    bool beyond = false;
    int middle = 0;
  };
  Place Locate(double a) const {
    Place p;
    p.x = OfDouble(a);
    if (p.x < Number(smallest_)) {
      p.above = Number(smallest_);
      return p;
    }
    if (Number(largest_) < p.x) {
      p.beyond = true;
      return p;
    }
    p.code = LastUpTo(p.x).value();
    p.below = p.above = Number(p.code);
    if (p.below == p.x) return p;
    p.above = Number(p.code + 1);
    const Dyadic v = Threshold(p.code);
    p.middle = p.x < v ? -1 : v < p.x;
    return p;
  }

  // What x of the sign becomes; NaN for NaN.
  double Round(const Place& p, bool negative, Rounding mode, Overflow policy, uint32_t random,
               bool* over) const {
    const bool inward = mode == Rounding::kTowardZero || mode == Rounding::kOdd ||
                        mode == (negative ? Rounding::kUp : Rounding::kDown);
    double r = 0;
    *over = p.beyond;
    if (p.beyond) {
      r = inward || policy == Overflow::kSaturate ? ToDouble(Number(largest_))
          : policy == Overflow::kInfinity         ? HUGE_VAL
                                                  : std::nan("");
    } else if (p.x == p.below) {
      r = ToDouble(p.x);
    } else {
      r = ToDouble(Above(p, negative, mode, random) ? p.above : p.below);
    }
    return r == 0 ? 0 : negative ? -r : r;
  }

 private:
  static bool Above(const Place& p, bool negative, Rounding mode, uint32_t random) {
    const bool odd = p.code % 2 != 0, tiny = p.code == 0;
    switch (mode) {
      case Rounding::kNearestEven:
        return tiny || p.middle > 0 || (p.middle == 0 && odd);
      case Rounding::kNearestAway:
        return tiny || p.middle >= 0;
      case Rounding::kTowardZero:
        return false;
      case Rounding::kUp:
        return !negative;
      case Rounding::kDown:
        return negative;
      case Rounding::kOdd:
        return !odd;
      case Rounding::kStochastic:
        break;
    }
    return RandomlyAbove(p.x, p.below, p.above, random);
  }

  int n_, es_;
  uint64_t last_, largest_, smallest_;
};

template <class T>
void AddAround(double v, std::vector<T>* x) {
  const T t = static_cast<T>(v), inf = std::numeric_limits<T>::infinity();
  if (!std::isfinite(t)) return;
  for (const T u : {t, std::nextafter(t, T{0}), std::nextafter(t, inf)})
    if (std::isfinite(u) && u != 0) x->push_back(u);
}

// Magnitudes: numbers, thresholds and middles of the codes with what lies beside them in the host.
template <class T>
std::vector<T> Around(const Oracle& oracle, const std::vector<uint64_t>& codes) {
  std::vector<T> x;
  for (const uint64_t code : codes) {
    const double u = ToDouble(oracle.Number(code));
    AddAround(u, &x);
    if (code == oracle.last()) continue;
    const double w = ToDouble(oracle.Number(code + 1));
    if (code > 0) AddAround(ToDouble(oracle.Threshold(code)), &x);
    AddAround(u + (w - u) / 2, &x);
  }
  for (const double v :
       {1.0, double{std::numeric_limits<T>::max()}, double{std::numeric_limits<T>::min()},
        double{std::numeric_limits<T>::denorm_min()}})
    AddAround(v, &x);
  return x;
}

template <class T>
void Check(const Format& f, const Oracle& oracle, const std::vector<T>& magnitudes) {
  std::vector<RoundSpec> specs;
  for (const Rounding mode : kModes)
    for (const Overflow policy : kPolicies) specs.push_back(MakeRoundSpec(f, mode, policy));
  size_t wrong = 0;
  for (size_t i = 0; i < magnitudes.size(); ++i) {
    const double a = magnitudes[i];
    const auto place = oracle.Locate(a);
    uint32_t random = RandomBits(1, i);
    if (i % 4 == 1) random = ~uint32_t{0} << (i % 32);  // about 2^32 (1 - 2^-k)
    if (i % 4 == 3) random = ~uint32_t{0} >> (i % 32);
    for (const RoundSpec& spec : specs)
      for (const bool negative : {false, true}) {
        // Only an overflow knows of policies.
        if (!place.beyond && spec.overflow != Overflow::kSaturate) continue;
        bool over = false, expected_over = false;
        const T x = negative ? -magnitudes[i] : magnitudes[i];
        const double r = RoundValue(spec, x, random, &over);
        const double e =
            oracle.Round(place, negative, spec.rounding, spec.overflow, random, &expected_over);
        const bool same = std::isnan(e) ? std::isnan(r) && std::signbit(r) == negative
                                        : r == e && std::signbit(r) == std::signbit(e);
        if (!(same && over == expected_over) && wrong++ < 5)
          ADD_FAILURE() << f.name << " mode " << static_cast<int>(spec.rounding) << " policy "
                        << static_cast<int>(spec.overflow) << ": "
                        << fmt::format("{:a} gave {:a}, expected {:a}", x, r, e);
      }
  }
  EXPECT_EQ(wrong, 0u) << f.name;
}

template <class T>
Oracle Make(const Format& f) {
  return Oracle(f.bits, f.es, std::numeric_limits<T>::max(), std::numeric_limits<T>::denorm_min());
}

template <class T>
void CheckExhaustively(const Format& f) {
  const auto oracle = Make<T>(f);
  std::vector<uint64_t> codes;
  for (uint64_t c = 0; c <= oracle.last(); ++c) codes.push_back(c);
  Check<T>(f, oracle, Around<T>(oracle, codes));
}

Format Posit(int n, int es) { return FindFormat(fmt::format("posit{}es{}", n, es)).value(); }

TEST(Posit, NumbersAreThoseOfTheDefinition) {
  for (int es = 0; es <= 4; ++es)
    for (int n = 2; n <= 64; ++n) {
      const Format f = Posit(n, es);
      std::mt19937_64 random(static_cast<unsigned>(n));
      const uint64_t last = (uint64_t{1} << (n - 1)) - 1;
      for (uint64_t i = 1; i <= std::min<uint64_t>(last, n <= 16 ? 32767 : 2000); ++i) {
        const uint64_t code = n <= 16 || i < 40 ? i : i < 80 ? last - i + 40 : random() % last + 1;
        const Dyadic d = Definition(n, es, code);
        const internal::PositNumber p = internal::DecodePosit(n, es, code);
        ASSERT_EQ(p.m, d.m >> std::countr_zero(d.m)) << f.name << " " << code;
        ASSERT_EQ(p.e, d.e - 63 + std::countr_zero(d.m)) << f.name << " " << code;
        ASSERT_EQ(internal::EncodePosit(n, es, p.m, p.e), code) << f.name;
      }
      EXPECT_EQ(f.max_finite, ToDouble(Definition(n, es, last)));
      EXPECT_EQ(std::ldexp(1.0, f.emin), ToDouble(Definition(n, es, 1)));
    }
}

TEST(Posit, SmallOnesInEveryModeAndPolicy) {
  for (int es = 0; es <= 4; ++es)
    for (int n = 2; n <= (kSanitized ? 9 : 12); ++n) {
      CheckExhaustively<float>(Posit(n, es));
      CheckExhaustively<double>(Posit(n, es));
    }
}

TEST(Posit, Posit16InEveryModeAndPolicy) {
  if (kSanitized) GTEST_SKIP() << "the smaller ones run the same code";
  CheckExhaustively<float>(Posit(16, 2));
  CheckExhaustively<double>(Posit(16, 2));
  if (!TestAll()) return;
  for (int es : {0, 1, 3, 4}) {
    CheckExhaustively<float>(Posit(16, es));
    CheckExhaustively<double>(Posit(16, es));
  }
}

// A code with runs of zeros and ones: where carries and sticky bits are.
uint64_t CodeWithRuns(std::mt19937_64& random, uint64_t last) {
  uint64_t code = random();
  for (int i = 0; i < 2; ++i) {
    const uint64_t ones = ~uint64_t{0} >> (random() % 64) << (random() % 64);
    code = random() & 1 ? code | ones : code & ~ones;
  }
  code &= last;
  return code == 0 ? 1 : code;
}

template <class T>
void CheckWide(const Format& f, size_t codes) {
  const auto oracle = Make<T>(f);
  std::mt19937_64 random(static_cast<unsigned>(f.bits));
  constexpr size_t kChunk = 100000;
  for (size_t done = 0; done < codes; done += kChunk) {
    std::vector<uint64_t> list;
    for (size_t i = 0; i < std::min(codes - done, kChunk); ++i)
      list.push_back(i % 2 == 0 ? random() % oracle.last() + 1
                                : CodeWithRuns(random, oracle.last()));
    std::vector<T> x = Around<T>(oracle, list);
    for (size_t i = 0; i < list.size(); ++i) {  // and numbers of the host with every exponent
      using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
      const T v = std::bit_cast<T>(static_cast<Bits>(random()));
      if (std::isfinite(v) && v != 0) x.push_back(std::abs(v));
    }
    Check<T>(f, oracle, x);
  }
}

TEST(Posit, WideOnesInEveryModeAndPolicy) {
  struct Case {
    int n, es;
  };
  for (const Case c : {Case{32, 2}, {64, 2}, {24, 2}, {17, 2}, {20, 1}, {32, 1}, {32, 3},
                       {33, 2},     {34, 2}, {39, 2}, {40, 2}, {41, 2}, {48, 2}, {54, 2},
                       {57, 2},     {60, 0}, {64, 0}, {64, 4}, {21, 4}, {26, 3}}) {
    const size_t codes = TestAll() ? 50000 : kSanitized ? 50 : 1000;  // times about 13 inputs, 7 modes, 2 signs
    CheckWide<float>(Posit(c.n, c.es), codes);
    CheckWide<double>(Posit(c.n, c.es), codes);
  }
}

TEST(Posit, RowsEqualValuesAndCount) {
  const float nan = std::bit_cast<float>(0xff812345u), inf = HUGE_VALF;
  for (const Rounding mode : kModes)
    for (const Overflow policy : {Overflow::kSaturate, Overflow::kNan}) {
      const RoundSpec spec = MakeRoundSpec(Posit(8, 2), mode, policy);
      const std::vector<float> x = {0, -0.0f, nan, inf, -inf, 1, 1.0001f, 1e30f, -1e30f, 1e-30f};
      std::vector<float> row = x;
      const TreatmentCounts counts = RoundRow(spec, row.data(), row.size(), 3, 7);
      TreatmentCounts expected{x.size(), 0, 0, 0};
      for (size_t i = 0; i < x.size(); ++i) {
        bool over = false;
        const float r = RoundValue(spec, x[i], RandomBits(3, 7 + i), &over);
        EXPECT_EQ(std::bit_cast<uint32_t>(row[i]), std::bit_cast<uint32_t>(r));
        expected.changed += std::bit_cast<uint32_t>(x[i]) != std::bit_cast<uint32_t>(r);
        expected.saturated += over;
        expected.flushed += r == 0 && x[i] != 0;
      }
      EXPECT_EQ(counts, expected);
      EXPECT_EQ(counts.saturated, 4u);
      EXPECT_EQ(std::bit_cast<uint32_t>(row[1]), 0u);
      EXPECT_EQ(std::bit_cast<uint32_t>(row[2]), 0xff812345u);
      EXPECT_EQ(std::bit_cast<uint32_t>(row[3]), 0x7fc00000u);
      EXPECT_EQ(std::bit_cast<uint32_t>(row[4]), 0xffc00000u);
    }
}

// Posit Standard 2022, table of section 3: minPos 2^(8-4n), maxPos 2^(4n-8); conversions worked out
// by hand from the definition.
TEST(Posit, KnownNumbers) {
  for (const int n : {8, 16, 32, 64}) {
    const Format f = FindFormat(fmt::format("posit{}", n)).value();
    EXPECT_EQ(f, Posit(n, 2));
    EXPECT_EQ(f.max_finite, std::ldexp(1.0, 4 * n - 8));
    EXPECT_EQ(f.precision, n - 4);
    const RoundSpec spec = MakeRoundSpec(f, Rounding::kNearestEven, Overflow::kSaturate);
    EXPECT_EQ(RoundValue(spec, 1e300), std::ldexp(1.0, 4 * n - 8));
    EXPECT_EQ(RoundValue(spec, -1e-300), -std::ldexp(1.0, 8 - 4 * n));
  }
  const auto rounded = [](int n, double x) { return RoundValue(MakeRoundSpec(Posit(n, 2)), x); };
  const double pi = 3.141592653589793;
  EXPECT_EQ(rounded(8, pi), 3.25);            // 0 10 01 101, of 1.5708 to 3 bits
  EXPECT_EQ(rounded(16, pi), 3.1416015625);   // 0x4c91
  EXPECT_EQ(rounded(32, pi), 0x6487ed5p-25);  // 0x4c90fdaa
  EXPECT_EQ(rounded(64, pi), pi);
  // 2^22 is the 9-bit posit between 2^20 and 2^24: the tie goes to the even code of 2^20, though
  // the arithmetic middle is twice as far.
  EXPECT_EQ(rounded(8, 0x1p22), 0x1p20);
  EXPECT_EQ(rounded(8, 0x1.0000001p22), 0x1p24);
}

TEST(Posit, StochasticMeanIsTheValue) {
  constexpr int kDraws = 200000;
  const RoundSpec spec = MakeRoundSpec(Posit(8, 2), Rounding::kStochastic, Overflow::kSaturate);
  struct Case {
    double x, below, above;
  };
  for (const Case& c : {Case{1.01, 1, 1.125}, {0x1.8p22, 0x1p20, 0x1p24}, {0x1p-26, 0, 0x1p-24}}) {
    double sum = 0;
    for (uint64_t i = 0; i < kDraws; ++i) {
      const double r = RoundValue(spec, c.x, RandomBits(42, i));
      ASSERT_TRUE(r == c.below || r == c.above) << r;
      sum += r;
    }
    const double f = (c.x - c.below) / (c.above - c.below);
    EXPECT_NEAR(sum / kDraws, c.x, 5 * (c.above - c.below) * std::sqrt(f * (1 - f) / kDraws));
  }
}

TEST(Posit, Treatments) {
  const auto parse = [](const char* text) { return ParseTreatment(text, TreatedThing::kWeight); };
  for (const char* text : {"posit32", "posit16,round=odd", "posit8,overflow=nan",
                           "posit16es1,scale=0.5", "posit7,round=stochastic"})
    EXPECT_EQ(TreatmentText(parse(text).value()), text);
  EXPECT_EQ(TreatmentText(parse("posit32es2,overflow=saturate").value()), "posit32");
  EXPECT_NE(parse("posit16,scale=absmax").error().message.find("coarsest"), std::string::npos);
  EXPECT_NE(parse("posit16,overflow=inf").error().message.find("no infinities"), std::string::npos);
  EXPECT_NE(parse("posit16,subnormals=flush").error().message.find("no subnormals"),
            std::string::npos);
  std::vector<float> row = {1, 1.01f, 3};
  EXPECT_EQ(TreatRow(parse("posit8,scale=2").value(), row.data(), 3, 0).changed, 1u);
  EXPECT_EQ(row, (std::vector<float>{1, 1, 3}));
  const std::vector<double> doubles = {1, 1.125, 0x1p-24};
  EXPECT_TRUE(HoldsExactly(parse("posit8").value(), doubles.data(), 3));
  EXPECT_FALSE(HoldsExactly(parse("posit7").value(), doubles.data(), 3));
}

// Powers of two with NaN: no zero, no sign (OCP MX 1.0, section 5.4.1).
TEST(E8m0, EveryModeAndPolicy) {
  const Format f = FindFormat("e8m0").value();
  for (const Rounding mode : kModes)
    for (const Overflow policy : {Overflow::kSaturate, Overflow::kNan}) {
      const RoundSpec spec = MakeRoundSpec(f, mode, policy);
      bool over = false;
      for (int e = -127; e <= 127; ++e) {
        const double u = std::ldexp(1.0, e);
        EXPECT_EQ(RoundValue(spec, u), u);
        EXPECT_EQ(RoundValue(spec, static_cast<float>(u)), static_cast<float>(u));
        if (e == 127) break;
        const bool nearest = mode == Rounding::kNearestEven || mode == Rounding::kNearestAway;
        const double up = mode == Rounding::kUp ? 2 * u : u;
        const uint32_t half = (uint32_t{1} << 31) - 1;  // not quite
        EXPECT_EQ(RoundValue(spec, 1.25 * u, half), up);
        EXPECT_EQ(RoundValue(spec, 1.5 * u, half), nearest ? 2 * u : up);
        const double most = nearest || mode == Rounding::kStochastic ? 2 * u : up;
        EXPECT_EQ(RoundValue(spec, 1.75 * u, half, &over), most);
        EXPECT_FALSE(over);
      }
      EXPECT_EQ(RoundValue(spec, 0.0, 0, &over), 0x1p-127);
      EXPECT_EQ(RoundValue(spec, -0.0f, 0, &over), 0x1p-127f);
      EXPECT_EQ(RoundValue(spec, 0x1p-149f, 0, &over), 0x1p-127f);
      EXPECT_EQ(RoundValue(spec, 1e-300, 0, &over), 0x1p-127);
      EXPECT_FALSE(over);
      for (const double x : {-1.0, -HUGE_VAL, -1e-300}) {
        const double r = RoundValue(spec, x, 0, &over);
        EXPECT_TRUE(policy == Overflow::kNan ? std::isnan(r) : r == 0x1p-127) << r;
        EXPECT_TRUE(over);
      }
      const double r = RoundValue(spec, HUGE_VAL, 0, &over);
      EXPECT_TRUE(policy == Overflow::kNan ? std::isnan(r) : r == 0x1p127) << r;
      EXPECT_TRUE(over);
      EXPECT_TRUE(std::isnan(RoundValue(spec, -std::nan(""))));
    }
  EXPECT_TRUE(
      std::isnan(RoundValue(MakeRoundSpec(f, Rounding::kNearestEven, Overflow::kNan), 0x1.8p127)));
  EXPECT_EQ(RoundValue(MakeRoundSpec(f, Rounding::kDown, Overflow::kNan), 0x1.8p127f), 0x1p127f);
}

}  // namespace
}  // namespace vernier
