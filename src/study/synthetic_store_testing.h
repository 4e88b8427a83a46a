// A store of made-up numbers, as large as one likes: what a study of many variants would have kept.
// For tests of size and speed; bench/synthetic_store.cc makes one from the command line.
#ifndef VERNIER_STUDY_SYNTHETIC_STORE_TESTING_H_
#define VERNIER_STUDY_SYNTHETIC_STORE_TESTING_H_

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "study/store.h"
#include "study/store_columns.h"

namespace vernier {

struct SyntheticStudy {
  size_t variants = 200;
  size_t measures = 1000000;  // token measures of the variants, about
  size_t context = 128;
  int layers = 24;
};

class SyntheticMaker {
 public:
  explicit SyntheticMaker(const SyntheticStudy& of) : of_(of), random_(7) {}

  Status Fill(Store& store) {
    MakeRecords();
    RETURN_IF_ERROR(store.BeginRun({"0", "", "none", "none", "none", 1}));
    RETURN_IF_ERROR(store.Describe(study_, {&model_, 1}));
    std::vector<std::string> keys;
    for (const LaneRecord& lane : model_.lanes) keys.push_back(lane.key);
    std::vector<int> sites;
    for (const SiteRecord& site : model_.sites) sites.push_back(site.number);
    for (const ChunkRecord& chunk : model_.chunks) {
      std::vector<ChunkScore> scores;
      for (size_t l = 0; l < keys.size(); ++l) scores.push_back(Score(l, *chunk.scored));
      RETURN_IF_ERROR(store.PutScores(keys, {chunk.key, *chunk.scored, sites}, scores));
    }
    return store.EndRun(true);
  }

 private:
  double Draw() { return std::uniform_real_distribution<double>(0, 1)(random_); }

  void MakeRecords() {
    study_ = {"synthetic", "synthetic.toml", "none", of_.context, 1, 0, true, {}, {}};
    study_.texts = {{"prose", "prose.txt"}, {"mathematics", "mathematics.txt"}};
    study_.claims = {{"the first is worse than the last", "kld('variant 0') > kld('variant 1')",
                      false, "supported", "made up"}};
    model_.name = "synthetic";
    model_.path = "synthetic.gguf";
    model_.hash = HashText("synthetic").Hex();
    model_.architecture = "none";
    model_.layers = of_.layers;
    model_.vocabulary = 1000;
    for (int layer = 0; layer < of_.layers; ++layer)
      model_.sites.push_back({10 * layer + 9, fmt::format("l_out[{}]", layer), "l_out", layer});
    for (size_t v = 0; v < of_.variants + 2; ++v) {
      LaneRecord lane;
      lane.kind = v == 0 ? "baseline" : v <= of_.variants ? "variant" : "truth";
      lane.name = lane.kind == "variant" ? fmt::format("variant {}", v - 1) : lane.kind;
      lane.key = HashText(lane.name).Hex();
      if (lane.kind == "variant")
        lane.rules = {
            {fmt::format("l_out[{}]=bf16", v % static_cast<size_t>(of_.layers)), true, 1, {}}};
      lane.outcome = LaneOutcome{};
      model_.lanes.push_back(lane);
    }
    for (uint32_t i = static_cast<uint32_t>(of_.context / 2); i + 1 < of_.context; ++i)
      scored_.push_back(i);
    const size_t chunks = std::max<size_t>(
        2, (of_.measures + of_.variants * scored_.size() - 1) / (of_.variants * scored_.size()));
    for (size_t c = 0; c < chunks; ++c) {
      std::vector<int32_t>& tokens = tokens_.emplace_back();
      for (size_t i = 0; i < of_.context; ++i)
        tokens.push_back(static_cast<int32_t>(1000 * Draw()));
    }
    for (size_t c = 0; c < chunks; ++c)
      model_.chunks.push_back(
          {c % 2, c / 2, HashText(std::to_string(c)).Hex(), &tokens_[c], &scored_});
    for (int32_t token = 0; token < 1000; ++token)
      model_.pieces[token] = fmt::format(" word{}", token);
  }

  ChunkScore Score(size_t lane, const std::vector<uint32_t>& scored) {
    ChunkScore score;
    const double size = 1e-4 * static_cast<double>(lane);
    for (size_t i = 0; i < scored.size(); ++i) {
      TokenMeasure m;
      m.nll = 8 * Draw();
      m.kld = size * Draw();
      m.delta_p = size * (Draw() - 0.5);
      m.kld_truth = size * Draw();
      m.max_abs = static_cast<float>(size * Draw());
      m.mae = m.max_abs / 3;
      m.mae_truth = m.max_abs / 2;
      m.margin = static_cast<float>(Draw());
      m.same_top = Draw() > size;
      score.tokens.push_back(m);
    }
    score.fingerprint = HashText(std::to_string(Draw()));
    score.effects.assign(model_.lanes[lane].rules.size(), {100000, 90000, 0, 3});
    for (size_t s = 0; s < model_.sites.size(); ++s) {
      const double n = 64 * 896;
      SiteSums sums;
      SiteColumns(sums, [&](const std::string& name, double& value) {
        value = name == "inherited" || name.starts_with("beside") ? 0 : n * Draw();
      });
      sums.count = n;
      score.sites.push_back(sums);
    }
    return score;
  }

  SyntheticStudy of_;
  std::mt19937_64 random_;
  StudyRecord study_;
  ModelRecord model_;
  std::vector<uint32_t> scored_;
  std::vector<std::vector<int32_t>> tokens_;
};

inline Status FillSynthetic(Store& store, const SyntheticStudy& of) {
  return SyntheticMaker(of).Fill(store);
}

}  // namespace vernier

#endif  // VERNIER_STUDY_SYNTHETIC_STORE_TESTING_H_
