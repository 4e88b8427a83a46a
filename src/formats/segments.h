// Piecewise grids: integer grids whose step changes with the magnitude, in units of the scale s.
// For formats with more steps near zero than far from it (half-scale, quarter-scale, three-segment
// and logarithmic code books for activations with outliers).
//
//   grid     = segment { "/" segment }       from zero outwards, the same for both signs
//   segment  = STEP ":" END                  from the last END (0 at first) in steps of STEP to END
//   tail     = "log:" STEP ":" K             only last: END + 2^k STEP, k = 0 .. K
//
//   0.25:32/1:127           quarter steps up to 32 s, then whole ones
//   0.25:16/1:143/4:395     three segments
//   0.25:8/log:0.25:255     quarter steps up to 8 s, then 8 s + 2^k s/4
//
// STEP is a power of two from 2^-16 to 2^16, END - start a whole multiple of it, END / STEP at most
// 65536, K from 0 to 255; at most 16 segments. So all points, distances and quotients are exact in
// double.
#ifndef VERNIER_FORMATS_SEGMENTS_H_
#define VERNIER_FORMATS_SEGMENTS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/round.h"

namespace vernier {

struct Segment {
  double step = 1;
  double start = 0, end = 0;  // its points are start + i * step up to end, or start + 2^i * step
  bool logarithmic = false;
  friend bool operator==(const Segment&, const Segment&) = default;
};

// Empty: no segments, that is plain integers.
using SegmentedGrid = std::vector<Segment>;

// Errors say what is wrong in the text: "segments=0.3:32: step 0.3 is not a power of two ...".
Result<SegmentedGrid> ParseSegments(std::string_view text);
std::string SegmentsText(const SegmentedGrid& grid);  // parses back to the grid

// Rounds q[0 .. n) in place to points of the grid, in any rounding mode: to one of the two points
// next to q. Each segment counts its points from 0 at its start (in a tail, END + 2^k STEP is point
// k + 1): nearest-even goes from halfway to the point of even number, odd to the one of odd number.
// The last segment goes on beyond its end by a point (a tail by a doubling), so that a result
// beyond the end of the grid, which the caller holds to the range, tells an overflow. No NaN.
// Element i uses RandomBits(key, first + i).
void RoundToSegments(const SegmentedGrid& grid, Rounding rounding, double* q, size_t n,
                     uint64_t key, uint64_t first);

}  // namespace vernier

#endif  // VERNIER_FORMATS_SEGMENTS_H_
