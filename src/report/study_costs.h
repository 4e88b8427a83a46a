// What a study says of next words, of costs, and what it recommends: keys of results.json
// (docs/studies.md) and tables for a terminal.
#ifndef VERNIER_REPORT_STUDY_COSTS_H_
#define VERNIER_REPORT_STUDY_COSTS_H_

#include <nlohmann/json.hpp>
#include <string>

#include "report/study_report.h"

namespace vernier {

// `accuracy`: of a lane alone, or with its difference from the baseline.
nlohmann::ordered_json AccuracyJson(const DivergenceSummary& s, const IntervalValue& difference);
nlohmann::ordered_json LastWordJson(const LastWordReport& r, bool baseline);
// `cost`; the seconds are the median of the rounds, where there are any.
nlohmann::ordered_json LaneCostJson(const LaneCost& cost, const std::vector<double>& seconds);
// `recommendation`.
nlohmann::ordered_json RecommendationJson(const StudyPart& part);

// The candidates, cheapest first, and the legend; empty where all cost the same.
std::string RecommendationTable(const StudyPart& part, const Screen& screen);
// Costs by kind, of variants that differ.
std::string CostTable(const StudyPart& part, const Screen& screen);

}  // namespace vernier

#endif  // VERNIER_REPORT_STUDY_COSTS_H_
