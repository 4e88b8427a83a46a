#include "arch/convert_tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/json.h"
#include "model/pretokenizer.h"
#include "model/tokenizer.h"
#include "model/tokenizer_gguf.h"
#include "model/vocabulary.h"

namespace vernier {
namespace {

using Json = nlohmann::json;

// The member of an object that is there and not null.
const Json* Member(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

bool Flag(const Json& object, const char* key, bool absent) {
  const Json* value = Member(object, key);
  return value != nullptr && value->is_boolean() ? value->get<bool>() : absent;
}

std::string Text(const Json& object, const char* key) {
  const Json* value = Member(object, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

// Reads what MakeTokenizer has accepted, so only what GGUF cannot say is refused here.
class Converter {
 public:
  Converter(std::string source, const Json& json) : source_(std::move(source)), json_(json) {}
  Status Add(const Tokenizer& tokenizer, Metadata* metadata);

 private:
  Status ReadSteps(const Json& step);
  Result<std::string> PreName() const;
  Status ReadTokens(size_t count);
  Result<std::vector<std::string>> Merges() const;
  Status AddAround(const Tokenizer& tokenizer, Metadata* metadata) const;

  std::string source_;
  const Json& json_;
  std::vector<std::string> patterns_;
  bool byte_level_ = false;
  std::vector<std::string> tokens_;
  std::vector<int32_t> types_;
};

Status Converter::ReadSteps(const Json& step) {
  const std::string type = Text(step, "type");
  if (type == "Sequence") {
    for (const Json& inner : step.at("pretokenizers")) RETURN_IF_ERROR(ReadSteps(inner));
  } else if (type == "Split") {
    const Json* pattern = Member(step, "pattern");
    const std::string regex = pattern == nullptr ? "" : Text(*pattern, "Regex");
    if (regex.empty() || Text(step, "behavior") != "Isolated" || Flag(step, "invert", false))
      return Fail("{}: pre_tokenizer: GGUF has no name for this Split", source_);
    patterns_.push_back(regex);
  } else if (type == "Digits") {
    patterns_.emplace_back(Flag(step, "individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)");
  } else if (type == "ByteLevel") {
    byte_level_ = true;
    if (Flag(step, "add_prefix_space", true))
      return Fail("{}: pre_tokenizer: GGUF has no key for ByteLevel's add_prefix_space", source_);
    if (Flag(step, "use_regex", true)) patterns_.emplace_back(kGpt2Pattern);
  }
  return {};
}

Result<std::string> Converter::PreName() const {
  const bool ignore_merges = Flag(json_.at("model"), "ignore_merges", false);
  for (const NamedPreTokenizer& named : NamedPreTokenizers())
    if (named.ignore_merges == ignore_merges &&
        std::equal(patterns_.begin(), patterns_.end(), named.patterns.begin(),
                   named.patterns.end()))
      return std::string(named.name);
  return Fail("{}: pre_tokenizer: its patterns are of no pre-tokenizer that GGUF has a name for",
              source_);
}

Status Converter::ReadTokens(size_t count) {
  for (size_t i = 0; i < count; ++i) tokens_.push_back(fmt::format("[PAD{}]", i));
  types_.assign(count, static_cast<int32_t>(TokenType::kUnused));
  const auto place = [&](const Json& id, const std::string& text, TokenType type) {
    const size_t at = id.get<size_t>();
    CHECK(at < count);
    tokens_[at] = text;
    types_[at] = static_cast<int32_t>(type);
  };
  for (const auto& [text, id] : json_.at("model").at("vocab").items())
    place(id, text, TokenType::kNormal);
  const Json* added = Member(json_, "added_tokens");
  if (added == nullptr) return {};
  for (const Json& token : *added) {
    const std::string text = Text(token, "content");
    if (Flag(token, "lstrip", false) || Flag(token, "rstrip", false))
      return Fail("{}: added token '{}' strips spaces: GGUF has no key for that", source_, text);
    place(token.at("id"), text,
          Flag(token, "special", false) ? TokenType::kControl : TokenType::kUserDefined);
  }
  return {};
}

// Both spellings of tokenizer.json: "a b" and ["a", "b"].
Result<std::vector<std::string>> Converter::Merges() const {
  std::vector<std::string> merges;
  for (const Json& merge : json_.at("model").at("merges")) {
    if (merge.is_string()) {
      merges.push_back(merge.get<std::string>());
      continue;
    }
    const std::string left = merge.at(0).get<std::string>(), right = merge.at(1).get<std::string>();
    if ((left + right).find(' ') != std::string::npos)
      return Fail("{}: merge {} joins tokens with spaces: GGUF has no way to write that", source_,
                  merges.size());
    merges.push_back(fmt::format("{} {}", left, right));
  }
  return merges;
}

// What surrounds a text is known from an empty one.
Status Converter::AddAround(const Tokenizer& tokenizer, Metadata* metadata) const {
  ASSIGN_OR_RETURN(std::vector<int32_t> around, tokenizer.Encode("", {}));
  if (tokenizer.adds_bos() && !around.empty() && around.front() == tokenizer.bos())
    around.erase(around.begin());
  const bool adds_eos = around.size() == 1 && around[0] == tokenizer.eos();
  if (!around.empty() && !adds_eos)
    return Fail("{}: post_processor: GGUF has no keys for ids around a text but BOS and EOS",
                source_);
  if (tokenizer.bos() >= 0)
    metadata->Set("tokenizer.ggml.bos_token_id",
                  MetaUint32(static_cast<uint32_t>(tokenizer.bos())));
  if (tokenizer.eos() >= 0)
    metadata->Set("tokenizer.ggml.eos_token_id",
                  MetaUint32(static_cast<uint32_t>(tokenizer.eos())));
  metadata->Set("tokenizer.ggml.add_bos_token", MetaBool(tokenizer.adds_bos()));
  metadata->Set("tokenizer.ggml.add_eos_token", MetaBool(adds_eos));
  return {};
}

Status Converter::Add(const Tokenizer& tokenizer, Metadata* metadata) {
  if (const Json* steps = Member(json_, "pre_tokenizer")) RETURN_IF_ERROR(ReadSteps(*steps));
  if (!byte_level_)
    return Fail(
        "{}: only byte-level BPE can be converted: a SentencePiece-like tokenizer needs "
        "scores that are not in this file",
        source_);
  ASSIGN_OR_RETURN(const std::string pre, PreName());
  RETURN_IF_ERROR(ReadTokens(static_cast<size_t>(tokenizer.size())));
  ASSIGN_OR_RETURN(const std::vector<std::string> merges, Merges());
  metadata->Set("tokenizer.ggml.model", MetaString("gpt2"));
  metadata->Set("tokenizer.ggml.pre", MetaString(pre));
  metadata->Set("tokenizer.ggml.tokens", MetaStrings(tokens_));
  metadata->Set("tokenizer.ggml.token_type", MetaInt32s(types_));
  metadata->Set("tokenizer.ggml.merges", MetaStrings(merges));
  return AddAround(tokenizer, metadata);
}

}  // namespace

Status AddTokenizer(const Checkpoint& folder, Metadata* metadata) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer, MakeTokenizer(folder));
  const std::string source = folder.path + "/tokenizer.json";
  ASSIGN_OR_RETURN(const Json json, ParseJsonObject(folder.tokenizer_json, source));
  RETURN_IF_ERROR(Converter(source, json).Add(*tokenizer, metadata));
  if (!folder.tokenizer_config_json.empty()) {
    ASSIGN_OR_RETURN(const Json config, ParseJsonObject(folder.tokenizer_config_json,
                                                        folder.path + "/tokenizer_config.json"));
    const std::string chat = Text(config, "chat_template");
    if (!chat.empty()) metadata->Set("tokenizer.chat_template", MetaString(chat));
  }
  // The keys must be ones our own reader takes for a tokenizer of the same shape.
  ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> made, MakeGgufTokenizer(*metadata));
  CHECK(made->size() == tokenizer->size() && made->bos() == tokenizer->bos() &&
        made->eos() == tokenizer->eos() && made->adds_bos() == tokenizer->adds_bos());
  return {};
}

}  // namespace vernier
