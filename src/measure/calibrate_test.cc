// Calibration against plain loops over the values of every site.
#include "measure/calibrate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/model.h"
#include "measure/compare_runs.h"
#include "measure/site_statistics.h"

namespace vernier {
namespace {

std::unique_ptr<Model> Open(const std::string& name, int threads = 2) {
  ModelOptions options;
  options.threads = threads;
  return Model::Open(std::string(VERNIER_SOURCE_DIR) + "/models/" + name, options).value();
}

Plan PlanOf(Model& model, const std::vector<std::string>& rules) {
  return MakePlan(model, ParseRecipe(rules).value(), 0).value();
}

// Chunks of different lengths.
std::vector<std::vector<int32_t>> Chunks() {
  std::vector<std::vector<int32_t>> chunks;
  for (size_t n : {9, 24, 17, 24}) {
    auto& chunk = chunks.emplace_back();
    for (size_t i = 0; i < n; ++i)
      chunk.push_back(static_cast<int32_t>((i * i * 7 + 3 * i + 31 * n + chunks.size()) % 1000));
  }
  return chunks;
}

// [label][chunk]: all values, the operands of a node one after another.
using Values = std::map<std::string, std::vector<std::vector<double>>>;

Values ObserveAll(Model& model, const Plan& plan, const std::vector<std::vector<int32_t>>& chunks) {
  Values values;
  const Graph& graph = model.graph();
  for (size_t c = 0; c < chunks.size(); ++c) {
    CaptureRequest request{{&model, &plan}, chunks[c], {}, {}, {}};
    request.receive = [&](const SiteTensor& tensor) {
      auto& of_site = values[tensor.site->Label()];
      of_site.resize(chunks.size());
      const RowsView view{tensor.type, tensor.rows, tensor.widths};
      for (size_t r = 0; r < tensor.rows.size(); ++r)
        VisitRow(view, r, [&](const auto* row, size_t n) {
          of_site[c].insert(of_site[c].end(), row, row + n);
        });
    };
    EXPECT_TRUE(ObserveRun(request));
  }
  std::map<int, std::string> label_of_node;
  for (const Site& site : graph.sites)
    if (site.inner == InnerSite::kNone) label_of_node[site.node] = site.Label();
  for (const Site& site : graph.sites) {
    if (!HasOperands(graph, site)) continue;
    auto& operands = values[site.Label() + ".in"];
    operands.resize(chunks.size());
    for (const int input : graph.nodes[static_cast<size_t>(site.node)].inputs)
      for (size_t c = 0; c < chunks.size(); ++c) {
        const auto& from = values.at(label_of_node.at(input))[c];
        operands[c].insert(operands[c].end(), from.begin(), from.end());
      }
  }
  return values;
}

std::vector<double> SortedMagnitudes(std::vector<double> x) {
  for (double& v : x) v = std::abs(v);
  std::sort(x.begin(), x.end());
  return x;
}

double PercentileOf(const std::vector<double>& sorted, double p) {
  const double at = p / 100 * static_cast<double>(sorted.size() - 1);
  const auto k = static_cast<size_t>(at);
  if (k + 1 == sorted.size()) return sorted[k];
  return sorted[k] + (at - static_cast<double>(k)) * (sorted[k + 1] - sorted[k]);
}

void CheckPoint(const CalibratedPoint& point, const std::vector<std::vector<double>>& chunks,
                double factor) {
  std::vector<double> all;
  for (const auto& chunk : chunks) all.insert(all.end(), chunk.begin(), chunk.end());
  std::vector<double> sorted;  // all of them: merged, as sorting again is most of the test's time
  std::vector<std::vector<double>> sorted_chunks;
  for (const auto& chunk : chunks) {
    const std::vector<double>& next = sorted_chunks.emplace_back(SortedMagnitudes(chunk));
    std::vector<double> both(sorted.size() + next.size());
    std::merge(sorted.begin(), sorted.end(), next.begin(), next.end(), both.begin());
    sorted = std::move(both);
  }
  const CalibratedValues& v = point.values;
  ASSERT_EQ(v.count, all.size()) << point.label;
  EXPECT_EQ(v.min, *std::min_element(all.begin(), all.end())) << point.label;
  EXPECT_EQ(v.max, *std::max_element(all.begin(), all.end())) << point.label;
  EXPECT_EQ(v.absmax, sorted.back()) << point.label;
  EXPECT_EQ(v.zeros, static_cast<uint64_t>(std::count(all.begin(), all.end(), 0.0)));
  long double sum = 0, magnitudes = 0, squares = 0;
  std::map<int, uint64_t> exponents;
  for (const double x : all) {
    sum += x;
    magnitudes += std::abs(x);
    squares += static_cast<long double>(x) * x;
    if (x != 0) ++exponents[std::ilogb(x)];
  }
  EXPECT_EQ(v.exponents, exponents) << point.label;
  // n additions in double err by at most n 2^-53 of the sum of magnitudes, to first order; twice
  // that bounds the rest and the division.
  const auto n = static_cast<long double>(all.size());
  EXPECT_LE(std::abs(v.mean - sum / n), 2 * n * 0x1p-53L * (magnitudes / n)) << point.label;
  EXPECT_LE(std::abs(v.rms - std::sqrt(squares / n)), 2 * n * 0x1p-53L * std::sqrt(squares / n));
  for (const CalibratedPercentile& p : point.percentiles) {
    const double all_is = PercentileOf(sorted, p.p);
    double e = PercentileOf(sorted_chunks[0], p.p);
    for (size_t c = 1; c < chunks.size(); ++c)
      e = e + factor * (PercentileOf(sorted_chunks[c], p.p) - e);
    if (p.exact) {
      EXPECT_EQ(p.all, all_is) << point.label << " " << p.p;
      EXPECT_EQ(p.smoothed, e) << point.label << " " << p.p;
    } else {  // a mean of numbers that err by less than 2^-8 of themselves does so too
      EXPECT_NEAR(p.all, all_is, all_is * 0x1p-8) << point.label << " " << p.p;
      EXPECT_NEAR(p.smoothed, e, e * 0x1p-8) << point.label << " " << p.p;
    }
    // Where the largest 2^17 magnitudes reach down to it, it is exact.
    EXPECT_EQ(p.exact, p.p > 50 || all.size() < size_t{1} << 18) << point.label << " " << p.p;
  }
}

void CheckModel(const std::string& name, const std::vector<std::string>& rules) {
  const std::unique_ptr<Model> model = Open(name);
  const Plan plan = PlanOf(*model, rules);
  const auto chunks = Chunks();
  CalibrationRequest request{{model.get(), &plan}, chunks, {}, {50, 99, 99.9, 100}, 0.3, 0, {}};
  const Calibration calibration = Calibrate(request).value();
  const Values values = ObserveAll(*model, plan, chunks);
  ASSERT_EQ(calibration.points.size(), values.size());
  size_t several = 0;
  for (const CalibratedPoint& point : calibration.points) {
    ASSERT_TRUE(values.contains(point.label)) << point.label;
    ASSERT_EQ(point.percentiles.size(), 4u);
    CheckPoint(point, values.at(point.label), 0.3);
    // Every point can stand in a rule.
    EXPECT_TRUE(MakePlan(*model, ParseRecipe({point.label + "=bf16"}).value(), 0)) << point.label;
    several +=
        point.operand && values.at(point.label)[0].size() >
                             values.at(point.label.substr(0, point.label.size() - 3))[0].size();
  }
  EXPECT_GT(several, 0u);  // points of more than one operand are among them
  ASSERT_EQ(calibration.effects.size(), rules.size());
}

TEST(Calibrate, IsWhatPlainLoopsGive) {
  CheckModel("tiny-llama", {});
  CheckModel("tiny-mamba",
             {"ssm_conv_silu.math=f64", "ssm_out.in=bf16", "blk.*.ssm_in.weight=e4m3"});
}

bool SameBits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

TEST(Calibrate, DoesNotDependOnThreadsOrBatches) {
  const auto chunks = Chunks();
  std::vector<Calibration> runs;
  for (const int threads : {1, 3})
    for (const size_t at_once : {1, 3, 4}) {
      const std::unique_ptr<Model> model = Open("tiny-llama", threads);
      const Plan plan = PlanOf(*model, {"l_out=int8"});
      runs.push_back(
          Calibrate({{model.get(), &plan}, chunks, {}, {90, 99.9}, 0.01, at_once, {}}).value());
    }
  for (const Calibration& run : runs) {
    ASSERT_EQ(run.points.size(), runs[0].points.size());
    for (size_t i = 0; i < run.points.size(); ++i) {
      const CalibratedPoint &a = run.points[i], &b = runs[0].points[i];
      EXPECT_EQ(a.label, b.label);
      EXPECT_TRUE(SameBits(a.values.mean, b.values.mean)) << a.label;
      EXPECT_TRUE(SameBits(a.values.rms, b.values.rms)) << a.label;
      EXPECT_TRUE(SameBits(a.values.absmax, b.values.absmax)) << a.label;
      EXPECT_EQ(a.values.exponents, b.values.exponents);
      for (size_t p = 0; p < 2; ++p) {
        EXPECT_TRUE(SameBits(a.percentiles[p].all, b.percentiles[p].all)) << a.label;
        EXPECT_TRUE(SameBits(a.percentiles[p].smoothed, b.percentiles[p].smoothed)) << a.label;
      }
    }
    ASSERT_EQ(run.effects.size(), 1u);
    EXPECT_EQ(run.effects[0].changed, runs[0].effects[0].changed);
    EXPECT_GT(run.effects[0].changed, 0u);
  }
}

TEST(Calibrate, OnlyWhatIsWanted) {
  const std::unique_ptr<Model> model = Open("tiny-llama");
  const Plan plan = PlanOf(*model, {});
  CalibrationRequest request{{model.get(), &plan}, Chunks(), {}, {99}, 0.01, 0, {}};
  const Calibration all = Calibrate(request).value();
  request.wants = [](const Site& site, bool operand) {
    return site.name == "kqv_out" || site.name.starts_with("kq") || (operand && site.layer == 1);
  };
  const Calibration some = Calibrate(request).value();
  EXPECT_GT(some.points.size(), 5u);
  EXPECT_LT(some.points.size(), all.points.size());
  for (const CalibratedPoint& point : some.points) {
    const auto same =
        std::find_if(all.points.begin(), all.points.end(),
                     [&](const CalibratedPoint& p) { return p.label == point.label; });
    ASSERT_NE(same, all.points.end()) << point.label;
    EXPECT_EQ(point.values.mean, same->values.mean);
    EXPECT_EQ(point.percentiles[0].all, same->percentiles[0].all);
    EXPECT_EQ(point.percentiles[0].smoothed, same->percentiles[0].smoothed);
  }
}

TEST(Calibrate, StopsBetweenChunks) {
  const std::unique_ptr<Model> model = Open("tiny-llama");
  const Plan plan = PlanOf(*model, {});
  CalibrationRequest request{{model.get(), &plan}, Chunks(), {}, {99}, 0.01, 1, {}};
  double last = 0;
  request.progress = [&](const Progress& p) {
    EXPECT_GE(p.done, last);
    EXPECT_EQ(p.total, 9 + 24 + 17 + 24);
    last = p.done;
    return p.done < 10;
  };
  const auto stopped = Calibrate(request);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(last, 9 + 24);
}

TEST(Calibrate, OfPercentilesThatNeedTooManyTheBoundHolds) {
  const std::unique_ptr<Model> model = Open("tiny-llama");
  const Plan plan = PlanOf(*model, {});
  std::vector<std::vector<int32_t>> chunks(1);
  for (int32_t i = 0; i < 200; ++i) chunks[0].push_back(i * 5 % 1000);
  CalibrationRequest request{{model.get(), &plan}, chunks, {}, {0.5, 99.9}, 0.01, 0, {}};
  request.wants = [&](const Site& site, bool operand) {
    return !operand && site.inner == InnerSite::kNone &&
           static_cast<size_t>(site.node) + 1 == model->graph().nodes.size();
  };
  const Calibration calibration = Calibrate(request).value();
  ASSERT_EQ(calibration.points.size(), 1u);
  const CalibratedPoint& logits = calibration.points[0];
  ASSERT_GT(logits.values.count, uint64_t{1} << 17);
  const Values values = ObserveAll(*model, plan, chunks);
  const std::vector<double> x = SortedMagnitudes(values.at(logits.label)[0]);
  EXPECT_FALSE(logits.percentiles[0].exact);
  const double is = PercentileOf(x, 0.5);
  EXPECT_NEAR(logits.percentiles[0].all, is, is * 0x1p-8);
  EXPECT_TRUE(logits.percentiles[1].exact);
  EXPECT_EQ(logits.percentiles[1].all, PercentileOf(x, 99.9));
}

}  // namespace
}  // namespace vernier
