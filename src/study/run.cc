#include "study/run.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "base/file.h"
#include "base/names.h"
#include "engine/generate.h"
#include "model/utf8.h"
#include "study/calibration.h"
#include "study/corrections.h"
#include "study/describe.h"
#include "study/first_token.h"
#include "study/last_word.h"

namespace vernier {
namespace {

using Clock = std::chrono::steady_clock;
double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The store's key of a lane: all its numbers depend on.
std::string LaneKey(Model& model, const std::vector<StudyLane>& lanes, const StudyLane& lane,
                    const std::vector<int>& sites) {
  Hash128 key = Combine(Combine(HashText(kNumericsVersion), HashText(kSitesVersion)), model.hash());
  key = Combine(key, lane.plan.identity);
  for (const Rule& rule : lane.plan.recipe.rules) key = Combine(key, HashText(rule.text));
  key = Combine(Combine(key, lane.plan.seed), lanes[0].plan.identity);
  for (const StudyLane& other : lanes)
    if (other.kind == LaneKind::kTruth) key = Combine(key, other.plan.identity);
  for (const int site : sites) key = Combine(key, static_cast<uint64_t>(site));
  if (lane.alone.whole >= 0)
    key = Combine(key, lanes[static_cast<size_t>(lane.alone.whole)].plan.identity);
  if (lane.beside >= 0)
    key = Combine(Combine(key, HashText("beside")),
                  lanes[static_cast<size_t>(lane.beside)].plan.identity);
  return key.Hex();
}

// Texts of a study are text: a wrong file is more likely than bytes that mean something.
Status CheckUtf8(const std::string& text, const std::string& path) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = Utf8Length(text, at);
    if (length == 0) return Fail("{}: byte {}: not UTF-8", path, at);
    at += length;
  }
  return {};
}

// Fills in what a study reads: chunks, sites, prompts.
class InputReader {
 public:
  InputReader(const StudySpec& spec, Model& model, const RunOptions& options, StudyData* data)
      : spec_(spec), model_(model), options_(options), data_(*data) {}

  Status Read() {
    RETURN_IF_ERROR(ReadChunks());
    RETURN_IF_ERROR(ChooseSites());
    if (spec_.generate) {
      ASSIGN_OR_RETURN(data_.prompts, ReadPrompts(spec_.generate->prompts, spec_.generate->limit));
    }
    if (spec_.first_token) {
      ASSIGN_OR_RETURN(data_.first_prompts,
                       ReadPrompts(spec_.first_token->prompts, spec_.first_token->limit));
    }
    if (spec_.last_words) {
      ASSIGN_OR_RETURN(const Tokenizer* tokenizer, model_.tokenizer());
      ASSIGN_OR_RETURN(data_.passages, ReadPassages(spec_.last_words->prompts,
                                                    spec_.last_words->limit, *tokenizer));
    }
    return CheckCorrections();
  }

 private:
  Status ReadChunks();
  Status ChooseSites();
  Status CheckLabels() const;
  Status CheckCorrections() const;
  Result<std::vector<StudyPrompt>> ReadPrompts(const std::string& path, size_t limit);

  const StudySpec& spec_;
  Model& model_;
  const RunOptions& options_;
  StudyData& data_;
};

constexpr size_t kClaimRounds = 25;  // of a lane whose overhead a claim asks for

class Runner {
 public:
  Runner(const StudySpec& spec, Model& model, Store& store, const RunOptions& options,
         StudyData inputs)
      : spec_(spec), model_(model), store_(store), options_(options), data_(std::move(inputs)) {}

  Result<StudyData> Run();

 private:
  Result<std::vector<size_t>> Missing(size_t chunk);
  Status ScoreChunks();
  Status ScoreRun(size_t first, size_t last, const std::vector<size_t>& lanes);
  Status GenerateAll();
  Status GenerateSome(const std::vector<std::pair<size_t, size_t>>& wanted);
  Status MeasureTimes();
  size_t TimingRounds(const StudyLane& lane) const;
  Status AddCost(const EvaluationCost& cost, double seconds);
  ContinuationKey GenerationKey(size_t lane, size_t prompt) const;
  bool Continue(const char* what, double done, double total, const char* unit) {
    data_.complete =
        data_.complete && (!options_.progress || options_.progress({what, done, total, unit}));
    return data_.complete;
  }

  const StudySpec& spec_;
  Model& model_;
  Store& store_;
  const RunOptions& options_;
  StudyData data_;
};

Status InputReader::ReadChunks() {
  ASSIGN_OR_RETURN(const Tokenizer* tokenizer, model_.tokenizer());
  for (size_t t = 0; t < spec_.texts.size(); ++t) {
    ASSIGN_OR_RETURN(const std::string text, ReadText(spec_.texts[t].path));
    RETURN_IF_ERROR(CheckUtf8(text, spec_.texts[t].path));
    const auto tokens = tokenizer->Encode(text, {});
    if (!tokens) return Fail("{}: {}", spec_.texts[t].path, tokens.error().message);
    auto chunks = PerplexityChunks(*tokens, spec_.context, tokenizer->adds_bos(), tokenizer->bos(),
                                   spec_.chunks + spec_.fit_chunks);
    if (!chunks) return Fail("{}: {}", spec_.texts[t].path, chunks.error().message);
    if (spec_.fit_chunks > 0 && chunks->size() < spec_.chunks + spec_.fit_chunks)
      return Fail(
          "{}: has {} chunks of {} tokens; expected {} to score and {} to fit corrections on",
          spec_.texts[t].path, chunks->size(), spec_.context, spec_.chunks, spec_.fit_chunks);
    const auto scored = chunks->end() - static_cast<std::ptrdiff_t>(spec_.fit_chunks);
    data_.fit_chunks.insert(data_.fit_chunks.end(), std::make_move_iterator(scored),
                            std::make_move_iterator(chunks->end()));
    chunks->erase(scored, chunks->end());
    for (Chunk& chunk : *chunks) {
      data_.chunks.push_back(std::move(chunk));
      data_.text_of_chunk.push_back(t);
    }
  }
  return {};
}

Status InputReader::ChooseSites() {
  std::set<std::string> names = {"l_out"};
  names.insert(spec_.observe.begin(), spec_.observe.end());
  names.insert(options_.error_sites.begin(), options_.error_sites.end());
  std::set<std::string> found;
  std::vector<std::string> known;
  const auto& sites = model_.graph().sites;
  for (size_t i = 0; i < sites.size(); ++i) {
    if (std::find(known.begin(), known.end(), sites[i].name) == known.end())
      known.push_back(sites[i].name);
    if (!names.contains(sites[i].name)) continue;
    found.insert(sites[i].name);
    data_.sites.push_back(static_cast<int>(i));
  }
  for (const std::string& name : options_.error_sites)
    if (!found.contains(name))
      return Fail("{}: a claim speaks of site '{}', which the model has not{}", spec_.path, name,
                  DidYouMean(name, known));
  for (const std::string& name : spec_.observe)
    if (!found.contains(name))
      return Fail("{}: 'observe': no site is named '{}'{}", spec_.path, name,
                  DidYouMean(name, known));
  return CheckLabels();
}

Status InputReader::CheckCorrections() const {
  std::vector<std::string> known;
  for (const Site& site : model_.graph().sites)
    if (site.layer >= 0 && site.inner == InnerSite::kNone) known.push_back(site.name);
  for (const StudyVariant& v : spec_.variants)
    if (v.correct && std::find(known.begin(), known.end(), v.correct->site) == known.end())
      return Fail("{}: variant '{}': 'correct': no layer has a site '{}'{}", spec_.path, v.name,
                  v.correct->site, DidYouMean(v.correct->site, known));
  return {};
}

Status InputReader::CheckLabels() const {
  std::vector<std::string> labels;
  for (const int site : data_.sites)
    labels.push_back(model_.graph().sites[static_cast<size_t>(site)].Label());
  for (const std::string& written : options_.error_labels) {
    const std::string label = AbsoluteLabel(written, model_.graph().layers);
    if (std::find(labels.begin(), labels.end(), label) == labels.end())
      return Fail("{}: a claim speaks of site '{}', which the model has not{}", spec_.path, label,
                  DidYouMean(label, labels));
  }
  return {};
}

// Lanes that the store has no score of for the chunk.
Result<std::vector<size_t>> Runner::Missing(size_t chunk) {
  std::vector<size_t> missing;
  const std::string key = ChunkKey(data_.chunks[chunk]);
  for (size_t l = 0; l < data_.lanes.size(); ++l) {
    ASSIGN_OR_RETURN(const bool has, store_.HasScore(data_.lanes[l].key, key));
    if (!has) missing.push_back(l);
  }
  return missing;
}

Status Runner::AddCost(const EvaluationCost& cost, double seconds) {
  ASSIGN_OR_RETURN(const Store::Cost total,
                   store_.AddCost(model_.hash().Hex(), spec_.model_rules, {cost, seconds}));
  data_.cost = total.evaluation;
  data_.seconds = total.seconds;
  return {};
}

// Scores chunks [first, last) for these lanes; the baseline and the truth always go along, since
// the others are measured against them.
Status Runner::ScoreRun(size_t first, size_t last, const std::vector<size_t>& lanes) {
  std::vector<size_t> all = {data_.Baseline()};
  if (data_.Truth() >= 0) all.push_back(static_cast<size_t>(data_.Truth()));
  const std::function<void(size_t)> add = [&](size_t lane) {
    if (std::find(all.begin(), all.end(), lane) != all.end()) return;
    for (const int other : {data_.lanes[lane].alone.whole, data_.lanes[lane].beside})
      if (other >= 0) add(static_cast<size_t>(other));
    all.push_back(lane);
  };
  for (const size_t lane : lanes) add(lane);
  const auto position = [&](int lane) {
    return lane < 0
               ? -1
               : static_cast<int>(std::find(all.begin(), all.end(), static_cast<size_t>(lane)) -
                                  all.begin());
  };
  ScoreRequest request;
  for (const size_t lane : all) {
    request.plans.push_back(&data_.lanes[lane].plan);
    LayerAlone alone = data_.lanes[lane].alone;
    alone.whole = position(alone.whole);
    request.alone.push_back(alone);
    request.beside.push_back(position(data_.lanes[lane].beside));
  }
  request.truth = data_.Truth() >= 0 ? 1 : -1;
  for (size_t c = first; c < last; ++c) request.chunks.push_back(&data_.chunks[c]);
  request.sites = data_.sites;
  request.memory_budget = options_.memory_budget;
  std::vector<std::string> keys;
  for (const size_t lane : all) keys.push_back(data_.lanes[lane].key);
  Status stored;
  const auto sink = [&](size_t chunk, std::vector<ChunkScore> scores) {
    const Chunk& of = data_.chunks[first + chunk];
    stored = store_.PutScores(keys, {ChunkKey(of), of.scored, data_.sites}, scores);
    return stored.has_value();
  };
  const auto progress = [&](const Progress& p) {
    const double of = static_cast<double>(data_.chunks.size()),
                 chunk_share = p.total > 0 ? p.done / p.total : 1;
    const double done =
        static_cast<double>(first) + chunk_share * static_cast<double>(last - first);
    return Continue("scoring", done, of, "chunks");
  };
  EvaluationCost cost;
  const auto start = Clock::now();
  Score(model_, request, sink, progress, &cost);
  RETURN_IF_ERROR(stored);
  return AddCost(cost, SecondsSince(start));
}

Status Runner::ScoreChunks() {
  RETURN_IF_ERROR(AddCost({}, 0));
  for (size_t c = 0; c < data_.chunks.size() && data_.complete;) {
    ASSIGN_OR_RETURN(const std::vector<size_t> missing, Missing(c));
    size_t end = c + 1;
    for (; end < data_.chunks.size(); ++end) {
      ASSIGN_OR_RETURN(const std::vector<size_t> next, Missing(end));
      if (next != missing) break;
    }
    if (!missing.empty()) RETURN_IF_ERROR(ScoreRun(c, end, missing));
    c = end;
  }
  if (!data_.complete) return {};
  data_.scores.resize(data_.lanes.size());
  for (size_t l = 0; l < data_.lanes.size(); ++l) {
    for (const Chunk& chunk : data_.chunks) {
      ASSIGN_OR_RETURN(auto score, store_.GetScore(data_.lanes[l].key, ChunkKey(chunk)));
      if (!score || score->tokens.size() != chunk.scored.size() ||
          score->sites.size() != data_.sites.size() ||
          score->effects.size() != data_.lanes[l].plan.rules.size())
        return Fail(
            "{}: the store's score of '{}' does not fit the study; remove study.sqlite to start "
            "anew",
            spec_.path, data_.lanes[l].name);
      data_.scores[l].push_back(std::move(*score));
    }
  }
  return {};
}

Result<std::vector<StudyPrompt>> InputReader::ReadPrompts(const std::string& path, size_t limit) {
  std::vector<StudyPrompt> prompts;
  ASSIGN_OR_RETURN(const Tokenizer* tokenizer, model_.tokenizer());
  ASSIGN_OR_RETURN(const std::string text, ReadText(path, 64 << 20));
  std::map<std::string, size_t> of_tag;
  int number = 0;
  for (const std::string& line : Split(text, '\n')) {
    ++number;
    if (Trim(line).empty() || Trim(line) == "\r") continue;
    const auto json = nlohmann::json::parse(line, nullptr, false);
    const bool good = json.is_object() && json.contains("prompt") && json["prompt"].is_string() &&
                      (!json.contains("tag") || json["tag"].is_string());
    if (!good)
      return Fail("{}:{}: expected an object with 'prompt' and perhaps 'tag'", path, number);
    StudyPrompt prompt{json.contains("tag") ? json["tag"].get<std::string>() : "",
                       json["prompt"].get<std::string>(),
                       {}};
    if (limit > 0 && ++of_tag[prompt.tag] > limit) continue;
    auto ids = tokenizer->Encode(prompt.text, {});
    if (!ids) return Fail("{}:{}: {}", path, number, ids.error().message);
    prompt.ids = std::move(*ids);
    if (prompt.ids.empty()) return Fail("{}:{}: the prompt has no tokens", path, number);
    prompts.push_back(std::move(prompt));
  }
  if (prompts.empty()) return Fail("{}: no prompts", path);
  return prompts;
}

ContinuationKey Runner::GenerationKey(size_t lane, size_t prompt) const {
  return {data_.lanes[lane].key, PromptKey(data_.prompts[prompt]), spec_.generate->tokens};
}

Status Runner::GenerateSome(const std::vector<std::pair<size_t, size_t>>& wanted) {
  std::vector<GenerateRequest> requests;
  for (const auto& [lane, prompt] : wanted)
    requests.push_back({&data_.lanes[lane].plan, data_.prompts[prompt].ids});
  GenerateOptions options;
  options.tokens = spec_.generate->tokens;
  const std::vector<Generated> generated = Generate(model_, requests, options);
  std::vector<ContinuationKey> keys;
  std::vector<Continuation> continuations(wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    keys.push_back(GenerationKey(wanted[i].first, wanted[i].second));
    for (const GeneratedStep& step : generated[i].steps) {
      continuations[i].tokens.push_back(step.token);
      continuations[i].margins.push_back(step.margin);
    }
  }
  return store_.PutContinuations(keys, continuations);
}

Status Runner::GenerateAll() {
  if (!spec_.generate || !data_.complete) return {};
  std::vector<std::pair<size_t, size_t>> missing;  // lane, prompt
  const auto generates = [&](size_t lane) {
    const StudyLane& of = data_.lanes[lane];
    return of.kind == LaneKind::kBaseline ||
           (of.kind == LaneKind::kVariant && of.alone.whole < 0 &&
            spec_.variants[static_cast<size_t>(of.variant)].generate);
  };
  for (size_t p = 0; p < data_.prompts.size(); ++p) {
    for (size_t l = 0; l < data_.lanes.size(); ++l) {
      if (!generates(l)) continue;
      ASSIGN_OR_RETURN(const auto stored, store_.GetContinuation(GenerationKey(l, p)));
      if (!stored) missing.push_back({l, p});
    }
  }
  constexpr size_t kAtOnce =
      512;  // streams in lock step; all lanes of a prompt side by side, so that they share
  for (size_t at = 0; at < missing.size(); at += kAtOnce) {
    if (!Continue("generating", static_cast<double>(at), static_cast<double>(missing.size()),
                  "texts"))
      return {};
    const size_t end = std::min(missing.size(), at + kAtOnce);
    RETURN_IF_ERROR(GenerateSome({missing.begin() + static_cast<std::ptrdiff_t>(at),
                                  missing.begin() + static_cast<std::ptrdiff_t>(end)}));
  }
  data_.generated.resize(data_.lanes.size());
  for (size_t l = 0; l < data_.lanes.size(); ++l) {
    for (size_t p = 0; generates(l) && p < data_.prompts.size(); ++p) {
      ASSIGN_OR_RETURN(auto stored, store_.GetContinuation(GenerationKey(l, p)));
      if (!stored) return Fail("{}: a continuation is gone from the store", spec_.path);
      data_.generated[l].push_back(std::move(*stored));
    }
  }
  return {};
}

// How often the lane is timed: for `overhead`, or for the study's `timings`.
size_t Runner::TimingRounds(const StudyLane& lane) const {
  const auto& claimed = options_.timed_variants;
  if (std::find(claimed.begin(), claimed.end(), lane.name) != claimed.end()) return kClaimRounds;
  return lane.variant >= 0 && lane.alone.whole < 0 ? spec_.timings : 0;
}

// The baseline and a variant alone, alternately, on the first chunk. Times are of this run and this
// machine; they are kept, so that a resumed study says the same.
Status Runner::MeasureTimes() {
  for (size_t l = 0; l < data_.lanes.size() && data_.complete; ++l) {
    const size_t rounds = TimingRounds(data_.lanes[l]);
    if (rounds == 0) continue;
    Timing& timing = data_.timings[l];
    ASSIGN_OR_RETURN(timing, store_.GetTiming(data_.lanes[l].key));
    if (timing.baseline.size() >= rounds) continue;
    timing = {};
    const auto run = [&](size_t lane) {
      const Stream stream{&data_.lanes[lane].plan, data_.chunks[0].tokens, nullptr,
                          data_.chunks[0].scored};
      const auto start = Clock::now();
      Evaluate(model_, {&stream, 1}, nullptr);
      return SecondsSince(start);
    };
    run(data_.Baseline());
    run(l);
    for (size_t round = 0; round < rounds; ++round) {
      if (!Continue("timing", static_cast<double>(round), static_cast<double>(rounds), "rounds"))
        return {};
      timing.baseline.push_back(run(data_.Baseline()));
      timing.variant.push_back(run(l));
    }
    RETURN_IF_ERROR(store_.PutTiming(data_.lanes[l].key, timing));
  }
  return {};
}

Result<StudyData> Runner::Run() {
  ASSIGN_OR_RETURN(data_.complete,
                   FitCorrections(spec_, model_, store_, options_.progress, &data_));
  if (!data_.complete) return std::move(data_);
  std::vector<std::string> keys;
  for (const StudyLane& lane : data_.lanes)
    keys.push_back(LaneKey(model_, data_.lanes, lane, data_.sites));
  for (size_t l = 0; l < keys.size(); ++l) data_.lanes[l].key = keys[l];
  const ModelRecord record = DescribeModel(spec_, model_, data_);
  RETURN_IF_ERROR(store_.Describe(DescribeStudy(spec_), {&record, 1}));
  RETURN_IF_ERROR(ScoreChunks());
  RETURN_IF_ERROR(GenerateAll());
  if (data_.complete) RETURN_IF_ERROR(MeasureFirstTokens(model_, store_, &data_));
  if (data_.complete) {
    ASSIGN_OR_RETURN(data_.complete, MeasureLastWords(model_, store_, options_.progress, &data_));
  }
  RETURN_IF_ERROR(MeasureTimes());
  return std::move(data_);
}

}  // namespace

int StudyData::Truth() const {
  for (size_t l = 0; l < lanes.size(); ++l)
    if (lanes[l].kind == LaneKind::kTruth) return static_cast<int>(l);
  return -1;
}

std::string AbsoluteLabel(const std::string& label, int layers) {
  const size_t open = label.find("[-");
  if (open == std::string::npos || label.back() != ']') return label;
  int back = 0;
  const char *first = label.data() + open + 2, *last = label.data() + label.size() - 1;
  const auto [end, error] = std::from_chars(first, last, back);
  if (error != std::errc() || end != last || back < 1 || back > layers) return label;
  return fmt::format("{}[{}]", label.substr(0, open), layers - back);
}

Result<StudyLane> MakeLane(Model& model, const LaneRecipe& of) {
  std::vector<std::string> rules = of.before;
  rules.insert(rules.end(), of.own.begin(), of.own.end());
  ASSIGN_OR_RETURN(Recipe recipe, ParseRecipe(rules));
  recipe.scales = of.scales;
  for (size_t r = of.before.size(); r < rules.size() && of.only >= 0; ++r)
    recipe.rules[r].layers.only = of.only;
  StudyLane lane;
  lane.kind = of.kind;
  lane.name = of.name;
  lane.own_rules = of.before.size();
  ASSIGN_OR_RETURN(lane.plan, MakePlan(model, recipe, of.seed));
  return lane;
}

std::vector<std::string> BaselineRules(const StudySpec& spec) {
  std::vector<std::string> rules = spec.model_rules;
  rules.insert(rules.end(), spec.baseline.begin(), spec.baseline.end());
  return rules;
}

Result<std::vector<StudyLane>> MakeLanes(const StudySpec& spec, Model& model) {
  std::vector<StudyLane> lanes;
  std::shared_ptr<const StaticScales> scales;
  if (!spec.scales.empty()) {
    ASSIGN_OR_RETURN(StaticScales read, ReadStaticScales(spec.scales));
    scales = std::make_shared<const StaticScales>(std::move(read));
  } else if (spec.calibrate_chunks > 0) {
    ASSIGN_OR_RETURN(scales, CalibrateStudy(spec, model));
  }
  const auto add = [&](LaneKind kind, std::string name, const std::vector<std::string>& before,
                       const std::vector<std::string>& own, uint64_t seed, int only = -1,
                       const StudyVariant* of = nullptr) -> Status {
    auto lane = MakeLane(model, {kind, name, before, own, seed, only, scales});
    if (!lane)
      return Fail("{}: {} '{}': {}{}", spec.path, kind == LaneKind::kVariant ? "variant" : "lane",
                  name, of == nullptr ? "" : PlaceOfError(*of, lane.error().message),
                  lane.error().message);
    lanes.push_back(std::move(*lane));
    return {};
  };
  const std::vector<std::string> baseline = BaselineRules(spec);
  RETURN_IF_ERROR(add(LaneKind::kBaseline, spec.prefix + "baseline", baseline, {}, spec.seed));
  for (size_t v = 0; v < spec.variants.size(); ++v) {
    const StudyVariant& variant = spec.variants[v];
    const int only = variant.of.empty() ? -1 : variant.layer.value_or(-1);
    RETURN_IF_ERROR(
        add(LaneKind::kVariant, variant.name, baseline, variant.rules, spec.seed, only, &variant));
    lanes.back().variant = static_cast<int>(v);
    for (size_t l = 0; l < lanes.size() && only >= 0; ++l)
      if (lanes[l].name == variant.of) lanes.back().alone = {static_cast<int>(l), only};
    for (size_t l = 0; l < lanes.size() && !variant.beside.empty(); ++l)
      if (lanes[l].name == variant.beside) lanes.back().beside = static_cast<int>(l);
  }
  if (spec.truth)
    RETURN_IF_ERROR(
        add(LaneKind::kTruth, spec.prefix + "truth", spec.model_rules, {"*.math=f64"}, spec.seed));
  // Each node evaluated in double from what it is given and rounded at random to a neighbouring
  // float: as legitimate as the baseline, and different. The baseline's own rules come last and
  // stay in force.
  for (size_t k = 0; k < spec.noise; ++k) {
    std::vector<std::string> rules = {"*.math=f64", "*=f32,round=stochastic"};
    rules.insert(rules.end(), baseline.begin(), baseline.end());
    RETURN_IF_ERROR(add(LaneKind::kNoise, fmt::format("{}noise {}", spec.prefix, k + 1), {}, rules,
                        spec.seed + 1 + k));
  }
  return lanes;
}

Result<StudyData> ReadInputs(const StudySpec& spec, Model& model, std::vector<StudyLane> lanes,
                             const RunOptions& options) {
  StudyData data;
  data.lanes = std::move(lanes);
  RETURN_IF_ERROR(InputReader(spec, model, options, &data).Read());
  return data;
}

Result<StudyData> RunStudy(const StudySpec& spec, Model& model, StudyData inputs, Store& store,
                           const RunOptions& options) {
  return Runner(spec, model, store, options, std::move(inputs)).Run();
}

std::vector<RuleEffect> OwnEffects(const StudyData& data, size_t lane) {
  const StudyLane& of = data.lanes[lane];
  std::vector<RuleEffect> effects(of.plan.rules.begin() + static_cast<std::ptrdiff_t>(of.own_rules),
                                  of.plan.rules.end());
  for (const ChunkScore& score : data.scores[lane])
    for (size_t r = 0; r < effects.size(); ++r)
      effects[r].counts += score.effects[of.own_rules + r];
  return effects;
}

bool SameOutput(const StudyData& data, size_t a, size_t b) { return SameOutput(data, a, data, b); }

bool SameOutput(const StudyData& data_a, size_t a, const StudyData& data_b, size_t b) {
  return std::equal(data_a.scores[a].begin(), data_a.scores[a].end(), data_b.scores[b].begin(),
                    data_b.scores[b].end(), [](const ChunkScore& x, const ChunkScore& y) {
                      return x.fingerprint == y.fingerprint;
                    });
}

bool IsVacuous(const StudyData& data, size_t lane) {
  const std::vector<RuleEffect> effects = OwnEffects(data, lane);
  // In a lane of one layer alone, rules on other layers have no site.
  const bool alone = data.lanes[lane].alone.whole >= 0;
  return std::any_of(
             effects.begin(), effects.end(),
             [&](const RuleEffect& e) { return e.vacuous() && !(alone && e.sites.empty()); }) ||
         SameOutput(data, lane, data.Baseline());
}

bool IsForetold(const StudyLane& lane) {
  for (size_t r = lane.own_rules; r < lane.plan.rules.size(); ++r) {
    const RuleEffect& effect = lane.plan.rules[r];
    if (lane.plan.recipe.rules[r].part == Part::kWeight && effect.counts.touched > 0 &&
        effect.counts.changed == 0)
      return true;
  }
  return false;
}

}  // namespace vernier
