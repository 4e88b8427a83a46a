#include "ops/posit_dot.h"

#include <bit>
#include <cmath>

namespace vernier {
namespace {

__extension__ using Wide = unsigned __int128;

// A number m * 2^(e - 63), the first bit of m set, or zero: m = 0 and an exponent below all others.
// `sign` is all ones of a negative one.
struct Value {
  uint64_t m = 0;
  int64_t e = kZero;
  uint64_t sign = 0;
  static constexpr int64_t kZero = -100000;
};

// The same with 128 bits, the first of them clear: m * 2^(e - 126).
struct WideValue {
  Wide m;
  int64_t e;
  uint64_t sign;
};

struct PositRules {
  int64_t fraction;  // bits in the regimes next to 1
  int es;
};

Value OfDouble(double x, uint64_t* bad) {
  constexpr uint64_t kOne = uint64_t{1} << 52;
  const uint64_t bits = std::bit_cast<uint64_t>(x), field = bits >> 52 & 0x7ff;
  const bool zero = (bits & ~(uint64_t{1} << 63)) == 0;
  *bad |= (field == 0 && !zero) || field == 0x7ff ? 1 : 0;
  return {zero ? 0 : ((bits & (kOne - 1)) | kOne) << 11,
          zero ? Value::kZero : static_cast<int64_t>(field) - 1023, 0 - (bits >> 63)};
}

WideValue Product(const Value& x, const Value& w) {
  const Wide m = Wide{x.m} * w.m;  // the first bit is the top one or the next
  const uint64_t high = static_cast<uint64_t>(m >> 64) >> 63;
  const bool zero = m == 0;
  // The last bits of a product of two doubles are zeros.
  return {high != 0 ? m >> 1 : m, zero ? Value::kZero : x.e + w.e + static_cast<int64_t>(high),
          x.sign ^ w.sign};
}

WideValue Widened(const Value& x) { return {Wide{x.m} << 63, x.e, x.sign}; }

// The sum; its last bit stands for all below it.
WideValue Sum(const WideValue& x, const WideValue& y) {
  const bool swap = x.e < y.e || (x.e == y.e && x.m < y.m);
  const Wide high = swap ? y.m : x.m, low = swap ? x.m : y.m;
  const int64_t e = swap ? y.e : x.e, apart = e - (swap ? x.e : y.e);
  const int shift = apart > 127 ? 127 : static_cast<int>(apart);
  const Wide shifted = low >> shift;
  const Wide l = shifted | (shifted << shift != low ? 1 : 0);
  const uint64_t minus = x.sign ^ y.sign;
  const Wide mask = static_cast<Wide>(0) - (minus & 1);
  return {high + ((l ^ mask) - mask), e, swap ? y.sign : x.sign};
}

// Rounded to the posit. m may have any number of leading zeros.
Value Round(const PositRules& p, const WideValue& x, uint64_t* bad) {
  const auto high = static_cast<uint64_t>(x.m >> 64), low = static_cast<uint64_t>(x.m);
  const int zeros = high != 0 ? std::countl_zero(high) : 64 + std::countl_zero(low);
  const Wide top = x.m << (zeros & 127);
  const bool zero = x.m == 0;
  const uint64_t m = static_cast<uint64_t>(top >> 64) | (static_cast<uint64_t>(top) != 0 ? 1 : 0);
  const int64_t e = x.e + 1 - zeros, k = e >> p.es, fraction = p.fraction - (k ^ (k >> 63));
  *bad |= !zero && fraction < 1 ? 1 : 0;
  const int drop = static_cast<int>(63 - fraction) & 63;
  const uint64_t unit = uint64_t{1} << drop;
  const uint64_t sum = m + ((unit >> 1) - 1 + (m >> drop & 1));
  const bool carry = sum < m;  // all kept bits were ones
  const uint64_t kept = carry ? uint64_t{1} << 63 : sum & (0 - unit);
  return {zero ? 0 : kept, zero ? Value::kZero : e + (carry ? 1 : 0), zero ? 0 : x.sign};
}

double ToDouble(const Value& x) {
  const double r = x.m == 0 ? 0 : std::ldexp(static_cast<double>(x.m), static_cast<int>(x.e) - 63);
  return x.sign != 0 ? -r : r;
}

}  // namespace

bool IsPositDot(const FormatMath& math) {
  const FormatRounding& r = math.values;
  // Two bits below the last place tell where a number lies.
  return math.kind != FormatMathKind::kQuire && r.format.kind == FormatKind::kPosit &&
         r.rounding == Rounding::kNearestEven && r == math.sum.partial &&
         math.sum.order == SumOrder::kSequential && math.sum.chunk == 0 &&
         r.format.bits - 3 - r.format.es <= 61;
}

void PositDots(const FormatMath& math, const double* x, const double* w, size_t stride, size_t n,
               std::span<double, kPositDots> y, std::span<bool, kPositDots> good) {
  const Format& format = math.values.format;
  const PositRules rules{format.bits - 3 - format.es, format.es};
  const bool step = math.kind == FormatMathKind::kStep;
  Value s[kPositDots];
  uint64_t bad[kPositDots] = {};
  for (size_t i = 0; i < n; ++i) {
    uint64_t bad_x = 0;
    const Value x_i = OfDouble(x[i], &bad_x);
    for (size_t l = 0; l < kPositDots; ++l) {
      bad[l] |= bad_x;
      WideValue p = Product(x_i, OfDouble(w[i * stride + l], &bad[l]));
      if (step) p = Widened(Round(rules, p, &bad[l]));
      s[l] = Round(rules, Sum(p, Widened(s[l])), &bad[l]);
    }
  }
  for (size_t l = 0; l < kPositDots; ++l) {
    y[l] = ToDouble(s[l]);
    good[l] = bad[l] == 0;
  }
}

}  // namespace vernier
