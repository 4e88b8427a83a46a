#include "ops/format_math.h"

#include <gtest/gtest.h>

namespace vernier {
namespace {

FormatMath Math(const std::string& text, const std::string& acc = "") {
  auto math = ParseFormatMath(text);
  EXPECT_TRUE(math) << text << ": " << (math ? "" : math.error().message);
  if (!math) return {};
  if (!acc.empty()) {
    const Status status = ParseSumRules(acc, &*math);
    EXPECT_TRUE(status) << acc << ": " << (status ? "" : status.error().message);
  }
  return *math;
}

std::string MathError(const std::string& text) {
  const auto math = ParseFormatMath(text);
  return math ? "accepted" : math.error().message;
}

std::string SumError(const std::string& text, const std::string& math = "fused:bf16") {
  FormatMath m = Math(math);
  const Status status = ParseSumRules(text, &m);
  return status ? "accepted" : status.error().message;
}

TEST(FormatMath, KindsAndFormats) {
  const FormatMath step = Math("step:posit32");
  EXPECT_EQ(step.kind, FormatMathKind::kStep);
  EXPECT_EQ(step.values.format.name, "posit32");
  EXPECT_EQ(step.sum.partial, step.values);
  EXPECT_EQ(step.sum.chunk, 0u);
  EXPECT_EQ(Math("fused:e4m3").kind, FormatMathKind::kFused);
  EXPECT_EQ(Math("exact"), Math("quire:f32"));
  EXPECT_EQ(Math("exact,round=up"), Math("quire:f32,round=up"));
  EXPECT_EQ(Math("step:fp16"), Math("step:e5m10"));
}

TEST(FormatMath, Options) {
  const FormatMath m = Math("step:e4m3,round=toward-zero,overflow=saturate,subnormals=flush");
  EXPECT_EQ(m.values.rounding, Rounding::kTowardZero);
  EXPECT_EQ(m.values.overflow, Overflow::kSaturate);
  EXPECT_TRUE(m.values.flush);
  EXPECT_EQ(m.sum.partial, m.values);
  EXPECT_EQ(Math("step:e4m3,overflow=nan"), Math("step:e4m3"));
}

TEST(FormatMath, TheHostHoldsAllThreeFormats) {
  for (const char* f : {"f32", "bf16", "f16", "tf32", "e4m3", "posit16", "posit8"})
    EXPECT_EQ(Math(std::string("step:") + f).host, Arithmetic::kF32) << f;
  for (const char* f : {"f64", "posit32", "posit64", "e8m30", "e9m7", "posit24es4"})
    EXPECT_EQ(Math(std::string("step:") + f).host, Arithmetic::kF64) << f;
  EXPECT_EQ(Math("fused:bf16", "f32").host, Arithmetic::kF32);
  EXPECT_EQ(Math("fused:bf16", "posit32").host, Arithmetic::kF64);
  EXPECT_EQ(Math("fused:bf16", "f32,chunk=8,into=f64").host, Arithmetic::kF64);
}

TEST(FormatMath, Sums) {
  const FormatMath m = Math("fused:e4m3", "e8m13,chunk=128,into=f32,order=kahan");
  EXPECT_EQ(m.sum.partial.format.name, "e8m13");
  EXPECT_EQ(m.sum.chunk, 128u);
  EXPECT_EQ(m.sum.into.format.name, "f32");
  EXPECT_EQ(m.sum.order, SumOrder::kKahan);
  EXPECT_EQ(m.values.format.name, "e4m3");
  EXPECT_EQ(Math("fused:bf16", "f16,chunk=4").sum.into.format.name, "f16");
  EXPECT_EQ(Math("fused:bf16", "f32,round=toward-zero").sum.partial.rounding,
            Rounding::kTowardZero);
  EXPECT_EQ(Math("fused:bf16,round=down", "f32").sum.partial.rounding, Rounding::kDown);
  EXPECT_EQ(Math("fused:bf16", "bf16"), Math("fused:bf16"));
  EXPECT_EQ(Math("fused:bf16", "bf16,chunk=7,into=bf16"), Math("fused:bf16", "bf16,chunk=7"));
}

TEST(FormatMath, EqualTextsAndOnlyThose) {
  const std::vector<FormatMath> all = {Math("step:posit32"),
                                       Math("fused:posit32"),
                                       Math("quire:posit32"),
                                       Math("exact"),
                                       Math("step:bf16"),
                                       Math("step:bf16,round=odd"),
                                       Math("step:bf16,overflow=saturate"),
                                       Math("step:bf16,subnormals=flush"),
                                       Math("step:bf16", "f32"),
                                       Math("step:bf16", "f32,round=down"),
                                       Math("step:bf16", "f32,order=kahan"),
                                       Math("step:bf16", "f32,order=pairwise"),
                                       Math("step:bf16", "f32,chunk=4"),
                                       Math("step:bf16", "f32,chunk=5"),
                                       Math("step:bf16", "f32,chunk=5,into=f64")};
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t j = 0; j < all.size(); ++j)
      EXPECT_EQ(FormatMathText(all[i]) == FormatMathText(all[j]), i == j) << FormatMathText(all[i]);
  EXPECT_EQ(FormatMathText(Math("step:e4m3,round=up", "e8m13,chunk=128,into=f32")),
            "step:e4m3,round=up acc=e8m13,round=up,chunk=128 into=f32,round=up");
  EXPECT_EQ(FormatMathText(Math("exact")), "quire:f32");
}

TEST(FormatMath, Errors) {
  EXPECT_EQ(MathError("stp:bf16"), "unknown arithmetic 'stp'; did you mean 'step'?");
  EXPECT_EQ(MathError("step"), "'step': expected a format, as in step:bf16");
  EXPECT_EQ(MathError("fused:"), "'fused:': expected a format, as in fused:bf16");
  EXPECT_EQ(MathError("step:bf17"), "unknown format 'bf17'; did you mean 'bf16'?");
  EXPECT_EQ(MathError("step:int8"),
            "int8: integers have scales; expected math=int with .in=intN and .weight=intN");
  EXPECT_EQ(MathError("step:q4_0"),
            "q4_0: blocks share a scale; expected an element format such as bf16");
  EXPECT_EQ(MathError("step:e8m0"), "e8m0: has no sign");
  EXPECT_EQ(MathError("step:bf16,round=stochastic"),
            "round=stochastic: an arithmetic rounds in one way; sites take random rounding");
  EXPECT_EQ(MathError("step:bf16,round=nearest-evn"),
            "unknown value in 'round=nearest-evn'; did you mean 'nearest-even'?");
  EXPECT_EQ(MathError("step:posit16,overflow=inf"),
            "overflow=inf: posit16 has no infinities; use overflow=nan or overflow=saturate");
  EXPECT_EQ(MathError("step:bf16,scale=2"),
            "'scale=2': an arithmetic takes round=, overflow= and subnormals=; expected one of "
            "these");
  EXPECT_EQ(MathError("step:bf16,chunk=2"),
            "'chunk=2': an arithmetic takes round=, overflow= and subnormals=; how sums are taken "
            "is said by a rule on .acc");
  EXPECT_EQ(SumError("f32", "exact"),
            "quire: sums are exact and have no partial sums; expected step or fused");
  EXPECT_EQ(SumError("f32,chunk=0"), "chunk=0: expected the number of terms, from 1 on");
  EXPECT_EQ(SumError("f32,chunk=x"), "chunk=x: expected the number of terms, from 1 on");
  EXPECT_EQ(SumError("f32,into=f64"),
            "into=f64: the sums of chunks are added in it; expected chunk=N beside it");
  EXPECT_EQ(SumError("f32,order=kahn"), "unknown value in 'order=kahn'; did you mean 'kahan'?");
  EXPECT_EQ(SumError("f32,order=kahan,order=kahan"), "option 'order' is given twice");
  EXPECT_EQ(SumError("f32,chnk=4"), "unknown option 'chnk'; did you mean 'chunk'?");
  EXPECT_EQ(SumError("f32,kahan"), "expected option=value in place of 'kahan'");
  EXPECT_EQ(SumError("f33"), "unknown format 'f33'; did you mean 'f32'?");
  EXPECT_EQ(SumError("f32,chunk=4,into=int8"),
            "int8: integers have scales; expected math=int with .in=intN and .weight=intN");
}

}  // namespace
}  // namespace vernier
