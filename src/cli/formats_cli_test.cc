// vernier formats: its JSON, its texts, its refusals. The facts themselves are tested in formats/.
#include <cmath>
#include <cstdlib>

#include "cli/cli_testing.h"

namespace vernier {
namespace {

const Json& Named(const Json& formats, const std::string& name) {
  for (const Json& format : formats)
    if (format.at("name") == name) return format;
  ADD_FAILURE() << "no format " << name;
  return formats.at(0);
}

TEST(FormatsVerb, AllOfThem) {
  const Json json = RunJson({"formats"});
  EXPECT_TRUE(json.at("compare").is_null());
  const Json& formats = json.at("formats");
  EXPECT_GE(formats.size(), 20u);
  const Json& e4m3 = Named(formats, "e4m3");
  EXPECT_EQ(e4m3.at("largest"), Json({{"value", 448.0}, {"hex", "0x1.cp+8"}, {"code", "0x7e"}}));
  EXPECT_EQ(e4m3.at("overflow"), "nan");
  EXPECT_EQ(e4m3.at("overflow_beyond").at("value"), 464.0);
  EXPECT_EQ(e4m3.at("tie_overflows"), false);
  EXPECT_EQ(e4m3.at("finite_numbers"), 253);
  EXPECT_TRUE(e4m3.at("infinity").is_null());
  const Json& posit32 = Named(formats, "posit32");
  EXPECT_EQ(posit32.at("kind"), "posit");
  EXPECT_EQ(posit32.at("finite_numbers"), 4294967295u);
  EXPECT_EQ(posit32.at("largest").at("value"), 0x1p120);
  EXPECT_EQ(posit32.at("nan"), "0x80000000");
  EXPECT_EQ(posit32.at("fraction_bits_at_one"), 27);
  EXPECT_EQ(posit32.at("smallest_normal"), nullptr);
  EXPECT_EQ(Named(formats, "posit64").at("finite_numbers"), 18446744073709551615u);
  EXPECT_EQ(Named(formats, "e8m0").at("zero"), nullptr);
  EXPECT_EQ(Named(formats, "int8").at("lowest").at("value"), -128.0);
  const std::string table = Vernier({"formats"}).out;
  const Json& blocks = json.at("block_formats");
  EXPECT_EQ(Named(blocks, "mxfp4").at("elements"), "e2m1");
  EXPECT_EQ(Named(blocks, "mxfp4").at("bits_per_weight"), 4.25);
  EXPECT_EQ(Named(blocks, "q4_k").at("block"), 256);
  EXPECT_TRUE(Named(blocks, "q4_k").at("elements").is_null());
  for (const Json& format : blocks)
    EXPECT_NE(table.find("\n" + format.at("name").get<std::string>() + " "), std::string::npos);
  for (const Json& format : formats)
    EXPECT_NE(table.find("\n" + format.at("name").get<std::string>() + " "), std::string::npos);
}

TEST(FormatsVerb, At) {
  const Json json = RunJson(
      {"formats", "f16", "e4m3", "e2m1", "posit64", "--at", "0.1, 465,0x1.8p3,2^-24,nan,-inf,-3"});
  const Json& formats = json.at("formats");
  ASSERT_EQ(formats.size(), 4u);
  const Json& tenth = Named(formats, "f16").at("at").at(0);
  EXPECT_EQ(tenth.at("x"), 0.1);
  EXPECT_EQ(tenth.at("becomes"), 0.0999755859375);
  EXPECT_EQ(tenth.at("code"), "0x2e66");
  EXPECT_EQ(tenth.at("exact"), false);
  EXPECT_EQ(tenth.at("error").at("value"), 0.0999755859375 - 0.1);
  EXPECT_EQ(tenth.at("below").at("code"), "0x2e66");
  EXPECT_EQ(tenth.at("above").at("code"), "0x2e67");
  EXPECT_EQ(tenth.at("gap").at("hex"), "0x1p-14");
  EXPECT_EQ(tenth.at("tie_above").at("value"), (0.0999755859375 + 0.10003662109375) / 2);
  EXPECT_EQ(tenth.at("tie_above").at("goes_to"), "0x2e66");
  const Json& e4m3 = Named(formats, "e4m3").at("at");
  EXPECT_EQ(e4m3.at(1).at("becomes"), nullptr);
  EXPECT_EQ(e4m3.at(1).at("code"), "0x7f");
  EXPECT_EQ(e4m3.at(1).at("below").at("value"), 448.0);
  EXPECT_EQ(e4m3.at(2).at("x"), 12.0);
  EXPECT_EQ(e4m3.at(3).at("becomes"), 0.0);
  EXPECT_EQ(e4m3.at(5).at("code"), "0xff");
  EXPECT_EQ(e4m3.at(6).at("becomes"), -3.0);
  EXPECT_EQ(Named(formats, "e2m1").at("at").at(4).at("code"), nullptr);
  const Json& wide = Named(formats, "posit64").at("at").at(6);
  EXPECT_EQ(wide.at("below").at("value"), -3.0);  // no double
  EXPECT_EQ(wide.at("below").at("hex"), "-0x1.800000000000002p+1");

  const std::string one = Vernier({"formats", "posit16", "--at", "0.1"}).out;
  for (const char* part : {"0.100006103515625", "0x24cd", "tie above", "0x1.999999999999ap-4"})
    EXPECT_NE(one.find(part), std::string::npos) << part;
  const std::string all = Vernier({"formats", "--at", "465"}).out;
  EXPECT_NE(all.find("\nposit8 "), std::string::npos);
  EXPECT_EQ(Vernier({"formats", "e4m3", "--at", "-3"}).status, 0);
}

TEST(FormatsVerb, Compare) {
  const Json compared = RunJson({"formats", "--compare", "posit32,f32"}).at("compare");
  EXPECT_EQ(compared.at("a"), "posit32");
  EXPECT_EQ(compared.at("a_holds_b"), false);
  EXPECT_EQ(compared.at("b_holds_a"), false);
  ASSERT_EQ(compared.at("spans").size(), 7u);
  EXPECT_EQ(
      compared.at("spans").at(3),
      Json(
          {{"from", -16}, {"to", 16}, {"finer", "a"}, {"a_bits", {24, 27}}, {"b_bits", {23, 23}}}));
  EXPECT_EQ(compared.at("spans").at(6).at("finer"), "only b");
  EXPECT_EQ(compared.at("spans").at(6).at("a_bits"), nullptr);
  EXPECT_EQ(RunJson({"formats", "--compare", "f32,e5m7"}).at("compare").at("a_holds_b"), true);
  EXPECT_NE(Vernier({"formats", "--compare", "posit32,f32"}).out.find("24 to 27"),
            std::string::npos);
  EXPECT_NE(Vernier({"formats", "e3m4"}).out.find("whole numbers up to"), std::string::npos);
}

TEST(FormatsVerb, Refusals) {
  ExpectRefused({"formats", "bf17"}, "did you mean 'bf16'?");
  ExpectRefused({"formats", "posit1"}, "N from 2 to 64");
  ExpectRefused({"formats", "mxfp4"},
                "blocks of 32; expected an element format, as its elements' e2m1");
  ExpectRefused({"inspect", kQwen, "--exact", "q4_k"},
                "--exact: 'q4_k' is a format of blocks of 256");
  for (const char* beyond : {"1e400", "-1e309", "2^1024", "1e-400", "2^-1075"})
    ExpectRefused({"formats", "f16", "--at", beyond}, "beyond the doubles");
  for (const char* within :
       {"0x0p-9999", "-0", "4.9e-324", "2^-1074", "-INF", "infinity", "0e-999"})
    EXPECT_EQ(Vernier({"formats", "f16", "--at", within}).status, 0) << within;
  ExpectRefused({"formats", "--at", "1", "--at", "2"}, "--at: is given more than once");
  ExpectRefused({"formats", "--at", "1,x"}, "in place of 'x'");
  ExpectRefused({"formats", "--at", "1,,2"}, "in place of ''");
  ExpectRefused({"formats", "--at", "2^x"}, "in place of '2^x'");
  ExpectRefused({"formats", "--compare", "f16"}, "--compare: expected two formats as A,B");
  ExpectRefused({"formats", "--compare", "f16,bf17"}, "--compare: unknown format 'bf17'");
}

}  // namespace
}  // namespace vernier
