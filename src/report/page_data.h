// What a study's page shows (docs/report.md), as one JSON document: results.json's figures with
// five digits and those the page alone has, thinned so that a browser opens it at once.
#ifndef VERNIER_REPORT_PAGE_DATA_H_
#define VERNIER_REPORT_PAGE_DATA_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "report/study_report.h"

namespace vernier {

// What pages know of a document.
inline constexpr int kPageVersion = 1;
// The store's value that is a study's document; empty while the study is not finished.
inline constexpr const char* kPageKey = "page";

struct PageInputs {
  std::span<const StudyPart> parts;
  const std::vector<JudgedClaim>* claims;
  const nlohmann::ordered_json* results;        // StudyJson's
  std::vector<nlohmann::ordered_json> samples;  // of each part (study/sample.h)
  std::string command;                          // that repeats the study
  std::string file;                             // the study's text
};

nlohmann::ordered_json PageDocument(const PageInputs& inputs);

// Parts of it, of one model.
// The scored text, and of every variant KL and change of probability by token: {chunks, lanes,
// note, pieces}. At most `most` measures (tokens times variants): those of each text's first
// chunks.
inline constexpr size_t kMostTokenMeasures = 300000;
nlohmann::ordered_json TokensJson(const StudyPart& part, size_t most = kMostTokenMeasures);
// Texts that went on freely: {prompts, lanes, pieces, note}; null where there are none.
nlohmann::ordered_json FreeTextsJson(const StudyPart& part);
// {id: text}
nlohmann::ordered_json PiecesJson(Model& model, const std::set<int32_t>& ids);
// Formats by what they can hold: [{name, bits, kind, doc, largest, smallest, precision}];
// precision:
// [[first, last, fraction bits]] of binades. `names` beside the usual ones.
nlohmann::ordered_json FormatsJson(const std::vector<std::string>& names);

// A number with so many digits, which is short as JSON.
double ShortNumber(double value, int digits = 5);
// In place: every number that is no integer.
void ShortenNumbers(nlohmann::ordered_json* json, int digits = 5);

// Numbers as the upper halves of float32s, rounded to nearest, little-endian, in base64.
class HalvesText {
 public:
  void Add(double value);
  void AddBits(uint16_t bits);
  static uint16_t Bits(double value);
  std::string Base64() const;

 private:
  std::string bytes_;
};

}  // namespace vernier

#endif  // VERNIER_REPORT_PAGE_DATA_H_
