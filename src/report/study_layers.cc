#include "report/study_layers.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "model/quote.h"
#include "report/table.h"

namespace vernier {
namespace {

using Json = nlohmann::ordered_json;
constexpr size_t kMostColumns = 8, kMostPrompts = 8, kMostLayers = 16;

SiteSums SumsOf(const StudyData& data, size_t lane, size_t site) {
  SiteSums sums;
  for (const ChunkScore& score : data.scores[lane]) sums.Add(score.sites[site], 1);
  return sums;
}
double Mean(const SiteSums& s) { return s.sum / s.count; }
double Rms(const SiteSums& s) { return std::sqrt(s.squares / s.count); }
double RelativeError(const SiteSums& s) {
  return s.reference > 0 ? std::sqrt(s.error / s.reference) : 0;
}
double TruthError(const SiteSums& s) {
  return s.truth_reference > 0 ? std::sqrt(s.truth_error / s.truth_reference) : 0;
}
double RelativeToBeside(const SiteSums& s) {
  return s.squares > 0 ? std::sqrt(s.beside / s.squares) : 0;
}
// The first elements of the first token.
std::vector<double> FirstValues(const SiteSums& s, std::optional<size_t> width) {
  return {s.first.begin(), s.first.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                 s.first.size(), width.value_or(s.first.size())))};
}
double Drift(const SiteSums& s, const SiteSums& base) { return (Mean(s) - Mean(base)) / Rms(base); }

// `width`: of a row; none where rows differ.
void AddValuesJson(const SiteSums& sums, std::optional<size_t> width, Json* site) {
  const double columns = static_cast<double>(width.value_or(0));
  (*site)["shape"] =
      !width ? Json(nullptr) : Json{static_cast<uint64_t>(sums.count / columns), width.value()};
  (*site)["std"] = StandardDeviation(sums);
  (*site)["min"] = sums.low;
  (*site)["max"] = sums.high;
  (*site)["max_error"] = sums.max_error;
  (*site)["first"] = FirstValues(sums, width);
}

// The sites of a part, as its tables ask for them.
class Sites {
 public:
  explicit Sites(const StudyPart& part) : data_(*part.data), graph_(part.model->graph()) {}
  size_t count() const { return data_.sites.size(); }
  const Site& at(size_t i) const { return graph_.sites[static_cast<size_t>(data_.sites[i])]; }
  int Find(const std::string& name, int layer) const {
    for (size_t i = 0; i < count(); ++i)
      if (at(i).name == name && at(i).layer == layer) return static_cast<int>(i);
    return -1;
  }
  // What a site's growth is from; -1: nothing measured.
  int Before(size_t i) const {
    const Site& site = at(i);
    return site.layer == 0 && site.name == "l_out" ? Find("embd", -1)
           : site.layer > 0                        ? Find(site.name, site.layer - 1)
                                                   : -1;
  }
  SiteSums Sums(size_t lane, size_t i) const { return SumsOf(data_, lane, i); }
  // A lane in this layer alone; -1: none.
  int Alone(size_t lane, int layer) const {
    for (size_t l = 0; l < data_.lanes.size(); ++l)
      if (data_.lanes[l].alone.whole == static_cast<int>(lane) &&
          data_.lanes[l].alone.layer == layer)
        return static_cast<int>(l);
    return -1;
  }

 private:
  const StudyData& data_;
  const Graph& graph_;
};

// The lanes that tables by layer show: the variants measured in each layer alone, or all.
std::vector<size_t> ShownLanes(const StudyPart& part) {
  const StudyData& data = *part.data;
  std::vector<size_t> all, by_layer;
  for (size_t l = 0; l < data.lanes.size(); ++l) {
    if (data.lanes[l].variant < 0 || IsLayerAlone(data, l)) continue;
    all.push_back(l);
    if (part.spec->variants[static_cast<size_t>(data.lanes[l].variant)].by_layer)
      by_layer.push_back(l);
  }
  return by_layer.empty() ? all : by_layer;
}

std::vector<Column> Columns(const StudyPart& part, const std::string& first,
                            const std::vector<size_t>& lanes) {
  std::vector<Column> columns = {{first, Align::kLeft}};
  for (const size_t lane : lanes)
    columns.push_back({part.data->lanes[lane].name.substr(part.spec->prefix.size())});
  return columns;
}

// One table: a row a layer of the site, a column a lane; the other way round where there are many
// lanes and few layers. cell(lane, site) is its text.
using Cell = std::function<std::string(size_t lane, size_t site)>;
std::string SiteTable(const StudyPart& part, const std::string& title, const std::string& name,
                      std::vector<size_t> lanes, const Cell& cell, const Screen& screen) {
  const Sites sites(part);
  const auto layer = [&](size_t i) {
    return sites.at(i).layer < 0 ? name : std::to_string(sites.at(i).layer);
  };
  std::vector<size_t> of_name;
  for (size_t i = 0; i < sites.count(); ++i)
    if (sites.at(i).name == name) of_name.push_back(i);
  if (of_name.empty()) return "";
  const bool turned = lanes.size() > kMostColumns && of_name.size() <= kMostLayers;
  if (!turned && lanes.size() > kMostColumns) lanes.resize(kMostColumns);
  Table table{Columns(part, "layer", lanes), {}};
  if (turned) {
    table.columns = {{"layer", Align::kLeft}};
    for (const size_t i : of_name) table.columns.push_back({layer(i)});
    for (const size_t lane : lanes) {
      table.rows.push_back({part.data->lanes[lane].name.substr(part.spec->prefix.size())});
      for (const size_t i : of_name) table.rows.back().push_back(cell(lane, i));
    }
  } else {
    for (const size_t i : of_name) {
      table.rows.push_back({layer(i)});
      for (const size_t lane : lanes) table.rows.back().push_back(cell(lane, i));
    }
  }
  return "\n" + Styled(screen, Style::kHeading, title) + "\n" + FormatTable(table, screen);
}

// The values of the first layer as they are: a row a lane.
std::string ValuesTable(const StudyPart& part, const std::string& name,
                        const std::vector<size_t>& lanes, const Screen& screen) {
  const Sites sites(part);
  const int site = std::max(sites.Find(name, 0), sites.Find(name, -1));
  if (site < 0) return "";
  const size_t at = static_cast<size_t>(site);
  const auto row_width = RowWidth(part.model->graph(), sites.at(at));
  const double rows = sites.Sums(lanes[0], at).count / static_cast<double>(row_width.value_or(1));
  Table table{{{"lane", Align::kLeft},
               {"mean"},
               {"std"},
               {"min"},
               {"max"},
               {"largest error"},
               {"first values", Align::kLeft}},
              {}};
  for (const size_t lane : lanes) {
    const SiteSums sums = sites.Sums(lane, at);
    std::string first;
    for (const double x : FirstValues(sums, row_width))
      first += (first.empty() ? "" : " ") + NumberText(x);
    table.rows.push_back({part.data->lanes[lane].name.substr(part.spec->prefix.size()),
                          NumberText(Mean(sums)), NumberText(StandardDeviation(sums)),
                          NumberText(sums.low), NumberText(sums.high), NumberText(sums.max_error),
                          first});
  }
  const std::string title =
      fmt::format("{}: {} tokens{}, and the first one's first values", sites.at(at).Label(), rows,
                  row_width ? fmt::format(" of {} elements", *row_width) : "");
  return "\n" + Styled(screen, Style::kHeading, title) + "\n" + FormatTable(table, screen);
}

std::string RmsTable(const StudyPart& part, const std::string& name,
                     const std::vector<size_t>& lanes, const Screen& screen) {
  const Sites sites(part);
  return SiteTable(
      part, name + ": rms, and growth from the layer before", name, lanes,
      [&](size_t lane, size_t i) {
        const double rms = Rms(sites.Sums(lane, i));
        const int before = sites.Before(i);
        if (before < 0) return NumberText(rms);
        return fmt::format("{} x{:.3f}", NumberText(rms),
                           rms / Rms(sites.Sums(lane, static_cast<size_t>(before))));
      },
      screen);
}

std::string ObservedTables(const StudyPart& part, const std::string& name,
                           const std::vector<size_t>& variants, const Screen& screen) {
  const Sites sites(part);
  const size_t base = part.data->Baseline();
  std::vector<size_t> lanes = {base};
  lanes.insert(lanes.end(), variants.begin(), variants.end());
  std::string text = ValuesTable(part, name, lanes, screen) + RmsTable(part, name, lanes, screen);
  text += SiteTable(
      part, name + ": mean, and its drift from the baseline's in units of the rms", name, lanes,
      [&](size_t lane, size_t i) {
        const SiteSums sums = sites.Sums(lane, i);
        if (lane == base) return NumberText(Mean(sums));
        return fmt::format("{} {:+.1e}", NumberText(Mean(sums)), Drift(sums, sites.Sums(base, i)));
      },
      screen);
  const bool truth = part.data->Truth() >= 0;
  text += SiteTable(
      part,
      name + ": relative l2 error against " + (truth ? "the truth (float64)" : "the baseline"),
      name, truth ? lanes : variants,
      [&](size_t lane, size_t i) {
        const SiteSums sums = sites.Sums(lane, i);
        return NumberText(truth ? TruthError(sums) : RelativeError(sums));
      },
      screen);
  return text;
}

// Of variants measured in each layer alone.
std::string AloneTables(const StudyPart& part, const std::vector<size_t>& lanes,
                        const Screen& screen) {
  const Sites sites(part);
  if (lanes.empty() || sites.Alone(lanes[0], 0) < 0) return "";
  std::string text = SiteTable(
      part,
      "l_out: error against the baseline, inherited from layers before + contributed by the "
      "layer",
      "l_out", lanes,
      [&](size_t lane, size_t i) {
        const int alone = sites.Alone(lane, sites.at(i).layer);
        if (alone < 0) return std::string();
        const SiteSums sums = sites.Sums(static_cast<size_t>(alone), i);
        return fmt::format("{} + {}", NumberText(std::sqrt(sums.inherited / sums.reference)),
                           NumberText(RelativeError(sums)));
      },
      screen);
  text += SiteTable(
      part, "KL to the baseline of each layer alone", "l_out", lanes,
      [&](size_t lane, size_t i) {
        const int alone = sites.Alone(lane, sites.at(i).layer);
        for (const VariantReport& v : part.report.variants)
          if (static_cast<int>(v.lane) == alone)
            return fmt::format("{} ± {}", NumberText(v.divergence.kld.value),
                               NumberText(v.divergence.kld.error));
        return std::string();
      },
      screen);
  return text;
}

std::string TokenText(const StudyPart& part, int32_t token) {
  const auto tokenizer = part.model->tokenizer();
  return tokenizer ? (*tokenizer)->Piece(token) : std::to_string(token);
}

// Control characters would break a line of a table.
std::string OneLine(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return text;
}

double MeanRank(const std::vector<FirstToken>& tokens) {
  double sum = 0;
  for (const FirstToken& t : tokens) sum += static_cast<double>(t.rank);
  return sum / static_cast<double>(tokens.size());
}

}  // namespace

bool IsLayerAlone(const StudyData& data, size_t lane) { return data.lanes[lane].alone.whole >= 0; }

Json SitesJson(const StudyPart& part, size_t lane) {
  const Sites sites(part);
  const StudyData& data = *part.data;
  Json json = Json::array();
  for (size_t i = 0; i < sites.count(); ++i) {
    const SiteSums sums = sites.Sums(lane, i), base = sites.Sums(data.Baseline(), i);
    Json site = {{"site", sites.at(i).Label()},
                 {"l2_rel", RelativeError(sums)},
                 {"rms", Rms(sums)},
                 {"mean", Mean(sums)}};
    const int before = sites.Before(i);
    site["growth"] = before < 0
                         ? Json(nullptr)
                         : Json(Rms(sums) / Rms(sites.Sums(lane, static_cast<size_t>(before))));
    site["drift"] = Drift(sums, base);
    AddValuesJson(sums, RowWidth(part.model->graph(), sites.at(i)), &site);
    if (data.lanes[lane].beside >= 0)
      site["beside"] = {{"l2_rel", RelativeToBeside(sums)}, {"max_abs", sums.beside_max}};
    if (data.Truth() >= 0) site["truth_l2_rel"] = TruthError(sums);
    const int alone = sites.at(i).layer < 0 ? -1 : sites.Alone(lane, sites.at(i).layer);
    if (alone >= 0) {
      const SiteSums in_layer = sites.Sums(static_cast<size_t>(alone), i);
      site["contributed"] = RelativeError(in_layer);
      site["inherited"] =
          in_layer.reference > 0 ? std::sqrt(in_layer.inherited / in_layer.reference) : 0.0;
    }
    json.push_back(std::move(site));
  }
  return json;
}

Json FirstTokensJson(const StudyPart& part, size_t lane) {
  const StudyData& data = *part.data;
  Json json = Json::array();
  for (size_t p = 0; p < data.first_tokens[lane].size(); ++p) {
    const FirstToken& t = data.first_tokens[lane][p];
    json.push_back({{"prompt", p},
                    {"token", t.token},
                    {"text", TokenText(part, t.token)},
                    {"logit", t.logit},
                    {"margin", t.margin},
                    {"rank", t.rank},
                    {"kld", t.kld}});
  }
  return json;
}

std::string LayerTables(const StudyPart& part, const Screen& screen) {
  const std::vector<size_t> lanes = ShownLanes(part);
  std::string text;
  for (const std::string& name : part.spec->observe)
    text += ObservedTables(part, name, lanes, screen);
  return text + AloneTables(part, lanes, screen);
}

std::string FirstTokenTable(const StudyPart& part, const Screen& screen) {
  const StudyData& data = *part.data;
  if (data.first_prompts.empty()) return "";
  std::vector<size_t> lanes = {data.Baseline()};
  for (const size_t lane : ShownLanes(part)) lanes.push_back(lane);
  if (lanes.size() > kMostColumns + 1) lanes.resize(kMostColumns + 1);
  Table table{Columns(part, "prompt", lanes), {}};
  const size_t shown = std::min(kMostPrompts, data.first_prompts.size());
  for (size_t p = 0; p < shown; ++p) {
    std::vector<std::string> row = {OneLine(data.first_prompts[p].text)};
    for (const size_t lane : lanes) {
      const FirstToken& t = data.first_tokens[lane][p];
      row.push_back(
          fmt::format("{} #{} {:.2f}", Quote(TokenText(part, t.token)), t.rank, t.margin));
    }
    table.rows.push_back(std::move(row));
  }
  std::vector<std::string> same = {"same token, of " + std::to_string(data.first_prompts.size())},
                           rank = {"mean rank"};
  for (const size_t lane : lanes) {
    const auto& tokens = data.first_tokens[lane];
    same.push_back(std::to_string(std::count_if(tokens.begin(), tokens.end(),
                                                [](const FirstToken& t) { return t.rank == 0; })));
    rank.push_back(NumberText(MeanRank(tokens)));
  }
  table.rows.push_back(std::move(same));
  table.rows.push_back(std::move(rank));
  std::string text =
      "\nFirst token after each prompt, #rank there of the baseline's token (0: the same), margin";
  if (shown < data.first_prompts.size())
    text += fmt::format("; {} more prompts are in results.json", data.first_prompts.size() - shown);
  return text + "\n" + FormatTable(table, screen);
}

}  // namespace vernier
