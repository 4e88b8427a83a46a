#include "study/claims.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "measure/outlier.h"
#include "measure/statistics.h"
#include "ops/elementary.h"
#include "study/claim_functions.h"
#include "study/last_word.h"

namespace vernier {
namespace {

using Kind = Expression::Kind;
constexpr size_t kResamples = 2000;

using Sums = ChunkSums;

// A number as a function of how often each group (chunk, or round of timing) counts.
using Statistic = std::function<double(std::span<const uint32_t>)>;

// A lane of one of the models.
struct LaneOf {
  size_t model, lane;
};

class Judge {
 public:
  Judge(std::span<const StudiedModel> models, size_t claims)
      : models_(models), alpha_(0.05 / static_cast<double>(std::max<size_t>(claims, 1))) {
    for (size_t m = 0; m < models.size(); ++m) {
      sums_.emplace_back();
      for (const auto& lane : models[m].data->scores) {
        sums_.back().emplace_back();
        for (const ChunkScore& score : lane) sums_.back().back().push_back(SumsOf(score));
      }
      first_group_.push_back(FirstGroup(m));
    }
    for (size_t m = 0; m < models.size(); ++m) {
      for (const auto& [lane, timing] : models[m].data->timings) {
        timing_at_[{m, lane}] = groups_;
        AddStratum(timing.baseline.size());
      }
      first_prompt_.push_back(groups_);
      AddStratum(models[m].data->first_prompts.size());
      first_passage_.push_back(groups_);
      AddStratum(models[m].data->passages.size());
      first_run_.push_back(groups_);
      AddStratum(models[m].data->generated.empty() ? 0 : models[m].data->prompts.size());
    }
  }

  void Run(const Expression& e, JudgedClaim* claim) const {
    if (e.kind != Kind::kCall) return Compare(e, claim);
    if (e.text == "identical") return Identical(e, claim);
    if (e.text == "vacuous") {
      const LaneOf of = Lane(e.parts[0].text);
      const StudyData& data = Data(of);
      claim->verdict = IsVacuous(data, of.lane) ? Verdict::kSupported : Verdict::kRefuted;
      claim->detail = fmt::format("exact, over {} chunks", data.chunks.size());
      return;
    }
    if (e.text == "largest") return Largest(e, claim);
    if (e.text == "anomalous") return Anomalous(e, claim);
    Series(e, claim);
  }

 private:
  void AddStratum(size_t count) {
    strata_.push_back(count);
    groups_ += count;
  }
  // Where a model's chunks stand among the groups that are drawn: with those of an earlier model
  // where the tokens are the same, so that differences between models are paired.
  size_t FirstGroup(size_t m) {
    const StudyData& data = *models_[m].data;
    for (size_t other = 0; other < m; ++other) {
      const StudyData& before = *models_[other].data;
      const auto same = [](const Chunk& a, const Chunk& b) {
        return a.tokens == b.tokens && a.scored == b.scored;
      };
      if (data.text_of_chunk == before.text_of_chunk &&
          std::equal(data.chunks.begin(), data.chunks.end(), before.chunks.begin(),
                     before.chunks.end(), same))
        return first_group_[other];
    }
    const size_t first = groups_;
    std::vector<size_t> chunks(models_[m].spec->texts.size());
    for (const size_t text : data.text_of_chunk) ++chunks[text];
    for (const size_t count : chunks) AddStratum(count);
    return first;
  }
  const StudyData& Data(LaneOf of) const { return *models_[of.model].data; }
  LaneOf Lane(const std::string& name) const {
    for (size_t m = 0; m < models_.size(); ++m)
      for (size_t l = 0; l < models_[m].data->lanes.size(); ++l)
        if (models_[m].data->lanes[l].name == name) return {m, l};
    CHECK(false && "a claim's names are checked when it is parsed");
    return {};
  }
  // Text of index, -1: all.
  int Text(const std::string& name) const {
    const auto& texts = models_[0].spec->texts;
    for (size_t t = 0; t < texts.size(); ++t)
      if (texts[t].name == name) return static_cast<int>(t);
    return -1;
  }
  double Total(LaneOf of, int text, std::span<const uint32_t> times, double Sums::*field) const {
    const StudyData& data = Data(of);
    const std::vector<Sums>& sums = sums_[of.model][of.lane];
    const auto of_group = times.subspan(first_group_[of.model]);
    double total = 0;
    for (size_t c = 0; c < data.chunks.size(); ++c)
      if (text < 0 || data.text_of_chunk[c] == static_cast<size_t>(text))
        total += of_group[c] * (sums[c].*field);
    return total;
  }
  double LargestOver(LaneOf of, int text, std::span<const uint32_t> times,
                     double Sums::*field) const {
    const StudyData& data = Data(of);
    const auto of_group = times.subspan(first_group_[of.model]);
    double most = 0;
    for (size_t c = 0; c < data.chunks.size(); ++c)
      if (of_group[c] > 0 && (text < 0 || data.text_of_chunk[c] == static_cast<size_t>(text)))
        most = std::max(most, sums_[of.model][of.lane][c].*field);
    return most;
  }
  double MeanOver(LaneOf lane, int text, std::span<const uint32_t> times,
                  double Sums::*field) const {
    return Total(lane, text, times, field) / Total(lane, text, times, &Sums::tokens);
  }

  Statistic MeasureOf(const std::string& name, LaneOf lane, int text) const {
    static constexpr std::pair<const char*, double Sums::*> kMeans[] = {
        {"kld", &Sums::kld},          {"nll", &Sums::nll},
        {"delta_p", &Sums::delta_p},  {"same_top", &Sums::same_top},
        {"accuracy", &Sums::correct}, {"mae", &Sums::mae},
        {"truth", &Sums::truth},      {"mae_truth", &Sums::mae_truth}};
    for (const auto& [mean, field] : kMeans)
      if (name == mean)
        return [this, lane, text, f = field](std::span<const uint32_t> times) {
          return MeanOver(lane, text, times, f);
        };
    if (name == "ppl")
      return [this, lane, text](std::span<const uint32_t> times) {
        return Exponential(MeanOver(lane, text, times, &Sums::nll));
      };
    if (name == "late_mae")
      return [this, lane, text](std::span<const uint32_t> times) {
        return Total(lane, text, times, &Sums::late_mae) /
               Total(lane, text, times, &Sums::late_tokens);
      };
    if (name == "max_abs")
      return [this, lane, text](std::span<const uint32_t> times) {
        return LargestOver(lane, text, times, &Sums::max_abs);
      };
    CHECK(name == "rms_delta_p");
    return [this, lane, text](std::span<const uint32_t> times) {
      return std::sqrt(MeanOver(lane, text, times, &Sums::delta_p_squared));
    };
  }

  Statistic NoiseOf(size_t model, int text, double Sums::*field) const {
    std::vector<LaneOf> lanes;
    const StudyData& data = *models_[model].data;
    for (size_t l = 0; l < data.lanes.size(); ++l)
      if (data.lanes[l].kind == LaneKind::kNoise) lanes.push_back({model, l});
    return [this, lanes, text, field](std::span<const uint32_t> times) {
      double total = 0;
      for (const LaneOf lane : lanes) total += MeanOver(lane, text, times, field);
      return total / static_cast<double>(lanes.size());
    };
  }

  SiteSums SumsAt(LaneOf of, size_t site, std::span<const uint32_t> times) const {
    const std::vector<ChunkScore>& scores = Data(of).scores[of.lane];
    const auto of_group = times.subspan(first_group_[of.model]);
    SiteSums sums;
    for (size_t c = 0; c < scores.size(); ++c) sums.Add(scores[c].sites[site], of_group[c]);
    return sums;
  }
  // The variant's lane of this layer alone; none without by_layer.
  std::optional<LaneOf> Alone(LaneOf of, int layer) const {
    const StudyData& data = Data(of);
    for (size_t l = 0; l < data.lanes.size(); ++l)
      if (data.lanes[l].alone.whole == static_cast<int>(of.lane) &&
          data.lanes[l].alone.layer == layer)
        return LaneOf{of.model, l};
    return std::nullopt;
  }
  // Index into data.sites, -1: not measured.
  int SiteIndex(LaneOf of, const std::string& name, int layer) const {
    for (size_t i = 0; i < Data(of).sites.size(); ++i)
      if (SiteOf(of, i).name == name && SiteOf(of, i).layer == layer) return static_cast<int>(i);
    return -1;
  }
  // A measure of one lane's site (index into data.sites).
  Statistic SiteMeasure(const std::string& name, LaneOf of, size_t site) const {
    if (name == "contributed" || name == "inherited") {
      const auto alone = Alone(of, SiteOf(of, site).layer);
      if (!alone) return Unknown();
      return [this, alone, site, own = name == "contributed"](std::span<const uint32_t> times) {
        const SiteSums sums = SumsAt(*alone, site, times);
        return std::sqrt((own ? sums.error : sums.inherited) / sums.reference);
      };
    }
    if (name == "growth") {
      const Site& here = SiteOf(of, site);
      const int before = here.layer == 0 && here.name == "l_out"
                             ? SiteIndex(of, "embd", -1)
                             : SiteIndex(of, here.name, here.layer - 1);
      return before < 0 ? Unknown() : RmsRatio(of, site, static_cast<size_t>(before));
    }
    return [this, name, of, site](std::span<const uint32_t> times) {
      const LaneOf base{of.model, Data(of).Baseline()};
      return SiteMeasureOf(name, SumsAt(of, site, times),
                           name == "drift" ? SumsAt(base, site, times) : SiteSums{});
    };
  }
  Statistic RmsRatio(LaneOf of, size_t site, size_t before) const {
    return [this, of, site, before](std::span<const uint32_t> times) {
      const SiteSums a = SumsAt(of, before, times), b = SumsAt(of, site, times);
      return std::sqrt((b.squares / b.count) / (a.squares / a.count));
    };
  }
  static Statistic Unknown() {
    return [](std::span<const uint32_t>) { return std::nan(""); };
  }
  // Of 'SITE[LAYER]', or of 'SITE' in all layers.
  Statistic CompileSite(const std::string& name, LaneOf of, const std::string& written) const {
    const std::string label = AbsoluteLabel(written, models_[of.model].graph->layers);
    std::vector<size_t> layers;  // of the name
    for (size_t i = 0; i < Data(of).sites.size(); ++i) {
      if (SiteOf(of, i).Label() == label) return SiteMeasure(name, of, i);
      if (SiteOf(of, i).name == label) layers.push_back(i);
    }
    if (name == "growth" && layers.size() > 1) return RmsRatio(of, layers.back(), layers.front());
    if (name == "depth_exponent") return DepthExponentOf(of, layers);
    if (name != "drift" || layers.empty()) return Unknown();  // of a layer that is not
    std::vector<Statistic> each;
    for (const size_t i : layers) each.push_back(SiteMeasure(name, of, i));
    return [each](std::span<const uint32_t> times) {
      double squares = 0;
      for (const Statistic& drift : each) squares += drift(times) * drift(times);
      return std::sqrt(squares / static_cast<double>(each.size()));
    };
  }
  // Layers that the truth does not run are left out.
  Statistic DepthExponentOf(LaneOf of, const std::vector<size_t>& layers) const {
    return [this, of, layers](std::span<const uint32_t> times) {
      std::vector<LayerError> errors;
      for (const size_t i : layers) {
        const SiteSums sums = SumsAt(of, i, times);
        if (sums.truth_reference > 0)
          errors.push_back(
              {SiteOf(of, i).layer, std::sqrt(sums.truth_error / sums.truth_reference)});
      }
      return DepthExponent(errors);
    };
  }
  Statistic FreeRunOf(const std::string& name, LaneOf of) const {
    return [name, runs = FreeRunsOf(Data(of), of.lane),
            first = first_run_[of.model]](std::span<const uint32_t> times) {
      return FreeRunMeasure(name, runs, times.subspan(first, runs.size()));
    };
  }
  // Of first tokens, in the groups of a model's prompts.
  Statistic FirstOf(const std::string& name, LaneOf of) const {
    const auto& tokens = Data(of).first_tokens[of.lane];
    if (tokens.empty()) return Unknown();
    return [name, &tokens, first = first_prompt_[of.model]](std::span<const uint32_t> times) {
      return FirstTokenMeasure(name, tokens, times.subspan(first, tokens.size()));
    };
  }
  Statistic LastWordOf(const std::string& name, LaneOf of) const {
    const auto& words = Data(of).last_words[of.lane];
    return [name, &words, first = first_passage_[of.model]](std::span<const uint32_t> times) {
      return LastWordMeasure(name, words, times.subspan(first, words.size()));
    };
  }
  Statistic OverheadOf(LaneOf of) const {
    const Timing& timing = Data(of).timings.at(of.lane);
    return [&timing, first = timing_at_.at({of.model, of.lane})](std::span<const uint32_t> times) {
      return Overhead(timing, times.subspan(first, timing.baseline.size()));
    };
  }
  // McNemar's p-value: a number of all tokens, without an interval of its own.
  Statistic PValueOf(const Expression& e) const {
    const LaneOf a = Lane(e.parts[0].text), b = Lane(e.parts[1].text);
    const StudyData &of_a = Data(a), &of_b = Data(b);
    std::optional<PairedTest> test;
    if (e.text == "p_value") {
      const int text = e.parts.size() > 2 ? Text(e.parts[2].text) : -1;
      test = CompareAccuracy(of_a, a.lane, of_b, b.lane, text);
    } else if (of_a.last_words[a.lane].size() == of_b.last_words[b.lane].size()) {
      test = CompareLastWords(of_a.last_words[a.lane], of_b.last_words[b.lane]);
    }
    return [p = test ? test->p_value : std::nan("")](std::span<const uint32_t>) { return p; };
  }

  Statistic Compile(const Expression& e) const {
    if (e.kind == Kind::kNumber) return [v = e.number](std::span<const uint32_t>) { return v; };
    if (e.kind == Kind::kCall) return CompileCall(e);
    const Statistic a = Compile(e.parts[0]);
    if (e.kind == Kind::kNegate) return [a](std::span<const uint32_t> t) { return -a(t); };
    const Statistic b = Compile(e.parts[1]);
    switch (e.kind) {
      case Kind::kAdd:
        return [a, b](std::span<const uint32_t> t) { return a(t) + b(t); };
      case Kind::kMultiply:
        return [a, b](std::span<const uint32_t> t) { return a(t) * b(t); };
      case Kind::kDivide:
        return [a, b](std::span<const uint32_t> t) { return a(t) / b(t); };
      default:  // a comparison is judged by the difference
        return [a, b](std::span<const uint32_t> t) { return a(t) - b(t); };
    }
  }

  // abs, max, min
  Statistic CompileFunction(const Expression& e) const {
    std::vector<Statistic> parts;
    for (const Expression& part : e.parts) parts.push_back(Compile(part));
    return [parts, name = e.text](std::span<const uint32_t> times) {
      double result = parts[0](times);
      if (name == "abs") return std::abs(result);
      for (size_t i = 1; i < parts.size(); ++i) {
        const double x = parts[i](times);
        if (std::isnan(x) || (name == "max" ? x > result : x < result)) result = x;
      }
      return result;
    };
  }

  Statistic CompileCall(const Expression& e) const {
    if (e.text == "noise" || e.text == "noise_mae") return CompileNoise(e);
    if (IsPairedTest(e.text)) return PValueOf(e);
    if (IsFormatFact(e.text)) {
      const double x = e.parts.size() > 1 ? ValueOf(e.parts[1]) : 0;
      return [v = FormatFact(e.text, e.parts[0].text, x).value_or(std::nan(""))](
                 std::span<const uint32_t>) { return v; };
    }
    if (e.text == "abs" || e.text == "max" || e.text == "min") return CompileFunction(e);
    const LaneOf lane = Lane(e.parts[0].text);
    if (e.text == "overhead") return OverheadOf(lane);
    if (IsFreeRunMeasure(e.text)) return FreeRunOf(e.text, lane);
    if (e.text.starts_with("first_")) return FirstOf(e.text, lane);
    if (e.text.starts_with("last_word")) return LastWordOf(e.text, lane);
    if (IsSiteMeasure(e.text)) return CompileSite(e.text, lane, e.parts[1].text);
    return MeasureOf(e.text, lane, e.parts.size() == 2 ? Text(e.parts[1].text) : -1);
  }

  // noise(['TEXT']), or noise('MODEL' [, 'TEXT']) where there are several models.
  Statistic CompileNoise(const Expression& e) const {
    size_t model = 0, at = 0;
    if (models_.size() > 1) {
      const std::string prefix = e.parts[at++].text + ": ";
      while (models_[model].spec->prefix != prefix) ++model;
    }
    return NoiseOf(model, at < e.parts.size() ? Text(e.parts[at].text) : -1,
                   e.text == "noise" ? &Sums::kld : &Sums::mae);
  }
  // The i-th site whose error was measured.
  const Site& SiteOf(LaneOf of, size_t i) const {
    return models_[of.model].graph->sites[static_cast<size_t>(Data(of).sites[i])];
  }

  struct Estimate {
    double value = 0;
    Interval interval;
    bool known = false;  // false: a text of one chunk gives no interval
  };
  Estimate EstimateOf(const Statistic& statistic, double alpha) const {
    const std::vector<uint32_t> once(groups_, 1);
    Estimate e;
    e.value = statistic(once);
    e.interval = Bootstrap(strata_, kResamples, models_[0].spec->seed, alpha, statistic);
    e.known = IntervalIsKnown(statistic, once);
    return e;
  }
  ClaimEstimate Kept(const Estimate& e) const {
    return {e.value, e.interval.low, e.interval.high, 1 - alpha_, e.known};
  }
  // Whether every text (or timing) that the statistic depends on has more than one group: what is
  // drawn from one group is that group. A statistic depends on a text when it changes without it.
  bool IntervalIsKnown(const Statistic& statistic, std::vector<uint32_t> times) const {
    const double value = statistic(times);
    size_t first = 0;
    for (const size_t count : strata_) {
      if (count == 1) {
        times[first] = 0;
        if (statistic(times) != value) return false;  // also where it became NaN
        times[first] = 1;
      }
      first += count;
    }
    return true;
  }
  // The models that an expression speaks of.
  void CollectModels(const Expression& e, std::set<size_t>* models) const {
    if (e.kind == Kind::kText)
      for (size_t m = 0; m < models_.size(); ++m)
        if (!models_[m].spec->prefix.empty() &&
            (e.text + ": ").starts_with(models_[m].spec->prefix))
          models->insert(m);
    for (const Expression& part : e.parts) CollectModels(part, models);
  }
  // Whether an expression speaks of prompts alone.
  static bool OfPrompts(const Expression& e) {
    if (e.kind == Kind::kCall &&
        (e.text.starts_with("first_") || e.text.starts_with("last_") || IsFreeRunMeasure(e.text)))
      return true;
    const bool measure =
        e.kind == Kind::kCall && e.text != "abs" && e.text != "max" && e.text != "min";
    const auto allowed = [](const Expression& part) {
      return part.kind == Kind::kNumber || OfPrompts(part);
    };
    return !measure && std::any_of(e.parts.begin(), e.parts.end(), OfPrompts) &&
           std::all_of(e.parts.begin(), e.parts.end(), allowed);
  }
  // Whether a call's name begins so.
  static bool Speaks(const Expression& e, const char* prefix) {
    return (e.kind == Kind::kCall && e.text.starts_with(prefix)) ||
           std::any_of(e.parts.begin(), e.parts.end(),
                       [&](const Expression& part) { return Speaks(part, prefix); });
  }
  std::string Describe(const Expression& of, const Estimate& e, double alpha) const {
    std::set<size_t> models;
    CollectModels(of, &models);
    if (models.empty()) models.insert(0);
    const std::string figures = fmt::format("{:.6g} [{:.6g}, {:.6g}] at {:.4g} %", e.value,
                                            e.interval.low, e.interval.high, 100 * (1 - alpha));
    const bool passages = Speaks(of, "last_"), first = Speaks(of, "first_");
    size_t prompts = 0;
    for (const size_t m : models) {
      const StudyData& data = *models_[m].data;
      prompts += passages ? data.passages.size()
                 : first  ? data.first_prompts.size()
                          : data.prompts.size();
    }
    if (prompts > 0 && OfPrompts(of))
      return fmt::format("{}, n = {} {}", figures, prompts, passages ? "passages" : "prompts");
    std::map<size_t, std::pair<double, size_t>> counted;  // by first group: tokens and chunks
    for (const size_t m : models) {
      double tokens = 0;
      for (const Sums& s : sums_[m][0]) tokens += s.tokens;
      counted[first_group_[m]] = {tokens, models_[m].data->chunks.size()};
    }
    double tokens = 0;
    size_t chunks = 0;
    for (const auto& [group, count] : counted) {
      tokens += count.first;
      chunks += count.second;
    }
    return fmt::format("{}, n = {} tokens in {} chunks", figures, tokens, chunks);
  }

  void Compare(const Expression& e, JudgedClaim* claim) const {
    const Estimate d = EstimateOf(Compile(e), alpha_);
    claim->estimate = Kept(d);
    const bool greater = e.kind == Kind::kGreater || e.kind == Kind::kGreaterEqual;
    const bool or_equal = e.kind == Kind::kLessEqual || e.kind == Kind::kGreaterEqual;
    const double low = greater ? d.interval.low : -d.interval.high,
                 high = greater ? d.interval.high : -d.interval.low;
    claim->detail = "left - right = " + Describe(e, d, alpha_);
    const bool exactly_equal = low == 0 && high == 0;
    if (std::isnan(d.value)) {
      claim->detail = "no such number was measured";
    } else if (exactly_equal) {
      claim->verdict = or_equal ? Verdict::kSupported : Verdict::kRefuted;
      claim->detail += " (equal in every chunk)";
    } else if (!d.known) {
      claim->detail += "; a text of one chunk gives no interval";
    } else if (low > 0 || (or_equal && low >= 0)) {
      claim->verdict = Verdict::kSupported;
    } else if (high < 0 || (!or_equal && high <= 0)) {
      claim->verdict = Verdict::kRefuted;
    }
  }

  void Identical(const Expression& e, JudgedClaim* claim) const {
    const LaneOf a = Lane(e.parts[0].text), b = Lane(e.parts[1].text);
    const bool same = SameOutput(Data(a), a.lane, Data(b), b.lane);
    claim->verdict = same ? Verdict::kSupported : Verdict::kRefuted;
    claim->detail = fmt::format("logits {} over {} chunks", same ? "equal bit for bit" : "differ",
                                Data(a).chunks.size());
  }

  // The statistics by layer that a series speaks of; those that cannot be measured are left out.
  struct ByLayer {
    std::vector<int> layers;
    std::vector<Statistic> statistics;
  };
  ByLayer SeriesOf(const Expression& e) const {
    ByLayer series;
    const Expression& what = e.parts[0];
    if (what.kind == Kind::kCall) {  // error('VARIANT', 'SITE')
      const LaneOf of = Lane(what.parts[0].text);
      const std::vector<uint32_t> once(groups_, 1);
      for (size_t i = 0; i < Data(of).sites.size(); ++i) {
        if (SiteOf(of, i).name != what.parts[1].text) continue;
        const Statistic measure = SiteMeasure(what.text, of, i);
        if (what.text == "growth" && std::isnan(measure(once))) continue;  // no layer before
        series.layers.push_back(SiteOf(of, i).layer);
        series.statistics.push_back(measure);
      }
      return series;
    }
    const Expression* sweep = SweepOf(e);
    std::map<int, LaneOf> by_layer;
    for (size_t m = 0; m < models_.size(); ++m) {
      const auto& [spec, data, graph] = models_[m];
      for (size_t l = 0; l < data->lanes.size(); ++l) {
        if (data->lanes[l].variant < 0) continue;
        const StudyVariant& v = spec->variants[static_cast<size_t>(data->lanes[l].variant)];
        if (v.layer && (sweep == nullptr || SweepKey(*spec, v) == sweep->text))
          by_layer[*v.layer] = {m, l};
      }
    }
    for (const auto& [layer, lane] : by_layer) {
      series.layers.push_back(layer);
      series.statistics.push_back(MeasureOf(what.text, lane, -1));
    }
    return series;
  }
  std::string SeriesText(const ByLayer& series) const {
    const std::vector<uint32_t> once(groups_, 1);
    std::string text = "by layer";
    for (size_t i = 0; i < series.layers.size(); ++i)
      text += fmt::format(" {}: {:.4g}", series.layers[i], series.statistics[i](once));
    return text;
  }

  // Whether the least of the layers named is above the largest of the others.
  void Largest(const Expression& e, JudgedClaim* claim) const {
    const ByLayer series = SeriesOf(e);
    const LayerSelection wanted = *LayersOfText(e.parts.back().text);
    const int layers = series.layers.empty() ? 0 : series.layers.back() + 1;
    std::vector<size_t> named, others;
    for (size_t i = 0; i < series.layers.size(); ++i)
      (wanted.Contains(series.layers[i], layers) ? named : others).push_back(i);
    claim->detail = SeriesText(series);
    if (named.empty() || others.empty()) {
      claim->detail += "; no layers on both sides";
      return;
    }
    const auto gap = [&](std::span<const uint32_t> times) {
      double least = INFINITY, most = -INFINITY;
      for (const size_t i : named) least = std::min(least, series.statistics[i](times));
      for (const size_t i : others) most = std::max(most, series.statistics[i](times));
      return least - most;
    };
    const Estimate d = EstimateOf(gap, alpha_);
    claim->estimate = Kept(d);
    claim->detail += "; least of the named - largest of the others = " + Describe(e, d, alpha_);
    if (d.known && d.interval.low > 0) claim->verdict = Verdict::kSupported;
    if (d.known && d.interval.high < 0) claim->verdict = Verdict::kRefuted;
  }

  // Bonferroni's outlier test over depth: docs/measures.md, "An anomalous layer".
  void Anomalous(const Expression& e, JudgedClaim* claim) const {
    const ByLayer series = SeriesOf(e);
    claim->detail = SeriesText(series);
    const size_t n = series.layers.size();
    if (n < 5) {
      claim->detail += fmt::format("; {} layers say nothing of one of them, at least 5 do", n);
      return;
    }
    const std::string& measure = e.parts[0].text;
    const bool logarithm = measure != "drift" && measure != "mean" && measure != "delta_p";
    const auto values = [&](std::span<const uint32_t> times) {
      std::vector<double> y;
      for (const Statistic& s : series.statistics)
        y.push_back(logarithm ? Logarithm(s(times)) : s(times));
      return y;
    };
    const double critical =
        StudentQuantile(alpha_ / static_cast<double>(n), static_cast<double>(n - 3));
    const std::vector<uint32_t> once(groups_, 1);
    const auto residuals = [&](std::span<const uint32_t> times) {
      const std::vector<double> y = values(times);
      std::vector<double> t;
      for (size_t i = 0; i < n; ++i) t.push_back(std::abs(StudentisedResidual(y, i)));
      return t;
    };
    const std::vector<double> now = residuals(once);
    size_t at = static_cast<size_t>(std::max_element(now.begin(), now.end()) - now.begin());
    if (NamesLayer(e)) {
      const Expression& last = e.parts.back();
      const double written = last.kind == Kind::kNegate ? -last.parts[0].number : last.number;
      const int layer =
          static_cast<int>(written < 0 ? written + series.layers.back() + 1 : written);
      const auto found = std::find(series.layers.begin(), series.layers.end(), layer);
      if (found == series.layers.end()) {
        claim->detail += fmt::format("; there is no layer {}", layer);
        return;
      }
      at = static_cast<size_t>(found - series.layers.begin());
    }
    const bool any = !NamesLayer(e);
    const auto excess = [&](std::span<const uint32_t> times) {
      const std::vector<double> t = residuals(times);
      const double value = any ? *std::max_element(t.begin(), t.end()) : t[at];
      return std::min(value, 1e300) - critical;
    };
    const Estimate d = EstimateOf(excess, alpha_);
    claim->estimate = Kept(d);
    claim->detail += fmt::format(
        "; |t| of layer {} = {:.4g}{}, critical {:.4g} at {} degrees; "
        "difference {}",
        series.layers[at], now[at], any ? ", the largest" : "", critical, n - 3,
        Describe(e, d, alpha_));
    if (d.known && d.interval.low > 0) claim->verdict = Verdict::kSupported;
    if (d.known && d.interval.high < 0) claim->verdict = Verdict::kRefuted;
  }

  void Series(const Expression& e, JudgedClaim* claim) const {
    const std::vector<Statistic> series = SeriesOf(e).statistics;
    if (series.size() < 2) {
      claim->detail = fmt::format("{} layer: no direction", series.size());
      return;
    }
    const double alpha = alpha_ / static_cast<double>(series.size() - 1);
    size_t up = 0, down = 0;
    const std::vector<uint32_t> once(groups_, 1);
    std::string values = fmt::format("{:.4g}", series[0](once));
    for (size_t i = 1; i < series.size(); ++i) {
      const Estimate d = EstimateOf(
          [&](std::span<const uint32_t> t) { return series[i](t) - series[i - 1](t); }, alpha);
      up += d.known && d.interval.low > 0;
      down += d.known && d.interval.high < 0;
      values += fmt::format(" {} {:.4g}",
                            !d.known              ? "~"
                            : d.interval.low > 0  ? "<"
                            : d.interval.high < 0 ? ">"
                                                  : "~",
                            series[i](once));
    }
    const size_t steps = series.size() - 1;
    const bool wants_up = e.text != "decreasing", wants_down = e.text != "increasing";
    if ((wants_up && up == steps) || (wants_down && down == steps)) {
      claim->verdict = Verdict::kSupported;
    } else if ((wants_up && wants_down) ? (up > 0 && down > 0) : (wants_up ? down > 0 : up > 0)) {
      claim->verdict = Verdict::kRefuted;
    }
    claim->detail = fmt::format(
        "by layer {}; of {} steps {} rise and {} fall beyond their intervals at {:.4g} %", values,
        steps, up, down, 100 * (1 - alpha));
  }

  std::span<const StudiedModel> models_;
  double alpha_;
  std::vector<std::vector<std::vector<Sums>>> sums_;  // [model][lane][chunk]
  // What is drawn: chunks of each text of each model, then rounds of each timing.
  std::vector<size_t> strata_;
  size_t groups_ = 0;
  std::vector<size_t> first_group_;                        // of a model's chunks
  std::vector<size_t> first_prompt_;                       // of a model's first tokens
  std::vector<size_t> first_passage_;                      // of its passages
  std::vector<size_t> first_run_;                          // of its free-running texts
  std::map<std::pair<size_t, size_t>, size_t> timing_at_;  // (model, lane) -> its first group
};

}  // namespace

const char* VerdictName(Verdict verdict) {
  return verdict == Verdict::kSupported ? "supported"
         : verdict == Verdict::kRefuted ? "refuted"
                                        : "undecided";
}

std::vector<JudgedClaim> JudgeClaims(const std::vector<StudyClaim>& claims,
                                     const std::vector<Expression>& expressions,
                                     std::span<const StudiedModel> models) {
  const Judge judge(models, claims.size());
  std::vector<JudgedClaim> judged;
  for (size_t i = 0; i < claims.size(); ++i) {
    judged.push_back(
        {claims[i].says, claims[i].expression, claims[i].required, Verdict::kUndecided, ""});
    judge.Run(expressions[i], &judged.back());
  }
  return judged;
}

}  // namespace vernier
