#include "model/metadata.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "model/model_testing.h"

namespace vernier {
namespace {

TEST(MetadataTest, TypedReading) {
  const Metadata m = SmallMetadata();
  EXPECT_EQ(m.Int("t.i8").value(), -128);
  EXPECT_EQ(m.Int("t.u32").value(), 4294967295);
  EXPECT_EQ(m.Int("t.i64").value(), INT64_MIN);
  EXPECT_EQ(m.Float("t.f32").value(), 1e-5f);
  EXPECT_EQ(m.Float("t.i16").value(), -32768);
  EXPECT_TRUE(m.Bool("t.bool").value());
  EXPECT_EQ(m.String("general.architecture").value(), "llama");
  EXPECT_EQ(m.Strings("t.strings").value(), (std::vector<std::string>{"", "x", "<unk>"}));
  EXPECT_EQ(m.Floats("t.floats").value(), (std::vector<double>{0.5, -1e30f}));
  EXPECT_EQ(m.Floats("t.ints").value(), (std::vector<double>{1, -2, 3}));
  EXPECT_EQ(m.Ints("t.ints").value(), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_TRUE(m.Floats("t.empty").value().empty());
}

TEST(MetadataTest, ErrorsNameSourceKeyAndExpectation) {
  const Metadata m = SmallMetadata();
  EXPECT_EQ(m.Int("t.u33").error().message, "small: no key 't.u33'; did you mean 't.u32'?");
  EXPECT_EQ(m.Int("t.u8", 1, 7).error().message,
            "small: key 't.u8': expected an integer from 1 to 7, found 255");
  EXPECT_EQ(m.Int("t.i8", 0).error().message,
            "small: key 't.i8': expected an integer of at least 0, found -128");
  EXPECT_EQ(m.Int("t.u64").error().message,
            "small: key 't.u64': expected an integer, found 18446744073709551615");
  EXPECT_EQ(m.Int("t.bool").error().message,
            "small: key 't.bool': expected an integer, found true");
  EXPECT_EQ(m.String("t.ints").error().message,
            "small: key 't.ints': expected a string, found an array of 3 int32 values");
  EXPECT_EQ(m.Ints("t.strings").error().message,
            "small: key 't.strings': element 0: expected a 64-bit integer, found ''");
  EXPECT_FALSE(m.Float("t.nan"));
  EXPECT_FALSE(m.Float("t.string"));
  EXPECT_FALSE(m.Bool("t.u8"));
  EXPECT_FALSE(m.Strings("t.nested"));
  EXPECT_FALSE(m.Floats("t.f32"));
}

TEST(MetadataTest, SetReplacesInPlace) {
  Metadata m = SmallMetadata();
  const size_t size = m.entries.size();
  m.Set("t.u8", MetaBool(false));
  EXPECT_EQ(m.entries.size(), size);
  EXPECT_FALSE(m.Bool("t.u8").value());
  EXPECT_FALSE(m.Has("absent"));
}

TEST(MetadataTest, FloatBitsSurvive) {
  for (const uint32_t bits : {0u, 0x80000000u, 1u, 0x7f7fffffu, 0x7f800000u, 0xff800000u,
                              0x7f800001u, 0xffbfffffu, 0x7fc00000u, 0x3dcccccdu})
    EXPECT_EQ(NarrowToFloatBits(WidenFloatBits(bits)), bits);
  EXPECT_TRUE(std::isnan(std::bit_cast<float>(
      NarrowToFloatBits(std::bit_cast<double>(uint64_t{0x7ff0000000000001})))));
}

}  // namespace
}  // namespace vernier
