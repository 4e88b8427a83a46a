// vernier quantize: a model as a GGUF file of other types, or with treated weights.
#include "engine/quantize.h"

#include <strings.h>

#include <filesystem>

#include "base/names.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "report/rule_effects.h"
#include "report/table.h"

namespace vernier {
namespace {

struct Options {
  std::string in, out, type, output_type, embedding_type, plan, importance;
  std::vector<std::string> tensor_types;
  bool pure = false, leave_output = false, allow_requantize = false, report = false, strict = false;
  int threads = 0;
  RuleOptions rules;
  OutputOptions output;
};

void Declare(ArgumentParser* parser, Options* o) {
  parser->Positional("IN", &o->in, "Model: a .gguf file or a Hugging Face folder, or MODEL@RECIPE");
  parser->Positional("OUT", &o->out, "The GGUF file to write; replaced when it is complete");
  parser->Text(
      "--type", &o->type, "TYPE",
      fmt::format("{}, or COPY (the types as they are)", fmt::join(FileTypeNames(), ", ")));
  parser->Flag("--pure", &o->pure, "Every matrix in the type itself, no mixture");
  parser->Flag("--leave-output-tensor", &o->leave_output, "output.weight keeps its type");
  parser->Text("--output-tensor-type", &o->output_type, "TYPE", "The type of output.weight");
  parser->Text("--token-embedding-type", &o->embedding_type, "TYPE",
               "The type of the token embeddings");
  parser->Texts("--tensor-type", &o->tensor_types, "PATTERN=TYPE",
                "The type of tensors whose names have the regular expression (repeatable)");
  parser->Text("--plan", &o->plan, "FILE", "A file of PATTERN=TYPE, after --tensor-type");
  parser->Text("--imatrix", &o->importance, "FILE", "Importance matrix of llama-imatrix");
  parser->Flag("--allow-requantize", &o->allow_requantize,
               "Also tensors that are quantised already");
  parser->Flag("--report", &o->report, "A line for each tensor: types, size, error");
  parser->Flag("--strict", &o->strict, "Vacuous rules give exit status 1");
  std::vector<std::string> types = FileTypeNames();
  types.emplace_back("COPY");
  parser->Takes("IN", ModelsAnd({}));
  parser->Takes("OUT", FilesNamed({"gguf"}));
  parser->Takes("--type", WordsOf(std::move(types)));
  parser->Takes("--output-tensor-type", WordsOf(FileTypeNames()));
  parser->Takes("--token-embedding-type", WordsOf(FileTypeNames()));
  parser->Takes("--imatrix", FilesNamed({"gguf", "dat"}));
  AddRuleOptions(parser, &o->rules, false);
  AddThreadsOption(parser, &o->threads);
  AddOutputOptions(parser, &o->output);
}

Result<const FileType*> ReadFileType(const std::string& name) {
  std::vector<std::string> names = FileTypeNames();
  names.push_back("COPY");
  if (name.empty() || strcasecmp(name.c_str(), "COPY") == 0) return nullptr;
  const FileType* type = FindFileType(name);
  if (type != nullptr) return type;
  return Fail("--type: expected a file type, found '{}'{}", name, DidYouMean(name, names));
}

Status ReadTensorType(const char* option, const std::string& name,
                      std::optional<TensorType>* type) {
  if (name.empty()) return {};
  auto read = ParseWritableType(name);
  if (!read) return Fail("{}: {}", option, read.error().message);
  *type = *read;
  return {};
}

Status ReadTypes(const Options& o, QuantizeOptions* options) {
  ASSIGN_OR_RETURN(options->mixture.file_type, ReadFileType(o.type));
  if (o.pure && options->mixture.file_type == nullptr)
    return Fail("--pure: expected a --type that is no copy");
  if (o.leave_output && options->mixture.file_type == nullptr)
    return Fail("--leave-output-tensor: expected a --type that is no copy");
  if (o.leave_output && !o.output_type.empty())
    return Fail("--leave-output-tensor and --output-tensor-type: expected one of them");
  options->mixture.pure = o.pure;
  options->mixture.leave_output = o.leave_output;
  options->allow_requantize = o.allow_requantize;
  RETURN_IF_ERROR(ReadTensorType("--output-tensor-type", o.output_type, &options->mixture.output));
  RETURN_IF_ERROR(ReadTensorType("--token-embedding-type", o.embedding_type,
                                 &options->mixture.token_embedding));
  for (const std::string& text : o.tensor_types) {
    ASSIGN_OR_RETURN(TypePattern pattern, ParseTypePattern(text, "--tensor-type"));
    options->patterns.push_back(std::move(pattern));
  }
  if (o.plan.empty()) return {};
  ASSIGN_OR_RETURN(std::vector<TypePattern> plan, ReadTypePatterns(o.plan));
  options->patterns.insert(options->patterns.end(), plan.begin(), plan.end());
  return {};
}

struct Totals {
  uint64_t elements = 0, source_bytes = 0, bytes = 0;
  size_t kept = 0, fell_back = 0, with_importance = 0;
  TreatmentCounts stored;
  double BitsPerWeight() const {
    return static_cast<double>(bytes) * 8 / static_cast<double>(std::max<uint64_t>(elements, 1));
  }
};

bool FellBack(const QuantizedTensor& tensor) { return tensor.choice.type != tensor.choice.wanted; }

Totals Sum(const QuantizeReport& report) {
  Totals totals;
  for (const QuantizedTensor& tensor : report.tensors) {
    totals.elements += tensor.outcome.elements;
    totals.source_bytes += tensor.source_bytes;
    totals.bytes += tensor.outcome.bytes;
    totals.kept += tensor.from == tensor.choice.type;
    totals.fell_back += FellBack(tensor);
    totals.with_importance += tensor.importance;
    totals.stored += tensor.outcome.stored;
  }
  return totals;
}

std::string TensorTable(const QuantizeReport& report, const Screen& screen) {
  Table table{{{"tensor", Align::kLeft},
               {"shape", Align::kRight, 3},
               {"from", Align::kRight, 2},
               {"to"},
               {"bytes", Align::kRight, 1},
               {"l2_rel"},
               {"rmse", Align::kRight, 5},
               {"max |error|", Align::kRight, 4},
               {"", Align::kLeft, 0, true}},
              {}};
  for (const QuantizedTensor& t : report.tensors) {
    std::string remark;
    if (FellBack(t)) remark = fmt::format("not {}", Info(t.choice.wanted).name);
    if (t.importance) remark += remark.empty() ? "imatrix" : ", imatrix";
    table.rows.push_back({t.name, ShapeText(t.shape), Info(t.from).name, Info(t.choice.type).name,
                          ByteText(t.outcome.bytes), NumberText(t.outcome.l2_rel()),
                          NumberText(t.outcome.rmse()), NumberText(t.outcome.max_abs), remark});
  }
  return FormatTable(table, screen) + "\n";
}

std::string Text(const Options& o, const QuantizeReport& report) {
  const Screen screen = ScreenOf(o.output);
  const Totals totals = Sum(report);
  std::string text = o.report ? TensorTable(report, screen) : "";
  if (!report.rules.empty()) text += EffectsTable(report.rules, screen) + "\n";
  text +=
      fmt::format("{}: {} tensors, {} from {}, {:.3f} bits a weight", o.out, report.tensors.size(),
                  ByteText(totals.bytes), ByteText(totals.source_bytes), totals.BitsPerWeight());
  if (report.copied) return text + "; the file byte for byte\n";
  text +=
      fmt::format("; storing changed {} of {} elements", totals.stored.changed, totals.elements);
  if (totals.stored.saturated > 0)
    text += fmt::format(", {} beyond the largest number", totals.stored.saturated);
  if (totals.stored.flushed > 0) text += fmt::format(", {} made zero", totals.stored.flushed);
  if (totals.fell_back > 0)
    text += fmt::format(
        "; {} of the tensors in another type than asked for, because their rows are no "
        "whole blocks of it",
        totals.fell_back);
  return text + "\n";
}

OrderedJson Json(const Options& o, const QuantizeOptions& options, const QuantizeReport& report) {
  const Totals totals = Sum(report);
  const auto* type = options.mixture.file_type;
  OrderedJson json = {{"model", o.in},
                      {"file", o.out},
                      {"type", type == nullptr ? OrderedJson() : OrderedJson(type->name)},
                      {"copied", report.copied},
                      {"source_bytes", totals.source_bytes},
                      {"bytes", totals.bytes},
                      {"bits_per_weight", totals.BitsPerWeight()},
                      {"elements", totals.elements},
                      {"changed", totals.stored.changed},
                      {"saturated", totals.stored.saturated},
                      {"flushed", totals.stored.flushed},
                      {"rules", EffectsJson(report.rules)},
                      {"tensors", OrderedJson::array()}};
  for (const QuantizedTensor& t : report.tensors)
    json["tensors"].push_back({{"name", t.name},
                               {"shape", t.shape},
                               {"from", Info(t.from).name},
                               {"to", Info(t.choice.type).name},
                               {"wanted", Info(t.choice.wanted).name},
                               {"imatrix", t.importance},
                               {"source_bytes", t.source_bytes},
                               {"bytes", t.outcome.bytes},
                               {"changed", t.outcome.stored.changed},
                               {"l2_rel", t.outcome.l2_rel()},
                               {"rmse", t.outcome.rmse()},
                               {"max_abs", t.outcome.max_abs}});
  return json;
}

}  // namespace

Result<int> RunQuantize(const Arguments& arguments) {
  ArgumentParser parser("Writes a model as a GGUF file of other types, or with treated weights",
                        "vernier quantize");
  Options o;
  Declare(&parser, &o);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (!go) return kDone;
  std::error_code ignored;
  if (!o.output.path.empty() && std::filesystem::weakly_canonical(o.output.path, ignored) ==
                                    std::filesystem::weakly_canonical(o.out, ignored))
    return Fail("-o {}: is OUT; expected another file for what is printed", o.output.path);
  ProgressLine progress(o.output.quiet, "reading the model");
  QuantizeOptions options;
  RETURN_IF_ERROR(ReadTypes(o, &options));
  const ModelSpec spec = SplitModel(o.in);
  Recipe base;
  if (!spec.recipe_file.empty()) {
    ASSIGN_OR_RETURN(base, ReadRecipe(spec.recipe_file));
  }
  ASSIGN_OR_RETURN(options.recipe, ReadRules(o.rules, base));
  options.seed = o.rules.seed;
  options.threads = o.threads;
  ImportanceMatrix importance;
  if (!o.importance.empty()) {
    ASSIGN_OR_RETURN(importance, ReadImportance(o.importance));
    options.importance = &importance;
  }
  ASSIGN_OR_RETURN(const Checkpoint checkpoint, OpenCheckpoint(spec.path));
  const ProgressSink draw = progress.Sink();
  const InterruptGuard guard;
  options.progress = [&](const Progress& p) { return draw(p) && !InterruptGuard::interrupted(); };
  auto report = QuantizeModel(checkpoint, o.out, options);
  progress.Clear();
  if (!report && InterruptGuard::interrupted()) {
    PrintRemark(o.output, fmt::format("interrupted; {} is as it was", o.out));
    return kInterrupted;
  }
  if (!report) return tl::unexpected(report.error());
  if (options.importance != nullptr) {
    const Totals totals = Sum(*report);
    PrintRemark(o.output, fmt::format("{}: used for {} of {} tensors", o.importance,
                                      totals.with_importance, report->tensors.size()));
  }
  if (o.output.json)
    RETURN_IF_ERROR(EmitJson(o.output, Json(o, options, *report)));
  else
    RETURN_IF_ERROR(EmitText(o.output, Text(o, *report)));
  return o.strict && AnyVacuous(report->rules) ? kAnswerIsNo : kDone;
}

}  // namespace vernier
