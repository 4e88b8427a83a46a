// Scales of sites from a calibration, for treatments with scale=static. The file is JSON:
//
//   {"version": 1,
//    "model": "...", "hash": "...", "tokens": 65536,          (what made it; optional)
//    "sites": {"ffn_norm[3]":      {"absmax": 12.5, "percentiles": {"99.9": 8.25, "99.99": 11}},
//              "ffn_down[0].in":   {"absmax": 3, "min": -0.28, "max": 3, "ema": {"99.9": 2.5}},
//              "blk.0.attn_q.weight": {"scale": 0.0078125}}}
//
// Keys of `sites` are labels as `vernier sites` prints them, with `.in` for what a node reads, or
// names of weights; `,rotate=hadamard` after one means its rows rotated. An entry has `absmax` (the
// largest magnitude) or `scale` (the step of the grid itself, for symmetric treatments); beside
// `absmax` there may be `percentiles` of the magnitudes, by P, others by P that were smoothed over
// chunks (`ema`), the range `min` <= `max` for symmetric=false, and kStatisticKeys, which are not
// read. All are finite, `absmax` and percentiles are not negative, and `scale` is a number that a
// treatment takes. Beside `version` and `sites` there may be kOriginKeys, of which `model` and
// `hash` are read. What else stands there is an error.
#ifndef VERNIER_FORMATS_STATIC_SCALES_H_
#define VERNIER_FORMATS_STATIC_SCALES_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/treatment.h"

namespace vernier {

// What `vernier calibrate` writes beside the scales.
inline constexpr const char* kOriginKeys[] = {"made_by", "model",  "hash",   "recipe", "seed",
                                              "texts",   "chunks", "tokens", "factor"};
inline constexpr const char* kStatisticKeys[] = {"count", "nan", "inf",       "zeros",
                                                 "mean",  "rms", "exponents", "approximate"};

struct StaticScale {
  std::optional<double> absmax, scale, min, max;
  std::map<double, double> percentiles, ema;
};

struct StaticScales {
  std::string path;
  std::string model, hash;  // what they were made with; empty: not stated
  std::map<std::string, StaticScale> sites;
};

// Errors name the file, the site and the key.
Result<StaticScales> ReadStaticScales(const std::string& path);
Result<StaticScales> ParseStaticScales(std::string_view json, const std::string& path);

// The key of what scale=static reads: `label`, or the site of scale=static:SITE in this layer; of
// rotate=hadamard, which is scaled rotated, with kRotatedKey after it.
inline constexpr const char* kRotatedKey = ",rotate=hadamard";
std::string StaticKey(const Treatment& treatment, const std::string& label, int layer);

// The treatment with its static scale put in: scale=absmax:A, range:LO:HI or a number. `label` is
// the place that is treated and stands for itself in scale=static; in scale=static:SITE a `*`, or
// the layer that a site is named without, is `layer` (not below 0). A treatment without a static
// scale comes back as it is. Errors (a reason, without the rule): no scales (null), no such site in
// them (with the nearest), no such percentile, an entry that has not what the treatment needs.
Result<Treatment> ResolveStatic(const Treatment& treatment, const std::string& label, int layer,
                                const StaticScales* scales);

}  // namespace vernier

#endif  // VERNIER_FORMATS_STATIC_SCALES_H_
