// Pages of studies from end to end (a browser opens them in tests/page_test.py).
#include "cli/cli_testing.h"

namespace vernier {
namespace {

class ReportVerb : public testing::Test {
 protected:
  ReportVerb() : folder_(TempPath("report")) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~ReportVerb() override { std::filesystem::remove_all(folder_); }
  // Runs a small study into the folder `name`.
  void Run(const std::string& name, const std::string& rule) {
    const std::string file = folder_ + "/" + name + ".toml";
    WriteAll(file, "name = \"" + name + "\"\nmodel = \"" + kQwen + "\"\ntexts = [\"" + kSource +
                       "/data/shakespeare.txt\"]\ncontext = 32\nchunks = 2\n[[variant]]\nname = "
                       "\"v\"\nrules = [\"" +
                       rule + "\"]\n");
    EXPECT_EQ(Vernier({"study", file, "-o", folder_ + "/" + name}).status, 0);
  }
  static Json DataOf(const std::string& html) {
    const std::string begin = "<script type=\"application/json\" id=\"data\">";
    const size_t from = html.find(begin) + begin.size();
    return Json::parse(html.substr(from, html.find("</script>", from) - from));
  }
  std::string folder_;
};

TEST_F(ReportVerb, SeveralStudiesOnOnePage) {
  Run("first", "ffn_norm=e4m3");
  Run("second", "attn_norm=bf16");
  const std::string both = folder_ + "/both.html";
  const Outcome done = Vernier({"report", folder_ + "/second", folder_ + "/first", "-o", both});
  EXPECT_EQ(done.status, 0) << done.err;
  const Json data = DataOf(ReadAll(both));
  ASSERT_EQ(data.at("studies").size(), 2u);
  EXPECT_EQ(data["studies"][0].at("name"), "second");
  EXPECT_EQ(data["studies"][1].at("name"), "first");
  const Json results = Json::parse(ReadAll(folder_ + "/first/results.json"));
  const double kld = results.at("variants")[0].at("kld").at("mean");
  EXPECT_NEAR(data["studies"][1]["models"][0]["variants"][0]["kld"]["mean"], kld, 1e-4 * kld);
  EXPECT_EQ(data["studies"][1].at("command"),
            "vernier study " + folder_ + "/first.toml -o " + folder_ + "/first");
  // The study's own page is that of `report`.
  const std::string alone = folder_ + "/alone.html";
  EXPECT_EQ(Vernier({"report", folder_ + "/first", "-o", alone}).status, 0);
  EXPECT_EQ(ReadAll(alone), ReadAll(folder_ + "/first/report.html"));
  // Run again, it makes the same page.
  const std::string before = ReadAll(alone);
  std::filesystem::remove(folder_ + "/first/report.html");
  Run("first", "ffn_norm=e4m3");
  EXPECT_EQ(ReadAll(folder_ + "/first/report.html"), before);
}

TEST_F(ReportVerb, Mistakes) {
  const std::string page = folder_ + "/p.html";
  ExpectRefused({"report", "-o", page}, "folder of a study");
  ExpectRefused({"report", folder_}, "-o");
  ExpectRefused({"report", folder_, "-o", page}, "there is no study.sqlite");
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/study.sqlite"));
  WriteAll(folder_ + "/study.sqlite", "nothing of the kind");
  ExpectRefused({"report", folder_, "-o", page}, "study.sqlite");
  EXPECT_FALSE(std::filesystem::exists(page));
}

}  // namespace
}  // namespace vernier
