#include <cmath>
#include <vector>

#include "ops/ggml_rows.h"
#include "ops/glibc_math.h"

namespace vernier {
namespace {

// Channel c, of row r of its panel, through all tokens.
void ScanChannel(const ScanArgs<float>& args, const float* panel, size_t r, size_t c, float* h) {
  const size_t states = args.states;
  for (size_t n = 0; n < states; ++n) h[n] = args.start != nullptr ? args.start[c * states + n] : 0;
  for (size_t t = 0; t < args.tokens; ++t) {
    const float dt = args.dt[t][c], u = args.x[t][c] * dt;
    for (size_t n = 0; n < states; ++n) {
      const float decay = GlibcExp(dt * panel[n * kLanes + r]), drive = args.b[t][n] * u;
      h[n] = std::fma(h[n], decay, drive);
    }
    if (args.y[t] != nullptr) {
      float sum = 0;
      for (size_t n = 0; n < states; ++n) sum = std::fma(h[n], args.c[t][n], sum);
      args.y[t][c] = sum;
    }
    if (args.kept[t] != nullptr)
      for (size_t n = 0; n < states; ++n) args.kept[t][c * states + n] = h[n];
  }
}

}  // namespace

void GgmlScan(const ScanArgs<float>& args) {
  std::vector<float> h(args.states);
  for (size_t p = args.first_panel; p < args.last_panel; ++p) {
    const float* panel = args.panels + p * args.states * kLanes;
    for (size_t r = 0; r < kLanes && p * kLanes + r < args.width; ++r)
      ScanChannel(args, panel, r, p * kLanes + r, h.data());
  }
}

}  // namespace vernier
