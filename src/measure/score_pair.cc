#include "measure/score_pair.h"

#include "base/result.h"

namespace vernier {
namespace {

// The distributions of all scored rows of some chunks, by chunk and index.
using Distributions = std::vector<std::vector<Distribution>>;

std::vector<Stream> StreamsOf(const Plan* plan, std::span<const Chunk> chunks) {
  std::vector<Stream> streams;
  for (const Chunk& chunk : chunks) streams.push_back({plan, chunk.tokens, nullptr, chunk.scored});
  return streams;
}

Distributions DistributionsOf(const ScoredModel& side, std::span<const Chunk> chunks,
                              std::vector<TreatmentCounts>* effects) {
  Distributions all;
  for (const Chunk& chunk : chunks) all.emplace_back(chunk.scored.size());
  const std::vector<Stream> streams = StreamsOf(side.plan, chunks);
  const Evaluation evaluation =
      Evaluate(*side.model, streams, [&](std::span<const LogitsRow> rows) {
        side.model->workers().For(rows.size(), 1, [&](size_t first, size_t last) {
          for (size_t i = first; i < last; ++i)
            all[rows[i].stream][rows[i].index] = MakeDistribution(
                rows[i], side.model->graph().vocabulary, *side.model->machine().kernels);
        });
      });
  for (size_t s = 0; effects != nullptr && s < streams.size(); ++s)
    for (size_t r = 0; r < effects->size(); ++r) (*effects)[r] += evaluation.effects[s][r];
  return all;
}

}  // namespace

PairScore ScorePair(const PairRequest& request) {
  CHECK(request.scored.model->graph().vocabulary == request.base.model->graph().vocabulary);
  const bool same =
      request.scored.model == request.base.model && request.scored.plan == request.base.plan;
  const Kernels& kernels = *request.scored.model->machine().kernels;
  PairScore score;
  score.effects.resize(request.scored.plan->rules.size());
  // As many chunks at once as keep 256 MB of distributions.
  const size_t rows_at_once = std::max<size_t>(
      1, (size_t{256} << 20) / (request.base.model->graph().vocabulary * sizeof(double) * 3));
  for (size_t first = 0; first < request.chunks.size();) {
    size_t last = first, rows = 0;
    while (last < request.chunks.size() &&
           (last == first || (rows < rows_at_once && last - first < 8)))
      rows += request.chunks[last++].scored.size();
    const std::span<const Chunk> chunks = request.chunks.subspan(first, last - first);
    Distributions scored = DistributionsOf(request.scored, chunks, &score.effects);
    Distributions other;
    if (!same) other = DistributionsOf(request.base, chunks, nullptr);
    for (size_t c = 0; c < chunks.size(); ++c) {
      const size_t at = score.tokens.size(), n = chunks[c].scored.size();
      score.tokens.resize(at + n);
      score.base.resize(at + n);
      request.scored.model->workers().For(n, 1, [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
          const size_t next = static_cast<size_t>(chunks[c].tokens[chunks[c].scored[i] + 1]);
          Distribution& base = same ? scored[c][i] : other[c][i];
          WithProbabilities(&base, kernels);
          score.base[at + i] = MeasureToken(base, base, nullptr, next);
          score.tokens[at + i] =
              same ? score.base[at + i] : MeasureToken(base, scored[c][i], nullptr, next);
          base = {};
        }
      });
    }
    first = last;
    if (request.progress)
      request.progress({"scoring", static_cast<double>(first),
                        static_cast<double>(request.chunks.size()), "chunks"});
  }
  return score;
}

}  // namespace vernier
