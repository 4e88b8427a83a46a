#include "study/calibration.h"

#include <cmath>
#include <set>

#include "base/file.h"
#include "engine/plan.h"
#include "measure/calibrate.h"
#include "measure/score.h"
#include "study/run.h"

namespace vernier {
namespace {

// What all lanes' rules read.
struct Needs {
  std::set<std::string> keys;
  std::set<double> percentiles;
};

Status AddNeeds(const StudySpec& spec, Model& model, const std::string& lane,
                const std::vector<std::string>& own, const StudyVariant* variant, Needs* needs) {
  std::vector<std::string> rules = BaselineRules(spec);
  rules.insert(rules.end(), own.begin(), own.end());
  const auto found = [&]() -> Result<std::vector<StaticNeed>> {
    ASSIGN_OR_RETURN(const Recipe recipe, ParseRecipe(rules));
    return ListStaticNeeds(model, recipe);
  }();
  if (!found)
    return Fail("{}: {} '{}': {}{}", spec.path, variant == nullptr ? "lane" : "variant", lane,
                variant == nullptr ? "" : PlaceOfError(*variant, found.error().message),
                found.error().message);
  for (const StaticNeed& need : *found) {
    needs->keys.insert(need.key);
    if (need.percentile > 0) needs->percentiles.insert(need.percentile);
  }
  return {};
}

Result<std::vector<std::vector<int32_t>>> ReadChunks(const StudySpec& spec, Model& model) {
  std::vector<std::vector<int32_t>> chunks;
  ASSIGN_OR_RETURN(const Tokenizer* tokenizer, model.tokenizer());
  const size_t before = spec.chunks + spec.fit_chunks, all = before + spec.calibrate_chunks;
  for (const StudyText& of : spec.texts) {
    ASSIGN_OR_RETURN(const std::string text, ReadText(of.path));
    const auto tokens = tokenizer->Encode(text, {});
    if (!tokens) return Fail("{}: {}", of.path, tokens.error().message);
    auto cut =
        PerplexityChunks(*tokens, spec.context, tokenizer->adds_bos(), tokenizer->bos(), all);
    if (!cut) return Fail("{}: {}", of.path, cut.error().message);
    if (cut->size() < all)
      return Fail("{}: has {} chunks of {} tokens; expected {} to score and {} to calibrate on",
                  of.path, cut->size(), spec.context, before, spec.calibrate_chunks);
    for (size_t c = before; c < all; ++c) chunks.push_back(std::move((*cut)[c].tokens));
  }
  return chunks;
}

StaticScale ScaleOf(const CalibratedPoint& point) {
  StaticScale scale;
  scale.absmax = point.values.absmax;
  scale.min = point.values.min;
  scale.max = point.values.max;
  for (const CalibratedPercentile& p : point.percentiles) {
    scale.percentiles[p.p] = p.all;
    scale.ema[p.p] = p.smoothed;
  }
  return scale;
}

}  // namespace

Result<std::shared_ptr<const StaticScales>> CalibrateStudy(const StudySpec& spec, Model& model) {
  Needs needs;
  RETURN_IF_ERROR(AddNeeds(spec, model, spec.prefix + "baseline", {}, nullptr, &needs));
  for (const StudyVariant& v : spec.variants)
    if (v.of.empty()) RETURN_IF_ERROR(AddNeeds(spec, model, v.name, v.rules, &v, &needs));
  if (needs.keys.empty())
    return Fail("{}: 'calibrate_chunks': no rule has scale=static, which would read scales",
                spec.path);
  ASSIGN_OR_RETURN(const Recipe recipe, ParseRecipe(spec.model_rules));
  ASSIGN_OR_RETURN(const Plan plan, MakePlan(model, recipe, spec.seed));
  CalibrationRequest request;
  request.side = {&model, &plan};
  ASSIGN_OR_RETURN(request.chunks, ReadChunks(spec, model));
  request.percentiles.assign(needs.percentiles.begin(), needs.percentiles.end());
  const auto key = [](const Site& site, bool operand) {
    return site.Label() + (operand ? ".in" : "");
  };
  request.wants = [&](const Site& site, bool operand) {
    return needs.keys.contains(key(site, operand));
  };
  request.rotates = [&](const Site& site, bool operand) {
    return needs.keys.contains(key(site, operand) + kRotatedKey);
  };
  ASSIGN_OR_RETURN(const Calibration calibration, Calibrate(request));
  auto scales = std::make_shared<StaticScales>();
  scales->path = "calibrate_chunks";
  scales->hash = model.hash().Hex();
  for (const CalibratedPoint& point : calibration.points)
    if (std::isfinite(point.values.absmax)) scales->sites[point.label] = ScaleOf(point);
  return std::shared_ptr<const StaticScales>(std::move(scales));
}

}  // namespace vernier
