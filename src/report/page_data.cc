#include "report/page_data.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "report/study_layers.h"

namespace vernier {
namespace {

using Json = nlohmann::ordered_json;

// Of an array of objects, one array for each key.
Json Columns(const Json& rows, const std::vector<std::string>& keys) {
  Json columns = Json::object();
  for (const std::string& key : keys) {
    Json column = Json::array();
    bool any = false;
    for (const Json& row : rows) {
      const auto found = row.find(key);
      column.push_back(found == row.end() ? Json() : *found);
      any = any || !column.back().is_null();
    }
    if (any) columns[key] = std::move(column);
  }
  return columns;
}

Json SiteColumns(const Json& sites) {
  return Columns(sites, {"l2_rel", "truth_l2_rel", "rms", "mean", "growth", "drift", "contributed",
                         "inherited"});
}

void Keep(Json* object, const std::set<std::string>& keys) {
  for (auto at = object->begin(); at != object->end();) {
    if (keys.contains(at.key()))
      ++at;
    else
      at = object->erase(at);
  }
}

// Quantiles and labels that the page does not show.
void Thin(Json* measures) {
  if (measures->contains("kld"))
    Keep(&(*measures)["kld"], {"mean", "uncertainty", "max", "p99", "median"});
  if (measures->contains("delta_p"))
    Keep(&(*measures)["delta_p"], {"mean", "uncertainty", "rms", "rms_uncertainty"});
  if (measures->contains("rules"))
    for (Json& rule : (*measures)["rules"]) rule.erase("labels");
  if (measures->contains("texts"))
    for (Json& text : (*measures)["texts"]) Thin(&text);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

Json PageVariant(const Json& variant, const std::string& prefix) {
  Json json = variant;
  json["name"] = variant.at("name").get<std::string>().substr(prefix.size());
  if (json.contains("alone")) {
    json["alone"]["of"] = json["alone"].at("of").get<std::string>().substr(prefix.size());
    Keep(&json, {"name", "vacuous", "alone", "kld"});
    Thin(&json);
    return json;
  }
  if (json["same_as"].is_string())
    json["same_as"] = json["same_as"].get<std::string>().substr(prefix.size());
  if (json.contains("seconds_alone")) {
    std::vector<double> ratios;
    const Json& times = json["seconds_alone"];
    for (size_t i = 0; i < times.at("baseline").size(); ++i)
      ratios.push_back(times["variant"][i].get<double>() / times["baseline"][i].get<double>());
    json["overhead"] = Median(ratios) - 1;
    json.erase("seconds_alone");
  }
  json["sites"] = SiteColumns(variant.at("sites"));
  json.erase("first_token");
  json.erase("model");
  Thin(&json);
  return json;
}

// The sample, its bins as text: a page holds tens of thousands of them.
Json PageSample(Json sample, const std::string& prefix, Model& model) {
  const auto shorten = [](Json* histogram) {
    if (!histogram->is_object()) return;
    std::string text;
    for (const Json& bin : (*histogram)["bins"])
      text += (text.empty() ? "" : " ") + std::to_string(bin.get<uint64_t>());
    (*histogram)["bins"] = text;
  };
  for (Json& site : sample["sites"]) shorten(&site);
  std::set<int32_t> ids;
  for (Json& lane : sample["lanes"]) {
    for (const Json& top : lane["top"])
      for (const Json& entry : top) ids.insert(entry[0].get<int32_t>());
    lane["name"] = lane["name"].get<std::string>().substr(prefix.size());
    for (Json& errors : lane["errors"]) shorten(&errors);
    ShortenNumbers(&lane["top"], 4);
  }
  sample["pieces"] = PiecesJson(model, ids);
  return sample;
}

Json PageModel(const PageInputs& inputs, size_t m) {
  const StudyPart& part = inputs.parts[m];
  const std::string& prefix = part.spec->prefix;
  const Json& results = *inputs.results;
  const bool several = inputs.parts.size() > 1;
  const Json& of = several ? results.at("models")[m] : results;
  Json json = {{"name", several ? results.at("models")[m].at("name") : Json("")},
               {"model", of.at("model")},
               {"layers", part.model->graph().layers}};
  json["baseline"] = of.at("baseline");
  json["baseline"].erase("first_token");
  json["sites"] = Columns(of.at("baseline").at("sites"), {"site"})["site"];
  json["baseline"]["sites"] = SiteColumns(of.at("baseline").at("sites"));
  if (of.contains("noise")) {
    json["noise"] = of.at("noise");
    Thin(&json["noise"]);
  }
  if (of.contains("recommendation")) {
    json["recommendation"] = of.at("recommendation");
    for (Json& candidate : json["recommendation"])
      for (const char* key : {"name", "other"})
        if (candidate[key].is_string())
          candidate[key] = candidate[key].get<std::string>().substr(prefix.size());
  }
  json["variants"] = Json::array();
  for (const Json& variant : results.at("variants"))
    if (!several || variant.at("model") == json["name"])
      json["variants"].push_back(PageVariant(variant, prefix));
  ShortenNumbers(&json);
  json["tokens"] = TokensJson(part);
  json["free"] = FreeTextsJson(part);
  json["sample"] =
      m < inputs.samples.size() ? PageSample(inputs.samples[m], prefix, *part.model) : Json();
  ShortenNumbers(&json["sample"], 4);
  return json;
}

Json ClaimsJson(const std::vector<JudgedClaim>& claims) {
  Json json = Json::array();
  for (const JudgedClaim& c : claims) {
    Json claim = {{"says", c.says},
                  {"expression", c.expression},
                  {"required", c.required},
                  {"verdict", VerdictName(c.verdict)},
                  {"detail", c.detail}};
    claim["estimate"] = !c.estimate || std::isnan(c.estimate->value)
                            ? Json()
                            : Json({{"value", c.estimate->value},
                                    {"low", c.estimate->known ? Json(c.estimate->low) : Json()},
                                    {"high", c.estimate->known ? Json(c.estimate->high) : Json()},
                                    {"confidence", c.estimate->confidence}});
    json.push_back(std::move(claim));
  }
  ShortenNumbers(&json, 6);
  return json;
}

// The formats that rules of the study name: "bf16" of "ffn_norm=bf16,round=up", "posit32" of
// "*.math=step:posit32".
std::vector<std::string> NamedInRules(std::span<const StudyPart> parts) {
  std::set<std::string> names;
  for (const StudyPart& part : parts)
    for (const StudyLane& lane : part.data->lanes)
      for (const Rule& rule : lane.plan.recipe.rules) {
        const size_t from = rule.text.find('=');
        if (from == std::string::npos) continue;
        std::string name = rule.text.substr(from + 1);
        name = name.substr(0, name.find(','));
        const size_t colon = name.rfind(':');
        if (colon != std::string::npos) name = name.substr(colon + 1);
        if (FindFormat(name)) names.insert(name);
      }
  return {names.begin(), names.end()};
}

}  // namespace

double ShortNumber(double value, int digits) {
  if (!std::isfinite(value)) return value;
  char text[40];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return std::strtod(text, nullptr);
}

void ShortenNumbers(Json* json, int digits) {
  if (json->is_number_float()) {
    *json = ShortNumber(json->get<double>(), digits);
  } else if (json->is_structured()) {
    for (Json& part : *json) ShortenNumbers(&part, digits);
  }
}

uint16_t HalvesText::Bits(double value) {
  const auto bits = std::bit_cast<uint32_t>(static_cast<float>(value));
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

void HalvesText::Add(double value) { AddBits(Bits(value)); }

void HalvesText::AddBits(uint16_t bits) {
  bytes_ += static_cast<char>(bits & 0xff);
  bytes_ += static_cast<char>(bits >> 8);
}

std::string HalvesText::Base64() const {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes_.size(); i += 3) {
    uint32_t word = 0;
    for (size_t k = 0; k < 3; ++k)
      word = word << 8 | (i + k < bytes_.size() ? static_cast<uint8_t>(bytes_[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k)
      text += i + k > bytes_.size() ? '=' : kDigits[(word >> (18 - 6 * k)) & 63];
  }
  return text;
}

Json PageDocument(const PageInputs& inputs) {
  const StudySpec& spec = *inputs.parts[0].spec;
  const Json& results = *inputs.results;
  Json json = {{"vernier", kPageVersion}};
  for (const auto& [key, value] : results.items())
    if (key != "models" && key != "variants" && key != "claims" && key != "baseline" &&
        key != "noise" && key != "model" && key != "first_prompts" && key != "recommendation")
      json[key] = value;
  ShortenNumbers(&json);
  json["texts"] = Json::array();
  for (const StudyText& text : spec.texts)
    json["texts"].push_back({{"name", text.name}, {"path", text.path}});
  json["chunks"] = inputs.parts[0].data->chunks.size();
  json["truth"] = spec.truth;
  json["command"] = inputs.command;
  json["file"] = inputs.file;
  json["claims"] = ClaimsJson(*inputs.claims);
  json["models"] = Json::array();
  for (size_t m = 0; m < inputs.parts.size(); ++m) json["models"].push_back(PageModel(inputs, m));
  json["formats"] = FormatsJson(NamedInRules(inputs.parts));
  return json;
}

}  // namespace vernier
