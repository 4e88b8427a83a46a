// What formats can hold, for a page: by binade, how many bits of fraction.
#include <algorithm>

#include "formats/facts.h"
#include "report/page_data.h"

namespace vernier {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kUsual[] = {"f32",  "f16",  "bf16",    "e5m2",    "e4m3",  "e2m1",
                                  "int8", "int4", "posit32", "posit16", "posit8"};

const char* KindName(FormatKind kind) {
  return kind == FormatKind::kFloat ? "float" : kind == FormatKind::kFixed ? "integer" : "posit";
}

Json PrecisionJson(const Format& format) {
  Json runs = Json::array();
  constexpr int kLeast = -1080, kMost = 1030;  // of all formats
  for (int e = kLeast; e <= kMost; ++e) {
    const std::optional<int> bits = FractionBitsAt(format, e);
    if (!bits) continue;
    if (!runs.empty() && runs.back()[1] == e - 1 && runs.back()[2] == *bits)
      runs.back()[1] = e;
    else
      runs.push_back({e, e, *bits});
  }
  return runs;
}

}  // namespace

Json FormatsJson(const std::vector<std::string>& names) {
  std::vector<std::string> all(std::begin(kUsual), std::end(kUsual));
  for (const std::string& name : names)
    if (std::find(all.begin(), all.end(), name) == all.end()) all.push_back(name);
  Json json = Json::array();
  for (const std::string& name : all) {
    const auto format = FindFormat(name);
    if (!format) continue;
    json.push_back({{"name", name},
                    {"bits", format->bits},
                    {"kind", KindName(format->kind)},
                    {"named", std::find(names.begin(), names.end(), name) != names.end()},
                    {"doc", format->doc},
                    {"precision", PrecisionJson(*format)}});
  }
  return json;
}

}  // namespace vernier
