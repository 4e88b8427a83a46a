#include "ops/coded_product.h"

#include <algorithm>
#include <limits>

#include "base/result.h"

namespace vernier {
namespace {

int32_t Dot32(const int16_t* a, const int16_t* b, size_t n) {
  int32_t sum = 0;  // GCC makes multiply-and-add-pairs of it
  for (size_t i = 0; i < n; ++i) sum += int32_t{a[i]} * int32_t{b[i]};
  return sum;
}

int64_t Dot64(const int16_t* a, const int16_t* b, size_t n) {
  int64_t sum = 0;
  for (size_t i = 0; i < n; ++i) sum += int32_t{a[i]} * int32_t{b[i]};
  return sum;
}

float Output(const IntegerCodes& x, const IntegerCodes& w, size_t o, bool narrow) {
  const size_t n = w.columns;
  const int16_t* const codes = w.codes.data() + o * n;
  float y = 0;
  for (size_t from = 0; from < n;) {
    const size_t to = std::min({n, (from / x.group + 1) * x.group, (from / w.group + 1) * w.group});
    const float sx = x.scales[from / x.group].Rounded(),
                sw = w.scales[o * w.Groups() + from / w.group].Rounded();
    const float acc =
        narrow ? static_cast<float>(Dot32(x.codes.data() + from, codes + from, to - from))
               : static_cast<float>(Dot64(x.codes.data() + from, codes + from, to - from));
    const float t = acc * (sx * sw);
    y = from == 0 ? t : y + t;
    from = to;
  }
  return y;
}

}  // namespace

void EvaluateCodedProduct(const CodedProductArgs& args, const Machine& machine) {
  const IntegerCodes& w = *args.weight;
  const size_t outputs = w.nan.size();
  for (const IntegerCodes& x : args.x) CHECK(x.columns == w.columns && x.nan.size() == 1);
  const double most = static_cast<double>(w.columns) * args.largest_weight * args.largest_x;
  const bool narrow = most <= std::numeric_limits<int32_t>::max();
  // A weight row meets all rows of x while it is in the cache.
  machine.workers->For(outputs, 16, [&](size_t first, size_t last) {
    for (size_t o = first; o < last; ++o)
      for (size_t r = 0; r < args.x.size(); ++r)
        args.out[r][o] = args.x[r].nan[0] != 0 || w.nan[o] != 0
                             ? std::numeric_limits<float>::quiet_NaN()
                             : Output(args.x[r], w, o, narrow);
  });
}

}  // namespace vernier
