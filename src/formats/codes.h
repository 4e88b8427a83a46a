// The codes of element formats: the bits in which a number of a format is stored, and exact numbers
// in which any of them can be held (those of posit64 do not all fit a double).
//
// A code is in the low format.bits bits of a uint64_t; the bits above are zero.
//   kFloat   sign, exponent field, fraction of precision - 1 bits (IEEE 754-2019, section 3.4). A
//            number of exponent e has the field e - emin + 1, subnormals and zero have the field 0.
//            Infinities: the field all ones, fraction 0. e8m0: the field e + 127 and nothing else.
//            NaN: fields all ones with a nonzero fraction; in e4m3 S.1111.111 only; in fnuz formats
//            the code that would be -0 only; in e8m0 11111111.
//   kPosit   formats/posit.h; NaR is a one and zeros. Two's complement.
//   kFixed   the integer in two's complement, -2^(bits-1) included.
#ifndef VERNIER_FORMATS_CODES_H_
#define VERNIER_FORMATS_CODES_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "formats/format.h"
#include "formats/round.h"

namespace vernier {

enum class NumberClass { kZero, kFinite, kInfinity, kNan };

// A number, exactly: kFinite is +- m * 2^e with odd m; m and e are 0 in the other classes. Every
// NaN of one sign is the same one. Equality is that of the records: -0 and +0 differ, NaN equals
// itself.
struct Number {
  NumberClass kind = NumberClass::kZero;
  bool negative = false;
  uint64_t m = 0;
  int e = 0;
  int Exponent() const;  // kFinite: floor(log2 |x|)
  friend bool operator==(const Number&, const Number&) = default;
};

Number ExactNumber(double x);
Number FiniteNumber(bool negative, uint64_t m, int e);  // of any m; 0 gives a zero
// The nearest double, ties to even: the number itself where FitsDouble. Beyond the largest double
// an infinity.
double ToDouble(const Number& x);
bool FitsDouble(const Number& x);  // infinities, zeros and NaN do
// By value: -0 and +0 are equal. Unordered when one is a NaN.
std::partial_ordering Compare(const Number& a, const Number& b);
// a - b where it has at most 64 significant bits and the two are not more than 2^120 apart, as
// between neighbours of a format; else nothing. Finite numbers and zeros (CHECK).
std::optional<Number> Difference(const Number& a, const Number& b);

// Whether the format has a code for x. Signs count: no -0 where there is none, but a NaN of either
// sign where there is any NaN.
bool Holds(const Format& format, const Number& x);

// The code of x, which the format holds (CHECK). NaN gives the canonical one: quiet, without
// payload, with the sign of x where NaN has one.
uint64_t EncodeNumber(const Format& format, const Number& x);

// The number of a code (CHECK: of at most format.bits bits).
Number DecodeCode(const Format& format, uint64_t code);

// The code of the next number above (below) that of `code`, infinities included; nothing beyond the
// last, from NaN, or where NaN would be next. Above the largest negative number is -0 where there
// is one, else +0; from either zero the next is the smallest number.
std::optional<uint64_t> NextAbove(const Format& format, uint64_t code);
std::optional<uint64_t> NextBelow(const Format& format, uint64_t code);

// How to encode rows. kFixed formats ignore overflow and flush: they saturate to all their codes.
struct CodeRounding {
  Rounding rounding = Rounding::kNearestEven;
  Overflow overflow = Overflow::kSaturate;
  bool flush = false;
};

// The code of x rounded into the format as RoundValue does; kFixed: to an integer. Nothing where
// the result has no code: NaN in formats without, infinities by an overflow policy the format
// lacks.
std::optional<uint64_t> EncodeRounded(const Format& format, const CodeRounding& rounding, double x,
                                      uint32_t random = 0);

// codes[i] is the code of row[i], rounded with RandomBits(key, first + i); 0 where it has none.
// Gives how many have none. CHECK: format.bits fits Code, one of uint8_t, uint16_t, uint32_t,
// uint64_t.
template <class T, class Code>
size_t EncodeRow(const Format& format, const CodeRounding& rounding, const T* row, size_t n,
                 Code* codes, uint64_t key = 0, uint64_t first = 0);

// row[i] is the number of codes[i] (its low format.bits bits), rounded to T where T does not hold
// it: to nearest even. NaN is the canonical quiet one, with its sign.
template <class T, class Code>
void DecodeRow(const Format& format, const Code* codes, size_t n, T* row);

}  // namespace vernier

#endif  // VERNIER_FORMATS_CODES_H_
