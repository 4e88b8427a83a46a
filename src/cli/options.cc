#include "cli/options.h"

#include <filesystem>

#include "base/file.h"
#include "base/names.h"
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

std::string ExtrasMessage(const CLI::App& app, const std::string& argument) {
  if (argument.empty() || argument[0] != '-')
    return fmt::format("unexpected argument '{}'", argument);
  const std::string name = argument.substr(0, argument.find('='));
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& s : option->get_snames()) names.push_back("-" + s);
    for (const std::string& l : option->get_lnames()) names.push_back("--" + l);
  }
  return fmt::format("unknown option '{}'{}", name, DidYouMean(name, names));
}

}  // namespace

void AddOutputOptions(CLI::App* app, OutputOptions* options) {
  app->add_flag("--json", options->json, "One JSON object on standard output (docs/commands.md)");
  app->add_option("-o", options->path, "Write to FILE, whole or not at all")->option_text("FILE");
  app->add_flag("--quiet", options->quiet, "No progress and no remarks on standard error");
}

void AddInputOptions(CLI::App* app, InputOptions* options) {
  app->add_option("-p", options->text, "The text")
      ->option_text("TEXT")
      ->each([options](const std::string&) { options->has_text = true; });
  app->add_option("-f", options->file, "The text is in FILE")->option_text("FILE");
  app->add_option("--tokens", options->tokens_file, "A JSON array of token ids instead of a text")
      ->option_text("FILE");
  app->add_option("-c", options->context, "Most tokens of one piece")
      ->option_text("CONTEXT")
      ->check(CLI::Range(size_t{1}, kMostContext));
  app->add_flag("--no-bos", options->no_bos, "No BOS or EOS around the text");
  app->add_flag("--special", options->special,
                "Special tokens written in the text are those tokens");
}

void AddRuleOptions(CLI::App* app, RuleOptions* options) {
  app->add_option("--rule", options->rules, "A rule, as in ffn_norm[0:5]=bf16; may be given again")
      ->option_text("RULE")
      ->allow_extra_args(false);
  app->add_option("--recipe", options->recipe_file, "A file of rules, before those of --rule")
      ->option_text("FILE");
  app->add_option("--seed", options->seed, "Seed of everything random")->option_text("N");
}

void AddThreadsOption(CLI::App* app, int* threads) {
  app->add_option("-t", *threads, "Threads; unless given, as many as the machine runs at once")
      ->option_text("THREADS")
      ->check(CLI::Range(1, 1024));
}

Result<bool> Parse(CLI::App* app, const Arguments& arguments) {
  try {
    app->parse(Arguments(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    RETURN_IF_ERROR(PrintText(app->help()));
    return false;
  } catch (const CLI::ExtrasError&) {
    return Fail("{}", ExtrasMessage(*app, app->remaining().at(0)));
  } catch (const CLI::ParseError& e) {
    // An unknown option is the likelier mistake than what is missing because of it.
    for (const std::string& extra : app->remaining())
      if (extra.size() > 1 && extra[0] == '-') return Fail("{}", ExtrasMessage(*app, extra));
    return Fail("{}", e.what());
  }
  return true;
}

ModelSpec SplitModel(const std::string& text) {
  const size_t at = text.rfind('@');
  if (at == std::string::npos || std::filesystem::exists(text)) return {text, ""};
  return {text.substr(0, at), text.substr(at + 1)};
}

Result<OpenedModel> OpenModel(const std::string& text, int threads) {
  const ModelSpec spec = SplitModel(text);
  OpenedModel out;
  ModelOptions options;
  options.threads = threads;
  ASSIGN_OR_RETURN(out.model, Model::Open(spec.path, options));
  if (spec.path.size() < text.size()) {
    ASSIGN_OR_RETURN(out.recipe, ReadRecipe(spec.recipe_file));
  }
  return out;
}

Result<Recipe> ReadRules(const RuleOptions& options, const Recipe& base) {
  Recipe recipe = base;
  if (!options.recipe_file.empty()) {
    ASSIGN_OR_RETURN(const Recipe file, ReadRecipe(options.recipe_file));
    recipe.rules.insert(recipe.rules.end(), file.rules.begin(), file.rules.end());
  }
  ASSIGN_OR_RETURN(const Recipe rules, ParseRecipe(options.rules));
  recipe.rules.insert(recipe.rules.end(), rules.rules.begin(), rules.rules.end());
  return recipe;
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
