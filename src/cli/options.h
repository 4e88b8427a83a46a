// Options that verbs share: declared, checked and explained in one place.
#ifndef VERNIER_CLI_OPTIONS_H_
#define VERNIER_CLI_OPTIONS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/output.h"
#include "cli/parser.h"
#include "cli/verb.h"
#include "engine/model.h"
#include "engine/recipe.h"

namespace vernier {

// --json, -o FILE (where `file`), --quiet, --color WHEN
void AddOutputOptions(ArgumentParser* parser, OutputOptions* options, bool file = true);

// What values may be, for completion.
ValueDoc FilesNamed(std::vector<std::string> endings);  // without their dots
ValueDoc WordsOf(std::vector<std::string> words);       // one of them
ValueDoc ListOf(std::vector<std::string> words);        // some, separated by commas
ValueDoc ModelsAnd(std::vector<std::string> endings);   // or files with these endings
std::vector<std::string> FormatNames();                 // of elements
std::vector<std::string> CaptureEndings();

// What tokens a run sees: -p TEXT, -f FILE or --tokens FILE, one of them; --no-bos, --special, and
// -c CONTEXT.
struct InputOptions {
  std::string text, file, tokens_file;
  bool has_text = false;
  bool no_bos = false, special = false;
  size_t context = 0;  // 0: not given
};
void AddInputOptions(ArgumentParser* parser, InputOptions* options);

// --rule RULE (repeatable), --recipe FILE, --scales FILE, --seed N
struct RuleOptions {
  std::vector<std::string> rules;
  std::string recipe_file, scales_file;
  uint64_t seed = 0;
  bool given() const { return !rules.empty() || !recipe_file.empty(); }
};
// `scales`: whether --scales is one of them
void AddRuleOptions(ArgumentParser* parser, RuleOptions* options, bool scales = true);

// An element format by its name; of a block format the error names what its elements are.
Result<Format> ReadElementFormat(const std::string& name);
// Names separated by commas; none in an empty list. Errors lead with the option: also formats that
// need a scale (intN).
Result<std::vector<Format>> ReadUnscaledFormats(const char* option, const std::string& list);

void AddThreadsOption(ArgumentParser* parser, int* threads);  // -t THREADS
void AddMappedOption(ArgumentParser* parser, bool* mapped);   // --mapped

// MODEL or MODEL@RECIPE: a path that exists as it stands has no recipe.
struct ModelSpec {
  std::string path, recipe_file;
};
ModelSpec SplitModel(const std::string& text);

struct OpenedModel {
  std::unique_ptr<Model> model;
  Recipe recipe;  // of MODEL@RECIPE
};
Result<OpenedModel> OpenModel(const std::string& text, int threads, bool mapped = false);

// `base`, then the recipe file, then the rules; with the scales that scale=static reads. Scales
// that neither these rules nor those of `other` (the model compared with) read are an error.
Result<Recipe> ReadRules(const RuleOptions& options, const Recipe& base, const Recipe& other = {});
// A remark where the scales were made with another model than this; files by hand need not say.
void RemarkScalesOfOther(const Recipe& recipe, Model& model, const OutputOptions& output);
std::string RecipeText(const Recipe& recipe);  // a rule a line

// The tokens of a text as `tokenize` gives them, or of --tokens, each checked against the model's
// vocabulary. Errors: none or several sources, no tokens.
Result<std::vector<int32_t>> ReadTokens(Model& model, const InputOptions& options);

// Only the first `context` tokens are used by verbs that see a text in one piece (512 unless -c);
// says so when some are left out.
inline constexpr size_t kDefaultContext = 512;
std::vector<int32_t> CutTokens(std::vector<int32_t> tokens, const InputOptions& options,
                               const OutputOptions& output);

}  // namespace vernier

#endif  // VERNIER_CLI_OPTIONS_H_
