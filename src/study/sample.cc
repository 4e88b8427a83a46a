#include "study/sample.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "measure/divergence.h"

namespace vernier {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kSampleVersion = "sample-1";
constexpr size_t kMostTexts = 4, kTop = 5;
// What a page can hold: histograms of errors, and entries of likeliest tokens.
constexpr size_t kMostHistograms = 6000, kMostTop = 60000;

// Counts by floor(log2 |x|), from the exponent field: subnormal doubles count as 2^-1023.
class Binades {
 public:
  void Add(double x) {
    const uint64_t field = (std::bit_cast<uint64_t>(x) >> 52) & 0x7ff;
    if (x == 0) {
      ++zeros_;
    } else if (field != 0x7ff) {
      if (bins_.empty()) bins_.resize(0x7ff);
      ++bins_[field];
    }
  }
  void AddZeros(uint64_t n) { zeros_ += n; }
  // {ZEROS, first, bins}
  Json ToJson(const char* zeros) const {
    Json json = {{zeros, zeros_}, {"first", 0}, {"bins", Json::array()}};
    size_t first = 0, last = bins_.size();
    while (first < last && bins_[first] == 0) ++first;
    while (last > first && bins_[last - 1] == 0) --last;
    json["first"] = static_cast<int>(first) - 1023;
    for (size_t i = first; i < last; ++i) json["bins"].push_back(bins_[i]);
    return json;
  }

 private:
  uint64_t zeros_ = 0;
  std::vector<uint64_t> bins_;
};

// What one site says of one lane, summed over chunks.
struct SiteLook {
  double error = 0, reference = 0, truth_error = 0, truth_reference = 0;
  uint64_t count = 0;
  Binades values, errors;
};

double Share(double error, double reference) {
  return reference > 0 ? std::sqrt(error / reference) : error > 0 ? INFINITY : 0;
}

template <class F>
void ForElements(const SiteTensor& t, size_t row, F f) {
  if (t.type == Arithmetic::kF32) {
    const float* x = static_cast<const float*>(t.rows[row]);
    for (size_t i = 0; i < t.widths[row]; ++i) f(i, static_cast<double>(x[i]));
  } else {
    const double* x = static_cast<const double*>(t.rows[row]);
    for (size_t i = 0; i < t.widths[row]; ++i) f(i, x[i]);
  }
}
double Element(const SiteTensor& t, size_t row, size_t i) {
  return t.type == Arithmetic::kF32 ? static_cast<double>(static_cast<const float*>(t.rows[row])[i])
                                    : static_cast<const double*>(t.rows[row])[i];
}

// Lanes of a study on its sampled chunks. The first lane is the baseline, the second the truth
// where there is one.
class Sampler {
 public:
  Sampler(Model& model, const StudyData& data, const RunOptions& options)
      : model_(model), data_(data), options_(options), chunks_(SampledChunks(data)) {
    lanes_.push_back(data.Baseline());
    if (data.Truth() >= 0) {
      lanes_.push_back(static_cast<size_t>(data.Truth()));
      truth_ = 1;
    }
    always_ = lanes_.size();
    bool noise = false;
    for (size_t l = 0; l < data.lanes.size(); ++l) {
      const StudyLane& lane = data.lanes[l];
      const bool first_noise = lane.kind == LaneKind::kNoise && !noise;
      noise = noise || first_noise;
      if (first_noise || (lane.kind == LaneKind::kVariant && lane.alone.whole < 0))
        lanes_.push_back(l);
    }
    const size_t sites = model.graph().sites.size();
    looks_.assign(lanes_.size(), std::vector<SiteLook>(sites));
    top_.resize(lanes_.size());
    with_errors_.assign(sites, true);
    if (lanes_.size() * sites > kMostHistograms) {
      with_errors_.assign(sites, false);
      for (const int site : data.sites) with_errors_[static_cast<size_t>(site)] = true;
    }
    const size_t per_lane = std::max<size_t>(
        1, static_cast<size_t>(std::count(with_errors_.begin(), with_errors_.end(), true)));
    error_lanes_ = std::max<size_t>(1, kMostHistograms / per_lane);
    top_rows_ = std::max<size_t>(8, kMostTop / (kTop * lanes_.size()));
  }

  // False: interrupted.
  bool Run() {
    const uint64_t rows =
        std::max<uint64_t>(1, options_.memory_budget / EvaluationBytes(model_.graph(), 1));
    const double total = static_cast<double>(chunks_.size() * lanes_.size());
    for (size_t c = 0; c < chunks_.size(); ++c) {
      const size_t context = data_.chunks[chunks_[c]].tokens.size();
      const size_t at_once = std::max<size_t>(always_ + 1, rows / context) - always_;
      for (size_t from = always_; from == always_ || from < lanes_.size(); from += at_once) {
        group_.resize(always_);
        for (size_t l = 0; l < always_; ++l) group_[l] = l;
        for (size_t l = from; l < std::min(lanes_.size(), from + at_once); ++l) group_.push_back(l);
        const double done = static_cast<double>(c * lanes_.size() + from);
        if (options_.progress && !options_.progress({"sampling", done, total, "lanes"}))
          return false;
        Look(data_.chunks[chunks_[c]], from == always_);
      }
    }
    return true;
  }

  Json ToJson() const {
    Json json = {{"chunks", chunks_}, {"sites", Json::array()}, {"lanes", Json::array()}};
    const auto& sites = model_.graph().sites;
    for (size_t s = 0; s < sites.size(); ++s) {
      Json site = {{"name", sites[s].name}, {"layer", sites[s].layer}};
      site["count"] = looks_[0][s].count;
      site.update(looks_[0][s].values.ToJson("zeros"));
      json["sites"].push_back(std::move(site));
    }
    for (size_t l = 0; l < lanes_.size(); ++l) json["lanes"].push_back(LaneJson(l));
    json["notes"] = Json::array();
    if (std::count(with_errors_.begin(), with_errors_.end(), false) > 0)
      json["notes"].push_back(
          "Distributions of errors are kept for the sites that the study measures.");
    if (lanes_.size() > error_lanes_)
      json["notes"].push_back(
          fmt::format("Distributions of errors are kept for the first {} lanes.", error_lanes_));
    const size_t rows = data_.chunks[chunks_[0]].scored.size() * chunks_.size();
    if (rows > top_rows_)
      json["notes"].push_back(
          fmt::format("Likeliest tokens are kept for {} of {} sampled tokens.", top_rows_, rows));
    return json;
  }

  Hash128 Key() const {
    Hash128 key = Combine(HashText(kSampleVersion), HashText(kNumericsVersion));
    for (const size_t lane : lanes_)
      key =
          Combine(Combine(key, HashText(data_.lanes[lane].name)), HashText(data_.lanes[lane].key));
    for (const size_t chunk : chunks_) {
      const auto& tokens = data_.chunks[chunk].tokens;
      key =
          Combine(Combine(key, chunk), HashBytes(tokens.data(), tokens.size() * sizeof tokens[0]));
    }
    return key;
  }

 private:
  Json LaneJson(size_t lane) const {
    Json json = {{"name", data_.lanes[lanes_[lane]].name}};
    json["l2_rel"] = Json::array();
    if (truth_ >= 0) json["truth_l2_rel"] = Json::array();
    json["errors"] = Json::array();
    for (size_t s = 0; s < looks_[lane].size(); ++s) {
      const SiteLook& look = looks_[lane][s];
      const bool run = look.count > 0;
      json["l2_rel"].push_back(run ? Json(Share(look.error, look.reference)) : Json());
      if (truth_ >= 0)
        json["truth_l2_rel"].push_back(run ? Json(Share(look.truth_error, look.truth_reference))
                                           : Json());
      json["errors"].push_back(run && WantsErrors(lane, s) ? look.errors.ToJson("equal") : Json());
    }
    json["top"] = top_[lane];
    return json;
  }
  bool WantsErrors(size_t lane, size_t site) const {
    return lane > 0 && with_errors_[site] && lane < error_lanes_;
  }

  void Look(const Chunk& chunk, bool first_group) {
    std::vector<Stream> streams;
    for (const size_t lane : group_)
      streams.push_back({&data_.lanes[lanes_[lane]].plan, chunk.tokens, nullptr, chunk.scored});
    pending_.assign(streams.size(), {});
    const auto last_of = [&](const Site& site) {
      size_t last = 0;
      for (size_t s = 0; s < streams.size(); ++s)
        if (streams[s].plan->Runs(model_.graph().nodes[static_cast<size_t>(site.node)])) last = s;
      return last;
    };
    const Tap tap{[](const Site&) { return true; },
                  [&](const SiteTensor& tensor) {
                    pending_[tensor.stream] = tensor;
                    if (tensor.stream != last_of(*tensor.site)) return;
                    SeeSite(chunk, static_cast<size_t>(tensor.site - model_.graph().sites.data()),
                            first_group);
                    pending_.assign(streams.size(), {});
                  }};
    Evaluate(
        model_, streams, [&](std::span<const LogitsRow> rows) { SeeLogits(rows, first_group); },
        &tap);
  }

  // The first lanes are in every group and count in the first alone.
  void SeeSite(const Chunk& chunk, size_t site, bool first_group) {
    model_.workers().For(group_.size(), 1, [&](size_t first, size_t last) {
      for (size_t g = first; g < last; ++g) {
        if (pending_[g].site == nullptr || (g < always_ && !first_group)) continue;
        SeeLane(chunk, site, group_[g], pending_[g]);
      }
    });
  }
  void SeeLane(const Chunk& chunk, size_t site, size_t lane, const SiteTensor& b) {
    SiteLook& look = looks_[lane][site];
    const SiteTensor& a = pending_[0];
    const SiteTensor* truth = truth_ < 0 ? nullptr : &pending_[1];
    for (size_t r = 0; r < b.rows.size(); ++r) {
      if (!chunk.IsScored(b.tokens[r])) continue;
      look.count += b.widths[r];
      const bool same = a.site != nullptr && a.rows[r] == b.rows[r];
      ForElements(b, r, [&](size_t i, double x) {
        if (lane == 0) look.values.Add(x);
        if (a.site != nullptr) {
          const double y = same ? x : Element(a, r, i), d = x - y;
          look.error += d * d;
          look.reference += y * y;
          if (!same && WantsErrors(lane, site)) look.errors.Add(d);
        }
        if (truth == nullptr || truth->site == nullptr) return;
        const double y = Element(*truth, r, i), d = x - y;
        look.truth_error += d * d;
        look.truth_reference += y * y;
      });
      if (same && WantsErrors(lane, site)) look.errors.AddZeros(b.widths[r]);
    }
  }

  void SeeLogits(std::span<const LogitsRow> rows, bool first_group) {
    const size_t n = model_.graph().vocabulary;
    std::map<size_t, Hash128> baseline;  // by index
    for (const LogitsRow& row : rows)
      if (row.stream == 0) baseline[row.index] = row.id;
    for (const LogitsRow& row : rows) {
      if (row.stream < always_ && !first_group) continue;
      Json& top = top_[group_[row.stream]];
      if (top.size() >= top_rows_) continue;
      if (row.stream > 0 && baseline.at(row.index) == row.id) {
        top.push_back(nullptr);
        continue;
      }
      const Distribution d = MakeDistribution(row, n, *model_.machine().kernels);
      std::vector<size_t> ids(n);
      for (size_t i = 0; i < n; ++i) ids[i] = i;
      const size_t most = std::min(kTop, n);
      const auto key = [&](size_t id) {  // NaN comes last
        return std::isnan(d.logits[id]) ? -INFINITY : d.logits[id];
      };
      std::partial_sort(
          ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(most), ids.end(),
          [&](size_t x, size_t y) { return key(x) != key(y) ? key(x) > key(y) : x < y; });
      Json best = Json::array();
      for (size_t i = 0; i < most; ++i)
        best.push_back({ids[i], std::exp(LogProbability(d, ids[i]))});
      top.push_back(std::move(best));
    }
  }

  Model& model_;
  const StudyData& data_;
  const RunOptions& options_;
  std::vector<size_t> chunks_;
  std::vector<size_t> lanes_, group_;  // indices into the study's lanes; into lanes_
  size_t always_ = 1;                  // the first lanes, which are in every group
  int truth_ = -1;
  std::vector<std::vector<SiteLook>> looks_;  // [lane][site]
  std::vector<Json> top_;                     // [lane]: by token
  std::vector<bool> with_errors_;             // by site
  size_t error_lanes_ = 0, top_rows_ = 0;
  std::vector<SiteTensor> pending_;
};

}  // namespace

std::vector<size_t> SampledChunks(const StudyData& data) {
  std::vector<size_t> chunks;
  std::set<size_t> texts;
  const size_t most = std::max<size_t>(1, std::min(kMostTexts, data.chunks.size() / 10));
  for (size_t c = 0; c < data.chunks.size() && chunks.size() < most; ++c)
    if (texts.insert(data.text_of_chunk[c]).second) chunks.push_back(c);
  return chunks;
}

Result<std::optional<Json>> SampleStudy(Model& model, const StudyData& data, Store& store,
                                        const RunOptions& options) {
  Sampler sampler(model, data, options);
  const std::string key = "sample " + sampler.Key().Hex();
  ASSIGN_OR_RETURN(const auto stored, store.GetValue(key));
  Json json = Json::parse(stored.value_or(""), nullptr, false);
  if (json.is_object()) return std::optional<Json>(std::move(json));
  if (!sampler.Run()) return std::optional<Json>();
  json = sampler.ToJson();
  RETURN_IF_ERROR(store.PutValue(key, json.dump()));
  return std::optional<Json>(Json::parse(json.dump()));
}

}  // namespace vernier
