// Calibration: what the values at sites, and the operands of nodes, are over many pieces of text.
// From it come the files of scales that scale=static reads (formats/static_scales.h).
#ifndef VERNIER_MEASURE_CALIBRATE_H_
#define VERNIER_MEASURE_CALIBRATE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "engine/evaluate.h"
#include "measure/run_side.h"

namespace vernier {

// NaN and infinities are counted, and left out of everything else. Where no element is finite the
// numbers are NaN.
struct CalibratedValues {
  uint64_t count = 0, nans = 0, infinities = 0, zeros = 0;
  double mean = 0, rms = 0, min = 0, max = 0, absmax = 0;
  std::map<int, uint64_t> exponents;  // floor(log2 |x|) of the elements that are not zero
};

// One percentile of the magnitudes.
struct CalibratedPercentile {
  double p = 0;
  double all = 0;       // of all elements together
  double smoothed = 0;  // of each chunk, smoothed: see CalibrationRequest
  bool exact = true;    // of both; otherwise within 2^-8 of itself (measure/magnitudes.h)
};

// A point: what a site gives (label "ffn_norm[3]"), or all operands of its node ("ffn_norm[3].in").
struct CalibratedPoint {
  std::string label, name;
  int layer = -1;
  bool operand = false;
  bool rotated = false;  // its rows as rotate=hadamard makes them; kRotatedKey is in the label
  CalibratedValues values;
  std::vector<CalibratedPercentile> percentiles;  // in the order of the request
};

struct CalibrationRequest {
  RunSide side;
  std::vector<std::vector<int32_t>> chunks;  // each stands alone
  // Which points; empty: all there are.
  std::function<bool(const Site&, bool operand)> wants;
  std::vector<double> percentiles;  // above 0 and up to 100
  // With q_i the percentile of chunk i: e_1 = q_1, e_i = e_(i-1) + ema * (q_i - e_(i-1)) in double;
  // the last e is the smoothed percentile. Chunks without a finite element are passed over.
  double ema = 0.01;
  size_t chunks_at_once = 0;  // 0: as many as make about 512 tokens. Changes no number
  ProgressSink progress;      // may be empty
  // Which points there are rotated as well; not of rows that grow with the tokens seen, nor of
  // logits. Empty: none.
  std::function<bool(const Site&, bool operand)> rotates{};
};

struct Calibration {
  std::vector<CalibratedPoint> points;   // in order of computation, operands before the result
  std::vector<TreatmentCounts> effects;  // by rule of the plan
};

// Values are those of the run under the plan: a site's after its rules, operands before the `.in`
// rule of their reader. All tokens count. Memory is that of evaluation and up to 2 MB a point; the
// numbers depend neither on threads nor on chunks_at_once. Error when progress asked to stop, which
// is heeded between chunks.
Result<Calibration> Calibrate(const CalibrationRequest& request);

// Whether the node of a site has operands that a rule on `.in` treats.
bool HasOperands(const Graph& graph, const Site& site);

}  // namespace vernier

#endif  // VERNIER_MEASURE_CALIBRATE_H_
