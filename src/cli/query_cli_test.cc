// vernier query: what it answers, what it refuses, and that docs/store.md is true.
#include <regex>
#include <set>

#include "cli/cli_testing.h"

namespace vernier {
namespace {

// One small study for all tests of the suite.
class QueryVerb : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = TempPath("query");
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    WriteAll(folder_ + "/p.jsonl", "{\"prompt\": \"First Citizen\"}\n");
    WriteAll(folder_ + "/s.toml", "name = \"s\"\nmodel = \"" + kQwen + "\"\ntexts = [\"" + kSource +
                                      R"(/data/shakespeare.txt"]
context = 32
chunks = 3
truth = true
first_token = { prompts = "p.jsonl" }
generate = { prompts = "p.jsonl", tokens = 4 }
[[variant]]
name = "e4m3"
rules = ["ffn_norm=e4m3"]
[[variant]]
name = "weights"
rules = ["ffn_norm.weight=bf16"]
[[claim]]
says = "e4m3 shows"
expect = "kld('e4m3') > 0"
[[claim]]
says = "time"
expect = "overhead('e4m3') < 9"
)");
    const Outcome done = Vernier({"study", folder_ + "/s.toml", "-o", folder_ + "/out"});
    ASSERT_EQ(done.status, 0) << done.err;
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }

  static Outcome Query(const std::string& sql, const std::string& format = "--csv") {
    Arguments arguments = {"query", folder_ + "/out", sql};
    if (!format.empty()) arguments.push_back(format);
    return Vernier(arguments);
  }
  static std::string Csv(const std::string& sql) {
    const Outcome outcome = Query(sql);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.out;
  }
  static std::string folder_;
};
std::string QueryVerb::folder_;

TEST_F(QueryVerb, AnswersWhatTheResultsSay) {
  const Json results = Json::parse(ReadAll(folder_ + "/out/results.json"));
  const Json rows =
      RunJson({"query", folder_ + "/out",
               "SELECT variant, tokens, ppl, kld, kld_max, same_top, mae, kld_truth, vacuous, "
               "same_as FROM variant WHERE kind='variant'"});
  ASSERT_EQ(rows.at("rows").size(), 2u);
  EXPECT_EQ(rows.at("columns").at(1), "tokens");
  for (size_t v = 0; v < 2; ++v) {
    const Json &row = rows.at("rows").at(v), &is = results.at("variants").at(v);
    EXPECT_EQ(row.at(0), is.at("name"));
    EXPECT_EQ(row.at(1), is.at("tokens"));
    const auto near = [&](const Json& found, const Json& expected) {
      const double x = found.get<double>(), y = expected.get<double>();
      EXPECT_NEAR(x, y, 1e-12 * std::abs(y));  // sums in another order
    };
    near(row.at(2), is.at("ppl").at("mean"));
    near(row.at(3), is.at("kld").at("mean"));
    EXPECT_EQ(row.at(4), is.at("kld").at("max"));
    near(row.at(5), is.at("same_top_p"));
    near(row.at(6), is.at("logits").at("mae"));
    near(row.at(7), is.at("kld_truth").at("value"));
    EXPECT_EQ(row.at(8).get<int>() != 0, is.at("vacuous").get<bool>());
    EXPECT_EQ(row.at(9), is.at("same_as"));
  }
  const Json sites = RunJson({"query", folder_ + "/out",
                              "SELECT site, rms, mean, l2_rel, truth_l2_rel FROM variant_site "
                              "WHERE variant='e4m3' ORDER BY layer"});
  const Json& expected = results.at("variants").at(0).at("sites");
  ASSERT_EQ(sites.at("rows").size(), expected.size());
  for (size_t s = 0; s < expected.size(); ++s) {
    EXPECT_EQ(sites.at("rows").at(s).at(0), expected.at(s).at("site"));
    const char* keys[] = {"rms", "mean", "l2_rel", "truth_l2_rel"};
    for (size_t k = 0; k < 4; ++k) {
      const double y = expected.at(s).at(keys[k]);
      EXPECT_NEAR(sites.at("rows").at(s).at(k + 1).get<double>(), y, 1e-12 * std::abs(y));
    }
  }
  const Json& rule = results.at("variants").at(0).at("rules").at(0);
  EXPECT_EQ(Csv("SELECT rule, touched, changed FROM variant_rule WHERE own AND variant='e4m3'"),
            fmt::format("rule,touched,changed\r\n{},{},{}\r\n", rule.at("rule").get<std::string>(),
                        rule.at("elements").get<int>(), rule.at("changed").get<int>()));
  EXPECT_EQ(Csv("SELECT says, verdict, detail IS NOT NULL AS d FROM claim LIMIT 1"),
            "says,verdict,d\r\ne4m3 shows,supported,1\r\n");
  EXPECT_EQ(Csv("SELECT count(*) AS n FROM variant_time"), "n\r\n25\r\n");
  EXPECT_EQ(Csv("SELECT count(*) AS n FROM variant_generated WHERE variant='weights' AND same"),
            "n\r\n4\r\n");
  EXPECT_EQ(Csv("SELECT piece FROM variant_first_token WHERE variant='weights'"),
            Csv("SELECT piece FROM variant_generated WHERE variant='baseline' AND step=0"));
  EXPECT_EQ(Csv("SELECT count(*) = sum(next IS NOT NULL AND piece <> '') AS whole FROM "
                "variant_token"),
            "whole\r\n1\r\n");
  EXPECT_EQ(Csv("SELECT complete, ended >= started AS later FROM run"),
            "complete,later\r\n1,1\r\n");
}

TEST_F(QueryVerb, Formats) {
  const std::string sql =
      "SELECT 'a,\"b' AS t, NULL AS n, 9e999 AS inf, 0.1 AS x, '' AS e, x'00ff' AS b, 3 AS i";
  EXPECT_EQ(Csv(sql), "t,n,inf,x,e,b,i\r\n\"a,\"\"b\",,inf,0.1,\"\",00ff,3\r\n");
  EXPECT_EQ(Query(sql, "--jsonl").out,
            "{\"t\":\"a,\\\"b\",\"n\":null,\"inf\":null,\"x\":0.1,\"e\":\"\",\"b\":\"00ff\","
            "\"i\":3}\n");
  EXPECT_EQ(Query(sql, "--json").out,
            "{\"columns\":[\"t\",\"n\",\"inf\",\"x\",\"e\",\"b\",\"i\"],\"rows\":[\n"
            "[\"a,\\\"b\",null,null,0.1,\"\",\"00ff\",3]]}\n");
  EXPECT_EQ(Query("SELECT 'a' || char(10) || char(27) AS t, 1.0 AS x", "").out,
            "t        x\na\\n\\x1b  1\n");
  EXPECT_EQ(Query("SELECT 1 AS x WHERE 0", "").out, "x\n(no rows)\n");
  EXPECT_EQ(Query("SELECT 1 AS a WHERE 0", "--jsonl").out, "");
  const std::string file = folder_ + "/rows.csv";
  EXPECT_EQ(Vernier({"query", folder_ + "/out", "SELECT 1 AS a", "--csv", "-o", file}).out, "");
  EXPECT_EQ(ReadAll(file), "a\r\n1\r\n");
  // A store by the file's name; many rows.
  const Outcome many = Vernier({"query", folder_ + "/out/study.sqlite", "--csv",
                                "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n "
                                "WHERE x < 50000) SELECT x FROM n"});
  EXPECT_EQ(std::count(many.out.begin(), many.out.end(), '\n'), 50001);
}

TEST_F(QueryVerb, Refusals) {
  const auto refused = [&](const std::string& sql, const std::string& part) {
    ExpectRefused({"query", folder_ + "/out", sql}, part);
  };
  refused("SELEC 1", "near \"SELEC\": syntax error");
  refused("SELECT kdl FROM variant", "no such column: kdl; did you mean 'kld'?");
  refused("SELECT 1 FROM variants", "no such table: variants; did you mean 'variant'?");
  refused("SELECT 1; SELECT 2", "expected one SQL statement");
  refused(";", "the SQL is empty");
  refused("-- nothing", "the SQL is empty");
  ExpectRefused({"query", folder_ + "/out", "SELECT 1 AS a, 2 AS a", "--jsonl"},
                "two columns are named 'a'");
  ExpectRefused({"query", folder_ + "/out", "SELECT 1", "--csv", "--jsonl"}, "expected one of");
  ExpectRefused({"query", folder_, "SELECT 1"}, "there is no study.sqlite");
  ExpectRefused({"query", folder_ + "/none"}, "there is no study.sqlite");
}

// Whatever is asked, the folder stays as it is, to the byte.
TEST_F(QueryVerb, NothingIsWritten) {
  const auto state = [&] {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_))
      if (entry.is_regular_file()) files[entry.path()] = ReadAll(entry.path());
    return files;
  };
  const auto before = state();
  const std::string other = folder_ + "/other.sqlite";
  for (const std::string& sql : {std::string("DELETE FROM score"),
                                 std::string("INSERT INTO fit VALUES ('a', 'b', 1)"),
                                 std::string("UPDATE study SET name='x'"),
                                 std::string("DROP TABLE score"),
                                 std::string("CREATE TABLE t (x)"),
                                 std::string("CREATE TEMP TABLE t AS SELECT 1"),
                                 "ATTACH '" + other + "' AS o",
                                 "VACUUM INTO '" + other + "'",
                                 std::string("VACUUM"),
                                 std::string("PRAGMA user_version=7"),
                                 std::string("PRAGMA query_only=OFF"),
                                 std::string("PRAGMA journal_mode=WAL"),
                                 std::string("PRAGMA wal_checkpoint"),
                                 std::string("BEGIN IMMEDIATE"),
                                 std::string("REINDEX"),
                                 std::string("ANALYZE"),
                                 std::string("WITH x AS (SELECT 1) DELETE FROM score"),
                                 std::string("DELETE FROM score RETURNING *"),
                                 std::string("SELECT load_extension('/tmp/x.so')"),
                                 std::string("SELECT * FROM pragma_journal_mode")}) {
    const Outcome outcome = Query(sql, "");
    EXPECT_EQ(outcome.status, 2) << sql;
    EXPECT_EQ(outcome.out, "") << sql;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_TRUE(state() == before) << sql;
  }
  EXPECT_EQ(Query("SELECT * FROM variant_token ORDER BY kld DESC", "--jsonl").status, 0);
  EXPECT_EQ(Query("EXPLAIN QUERY PLAN SELECT * FROM variant", "").status, 0);
  EXPECT_TRUE(state() == before);
}

TEST_F(QueryVerb, DamagedStores) {
  const std::string whole = ReadAll(folder_ + "/out/study.sqlite"), folder = folder_ + "/damaged";
  std::filesystem::create_directories(folder);
  const auto put = [&](const std::string& content) {
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    WriteAll(folder + "/study.sqlite", content);
  };
  put("");
  ExpectRefused({"query", folder}, "not a study's store");
  put("a text that is no database, long enough for a header of one hundred bytes, which this is");
  ExpectRefused({"query", folder}, "file is not a database");
  for (const size_t at : {size_t{4096}, whole.size() / 3, whole.size() / 2}) {
    put(whole.substr(0, at));
    const Outcome asked =
        Vernier({"query", folder, "SELECT count(*), sum(nll) FROM variant_token"});
    const Outcome run = Vernier({"study", folder_ + "/s.toml", "-o", folder});
    for (const Outcome& outcome : {asked, run}) {
      EXPECT_EQ(outcome.status, 2) << at << outcome.out;
      EXPECT_NE(outcome.err.find("malformed"), std::string::npos) << outcome.err;
    }
  }
}

// docs/store.md has every table and column and no other, and its examples run.
TEST_F(QueryVerb, DocumentationIsTrue) {
  std::set<std::string> real, told;
  std::istringstream rows(Vernier({"query", folder_ + "/out", "--jsonl"}).out);
  for (std::string line; std::getline(rows, line);) {
    const Json row = Json::parse(line);
    real.insert(row.at("table").get<std::string>() + "." + row.at("column").get<std::string>());
  }
  const std::string text = ReadAll(kSource + "/docs/store.md");
  std::istringstream lines(text);
  std::string table;
  const std::regex heading("### `(\\w+)`.*"), names("\\| (`[^|]*) \\|.*"), name("`([^`]+)`");
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_match(line, match, heading)) table = match[1];
    if (line.starts_with("## ")) table.clear();
    if (table.empty() || !std::regex_match(line, match, names)) continue;
    const std::string cell = match[1];
    for (std::sregex_iterator at(cell.begin(), cell.end(), name), end; at != end; ++at)
      told.insert(table + "." + (*at)[1].str());
  }
  for (const std::string& column : real) EXPECT_TRUE(told.contains(column)) << column;
  for (const std::string& column : told) EXPECT_TRUE(real.contains(column)) << column;
  size_t examples = 0;
  for (size_t at = 0; (at = text.find("```sql\n", at)) != std::string::npos; ++examples) {
    at += 7;
    const std::string sql = text.substr(at, text.find("```", at) - at);
    const Outcome outcome = Query(sql);
    EXPECT_EQ(outcome.status, 0) << sql << outcome.err;
    EXPECT_GT(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 1) << sql << "no rows";
  }
  EXPECT_GT(examples, 5u);
  const std::string listed = Vernier({"query", folder_ + "/out"}).out;
  EXPECT_NE(listed.find("variant_token (view)\n"), std::string::npos) << listed;
  EXPECT_NE(listed.find("  model, variant, kind, text, chunk,"), std::string::npos) << listed;
}

}  // namespace
}  // namespace vernier
