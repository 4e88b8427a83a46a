// Studies killed at any moment, and two at once on one store: what is kept in the end is the same.
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <random>
#include <thread>

#include "cli/cli_testing.h"
#include "study/store_dump_testing.h"

namespace vernier {
namespace {

using Clock = std::chrono::steady_clock;

class StoreOfStudy : public testing::Test {
 protected:
  StoreOfStudy() : folder_(TempPath("stores")) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    WriteAll(folder_ + "/p.jsonl", "{\"prompt\": \"First Citizen\"}\n{\"prompt\": \"Now\"}\n");
    WriteAll(folder_ + "/s.toml", "name = \"s\"\nmodel = \"" + kQwen + "\"\ntexts = [\"" + kSource +
                                      R"(/data/shakespeare.txt"]
context = 16
chunks = 12
fit_chunks = 1
truth = true
noise = 1
first_token = { prompts = "p.jsonl" }
generate = { prompts = "p.jsonl", tokens = 3 }
[[variant]]
name = "rounded"
rules = ["ffn_norm=e4m3"]
[[variant]]
name = "corrected"
rules = ["ffn_norm=e4m3"]
correct = { site = "l_out", by = "scale" }
[[claim]]
says = "rounding shows"
expect = "kld('rounded') > 0"
)");
  }
  ~StoreOfStudy() override { std::filesystem::remove_all(folder_); }

  pid_t Start(const std::string& out) const {
    const std::string study = folder_ + "/s.toml", to = folder_ + "/" + out, log = folder_ + "/log";
    const pid_t pid = fork();
    if (pid == 0) {
      if (std::freopen(log.c_str(), "w", stdout) != nullptr &&
          std::freopen(log.c_str(), "a", stderr) != nullptr)
        execl(VERNIER_BINARY, "vernier", "study", study.c_str(), "-o", to.c_str(), "-t", "1",
              "--memory", "1", nullptr);
      _exit(99);
    }
    return pid;
  }
  int End(pid_t pid) const {  // exit status; -1: killed
    int status = 0;
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
      ADD_FAILURE() << WEXITSTATUS(status) << ": " << ReadAll(folder_ + "/log");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string folder_;
};

TEST_F(StoreOfStudy, KilledAtAnyMoment) {
  const auto start = Clock::now();
  ASSERT_EQ(End(Start("whole")), 0);
  const double whole = std::chrono::duration<double>(Clock::now() - start).count();
  const Json results = Json::parse(ReadAll(folder_ + "/whole/results.json"));
  const int wanted = std::getenv("VERNIER_TEST_ALL") != nullptr ? 200 : 10;
  std::mt19937_64 random(std::random_device{}());
  std::uniform_real_distribution<double> moment(0, whole);
  int kills = 0, resumed = 0;
  while (kills < wanted && !HasFailure()) {
    std::filesystem::remove_all(folder_ + "/out");
    // One or more kills, then to the end.
    for (int again = 1; again > 0 && kills < wanted;) {
      const pid_t pid = Start("out");
      std::this_thread::sleep_for(std::chrono::duration<double>(moment(random)));
      kill(pid, SIGKILL);
      const bool killed = End(pid) == -1;
      kills += killed;
      again = killed && random() % 2 == 0;
    }
    resumed += std::filesystem::exists(folder_ + "/out/study.sqlite");
    ASSERT_EQ(End(Start("out")), 0);
    ExpectSameStores(folder_ + "/whole", folder_ + "/out");
    Json again = Json::parse(ReadAll(folder_ + "/out/results.json"));
    again["cost"] = results.at("cost");
    EXPECT_EQ(again, results);
  }
  EXPECT_GT(resumed, 0) << "of " << kills << " kills none came after the store was made";
  std::printf("%d kills; %d studies run to the end, all with the same rows\n", kills, resumed);
}

TEST_F(StoreOfStudy, TwoAtOnce) {
  ASSERT_EQ(End(Start("whole")), 0);
  for (const int delay : {0, 40, 150}) {
    std::filesystem::remove_all(folder_ + "/out");
    const pid_t one = Start("out");
    std::this_thread::sleep_for(std::chrono::milliseconds(delay));
    const pid_t other = Start("out");
    EXPECT_EQ(End(one), 0);
    EXPECT_EQ(End(other), 0);
    ExpectSameStores(folder_ + "/whole", folder_ + "/out");
    const Json results = Json::parse(ReadAll(folder_ + "/whole/results.json"));
    Json both = Json::parse(ReadAll(folder_ + "/out/results.json"));
    both["cost"] = results.at("cost");
    EXPECT_EQ(both, results);
  }
}

// A study that finds no more room ends with a line, and goes on where there is some.
TEST_F(StoreOfStudy, NoRoom) {
  ASSERT_EQ(End(Start("whole")), 0);
  const std::string command = std::string("ulimit -f 150; '") + VERNIER_BINARY + "' study " +
                              folder_ + "/s.toml -o " + folder_ + "/out >" + folder_ + "/o 2>" +
                              folder_ + "/e";
  const int status = std::system(command.c_str());
  const std::string error = ReadAll(folder_ + "/e");
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 2) << error;
  EXPECT_NE(error.find("study.sqlite: "), std::string::npos) << error;
  EXPECT_NE(error.find("File too large"), std::string::npos) << error;
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 1) << error;
  EXPECT_EQ(End(Start("out")), 0);
  ExpectSameStores(folder_ + "/whole", folder_ + "/out");
}

}  // namespace
}  // namespace vernier
