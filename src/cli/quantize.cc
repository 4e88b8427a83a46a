// vernier quantize: a model as a GGUF file of another type.
#include <algorithm>

#include "arch/convert.h"
#include "base/names.h"
#include "cli/options.h"
#include "cli/progress.h"

namespace vernier {
namespace {

constexpr const char* kTypes[] = {"f32", "f16", "bf16"};

Result<TensorType> ReadType(const std::string& name) {
  const TensorTypeInfo* info = FindTensorType(name);
  const bool known = info != nullptr &&
                     std::any_of(std::begin(kTypes), std::end(kTypes),
                                 [&](const char* type) { return FindTensorType(type) == info; });
  if (known) return info->type;
  return Fail("--type: expected {}, found '{}'{}", fmt::join(kTypes, ", "), name,
              DidYouMean(name, {std::begin(kTypes), std::end(kTypes)}));
}

std::string Summary(const std::string& out, const ConvertReport& report) {
  const TreatmentCounts& counts = report.counts;
  std::string text =
      fmt::format("{}: {} tensors, {:.1f} MB; {} of {} elements changed", out, report.tensors,
                  static_cast<double>(report.bytes) / 1e6, counts.changed, counts.touched);
  if (counts.saturated > 0) text += fmt::format(", {} beyond the largest number", counts.saturated);
  if (counts.flushed > 0) text += fmt::format(", {} made zero", counts.flushed);
  return text + "\n";
}

}  // namespace

Result<int> RunQuantize(const Arguments& arguments) {
  ArgumentParser parser("Writes a model as a GGUF file of another type; vectors stay F32",
                        "vernier quantize");
  std::string in, out, type_name;
  OutputOptions output;
  parser.Positional("IN", &in, "Model: a .gguf file or a Hugging Face folder");
  parser.Positional("OUT", &out, "The GGUF file to write; replaced when it is complete");
  parser.RequiredText("--type", &type_name, "TYPE", fmt::format("{}", fmt::join(kTypes, ", ")));
  AddOutputOptions(&parser, &output);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (!go) return kDone;
  ConvertOptions options;
  ASSIGN_OR_RETURN(options.type, ReadType(type_name));
  ASSIGN_OR_RETURN(const Checkpoint checkpoint, OpenCheckpoint(in));
  ProgressLine progress(output.quiet);
  options.progress = progress.Sink();
  ASSIGN_OR_RETURN(const ConvertReport report, ConvertToGguf(checkpoint, out, options));
  progress.Clear();
  if (!output.json) {
    RETURN_IF_ERROR(Emit(output, Summary(out, report)));
    return kDone;
  }
  RETURN_IF_ERROR(EmitJson(output, {{"model", in},
                                    {"file", out},
                                    {"type", Info(options.type).name},
                                    {"tensors", report.tensors},
                                    {"bytes", report.bytes},
                                    {"elements", report.counts.touched},
                                    {"changed", report.counts.changed},
                                    {"saturated", report.counts.saturated},
                                    {"flushed", report.counts.flushed}}));
  return kDone;
}

}  // namespace vernier
