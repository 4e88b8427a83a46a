#include "formats/format.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>

#include "base/file.h"

namespace vernier {
namespace {

Format Get(std::string_view name) {
  auto f = FindFormat(name);
  EXPECT_TRUE(f) << f.error().message;
  return f.value_or(Format{});
}

std::string ErrorOf(std::string_view name) {
  const auto f = FindFormat(name);
  EXPECT_FALSE(f) << name;
  return f ? "" : f.error().message;
}

struct Fact {
  const char* name;
  int bits, precision, emin, emax;
  double max, min_normal, min_subnormal;
  bool inf, nan;
};

// IEEE 754-2019 table 3.5; OCP OFP8 1.0 table 1; OCP MX 1.0 tables 3 to 5; NVIDIA A100 white paper.
const Fact kFacts[] = {
    {"f64", 64, 53, -1022, 1023, DBL_MAX, DBL_MIN, 0x1p-1074, true, true},
    {"f32", 32, 24, -126, 127, FLT_MAX, FLT_MIN, 0x1p-149, true, true},
    {"tf32", 19, 11, -126, 127, 0x1.ffcp127, 0x1p-126, 0x1p-136, true, true},
    {"f16", 16, 11, -14, 15, 65504, 0x1p-14, 0x1p-24, true, true},
    {"bf16", 16, 8, -126, 127, 0x1.fep127, 0x1p-126, 0x1p-133, true, true},
    {"e5m2", 8, 3, -14, 15, 57344, 0x1p-14, 0x1p-16, true, true},
    {"e4m3", 8, 4, -6, 8, 448, 0x1p-6, 0x1p-9, false, true},
    {"e3m2", 6, 3, -2, 4, 28, 0.25, 0.0625, false, false},
    {"e2m3", 6, 4, 0, 2, 7.5, 1, 0.125, false, false},
    {"e2m1", 4, 2, 0, 2, 6, 1, 0.5, false, false},
    {"e4m2", 7, 3, -6, 7, 224, 0x1p-6, 0x1p-8, true, true},
    {"e11m1", 13, 2, -1022, 1023, 0x1.8p1023, DBL_MIN, 0x1p-1023, true, true},
};

TEST(FindFormat, Facts) {
  for (const Fact& fact : kFacts) {
    SCOPED_TRACE(fact.name);
    const Format f = Get(fact.name);
    EXPECT_EQ(f.name, fact.name);
    EXPECT_EQ(f.kind, FormatKind::kFloat);
    EXPECT_EQ(f.bits, fact.bits);
    EXPECT_EQ(f.precision, fact.precision);
    EXPECT_EQ(f.emin, fact.emin);
    EXPECT_EQ(f.emax, fact.emax);
    EXPECT_EQ(f.max_finite, fact.max);
    EXPECT_EQ(f.has_infinity, fact.inf);
    EXPECT_EQ(f.has_nan, fact.nan);
    EXPECT_TRUE(f.has_subnormals && f.has_negative_zero);
    EXPECT_EQ(SmallestNormal(f), fact.min_normal);
    EXPECT_EQ(SmallestSubnormal(f), fact.min_subnormal);
    EXPECT_EQ(Epsilon(f), std::ldexp(1.0, 1 - fact.precision));
  }
}

TEST(FindFormat, EveryTableEntryIsFoundAndDocumented) {
  for (const Format& f : NamedFormats()) {
    EXPECT_EQ(Get(f.name), f);
    EXPECT_FALSE(f.doc.empty()) << f.name;
  }
}

TEST(FindFormat, TheManualHasEveryFloatFormat) {
  const std::string manual = ReadText(VERNIER_SOURCE_DIR "/docs/formats.md").value();
  for (const Format& f : NamedFormats()) {
    if (f.kind != FormatKind::kFloat) continue;
    const std::string row =
        fmt::format("| `{}` | {} | {} | {} | {} |", f.name, f.bits, f.precision, f.emin, f.emax);
    EXPECT_NE(manual.find(row), std::string::npos) << row;
  }
}

TEST(FindFormat, IntegersAndAliases) {
  for (int n = 2; n <= 16; ++n) {
    const Format f = Get(fmt::format("int{}", n));
    EXPECT_EQ(f.kind, FormatKind::kFixed);
    EXPECT_EQ(f.bits, n);
    EXPECT_EQ(f.max_finite, std::pow(2, n - 1) - 1);
    EXPECT_FALSE(f.has_infinity || f.has_nan || f.has_negative_zero);
    EXPECT_FALSE(f.doc.empty());
  }
  EXPECT_EQ(Get("fp16"), Get("f16"));
  EXPECT_EQ(Get("bfloat16"), Get("bf16"));
  EXPECT_EQ(Get("float32").name, "f32");
  EXPECT_EQ(Get("fp8_e4m3").name, "e4m3");
}

TEST(FindFormat, OneNameForOneSet) {
  EXPECT_EQ(Get("e5m10").name, "f16");
  EXPECT_EQ(Get("e8m7").name, "bf16");
  EXPECT_EQ(Get("e8m10").name, "tf32");
  EXPECT_EQ(Get("e8m23").name, "f32");
  EXPECT_EQ(Get("e11m52").name, "f64");
  EXPECT_EQ(Get("e5m9").name, "e5m9");
}

TEST(FindFormat, Errors) {
  EXPECT_EQ(ErrorOf("bf17"), "unknown format 'bf17'; did you mean 'bf16'?");
  EXPECT_EQ(ErrorOf("BF16"), "unknown format 'BF16'; did you mean 'bf16'?");
  EXPECT_EQ(ErrorOf("int1"), "unknown format 'int1': integers go from int2 to int16");
  EXPECT_EQ(ErrorOf("int17"), "unknown format 'int17': integers go from int2 to int16");
  const std::string range = ": eXmY takes X from 2 to 11 and Y from 1 to 52";
  EXPECT_EQ(ErrorOf("e12m3"), "unknown format 'e12m3'" + range);
  EXPECT_EQ(ErrorOf("e1m3"), "unknown format 'e1m3'" + range);
  EXPECT_EQ(ErrorOf("e5m53"), "unknown format 'e5m53'" + range);
  for (const char* bad : {"", "e", "m", "em", "e5m", "em2", "e5m0", "e05m2", "e5m02", "e5m2x",
                          "int", "int08", "int8 ", "e5000000000000m2", "e-5m2", "e5m2m2"}) {
    EXPECT_TRUE(ErrorOf(bad).starts_with("unknown format")) << bad;
    EXPECT_EQ(ErrorOf(bad).find('\n'), std::string::npos);
  }
  EXPECT_EQ(ErrorOf("something"),
            "unknown format 'something'; known are f64 f32 tf32 f16 bf16 e5m2 e4m3 e5m2fnuz "
            "e4m3fnuz e4m3b11fnuz e3m2 e2m3 e2m1 e8m0 posit64 posit32 posit16 posit8 int16 int8 "
            "int4, eXmY, positN, positNesE and intN");
}

// All finite numbers of a small format are in another exactly where Contains says so.
bool HoldsAll(const Format& outer, const Format& inner) {
  for (int e = inner.emin; e <= inner.emax; ++e)
    for (int m = e == inner.emin ? 1 : 1 << (inner.precision - 1); m < 1 << inner.precision; ++m) {
      const double x = std::ldexp(m, e - inner.precision + 1);
      if (x > inner.max_finite) continue;
      const int top = std::ilogb(x);
      const double quantum = std::ldexp(1.0, std::max(top, outer.emin) - outer.precision + 1);
      if (x > outer.max_finite || std::fmod(x, quantum) != 0) return false;
    }
  return outer.has_infinity || !inner.has_infinity;
}

TEST(Contains, AgreesWithEnumeration) {
  std::vector<Format> formats = {Get("tf32"), Get("f16"),  Get("bf16"), Get("e5m2"), Get("e4m3"),
                                 Get("e3m2"), Get("e2m3"), Get("e2m1"), Get("f32"),  Get("f64")};
  for (int x = 2; x <= 6; ++x)
    for (int y = 1; y <= 6; ++y) formats.push_back(Get(fmt::format("e{}m{}", x, y)));
  int contained = 0;
  for (const Format& inner : formats) {
    if (inner.precision > 12) continue;
    for (const Format& outer : formats) {
      EXPECT_EQ(Contains(outer, inner), HoldsAll(outer, inner)) << outer.name << " " << inner.name;
      contained += Contains(outer, inner);
    }
  }
  EXPECT_GT(contained, 100);
}

TEST(Contains, KnownPairs) {
  EXPECT_TRUE(Contains(Get("f32"), Get("bf16")));
  EXPECT_TRUE(Contains(Get("f64"), Get("f32")));
  EXPECT_FALSE(Contains(Get("f32"), Get("f64")));
  EXPECT_FALSE(Contains(Get("bf16"), Get("f16")));
  EXPECT_TRUE(Contains(Get("tf32"), Get("f16")));
  EXPECT_TRUE(Contains(Get("f16"), Get("e4m3")));
  EXPECT_FALSE(Contains(Get("e4m3"), Get("e5m2")));
  EXPECT_TRUE(Contains(Get("e4m3"), Get("e2m1")));
  EXPECT_TRUE(Contains(Get("int8"), Get("int4")));
  EXPECT_FALSE(Contains(Get("int4"), Get("int8")));
  EXPECT_TRUE(Contains(Get("bf16"), Get("int8")));
  EXPECT_FALSE(Contains(Get("bf16"), Get("int10")));
  EXPECT_TRUE(Contains(Get("e4m3"), Get("int5")));
  EXPECT_FALSE(Contains(Get("e4m3"), Get("int6")));
  EXPECT_FALSE(Contains(Get("int16"), Get("e2m1")));
  EXPECT_FALSE(ContainsFinite(Get("e2m3"), Get("int4")));  // -8 is beyond 7.5
  EXPECT_TRUE(ContainsFinite(Get("e3m2"), Get("int4")) && ContainsFinite(Get("e2m1"), Get("int3")));
}

}  // namespace
}  // namespace vernier
