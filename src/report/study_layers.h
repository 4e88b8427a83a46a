// What a study says of layers and of first tokens: tables for a terminal, and their keys of
// results.json.
#ifndef VERNIER_REPORT_STUDY_LAYERS_H_
#define VERNIER_REPORT_STUDY_LAYERS_H_

#include <nlohmann/json.hpp>
#include <string>

#include "report/study_report.h"

namespace vernier {

// What a lane is in one layer alone is a row of its variant's tables, not a variant beside it.
bool IsLayerAlone(const StudyData& data, size_t lane);

// The measured sites of a lane (docs/studies.md, `sites`).
nlohmann::ordered_json SitesJson(const StudyPart& part, size_t lane);
// `first_token`: by prompt.
nlohmann::ordered_json FirstTokensJson(const StudyPart& part, size_t lane);

// Values of the sites that `observe` names, by layer; errors inherited and contributed, and KL of
// each layer alone, of variants with by_layer; first tokens by prompt. Empty where there is
// nothing.
std::string LayerTables(const StudyPart& part, const Screen& screen);
std::string FirstTokenTable(const StudyPart& part, const Screen& screen);

}  // namespace vernier

#endif  // VERNIER_REPORT_STUDY_LAYERS_H_
