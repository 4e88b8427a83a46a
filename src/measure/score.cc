#include "measure/score.h"

#include <algorithm>
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
            !here ? nullptr : &pending_[first_lane + Position(static_cast<size_t>(alone.whole))]);
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
  // sum (x - y)^2 and sum y^2
  static void AddError(const std::vector<double>& x, const std::vector<double>& y, double* error,
                       double* reference) {
    for (size_t i = 0; i < x.size(); ++i) {
      const double d = x[i] - y[i];
      *error += d * d;
      *reference += y[i] * y[i];
    }
  }
  static SiteSums SumsOf(const Chunk& chunk, const SiteTensor& b, const SiteTensor& a,
                         const SiteTensor* truth, const SiteTensor* whole) {
    SiteSums s;
    std::vector<double> x, y;
    for (size_t r = 0; r < b.rows.size(); ++r) {
      if (!chunk.IsScored(b.tokens[r])) continue;
      Read(b, r, &x);
      s.count += static_cast<double>(x.size());
      for (const double value : x) {
        s.sum += value;
        s.squares += value * value;
      }
      // A lane with fewer layers has no value here.
      if (a.site != nullptr) {
        Read(a, r, &y);
        AddError(x, y, &s.error, &s.reference);
      }
      if (truth != nullptr && truth->site != nullptr) {
        Read(*truth, r, &y);
        AddError(x, y, &s.truth_error, &s.truth_reference);
      }
      if (whole == nullptr || whole->site == nullptr) continue;
      Read(*whole, r, &y);
      double ignored = 0;
      AddError(x, y, &s.inherited, &ignored);
    }
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

// The lanes in groups of about `most`, the baseline and the truth in each; a lane of one layer
// alone is with the lane it belongs to.
std::vector<std::vector<size_t>> LaneGroups(const ScoreRequest& request, size_t most) {
  std::vector<size_t> always = {request.baseline};
  if (request.truth >= 0 && static_cast<size_t>(request.truth) != request.baseline)
    always.push_back(static_cast<size_t>(request.truth));
  std::vector<std::vector<size_t>> groups = {always};
  for (size_t lane = 0; lane < request.plans.size(); ++lane) {
    if (std::find(always.begin(), always.end(), lane) != always.end()) continue;
    if (groups.back().size() >= std::max(most, always.size() + 1)) groups.push_back(always);
    const int whole = request.alone.empty() ? -1 : request.alone[lane].whole;
    for (const size_t wanted : {whole < 0 ? lane : static_cast<size_t>(whole), lane})
      if (std::find(groups.back().begin(), groups.back().end(), wanted) == groups.back().end())
        groups.back().push_back(wanted);
  }
  return groups;
}

}  // namespace

bool Chunk::IsScored(uint32_t token) const {
  return std::binary_search(scored.begin(), scored.end(), token);
}

SiteSums& SiteSums::Add(const SiteSums& other, double times) {
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
