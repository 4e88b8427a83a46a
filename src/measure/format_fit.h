// How well element formats hold a stored tensor: known before a model is run. A format that holds
// every element cannot change it.
#ifndef VERNIER_MEASURE_FORMAT_FIT_H_
#define VERNIER_MEASURE_FORMAT_FIT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "formats/format.h"
#include "model/tensor.h"

namespace vernier {

// One format. Elements are rounded to nearest even, beyond the largest number to that number
// (overflow=saturate). Errors are over the finite elements.
struct FormatFit {
  uint64_t held = 0;       // elements that do not change; NaN counts as held
  uint64_t saturated = 0;  // beyond the largest finite number
  uint64_t flushed = 0;    // nonzero elements that become zero
  double max_error = 0;    // max |x - rounded x|
  double l2_rel = 0;       // |x - rounded|2 / |x|2; 0 where all are held
  double sqnr_db = 0;      // -20 log10(l2_rel); infinite where all are held
};

// The scales inside the blocks of a block type, a group of elements each (formats/block_scales.h).
struct ScaleCensus {
  uint64_t groups = 0;
  uint64_t zero = 0, negative = 0, nonfinite = 0;
  double smallest = 0, largest = 0;   // of the magnitudes that are neither zero nor infinite
  std::map<int, uint64_t> exponents;  // floor(log2 |scale|) of those
  uint64_t offsets = 0;               // groups whose offset is not zero
  friend bool operator==(const ScaleCensus&, const ScaleCensus&) = default;
};

struct TensorFit {
  uint64_t elements = 0, zeros = 0, nans = 0, infinities = 0;
  double largest = 0, smallest = 0;  // of the finite magnitudes that are not zero; 0: there is none
  std::vector<FormatFit> formats;    // as asked for
  std::string holds_all;             // the first of StandardFormats() that holds every element
  ScaleCensus scales;                // of block types; no groups for others
};

// The formats `holds_all` is chosen from, narrow ones first: e2m1 e2m3 e3m2 e4m3 e5m2 f16 bf16 tf32
// f32 f64.
std::span<const Format> StandardFormats();

// Called with runs of decoded elements, from several threads at once; together they cover the
// tensor. `first` is the index of the run's first element.
using DecodedRun = std::function<void(size_t first, std::span<const float> run)>;

// Decodes the tensor once. `formats`: any element formats but kFixed ones (CHECK). The result does
// not depend on the number of threads. `visit` may be null; elements of F64 tensors reach it
// rounded to float.
TensorFit MeasureFit(const TensorView& tensor, std::span<const Format> formats, Workers& workers,
                     const DecodedRun& visit = nullptr);

}  // namespace vernier

#endif  // VERNIER_MEASURE_FORMAT_FIT_H_
