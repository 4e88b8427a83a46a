// The texts of a page: scored ones with what each token says of each variant, and those that went
// on freely.
#include <algorithm>
#include <map>
#include <set>

#include "report/page_data.h"
#include "report/study_layers.h"

namespace vernier {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostFreeTokens = 60000;
constexpr uint16_t kOtherTop =
    0x8000;  // KL is not negative: its sign says that the likeliest differ

std::vector<size_t> WholeVariants(const StudyData& data) {
  std::vector<size_t> lanes;
  for (size_t l = 0; l < data.lanes.size(); ++l)
    if (data.lanes[l].kind == LaneKind::kVariant && !IsLayerAlone(data, l)) lanes.push_back(l);
  return lanes;
}

std::string LaneText(const StudyData& data, size_t lane, const std::vector<size_t>& chunks) {
  HalvesText text;
  for (const size_t c : chunks)
    for (const TokenMeasure& t : data.scores[lane][c].tokens) {
      const double kld = t.kld < 0 ? 0 : t.kld;  // also NaN
      text.AddBits(static_cast<uint16_t>(HalvesText::Bits(kld) | (t.same_top ? 0 : kOtherTop)));
      text.Add(t.delta_p);
    }
  return text.Base64();
}

// The first chunks of each text, in turn, while `lanes` have room.
std::vector<size_t> ShownChunks(const StudyData& data, size_t lanes, size_t most) {
  std::vector<std::vector<size_t>> of_text;
  for (size_t c = 0; c < data.chunks.size(); ++c) {
    of_text.resize(std::max(of_text.size(), data.text_of_chunk[c] + 1));
    of_text[data.text_of_chunk[c]].push_back(c);
  }
  std::vector<size_t> shown;
  size_t measures = 0;
  for (size_t round = 0; round < data.chunks.size(); ++round)
    for (const auto& chunks : of_text) {
      if (round >= chunks.size()) continue;
      measures += data.chunks[chunks[round]].scored.size() * std::max<size_t>(1, lanes);
      if (measures > most && !shown.empty()) {
        std::sort(shown.begin(), shown.end());
        return shown;
      }
      shown.push_back(chunks[round]);
    }
  std::sort(shown.begin(), shown.end());
  return shown;
}

}  // namespace

Json PiecesJson(Model& model, const std::set<int32_t>& ids) {
  const auto tokenizer = model.tokenizer();
  Json json = Json::object();
  for (const int32_t id : ids)
    json[std::to_string(id)] = tokenizer ? (*tokenizer)->Piece(id) : std::to_string(id);
  return json;
}

Json TokensJson(const StudyPart& part, size_t most) {
  const StudyData& data = *part.data;
  const std::vector<size_t> lanes = WholeVariants(data);
  const std::vector<size_t> shown = ShownChunks(data, lanes.size(), most);
  std::set<int32_t> ids;
  Json json = {{"chunks", Json::array()}};
  std::map<size_t, size_t> first_of_text;
  for (size_t c = 0; c < data.chunks.size(); ++c)
    first_of_text.try_emplace(data.text_of_chunk[c], c);
  for (const size_t c : shown) {
    const Chunk& chunk = data.chunks[c];
    HalvesText margins;
    for (const TokenMeasure& t : data.scores[data.Baseline()][c].tokens) margins.Add(t.margin);
    ids.insert(chunk.tokens.begin(), chunk.tokens.end());
    json["chunks"].push_back({{"chunk", c},
                              {"text", data.text_of_chunk[c]},
                              {"number", c - first_of_text[data.text_of_chunk[c]]},
                              {"ids", chunk.tokens},
                              {"scored", chunk.scored},
                              {"margins", margins.Base64()}});
  }
  json["lanes"] = Json::object();
  for (const size_t lane : lanes) {
    const std::string name = data.lanes[lane].name.substr(part.spec->prefix.size());
    json["lanes"][name] =
        SameOutput(data, lane, data.Baseline()) ? Json() : Json(LaneText(data, lane, shown));
  }
  json["pieces"] = PiecesJson(*part.model, ids);
  json["note"] = shown.size() == data.chunks.size()
                     ? Json()
                     : Json(fmt::format("The page holds {} of {} chunks (the first of each text); "
                                        "the store holds all.",
                                        shown.size(), data.chunks.size()));
  return json;
}

Json FreeTextsJson(const StudyPart& part) {
  const StudyData& data = *part.data;
  if (data.prompts.empty() || data.generated.empty()) return nullptr;
  std::vector<size_t> lanes = {data.Baseline()};
  for (const size_t lane : WholeVariants(data))
    if (!data.generated[lane].empty()) lanes.push_back(lane);
  size_t shown = 0, tokens = 0;
  while (shown < data.prompts.size()) {
    for (const size_t lane : lanes) tokens += data.generated[lane][shown].tokens.size();
    if (tokens > kMostFreeTokens && shown > 0) break;
    ++shown;
  }
  std::set<int32_t> ids;
  Json json = {{"prompts", Json::array()}, {"lanes", Json::object()}};
  for (size_t p = 0; p < shown; ++p) {
    HalvesText margins;
    for (const double margin : data.generated[data.Baseline()][p].margins) margins.Add(margin);
    json["prompts"].push_back({{"tag", data.prompts[p].tag},
                               {"text", data.prompts[p].text},
                               {"margins", margins.Base64()}});
  }
  for (const size_t lane : lanes) {
    Json texts = Json::array();
    for (size_t p = 0; p < shown; ++p) {
      const auto& text = data.generated[lane][p].tokens;
      const bool same =
          lane != data.Baseline() && text == data.generated[data.Baseline()][p].tokens;
      ids.insert(text.begin(), text.end());
      texts.push_back(same ? Json() : Json(text));
    }
    json["lanes"][data.lanes[lane].name.substr(part.spec->prefix.size())] = std::move(texts);
  }
  json["pieces"] = PiecesJson(*part.model, ids);
  json["note"] =
      shown == data.prompts.size()
          ? Json()
          : Json(fmt::format("The page holds {} of {} prompts.", shown, data.prompts.size()));
  return json;
}

}  // namespace vernier
