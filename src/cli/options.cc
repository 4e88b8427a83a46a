#include "cli/options.h"

#include <filesystem>

#include "base/file.h"
#include "base/names.h"
#include "formats/block_formats.h"
#include "model/json.h"

namespace vernier {
namespace {

using Json = nlohmann::json;

constexpr size_t kMostContext = size_t{1} << 20;

Result<std::vector<int32_t>> ReadTokensFile(const std::string& path, size_t vocabulary) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(path));
  ASSIGN_OR_RETURN(const Json json, ParseJson(text, path));
  if (!json.is_array()) return Fail("{}: expected a JSON array of token ids", path);
  std::vector<int32_t> ids;
  for (const Json& item : json) {
    if (!item.is_number_unsigned() || item.get<uint64_t>() >= vocabulary)
      return Fail("{}: element {}: expected a token id from 0 to {}, found {}", path, ids.size(),
                  vocabulary - 1,
                  item.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 40));
    ids.push_back(item.get<int32_t>());
  }
  return ids;
}

}  // namespace

ValueDoc FilesNamed(std::vector<std::string> endings) {
  return {ValueDoc::Kind::kFile, std::move(endings)};
}
ValueDoc WordsOf(std::vector<std::string> words) {
  return {ValueDoc::Kind::kWords, std::move(words)};
}
ValueDoc ListOf(std::vector<std::string> words) {
  return {ValueDoc::Kind::kList, std::move(words)};
}
ValueDoc ModelsAnd(std::vector<std::string> endings) {
  return {ValueDoc::Kind::kModel, std::move(endings)};
}

std::vector<std::string> FormatNames() {
  std::vector<std::string> names;
  for (const Format& format : NamedFormats()) names.push_back(format.name);
  return names;
}

std::vector<std::string> CaptureEndings() {
  return {"safetensors", "npz", "npy", "txt", "log", "bin", "kld"};
}

void AddOutputOptions(ArgumentParser* parser, OutputOptions* options, bool file) {
  parser->Group("Output");
  parser->Flag("--json", &options->json, "One JSON object on standard output (docs/commands.md)");
  if (file) parser->Text("-o", &options->path, "FILE", "Write to FILE, whole or not at all");
  parser->Flag("--quiet", &options->quiet, "No progress and no remarks on standard error");
  parser->Choice(
      "--color", kColourNames,
      [options](size_t i) { options->colour = static_cast<ColourWhen>(i); }, "WHEN",
      "Colours: auto (on a terminal, without NO_COLOR), always, never");
  parser->Group("");
}

void AddInputOptions(ArgumentParser* parser, InputOptions* options) {
  parser->Group("The text");
  parser->Text("-p", &options->text, "TEXT", "The text", &options->has_text);
  parser->Text("-f", &options->file, "FILE", "The text is in FILE");
  parser->Text("--tokens", &options->tokens_file, "FILE",
               "A JSON array of token ids instead of a text");
  parser->Number("-c", &options->context, "CONTEXT", "Most tokens of one piece", size_t{1},
                 kMostContext);
  parser->Flag("--no-bos", &options->no_bos, "No BOS or EOS around the text");
  parser->Flag("--special", &options->special,
               "Special tokens written in the text are those tokens");
  parser->Takes("--tokens", FilesNamed({"json"}));
  parser->Group("");
}

void AddRuleOptions(ArgumentParser* parser, RuleOptions* options, bool scales) {
  parser->Group("Rules");
  parser->Texts("--rule", &options->rules, "RULE",
                "A rule, as in ffn_norm[0:5]=bf16; may be given again");
  parser->Text("--recipe", &options->recipe_file, "FILE",
               "A file of rules, before those of --rule");
  if (scales)
    parser->Text("--scales", &options->scales_file, "FILE",
                 "Scales of sites, which scale=static reads");
  parser->Number("--seed", &options->seed, "N", "Seed of everything random");
  std::vector<std::string> formats = FormatNames();
  for (const BlockFormat& format : BlockFormats()) formats.push_back(format.name);
  parser->Takes("--rule", {ValueDoc::Kind::kRule, std::move(formats)});
  parser->Takes("--scales", FilesNamed({"json"}));
  parser->Group("");
}

Result<Format> ReadElementFormat(const std::string& name) {
  const BlockFormat* block = FindBlockFormat(name);
  if (block == nullptr) return FindFormat(name);
  return Fail("'{}' is a format of blocks of {}; expected an element format{}", name, block->block,
              block->element.empty() ? "" : fmt::format(", as its elements' {}", block->element));
}

Result<std::vector<Format>> ReadUnscaledFormats(const char* option, const std::string& list) {
  std::vector<Format> formats;
  if (list.empty()) return formats;
  for (const std::string& piece : Split(list, ',')) {
    const std::string name(Trim(piece));
    auto format = ReadElementFormat(name);
    if (!format) return Fail("{}: {}", option, format.error().message);
    if (format->kind == FormatKind::kFixed)
      return Fail("{}: '{}' needs a scale; expected floating-point formats and posits", option,
                  name);
    formats.push_back(std::move(*format));
  }
  return formats;
}

void AddThreadsOption(ArgumentParser* parser, int* threads) {
  parser->Number("-t", threads, "THREADS",
                 "Threads; unless given, as many as the machine runs at once", 1, 1024);
}

void AddMappedOption(ArgumentParser* parser, bool* mapped) {
  parser->Flag("--mapped", mapped,
               "Leave weights in the file instead of repacking them in memory; slower");
}

ModelSpec SplitModel(const std::string& text) {
  const size_t at = text.rfind('@');
  if (at == std::string::npos || std::filesystem::exists(text)) return {text, ""};
  return {text.substr(0, at), text.substr(at + 1)};
}

Result<OpenedModel> OpenModel(const std::string& text, int threads, bool mapped) {
  const ModelSpec spec = SplitModel(text);
  OpenedModel out;
  ModelOptions options;
  options.threads = threads;
  options.mapped = mapped;
  ASSIGN_OR_RETURN(out.model, Model::Open(spec.path, options));
  if (spec.path.size() < text.size()) {
    ASSIGN_OR_RETURN(out.recipe, ReadRecipe(spec.recipe_file));
  }
  return out;
}

Result<Recipe> ReadRules(const RuleOptions& options, const Recipe& base, const Recipe& other) {
  Recipe recipe = base;
  if (!options.recipe_file.empty()) {
    ASSIGN_OR_RETURN(const Recipe file, ReadRecipe(options.recipe_file));
    recipe.rules.insert(recipe.rules.end(), file.rules.begin(), file.rules.end());
  }
  ASSIGN_OR_RETURN(const Recipe rules, ParseRecipe(options.rules));
  recipe.rules.insert(recipe.rules.end(), rules.rules.begin(), rules.rules.end());
  if (options.scales_file.empty()) return recipe;
  ASSIGN_OR_RETURN(StaticScales scales, ReadStaticScales(options.scales_file));
  recipe.scales = std::make_shared<const StaticScales>(std::move(scales));
  if (!ReadsScales(recipe) && !ReadsScales(other))
    return Fail("--scales {}: no rule has scale=static, which would read it", options.scales_file);
  return recipe;
}

void RemarkScalesOfOther(const Recipe& recipe, Model& model, const OutputOptions& output) {
  if (recipe.scales == nullptr || recipe.scales->hash.empty() || !ReadsScales(recipe)) return;
  if (recipe.scales->hash == model.hash().Hex()) return;
  PrintRemark(
      output,
      fmt::format("the scales of {} are of another model, {}, than {}", recipe.scales->path,
                  recipe.scales->model.empty() ? "unnamed" : recipe.scales->model, model.path()));
}

std::string RecipeText(const Recipe& recipe) {
  std::string text;
  for (const Rule& rule : recipe.rules) text += rule.text + "\n";
  return text;
}

Result<std::vector<int32_t>> ReadTokens(Model& model, const InputOptions& options) {
  const int sources = options.has_text + !options.file.empty() + !options.tokens_file.empty();
  if (sources != 1)
    return Fail("expected one of -p TEXT, -f FILE, --tokens FILE, found {}", sources);
  std::vector<int32_t> ids;
  if (!options.tokens_file.empty()) {
    ASSIGN_OR_RETURN(ids, ReadTokensFile(options.tokens_file, model.graph().vocabulary));
    if (ids.empty()) return Fail("{}: no tokens", options.tokens_file);
    return ids;
  }
  std::string text = options.text;
  if (!options.file.empty()) {
    ASSIGN_OR_RETURN(text, ReadText(options.file));
  }
  ASSIGN_OR_RETURN(const Tokenizer* tokenizer, model.tokenizer());
  ASSIGN_OR_RETURN(ids, tokenizer->Encode(text, {!options.no_bos, options.special}));
  if (ids.empty())
    return Fail("{}: no tokens", options.file.empty() ? "the text of -p" : options.file);
  return ids;
}

std::vector<int32_t> CutTokens(std::vector<int32_t> tokens, const InputOptions& options,
                               const OutputOptions& output) {
  const size_t most = options.context > 0 ? options.context : kDefaultContext;
  if (tokens.size() <= most) return tokens;
  PrintRemark(output, fmt::format("the first {} of {} tokens are used (-c)", most, tokens.size()));
  tokens.resize(most);
  return tokens;
}

}  // namespace vernier
