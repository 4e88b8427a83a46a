#include "study/recommend.h"

#include <algorithm>

#include "study/claim_functions.h"

namespace vernier {
namespace {

constexpr size_t kDraws = 2000;

using Sums = ChunkSums;
using Field = double Sums::*;

std::vector<size_t> ChunksByText(const StudySpec& spec, const StudyData& data) {
  std::vector<size_t> counts(spec.texts.size());
  for (const size_t text : data.text_of_chunk) ++counts[text];
  return counts;
}

std::vector<Sums> SumsOfLane(const StudyData& data, size_t lane) {
  std::vector<Sums> sums;
  for (const ChunkScore& score : data.scores[lane]) sums.push_back(SumsOf(score));
  return sums;
}

// How often each chunk counts: as measured, then as drawn.
using Times = std::vector<std::vector<uint32_t>>;

double MeanOf(const std::vector<Sums>& sums, Field field, const std::vector<uint32_t>& times) {
  double total = 0, tokens = 0;
  for (size_t c = 0; c < sums.size(); ++c) {
    total += times[c] * (sums[c].*field);
    tokens += times[c] * sums[c].tokens;
  }
  return total / tokens;
}

// By draw, the first of which is what was measured.
std::vector<double> Means(const std::vector<Sums>& sums, Field field, const Times& times) {
  std::vector<double> means;
  for (const auto& of_draw : times) means.push_back(MeanOf(sums, field, of_draw));
  return means;
}

std::vector<double> Minus(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> difference;
  for (size_t i = 0; i < a.size(); ++i) difference.push_back(a[i] - b[i]);
  return difference;
}

IntervalValue WithInterval(const std::vector<double>& draws, double alpha) {
  const std::vector<double> sorted = Sorted({draws.data() + 1, draws.size() - 1});
  return {draws[0], {Quantile(sorted, alpha / 2), Quantile(sorted, 1 - alpha / 2)}};
}

class Chooser {
 public:
  Chooser(const StudySpec& spec, const StudyData& data, std::span<const LaneCost> costs)
      : data_(data), strata_(ChunksByText(spec, data)) {
    times_.emplace_back(data.chunks.size(), 1u);
    Bootstrap(strata_, kDraws, spec.seed, 0.5, [&](std::span<const uint32_t> times) {
      times_.emplace_back(times.begin(), times.end());
      return 0.0;
    });
    for (size_t l = 0; l < data.lanes.size(); ++l) {
      const StudyLane& lane = data.lanes[l];
      const bool counts = lane.kind == LaneKind::kBaseline || lane.kind == LaneKind::kVariant;
      if (!counts || lane.alone.whole >= 0) continue;
      candidates_.emplace_back();
      candidates_.back().lane = l;
      candidates_.back().bytes = costs[l].Bytes();
    }
  }

  std::vector<Candidate> Choose() {
    const bool differ =
        std::any_of(candidates_.begin(), candidates_.end(),
                    [&](const Candidate& c) { return c.bytes != candidates_[0].bytes; });
    if (!differ) return {};
    MarkSame();
    Measure();
    if (std::none_of(strata_.begin(), strata_.end(), [](size_t count) { return count == 1; }))
      Judge();
    std::stable_sort(candidates_.begin(), candidates_.end(),
                     [](const Candidate& a, const Candidate& b) {
                       return a.bytes != b.bytes ? a.bytes < b.bytes : a.kld.value < b.kld.value;
                     });
    return candidates_;
  }

 private:
  void MarkSame() {
    for (size_t i = 0; i < candidates_.size(); ++i)
      for (size_t j = 0; j < i && candidates_[i].standing != Standing::kSame; ++j) {
        if (candidates_[j].standing == Standing::kSame ||
            !SameOutput(data_, candidates_[j].lane, candidates_[i].lane))
          continue;
        // The cheaper one stands for both.
        const bool earlier = candidates_[j].bytes <= candidates_[i].bytes || j == 0;
        Candidate& same = candidates_[earlier ? i : j];
        same.standing = Standing::kSame;
        same.other = candidates_[earlier ? j : i].lane;
      }
  }

  void Measure() {
    const std::vector<Sums> base = SumsOfLane(data_, data_.Baseline());
    const auto base_nll = Means(base, &Sums::nll, times_);
    const auto base_right = Means(base, &Sums::correct, times_);
    alpha_ = 0.05 / static_cast<double>(std::max<size_t>(1, candidates_.size() - 1));
    for (Candidate& c : candidates_) {
      const std::vector<Sums> sums = SumsOfLane(data_, c.lane);
      kld_.push_back(Means(sums, &Sums::kld, times_));
      c.kld = WithInterval(kld_.back(), alpha_);
      c.log_ratio = WithInterval(Minus(Means(sums, &Sums::nll, times_), base_nll), alpha_);
      c.accuracy = WithInterval(Minus(Means(sums, &Sums::correct, times_), base_right), alpha_);
      c.test = *CompareAccuracy(data_, data_.Baseline(), data_, c.lane, -1);
    }
  }

  // Whether the candidate x has no reason to be chosen beside y.
  bool Dominates(size_t y, size_t x) const {
    const Candidate &a = candidates_[y], &b = candidates_[x];
    if (a.bytes > b.bytes) return false;
    const Interval farther = WithInterval(Minus(kld_[x], kld_[y]), alpha_).interval;
    return farther.low > 0 || (a.bytes < b.bytes && farther.high >= 0);
  }

  bool AsGood(const Candidate& c) const {
    return c.log_ratio.interval.low <= 0 && (c.test.p_value >= alpha_ || c.test.c >= c.test.b);
  }

  void Judge() {
    std::vector<size_t> open;  // nearest first: the likeliest to dominate
    for (size_t i = 0; i < candidates_.size(); ++i)
      if (candidates_[i].standing != Standing::kSame) open.push_back(i);
    std::stable_sort(open.begin(), open.end(), [&](size_t a, size_t b) {
      return candidates_[a].kld.value < candidates_[b].kld.value;
    });
    Candidate* cheapest = nullptr;
    for (const size_t x : open) {
      Candidate& c = candidates_[x];
      const auto by = std::find_if(open.begin(), open.end(),
                                   [&](size_t y) { return y != x && Dominates(y, x); });
      if (by != open.end()) {
        c.standing = Standing::kDominated;
        c.other = candidates_[*by].lane;
        continue;
      }
      c.standing = AsGood(c) ? Standing::kAsGood : Standing::kWorse;
      if (c.standing == Standing::kAsGood && (cheapest == nullptr || c.bytes < cheapest->bytes))
        cheapest = &c;
    }
    if (cheapest != nullptr) cheapest->standing = Standing::kRecommended;
  }

  const StudyData& data_;
  std::vector<size_t> strata_;
  Times times_;
  double alpha_ = 0.05;
  std::vector<Candidate> candidates_;     // the baseline first, until they are sorted
  std::vector<std::vector<double>> kld_;  // by candidate and draw
};

}  // namespace

const char* StandingName(Standing standing) {
  switch (standing) {
    case Standing::kRecommended:
      return "recommended";
    case Standing::kAsGood:
      return "as good";
    case Standing::kWorse:
      return "worse";
    case Standing::kDominated:
      return "dominated";
    case Standing::kSame:
      return "same";
    default:
      return "unknown";
  }
}

std::vector<Candidate> Recommend(const StudySpec& spec, const StudyData& data,
                                 std::span<const LaneCost> costs) {
  return Chooser(spec, data, costs).Choose();
}

IntervalValue AccuracyDifference(const StudySpec& spec, const StudyData& data, size_t a, size_t b,
                                 int text) {
  std::vector<size_t> strata = ChunksByText(spec, data);
  const std::vector<Sums> of_a = SumsOfLane(data, a), of_b = SumsOfLane(data, b);
  const auto difference = [&](std::span<const uint32_t> times) {
    double gained = 0, tokens = 0;
    for (size_t c = 0; c < of_a.size(); ++c) {
      if (text >= 0 && data.text_of_chunk[c] != static_cast<size_t>(text)) continue;
      gained += times[c] * (of_b[c].correct - of_a[c].correct);
      tokens += times[c] * of_a[c].tokens;
    }
    return gained / tokens;
  };
  const std::vector<uint32_t> once(of_a.size(), 1);
  return {difference(once), Bootstrap(strata, kDraws, spec.seed, 0.05, difference)};
}

}  // namespace vernier
