#include "ops/coded_convolution.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/result.h"

namespace vernier {
namespace {

template <class T>
std::vector<int16_t> Codes(const Treatment& treatment, const T* row, size_t n) {
  CHECK(!ScaleFromData(treatment));
  IntegerCodes codes = CodesOfRow(treatment, row, n, 0);
  for (size_t i = 0; i < n && codes.nan[0] != 0; ++i)
    if (std::isnan(row[i])) codes.codes[i] = kNanCode;
  return std::move(codes.codes);
}

}  // namespace

std::vector<int16_t> ConvolutionCodes(const Treatment& treatment, const float* row, size_t n) {
  return Codes(treatment, row, n);
}

std::vector<int16_t> ConvolutionCodes(const Treatment& treatment, const double* row, size_t n) {
  return Codes(treatment, row, n);
}

CodeScale ScaleOfAll(const Treatment& treatment) {
  CHECK(!ScaleFromData(treatment));
  const float zero = 0;
  return CodesOfRow(treatment, &zero, 1, 0).scales[0];
}

void EvaluateCodedConvolution(const CodedConvolutionArgs& args, const Machine& machine) {
  const IntegerCodes& w = *args.weight;
  const size_t width = args.shape.width, taps = args.shape.taps;
  CHECK(w.columns == taps && w.nan.size() == width && w.group == taps);
  CHECK(args.x.size() == args.out.size() * taps);
  const float sx = args.scale_x.Rounded();
  std::vector<float> scale(width);
  std::vector<int32_t> by_tap(taps * width);  // codes of a tap side by side
  for (size_t c = 0; c < width; ++c) {
    scale[c] = w.nan[c] != 0 ? std::numeric_limits<float>::quiet_NaN() : sx * w.scales[c].Rounded();
    for (size_t i = 0; i < taps; ++i) by_tap[i * width + c] = w.codes[c * taps + i];
  }
  machine.workers->For(args.out.size(), 8, [&](size_t first, size_t last) {
    std::vector<int32_t> acc(width), nan(width);
    for (size_t r = first; r < last; ++r) {
      std::fill(acc.begin(), acc.end(), 0);
      std::fill(nan.begin(), nan.end(), 0);
      for (size_t i = 0; i < taps; ++i) {
        const int16_t* const x = args.x[r * taps + i];
        const int32_t* const of_tap = by_tap.data() + i * width;
        for (size_t c = 0; x != nullptr && c < width; ++c) {
          acc[c] += x[c] * of_tap[c];
          nan[c] |= x[c] == kNanCode;
        }
      }
      float* const out = args.out[r];
      for (size_t c = 0; c < width; ++c)
        out[c] = nan[c] != 0 ? std::numeric_limits<float>::quiet_NaN()
                             : static_cast<float>(acc[c]) * scale[c];
    }
  });
}

}  // namespace vernier
