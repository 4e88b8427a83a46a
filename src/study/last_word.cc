#include "study/last_word.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/names.h"
#include "engine/generate.h"
#include "measure/divergence.h"
#include "ops/elementary.h"
#include "study/describe.h"

namespace vernier {
namespace {

using Json = nlohmann::json;

bool IsMeasured(const StudyLane& lane) {
  return lane.kind != LaneKind::kNoise && lane.alone.whole < 0;
}

// Reads one line of a file of passages.
Result<StudyPassage> ReadPassage(const std::string& line, const Tokenizer& tokenizer) {
  const Json json = Json::parse(line, nullptr, false);
  const bool good = json.is_object() && json.contains("text") && json["text"].is_string() &&
                    (!json.contains("tag") || json["tag"].is_string());
  if (!good) return Fail("expected an object with 'text' and perhaps 'tag'");
  std::string text = json["text"].get<std::string>();
  constexpr const char* kBlanks = " \t\r\n";
  text.erase(text.find_last_not_of(kBlanks) + 1);
  const size_t blank = text.find_last_of(kBlanks);
  if (blank == std::string::npos || text.find_last_not_of(kBlanks, blank) == std::string::npos)
    return Fail("expected a passage of two words or more");
  const std::string before = text.substr(0, text.find_last_not_of(kBlanks, blank) + 1);
  StudyPassage passage;
  passage.text = text;
  passage.tag = json.contains("tag") ? json["tag"].get<std::string>() : "";
  const auto encode = [&](const std::string& of) -> Result<std::vector<int32_t>> {
    ASSIGN_OR_RETURN(std::vector<int32_t> ids, tokenizer.Encode(of, {.add_special = false}));
    if (tokenizer.adds_bos()) ids.insert(ids.begin(), tokenizer.bos());
    return ids;
  };
  ASSIGN_OR_RETURN(passage.ids, encode(text));
  ASSIGN_OR_RETURN(const std::vector<int32_t> start, encode(before));
  passage.word = static_cast<size_t>(
      std::mismatch(start.begin(), start.end(), passage.ids.begin(), passage.ids.end()).first -
      start.begin());
  if (passage.word == 0 || passage.word >= passage.ids.size())
    return Fail("the last word has no tokens of its own");
  return passage;
}

// All lanes of one passage.
std::vector<LastWord> Measure(Model& model, const StudyData& data, const std::vector<size_t>& lanes,
                              const StudyPassage& passage) {
  std::vector<uint32_t> rows;  // row i says what follows token i
  for (size_t i = passage.word - 1; i + 1 < passage.ids.size(); ++i)
    rows.push_back(static_cast<uint32_t>(i));
  const std::vector<int32_t> read(passage.ids.begin(), passage.ids.end() - 1);
  std::vector<Stream> streams;
  for (const size_t lane : lanes) streams.push_back({&data.lanes[lane].plan, read, nullptr, rows});
  struct Token {
    bool right = false;
    double nll = 0;
  };
  std::vector<std::vector<Token>> tokens(lanes.size(), std::vector<Token>(rows.size()));
  const Kernels& kernels = *model.machine().kernels;
  Evaluate(model, streams, [&](std::span<const LogitsRow> some) {
    for (const LogitsRow& row : some) {
      const size_t next = static_cast<size_t>(passage.ids[rows[row.index] + 1]);
      const Distribution d = MakeDistribution(row, model.graph().vocabulary, kernels);
      tokens[row.stream][row.index] = {d.top == next, -LogProbability(d, next)};
    }
  });
  std::vector<LastWord> words;
  for (const std::vector<Token>& of : tokens) {
    LastWord word{true, 0};
    for (const Token& token : of) {
      word.right = word.right && token.right;
      word.nll += token.nll;
    }
    words.push_back(word);
  }
  return words;
}

}  // namespace

Result<std::vector<StudyPassage>> ReadPassages(const std::string& path, size_t limit,
                                               const Tokenizer& tokenizer) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(path, 64 << 20));
  std::vector<StudyPassage> passages;
  std::map<std::string, size_t> of_tag;
  int number = 0;
  for (const std::string& line : Split(text, '\n')) {
    ++number;
    if (Trim(line).empty() || Trim(line) == "\r") continue;
    auto passage = ReadPassage(line, tokenizer);
    if (!passage) return Fail("{}:{}: {}", path, number, passage.error().message);
    if (limit > 0 && ++of_tag[passage->tag] > limit) continue;
    passages.push_back(std::move(*passage));
  }
  if (passages.empty()) return Fail("{}: no passages", path);
  return passages;
}

Result<bool> MeasureLastWords(Model& model, Store& store, const ProgressSink& progress,
                              StudyData* data) {
  if (data->passages.empty()) return true;
  data->last_words.assign(data->lanes.size(), {});
  std::vector<size_t> measured;
  for (size_t l = 0; l < data->lanes.size(); ++l)
    if (IsMeasured(data->lanes[l])) measured.push_back(l);
  for (const size_t l : measured) data->last_words[l].resize(data->passages.size());
  for (size_t p = 0; p < data->passages.size(); ++p) {
    const StudyPassage& passage = data->passages[p];
    if (progress && !progress({"last words", static_cast<double>(p),
                               static_cast<double>(data->passages.size()), "passages"}))
      return false;
    const std::string key = PassageKey(passage);
    std::vector<size_t> missing;
    for (const size_t l : measured) {
      ASSIGN_OR_RETURN(const auto stored, store.GetLastWord(data->lanes[l].key, key));
      if (stored)
        data->last_words[l][p] = *stored;
      else
        missing.push_back(l);
    }
    if (missing.empty()) continue;
    const std::vector<LastWord> words = Measure(model, *data, missing, passage);
    std::vector<std::string> lanes;
    for (size_t i = 0; i < missing.size(); ++i) {
      data->last_words[missing[i]][p] = words[i];
      lanes.push_back(data->lanes[missing[i]].key);
    }
    RETURN_IF_ERROR(store.PutLastWords(lanes, key, words));
  }
  return true;
}

double LastWordMeasure(const std::string& name, std::span<const LastWord> words,
                       std::span<const uint32_t> times) {
  double right = 0, nll = 0, count = 0;
  for (size_t p = 0; p < words.size(); ++p) {
    right += times[p] * double(words[p].right);
    nll += times[p] * words[p].nll;
    count += times[p];
  }
  return name == "last_word" ? right / count : Exponential(nll / count);
}

PairedTest CompareLastWords(std::span<const LastWord> a, std::span<const LastWord> b) {
  size_t first = 0, second = 0;
  for (size_t p = 0; p < a.size(); ++p) {
    first += a[p].right && !b[p].right;
    second += b[p].right && !a[p].right;
  }
  return McNemar(first, second);
}

}  // namespace vernier
