#include "study/first_token.h"

#include "measure/divergence.h"
#include "study/describe.h"

namespace vernier {
namespace {

bool IsMeasured(const StudyLane& lane) {
  return lane.kind != LaneKind::kNoise && lane.alone.whole < 0;
}

// All lanes of one prompt, the baseline first.
std::vector<FirstToken> Measure(Model& model, const StudyData& data,
                                const std::vector<size_t>& lanes, const StudyPrompt& prompt) {
  std::vector<Stream> streams;
  const auto last = static_cast<uint32_t>(prompt.ids.size() - 1);
  for (const size_t lane : lanes)
    streams.push_back({&data.lanes[lane].plan, prompt.ids, nullptr, {last}});
  std::vector<FirstToken> tokens(lanes.size());
  const Kernels& kernels = *model.machine().kernels;
  Evaluate(model, streams, [&](std::span<const LogitsRow> rows) {
    const size_t n = model.graph().vocabulary;
    Distribution base;
    for (const LogitsRow& row : rows)
      if (row.stream == 0) base = MakeDistribution(row, n, kernels);
    WithProbabilities(&base, kernels);
    for (const LogitsRow& row : rows) {
      const Distribution d = MakeDistribution(row, n, kernels);
      tokens[row.stream] = {static_cast<int32_t>(d.top), d.max, d.margin, Rank(d, base.top),
                            KlDivergence(base, d)};
    }
  });
  return tokens;
}

}  // namespace

Status MeasureFirstTokens(Model& model, Store& store, StudyData* data) {
  if (data->first_prompts.empty()) return {};
  data->first_tokens.assign(data->lanes.size(), {});
  std::vector<size_t> measured;
  for (size_t l = 0; l < data->lanes.size(); ++l) {
    if (!IsMeasured(data->lanes[l])) continue;
    measured.push_back(l);
    data->first_tokens[l].resize(data->first_prompts.size());
  }
  for (size_t p = 0; p < data->first_prompts.size(); ++p) {
    const StudyPrompt& prompt = data->first_prompts[p];
    const std::string key = PromptKey(prompt);
    std::vector<size_t> missing = {data->Baseline()};  // what the others are measured against
    for (const size_t l : measured) {
      ASSIGN_OR_RETURN(const auto stored, store.GetFirstToken(data->lanes[l].key, key));
      if (stored)
        data->first_tokens[l][p] = *stored;
      else if (l != data->Baseline())
        missing.push_back(l);
      else
        missing.front() = l;
    }
    ASSIGN_OR_RETURN(const auto base, store.GetFirstToken(data->lanes[data->Baseline()].key, key));
    if (missing.size() == 1 && base) continue;
    const std::vector<FirstToken> tokens = Measure(model, *data, missing, prompt);
    std::vector<std::string> lanes;
    for (size_t i = 0; i < missing.size(); ++i) {
      data->first_tokens[missing[i]][p] = tokens[i];
      lanes.push_back(data->lanes[missing[i]].key);
    }
    RETURN_IF_ERROR(store.PutFirstTokens(lanes, key, tokens));
  }
  return {};
}

}  // namespace vernier
