#include "study/spec.h"

#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <set>

#include "base/file.h"
#include "base/names.h"
#include "engine/recipe.h"

namespace vernier {
namespace {

namespace fs = std::filesystem;

// One table of the file, read key by key; errors name file, line and key.
class TableReader {
 public:
  TableReader(std::string path, const toml::table& table) : path_(std::move(path)), table_(table) {}

  Status Allow(std::initializer_list<const char*> keys) const {
    const std::vector<std::string> names(keys.begin(), keys.end());
    for (const auto& [key, node] : table_) {
      const std::string name(key.str());
      if (std::find(names.begin(), names.end(), name) == names.end())
        return Fail("{}:{}: unknown key '{}'{}", path_, key.source().begin.line, name,
                    DidYouMean(name, names));
    }
    return {};
  }
  bool Has(const char* key) const { return table_.contains(key); }
  uint32_t line() const { return table_.source().begin.line; }

  Result<std::string> Text(const char* key) const {
    if (const auto* value = table_.get_as<std::string>(key)) return value->get();
    return Wrong(key, "a string");
  }
  Result<int64_t> Integer(const char* key, int64_t least, int64_t most) const {
    const auto* value = table_.get_as<int64_t>(key);
    if (value == nullptr || value->get() < least || value->get() > most)
      return Wrong(key, fmt::format("an integer from {} to {}", least, most));
    return value->get();
  }
  Result<bool> Flag(const char* key) const {
    if (const auto* value = table_.get_as<bool>(key)) return value->get();
    return Wrong(key, "true or false");
  }
  // A list of strings; one string counts as a list of one. Integers are taken as their digits where
  // asked.
  Result<std::vector<std::string>> Texts(const char* key, bool integers = false) const {
    std::vector<std::string> texts;
    const auto add = [&](const toml::node& node) {
      if (const auto* s = node.as_string()) {
        texts.push_back(s->get());
        return true;
      }
      if (integers && node.is_integer()) {
        texts.push_back(std::to_string(node.as_integer()->get()));
        return true;
      }
      return false;
    };
    const toml::node* node = table_.get(key);
    bool good = node != nullptr;
    if (good && node->is_array()) {
      for (const toml::node& element : *node->as_array()) good = good && add(element);
    } else if (good) {
      good = add(*node);
    }
    if (!good) return Wrong(key, "a list of strings");
    return texts;
  }
  // Texts of which there is at least one: an empty axis would make a sweep of nothing.
  Result<std::vector<std::string>> Axis(const char* key, bool integers = false) const {
    ASSIGN_OR_RETURN(auto texts, Texts(key, integers));
    if (texts.empty()) return Wrong(key, "at least one");
    return texts;
  }
  Result<std::vector<const toml::table*>> Tables(const char* key) const {
    std::vector<const toml::table*> tables;
    if (!Has(key)) return tables;
    const toml::array* array = table_.get_as<toml::array>(key);
    for (size_t i = 0; array != nullptr && i < array->size(); ++i) {
      const toml::table* table = array->get(i)->as_table();
      if (table == nullptr) return Wrong(key, fmt::format("tables, written [[{}]]", key));
      tables.push_back(table);
    }
    if (array == nullptr) return Wrong(key, fmt::format("tables, written [[{}]]", key));
    return tables;
  }
  const toml::node* Node(const char* key) const { return table_.get(key); }
  tl::unexpected<Error> Wrong(const char* key, const std::string& expected) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr)
      return Fail("{}:{}: '{}' is missing; expected {}", path_, std::max(line(), 1u), key,
                  expected);
    return Fail("{}:{}: '{}': expected {}", path_, node->source().begin.line, key, expected);
  }

 private:
  std::string path_;
  const toml::table& table_;
};

// Where a path of the study leads: beside its file, in a folder above it, or in the current one.
Result<std::string> Locate(const std::string& study, const std::string& path, uint32_t line) {
  std::error_code ignored;
  if (fs::path(path).is_absolute() && fs::exists(path, ignored)) return path;
  const fs::path folder = fs::absolute(fs::path(study), ignored).parent_path();
  for (fs::path at = folder; !at.empty(); at = at.parent_path()) {
    if (fs::exists(at / path, ignored)) return fs::relative(at / path, ignored).string();
    if (at == at.root_path()) break;
  }
  if (fs::exists(path, ignored)) return path;
  return Fail("{}:{}: '{}' is not there, beside the study, above it or in the current folder",
              study, line, path);
}

// An element of a list of files: a path, or a table of name and path. The name defaults to the
// path's last one without ending.
struct NamedPath {
  std::string name, path;
};
Result<NamedPath> ReadNamedPath(const std::string& study, const TableReader& top, const char* key,
                                const toml::node& element) {
  NamedPath named;
  std::string path;
  if (const auto* s = element.as_string()) {
    path = s->get();
  } else if (const auto* table = element.as_table()) {
    const TableReader reader(study, *table);
    RETURN_IF_ERROR(reader.Allow({"name", "path"}));
    ASSIGN_OR_RETURN(path, reader.Text("path"));
    if (reader.Has("name")) {
      ASSIGN_OR_RETURN(named.name, reader.Text("name"));
    }
  } else {
    return top.Wrong(key, "paths, or tables with name and path");
  }
  if (named.name.empty()) named.name = fs::path(path).stem().string();
  ASSIGN_OR_RETURN(named.path, Locate(study, path, element.source().begin.line));
  return named;
}

// { name = "...", of = "an earlier model", rules = [...] }
Result<StudyModel> ReadDerivedModel(const std::string& study, const toml::table& table,
                                    const std::vector<StudyModel>& before) {
  const TableReader reader(study, table);
  RETURN_IF_ERROR(reader.Allow({"name", "of", "rules"}));
  StudyModel model;
  ASSIGN_OR_RETURN(model.name, reader.Text("name"));
  ASSIGN_OR_RETURN(model.of, reader.Text("of"));
  ASSIGN_OR_RETURN(model.rules, reader.Axis("rules"));
  std::vector<std::string> known;
  for (const StudyModel& other : before) known.push_back(other.name);
  const auto found = std::find(known.begin(), known.end(), model.of);
  if (found == known.end())
    return Fail("{}:{}: 'of': no model before this one is named '{}'{}", study, reader.line(),
                model.of, DidYouMean(model.of, known));
  const StudyModel& base = before[static_cast<size_t>(found - known.begin())];
  model.path = base.path;
  model.rules.insert(model.rules.begin(), base.rules.begin(), base.rules.end());
  return model;
}

Result<std::vector<StudyModel>> ReadModels(const std::string& study, const TableReader& top) {
  std::vector<StudyModel> models;
  if (top.Has("model") && top.Has("models"))
    return top.Wrong("models", "not both 'model' and 'models'");
  if (!top.Has("models")) {
    ASSIGN_OR_RETURN(const std::string path, top.Text("model"));
    models.push_back({"", path});
    return models;
  }
  const toml::array* array = top.Node("models")->as_array();
  if (array == nullptr || array->empty()) return top.Wrong("models", "a list of models");
  for (const toml::node& element : *array) {
    StudyModel model;
    if (const auto* table = element.as_table(); table != nullptr && table->contains("of")) {
      ASSIGN_OR_RETURN(model, ReadDerivedModel(study, *table, models));
    } else {
      ASSIGN_OR_RETURN(NamedPath named, ReadNamedPath(study, top, "models", element));
      model = {std::move(named.name), std::move(named.path)};
    }
    for (const StudyModel& other : models)
      if (other.name == model.name)
        return Fail("{}:{}: two models are named '{}'", study, element.source().begin.line,
                    model.name);
    models.push_back(std::move(model));
  }
  return models;
}

// The models that a variant or sweep is for, by name; empty: all.
Result<std::vector<std::string>> ReadModelNames(const TableReader& reader, const StudySpec& spec) {
  std::vector<std::string> names, known;
  if (!reader.Has("models")) return names;
  ASSIGN_OR_RETURN(names, reader.Axis("models"));
  for (const StudyModel& model : spec.models) known.push_back(model.name);
  for (const std::string& name : names)
    if (std::find(known.begin(), known.end(), name) == known.end())
      return Fail("{}:{}: no model is named '{}'{}", spec.path, reader.line(), name,
                  DidYouMean(name, known));
  return names;
}

Result<std::vector<StudyText>> ReadTexts(const std::string& study, const TableReader& top) {
  std::vector<StudyText> texts;
  const toml::node* node = top.Node("texts");
  const toml::array* array = node == nullptr ? nullptr : node->as_array();
  if (array == nullptr || array->empty()) return top.Wrong("texts", "a list of files");
  for (const toml::node& element : *array) {
    ASSIGN_OR_RETURN(NamedPath text, ReadNamedPath(study, top, "texts", element));
    for (const StudyText& other : texts)
      if (other.name == text.name)
        return Fail("{}:{}: two texts are named '{}'", study, element.source().begin.line,
                    text.name);
    texts.push_back({std::move(text.name), std::move(text.path)});
  }
  return texts;
}

Status ReadGenerate(const std::string& study, const TableReader& top, StudySpec* spec) {
  if (!top.Has("generate")) return {};
  const toml::table* table = top.Node("generate")->as_table();
  if (table == nullptr) return top.Wrong("generate", "a table with prompts and tokens");
  const TableReader reader(study, *table);
  RETURN_IF_ERROR(reader.Allow({"prompts", "tokens", "limit"}));
  StudyGenerate generate;
  ASSIGN_OR_RETURN(const std::string prompts, reader.Text("prompts"));
  ASSIGN_OR_RETURN(generate.prompts, Locate(study, prompts, reader.line()));
  ASSIGN_OR_RETURN(const int64_t tokens, reader.Integer("tokens", 1, 1 << 20));
  generate.tokens = static_cast<size_t>(tokens);
  if (reader.Has("limit")) {
    ASSIGN_OR_RETURN(const int64_t limit, reader.Integer("limit", 0, 1 << 20));
    generate.limit = static_cast<size_t>(limit);
  }
  spec->generate = std::move(generate);
  return {};
}

// A JSON-lines file and how many of its lines of each tag: { FILE = "...", limit = N }
Result<std::optional<StudyPrompts>> ReadPromptsTable(const std::string& study,
                                                     const TableReader& top, const char* key,
                                                     const char* file) {
  if (!top.Has(key)) return std::nullopt;
  const toml::table* table = top.Node(key)->as_table();
  if (table == nullptr) return top.Wrong(key, fmt::format("a table with {}", file));
  const TableReader reader(study, *table);
  RETURN_IF_ERROR(reader.Allow({file, "limit"}));
  StudyPrompts read;
  ASSIGN_OR_RETURN(const std::string path, reader.Text(file));
  ASSIGN_OR_RETURN(read.prompts, Locate(study, path, reader.line()));
  if (reader.Has("limit")) {
    ASSIGN_OR_RETURN(const int64_t limit, reader.Integer("limit", 0, 1 << 20));
    read.limit = static_cast<size_t>(limit);
  }
  return read;
}

// correct = { site = "l_out", by = "scale" }
Result<StudyCorrection> ReadCorrection(const std::string& study, const TableReader& variant) {
  const toml::table* table = variant.Node("correct")->as_table();
  if (table == nullptr) return variant.Wrong("correct", "a table with site and by");
  const TableReader reader(study, *table);
  RETURN_IF_ERROR(reader.Allow({"site", "by"}));
  StudyCorrection correction;
  ASSIGN_OR_RETURN(correction.site, reader.Text("site"));
  ASSIGN_OR_RETURN(const std::string by, reader.Text("by"));
  correction.scale = by == "scale" || by == "both";
  correction.shift = by == "shift" || by == "both";
  if (!correction.scale && !correction.shift) return reader.Wrong("by", "scale, shift or both");
  return correction;
}

// Every {word} of a template is an axis that the sweep has.
Status CheckTemplate(const std::string& study, const StudySweep& sweep, const std::string& text) {
  std::vector<std::string> known = {"{site}", "{format}"};
  if (!sweep.layers.empty()) known.push_back("{layer}");
  for (size_t at = 0; (at = text.find('{', at)) != std::string::npos; ++at) {
    const std::string word = text.substr(at, text.find('}', at) - at + 1);
    if (std::find(known.begin(), known.end(), word) == known.end())
      return Fail("{}:{}: sweep '{}': '{}' is no axis of it{}", study, sweep.line, sweep.name, word,
                  DidYouMean(word, known));
  }
  return {};
}

// The rules of its recipe file, then its own.
Status ReadVariantRules(const std::string& study, const TableReader& reader,
                        StudyVariant* variant) {
  if (reader.Has("recipe")) {
    ASSIGN_OR_RETURN(const std::string path, reader.Text("recipe"));
    ASSIGN_OR_RETURN(variant->recipe,
                     Locate(study, path, reader.Node("recipe")->source().begin.line));
    ASSIGN_OR_RETURN(const Recipe recipe, ReadRecipe(variant->recipe));
    for (const Rule& rule : recipe.rules) {
      variant->rules.push_back(rule.text);
      variant->places.push_back(rule.place);
    }
    if (!reader.Has("rules")) return {};
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> own, reader.Texts("rules"));
  variant->rules.insert(variant->rules.end(), own.begin(), own.end());
  return {};
}

Status ReadVariants(const std::string& study, const TableReader& top, StudySpec* spec) {
  ASSIGN_OR_RETURN(const auto variants, top.Tables("variant"));
  for (const toml::table* table : variants) {
    const TableReader reader(study, *table);
    RETURN_IF_ERROR(reader.Allow(
        {"name", "rules", "recipe", "models", "by_layer", "generate", "correct", "beside"}));
    StudyVariant variant;
    ASSIGN_OR_RETURN(variant.models, ReadModelNames(reader, *spec));
    ASSIGN_OR_RETURN(variant.name, reader.Text("name"));
    RETURN_IF_ERROR(ReadVariantRules(study, reader, &variant));
    if (reader.Has("beside")) {
      ASSIGN_OR_RETURN(variant.beside, reader.Text("beside"));
    }
    if (reader.Has("by_layer")) {
      ASSIGN_OR_RETURN(variant.by_layer, reader.Flag("by_layer"));
    }
    if (reader.Has("generate")) {
      ASSIGN_OR_RETURN(variant.generate, reader.Flag("generate"));
    }
    if (reader.Has("correct")) {
      ASSIGN_OR_RETURN(variant.correct, ReadCorrection(study, reader));
      if (variant.by_layer)
        return reader.Wrong("correct",
                            "not together with by_layer: its constants are of all layers");
    }
    spec->variants.push_back(std::move(variant));
  }
  ASSIGN_OR_RETURN(const auto sweeps, top.Tables("sweep"));
  for (const toml::table* table : sweeps) {
    const TableReader reader(study, *table);
    RETURN_IF_ERROR(reader.Allow({"name", "site", "layer", "format", "rules", "models"}));
    StudySweep sweep;
    ASSIGN_OR_RETURN(sweep.models, ReadModelNames(reader, *spec));
    sweep.line = static_cast<int>(reader.line());
    ASSIGN_OR_RETURN(sweep.name, reader.Text("name"));
    ASSIGN_OR_RETURN(sweep.sites, reader.Axis("site"));
    ASSIGN_OR_RETURN(sweep.formats, reader.Axis("format"));
    if (reader.Has("layer")) {
      ASSIGN_OR_RETURN(sweep.layers, reader.Axis("layer", true));
      sweep.each_layer = sweep.layers == std::vector<std::string>{"each"};
    }
    if (reader.Has("rules")) {
      ASSIGN_OR_RETURN(sweep.rules, reader.Texts("rules"));
    }
    RETURN_IF_ERROR(CheckTemplate(study, sweep, sweep.name));
    for (const std::string& rule : sweep.rules) RETURN_IF_ERROR(CheckTemplate(study, sweep, rule));
    spec->sweeps.push_back(std::move(sweep));
  }
  return {};
}

Status ReadClaims(const std::string& study, const TableReader& top, StudySpec* spec) {
  ASSIGN_OR_RETURN(const auto claims, top.Tables("claim"));
  for (const toml::table* table : claims) {
    const TableReader reader(study, *table);
    RETURN_IF_ERROR(reader.Allow({"says", "expect", "require"}));
    StudyClaim claim;
    ASSIGN_OR_RETURN(claim.says, reader.Text("says"));
    claim.required = reader.Has("require");
    if (claim.required == reader.Has("expect"))
      return Fail("{}:{}: a claim has either 'expect' or 'require'", study, reader.line());
    ASSIGN_OR_RETURN(claim.expression, reader.Text(claim.required ? "require" : "expect"));
    spec->claims.push_back(std::move(claim));
  }
  return {};
}

Status ReadNumbers(const TableReader& top, StudySpec* spec) {
  const auto number = [&](const char* key, int64_t least, int64_t most, auto* out) -> Status {
    if (!top.Has(key)) return {};
    ASSIGN_OR_RETURN(const int64_t value, top.Integer(key, least, most));
    *out = static_cast<std::remove_reference_t<decltype(*out)>>(value);
    return {};
  };
  RETURN_IF_ERROR(number("context", 8, 1 << 20, &spec->context));
  RETURN_IF_ERROR(number("chunks", 0, 1 << 30, &spec->chunks));
  RETURN_IF_ERROR(number("seed", 0, INT64_MAX, &spec->seed));
  RETURN_IF_ERROR(number("noise", 0, 1000, &spec->noise));
  RETURN_IF_ERROR(number("timings", 0, 1000, &spec->timings));
  RETURN_IF_ERROR(number("calibrate_chunks", 1, 1 << 20, &spec->calibrate_chunks));
  RETURN_IF_ERROR(number("fit_chunks", 1, 1 << 20, &spec->fit_chunks));
  if (top.Has("observe")) {
    ASSIGN_OR_RETURN(spec->observe, top.Texts("observe"));
  }
  if (top.Has("truth")) {
    ASSIGN_OR_RETURN(spec->truth, top.Flag("truth"));
  }
  if (top.Has("baseline")) {
    ASSIGN_OR_RETURN(spec->baseline, top.Texts("baseline"));
  }
  return {};
}

Result<toml::table> ParseToml(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(path, 16 << 20));
  try {
    return toml::parse(text, path);
  } catch (const toml::parse_error& e) {
    std::string what(e.description());
    std::replace(what.begin(), what.end(), '\n', ' ');
    return Fail("{}:{}: {}", path, e.source().begin.line, what);
  }
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

// The study's models, with those the command line names instead.
Status ChooseModels(const TableReader& top, const std::vector<std::string>& overrides,
                    StudySpec* spec) {
  const bool several = top.Has("models");
  if (!several && !overrides.empty() && !top.Has("model")) {  // a study may leave its model open
    spec->models.push_back({"", ""});
  } else {
    ASSIGN_OR_RETURN(spec->models, ReadModels(spec->path, top));
  }
  std::vector<std::string> names;
  for (const StudyModel& model : spec->models) names.push_back(model.name);
  if (!several && overrides.size() > 1)
    return Fail("--model: {} is a study of one model; found {}", spec->path, overrides.size());
  for (const std::string& text : overrides) {
    const size_t equals = several ? text.find('=') : std::string::npos;
    if (several && equals == std::string::npos)
      return Fail("--model: expected NAME=MODEL, NAME one of {}; found '{}'",
                  fmt::join(names, ", "), text);
    const std::string name = several ? text.substr(0, equals) : "";
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end())
      return Fail("--model: no model of {} is named '{}'{}", spec->path, name,
                  DidYouMean(name, names));
    StudyModel& model = spec->models[static_cast<size_t>(found - names.begin())];
    if (!model.of.empty())
      return Fail("--model: '{}' is '{}' with other constants; name that one", name, model.of);
    model.path = several ? text.substr(equals + 1) : text;
  }
  for (StudyModel& model : spec->models)  // of an earlier one
    for (const StudyModel& base : spec->models)
      if (base.name == model.of && !model.of.empty()) model.path = base.path;
  if (!several && overrides.empty()) {
    ASSIGN_OR_RETURN(spec->models[0].path, Locate(spec->path, spec->models[0].path,
                                                  top.Node("model")->source().begin.line));
  }
  if (spec->models.size() == 1) spec->model = spec->models[0].path;
  return {};
}

// Corrections are fitted on chunks that are not scored.
Status CheckFitting(const TableReader& top, const StudySpec& spec) {
  const bool corrects = std::any_of(spec.variants.begin(), spec.variants.end(),
                                    [](const StudyVariant& v) { return v.correct.has_value(); });
  if (corrects && spec.fit_chunks == 0)
    return Fail(
        "{}: a variant has 'correct'; expected fit_chunks, what its constants are fitted on",
        spec.path);
  if (!corrects && spec.fit_chunks > 0)
    return top.Wrong("fit_chunks", "a variant with 'correct', which would read them");
  if (corrects && spec.chunks == 0)
    return Fail("{}: 'correct' needs chunks that are not scored; expected a number of chunks",
                spec.path);
  return {};
}

// A variant for each layer alone, right after the variants there are.
void ExpandLayers(StudySpec* spec, int layers) {
  const size_t count = spec->variants.size();
  for (size_t v = 0; v < count; ++v) {
    if (!spec->variants[v].by_layer) continue;
    for (int layer = 0; layer < layers; ++layer) {
      StudyVariant alone = spec->variants[v];
      alone.by_layer = false;
      alone.beside.clear();
      alone.of = spec->variants[v].name;
      alone.layer = layer;
      alone.name += fmt::format(", layer {} alone", layer);
      spec->variants.push_back(std::move(alone));
    }
  }
}

// What a variant is compared with stands before it, so there is no circle.
Status CheckBeside(const StudySpec& spec) {
  std::vector<std::string> before;
  for (const StudyVariant& variant : spec.variants) {
    if (!variant.beside.empty() &&
        std::find(before.begin(), before.end(), variant.beside) == before.end())
      return Fail("{}: variant '{}': 'beside': no variant before it is named '{}'{}", spec.path,
                  variant.name, variant.beside, DidYouMean(variant.beside, before));
    before.push_back(variant.name);
  }
  return {};
}

}  // namespace

std::string PlaceOfError(const StudyVariant& variant, const std::string& message) {
  for (size_t i = variant.places.size(); i-- > 0;)  // the last of two that are the same
    if (message.starts_with(fmt::format("rule '{}'", variant.rules[i])))
      return variant.places[i] + ": ";
  return "";
}

Result<StudySpec> ReadStudy(const std::string& path, const std::vector<std::string>& overrides) {
  ASSIGN_OR_RETURN(const toml::table table, ParseToml(path));
  const TableReader top(path, table);
  RETURN_IF_ERROR(top.Allow(
      {"name",        "model",      "models", "texts",    "context",    "chunks",
       "seed",        "noise",      "truth",  "baseline", "scales",     "generate",
       "variant",     "sweep",      "claim",  "observe",  "fit_chunks", "calibrate_chunks",
       "first_token", "last_words", "timings"}));
  StudySpec spec;
  spec.path = path;
  ASSIGN_OR_RETURN(spec.name, top.Text("name"));
  RETURN_IF_ERROR(ChooseModels(top, overrides, &spec));
  ASSIGN_OR_RETURN(spec.texts, ReadTexts(path, top));
  RETURN_IF_ERROR(ReadNumbers(top, &spec));
  if (top.Has("scales")) {
    ASSIGN_OR_RETURN(const std::string scales, top.Text("scales"));
    if (spec.calibrate_chunks > 0)
      return top.Wrong("scales", "not both 'scales' and 'calibrate_chunks'");
    ASSIGN_OR_RETURN(spec.scales, Locate(path, scales, top.Node("scales")->source().begin.line));
  }
  RETURN_IF_ERROR(ReadGenerate(path, top, &spec));
  RETURN_IF_ERROR(ReadVariants(path, top, &spec));
  ASSIGN_OR_RETURN(spec.first_token, ReadPromptsTable(path, top, "first_token", "prompts"));
  ASSIGN_OR_RETURN(spec.last_words, ReadPromptsTable(path, top, "last_words", "passages"));
  RETURN_IF_ERROR(ReadClaims(path, top, &spec));
  RETURN_IF_ERROR(CheckFitting(top, spec));
  if (spec.calibrate_chunks > 0 && spec.chunks == 0)
    return top.Wrong("calibrate_chunks", "a number of chunks: others than the scored ones");
  if (spec.variants.empty() && spec.sweeps.empty())
    return Fail("{}: no [[variant]] and no [[sweep]]", path);
  return spec;
}

std::vector<StudySpec> SplitByModel(const StudySpec& spec) {
  if (spec.models.size() == 1) return {spec};
  std::vector<StudySpec> parts;
  for (const StudyModel& model : spec.models) {
    StudySpec part = spec;
    part.model = model.path;
    part.model_rules = model.rules;
    part.prefix = model.name + ": ";
    const auto elsewhere = [&](const auto& item) {
      return !item.models.empty() &&
             std::find(item.models.begin(), item.models.end(), model.name) == item.models.end();
    };
    std::erase_if(part.variants, elsewhere);
    std::erase_if(part.sweeps, elsewhere);
    parts.push_back(std::move(part));
  }
  return parts;
}

Status ExpandSweeps(StudySpec* spec, int layers) {
  for (const StudySweep& sweep : spec->sweeps) {
    std::vector<std::string> each;
    if (sweep.each_layer) {
      for (int i = 0; i < layers; ++i) each.push_back(std::to_string(i));
    } else {
      each = sweep.layers;
    }
    if (each.empty()) each.push_back("");
    for (const std::string& site : sweep.sites) {
      for (const std::string& layer : each) {
        for (const std::string& format : sweep.formats) {
          const auto fill = [&](const std::string& text) {
            return Replaced(Replaced(Replaced(text, "{site}", site), "{layer}", layer), "{format}",
                            format);
          };
          StudyVariant variant{fill(sweep.name), {}, {}, sweep.name, site, format, {}};
          if (sweep.each_layer) variant.layer = std::stoi(layer);
          for (const std::string& rule : sweep.rules) variant.rules.push_back(fill(rule));
          if (sweep.rules.empty())
            variant.rules.push_back(site + (layer.empty() ? "" : "[" + layer + "]") + "=" + format);
          spec->variants.push_back(std::move(variant));
        }
      }
    }
  }
  spec->sweeps.clear();
  ExpandLayers(spec, layers);
  std::set<std::string> names = {"baseline", "truth"};
  for (const StudyVariant& variant : spec->variants)
    if (!names.insert(variant.name).second)
      return Fail("{}: two variants are named '{}' (or it is a reserved name)", spec->path,
                  variant.name);
  RETURN_IF_ERROR(CheckBeside(*spec));
  for (StudyVariant& variant : spec->variants) {
    variant.name = spec->prefix + variant.name;
    if (!variant.beside.empty()) variant.beside = spec->prefix + variant.beside;
    if (!variant.of.empty()) variant.of = spec->prefix + variant.of;
  }
  return {};
}

}  // namespace vernier
