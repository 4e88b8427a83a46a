#include "model/tokenizer_gguf.h"

#include <string>
#include <utility>
#include <vector>

#include "model/pretokenizer.h"
#include "model/quote.h"
#include "model/tokenizer_bpe.h"
#include "model/tokenizer_spm.h"
#include "model/vocabulary.h"

namespace vernier {
namespace {

constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kTypes = "tokenizer.ggml.token_type";
constexpr std::string_view kScores = "tokenizer.ggml.scores";
constexpr std::string_view kMerges = "tokenizer.ggml.merges";
constexpr std::string_view kPre = "tokenizer.ggml.pre";

Status CheckCount(const Metadata& metadata, std::string_view key, size_t found, size_t tokens) {
  if (found == tokens) return {};
  return Fail("{}: key '{}': expected {} values, one for each token, found {}", metadata.source,
              key, tokens, found);
}

Result<Vocabulary> ReadTokens(const Metadata& metadata) {
  Vocabulary vocabulary;
  vocabulary.source = metadata.source;
  ASSIGN_OR_RETURN(std::vector<std::string> texts, metadata.Strings(kTokens));
  if (texts.empty() || texts.size() > INT32_MAX) {
    return Fail("{}: key '{}': expected 1 to {} tokens, found {}", metadata.source, kTokens,
                INT32_MAX, texts.size());
  }
  vocabulary.tokens.resize(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) vocabulary.tokens[i].text = std::move(texts[i]);
  if (metadata.Has(kTypes)) {
    ASSIGN_OR_RETURN(const std::vector<int64_t> types, metadata.Ints(kTypes));
    RETURN_IF_ERROR(CheckCount(metadata, kTypes, types.size(), texts.size()));
    for (size_t i = 0; i < types.size(); ++i) {
      if (types[i] < 0 || types[i] > 6) {
        return Fail("{}: key '{}': expected token types from 1 to 6, found {} at token {}",
                    metadata.source, kTypes, types[i], i);
      }
      // 0 is llama.cpp's "undefined", which it too treats as text.
      if (types[i] > 0) vocabulary.tokens[i].type = static_cast<TokenType>(types[i]);
    }
  }
  RETURN_IF_ERROR(vocabulary.BuildIds());
  return vocabulary;
}

Status ReadScores(const Metadata& metadata, Vocabulary* vocabulary) {
  ASSIGN_OR_RETURN(const std::vector<double> scores, metadata.Floats(kScores));
  RETURN_IF_ERROR(CheckCount(metadata, kScores, scores.size(), vocabulary->tokens.size()));
  for (size_t i = 0; i < scores.size(); ++i) {
    if (!(scores[i] >= -3e38 && scores[i] <= 3e38)) {
      return Fail("{}: key '{}': expected finite numbers, found {} at token {}", metadata.source,
                  kScores, scores[i], i);
    }
    vocabulary->tokens[i].score = static_cast<float>(scores[i]);
  }
  return {};
}

// The id under a key, or -1 when the file has none.
Result<int32_t> ReadId(const Metadata& metadata, std::string_view key,
                       const Vocabulary& vocabulary) {
  if (!metadata.Has(key)) return -1;
  ASSIGN_OR_RETURN(const int64_t id, metadata.Int(key, 0, vocabulary.size() - 1));
  return static_cast<int32_t>(id);
}

Result<bool> ReadFlag(const Metadata& metadata, std::string_view key, bool absent) {
  if (!metadata.Has(key)) return absent;
  return metadata.Bool(key);
}

Status ReadAround(const Metadata& metadata, std::string_view key, std::string_view id_key,
                  int32_t id, bool absent, std::vector<int32_t>* ids) {
  ASSIGN_OR_RETURN(const bool adds, ReadFlag(metadata, key, absent));
  if (adds && id >= 0) ids->push_back(id);
  if (adds && id < 0 && metadata.Has(key)) {
    return Fail("{}: key '{}' is true: expected a key '{}'", metadata.source, key, id_key);
  }
  return {};
}

Status ReadSpecialIds(const Metadata& metadata, bool llama, bool adds_bos, Vocabulary* vocabulary) {
  constexpr std::string_view kBos = "tokenizer.ggml.bos_token_id";
  constexpr std::string_view kEos = "tokenizer.ggml.eos_token_id";
  ASSIGN_OR_RETURN(vocabulary->bos, ReadId(metadata, kBos, *vocabulary));
  ASSIGN_OR_RETURN(vocabulary->eos, ReadId(metadata, kEos, *vocabulary));
  ASSIGN_OR_RETURN(vocabulary->unknown,
                   ReadId(metadata, "tokenizer.ggml.unknown_token_id", *vocabulary));
  if (llama && vocabulary->size() > 2) {
    const auto use = [&](int32_t& id, int32_t usual, TokenType type) {
      if (id < 0 && vocabulary->tokens[static_cast<size_t>(usual)].type == type) id = usual;
    };
    use(vocabulary->unknown, 0, TokenType::kUnknown);
    use(vocabulary->bos, 1, TokenType::kControl);
    use(vocabulary->eos, 2, TokenType::kControl);
  }
  if (!metadata.Has(kTypes)) {
    for (const int32_t id : {vocabulary->bos, vocabulary->eos}) {
      if (id >= 0) vocabulary->tokens[static_cast<size_t>(id)].type = TokenType::kControl;
    }
  }
  RETURN_IF_ERROR(ReadAround(metadata, "tokenizer.ggml.add_bos_token", kBos, vocabulary->bos,
                             adds_bos, &vocabulary->before));
  RETURN_IF_ERROR(ReadAround(metadata, "tokenizer.ggml.add_eos_token", kEos, vocabulary->eos, false,
                             &vocabulary->after));
  for (const std::string_view key :
       {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    ASSIGN_OR_RETURN(const int32_t id, ReadId(metadata, key, *vocabulary));
    if (id >= 0) vocabulary->end_of_generation.insert(id);
  }
  vocabulary->FindEndOfGeneration();
  return {};
}

Result<const NamedPreTokenizer*> ReadPreTokenizer(const Metadata& metadata) {
  std::string name;
  if (metadata.Has(kPre)) {
    ASSIGN_OR_RETURN(name, metadata.String(kPre));
  }
  const NamedPreTokenizer* named = FindPreTokenizer(name);
  if (named != nullptr) return named;
  std::string known;
  for (const NamedPreTokenizer& entry : NamedPreTokenizers()) {
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  return Fail("{}: key '{}': unknown pre-tokenizer {}; known are {}", metadata.source, kPre,
              Quote(name), known);
}

Result<std::unique_ptr<Tokenizer>> MakeGpt2(const Metadata& metadata, Vocabulary vocabulary) {
  ASSIGN_OR_RETURN(const NamedPreTokenizer* named, ReadPreTokenizer(metadata));
  RETURN_IF_ERROR(ReadSpecialIds(metadata, false, named->add_bos, &vocabulary));
  ByteBpeModel model;
  model.ignore_merges = named->ignore_merges;
  for (const std::string_view pattern : named->patterns) {
    RETURN_IF_ERROR(model.pre.Add(pattern, false, PreTokenizer::Gaps::kPieces, named->name));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> merges, metadata.Strings(kMerges));
  model.merges = MergeTable(merges.size());
  for (const std::string& merge : merges) {
    RETURN_IF_ERROR(model.merges.Add(vocabulary, merge, kMerges));
  }
  return MakeByteBpe(std::move(vocabulary), std::move(model));
}

Result<std::unique_ptr<Tokenizer>> MakeLlama(const Metadata& metadata, Vocabulary vocabulary) {
  RETURN_IF_ERROR(ReadScores(metadata, &vocabulary));
  RETURN_IF_ERROR(ReadSpecialIds(metadata, true, true, &vocabulary));
  for (const Token& token : vocabulary.tokens) {
    if (token.type == TokenType::kByte && ByteOfToken(token.text) < 0) {
      return Fail("{}: key '{}': expected byte tokens like '<0x41>', found {}", metadata.source,
                  kTokens, Quote(token.text));
    }
  }
  ASSIGN_OR_RETURN(const bool prefix, ReadFlag(metadata, "tokenizer.ggml.add_space_prefix", true));
  SpmModel model;
  model.prefix = prefix ? SpmModel::Prefix::kEach : SpmModel::Prefix::kNone;
  return MakeSpm(std::move(vocabulary), std::move(model));
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> MakeGgufTokenizer(const Metadata& metadata) {
  ASSIGN_OR_RETURN(const std::string kind, metadata.String("tokenizer.ggml.model"));
  if (kind != "gpt2" && kind != "llama") {
    return Fail("{}: key 'tokenizer.ggml.model': expected 'gpt2' or 'llama', found {}",
                metadata.source, Quote(kind));
  }
  ASSIGN_OR_RETURN(Vocabulary vocabulary, ReadTokens(metadata));
  return kind == "gpt2" ? MakeGpt2(metadata, std::move(vocabulary))
                        : MakeLlama(metadata, std::move(vocabulary));
}

}  // namespace vernier
