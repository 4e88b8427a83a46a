// vernier bench, run as a program. Speeds are not tested.
#include "cli/cli_testing.h"

namespace vernier {
namespace {

TEST(BenchCli, LinesOfFormats) {
  const Json json = RunJson({"bench", "formats", "--format", "bf16,posit16", "--mode",
                             "nearest-even,odd", "--memory", "8"});
  EXPECT_EQ(json["subject"], "formats");
  EXPECT_EQ(json["memory_bytes"], 8 << 20);
  ASSERT_EQ(json["lines"].size(), 4u);
  EXPECT_EQ(json["lines"][1]["format"], "bf16");
  EXPECT_EQ(json["lines"][1]["mode"], "odd");
  EXPECT_GT(json["lines"][0]["bitwise"], 0.0);
  EXPECT_TRUE(json["lines"][1]["bitwise"].is_null());
}

TEST(BenchCli, Mistakes) {
  ExpectRefused({"bench"}, "expected a subject: formats");
  ExpectRefused({"bench", "format"}, "unknown subject 'format'; did you mean 'formats'?");
  ExpectRefused({"bench", "formats", "--format", "bf17"}, "--format: unknown format 'bf17'");
  ExpectRefused({"bench", "formats", "--format", "int8"}, "'int8' needs a scale");
  ExpectRefused({"bench", "formats", "--mode", "odd,evn"}, "--mode: unknown mode 'evn'");
}

}  // namespace
}  // namespace vernier
