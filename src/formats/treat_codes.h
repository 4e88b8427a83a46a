// The integers inside integer treatments: what TreatRow multiplies by a scale again, as codes and
// scales, for arithmetic on integers.
#ifndef VERNIER_FORMATS_TREAT_CODES_H_
#define VERNIER_FORMATS_TREAT_CODES_H_

#include <cstdint>
#include <vector>

#include "formats/treatment.h"

namespace vernier {

// The scale of elements that share one: element = code * a / b, in double, rounded once to the
// row's type. a = 0: all of them are zero.
struct CodeScale {
  double a = 1, b = 1;
  float Rounded() const { return static_cast<float>(a / b); }
};

// Rows of codes; those of asymmetric treatments have the zero point subtracted, so that |code| is
// at most 2^N - 1 of intN.
struct IntegerCodes {
  size_t columns = 0;
  size_t group = 0;  // elements of a row that share a scale; columns where all do
  std::vector<int16_t> codes;
  std::vector<CodeScale> scales;  // of each row, each group in order
  std::vector<uint8_t> nan;       // of each row: whether it has a NaN, which no code is
  size_t Groups() const { return group == 0 ? 0 : (columns + group - 1) / group; }
};

// Error, as a reason without subject, unless the treatment is intN with N up to 8 and its numbers
// are codes times a scale: no outliers kept, segments, logarithm or correction. With
// rotate=hadamard the rotated row's are, and codes are those of the rotated row.
Status CheckCodes(const Treatment& treatment);

// The largest magnitude of a code.
int LargestCode(const Treatment& treatment);

// The codes of one row treated with `key`, as TreatRow does. CHECK: CheckCodes, not per=tensor with
// a scale from the data.
IntegerCodes CodesOfRow(const Treatment& treatment, const float* row, size_t n, uint64_t key);
IntegerCodes CodesOfRow(const Treatment& treatment, const double* row, size_t n, uint64_t key);

// Of a tensor, as TreatTensor does. CHECK: CheckCodes.
IntegerCodes CodesOfTensor(const Treatment& treatment, const float* data, size_t rows,
                           size_t columns, uint64_t key, Workers* workers = nullptr);
IntegerCodes CodesOfTensor(const Treatment& treatment, const double* data, size_t rows,
                           size_t columns, uint64_t key, Workers* workers = nullptr);

}  // namespace vernier

#endif  // VERNIER_FORMATS_TREAT_CODES_H_
