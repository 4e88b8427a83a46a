#include "study/claims.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "measure/statistics.h"
#include "ops/elementary.h"

namespace vernier {
namespace {

using Kind = Expression::Kind;
constexpr size_t kResamples = 2000;

// Sums over one chunk of one lane, from which every measure of any set of chunks follows.
struct Sums {
  double tokens = 0, nll = 0, kld = 0, delta_p = 0, delta_p_squared = 0, same_top = 0, mae = 0,
         truth = 0;
};

Sums SumsOf(const ChunkScore& score) {
  Sums s;
  for (const TokenMeasure& t : score.tokens) {
    s.tokens += 1;
    s.nll += t.nll;
    s.kld += t.kld;
    s.delta_p += t.delta_p;
    s.delta_p_squared += t.delta_p * t.delta_p;
    s.same_top += t.same_top;
    s.mae += double{t.mae};
    s.truth += t.kld_truth;
  }
  return s;
}

// A number as a function of how often each group (chunk, or round of timing) counts.
using Statistic = std::function<double(std::span<const uint32_t>)>;

class Judge {
 public:
  Judge(const StudySpec& spec, const StudyData& data, const Graph& graph, size_t claims)
      : spec_(spec),
        data_(data),
        graph_(graph),
        alpha_(0.05 / static_cast<double>(std::max<size_t>(claims, 1))) {
    for (const auto& lane : data.scores) {
      sums_.emplace_back();
      for (const ChunkScore& score : lane) sums_.back().push_back(SumsOf(score));
    }
    strata_.assign(spec.texts.size(), 0);
    for (const size_t text : data.text_of_chunk) ++strata_[text];
    for (const auto& [lane, timing] : data.timings) {
      timing_at_[lane] = data.chunks.size() + timing_groups_;
      timing_groups_ += timing.baseline.size();
      strata_.push_back(timing.baseline.size());
    }
  }

  void Run(const Expression& e, JudgedClaim* claim) const {
    if (e.kind != Kind::kCall) return Compare(e, claim);
    if (e.text == "identical") return Identical(e, claim);
    if (e.text == "vacuous") {
      const size_t lane = Lane(e.parts[0].text);
      claim->verdict = IsVacuous(data_, lane) ? Verdict::kSupported : Verdict::kRefuted;
      claim->detail = fmt::format("exact, over {} chunks", data_.chunks.size());
      return;
    }
    Series(e, claim);
  }

 private:
  size_t Lane(const std::string& name) const {
    for (size_t l = 0; l < data_.lanes.size(); ++l)
      if (data_.lanes[l].name == name) return l;
    CHECK(false && "a claim's names are checked when it is parsed");
    return 0;
  }
  // Text of index, -1: all.
  int Text(const std::string& name) const {
    for (size_t t = 0; t < spec_.texts.size(); ++t)
      if (spec_.texts[t].name == name) return static_cast<int>(t);
    return -1;
  }
  double Total(size_t lane, int text, std::span<const uint32_t> times, double Sums::*field) const {
    double total = 0;
    for (size_t c = 0; c < data_.chunks.size(); ++c)
      if (text < 0 || data_.text_of_chunk[c] == static_cast<size_t>(text))
        total += times[c] * (sums_[lane][c].*field);
    return total;
  }
  double MeanOver(size_t lane, int text, std::span<const uint32_t> times,
                  double Sums::*field) const {
    return Total(lane, text, times, field) / Total(lane, text, times, &Sums::tokens);
  }

  Statistic MeasureOf(const std::string& name, size_t lane, int text) const {
    static constexpr std::pair<const char*, double Sums::*> kMeans[] = {
        {"kld", &Sums::kld},           {"nll", &Sums::nll}, {"delta_p", &Sums::delta_p},
        {"same_top", &Sums::same_top}, {"mae", &Sums::mae}, {"truth", &Sums::truth}};
    for (const auto& [mean, field] : kMeans)
      if (name == mean)
        return [this, lane, text, f = field](std::span<const uint32_t> times) {
          return MeanOver(lane, text, times, f);
        };
    if (name == "ppl")
      return [this, lane, text](std::span<const uint32_t> times) {
        return Exponential(MeanOver(lane, text, times, &Sums::nll));
      };
    CHECK(name == "rms_delta_p");
    return [this, lane, text](std::span<const uint32_t> times) {
      return std::sqrt(MeanOver(lane, text, times, &Sums::delta_p_squared));
    };
  }

  Statistic NoiseOf(int text) const {
    std::vector<size_t> lanes;
    for (size_t l = 0; l < data_.lanes.size(); ++l)
      if (data_.lanes[l].kind == LaneKind::kNoise) lanes.push_back(l);
    return [this, lanes, text](std::span<const uint32_t> times) {
      double total = 0;
      for (const size_t lane : lanes) total += MeanOver(lane, text, times, &Sums::kld);
      return total / static_cast<double>(lanes.size());
    };
  }

  // Relative l2 error of the lane's site (index into data.sites) against the baseline's.
  Statistic ErrorOf(size_t lane, size_t site) const {
    return [this, lane, site](std::span<const uint32_t> times) {
      double error = 0, reference = 0;
      for (size_t c = 0; c < data_.chunks.size(); ++c) {
        error += times[c] * data_.scores[lane][c].sites[site].error;
        reference += times[c] * data_.scores[lane][c].sites[site].reference;
      }
      return std::sqrt(error / reference);
    };
  }
  Statistic OverheadOf(size_t lane) const {
    const Timing& timing = data_.timings.at(lane);
    return [&timing, first = timing_at_.at(lane)](std::span<const uint32_t> times) {
      // Medians: a pause of the machine in one round says nothing of the rule.
      std::vector<double> ratios;
      for (size_t i = 0; i < timing.baseline.size(); ++i)
        for (uint32_t n = 0; n < times[first + i]; ++n)
          ratios.push_back(timing.variant[i] / timing.baseline[i]);
      return Quantile(Sorted(ratios), 0.5) - 1;
    };
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

  Statistic CompileCall(const Expression& e) const {
    if (e.text == "noise") return NoiseOf(e.parts.empty() ? -1 : Text(e.parts[0].text));
    const size_t lane = Lane(e.parts[0].text);
    if (e.text == "overhead") return OverheadOf(lane);
    if (e.text == "error") {
      for (size_t i = 0; i < data_.sites.size(); ++i)
        if (graph_.sites[static_cast<size_t>(data_.sites[i])].Label() == e.parts[1].text)
          return ErrorOf(lane, i);
      return [](std::span<const uint32_t>) { return std::nan(""); };  // no such layer
    }
    return MeasureOf(e.text, lane, e.parts.size() == 2 ? Text(e.parts[1].text) : -1);
  }

  struct Estimate {
    double value = 0;
    Interval interval;
    bool known = false;  // false: a text of one chunk gives no interval
  };
  Estimate EstimateOf(const Statistic& statistic, double alpha) const {
    const std::vector<uint32_t> once(data_.chunks.size() + timing_groups_, 1);
    Estimate e;
    e.value = statistic(once);
    e.interval = Bootstrap(strata_, kResamples, spec_.seed, alpha, statistic);
    e.known = IntervalIsKnown(statistic, once);
    return e;
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
  std::string Describe(const Estimate& e, double alpha) const {
    double tokens = 0;
    for (const Sums& s : sums_[0]) tokens += s.tokens;
    return fmt::format("{:.6g} [{:.6g}, {:.6g}] at {:.4g} %, n = {} tokens in {} chunks", e.value,
                       e.interval.low, e.interval.high, 100 * (1 - alpha), tokens,
                       data_.chunks.size());
  }

  void Compare(const Expression& e, JudgedClaim* claim) const {
    const Estimate d = EstimateOf(Compile(e), alpha_);
    const bool greater = e.kind == Kind::kGreater || e.kind == Kind::kGreaterEqual;
    const bool or_equal = e.kind == Kind::kLessEqual || e.kind == Kind::kGreaterEqual;
    const double low = greater ? d.interval.low : -d.interval.high,
                 high = greater ? d.interval.high : -d.interval.low;
    claim->detail = "left - right = " + Describe(d, alpha_);
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
    const size_t a = Lane(e.parts[0].text), b = Lane(e.parts[1].text);
    const bool same = SameOutput(data_, a, b);
    claim->verdict = same ? Verdict::kSupported : Verdict::kRefuted;
    claim->detail = fmt::format("logits {} over {} chunks", same ? "equal bit for bit" : "differ",
                                data_.chunks.size());
  }

  // The statistics by layer that a series speaks of.
  std::vector<Statistic> SeriesOf(const Expression& e) const {
    std::vector<Statistic> series;
    const Expression& what = e.parts[0];
    if (what.kind == Kind::kCall) {  // error('VARIANT', 'SITE')
      for (size_t i = 0; i < data_.sites.size(); ++i)
        if (graph_.sites[static_cast<size_t>(data_.sites[i])].name == what.parts[1].text)
          series.push_back(ErrorOf(Lane(what.parts[0].text), i));
      return series;
    }
    std::vector<std::pair<int, size_t>> lanes;
    for (size_t l = 0; l < data_.lanes.size(); ++l) {
      if (data_.lanes[l].variant < 0) continue;
      const StudyVariant& v = spec_.variants[static_cast<size_t>(data_.lanes[l].variant)];
      if (v.layer && (e.parts.size() == 2 || v.site + " " + v.format == e.parts[2].text))
        lanes.push_back({*v.layer, l});
    }
    std::sort(lanes.begin(), lanes.end());
    for (const auto& [layer, lane] : lanes) series.push_back(MeasureOf(what.text, lane, -1));
    return series;
  }

  void Series(const Expression& e, JudgedClaim* claim) const {
    const std::vector<Statistic> series = SeriesOf(e);
    if (series.size() < 2) {
      claim->detail = fmt::format("{} layer: no direction", series.size());
      return;
    }
    const double alpha = alpha_ / static_cast<double>(series.size() - 1);
    size_t up = 0, down = 0;
    const std::vector<uint32_t> once(data_.chunks.size() + timing_groups_, 1);
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

  const StudySpec& spec_;
  const StudyData& data_;
  const Graph& graph_;
  double alpha_;
  std::vector<std::vector<Sums>> sums_;  // [lane][chunk]
  std::vector<size_t> strata_;           // chunks of each text, then rounds of each timing
  std::map<size_t, size_t> timing_at_;   // lane -> its first group
  size_t timing_groups_ = 0;
};

}  // namespace

const char* VerdictName(Verdict verdict) {
  return verdict == Verdict::kSupported ? "supported"
         : verdict == Verdict::kRefuted ? "refuted"
                                        : "undecided";
}

std::vector<JudgedClaim> JudgeClaims(const StudySpec& spec, const std::vector<Expression>& claims,
                                     const StudyData& data, const Graph& graph) {
  const Judge judge(spec, data, graph, claims.size());
  std::vector<JudgedClaim> judged;
  for (size_t i = 0; i < claims.size(); ++i) {
    judged.push_back({spec.claims[i].says, spec.claims[i].expression, spec.claims[i].required,
                      Verdict::kUndecided, ""});
    judge.Run(claims[i], &judged.back());
  }
  return judged;
}

}  // namespace vernier
