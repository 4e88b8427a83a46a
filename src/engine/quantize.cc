#include "engine/quantize.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "arch/architecture.h"
#include "arch/convert.h"
#include "base/parallel.h"
#include "engine/weight_rules.h"
#include "formats/encode.h"

namespace vernier {
namespace {

constexpr uint32_t kQuantizationVersion = 2;  // GGML_QNT_VERSION of ggml-org/ggml
constexpr size_t kLongestText = 127;          // of a key's text that llama-quantize writes

bool IsBlock(TensorType type) { return Info(type).block_elements > 1; }

Status RefuseOverwriting(const Checkpoint& checkpoint, const std::string& path) {
  for (const MappedFile& file : checkpoint.files) {
    std::error_code ignored;
    if (std::filesystem::equivalent(file.path(), path, ignored))
      return Fail("{}: is read from; expected another file to write", path);
  }
  return {};
}

class Quantizer {
 public:
  Quantizer(const Checkpoint& checkpoint, const std::string& path, const QuantizeOptions& options)
      : checkpoint_(checkpoint), path_(path), options_(options), mixture_(options.mixture) {
    mixture_.has_importance = options.importance != nullptr;
  }

  Result<QuantizeReport> Run() {
    RETURN_IF_ERROR(RefuseOverwriting(checkpoint_, path_));
    ASSIGN_OR_RETURN(form_, MakeGgufForm(checkpoint_));
    RETURN_IF_ERROR(ChooseByOptions());
    RETURN_IF_ERROR(ApplyRules());
    RETURN_IF_ERROR(CheckRequantizing());
    if (IsCopy()) return Copy();
    RETURN_IF_ERROR(AddImportance());
    SetKeys();
    return Write();
  }

 private:
  Status ChooseByOptions() {
    std::vector<NamedShape> shapes;
    for (const GgufTensor& tensor : form_.tensors)
      shapes.push_back({tensor.name, tensor.tensor.shape, tensor.type});
    const bool has_output = std::any_of(shapes.begin(), shapes.end(), [](const NamedShape& shape) {
      return shape.name == "output.weight";
    });
    // A mixture gives the type of the output to the embeddings that stand in for it.
    const bool mixes =
        mixture_.file_type != nullptr && !mixture_.pure && IsBlock(mixture_.file_type->type);
    if (!has_output && (mixture_.leave_output || (mixture_.output && !mixes)))
      return Fail(
          "{}: no output.weight to give a type to or leave; its embeddings stand in for it, as in "
          "--tensor-type token_embd=q8_0",
          checkpoint_.path);
    ASSIGN_OR_RETURN(const ChosenByPattern patterns, MatchPatterns(options_.patterns, shapes));
    const std::vector<TypeChoice> choices =
        ChooseTypes(ReadMixtureFacts(form_.metadata), mixture_, shapes, patterns);
    for (size_t i = 0; i < form_.tensors.size(); ++i) {
      const GgufTensor& tensor = form_.tensors[i];
      QuantizedTensor& planned = report_.tensors.emplace_back();
      planned.name = tensor.name;
      planned.shape = tensor.tensor.shape;
      planned.from = tensor.tensor.type;
      planned.choice = choices[i];
      planned.source_bytes = tensor.tensor.data.size();
      TensorJob& job = jobs_.emplace_back();
      job.name = tensor.name;
      job.source = tensor.tensor;
      job.type = choices[i].type;
      job.head_dim = tensor.head_dim;
      job.transform = tensor.transform;
      const bool asked = !choices[i].kept && (mixture_.file_type != nullptr || patterns[i] ||
                                              choices[i].wanted != tensor.type);
      asked_.push_back(asked);
    }
    return {};
  }

  Status ApplyRules() {
    if (options_.recipe.rules.empty()) return {};
    std::vector<std::string> names;
    for (const GgufTensor& tensor : form_.tensors) names.push_back(tensor.name);
    const auto graph = BuildGraph(checkpoint_);  // without one, rules by weights' names work still
    ASSIGN_OR_RETURN(
        const WeightChanges changes,
        MatchWeightRules(options_.recipe, names, graph ? &*graph : nullptr, options_.seed));
    for (size_t r = 0; r < options_.recipe.rules.size(); ++r)
      report_.rules.push_back({options_.recipe.rules[r].text, changes.matched[r], {}, true});
    rule_of_.assign(names.size(), -1);
    for (size_t i = 0; i < names.size(); ++i) {
      const WeightChange& change = changes.changes[i];
      rule_of_[i] = change.rule;
      if (change.type)
        RETURN_IF_ERROR(StoreByRule(i, *change.type));
      else if (change.treatment)
        RETURN_IF_ERROR(TreatByRule(i, change));
    }
    return {};
  }

  const std::string& RuleText(size_t i) const {
    return options_.recipe.rules[static_cast<size_t>(rule_of_[i])].text;
  }

  Status StoreByRule(size_t i, TensorType type) {
    const GgufTensor& tensor = form_.tensors[i];
    if (!IsQuantizable(tensor.name, tensor.tensor.shape))
      return Fail("rule '{}': {} is not quantised: runtimes read it as it is", RuleText(i),
                  tensor.name);
    const TensorTypeInfo& info = Info(type);
    if (tensor.tensor.Columns() % info.block_elements != 0)
      return Fail("rule '{}': rows of {} have {} elements, which are no whole {} blocks of {}",
                  RuleText(i), tensor.name, tensor.tensor.Columns(), info.name,
                  info.block_elements);
    jobs_[i].type = type;
    report_.tensors[i].choice = {type, type, false};
    return {};
  }

  Status TreatByRule(size_t i, const WeightChange& change) {
    if (IsBlock(jobs_[i].type) && !asked_[i])
      return Fail(
          "rule '{}': {} is {}, whose blocks do not hold the treated values; expected a type for "
          "it, as in --tensor-type '{}=f32'",
          RuleText(i), form_.tensors[i].name, Info(jobs_[i].type).name, form_.tensors[i].name);
    const auto width = static_cast<size_t>(form_.tensors[i].tensor.Columns());
    if (const Status fits = CheckWidth(*change.treatment, width); !fits)
      return Fail("rule '{}': {}: {}", RuleText(i), form_.tensors[i].name, fits.error().message);
    jobs_[i].treatment = change.treatment;
    jobs_[i].key = change.key;
    return {};
  }

  Status CheckRequantizing() const {
    if (options_.allow_requantize) return {};
    for (const TensorJob& job : jobs_)
      if (IsBlock(job.source.type) && IsBlock(job.type) &&
          (job.type != job.source.type || job.treatment))
        return Fail(
            "{}: {} is {} already: {} made of it would err twice; --allow-requantize does it all "
            "the same",
            checkpoint_.path, job.name, Info(job.source.type).name, Info(job.type).name);
    return {};
  }

  // Whether the file can be copied as it lies.
  bool IsCopy() const {
    return checkpoint_.kind == CheckpointKind::kGguf && checkpoint_.files.size() == 1 &&
           mixture_.file_type == nullptr &&
           std::all_of(jobs_.begin(), jobs_.end(), [](const TensorJob& job) {
             return job.type == job.source.type && !job.treatment;
           });
  }

  Result<QuantizeReport> Copy() {
    RETURN_IF_ERROR(CopyFile(checkpoint_.files[0], path_, options_.progress));
    for (QuantizedTensor& tensor : report_.tensors) {
      tensor.outcome.bytes = tensor.source_bytes;
      tensor.outcome.elements = ElementsOf(tensor);
      tensor.outcome.stored.touched = tensor.outcome.elements;
    }
    report_.copied = true;
    CountRules();
    return std::move(report_);
  }

  static uint64_t ElementsOf(const QuantizedTensor& tensor) {
    uint64_t elements = 1;
    for (const int64_t size : tensor.shape) elements *= static_cast<uint64_t>(size);
    return elements;
  }

  Status AddImportance() {
    if (options_.importance == nullptr) {
      for (size_t i = 0; i < jobs_.size(); ++i)
        if (!report_.tensors[i].choice.kept &&
            NeedsImportance(mixture_, jobs_[i].name, jobs_[i].type))
          return Fail("{} as {} in a {} file: expected an importance matrix, with --imatrix",
                      jobs_[i].name, Info(jobs_[i].type).name, mixture_.file_type->name);
      return {};
    }
    const ImportanceMatrix& matrix = *options_.importance;
    bool any = false;
    for (size_t i = 0; i < jobs_.size(); ++i) {
      TensorJob& job = jobs_[i];
      const auto found = matrix.weights.find(job.name);
      any = any || found != matrix.weights.end();
      const bool encodes = IsBlock(job.type) && (job.type != job.source.type || job.treatment);
      if (!encodes || !UsesImportance(job.type)) continue;
      if (found == matrix.weights.end()) {
        if (NeedsImportance(mixture_, job.name, job.type))
          return Fail("{}: nothing for {}, which a {} file needs", matrix.path, job.name,
                      mixture_.file_type->name);
        continue;
      }
      // Matrices of an expert tensor have weights of their own.
      const auto& shape = job.source.shape;
      const int64_t matrices = shape.size() < 3 ? 1 : shape[shape.size() - 3];
      if (found->second.size() != static_cast<size_t>(job.source.Columns() * matrices)) {
        if (job.name.find("token_embd") != std::string::npos) continue;  // as llama-quantize does
        return Fail("{}: {} has {} values, expected {} for shape {}", matrix.path, job.name,
                    found->second.size(), job.source.Columns() * matrices, ShapeText(shape));
      }
      job.importance = found->second;
      report_.tensors[i].importance = true;
    }
    if (!any) return Fail("{}: nothing for any tensor of {}", matrix.path, checkpoint_.path);
    return {};
  }

  void SetKeys() {
    Metadata& metadata = form_.metadata;
    if (mixture_.file_type != nullptr) {
      metadata.Set("general.file_type", MetaUint32(mixture_.file_type->number));
    } else if (!metadata.Has("general.file_type")) {
      metadata.Set("general.file_type", MetaUint32(MostCommonFileType()));
    }
    const bool blocks = std::any_of(jobs_.begin(), jobs_.end(),
                                    [](const TensorJob& job) { return IsBlock(job.type); });
    if (mixture_.file_type != nullptr || blocks)
      metadata.Set("general.quantization_version", MetaUint32(kQuantizationVersion));
    if (options_.importance == nullptr) return;
    const ImportanceMatrix& matrix = *options_.importance;
    const auto text = [](const std::string& s) { return MetaString(s.substr(0, kLongestText)); };
    metadata.Set("quantize.imatrix.file", text(matrix.path));
    if (!matrix.datasets.empty())
      metadata.Set("quantize.imatrix.dataset", text(matrix.datasets[0]));
    metadata.Set("quantize.imatrix.entries_count",
                 MetaUint32(static_cast<uint32_t>(matrix.weights.size())));
    if (matrix.chunks > 0)
      metadata.Set("quantize.imatrix.chunks_count",
                   MetaUint32(static_cast<uint32_t>(matrix.chunks)));
  }

  // Of a converted folder whose tensors keep their types.
  uint32_t MostCommonFileType() const {
    std::map<TensorType, uint64_t> elements;
    for (const TensorJob& job : jobs_)
      elements[job.type] += static_cast<uint64_t>(job.source.Elements());
    const auto most =
        std::max_element(elements.begin(), elements.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    for (const FileType& type : FileTypes())
      if (most != elements.end() && type.type == most->first) return type.number;
    return 0;
  }

  Result<QuantizeReport> Write() {
    Workers workers(options_.threads);
    const auto check = [this](size_t i, const TensorOutcome& outcome) -> Status {
      if (!jobs_[i].treatment || asked_[i] || outcome.stored.changed == 0) return {};
      return Fail(
          "rule '{}': {} of the treated values of {} are no {} numbers, its type; --type f32 or "
          "--tensor-type '{}=f32' keep them",
          RuleText(i), outcome.stored.changed, jobs_[i].name, Info(jobs_[i].type).name,
          jobs_[i].name);
    };
    ASSIGN_OR_RETURN(const std::vector<TensorOutcome> outcomes,
                     WriteModel(path_, form_.metadata, jobs_, checkpoint_.files, workers,
                                options_.progress, check));
    for (size_t i = 0; i < outcomes.size(); ++i) report_.tensors[i].outcome = outcomes[i];
    CountRules();
    return std::move(report_);
  }

  void CountRules() {
    for (size_t i = 0; i < rule_of_.size(); ++i) {
      if (rule_of_[i] < 0) continue;
      const TensorOutcome& outcome = report_.tensors[i].outcome;
      RuleEffect& effect = report_.rules[static_cast<size_t>(rule_of_[i])];
      effect.counts += jobs_[i].treatment ? outcome.treated : outcome.stored;
      effect.stored_types.insert(Info(jobs_[i].source.type).name);
    }
  }

  const Checkpoint& checkpoint_;
  const std::string& path_;
  const QuantizeOptions& options_;
  MixtureOptions mixture_;
  GgufForm form_;
  QuantizeReport report_;
  std::vector<TensorJob> jobs_;  // as long as the report's tensors
  std::vector<bool> asked_;      // whether a type was asked for the tensor
  std::vector<int> rule_of_;     // empty without rules; -1: none
};

}  // namespace

Result<QuantizeReport> QuantizeModel(const Checkpoint& checkpoint, const std::string& path,
                                     const QuantizeOptions& options) {
  return Quantizer(checkpoint, path, options).Run();
}

}  // namespace vernier
