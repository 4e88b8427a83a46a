#include "study/corrections.h"

#include <algorithm>
#include <cmath>

#include "base/names.h"

namespace vernier {
namespace {

// A variant being fitted.
struct Fit {
  size_t lane;
  const StudyCorrection* correction;
  std::vector<std::string> rules;  // the fitted ones so far
};

class Fitter {
 public:
  Fitter(const StudySpec& spec, Model& model, Store& store, const ProgressSink& progress,
         StudyData* data)
      : spec_(spec), model_(model), store_(store), progress_(progress), data_(*data) {}

  Result<bool> Run() {
    std::vector<Fit> fits;
    for (size_t l = 0; l < data_.lanes.size(); ++l) {
      if (data_.lanes[l].variant < 0) continue;
      const StudyVariant& v = spec_.variants[static_cast<size_t>(data_.lanes[l].variant)];
      if (v.correct) fits.push_back({l, &*v.correct, {}});
    }
    std::vector<std::string> keys;
    std::vector<Fit*> missing;
    for (Fit& fit : fits) {
      keys.push_back(KeyOf(fit));
      ASSIGN_OR_RETURN(const auto rules, store_.GetFit(keys.back()));
      if (rules) {
        fit.rules = *rules;
        RETURN_IF_ERROR(Recompile(fit));
      } else {
        missing.push_back(&fit);
      }
    }
    const int layers = model_.graph().layers;
    for (int layer = 0; layer < layers && !missing.empty(); ++layer) {
      if (progress_ && !progress_({"fitting", double(layer), double(layers), "layers"}))
        return false;
      RETURN_IF_ERROR(FitLayer(layer, missing));
    }
    for (size_t i = 0; i < fits.size(); ++i) RETURN_IF_ERROR(store_.PutFit(keys[i], fits[i].rules));
    return true;
  }

 private:
  std::string KeyOf(const Fit& fit) const {
    Hash128 key = Combine(HashText(kNumericsVersion), model_.hash());
    key = Combine(Combine(key, data_.lanes[fit.lane].plan.identity),
                  data_.lanes[data_.Baseline()].plan.identity);
    key = Combine(Combine(key, HashText(fit.correction->site)),
                  uint64_t{fit.correction->scale} + 2 * uint64_t{fit.correction->shift});
    for (const Chunk& chunk : data_.fit_chunks)
      key = Combine(key, HashBytes(chunk.tokens.data(), chunk.tokens.size() * sizeof(int32_t)));
    return key.Hex();
  }

  // The lane's plan with the rules fitted so far.
  Status Recompile(const Fit& fit) {
    StudyLane& lane = data_.lanes[fit.lane];
    const StudyVariant& v = spec_.variants[static_cast<size_t>(lane.variant)];
    LaneRecipe recipe{LaneKind::kVariant, lane.name, BaselineRules(spec_),   v.rules,
                      spec_.seed,         -1,        lane.plan.recipe.scales};
    recipe.own.insert(recipe.own.end(), fit.rules.begin(), fit.rules.end());
    ASSIGN_OR_RETURN(StudyLane made, MakeLane(model_, recipe));
    made.variant = lane.variant;
    made.beside = lane.beside;
    lane = std::move(made);
    return {};
  }

  Status FitLayer(int layer, const std::vector<Fit*>& fits) {
    std::vector<const Plan*> plans = {&data_.lanes[data_.Baseline()].plan};
    std::vector<std::string> names;
    for (const Fit* fit : fits) {
      plans.push_back(&data_.lanes[fit->lane].plan);
      names.push_back(fit->correction->site);
    }
    // sums[plan][name of site]
    std::vector<std::map<std::string, SiteSums>> sums(plans.size());
    for (const Chunk& chunk : data_.fit_chunks) {
      std::vector<Stream> streams;
      // The last layer is evaluated for tokens whose logits are wanted.
      for (const Plan* plan : plans) streams.push_back({plan, chunk.tokens, nullptr, chunk.scored});
      const Tap tap{
          [&](const Site& site) {
            return site.layer == layer && site.inner == InnerSite::kNone &&
                   std::find(names.begin(), names.end(), site.name) != names.end();
          },
          [&](const SiteTensor& t) { AddValues(chunk, t, &sums[t.stream][t.site->name]); }};
      Evaluate(
          model_, streams, [](std::span<const LogitsRow>) {}, &tap);
    }
    for (size_t i = 0; i < fits.size(); ++i) {
      const std::string& site = fits[i]->correction->site;
      // Not a site of this layer, or the layer does not run.
      if (!sums[0].contains(site) || !sums[i + 1].contains(site)) continue;
      const std::string rule =
          CorrectionRule(fmt::format("{}[{}]", site, layer), *fits[i]->correction,
                         MomentsOf(sums[i + 1][site]), MomentsOf(sums[0][site]));
      if (rule.empty()) continue;
      fits[i]->rules.push_back(rule);
      RETURN_IF_ERROR(Recompile(*fits[i]));
    }
    return {};
  }

  static void AddValues(const Chunk& chunk, const SiteTensor& t, SiteSums* sums) {
    for (size_t r = 0; r < t.rows.size(); ++r) {
      if (!chunk.IsScored(t.tokens[r])) continue;
      sums->count += static_cast<double>(t.widths[r]);
      for (size_t i = 0; i < t.widths[r]; ++i) {
        const double x = t.type == Arithmetic::kF32
                             ? static_cast<double>(static_cast<const float*>(t.rows[r])[i])
                             : static_cast<const double*>(t.rows[r])[i];
        sums->sum += x;
        sums->squares += x * x;
      }
    }
  }
  static SiteMoments MomentsOf(const SiteSums& s) {
    return {s.sum / s.count, std::sqrt(s.squares / s.count)};
  }

  const StudySpec& spec_;
  Model& model_;
  Store& store_;
  const ProgressSink& progress_;
  StudyData& data_;
};

}  // namespace

std::string CorrectionRule(const std::string& label, const StudyCorrection& correction,
                           const SiteMoments& from, const SiteMoments& to) {
  double times = 1, plus = 0;
  const auto deviation = [](const SiteMoments& m) {
    return std::sqrt(std::max(0.0, m.rms * m.rms - m.mean * m.mean));
  };
  if (correction.scale)
    times = correction.shift ? deviation(to) / deviation(from) : to.rms / from.rms;
  if (!std::isfinite(times)) times = 1;  // a site that is zero has no scale
  if (correction.shift) plus = to.mean - times * from.mean;
  std::string rule;
  if (times != 1) rule += fmt::format(",times={}", times);
  if (plus != 0 && std::isfinite(plus)) rule += fmt::format(",plus={}", plus);
  return rule.empty() ? rule : label + "=f64" + rule;
}

Result<bool> FitCorrections(const StudySpec& spec, Model& model, Store& store,
                            const ProgressSink& progress, StudyData* data) {
  return Fitter(spec, model, store, progress, data).Run();
}

}  // namespace vernier
