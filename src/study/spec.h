// A study as its TOML file states it (docs/studies.md): models, texts, baseline, variants, claims.
// A study of several models is split into one for each, and sweeps come out expanded.
#ifndef VERNIER_STUDY_SPEC_H_
#define VERNIER_STUDY_SPEC_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace vernier {

struct StudyModel {
  std::string name;  // for variants' names and claims; the path's last name without ending unless
                     // given
  std::string path;  // MODEL or MODEL@RECIPE
  std::string of{};  // another model, whose path this is; empty: none
  std::vector<std::string> rules{};  // what this model is: in force in every lane, the truth's too
};

struct StudyText {
  std::string
      name;  // for claims and tables; the file's name without folder and ending unless given
  std::string path;
};

struct StudyPrompts {
  std::string prompts;  // as StudyGenerate's
  size_t limit = 0;
};

struct StudyGenerate {
  std::string prompts;  // a JSON-lines file of {"prompt": ..., "tag": ...}
  size_t tokens = 0;
  size_t limit = 0;  // prompts of each tag; 0: all
};

// Constants of each layer, measured on texts that are not scored and put into the variant's recipe:
// its site gets the baseline's rms, mean, or spread and mean.
struct StudyCorrection {
  std::string site;  // "l_out"
  bool scale = false, shift = false;
};

struct StudyVariant {
  std::string name;
  std::vector<std::string> rules;
  std::vector<std::string> models{};  // on which; empty: all
  std::string sweep;                  // of which sweep (its name template); empty: none
  std::string site, format;           // of a sweep
  std::optional<int> layer;           // of a sweep with layer = "each", or of `of`
  bool generate = true;   // texts go on from prompts in it, too, where the study has them
  bool by_layer = false;  // also measured in each layer alone
  std::string of{};       // the variant that this one is in `layer` alone; empty: none
  std::optional<StudyCorrection> correct{};
  std::string recipe{};               // a file whose rules are the first of `rules`; empty: none
  std::vector<std::string> places{};  // of those rules: "a.recipe:3"
  std::string beside{};               // an earlier variant that its sites are compared with, too
};

// Where the rule that an error speaks of first ("rule 'RULE': ...") stands in the variant's recipe:
// "recipes/a.recipe:3: "; empty when it is not of the recipe.
std::string PlaceOfError(const StudyVariant& variant, const std::string& message);

// One variant for each combination of what is listed. An axis that is not listed is not in the
// combinations.
struct StudySweep {
  std::string name;  // template: "{site}[{layer}] {format}"
  std::vector<std::string> sites, layers, formats;
  std::vector<std::string> rules;   // templates; empty: the selector and format of the axes listed
  bool each_layer = false;          // layers are those of the model
  std::vector<std::string> models;  // on which; empty: all
  int line = 0;
};

// A claim to be judged (`expect`) or a promise that must hold (`require`).
struct StudyClaim {
  std::string says;
  std::string expression;
  bool required = false;
};

struct StudySpec {
  std::string path, name;
  std::vector<StudyModel> models;
  std::string model;  // the one model; of a study of several, set by SplitByModel
  std::vector<std::string> model_rules{};  // as StudyModel's; set by SplitByModel
  std::string prefix;  // of lanes' names: "mamba: " in a study of several models, else empty
  std::vector<StudyText> texts;
  size_t context = 128;
  size_t chunks = 0;  // of each text; 0: all
  uint64_t seed = 0;
  std::vector<std::string> baseline;
  std::string scales;  // a file of scales for scale=static; empty: none
  size_t calibrate_chunks =
      0;  // of each text, after those scored and fitted: what scale=static is measured on
  bool truth = false;  // also evaluate in f64
  size_t noise = 0;    // lanes of the baseline with random rounding, for the noise floor
  std::vector<std::string> observe;  // names of sites whose values are measured in every layer
  size_t fit_chunks =
      0;  // of each text, after those that are scored: what corrections are fitted on
  std::optional<StudyPrompts> first_token;
  std::optional<StudyPrompts> last_words;  // passages whose last words are guessed
  std::optional<StudyGenerate> generate;
  size_t timings = 0;  // rounds in which every variant is timed alone; 0: those of claims only
  std::vector<StudyVariant> variants;
  std::vector<StudySweep> sweeps;
  std::vector<StudyClaim> claims;
};

// Paths are looked up beside the study's file, then in the
// folders above it, then in the current one. Errors name file, line and key: unknown keys, wrong
// types, absent files, names used twice. `overrides` replace models: PATH for a study of one model,
// NAME=PATH for one of several.
Result<StudySpec> ReadStudy(const std::string& path, const std::vector<std::string>& overrides);

// One study for each model, with the variants and sweeps meant for it. Claims stay whole: they may
// speak of several models.
std::vector<StudySpec> SplitByModel(const StudySpec& spec);

// Turns the sweeps into variants, for a model of so many layers, adds those of one layer alone, and
// puts the prefix before every variant's name. For a study of one model, or a part of SplitByModel.
Status ExpandSweeps(StudySpec* spec, int layers);

}  // namespace vernier

#endif  // VERNIER_STUDY_SPEC_H_
