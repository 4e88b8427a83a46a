// Facts about formats, computed from their codes and from rounding itself: what a format can hold,
// what it does to a number, and where one format is finer than another. All exact.
#ifndef VERNIER_FORMATS_FACTS_H_
#define VERNIER_FORMATS_FACTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "formats/codes.h"
#include "formats/format.h"

namespace vernier {

struct FormatFacts {
  uint64_t finite = 0;     // different finite numbers; zeros count once
  uint64_t nan_codes = 0;  // codes that are NaN
  Number largest, lowest;  // lowest: the most negative; e8m0: its smallest
  Number smallest;         // above zero
  uint64_t largest_code = 0, lowest_code = 0, smallest_code = 0;
  std::optional<Number> smallest_normal;  // kFloat with subnormals
  std::optional<uint64_t> zero_code, negative_zero_code, infinity_code, nan_code;  // canonical NaN
  std::optional<Number> above_one;  // the next number above 1, where 1 is one
  Number whole;  // all whole numbers from 1 to this one are numbers of the format
  // kFloat: nearest-even overflows beyond this number, and from it on where `tie_overflows`.
  std::optional<Number> overflow_beyond;
  bool tie_overflows = false;
};
FormatFacts ComputeFacts(const Format& format);

// What nearest-even, with the format's default overflow policy (kFixed: at scale 1), makes of x,
// and what lies around.
struct Tie {
  Number at;             // halfway, in the sense of the format's rounding, between two neighbours
  uint64_t goes_to = 0;  // code
};
struct ValueFacts {
  std::optional<uint64_t> code;  // of the result; nothing where the format has no code for it
  Number rounded;                // (a NaN then)
  bool exact = false;            // x is a number of the format; -0 and +0 are one
  std::optional<uint64_t> below, above;  // codes of the nearest numbers strictly below and above x
  std::optional<Number> gap;    // above - below; where x is a number, the step away from zero
  std::optional<Number> error;  // rounded - x; nothing for infinities, NaN and far too large x
  // The ends of what is rounded to the same number: its ties with its neighbours, where there are.
  std::optional<Tie> tie_below, tie_above;
};
ValueFacts FactsAt(const Format& format, double x);

// The tie between the number of `code` and the next above it: nothing at infinities and beyond, and
// between zero and the smallest posit (nothing goes to zero there).
std::optional<Tie> TieAbove(const Format& format, uint64_t code);

// log2 of how many numbers the format has from 2^e to 2^(e+1), the latter not counted: its fraction
// bits there. Negative where posits are powers of two further apart: -d says one in 2^d binades.
// Nothing beyond the range of the format.
std::optional<int> FractionBitsAt(const Format& format, int e);

// Magnitudes from 2^first to 2^(last + 1) in which one relation holds.
enum class Finer { kFirst, kSecond, kEqual, kOnlyFirst, kOnlySecond };
struct Span {
  int first = 0, last = 0;
  Finer finer = Finer::kEqual;
  // The least and the most fraction bits in the span; nothing for a format out of range.
  std::optional<int> a_least, a_most, b_least, b_most;
};
// In ascending order, from the smallest magnitude that either holds to the largest.
std::vector<Span> CompareFormats(const Format& a, const Format& b);

// For people: "0x1.8p+3" of all bits; the shortest decimal that reads back as the same double, with
// all its digits where they are at most 17 ("0.333251953125"); "~" before it where the number is no
// double.
std::string HexText(const Number& x);
std::string DecimalText(const Number& x);
std::string CodeText(const Format& format, uint64_t code);  // "0x7bff", all digits of the width

}  // namespace vernier

#endif  // VERNIER_FORMATS_FACTS_H_
