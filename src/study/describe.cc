#include "study/describe.h"

#include <fstream>
#include <set>

#include "study/build_info.h"

namespace vernier {
namespace {

const char* KindName(LaneKind kind) {
  switch (kind) {
    case LaneKind::kBaseline:
      return "baseline";
    case LaneKind::kVariant:
      return "variant";
    case LaneKind::kTruth:
      return "truth";
    case LaneKind::kNoise:
      return "noise";
  }
  return "";
}

// Which of the study's models the part is of.
size_t NumberOf(const StudySpec& spec) {
  for (size_t m = 0; m < spec.models.size(); ++m)
    if (spec.prefix == spec.models[m].name + ": ") return m;
  return 0;
}

LaneRecord DescribeLane(const StudySpec& spec, const StudyData& data, size_t number) {
  const StudyLane& lane = data.lanes[number];
  LaneRecord record;
  record.key = lane.key;
  record.kind = KindName(lane.kind);
  record.name = lane.name;
  for (const RuleEffect& rule : lane.plan.rules)
    record.rules.push_back({rule.rule, rule.rounds, rule.sites.size(), rule.counts});
  record.own_rules = lane.own_rules;
  record.seed = lane.plan.seed;
  record.whole = lane.alone.whole;
  record.layer = lane.alone.layer;
  if (lane.variant >= 0) {
    const StudyVariant& variant = spec.variants[static_cast<size_t>(lane.variant)];
    record.sweep = variant.sweep;
    record.site = variant.site;
    record.format = variant.format;
    record.layer = variant.layer.value_or(lane.alone.layer);
  }
  if (data.scores.size() <= number) return record;
  LaneOutcome outcome;
  if (lane.kind == LaneKind::kVariant) {
    outcome.vacuous = IsVacuous(data, number);
    outcome.foretold = IsForetold(lane);
  }
  for (size_t other = 0; other < number && outcome.same_as.empty(); ++other)
    if (SameOutput(data, other, number)) outcome.same_as = data.lanes[other].name;
  record.outcome = outcome;
  return record;
}

void DescribePrompts(const std::vector<StudyPrompt>& prompts, const char* purpose, size_t length,
                     ModelRecord* record) {
  for (size_t p = 0; p < prompts.size(); ++p)
    record->prompts.push_back(
        {purpose, p, length, prompts[p].tag, prompts[p].text, PromptKey(prompts[p])});
}

std::set<int32_t> TokensOf(const StudyData& data) {
  std::set<int32_t> tokens;
  for (const Chunk& chunk : data.chunks) tokens.insert(chunk.tokens.begin(), chunk.tokens.end());
  for (const auto& lane : data.generated)
    for (const Continuation& text : lane) tokens.insert(text.tokens.begin(), text.tokens.end());
  for (const auto& lane : data.first_tokens)
    for (const FirstToken& first : lane) tokens.insert(first.token);
  return tokens;
}

std::string Processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "";
}

}  // namespace

std::string ChunkKey(const Chunk& chunk) {
  return Combine(HashBytes(chunk.tokens.data(), chunk.tokens.size() * sizeof(int32_t)),
                 HashBytes(chunk.scored.data(), chunk.scored.size() * sizeof(uint32_t)))
      .Hex();
}

std::string PromptKey(const StudyPrompt& prompt) {
  return HashBytes(prompt.ids.data(), prompt.ids.size() * sizeof(int32_t)).Hex();
}

std::string PassageKey(const StudyPassage& passage) {
  const Hash128 ids = HashBytes(passage.ids.data(), passage.ids.size() * sizeof(int32_t));
  return Combine(ids, passage.word).Hex();
}

StudyRecord DescribeStudy(const StudySpec& spec, const std::vector<JudgedClaim>& judged) {
  StudyRecord record{spec.name,
                     spec.path,
                     kNumericsVersion,
                     spec.context,
                     spec.models.size(),
                     spec.seed,
                     spec.truth,
                     {},
                     {}};
  for (const StudyText& text : spec.texts) record.texts.emplace_back(text.name, text.path);
  for (size_t c = 0; c < spec.claims.size(); ++c) {
    const StudyClaim& claim = spec.claims[c];
    record.claims.push_back({claim.says, claim.expression, claim.required, "", ""});
    if (c >= judged.size()) continue;
    record.claims.back().verdict = VerdictName(judged[c].verdict);
    record.claims.back().detail = judged[c].detail;
  }
  return record;
}

ModelRecord DescribeModel(const StudySpec& spec, Model& model, const StudyData& data) {
  ModelRecord record;
  record.number = NumberOf(spec);
  record.name = spec.models[record.number].name;
  record.path = spec.model;
  record.rules = spec.model_rules;
  record.hash = model.hash().Hex();
  const Graph& graph = model.graph();
  record.architecture = graph.architecture;
  record.layers = graph.layers;
  record.vocabulary = graph.vocabulary;
  for (const int number : data.sites) {
    const Site& site = graph.sites[static_cast<size_t>(number)];
    record.sites.push_back({number, site.Label(), site.name, site.layer});
  }
  for (size_t l = 0; l < data.lanes.size(); ++l)
    record.lanes.push_back(DescribeLane(spec, data, l));
  std::map<size_t, size_t> chunks_of_text;
  for (size_t c = 0; c < data.chunks.size(); ++c) {
    const size_t text = data.text_of_chunk[c];
    record.chunks.push_back({text, chunks_of_text[text]++, ChunkKey(data.chunks[c]),
                             &data.chunks[c].tokens, &data.chunks[c].scored});
  }
  DescribePrompts(data.prompts, "generate", spec.generate ? spec.generate->tokens : 0, &record);
  DescribePrompts(data.first_prompts, "first", 1, &record);
  for (size_t p = 0; p < data.passages.size(); ++p) {
    const StudyPassage& passage = data.passages[p];
    record.prompts.push_back({"last word", p, passage.ids.size() - passage.word, passage.tag,
                              passage.text, PassageKey(passage)});
  }
  if (const auto tokenizer = model.tokenizer())
    for (const int32_t token : TokensOf(data)) record.pieces[token] = (*tokenizer)->Piece(token);
  return record;
}

RunRecord DescribeRun(Model& model) {
  const BuildInfo build = ThisBuild();
  return {build.version,
          build.git,
          build.compiler,
          Processor(),
          model.machine().kernels->name,
          model.workers().threads()};
}

}  // namespace vernier
