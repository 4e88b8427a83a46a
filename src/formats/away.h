// Between two neighbours, which one a number goes to: the rule of the rounding modes that draw no
// random number, said once.
#ifndef VERNIER_FORMATS_AWAY_H_
#define VERNIER_FORMATS_AWAY_H_

#include "base/result.h"
#include "formats/round.h"

namespace vernier::internal {

// Whether a number strictly between two neighbours goes to the one of larger magnitude. `side`:
// below (< 0), at (0) or above (> 0) what is halfway; `odd`: whether the neighbour of smaller
// magnitude is the odd one. CHECK: not stochastic.
inline bool GoesAway(Rounding rounding, int side, bool odd, bool negative) {
  switch (rounding) {
    case Rounding::kNearestEven:
      return side > 0 || (side == 0 && odd);
    case Rounding::kNearestAway:
      return side >= 0;
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
  CHECK(false);
}

}  // namespace vernier::internal

#endif  // VERNIER_FORMATS_AWAY_H_
