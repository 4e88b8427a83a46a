#include "study/first_token.h"

#include <nlohmann/json.hpp>

#include "measure/divergence.h"

namespace vernier {
namespace {

using Json = nlohmann::json;

bool IsMeasured(const StudyLane& lane) {
  return lane.kind != LaneKind::kNoise && lane.alone.whole < 0;
}

std::string KeyOf(const StudyLane& lane, const StudyPrompt& prompt) {
  return "first " + Combine(HashText(lane.key),
                            HashBytes(prompt.ids.data(), prompt.ids.size() * sizeof(int32_t)))
                        .Hex();
}

// Nothing where the store has none, or a damaged one.
Result<std::optional<FirstToken>> Stored(Store& store, const std::string& key) {
  ASSIGN_OR_RETURN(const auto text, store.GetValue(key));
  const Json json = Json::parse(text.value_or(""), nullptr, false);
  try {
    return FirstToken{json.at("token"), json.at("logit"), json.at("margin"), json.at("rank"),
                      json.at("kld")};
  } catch (const Json::exception&) {
    return std::optional<FirstToken>();
  }
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
    std::vector<size_t> missing = {data->Baseline()};  // what the others are measured against
    for (const size_t l : measured) {
      ASSIGN_OR_RETURN(const auto stored, Stored(store, KeyOf(data->lanes[l], prompt)));
      if (stored)
        data->first_tokens[l][p] = *stored;
      else if (l != data->Baseline())
        missing.push_back(l);
      else
        missing.front() = l;
    }
    ASSIGN_OR_RETURN(const auto base, Stored(store, KeyOf(data->lanes[data->Baseline()], prompt)));
    if (missing.size() == 1 && base) continue;
    const std::vector<FirstToken> tokens = Measure(model, *data, missing, prompt);
    for (size_t i = 0; i < missing.size(); ++i) {
      const FirstToken& t = tokens[i];
      data->first_tokens[missing[i]][p] = t;
      RETURN_IF_ERROR(
          store.PutValue(KeyOf(data->lanes[missing[i]], prompt), Json{{"token", t.token},
                                                                      {"logit", t.logit},
                                                                      {"margin", t.margin},
                                                                      {"rank", t.rank},
                                                                      {"kld", t.kld}}
                                                                     .dump()));
    }
  }
  return {};
}

}  // namespace vernier
