#include "study/store.h"

#include <sqlite3.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <csignal>
#include <limits>
#include <thread>

#include "study/store_dump_testing.h"
#include "study/study_testing.h"
#include "study/synthetic_store_testing.h"

namespace vernier {
namespace {

ChunkScore Example(double start) {
  ChunkScore score;
  for (int i = 0; i < 3; ++i) {
    TokenMeasure m;
    m.nll = start + i / 3.0;
    m.kld = i == 0 ? std::nan("") : std::numeric_limits<double>::denorm_min();
    m.delta_p = -1 / 3.0;
    m.kld_truth =
        i == 1 ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
    m.max_abs = 0.1f;
    m.mae = std::numeric_limits<float>::quiet_NaN();
    m.mae_truth = std::numeric_limits<float>::max();
    m.margin = 3;
    m.same_top = static_cast<uint8_t>(i == 1);
    m.correct = static_cast<uint8_t>(i == 2);
    score.tokens.push_back(m);
  }
  score.fingerprint = HashText(std::to_string(start));
  score.effects = {TreatmentCounts{4, 3, 2, 1}, TreatmentCounts{uint64_t{1} << 60, 1, 0, 0}};
  score.sites.resize(2);
  score.sites[0].error = 1.5;
  score.sites[1] = {.error = 3.5,
                    .reference = 4.5,
                    .truth_error = 5.5,
                    .truth_reference = 6.5,
                    .count = 7.5,
                    .sum = -8.5,
                    .squares = 9.5,
                    .low = -1.5,
                    .high = 11.5,
                    .max_error = 12.5,
                    .first = {1, 2, 3, 4, 5},
                    .beside = 13.5,
                    .beside_max = 14.5,
                    .inherited = 10.5};
  return score;
}

const std::vector<uint32_t> kPositions = {5, 6, 30};
const std::vector<int> kSites = {2, 17};
ScoredChunk Where(const std::string& key) { return {key, kPositions, kSites}; }

template <class T>
uint64_t Bits(T value) {
  return std::bit_cast<uint64_t>(static_cast<double>(value));
}

void ExpectSame(const ChunkScore& a, const ChunkScore& b) {
  EXPECT_EQ(a.fingerprint, b.fingerprint);
  ASSERT_EQ(a.tokens.size(), b.tokens.size());
  for (size_t i = 0; i < a.tokens.size(); ++i) {
    EXPECT_EQ(Bits(a.tokens[i].nll), Bits(b.tokens[i].nll));
    EXPECT_EQ(Bits(a.tokens[i].kld), Bits(b.tokens[i].kld));
    EXPECT_EQ(Bits(a.tokens[i].delta_p), Bits(b.tokens[i].delta_p));
    EXPECT_EQ(Bits(a.tokens[i].kld_truth), Bits(b.tokens[i].kld_truth));
    EXPECT_EQ(Bits(a.tokens[i].max_abs), Bits(b.tokens[i].max_abs));
    EXPECT_EQ(Bits(a.tokens[i].mae), Bits(b.tokens[i].mae));
    EXPECT_EQ(Bits(a.tokens[i].mae_truth), Bits(b.tokens[i].mae_truth));
    EXPECT_EQ(Bits(a.tokens[i].margin), Bits(b.tokens[i].margin));
    EXPECT_EQ(a.tokens[i].same_top, b.tokens[i].same_top);
    EXPECT_EQ(a.tokens[i].correct, b.tokens[i].correct);
  }
  EXPECT_EQ(a.effects, b.effects);
  ASSERT_EQ(a.sites.size(), b.sites.size());
  for (size_t i = 0; i < a.sites.size(); ++i) {
    EXPECT_EQ(a.sites[i].error, b.sites[i].error);
    EXPECT_EQ(a.sites[i].reference, b.sites[i].reference);
    EXPECT_EQ(a.sites[i].truth_error, b.sites[i].truth_error);
    EXPECT_EQ(a.sites[i].truth_reference, b.sites[i].truth_reference);
    EXPECT_EQ(a.sites[i].count, b.sites[i].count);
    EXPECT_EQ(a.sites[i].sum, b.sites[i].sum);
    EXPECT_EQ(a.sites[i].squares, b.sites[i].squares);
    EXPECT_EQ(a.sites[i].inherited, b.sites[i].inherited);
    EXPECT_EQ(a.sites[i].low, b.sites[i].low);
    EXPECT_EQ(a.sites[i].high, b.sites[i].high);
    EXPECT_EQ(a.sites[i].max_error, b.sites[i].max_error);
    EXPECT_EQ(a.sites[i].first, b.sites[i].first);
    EXPECT_EQ(a.sites[i].beside, b.sites[i].beside);
    EXPECT_EQ(a.sites[i].beside_max, b.sites[i].beside_max);
  }
}

class StoreTest : public testing::Test {
 protected:
  // Runs SQL on a file of the folder.
  void Sql(const std::string& file, const std::string& sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open((folder_ / file).c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(db);
    sqlite3_close(db);
  }
  std::string ReadAll(const std::string& file) {
    std::ifstream in(folder_ / file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  ScratchFolder folder_;
};

TEST_F(StoreTest, ComesBackAsItWas) {
  {
    auto store = Store::Open(folder_ / "a/b").value();
    EXPECT_FALSE(store->HasScore("l", "c").value());
    EXPECT_FALSE(store->GetScore("l", "c").value());
    EXPECT_FALSE(store->GetValue("k").value());
    ASSERT_TRUE(store->PutScores({"l", "m"}, Where("c"), {Example(1), Example(2)}));
    ASSERT_TRUE(store->PutValue("k", std::string("v\0w", 3)));
    ASSERT_TRUE(store->PutValue("empty", ""));
    ASSERT_TRUE(store->PutScores({"none"}, {"c", {}, {}}, {ChunkScore{}}));
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "a/b/study.sqlite-wal")) << "one file is left";
  auto store = Store::Open(folder_ / "a/b").value();
  EXPECT_TRUE(store->HasScore("l", "c").value());
  EXPECT_FALSE(store->HasScore("l", "d").value());
  ExpectSame(*store->GetScore("l", "c").value(), Example(1));
  ExpectSame(*store->GetScore("m", "c").value(), Example(2));
  EXPECT_TRUE(store->GetScore("none", "c").value()->tokens.empty());
  EXPECT_EQ(store->GetValue("empty").value(), "");
  EXPECT_EQ(*store->GetValue("k").value(), std::string("v\0w", 3));
  ASSERT_TRUE(store->PutValue("k", "other"));
  EXPECT_EQ(store->GetValue("k").value(), "other");
  ASSERT_TRUE(store->PutScores({"l", "n"}, Where("c"), {Example(3), Example(4)}));
  ExpectSame(*store->GetScore("l", "c").value(), Example(1));  // what is there stays
  ExpectSame(*store->GetScore("n", "c").value(), Example(4));
}

TEST_F(StoreTest, TextsComeBackAsTheyWere) {
  const std::vector<ContinuationKey> keys = {{"l", "p", 3}, {"m", "p", 3}};
  const std::vector<Continuation> texts = {{{3, 1, 2}, {0.1, std::nan(""), 1e300}}, {{}, {}}};
  const std::vector<FirstToken> first = {{7, -1.5, 0.1, 3, 1e-9}};
  {
    auto store = Store::Open(folder_ / ".").value();
    ASSERT_TRUE(store->PutContinuations(keys, texts));
    ASSERT_TRUE(store->PutFirstTokens({"l"}, "p", first));
    ASSERT_TRUE(store->PutFit("f", {"a=bf16", "b"}));
    ASSERT_TRUE(store->PutFit("none", {}));
    ASSERT_TRUE(store->PutTiming("l", {{1, 2}, {3, 4}}));
    EvaluationCost cost;
    cost.rows_naive = 5;
    ASSERT_TRUE(store->AddCost("m", {"r"}, {cost, 0.5}));
    EXPECT_EQ(store->AddCost("m", {"r"}, {cost, 1})->evaluation.rows_naive, 10u);
    EXPECT_EQ(store->AddCost("m", {"r"}, {})->seconds, 1.5);
    EXPECT_EQ(store->AddCost("m", {}, {})->seconds, 0);
  }
  auto store = Store::Open(folder_ / ".").value();
  const auto text = store->GetContinuation(keys[0]).value();
  EXPECT_EQ(text->tokens, texts[0].tokens);
  EXPECT_EQ(text->margins[0], 0.1);
  EXPECT_TRUE(std::isnan(text->margins[1]));
  EXPECT_TRUE(store->GetContinuation(keys[1]).value()->tokens.empty());
  EXPECT_FALSE(store->GetContinuation({"l", "p", 4}).value());
  EXPECT_FALSE(store->GetContinuation({"l", "q", 3}).value());
  EXPECT_EQ(store->GetFirstToken("l", "p").value()->logit, -1.5);
  EXPECT_EQ(store->GetFirstToken("l", "p").value()->rank, 3u);
  EXPECT_FALSE(store->GetFirstToken("m", "p").value());
  EXPECT_EQ(store->GetFit("f").value(), (std::vector<std::string>{"a=bf16", "b"}));
  EXPECT_TRUE(store->GetFit("none").value()->empty());
  EXPECT_FALSE(store->GetFit("g").value());
  EXPECT_EQ(store->GetTiming("l").value().variant, (std::vector<double>{3, 4}));
  EXPECT_TRUE(store->GetTiming("m").value().baseline.empty());
  store.reset();
  // What is damaged is computed again.
  Sql("study.sqlite",
      "UPDATE generated_token SET token=9 WHERE step=2; UPDATE first_token SET kld=1;"
      "UPDATE fit SET rules='[\"a=bf17\"]'");
  store = Store::Open(folder_ / ".").value();
  EXPECT_FALSE(store->GetContinuation(keys[0]).value());
  EXPECT_FALSE(store->GetFirstToken("l", "p").value());
  EXPECT_FALSE(store->GetFit("f").value());
  ASSERT_TRUE(store->PutContinuations(keys, texts));
  EXPECT_EQ(store->GetContinuation(keys[0]).value()->tokens, texts[0].tokens);
}

TEST_F(StoreTest, OtherFilesAreLeftAlone) {
  folder_.Write("study.sqlite", "this is a text, not a database, and long enough to be looked at");
  ExpectError(Store::Open(folder_ / "."), "study.sqlite");
  ExpectError(StoreReader::Open(folder_ / "."), "study.sqlite");
  EXPECT_EQ(ReadAll("study.sqlite").rfind("this is a text", 0), 0u);

  std::filesystem::remove(folder_ / "study.sqlite");
  Sql("study.sqlite", "CREATE TABLE bookmarks (url TEXT)");
  const std::string before = ReadAll("study.sqlite");
  ExpectError(Store::Open(folder_ / "."), "not a study's store");
  ExpectError(StoreReader::Open(folder_ / "."), "not a study's store");
  EXPECT_EQ(ReadAll("study.sqlite"), before) << "somebody else's database";

  std::filesystem::remove(folder_ / "study.sqlite");
  Sql("study.sqlite", "PRAGMA application_id=77");
  ExpectError(Store::Open(folder_ / "."), "not a study's store");
}

TEST_F(StoreTest, OtherVersions) {
  ASSERT_TRUE(Store::Open(folder_ / "."));
  Sql("study.sqlite", fmt::format("PRAGMA user_version={}", kStoreVersion + 1));
  ExpectError(Store::Open(folder_ / "."), "later version");
  ExpectError(StoreReader::Open(folder_ / "."), "later version");
  Sql("study.sqlite", "PRAGMA user_version=1");
  ExpectError(Store::Open(folder_ / "."), "earlier version (schema 1, expected");
}

TEST_F(StoreTest, NoFolder) {
  folder_.Write("file", "");
  ExpectError(Store::Open(folder_ / "file"), "file");
  ExpectError(Store::Open(folder_ / "file/below"), "file/below");
  ExpectError(Store::Open("/proc/vernier"), "/proc/vernier");
  std::filesystem::create_directories(folder_ / "taken/study.sqlite");
  ExpectError(Store::Open(folder_ / "taken"), "taken/study.sqlite");
  ExpectError(StoreReader::Open(folder_ / "taken"), "taken/study.sqlite");
  ExpectError(StoreReader::Open(folder_ / "none"), "there is no study.sqlite");
}

// Any number that is not the one put in shows.
TEST_F(StoreTest, DamagedScores) {
  const std::vector<std::string> lanes = {"a", "b", "c", "d", "e", "f", "g"};
  {
    auto store = Store::Open(folder_ / ".").value();
    ASSERT_TRUE(
        store->PutScores(lanes, Where("x"), std::vector<ChunkScore>(lanes.size(), Example(1))));
  }
  Sql("study.sqlite",
      "UPDATE token_measure SET nll=nll+1e-15 WHERE lane=1 AND position=30;"
      "DELETE FROM token_measure WHERE lane=2 AND position=6;"
      "UPDATE score SET fingerprint='' WHERE lane=3;"
      "UPDATE site_sums SET site=3 WHERE lane=4 AND site=2;"
      "UPDATE rule_effect SET changed=4 WHERE lane=5 AND rule=0;"
      "DELETE FROM rule_effect WHERE lane=6;");
  auto store = Store::Open(folder_ / ".").value();
  for (size_t l = 0; l + 1 < lanes.size(); ++l)
    ExpectError(store->GetScore(lanes[l], "x"), "damaged; remove the file");
  ExpectSame(*store->GetScore("g", "x").value(), Example(1));
}

// A damaged file gives errors, or what was put in: never a crash, never other numbers.
TEST_F(StoreTest, DamagedBytes) {
  {
    auto store = Store::Open(folder_ / ".").value();
    for (int i = 0; i < 30; ++i)
      ASSERT_TRUE(
          store->PutScores({"a", "b"}, Where(std::to_string(i)), {Example(i), Example(-i)}));
  }
  const std::string whole = ReadAll("study.sqlite");
  size_t refused = 0, damaged = 0, good = 0;
  const auto try_it = [&](const std::string& content) {
    for (const char* old : {"study.sqlite-wal", "study.sqlite-shm", "study.sqlite-journal"})
      std::filesystem::remove(folder_ / old);
    folder_.Write("study.sqlite", content);
    if (const auto reader = StoreReader::Open(folder_ / "."))
      (void)(*reader)->Query(
          "SELECT * FROM token_measure ORDER BY kld", [](const auto&) { return Status{}; },
          [](const auto&) { return Status{}; });
    auto store = Store::Open(folder_ / ".");
    if (!store) {
      EXPECT_NE(store.error().message.find("study.sqlite"), std::string::npos);
      ++refused;
      return;
    }
    for (int i = 0; i < 30; ++i) {
      const auto score = (*store)->GetScore("a", std::to_string(i));
      if (!score) {
        EXPECT_NE(score.error().message.find("study.sqlite"), std::string::npos);
        ++damaged;
      } else if (*score) {
        ExpectSame(**score, Example(i));
        ++good;
      }
    }
  };
  for (size_t at = 0; at < whole.size(); at += whole.size() / 40) {
    const size_t n = std::min<size_t>(40, whole.size() - at);
    std::string ones = whole, bit = whole;
    ones.replace(at, n, n, '\xff');
    bit[at + n / 2] = static_cast<char>(bit[at + n / 2] ^ 4);
    try_it(ones);
    try_it(bit);
    try_it(whole.substr(0, at));
  }
  EXPECT_GT(refused, 0u);
  EXPECT_GT(damaged, 0u);
  EXPECT_GT(good, 0u);
}

// No room: an error that says so, and the store as it was before.
TEST_F(StoreTest, FullDisk) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  for (rlim_t limit = 180000; limit < 230000; limit += 5000) {
    SCOPED_TRACE(limit);
    const std::string folder = folder_ / std::to_string(limit);
    auto store = Store::Open(folder).value();
    const rlimit little{limit, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &little);
    Status done;
    int written = 0;
    for (; done && written < 10000; ++written)
      done = store->PutScores({"a"}, Where(std::to_string(written)), {Example(written)});
    setrlimit(RLIMIT_FSIZE, &before);
    ASSERT_FALSE(done);
    const std::string& message = done.error().message;
    EXPECT_NE(message.find("study.sqlite: "), std::string::npos) << message;
    EXPECT_NE(message.find("File too large"), std::string::npos) << message;
    store.reset();
    store = Store::Open(folder).value();
    const int last = written - 1;
    EXPECT_FALSE(store->HasScore("a", std::to_string(last)).value());
    for (int i = 0; i < last; ++i)
      ExpectSame(*store->GetScore("a", std::to_string(i)).value(), Example(i));
    EXPECT_TRUE(store->PutScores({"a"}, Where(std::to_string(last)), {Example(last)}));
  }
}

// A folder that cannot be written to, by whom it cannot be: root can always.
class Unprivileged {
 public:
  explicit Unprivileged(const std::string& folder) : folder_(folder) {
    std::filesystem::permissions(folder_, std::filesystem::perms(0555));
    if (was_ == 0) {
      EXPECT_EQ(seteuid(65534), 0);
    }
  }
  ~Unprivileged() {
    if (was_ == 0) {
      EXPECT_EQ(seteuid(0), 0);
    }
    std::filesystem::permissions(folder_, std::filesystem::perms(0755));
  }

 private:
  uid_t was_ = geteuid();
  std::string folder_;
};

TEST_F(StoreTest, FolderThatCannotBeWritten) {
  const auto scores = [&]() -> int64_t {
    const auto reader = StoreReader::Open(folder_ / ".");
    if (!reader) {
      EXPECT_NE(reader.error().message.find("study.sqlite: "), std::string::npos);
      return -1;
    }
    int64_t count = -1;
    const Status done = (*reader)->Query(
        "SELECT count(*) FROM score", [](const auto&) { return Status{}; },
        [&](const std::vector<SqlValue>& values) -> Status {
          count = values[0].integer;
          return {};
        });
    EXPECT_TRUE(done) << (done ? "" : done.error().message);
    return count;
  };
  {
    const Unprivileged guard(folder_ / ".");
    ExpectError(Store::Open(folder_ / "."), "study.sqlite: unable to open");
    ExpectError(Store::Open(folder_ / "below"), "below: cannot make the folder");
  }
  ASSERT_TRUE(Store::Open(folder_ / ".").value()->PutScores({"a"}, Where("0"), {Example(1)}));
  {
    const Unprivileged guard(folder_ / ".");
    EXPECT_EQ(scores(), 1);
    ExpectError(Store::Open(folder_ / "."), "study.sqlite: ");
  }
  Sql("study.sqlite", "PRAGMA journal_mode=WAL");  // as a killed process leaves it, its log empty
  {
    const Unprivileged guard(folder_ / ".");
    EXPECT_EQ(scores(), 1);
  }
  // Its log full: what is in it cannot be left out, and cannot be read without writing.
  auto store = Store::Open(folder_ / ".").value();
  ASSERT_TRUE(store->PutScores({"a"}, Where("1"), {Example(1)}));
  const std::string file = ReadAll("study.sqlite"), log = ReadAll("study.sqlite-wal");
  store.reset();
  folder_.Write("study.sqlite", file);
  folder_.Write("study.sqlite-wal", log);
  {
    const Unprivileged guard(folder_ / ".");
    EXPECT_EQ(scores(), -1);
  }
  EXPECT_EQ(scores(), 2);
}

TEST_F(StoreTest, ManyUseOneFileAtOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> failures = 0;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        // Opened and closed again and again: the last one out changes the journal.
        auto store = Store::Open(folder_ / "shared");
        if (!store) {
          ADD_FAILURE() << store.error().message;
          ++failures;
          return;
        }
        const std::string key = std::to_string(i);
        failures += !(*store)->PutScores({"l" + std::to_string(t), "all"}, Where(key),
                                         {Example(t), Example(i)});
        failures += !(*store)->HasScore("all", key).value_or(false);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  auto store = Store::Open(folder_ / "shared").value();
  for (int t = 0; t < 4; ++t)
    for (int i = 0; i < 20; ++i) {
      ExpectSame(*store->GetScore("l" + std::to_string(t), std::to_string(i)).value(), Example(t));
      ExpectSame(*store->GetScore("all", std::to_string(i)).value(), Example(i));
    }
}

// A study of 200 variants and 10^6 token measures takes under 200 MB: under 200 bytes a measure,
// sites included.
TEST_F(StoreTest, Size) {
  SyntheticStudy of;
  of.variants = 20;
  of.measures = 40000;
  ASSERT_TRUE(FillSynthetic(*Store::Open(folder_ / ".").value(), of));
  EXPECT_LT(std::filesystem::file_size(folder_ / "study.sqlite"), 8000000u);
  const auto reader = StoreReader::Open(folder_ / ".").value();
  std::vector<SqlValue> row;
  const auto ask = [&](const std::string& sql) {
    row.clear();
    const Status done = reader->Query(
        sql, [](const auto&) { return Status{}; },
        [&](const std::vector<SqlValue>& values) -> Status {
          row = values;
          return {};
        });
    EXPECT_TRUE(done) << (done ? "" : done.error().message);
    return row;
  };
  EXPECT_GE(ask("SELECT sum(tokens) FROM variant WHERE kind='variant'")[0].integer, 40000);
  EXPECT_EQ(ask("SELECT count(*) FROM variant")[0].integer, 22);
  EXPECT_EQ(ask("SELECT count(*) FROM variant_site WHERE variant='variant 3'")[0].integer, 24);
}

}  // namespace
}  // namespace vernier
