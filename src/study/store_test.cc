#include "study/store.h"

#include <sqlite3.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <thread>

#include "study/study_testing.h"

namespace vernier {
namespace {

ChunkScore Example(double start) {
  ChunkScore score;
  for (int i = 0; i < 3; ++i) {
    TokenMeasure m;
    m.nll = start + i / 3.0;
    m.kld = std::numeric_limits<double>::denorm_min();
    m.delta_p = -0.0;
    m.kld_truth = std::numeric_limits<double>::infinity();
    m.max_abs = 0.1f;
    m.mae = 0.2f;
    m.margin = 3;
    m.same_top = static_cast<uint8_t>(i == 1);
    m.correct = static_cast<uint8_t>(i == 2);
    score.tokens.push_back(m);
  }
  score.fingerprint = HashText(std::to_string(start));
  score.effects = {TreatmentCounts{4, 3, 2, 1}};
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

void ExpectSame(const ChunkScore& a, const ChunkScore& b) {
  EXPECT_EQ(a.fingerprint, b.fingerprint);
  ASSERT_EQ(a.tokens.size(), b.tokens.size());
  for (size_t i = 0; i < a.tokens.size(); ++i) {
    EXPECT_EQ(a.tokens[i].nll, b.tokens[i].nll);
    EXPECT_EQ(a.tokens[i].kld, b.tokens[i].kld);
    EXPECT_EQ(std::signbit(a.tokens[i].delta_p), std::signbit(b.tokens[i].delta_p));
    EXPECT_EQ(a.tokens[i].kld_truth, b.tokens[i].kld_truth);
    EXPECT_EQ(a.tokens[i].max_abs, b.tokens[i].max_abs);
    EXPECT_EQ(a.tokens[i].mae, b.tokens[i].mae);
    EXPECT_EQ(a.tokens[i].margin, b.tokens[i].margin);
    EXPECT_EQ(a.tokens[i].same_top, b.tokens[i].same_top);
    EXPECT_EQ(a.tokens[i].correct, b.tokens[i].correct);
  }
  ASSERT_EQ(a.effects.size(), b.effects.size());
  EXPECT_EQ(a.effects[0].touched, b.effects[0].touched);
  EXPECT_EQ(a.effects[0].changed, b.effects[0].changed);
  EXPECT_EQ(a.effects[0].saturated, b.effects[0].saturated);
  EXPECT_EQ(a.effects[0].flushed, b.effects[0].flushed);
  ASSERT_EQ(a.sites.size(), b.sites.size());
  EXPECT_EQ(a.sites[1].error, b.sites[1].error);
  EXPECT_EQ(a.sites[1].reference, b.sites[1].reference);
  EXPECT_EQ(a.sites[1].truth_error, b.sites[1].truth_error);
  EXPECT_EQ(a.sites[1].truth_reference, b.sites[1].truth_reference);
  EXPECT_EQ(a.sites[1].count, b.sites[1].count);
  EXPECT_EQ(a.sites[1].sum, b.sites[1].sum);
  EXPECT_EQ(a.sites[1].squares, b.sites[1].squares);
  EXPECT_EQ(a.sites[1].inherited, b.sites[1].inherited);
  EXPECT_EQ(a.sites[1].low, b.sites[1].low);
  EXPECT_EQ(a.sites[1].high, b.sites[1].high);
  EXPECT_EQ(a.sites[1].max_error, b.sites[1].max_error);
  EXPECT_EQ(a.sites[1].first, b.sites[1].first);
  EXPECT_EQ(a.sites[1].beside, b.sites[1].beside);
  EXPECT_EQ(a.sites[1].beside_max, b.sites[1].beside_max);
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
    ASSERT_TRUE(store->PutScores({"l", "m"}, "c", {Example(1), Example(2)}));
    ASSERT_TRUE(store->PutValue("k", std::string("v\0w", 3)));
    ASSERT_TRUE(store->PutValue("empty", ""));
    ASSERT_TRUE(store->PutScores({"none"}, "c", {ChunkScore{}}));
  }
  auto store = Store::Open(folder_ / "a/b").value();
  EXPECT_TRUE(store->HasScore("l", "c").value());
  EXPECT_FALSE(store->HasScore("l", "d").value());
  ExpectSame(*store->GetScore("l", "c").value(), Example(1));
  ExpectSame(*store->GetScore("m", "c").value(), Example(2));
  EXPECT_TRUE(store->GetScore("none", "c").value()->tokens.empty());
  EXPECT_EQ(store->GetValue("empty").value(), "");
  EXPECT_EQ(*store->GetValue("k").value(), std::string("v\0w", 3));
  ASSERT_TRUE(store->PutScores({"l"}, "c", {Example(3)}));
  ExpectSame(*store->GetScore("l", "c").value(), Example(3));
}

TEST_F(StoreTest, OtherFilesAreLeftAlone) {
  folder_.Write("study.sqlite", "this is a text, not a database, and long enough to be looked at");
  ExpectError(Store::Open(folder_ / "."), "study.sqlite");
  EXPECT_EQ(ReadAll("study.sqlite").rfind("this is a text", 0), 0u);

  std::filesystem::remove(folder_ / "study.sqlite");
  Sql("study.sqlite", "CREATE TABLE bookmarks (url TEXT)");
  const std::string before = ReadAll("study.sqlite");
  ExpectError(Store::Open(folder_ / "."), "not a study's store");
  EXPECT_EQ(ReadAll("study.sqlite"), before) << "somebody else's database";

  std::filesystem::remove(folder_ / "study.sqlite");
  Sql("study.sqlite", "PRAGMA application_id=77");
  ExpectError(Store::Open(folder_ / "."), "not a study's store");
}

TEST_F(StoreTest, LaterVersion) {
  ASSERT_TRUE(Store::Open(folder_ / "."));
  Sql("study.sqlite", "PRAGMA user_version=2");
  ExpectError(Store::Open(folder_ / "."), "later version");
}

TEST_F(StoreTest, NoFolder) {
  folder_.Write("file", "");
  ExpectError(Store::Open(folder_ / "file"), "file");
  ExpectError(Store::Open(folder_ / "file/below"), "file/below");
  ExpectError(Store::Open("/proc/vernier"), "/proc/vernier");
  std::filesystem::create_directories(folder_ / "taken/study.sqlite");
  ExpectError(Store::Open(folder_ / "taken"), "taken/study.sqlite");
}

TEST_F(StoreTest, DamagedRecords) {
  {
    auto store = Store::Open(folder_ / ".").value();
    ASSERT_TRUE(
        store->PutScores({"a", "b", "c", "d"}, "x", std::vector<ChunkScore>(4, Example(1))));
  }
  Sql("study.sqlite",
      "UPDATE score SET tokens=x'0102' WHERE lane='a';"
      "UPDATE score SET fingerprint=x'' WHERE lane='b';"
      "UPDATE score SET sites='text' WHERE lane='c'");
  auto store = Store::Open(folder_ / ".").value();
  for (const char* lane : {"a", "b", "c"}) ExpectError(store->GetScore(lane, "x"), "damaged");
  ExpectSame(*store->GetScore("d", "x").value(), Example(1));
}

// A damaged file gives errors and wrong answers at most: never a crash.
TEST_F(StoreTest, DamagedBytes) {
  {
    auto store = Store::Open(folder_ / ".").value();
    for (int i = 0; i < 30; ++i)
      ASSERT_TRUE(store->PutScores({"a", "b"}, std::to_string(i), {Example(i), Example(-i)}));
  }
  const std::string whole = ReadAll("study.sqlite");
  size_t refused = 0;
  for (size_t at = 0; at < whole.size(); at += 311) {
    std::string bytes = whole;
    bytes.replace(at, std::min<size_t>(40, whole.size() - at),
                  std::min<size_t>(40, whole.size() - at), '\xff');
    for (const std::string& content : {bytes, whole.substr(0, at)}) {
      for (const char* old : {"study.sqlite-wal", "study.sqlite-shm"})
        std::filesystem::remove(folder_ / old);
      folder_.Write("study.sqlite", content);
      auto store = Store::Open(folder_ / ".");
      if (!store) {
        EXPECT_NE(store.error().message.find("study.sqlite"), std::string::npos);
        ++refused;
        continue;
      }
      for (int i = 0; i < 30; ++i) {
        const auto score = (*store)->GetScore("a", std::to_string(i));
        if (score) continue;
        EXPECT_NE(score.error().message.find("study.sqlite"), std::string::npos);
      }
    }
  }
  EXPECT_GT(refused, 0u);
}

TEST_F(StoreTest, ManyOpenOneFileAtOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> failures = 0;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      auto store = Store::Open(folder_ / "shared");
      if (!store) {
        ADD_FAILURE() << store.error().message;
        ++failures;
        return;
      }
      for (int i = 0; i < 20; ++i)
        failures +=
            !(*store)->PutScores({"l" + std::to_string(t)}, std::to_string(i), {Example(t)});
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  auto store = Store::Open(folder_ / "shared").value();
  for (int t = 0; t < 4; ++t)
    for (int i = 0; i < 20; ++i)
      EXPECT_TRUE(store->HasScore("l" + std::to_string(t), std::to_string(i)).value());
}

}  // namespace
}  // namespace vernier
