#include "report/study_costs.h"

#include <algorithm>
#include <cmath>

#include "report/study_layers.h"
#include "report/table.h"
#include "study/claim_functions.h"

namespace vernier {
namespace {

using Json = nlohmann::ordered_json;

Json IntervalJson(const IntervalValue& v) {
  return {{"value", v.value}, {"low", v.interval.low}, {"high", v.interval.high}};
}

void AddTest(const PairedTest& test, const IntervalValue& difference, Json* json) {
  (*json)["difference"] = difference.value;
  (*json)["low"] = difference.interval.low;
  (*json)["high"] = difference.interval.high;
  (*json)["b"] = test.b;
  (*json)["c"] = test.c;
  (*json)["p_value"] = test.p_value;
}

std::string NameOf(const StudyPart& part, size_t lane) {
  return part.data->lanes[lane].name.substr(part.spec->prefix.size());
}

const LaneCost& CostAt(const StudyPart& part, size_t lane) {
  for (const VariantReport& v : part.report.variants)
    if (v.lane == lane) return v.cost;
  return part.report.baseline_cost;
}

std::string IntervalText(const IntervalValue& v) {
  return fmt::format("{} [{}, {}]", NumberText(v.value), NumberText(v.interval.low),
                     NumberText(v.interval.high));
}

std::string StandingText(const StudyPart& part, const Candidate& c) {
  switch (c.standing) {
    case Standing::kRecommended:
      return "RECOMMENDED: the cheapest that is as good as the baseline";
    case Standing::kAsGood:
      return c.lane == part.data->Baseline() ? "the baseline" : "as good as the baseline";
    case Standing::kWorse:
      return "worse than the baseline, and cheaper";
    case Standing::kDominated:
      return fmt::format("dominated by '{}'", NameOf(part, c.other));
    case Standing::kSame:
      return fmt::format("same as '{}'", NameOf(part, c.other));
    default:
      return "a text of one chunk gives no interval";
  }
}

}  // namespace

Json AccuracyJson(const DivergenceSummary& s, const IntervalValue& difference) {
  Json json = ValueJson(s.accuracy);
  AddTest(s.accuracy_test, difference, &json);
  return json;
}

Json LastWordJson(const LastWordReport& r, bool baseline) {
  Json json = {{"passages", r.passages},
               {"value", r.right.value},
               {"uncertainty", r.right.error},
               {"ppl", r.ppl}};
  if (!baseline) AddTest(r.test, r.difference, &json);
  return json;
}

Json LaneCostJson(const LaneCost& cost, const std::vector<double>& seconds) {
  Json json = {{"bytes", cost.Bytes()},
               {"weight_bytes", cost.weight_bytes},
               {"activation_bytes", cost.activation_bytes},
               {"integer_macs", cost.integer_macs},
               {"float_macs", cost.float_macs},
               {"float_operations", cost.float_operations},
               {"conversions", cost.conversions}};
  if (!seconds.empty()) json["seconds"] = Quantile(Sorted(seconds), 0.5);
  return json;
}

Json RecommendationJson(const StudyPart& part) {
  Json json = Json::array();
  for (const Candidate& c : part.report.candidates) {
    Json one = {{"name", part.data->lanes[c.lane].name},
                {"bytes", c.bytes},
                {"kld", IntervalJson(c.kld)},
                {"ln_ppl_ratio", IntervalJson(c.log_ratio)},
                {"accuracy_difference", IntervalJson(c.accuracy)},
                {"p_value", c.test.p_value},
                {"standing", StandingName(c.standing)}};
    const bool of = c.standing == Standing::kDominated || c.standing == Standing::kSame;
    one["other"] = of ? Json(part.data->lanes[c.other].name) : Json(nullptr);
    json.push_back(std::move(one));
  }
  return json;
}

std::string RecommendationTable(const StudyPart& part, const Screen& screen) {
  if (part.report.candidates.empty()) return "";
  Table table{{{"cheapest first", Align::kLeft},
               {"bytes a token"},
               {"KL to baseline"},
               {"ln PPL ratio", Align::kRight, 1},
               {"accuracy", Align::kRight, 2},
               {"p", Align::kRight, 2},
               {"", Align::kLeft, 0, true}},
              {}};
  for (const Candidate& c : part.report.candidates)
    table.rows.push_back({NameOf(part, c.lane),
                          ByteText(static_cast<uint64_t>(std::llround(c.bytes))),
                          IntervalText(c.kld), IntervalText(c.log_ratio),
                          fmt::format("{:+.2f} %", 100 * c.accuracy.value),
                          NumberText(c.test.p_value), StandingText(part, c)});
  return "\n" +
         Styled(screen, Style::kHeading,
                "Recommendation: what a token costs, and what is said for it") +
         "\n" + FormatTable(table, screen);
}

std::string CostTable(const StudyPart& part, const Screen& screen) {
  if (part.report.candidates.empty()) return "";
  const bool timed = !part.data->timings.empty();
  Table table{{{"cost of a token decoded alone", Align::kLeft},
               {"weights"},
               {"activations"},
               {"integer multiply-adds"},
               {"float"},
               {"float operations"},
               {"conversions"}},
              {}};
  if (timed) table.columns.push_back({"seconds / baseline's"});
  const auto count = [](double n) { return CountText(static_cast<uint64_t>(std::llround(n))); };
  const auto bytes = [](double n) { return ByteText(static_cast<uint64_t>(std::llround(n))); };
  for (size_t lane = 0; lane < part.data->lanes.size(); ++lane) {
    const LaneKind kind = part.data->lanes[lane].kind;
    if (IsLayerAlone(*part.data, lane) ||
        (kind != LaneKind::kBaseline && kind != LaneKind::kVariant))
      continue;
    const LaneCost& c = CostAt(part, lane);
    table.rows.push_back({NameOf(part, lane), bytes(c.weight_bytes), bytes(c.activation_bytes),
                          count(c.integer_macs), count(c.float_macs), count(c.float_operations),
                          count(c.conversions)});
    const auto timing = part.data->timings.find(lane);
    if (timing == part.data->timings.end()) continue;
    const std::vector<uint32_t> once(timing->second.baseline.size(), 1);
    table.rows.back().push_back(fmt::format("{:.2f}", 1 + Overhead(timing->second, once)));
  }
  return "\n" + FormatTable(table, screen);
}

}  // namespace vernier
