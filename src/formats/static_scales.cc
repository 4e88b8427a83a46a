#include "formats/static_scales.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/names.h"
#include "model/json.h"

namespace vernier {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMostBytes = 64 << 20;

template <size_t N>
bool Contains(const char* const (&keys)[N], const std::string& key) {
  return std::find(std::begin(keys), std::end(keys), key) != std::end(keys);
}

// Reads the entry of one site; `at` leads errors: "FILE: site 'X'".
class EntryReader {
 public:
  EntryReader(const Json& json, std::string at) : json_(json), at_(std::move(at)) {}

  Result<StaticScale> Read() {
    if (!json_.is_object()) return Fail("{}: expected an object", at_);
    for (const auto& [key, value] : json_.items()) RETURN_IF_ERROR(ReadKey(key, value));
    if (entry_.absmax.has_value() == entry_.scale.has_value())
      return Fail("{}: expected either 'absmax' or 'scale'", at_);
    if (entry_.scale &&
        (entry_.min || entry_.max || !entry_.percentiles.empty() || !entry_.ema.empty()))
      return Fail("{}: 'scale' stands alone", at_);
    if (entry_.min.has_value() != entry_.max.has_value())
      return Fail("{}: 'min' and 'max' stand together", at_);
    if (entry_.min && *entry_.min > *entry_.max) return Fail("{}: 'min' is above 'max'", at_);
    return entry_;
  }

 private:
  Status ReadKey(const std::string& key, const Json& value) {
    const struct {
      const char* name;
      std::optional<double>* out;
      double least, most;
    } numbers[] = {{"absmax", &entry_.absmax, 0, kMaxScale},
                   {"scale", &entry_.scale, kMinScale, kMaxScale},
                   {"min", &entry_.min, -kMaxScale, kMaxScale},
                   {"max", &entry_.max, -kMaxScale, kMaxScale}};
    for (const auto& n : numbers) {
      if (key != n.name) continue;
      ASSIGN_OR_RETURN(*n.out, Number(key, value, n.least, n.most));
      return {};
    }
    if (key == "percentiles") return ReadPercentiles(key, value, &entry_.percentiles);
    if (key == "ema") return ReadPercentiles(key, value, &entry_.ema);
    if (Contains(kStatisticKeys, key)) return {};
    return Fail("{}: unknown key '{}'{}", at_, key,
                DidYouMean(key, {"absmax", "scale", "min", "max", "percentiles", "ema"}));
  }

  Status ReadPercentiles(const std::string& key, const Json& value,
                         std::map<double, double>* out) const {
    if (!value.is_object()) return Fail("{}: '{}': expected an object", at_, key);
    for (const auto& [name, number] : value.items()) {
      double p = 0;
      const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), p);
      if (error != std::errc() || end != name.data() + name.size() || !(p > 0 && p <= 100))
        return Fail("{}: '{}': '{}': expected a number above 0 and up to 100", at_, key, name);
      ASSIGN_OR_RETURN(const double magnitude, Number(name, number, 0, kMaxScale));
      if (!out->emplace(p, magnitude).second)
        return Fail("{}: '{}': {} is given twice", at_, key, p);
    }
    return {};
  }

  Result<double> Number(const std::string& key, const Json& value, double least,
                        double most) const {
    const double number = value.is_number() ? value.get<double>() : NAN;
    if (!(number >= least && number <= most))
      return Fail("{}: '{}': expected a number from {} to {}", at_, key, least, most);
    return number + 0.0;
  }

  const Json& json_;
  std::string at_;
  StaticScale entry_;
};

std::string Quoted(const std::string& key) {
  return Json(key.substr(0, 100)).dump(-1, ' ', true, Json::error_handler_t::replace);
}

// `label` of the layer: "ffn_norm" is "ffn_norm[3]", "ffn_gate.in" is "ffn_gate[3].in",
// "blk.*.attn_q.weight" is "blk.3.attn_q.weight".
std::string InLayer(const std::string& name, int layer) {
  if (layer < 0) return name;
  if (const size_t star = name.find('*'); star != std::string::npos)
    return name.substr(0, star) + std::to_string(layer) + name.substr(star + 1);
  if (name.find('[') != std::string::npos) return name;
  const size_t part = name.ends_with(".in") ? name.size() - 3 : name.size();
  return fmt::format("{}[{}]{}", name.substr(0, part), layer, name.substr(part));
}

Result<const StaticScale*> FindEntry(const Treatment& t, const std::string& label, int layer,
                                     const StaticScales& scales) {
  const std::string wanted = StaticKey(t, label, layer);
  auto found = scales.sites.find(wanted);
  if (found == scales.sites.end() && !t.static_site.empty())
    found = scales.sites.find(t.static_site + (t.hadamard ? kRotatedKey : ""));
  if (found != scales.sites.end()) return &found->second;
  std::vector<std::string> names;
  for (const auto& [name, entry] : scales.sites) names.push_back(name);
  return Fail("scale=static: {} has no scale of '{}'{}", scales.path, wanted,
              DidYouMean(wanted, names));
}

}  // namespace

std::string StaticKey(const Treatment& treatment, const std::string& label, int layer) {
  return (treatment.static_site.empty() ? label : InLayer(treatment.static_site, layer)) +
         (treatment.hadamard ? kRotatedKey : "");
}

Result<StaticScales> ParseStaticScales(std::string_view text, const std::string& path) {
  ASSIGN_OR_RETURN(const Json json, ParseJsonObject(text, path));
  StaticScales scales;
  scales.path = path;
  for (const auto& [key, value] : json.items()) {
    if (key == "version" || key == "sites" || Contains(kOriginKeys, key)) continue;
    std::vector<std::string> known(std::begin(kOriginKeys), std::end(kOriginKeys));
    known.insert(known.end(), {"version", "sites"});
    return Fail("{}: unknown key {}{}", path, Quoted(key), DidYouMean(key, known));
  }
  if (!json.contains("version") || json["version"] != 1)
    return Fail("{}: expected a file of scales, with \"version\": 1", path);
  if (!json.contains("sites") || !json["sites"].is_object())
    return Fail("{}: expected \"sites\", an object", path);
  for (const char* key : {"model", "hash"})
    if (json.contains(key) && !json[key].is_string())
      return Fail("{}: '{}': expected a text", path, key);
  scales.model = json.value("model", "");
  scales.hash = json.value("hash", "");
  for (const auto& [label, entry] : json["sites"].items()) {
    ASSIGN_OR_RETURN(StaticScale scale,
                     EntryReader(entry, fmt::format("{}: site {}", path, Quoted(label))).Read());
    scales.sites.emplace(label, std::move(scale));
  }
  return scales;
}

Result<StaticScales> ReadStaticScales(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(path, kMostBytes));
  return ParseStaticScales(text, path);
}

Result<Treatment> ResolveStatic(const Treatment& treatment, const std::string& label, int layer,
                                const StaticScales* scales) {
  if (treatment.scale != ScaleRule::kStatic) return treatment;
  if (scales == nullptr)
    return Fail(
        "scale=static: no scales are given; expected --scales FILE, or scales = \"FILE\" in a "
        "study");
  ASSIGN_OR_RETURN(const StaticScale* entry, FindEntry(treatment, label, layer, *scales));
  const std::string& of = treatment.static_site.empty() ? label : treatment.static_site;
  Treatment t = treatment;
  t.static_site.clear();
  t.static_percentile = 0;
  t.static_ema = false;
  t.scale_value = 0;
  double a = entry->absmax.value_or(0);
  if (treatment.second == Treatment::kSecondStatic) {
    if (!(a > 0))
      return Fail("scale=static: {} has no 'absmax' of '{}' for outliers=second:static",
                  scales->path, of);
    t.second = a;
  }
  if (treatment.static_percentile > 0) {
    const auto& percentiles = treatment.static_ema ? entry->ema : entry->percentiles;
    const auto p = percentiles.find(treatment.static_percentile);
    if (p == percentiles.end())
      return Fail("scale=static: {} has no percentile {}{} of '{}'", scales->path,
                  treatment.static_ema ? "ema:" : "", treatment.static_percentile, of);
    a = p->second;
  } else if (entry->scale) {
    if (!t.symmetric)
      return Fail("scale=static: {} has no range of '{}', which symmetric=false needs",
                  scales->path, of);
    t.scale = *entry->scale == 1 ? ScaleRule::kNone : ScaleRule::kConstant;
    t.scale_value = *entry->scale == 1 ? 0 : *entry->scale;
    return t;
  }
  if (t.symmetric) {
    t.scale = ScaleRule::kGivenAbsMax;
    t.scale_value = a;
    return t;
  }
  if (!entry->min)
    return Fail("scale=static: {} has no 'min' and 'max' of '{}', which symmetric=false needs",
                scales->path, of);
  t.scale = ScaleRule::kGivenRange;
  t.scale_value = std::min(std::max(*entry->min, -a), 0.0) + 0.0;
  t.scale_high = std::max(std::min(*entry->max, a), 0.0);
  return t;
}

}  // namespace vernier
