#include "measure/score.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace vernier {
namespace {

// One wave: some chunks in some lanes, which contain the baseline and the truth.
class Wave {
 public:
  Wave(Model& model, const ScoreRequest& request, std::vector<size_t> lanes, size_t first_chunk,
       size_t chunks)
      : model_(model),
        request_(request),
        lanes_(std::move(lanes)),
        first_chunk_(first_chunk),
        scores_(chunks) {
    for (size_t c = 0; c < chunks; ++c) {
      const Chunk& chunk = *request.chunks[first_chunk + c];
      scores_[c].resize(lanes_.size());
      for (size_t l = 0; l < lanes_.size(); ++l) {
        streams_.push_back({request.plans[lanes_[l]], chunk.tokens, nullptr, chunk.scored});
        scores_[c][l].tokens.resize(chunk.scored.size());
        scores_[c][l].sites.resize(request.sites.size());
      }
    }
    baseline_ = Position(request.baseline);
    truth_ =
        request.truth < 0 ? -1 : static_cast<int>(Position(static_cast<size_t>(request.truth)));
  }

  // Scores by chunk, then lane of this wave.
  std::vector<std::vector<ChunkScore>> Run(EvaluationCost* cost) {
    const Tap tap{[&](const Site& site) { return SiteIndex(site) >= 0; },
                  [&](const SiteTensor& t) { SeeSite(t); }};
    const Evaluation evaluation = Evaluate(
        model_, streams_, [&](std::span<const LogitsRow> rows) { SeeLogits(rows); },
        request_.sites.empty() ? nullptr : &tap);
    *cost += evaluation.cost;
    for (size_t s = 0; s < streams_.size(); ++s)
      scores_[ChunkOf(s)][LaneOf(s)].effects = evaluation.effects[s];
    return std::move(scores_);
  }

 private:
  size_t Position(size_t lane) const {
    return static_cast<size_t>(std::find(lanes_.begin(), lanes_.end(), lane) - lanes_.begin());
  }
  size_t ChunkOf(size_t stream) const { return stream / lanes_.size(); }
  size_t LaneOf(size_t stream) const { return stream % lanes_.size(); }
  int SiteIndex(const Site& site) const {
    const auto& all = model_.graph().sites;
    for (size_t i = 0; i < request_.sites.size(); ++i)
      if (&all[static_cast<size_t>(request_.sites[i])] == &site) return static_cast<int>(i);
    return -1;
  }

  void SeeLogits(std::span<const LogitsRow> rows) {
    // Rows of one chunk and index belong together, one from each lane.
    std::map<std::pair<size_t, size_t>, std::vector<const LogitsRow*>> groups;
    for (const LogitsRow& row : rows) groups[{ChunkOf(row.stream), row.index}].push_back(&row);
    std::vector<std::pair<std::pair<size_t, size_t>, std::vector<const LogitsRow*>>> tasks(
        groups.begin(), groups.end());
    model_.workers().For(tasks.size(), 1, [&](size_t first, size_t last) {
      for (size_t i = first; i < last; ++i)
        MeasureGroup(tasks[i].first.first, tasks[i].first.second, tasks[i].second);
    });
    for (const LogitsRow& row : rows) {
      const size_t bytes = model_.graph().vocabulary *
                           (row.type == Arithmetic::kF32 ? sizeof(float) : sizeof(double));
      Hash128& fingerprint = scores_[ChunkOf(row.stream)][LaneOf(row.stream)].fingerprint;
      fingerprint = Combine(fingerprint, Combine(HashBytes(row.values, bytes), bytes));
    }
  }

  void MeasureGroup(size_t chunk, size_t index, const std::vector<const LogitsRow*>& rows) {
    const Kernels& kernels = *model_.machine().kernels;
    const size_t n = model_.graph().vocabulary;
    const Chunk& of = *request_.chunks[first_chunk_ + chunk];
    const size_t next = static_cast<size_t>(of.tokens[of.scored[index] + 1]);
    const auto distribution = [&](size_t lane) {
      Distribution d = MakeDistribution(*rows[lane], n, kernels);
      WithProbabilities(&d, kernels);
      return d;
    };
    const Distribution base = distribution(baseline_);
    std::optional<Distribution> truth;
    if (truth_ >= 0) truth = distribution(static_cast<size_t>(truth_));
    std::map<Hash128, TokenMeasure> known;  // lanes that share the row share its measure
    for (size_t lane = 0; lane < rows.size(); ++lane) {
      const auto [found, is_new] = known.try_emplace(rows[lane]->id);
      if (is_new)
        found->second = MeasureToken(base, MakeDistribution(*rows[lane], n, kernels),
                                     truth ? &*truth : nullptr, next);
      scores_[chunk][lane].tokens[index] = found->second;
    }
  }

  // Streams of a site come one after another; the baseline's of each chunk first where it is the
  // first lane, so all are kept until the last.
  void SeeSite(const SiteTensor& tensor) {
    pending_.resize(streams_.size());
    pending_[tensor.stream] = tensor;
    if (tensor.stream != LastStreamOf(*tensor.site)) return;
    const size_t site = static_cast<size_t>(SiteIndex(*tensor.site));
    model_.workers().For(pending_.size(), 1, [&](size_t first, size_t last) {
      for (size_t s = first; s < last; ++s) {
        if (pending_[s].site == nullptr) continue;  // its layer does not run
        const size_t first_lane = ChunkOf(s) * lanes_.size();
        const LayerAlone alone = Alone(lanes_[LaneOf(s)]);
        const bool here = alone.whole >= 0 && alone.layer == pending_[s].site->layer;
        scores_[ChunkOf(s)][LaneOf(s)].sites[site] = SumsOf(
            *request_.chunks[first_chunk_ + ChunkOf(s)], pending_[s],
            pending_[first_lane + baseline_],
            truth_ < 0 ? nullptr : &pending_[first_lane + static_cast<size_t>(truth_)],
            !here ? nullptr : &pending_[first_lane + Position(static_cast<size_t>(alone.whole))],
            Beside(s));
      }
    });
    pending_.clear();
  }

  size_t LastStreamOf(const Site& site) const {
    const Node& node = model_.graph().nodes[static_cast<size_t>(site.node)];
    size_t last = 0;
    for (size_t s = 0; s < streams_.size(); ++s)
      if (streams_[s].plan->Runs(node)) last = s;
    return last;
  }
  LayerAlone Alone(size_t lane) const {
    return request_.alone.empty() ? LayerAlone{} : request_.alone[lane];
  }
  // The same site in the lane that the stream's is compared with; null: none.
  const SiteTensor* Beside(size_t stream) const {
    const int beside = request_.beside.empty() ? -1 : request_.beside[lanes_[LaneOf(stream)]];
    if (beside < 0) return nullptr;
    const size_t first_lane = ChunkOf(stream) * lanes_.size();
    return &pending_[first_lane + Position(static_cast<size_t>(beside))];
  }
  static void Read(const SiteTensor& t, size_t row, std::vector<double>* out) {
    const size_t n = t.widths[row];
    if (t.type == Arithmetic::kF32) {
      const float* values = static_cast<const float*>(t.rows[row]);
      out->assign(values, values + n);
    } else {
      const double* values = static_cast<const double*>(t.rows[row]);
      out->assign(values, values + n);
    }
  }
  // sum (x - y)^2, sum y^2, and the largest |x - y|
  struct Distance {
    double error = 0, reference = 0, most = 0;
    void Add(const std::vector<double>& x, const std::vector<double>& y) {
      for (size_t i = 0; i < x.size(); ++i) {
        const double d = x[i] - y[i];
        error += d * d;
        reference += y[i] * y[i];
        most = std::max(most, std::abs(d));
      }
    }
  };
  static void AddValues(const std::vector<double>& x, SiteSums* s) {
    if (s->count == 0 && !x.empty()) {
      s->low = s->high = x[0];
      std::copy_n(x.begin(), std::min(x.size(), s->first.size()), s->first.begin());
    }
    s->count += static_cast<double>(x.size());
    for (const double value : x) {
      s->sum += value;
      s->squares += value * value;
      s->low = std::min(s->low, value);
      s->high = std::max(s->high, value);
    }
  }
  static SiteSums SumsOf(const Chunk& chunk, const SiteTensor& b, const SiteTensor& a,
                         const SiteTensor* truth, const SiteTensor* whole,
                         const SiteTensor* beside) {
    SiteSums s;
    std::vector<double> x, y;
    Distance to_base, to_truth, to_whole, to_beside;
    // A lane with fewer layers has no value here.
    const auto add = [&](const SiteTensor* other, size_t row, Distance* distance) {
      if (other == nullptr || other->site == nullptr) return;
      Read(*other, row, &y);
      distance->Add(x, y);
    };
    for (size_t r = 0; r < b.rows.size(); ++r) {
      if (!chunk.IsScored(b.tokens[r])) continue;
      Read(b, r, &x);
      AddValues(x, &s);
      add(&a, r, &to_base);
      add(truth, r, &to_truth);
      add(whole, r, &to_whole);
      add(beside, r, &to_beside);
    }
    s.error = to_base.error;
    s.reference = to_base.reference;
    s.max_error = to_base.most;
    s.truth_error = to_truth.error;
    s.truth_reference = to_truth.reference;
    s.inherited = to_whole.error;
    s.beside = to_beside.error;
    s.beside_max = to_beside.most;
    return s;
  }

  Model& model_;
  const ScoreRequest& request_;
  std::vector<size_t> lanes_;
  size_t first_chunk_;
  size_t baseline_ = 0;
  int truth_ = -1;
  std::vector<Stream> streams_;
  std::vector<std::vector<ChunkScore>> scores_;
  std::vector<SiteTensor> pending_;
};

// Adds a lane, and before it those that its sites are compared with.
void AddWithOthers(const ScoreRequest& request, size_t lane, std::vector<size_t>* group) {
  if (std::find(group->begin(), group->end(), lane) != group->end()) return;
  const int whole = request.alone.empty() ? -1 : request.alone[lane].whole;
  const int beside = request.beside.empty() ? -1 : request.beside[lane];
  for (const int other : {whole, beside})
    if (other >= 0) AddWithOthers(request, static_cast<size_t>(other), group);
  group->push_back(lane);
}

// The lanes in groups of about `most`, the baseline and the truth in each; a lane of one layer
// alone is with the lane it belongs to, and one with another beside it with that.
std::vector<std::vector<size_t>> LaneGroups(const ScoreRequest& request, size_t most) {
  std::vector<size_t> always = {request.baseline};
  if (request.truth >= 0 && static_cast<size_t>(request.truth) != request.baseline)
    always.push_back(static_cast<size_t>(request.truth));
  std::vector<std::vector<size_t>> groups = {always};
  for (size_t lane = 0; lane < request.plans.size(); ++lane) {
    if (std::find(always.begin(), always.end(), lane) != always.end()) continue;
    if (groups.back().size() >= std::max(most, always.size() + 1)) groups.push_back(always);
    AddWithOthers(request, lane, &groups.back());
  }
  return groups;
}

}  // namespace

bool Chunk::IsScored(uint32_t token) const {
  return std::binary_search(scored.begin(), scored.end(), token);
}

SiteSums& SiteSums::Add(const SiteSums& other, double times) {
  if (times <= 0) return *this;
  if (other.count > 0) {
    if (count == 0) first = other.first;
    low = count == 0 ? other.low : std::min(low, other.low);
    high = count == 0 ? other.high : std::max(high, other.high);
  }
  max_error = std::max(max_error, other.max_error);
  beside_max = std::max(beside_max, other.beside_max);
  beside += times * other.beside;
  count += times * other.count;
  sum += times * other.sum;
  squares += times * other.squares;
  error += times * other.error;
  reference += times * other.reference;
  truth_error += times * other.truth_error;
  truth_reference += times * other.truth_reference;
  inherited += times * other.inherited;
  return *this;
}

double StandardDeviation(const SiteSums& s) {
  const double mean = s.sum / s.count;
  const double variance = s.squares / s.count - mean * mean;
  return variance < 0 ? 0 : std::sqrt(variance);  // NaN stays
}

Result<std::vector<Chunk>> PerplexityChunks(const std::vector<int32_t>& tokens, size_t context,
                                            bool add_bos, int32_t bos, size_t most) {
  if (context < 8) return Fail("context {}: expected at least 8 tokens", context);
  if (tokens.size() < 2 * context)
    return Fail("the text has {} tokens; expected at least twice the context of {}", tokens.size(),
                context);
  size_t count = tokens.size() / context;
  if (most > 0) count = std::min(count, most);
  std::vector<Chunk> chunks;
  for (size_t c = 0; c < count; ++c) {
    Chunk chunk;
    const auto from = tokens.begin() + static_cast<std::ptrdiff_t>(c * context);
    chunk.tokens.assign(from, from + static_cast<std::ptrdiff_t>(context));
    if (add_bos) chunk.tokens[0] = bos;
    for (size_t row = context / 2; row + 1 < context; ++row)
      chunk.scored.push_back(static_cast<uint32_t>(row));
    chunks.push_back(std::move(chunk));
  }
  return chunks;
}

bool Score(Model& model, const ScoreRequest& request, const ScoreSink& sink,
           const ProgressSink& progress, EvaluationCost* cost) {
  double total = 0, done = 0;
  size_t longest = 1;
  for (const Chunk* chunk : request.chunks) {
    total += static_cast<double>(chunk->tokens.size() * request.plans.size());
    longest = std::max(longest, chunk->tokens.size());
  }
  const uint64_t rows =
      std::max<uint64_t>(1, request.memory_budget / EvaluationBytes(model.graph(), 1));
  const size_t lanes_at_once = std::max<uint64_t>(1, rows / longest);
  const auto groups = LaneGroups(request, lanes_at_once);
  // A few chunks in one wave make the matrix products tall enough; more would only make progress
  // coarse.
  const size_t wanted = std::max<size_t>(1, 2048 / (longest * request.plans.size()));
  const size_t at_once =
      groups.size() > 1 ? 1 : std::clamp<size_t>(lanes_at_once / request.plans.size(), 1, wanted);
  for (size_t c = 0; c < request.chunks.size(); c += at_once) {
    const size_t count = std::min(at_once, request.chunks.size() - c);
    std::vector<std::vector<ChunkScore>> by_chunk(count,
                                                  std::vector<ChunkScore>(request.plans.size()));
    for (const auto& group : groups) {
      auto scores = Wave(model, request, group, c, count).Run(cost);
      for (size_t i = 0; i < count; ++i) {
        for (size_t l = 0; l < group.size(); ++l) by_chunk[i][group[l]] = std::move(scores[i][l]);
        done += static_cast<double>(request.chunks[c + i]->tokens.size() * group.size());
      }
      if (progress && !progress({"scoring", std::min(done, total), total, "tokens"})) return false;
    }
    for (size_t i = 0; i < count; ++i)
      if (!sink(c + i, std::move(by_chunk[i]))) return false;
  }
  return true;
}

}  // namespace vernier
