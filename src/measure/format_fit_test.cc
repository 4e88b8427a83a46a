#include "measure/format_fit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "formats/round.h"

namespace vernier {
namespace {

template <class T>
TensorView View(const std::vector<T>& x, std::vector<int64_t> shape, TensorType type) {
  return {"t", type, std::move(shape), std::as_bytes(std::span(x))};
}

std::vector<Format> Formats(std::initializer_list<const char*> names) {
  std::vector<Format> formats;
  for (const char* name : names) formats.push_back(FindFormat(name).value());
  return formats;
}

// Every number from its definition, an element at a time, against a tensor of several pieces.
TEST(FormatFit, AgreesWithTheDefinition) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> x(700 * 901);
  for (float& v : x) v = normal(random) * 100;
  x[5] = 1e30f;
  x[6] = std::nanf("");
  x[7] = -INFINITY;
  x[8] = 0;
  x[9] = 1e-30f;
  const auto formats = Formats({"bf16", "f16", "e4m3", "f32"});
  Workers workers(2);
  const TensorFit fit = MeasureFit(View(x, {700, 901}, TensorType::kF32), formats, workers);
  EXPECT_EQ(fit.elements, x.size());
  EXPECT_EQ(fit.zeros, 1u);
  EXPECT_EQ(fit.nans, 1u);
  EXPECT_EQ(fit.infinities, 1u);
  EXPECT_EQ(fit.largest, double{1e30f});
  EXPECT_EQ(fit.smallest, double{1e-30f});
  EXPECT_EQ(fit.holds_all, "f32");
  for (size_t f = 0; f < formats.size(); ++f) {
    const RoundSpec spec = MakeRoundSpec(formats[f], Rounding::kNearestEven, Overflow::kSaturate);
    uint64_t held = 0, saturated = 0, flushed = 0;
    double max = 0, squares = 0, norm = 0;
    for (const float v : x) {
      bool overflowed = false;
      const float r = RoundValue(spec, v, 0, &overflowed);
      held += std::memcmp(&r, &v, sizeof v) == 0;
      saturated += overflowed;
      flushed += r == 0 && v != 0;
      if (!std::isfinite(v)) continue;
      const double e = std::abs(double{v} - double{r});
      max = std::max(max, e);
      squares += e * e;
      norm += double{v} * double{v};
    }
    const FormatFit& got = fit.formats[f];
    EXPECT_EQ(got.held, held) << formats[f].name;
    EXPECT_EQ(got.saturated, saturated) << formats[f].name;
    EXPECT_EQ(got.flushed, flushed) << formats[f].name;
    EXPECT_EQ(got.max_error, max) << formats[f].name;
    const double l2_rel = std::sqrt(squares / norm);
    EXPECT_NEAR(got.l2_rel, l2_rel, 1e-12 * l2_rel) << formats[f].name;
    if (l2_rel > 0) {
      EXPECT_NEAR(got.sqnr_db, -20 * std::log10(l2_rel), 1e-9) << formats[f].name;
    }
  }
  EXPECT_EQ(fit.formats[3].sqnr_db, INFINITY);
}

TEST(FormatFit, ThreadsDoNotMatter) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  std::vector<float> x(1 << 20);
  for (float& v : x) v = normal(random);
  const auto formats = Formats({"bf16", "e5m2"});
  Workers one(1), three(3);
  const TensorView view = View(x, {1 << 10, 1 << 10}, TensorType::kF32);
  const TensorFit a = MeasureFit(view, formats, one), b = MeasureFit(view, formats, three);
  for (size_t f = 0; f < formats.size(); ++f) EXPECT_EQ(a.formats[f].l2_rel, b.formats[f].l2_rel);
  EXPECT_EQ(a.holds_all, b.holds_all);
}

// The narrowest format, wherever in the tensor the element stands that decides.
TEST(FormatFit, HoldsAll) {
  Workers workers(2);
  const auto holds = [&](std::vector<double> some) {
    std::vector<double> x(100000, 1);
    for (size_t i = 0; i < some.size(); ++i) x[(i + 1) * 30000] = some[i];
    const std::vector<float> f(x.begin(), x.end());
    const std::string wide =
        MeasureFit(View(x, {100, 1000}, TensorType::kF64), {}, workers).holds_all;
    const std::string narrow =
        MeasureFit(View(f, {100, 1000}, TensorType::kF32), {}, workers).holds_all;
    EXPECT_TRUE(wide == narrow || wide == "f64") << wide << " " << narrow;
    return wide;
  };
  EXPECT_EQ(holds({6}), "e2m1");
  EXPECT_EQ(holds({7.5}), "e2m3");
  EXPECT_EQ(holds({28}), "e3m2");
  EXPECT_EQ(holds({448}), "e4m3");
  EXPECT_EQ(holds({57344}), "e5m2");
  EXPECT_EQ(holds({2048 + 1}), "f32");        // 12 significant bits
  EXPECT_EQ(holds({2047}), "f16");            // 11
  EXPECT_EQ(holds({2047, 0x1p100}), "tf32");  // and a range that f16 has not
  EXPECT_EQ(holds({255, 0x1p-100}), "bf16");
  EXPECT_EQ(holds({255, 0.1}), "f64");
}

TEST(FormatFit, ScalesOfBlocks) {
  // Three Q8_0 blocks with scales 1, -0.25 (float16 0xb400) and 0.
  std::vector<uint8_t> bytes(3 * 34);
  bytes[1] = 0x3c;
  bytes[34 + 1] = 0xb4;
  Workers workers(1);
  const TensorFit fit = MeasureFit(View(bytes, {3, 32}, TensorType::kQ8_0), {}, workers);
  EXPECT_EQ(fit.scales.groups, 3u);
  EXPECT_EQ(fit.scales.zero, 1u);
  EXPECT_EQ(fit.scales.negative, 1u);
  EXPECT_EQ(fit.scales.smallest, 0.25);
  EXPECT_EQ(fit.scales.largest, 1.0);
  EXPECT_EQ(fit.scales.exponents, (std::map<int, uint64_t>{{-2, 1}, {0, 1}}));
}

TEST(FormatFit, RunsCoverTheTensor) {
  std::vector<float> x(333 * 77);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  std::vector<float> seen(x.size(), -1);
  Workers workers(2);
  MeasureFit(View(x, {333, 77}, TensorType::kF32), {}, workers,
             [&](size_t first, std::span<const float> run) {
               std::copy(run.begin(), run.end(), seen.begin() + static_cast<std::ptrdiff_t>(first));
             });
  EXPECT_EQ(seen, x);
}

}  // namespace
}  // namespace vernier
