#include "measure/bench_inference.h"

#include <gtest/gtest.h>

#include <set>

#include "measure/bench_bounds.h"

namespace vernier {
namespace {

std::unique_ptr<Model> Open(const char* name) {
  return Model::Open(std::string(VERNIER_SOURCE_DIR) + "/models/" + name, {.threads = 2}).value();
}

// Counted from the checkpoint's own tensors: every matrix of a layer is met once by a token, the
// head by tokens whose logits are wanted.
TEST(BenchInference, WorkIsWhatTheTensorsHold) {
  const auto model = Open("tiny-llama");
  const TokenWork work = WorkOfToken(model->graph());
  uint64_t layers = 0, bytes = 0;
  const TensorView* head = nullptr;
  for (const TensorView& tensor : model->checkpoint().tensors) {
    if (tensor.name == "lm_head.weight") head = &tensor;
    if (tensor.name.find("_proj.weight") != std::string::npos)
      layers += static_cast<uint64_t>(tensor.Elements());
    if (tensor.name != "model.embed_tokens.weight") bytes += tensor.data.size();
  }
  EXPECT_EQ(work.layer_weights, layers);
  if (head == nullptr) {  // tied: the embeddings are read as the head
    head = model->checkpoint().Find("model.embed_tokens.weight");
    bytes += head->data.size();
  }
  EXPECT_EQ(work.head_weights, static_cast<uint64_t>(head->Elements()));
  EXPECT_EQ(work.bytes, bytes);
}

TEST(BenchInference, PromptStaysInTheVocabulary) {
  EXPECT_EQ(BenchPrompt(3, 32000), (std::vector<int32_t>{313, 8232, 16151}));
  EXPECT_EQ(BenchPrompt(2, 500), (std::vector<int32_t>{13, 432}));
  for (const size_t vocabulary : {1u, 999u, 1000u, 1024u, 151936u})
    for (const int32_t id : BenchPrompt(2000, vocabulary)) {
      ASSERT_GE(id, 0);
      ASSERT_LT(static_cast<size_t>(id), vocabulary);
    }
}

TEST(BenchInference, MedianAndExtremes) {
  const Spread odd = SpreadOf({3, 1, 2}), even = SpreadOf({4, 1, 2, 8});
  EXPECT_EQ(odd.median, 2);
  EXPECT_EQ(odd.least, 1);
  EXPECT_EQ(odd.most, 3);
  EXPECT_EQ(even.median, 3);
}

TEST(BenchInference, LanesTakeTurnsAndEachIsTimed) {
  const auto model = Open("tiny-qwen2");
  const Plan plain = MakePlan(*model, {}).value(),
             ruled = MakePlan(*model, ParseRecipe({"ffn_norm=bf16"}).value()).value();
  std::vector<double> done;
  const auto times =
      BenchInference(*model, {{"a", &plain}, {"b", &ruled}, {"c", &plain}},
                     {.prompt = 8, .tokens = 3, .repetitions = 2}, [&](const Progress& p) {
                       EXPECT_EQ(p.total, 9);
                       done.push_back(p.done);
                       return true;
                     });
  ASSERT_EQ(times.size(), 3u);
  EXPECT_EQ(done.size(), 9u);
  for (const LaneTimes& t : times) {
    EXPECT_GT(t.first_run, 0);
    ASSERT_EQ(t.prefill.size(), 2u);
    ASSERT_EQ(t.decode.size(), 2u);
    for (const double seconds : t.prefill) EXPECT_GT(seconds, 0);
    for (const double seconds : t.decode) EXPECT_GT(seconds, 0);
    double sum = 0;
    for (const auto& [op, seconds] : t.prefill_by_op) sum += seconds;
    EXPECT_GT(t.prefill_by_op.at("matmul"), 0);
    EXPECT_LE(sum, 1.001 * (t.prefill[0] + t.prefill[1]) / 2);
  }
}

TEST(BenchInference, StopsEarlyWithWhatEveryLaneHas) {
  const auto model = Open("tiny-qwen2");
  const Plan plain = MakePlan(*model, {}).value();
  const auto times = BenchInference(*model, {{"a", &plain}, {"b", &plain}},
                                    {.prompt = 4, .tokens = 1, .repetitions = 50},
                                    [](const Progress&) { return false; });
  EXPECT_EQ(times[0].prefill.size(), 1u);
  EXPECT_EQ(times[1].prefill.size(), 1u);
}

TEST(BenchBounds, AllArePositiveAndTheBestIsKept) {
  const MachineBounds a = MeasureBounds({.threads = 2, .seconds = 0.01, .read_bytes = 1 << 20});
  for (const Bound& bound : {a.fma_f32, a.fma_f64, a.dot_i8, a.read}) {
    EXPECT_GT(bound.one, 0);
    EXPECT_GT(bound.all, 0);
  }
  EXPECT_EQ(a.threads, 2);
  MachineBounds b = a;
  b.read.one *= 2;
  b.dot_i8.all /= 2;
  const MachineBounds best = BestOf(a, b);
  EXPECT_EQ(best.read.one, b.read.one);
  EXPECT_EQ(best.dot_i8.all, a.dot_i8.all);
}

}  // namespace
}  // namespace vernier
