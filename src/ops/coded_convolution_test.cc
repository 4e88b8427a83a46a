#include "ops/coded_convolution.h"

#include <gtest/gtest.h>

#include <cmath>

#include "formats/treatment_testing.h"

namespace vernier {
namespace {

struct Case {
  const char *x, *w;
};

// The header's definition, from the numbers that the treatments leave.
float Plain(const std::vector<const float*>& window, const Treatment& tx, const float* w, double sx,
            double sw, size_t c) {
  long long acc = 0;
  for (size_t i = 0; i < window.size(); ++i) {
    if (window[i] == nullptr) continue;
    const IntegerCodes one = CodesOfRow(tx, window[i] + c, 1, 0);
    acc += static_cast<long long>(one.codes[0]) * std::llround(w[i] / sw);
  }
  return static_cast<float>(acc) * (static_cast<float>(sx) * static_cast<float>(sw));
}

TEST(CodedConvolution, EqualsAPlainLoop) {
  constexpr size_t kWidth = 37, kTaps = 4, kTokens = 9;
  for (const Case& of : {Case{"int8,scale=0.03", "int8,per=tensor"},
                         Case{"int8,scale=absmax:4,round=nearest-away,full=true", "int8"},
                         Case{"int4,scale=range:-2:5,symmetric=false", "int5,per=tensor"}}) {
    const Treatment tx = ParseOrFail(of.x, TreatedThing::kActivation),
                    tw = ParseOrFail(of.w, TreatedThing::kWeight);
    std::vector<float> weights = NormalNumbers(kWidth * kTaps, 1),
                       x = NormalNumbers(kTokens * kWidth, 2);
    for (size_t t = 0; t < kTokens; ++t) TreatRow(tx, x.data() + t * kWidth, kWidth, 0);
    const IntegerCodes w = CodesOfTensor(tw, weights.data(), kWidth, kTaps, 0);
    TreatTensor(tw, weights.data(), kWidth, kTaps, 0);
    std::vector<std::vector<int16_t>> codes;
    for (size_t t = 0; t < kTokens; ++t)
      codes.push_back(ConvolutionCodes(tx, x.data() + t * kWidth, kWidth));
    std::vector<const int16_t*> windows;
    std::vector<float> y(kTokens * kWidth);
    std::vector<float*> out;
    for (size_t t = 0; t < kTokens; ++t) {
      for (size_t i = 0; i < kTaps; ++i)
        windows.push_back(t + i < kTaps - 1 ? nullptr : codes[t + i + 1 - kTaps].data());
      out.push_back(y.data() + t * kWidth);
    }
    Workers workers(2);
    EvaluateCodedConvolution(
        {{.width = kWidth, .in_width = kWidth, .taps = kTaps}, &w, ScaleOfAll(tx), windows, out},
        {&BestKernels(), &workers});
    const CodeScale sx = ScaleOfAll(tx);
    for (size_t t = 0; t < kTokens; ++t)
      for (size_t c = 0; c < kWidth; ++c) {
        std::vector<const float*> window;
        for (size_t i = 0; i < kTaps; ++i)
          window.push_back(t + i < kTaps - 1 ? nullptr : x.data() + (t + i + 1 - kTaps) * kWidth);
        ASSERT_EQ(y[t * kWidth + c], Plain(window, tx, weights.data() + c * kTaps, sx.a / sx.b,
                                           w.scales[c].a / w.scales[c].b, c))
            << of.x << " token " << t << " channel " << c;
      }
  }
}

TEST(CodedConvolution, NanIsOfItsChannelAndWindow) {
  const Treatment t = ParseOrFail("int8,scale=1", TreatedThing::kActivation),
                  tw = ParseOrFail("int8,scale=1", TreatedThing::kWeight);
  const std::vector<float> weights = {1, 2, 3, 4, std::nanf(""), 1}, row = {1, std::nanf(""), 1};
  const IntegerCodes w = CodesOfTensor(tw, weights.data(), 3, 2, 0);
  const std::vector<int16_t> codes = ConvolutionCodes(t, row.data(), 3);
  EXPECT_EQ(codes, (std::vector<int16_t>{1, kNanCode, 1}));
  const int16_t* const window[] = {nullptr, codes.data()};
  float y[3];
  float* const out[] = {y};
  Workers workers(1);
  EvaluateCodedConvolution({{.width = 3, .in_width = 3, .taps = 2}, &w, ScaleOfAll(t), window, out},
                           {&BestKernels(), &workers});
  EXPECT_EQ(y[0], 2);
  EXPECT_TRUE(std::isnan(y[1]));
  EXPECT_TRUE(std::isnan(y[2]));
}

}  // namespace
}  // namespace vernier
