#include "measure/layout_check.h"

#include <gtest/gtest.h>

#include "arch/architecture.h"
#include "formats/decode.h"

namespace vernier {
namespace {

std::vector<LayoutFinding> Check(const Graph& graph, const std::string& transposed = "") {
  std::vector<LayoutSample> samples = MakeLayoutSamples(graph);
  for (LayoutSample& sample : samples) {
    const WeightSlot& slot = graph.weights[static_cast<size_t>(sample.slot)];
    const auto rows = static_cast<size_t>(slot.tensor.Rows()),
               columns = static_cast<size_t>(slot.tensor.Columns());
    std::vector<float> x(rows * columns), y(rows * columns);
    DecodeToFloat(slot.tensor.type, slot.tensor.data, x);
    if (slot.name == transposed) {
      for (size_t r = 0; r < rows; ++r)
        for (size_t c = 0; c < columns; ++c) y[c * rows + r] = x[r * columns + c];
      x = y;
    }
    for (size_t at = 0; at < x.size(); at += 1000)  // in runs, as a file is decoded
      FillSample(at, std::span(x).subspan(at, std::min<size_t>(1000, x.size() - at)), &sample);
  }
  return CheckLayouts(graph, samples);
}

class LayoutCheck : public testing::TestWithParam<const char*> {};

TEST_P(LayoutCheck, TrainedModelsLieAsTheyShould) {
  const auto checkpoint = OpenCheckpoint(std::string(VERNIER_SOURCE_DIR) + "/models/" + GetParam());
  ASSERT_TRUE(checkpoint);
  const auto graph = BuildGraph(*checkpoint);
  ASSERT_TRUE(graph);
  size_t clear = 0;
  const auto findings = Check(*graph);
  for (const LayoutFinding& f : findings) {
    EXPECT_NE(f.verdict, LayoutVerdict::kSwapped)
        << graph->weights[static_cast<size_t>(f.slot)].name << " " << f.as_read << " " << f.other;
    clear += f.verdict == LayoutVerdict::kAsRead;
  }
  EXPECT_GE(clear + 2, findings.size());
}

// Each matrix with a residual side in turn, its data in the other order. Training has hardly moved
// some (attn_v of the first layer): of those nothing can be said.
TEST_P(LayoutCheck, EachTransposedMatrixIsFound) {
  const auto checkpoint = OpenCheckpoint(std::string(VERNIER_SOURCE_DIR) + "/models/" + GetParam());
  const auto graph = BuildGraph(*checkpoint);
  ASSERT_TRUE(graph);
  const auto right = Check(*graph);
  for (size_t s = 0; s < right.size(); ++s) {
    const std::string& name = graph->weights[static_cast<size_t>(right[s].slot)].name;
    const auto findings = Check(*graph, name);
    for (size_t f = 0; f < findings.size(); ++f) {
      const bool found = findings[f].verdict == LayoutVerdict::kSwapped;
      EXPECT_TRUE(f == s ? found || right[s].as_read < 1.1 : !found)
          << name << " transposed: " << graph->weights[static_cast<size_t>(findings[f].slot)].name
          << " " << findings[f].as_read << " +- " << findings[f].as_read_error << ", other order "
          << findings[f].other << " +- " << findings[f].other_error;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, LayoutCheck, testing::Values("tiny-llama", "tiny-qwen2"),
                         [](const auto& model) { return std::string(model.param).substr(5); });

}  // namespace
}  // namespace vernier
