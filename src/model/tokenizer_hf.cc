#include "model/tokenizer_hf.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/json.h"
#include "model/pretokenizer.h"
#include "model/quote.h"
#include "model/tokenizer_bpe.h"
#include "model/tokenizer_spm.h"
#include "model/vocabulary.h"

namespace vernier {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kSpace = "\xe2\x96\x81";  // U+2581
// Ids are dense in practice; the largest vocabularies have a quarter of a million.
constexpr int64_t kMostTokens = int64_t{1} << 21;

// The value of a key; null when there is none, when it is JSON's null, or when this is no object.
const Json* Member(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

// Reads tokenizer.json into the parts of a tokenizer. Paths in errors are those of the JSON.
class Reader {
 public:
  explicit Reader(const HfTokenizerFiles& files) : folder_(files.folder) {
    vocabulary_.source = At("tokenizer.json");
  }
  Result<std::unique_ptr<Tokenizer>> Read(const HfTokenizerFiles& files);

 private:
  // What the post-processor's template puts around a text.
  struct Template {
    bool present = false;
    std::vector<int32_t> before, after;
  };

  std::string At(std::string_view file) const { return fmt::format("{}/{}", folder_, file); }
  template <class... Args>
  tl::unexpected<Error> Wrong(fmt::format_string<Args...> format, Args&&... args) const {
    return Fail("{}: {}", vocabulary_.source, fmt::format(format, std::forward<Args>(args)...));
  }
  Result<std::string> Type(const Json& object, std::string_view where) const;
  Result<std::string> Text(const Json& object, std::string_view key, std::string_view where) const;
  Result<bool> Flag(const Json& object, std::string_view key, bool absent,
                    std::string_view where) const;
  Status RefuseText(const Json& object, std::string_view key, std::string_view where) const;

  Status CheckModel(const Json& model) const;
  Status ReadUnknown(const Json& model);
  Status ReadSteps(const Json& root);
  Result<std::unique_ptr<Tokenizer>> Finish(const Json& model);
  Status ReadVocabulary(const Json& model);
  Status ReadAdded(const Json& root);
  Status Place(int64_t id, std::string_view text, std::string_view where, Token** token);
  Result<MergeTable> ReadMerges(const Json& model) const;
  Status ReadNormalizer(const Json& normalizer, std::string_view where);
  Status ReadPreTokenizer(const Json& step, std::string_view where);
  Status ReadSplit(const Json& step, std::string_view where);
  Status ReadByteLevel(const Json& step, std::string_view where);
  Status ReadMetaspace(const Json& step, std::string_view where);
  Status ReadPostProcessor(const Json& processor, std::string_view where);
  Status ReadTemplate(const Json& processor, std::string_view where);
  Status ReadConfigIds(const Json& config);
  Result<int32_t> ConfigToken(const Json& tokenizer_config, std::string_view key) const;
  Result<std::optional<bool>> ConfigFlag(const Json& tokenizer_config, std::string_view key) const;
  Status Decide(std::optional<bool> add, int32_t id, std::string_view key,
                std::vector<int32_t>* ids) const;
  Status ReadAround(const Json& config, const Json* tokenizer_config);

  std::string folder_;
  Vocabulary vocabulary_;
  ByteBpeModel bytes_;
  SpmModel spm_;
  Template template_;
  bool byte_level_ = false, replaces_space_ = false, prepends_ = false, metaspace_ = false;
  bool splits_ = false;  // a step before ByteLevel cuts the text
};

Result<std::string> Reader::Type(const Json& object, std::string_view where) const {
  return Text(object, "type", where);
}

Result<std::string> Reader::Text(const Json& object, std::string_view key,
                                 std::string_view where) const {
  const Json* value = Member(object, key);
  if (value == nullptr || !value->is_string())
    return Wrong("{}: expected a string '{}'", where, key);
  return value->get<std::string>();
}

Result<bool> Reader::Flag(const Json& object, std::string_view key, bool absent,
                          std::string_view where) const {
  const Json* value = Member(object, key);
  if (value == nullptr) return absent;
  if (!value->is_boolean()) return Wrong("{}: '{}': expected true or false", where, key);
  return value->get<bool>();
}

// An option that would change the ids and is not supported: must be absent or empty.
Status Reader::RefuseText(const Json& object, std::string_view key, std::string_view where) const {
  const Json* value = Member(object, key);
  if (value == nullptr || (value->is_string() && value->get_ref<const std::string&>().empty())) {
    return {};
  }
  return Wrong("{}: '{}' is not supported: expected it absent or empty", where, key);
}

Status Reader::Place(int64_t id, std::string_view text, std::string_view where, Token** token) {
  if (id < 0 || id >= kMostTokens) {
    return Wrong("{}: token {}: expected an id from 0 to {}, found {}", where, Quote(text),
                 kMostTokens - 1, id);
  }
  const size_t index = static_cast<size_t>(id);
  // Ids that nobody takes stay without text.
  if (index >= vocabulary_.tokens.size()) {
    vocabulary_.tokens.resize(index + 1, Token{.text = {}, .type = TokenType::kUnused});
  }
  Token& found = vocabulary_.tokens[index];
  if (!found.text.empty() && found.text != text) {
    return Wrong("{}: id {} belongs to {} and to {}: expected one token", where, id,
                 Quote(found.text), Quote(text));
  }
  found.text = text;
  *token = &found;
  return {};
}

Status Reader::ReadVocabulary(const Json& model) {
  const Json* words = Member(model, "vocab");
  if (words == nullptr || !words->is_object() || words->empty()) {
    return Wrong("model: expected an object 'vocab' of tokens and ids");
  }
  ASSIGN_OR_RETURN(const bool byte_fallback, Flag(model, "byte_fallback", false, "model"));
  vocabulary_.tokens.reserve(words->size());
  for (const auto& [text, id] : words->items()) {
    if (!id.is_number_integer() || text.empty()) {
      return Wrong("model.vocab: token {}: expected a text and an integer id", Quote(text));
    }
    Token* token = nullptr;
    RETURN_IF_ERROR(Place(id.get<int64_t>(), text, "model.vocab", &token));
    token->type = byte_fallback && ByteOfToken(text) >= 0 ? TokenType::kByte : TokenType::kNormal;
  }
  return {};
}

Status Reader::ReadAdded(const Json& root) {
  const Json* added = Member(root, "added_tokens");
  if (added == nullptr) return {};
  if (!added->is_array()) return Wrong("added_tokens: expected an array");
  for (size_t i = 0; i < added->size(); ++i) {
    const Json& entry = (*added)[i];
    const std::string where = fmt::format("added_tokens[{}]", i);
    ASSIGN_OR_RETURN(const std::string text, Text(entry, "content", where));
    const Json* id = Member(entry, "id");
    if (id == nullptr || !id->is_number_integer() || text.empty()) {
      return Wrong("{}: expected 'content' and an integer 'id'", where);
    }
    ASSIGN_OR_RETURN(const bool single, Flag(entry, "single_word", false, where));
    if (single) return Wrong("{}: 'single_word' is not supported: expected false", where);
    Token* token = nullptr;
    RETURN_IF_ERROR(Place(id->get<int64_t>(), text, where, &token));
    ASSIGN_OR_RETURN(const bool special, Flag(entry, "special", false, where));
    token->type = special ? TokenType::kControl : TokenType::kUserDefined;
    ASSIGN_OR_RETURN(token->strip_left, Flag(entry, "lstrip", false, where));
    ASSIGN_OR_RETURN(token->strip_right, Flag(entry, "rstrip", false, where));
  }
  return {};
}

Result<MergeTable> Reader::ReadMerges(const Json& model) const {
  const Json* merges = Member(model, "merges");
  if (merges == nullptr || !merges->is_array()) return Wrong("model: expected an array 'merges'");
  MergeTable table(merges->size());
  for (const Json& merge : *merges) {
    if (merge.is_string()) {
      RETURN_IF_ERROR(table.Add(vocabulary_, merge.get_ref<const std::string&>(), "model.merges"));
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      RETURN_IF_ERROR(table.Add(vocabulary_, merge[0].get_ref<const std::string&>(),
                                merge[1].get_ref<const std::string&>(), "model.merges"));
    } else {
      return Wrong("model.merges: expected strings \"a b\" or pairs [\"a\", \"b\"], found {}",
                   merge.type_name());
    }
  }
  return table;
}

Status Reader::ReadNormalizer(const Json& normalizer, std::string_view where) {
  ASSIGN_OR_RETURN(const std::string type, Type(normalizer, where));
  if (type == "NFC") return {};
  if (type == "Sequence") {
    const Json* steps = Member(normalizer, "normalizers");
    if (steps == nullptr || !steps->is_array()) {
      return Wrong("{}: expected an array 'normalizers'", where);
    }
    for (const Json& step : *steps) {
      ASSIGN_OR_RETURN(const std::string inner, Type(step, where));
      if (inner == "Sequence") return Wrong("{}: a Sequence in a Sequence is not supported", where);
      RETURN_IF_ERROR(ReadNormalizer(step, where));
    }
    return {};
  }
  if (type == "Prepend") {
    ASSIGN_OR_RETURN(const std::string text, Text(normalizer, "prepend", where));
    if (text != kSpace) return Wrong("{}: Prepend: expected '▁', found {}", where, Quote(text));
    prepends_ = true;
    return {};
  }
  if (type == "Replace") {
    const Json* pattern = Member(normalizer, "pattern");
    const Json* from = pattern == nullptr ? nullptr : Member(*pattern, "String");
    const Json* to = Member(normalizer, "content");
    if (from == nullptr || to == nullptr || *from != " " || *to != std::string(kSpace)) {
      return Wrong("{}: Replace: only ' ' by '▁' is supported", where);
    }
    replaces_space_ = true;
    return {};
  }
  return Wrong("{}: type {} is not supported", where, Quote(type));
}

Status Reader::ReadPreTokenizer(const Json& step, std::string_view where) {
  ASSIGN_OR_RETURN(const std::string type, Type(step, where));
  if (type == "Sequence") {
    const Json* steps = Member(step, "pretokenizers");
    if (steps == nullptr || !steps->is_array()) {
      return Wrong("{}: expected an array 'pretokenizers'", where);
    }
    for (size_t i = 0; i < steps->size(); ++i) {
      const std::string inner = fmt::format("{}.pretokenizers[{}]", where, i);
      RETURN_IF_ERROR(ReadPreTokenizer((*steps)[i], inner));
    }
    return {};
  }
  if (byte_level_ || metaspace_) {
    return Wrong("{}: {} after ByteLevel or Metaspace is not supported", where, Quote(type));
  }
  if (type == "Split") return ReadSplit(step, where);
  if (type == "ByteLevel") return ReadByteLevel(step, where);
  if (type == "Metaspace") return ReadMetaspace(step, where);
  if (type == "Digits") {
    ASSIGN_OR_RETURN(const bool each, Flag(step, "individual_digits", false, where));
    splits_ = true;
    return bytes_.pre.Add(each ? R"(\p{N})" : R"(\p{N}+)", false, PreTokenizer::Gaps::kPieces,
                          where);
  }
  return Wrong("{}: type {} is not supported", where, Quote(type));
}

Status Reader::ReadSplit(const Json& step, std::string_view where) {
  const Json* pattern = Member(step, "pattern");
  const Json* regex = pattern == nullptr ? nullptr : Member(*pattern, "Regex");
  const Json* literal = pattern == nullptr ? nullptr : Member(*pattern, "String");
  const Json* found = regex != nullptr ? regex : literal;
  if (found == nullptr || !found->is_string()) {
    return Wrong("{}.pattern: expected a string 'Regex' or 'String'", where);
  }
  // Gemma's way: the normalizer has left no space to split at.
  if (found == literal && *found == " " && replaces_space_) return {};
  ASSIGN_OR_RETURN(const std::string behavior, Text(step, "behavior", where));
  ASSIGN_OR_RETURN(const bool invert, Flag(step, "invert", false, where));
  const bool isolated = behavior == "Isolated", removed = behavior == "Removed" && invert;
  if (!isolated && !removed) {
    return Wrong("{}: behavior {}{} is not supported: expected 'Isolated' or inverted 'Removed'",
                 where, Quote(behavior), invert ? " inverted" : "");
  }
  splits_ = true;
  return bytes_.pre.Add(found->get_ref<const std::string&>(), found == literal,
                        isolated ? PreTokenizer::Gaps::kPieces : PreTokenizer::Gaps::kDropped,
                        fmt::format("{}: {}", vocabulary_.source, where));
}

Status Reader::ReadByteLevel(const Json& step, std::string_view where) {
  byte_level_ = true;
  ASSIGN_OR_RETURN(bytes_.add_prefix_space, Flag(step, "add_prefix_space", true, where));
  if (bytes_.add_prefix_space && splits_) {
    return Wrong("{}: add_prefix_space after another step is not supported", where);
  }
  ASSIGN_OR_RETURN(const bool use_regex, Flag(step, "use_regex", true, where));
  if (!use_regex) return {};
  return bytes_.pre.Add(kGpt2Pattern, false, PreTokenizer::Gaps::kPieces, where);
}

Status Reader::ReadMetaspace(const Json& step, std::string_view where) {
  metaspace_ = true;
  ASSIGN_OR_RETURN(const std::string replacement, Text(step, "replacement", where));
  if (replacement != kSpace) {
    return Wrong("{}: replacement: expected '▁', found {}", where, Quote(replacement));
  }
  ASSIGN_OR_RETURN(spm_.split_words, Flag(step, "split", true, where));
  spm_.prefix_unless_space = true;
  if (Member(step, "prepend_scheme") == nullptr) {
    ASSIGN_OR_RETURN(const bool prefix, Flag(step, "add_prefix_space", true, where));
    spm_.prefix = prefix ? SpmModel::Prefix::kEach : SpmModel::Prefix::kNone;
    return {};
  }
  ASSIGN_OR_RETURN(const std::string scheme, Text(step, "prepend_scheme", where));
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    return Wrong("{}: prepend_scheme: expected always, first or never, found {}", where,
                 Quote(scheme));
  }
  spm_.prefix = scheme == "always"  ? SpmModel::Prefix::kEach
                : scheme == "first" ? SpmModel::Prefix::kFirst
                                    : SpmModel::Prefix::kNone;
  return {};
}

Status Reader::ReadPostProcessor(const Json& processor, std::string_view where) {
  ASSIGN_OR_RETURN(const std::string type, Type(processor, where));
  if (type == "ByteLevel") return {};
  if (type == "TemplateProcessing") return ReadTemplate(processor, where);
  const Json* steps = Member(processor, "processors");
  if (type != "Sequence" || steps == nullptr || !steps->is_array()) {
    return Wrong("{}: type {} is not supported", where, Quote(type));
  }
  for (const Json& step : *steps) RETURN_IF_ERROR(ReadPostProcessor(step, where));
  return {};
}

Status Reader::ReadTemplate(const Json& processor, std::string_view where) {
  const Json* single = Member(processor, "single");
  const Json* specials = Member(processor, "special_tokens");
  if (single == nullptr || !single->is_array()) {
    return Wrong("{}: expected an array 'single'", where);
  }
  template_ = {.present = true, .before = {}, .after = {}};
  bool text_seen = false;
  for (const Json& part : *single) {
    if (Member(part, "Sequence") != nullptr) {
      text_seen = true;
      continue;
    }
    const Json* token = Member(part, "SpecialToken");
    if (token == nullptr) return Wrong("{}.single: expected Sequence or SpecialToken", where);
    ASSIGN_OR_RETURN(const std::string name, Text(*token, "id", where));
    const Json* entry = specials == nullptr ? nullptr : Member(*specials, name);
    const Json* ids = entry == nullptr ? nullptr : Member(*entry, "ids");
    if (ids == nullptr || !ids->is_array()) {
      return Wrong("{}.special_tokens: expected the ids of {}", where, Quote(name));
    }
    for (const Json& id : *ids) {
      if (!id.is_number_integer() || id.get<int64_t>() < 0 ||
          id.get<int64_t>() >= vocabulary_.size()) {
        return Wrong("{}.special_tokens: {}: expected ids below {}", where, Quote(name),
                     vocabulary_.size());
      }
      (text_seen ? template_.after : template_.before).push_back(id.get<int32_t>());
    }
  }
  return {};
}

// Ids of config.json, and tokens for every row of the model's output.
Status Reader::ReadConfigIds(const Json& config) {
  const auto wrong = [this](std::string_view key, int64_t most) {
    return Fail("{}: '{}': expected an integer from 0 to {}", At("config.json"), key, most);
  };
  if (const Json* count = Member(config, "vocab_size")) {
    if (!count->is_number_integer() || count->get<int64_t>() < 0 ||
        count->get<int64_t>() > kMostTokens) {
      return wrong("vocab_size", kMostTokens);
    }
    const size_t rows = count->get<size_t>();
    if (rows > vocabulary_.tokens.size()) {
      vocabulary_.tokens.resize(rows, Token{.text = {}, .type = TokenType::kUnused});
    }
  }
  const auto is_id = [this](const Json& id) {
    return id.is_number_integer() && id.get<int64_t>() >= 0 &&
           id.get<int64_t>() < vocabulary_.size();
  };
  if (const Json* bos = Member(config, "bos_token_id")) {
    if (!is_id(*bos)) return wrong("bos_token_id", vocabulary_.size() - 1);
    vocabulary_.bos = bos->get<int32_t>();
  }
  if (const Json* eos = Member(config, "eos_token_id")) {
    const Json list = eos->is_array() ? *eos : Json::array({*eos});
    for (const Json& id : list) {
      if (!is_id(id)) return wrong("eos_token_id", vocabulary_.size() - 1);
      if (vocabulary_.eos < 0) vocabulary_.eos = id.get<int32_t>();
      vocabulary_.end_of_generation.insert(id.get<int32_t>());
    }
  }
  return {};
}

// The id of "bos_token": "<s>" or {"content": "<s>"}; -1 when there is none.
Result<int32_t> Reader::ConfigToken(const Json& tokenizer_config, std::string_view key) const {
  const Json* value = Member(tokenizer_config, key);
  if (value != nullptr && value->is_object()) value = Member(*value, "content");
  if (value == nullptr) return -1;
  const int32_t id = value->is_string() ? vocabulary_.Id(value->get_ref<const std::string&>()) : -1;
  if (id >= 0) return id;
  return Fail("{}: '{}': expected a token of tokenizer.json", At("tokenizer_config.json"), key);
}

// Puts `id` to the ids that surround a text, or takes it away, where a file says which.
Status Reader::Decide(std::optional<bool> add, int32_t id, std::string_view key,
                      std::vector<int32_t>* ids) const {
  if (!add) return {};
  if (*add && id < 0) {
    return Fail("{}: 'add_{}' is true: expected '{}'", At("tokenizer_config.json"), key, key);
  }
  const auto it = std::find(ids->begin(), ids->end(), id);
  if (*add && it == ids->end()) ids->insert(ids->begin(), id);
  if (!*add && it != ids->end()) ids->erase(it);
  return {};
}

Result<std::optional<bool>> Reader::ConfigFlag(const Json& tokenizer_config,
                                               std::string_view key) const {
  const Json* value = Member(tokenizer_config, key);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  return Fail("{}: '{}': expected true or false", At("tokenizer_config.json"), key);
}

// Which ids add_special puts around a text: the rules of the header.
Status Reader::ReadAround(const Json& config, const Json* tokenizer_config) {
  RETURN_IF_ERROR(ReadConfigIds(config));
  RETURN_IF_ERROR(vocabulary_.BuildIds());
  std::optional<bool> add_bos, add_eos;
  if (tokenizer_config != nullptr) {
    ASSIGN_OR_RETURN(const int32_t bos, ConfigToken(*tokenizer_config, "bos_token"));
    ASSIGN_OR_RETURN(const int32_t eos, ConfigToken(*tokenizer_config, "eos_token"));
    if (bos >= 0) vocabulary_.bos = bos;
    if (eos >= 0) vocabulary_.eos = eos;
    ASSIGN_OR_RETURN(add_bos, ConfigFlag(*tokenizer_config, "add_bos_token"));
    ASSIGN_OR_RETURN(add_eos, ConfigFlag(*tokenizer_config, "add_eos_token"));
  }
  vocabulary_.before = template_.before;
  vocabulary_.after = template_.after;
  if (vocabulary_.bos < 0 && !template_.before.empty()) vocabulary_.bos = template_.before[0];
  if (!template_.present && !add_bos) {
    add_bos = vocabulary_.bos >= 0 && (tokenizer_config == nullptr || !byte_level_);
  }
  RETURN_IF_ERROR(Decide(add_bos, vocabulary_.bos, "bos_token", &vocabulary_.before));
  RETURN_IF_ERROR(Decide(add_eos, vocabulary_.eos, "eos_token", &vocabulary_.after));
  vocabulary_.FindEndOfGeneration();
  return {};
}

// Refuses models other than BPE, and options of it that would change the ids.
Status Reader::CheckModel(const Json& model) const {
  // Older files leave the type out; only BPE has merges.
  if (Member(model, "type") != nullptr || Member(model, "merges") == nullptr) {
    ASSIGN_OR_RETURN(const std::string type, Type(model, "model"));
    if (type != "BPE") return Wrong("model: expected type 'BPE', found {}", Quote(type));
  }
  RETURN_IF_ERROR(RefuseText(model, "continuing_subword_prefix", "model"));
  RETURN_IF_ERROR(RefuseText(model, "end_of_word_suffix", "model"));
  const Json* dropout = Member(model, "dropout");
  if (dropout == nullptr || *dropout == 0.0) return {};
  return Wrong("model: 'dropout' is not supported: expected null or 0");
}

Status Reader::ReadUnknown(const Json& model) {
  if (Member(model, "unk_token") == nullptr) return {};
  ASSIGN_OR_RETURN(const std::string text, Text(model, "unk_token", "model"));
  vocabulary_.unknown = vocabulary_.Id(text);
  if (vocabulary_.unknown >= 0) return {};
  return Wrong("model: 'unk_token': expected a token of the vocabulary, found {}", Quote(text));
}

// The steps around the model, in the order of the file's keys.
Status Reader::ReadSteps(const Json& root) {
  if (const Json* part = Member(root, "normalizer")) {
    RETURN_IF_ERROR(ReadNormalizer(*part, "normalizer"));
  }
  if (const Json* part = Member(root, "pre_tokenizer")) {
    RETURN_IF_ERROR(ReadPreTokenizer(*part, "pre_tokenizer"));
  }
  if (const Json* part = Member(root, "post_processor")) {
    RETURN_IF_ERROR(ReadPostProcessor(*part, "post_processor"));
  }
  return {};
}

Result<std::unique_ptr<Tokenizer>> Reader::Finish(const Json& model) {
  ASSIGN_OR_RETURN(MergeTable merges, ReadMerges(model));
  if (byte_level_) {
    if (replaces_space_ || prepends_) {
      return Wrong("pre_tokenizer: ByteLevel with a normalizer for '▁' is not supported");
    }
    bytes_.merges = std::move(merges);
    ASSIGN_OR_RETURN(bytes_.ignore_merges, Flag(model, "ignore_merges", false, "model"));
    return MakeByteBpe(std::move(vocabulary_), std::move(bytes_));
  }
  if ((!replaces_space_ && !metaspace_) || splits_) {
    return Wrong(
        "pre_tokenizer: expected ByteLevel last, Metaspace alone, or a normalizer replacing ' ' by "
        "'▁'");
  }
  if (metaspace_ && prepends_) {
    return Wrong("normalizer: Prepend together with Metaspace is not supported");
  }
  if (!metaspace_) spm_.prefix = prepends_ ? SpmModel::Prefix::kEach : SpmModel::Prefix::kNone;
  spm_.merges = std::move(merges);
  ASSIGN_OR_RETURN(spm_.fuse_unknown, Flag(model, "fuse_unk", false, "model"));
  return MakeSpm(std::move(vocabulary_), std::move(spm_));
}

Result<std::unique_ptr<Tokenizer>> Reader::Read(const HfTokenizerFiles& files) {
  ASSIGN_OR_RETURN(const Json root, ParseJsonObject(files.tokenizer, vocabulary_.source));
  ASSIGN_OR_RETURN(const Json config, ParseJsonObject(files.config, At("config.json")));
  const Json* model = Member(root, "model");
  if (model == nullptr) return Wrong("expected an object 'model'");
  RETURN_IF_ERROR(CheckModel(*model));
  RETURN_IF_ERROR(ReadVocabulary(*model));
  RETURN_IF_ERROR(ReadAdded(root));
  RETURN_IF_ERROR(ReadSteps(root));
  if (files.tokenizer_config.empty()) {
    RETURN_IF_ERROR(ReadAround(config, nullptr));
  } else {
    ASSIGN_OR_RETURN(const Json tokenizer_config,
                     ParseJsonObject(files.tokenizer_config, At("tokenizer_config.json")));
    RETURN_IF_ERROR(ReadAround(config, &tokenizer_config));
  }
  RETURN_IF_ERROR(ReadUnknown(*model));
  return Finish(*model);
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> MakeHfTokenizer(const HfTokenizerFiles& files) {
  return Reader(files).Read(files);
}

}  // namespace vernier
