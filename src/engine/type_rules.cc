#include "engine/type_rules.h"

#include <algorithm>
#include <cctype>

#include "arch/architecture.h"
#include "arch/quantize_types.h"
#include "base/names.h"

namespace vernier {
namespace {

// Of a Hugging Face folder the constants alone: its tokenizer has no say in types.
Result<MixtureFacts> FactsOf(const Checkpoint& checkpoint, const Graph& graph) {
  if (checkpoint.kind != CheckpointKind::kHuggingFace) return ReadMixtureFacts(checkpoint.metadata);
  ASSIGN_OR_RETURN(const Architecture* architecture, FindArchitecture(checkpoint));
  Metadata metadata;
  metadata.Set("general.architecture", MetaString(graph.architecture));
  RETURN_IF_ERROR(architecture->write_constants(checkpoint, &metadata));
  return ReadMixtureFacts(metadata);
}

std::string LowerCase(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

bool IsTypesRule(const Rule& rule) { return rule.glob == "types" && rule.part == Part::kWeight; }

Result<std::vector<RuledType>> TypesByRule(const Rule& rule, const Model& model) {
  MixtureOptions options;
  options.file_type = FindFileType(rule.value);
  if (options.file_type == nullptr)
    return Fail("rule '{}': no type of a file is named '{}'{}", rule.text, rule.value,
                DidYouMean(rule.value, FileTypeNames()));
  const Graph& graph = model.graph();
  std::vector<NamedShape> shapes;
  for (const WeightSlot& w : graph.weights)
    shapes.push_back({w.name, w.tensor.shape, w.tensor.type});
  ASSIGN_OR_RETURN(const MixtureFacts facts, FactsOf(model.checkpoint(), graph));
  const std::vector<TypeChoice> choices = ChooseTypes(facts, options, shapes);
  std::vector<RuledType> types(choices.size());
  for (size_t i = 0; i < choices.size(); ++i) {
    if (choices[i].kept) continue;
    if (NeedsImportance(options, shapes[i].name, choices[i].type))
      return Fail(
          "rule '{}': {} as {} needs an importance matrix; a file made with --imatrix has it",
          rule.text, shapes[i].name, Info(choices[i].type).name);
    types[i].keeps = false;
    if (choices[i].type == shapes[i].type) continue;
    auto treatment = ParseTreatment(LowerCase(Info(choices[i].type).name), TreatedThing::kWeight);
    if (!treatment) return Fail("rule '{}': {}", rule.text, treatment.error().message);
    types[i].treatment = *treatment;
  }
  return types;
}

}  // namespace vernier
