// vernier bench inference: a model, or a file of a known shape with random weights.
#include <chrono>

#include "arch/synthetic.h"
#include "base/names.h"
#include "cli/bench_subjects.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "report/table.h"

namespace vernier {
namespace {

struct Options {
  std::string model, shape, type = "q4_k_m", write;
  size_t seed = 0;
  int threads = 0;
  OutputOptions output;
};

std::string ShapesDoc() {
  std::vector<std::string> names;
  for (const ModelShape& shape : ModelShapes()) names.emplace_back(shape.name);
  return fmt::format("A known shape with random weights: {}", fmt::join(names, ", "));
}

void Declare(ArgumentParser* parser, Options* o) {
  parser->Text("--shape", &o->shape, "NAME", ShapesDoc());
  parser->Text("--type", &o->type, "TYPE", "With --shape: the type of the file (q4_k_m)");
  parser->Text("--write", &o->write, "FILE",
               "With --shape: only write the GGUF file; measure nothing");
  parser->Number("--seed", &o->seed, "N", "With --shape: of the weights (0)");
  AddThreadsOption(parser, &o->threads);
  AddOutputOptions(parser, &o->output);
}

Result<int> Write(const Options& o, const ModelShape& shape, const FileType& type) {
  ProgressLine progress(o.output.quiet);
  const ProgressSink draw = progress.Sink();
  const InterruptGuard guard;
  Workers workers(o.threads);
  const auto start = std::chrono::steady_clock::now();
  auto report =
      WriteSynthetic(shape, o.write, {.type = &type, .seed = o.seed}, workers,
                     [&](const Progress& p) { return draw(p) && !InterruptGuard::interrupted(); });
  progress.Clear();
  if (!report && InterruptGuard::interrupted()) {
    PrintRemark(o.output, fmt::format("interrupted; {} is as it was", o.write));
    return kInterrupted;
  }
  if (!report) return tl::unexpected(report.error());
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (o.output.json) {
    const OrderedJson json = {
        {"shape", shape.name},    {"type", type.name},           {"file", o.write},
        {"seed", o.seed},         {"tensors", report->tensors},  {"parameters", report->parameters},
        {"bytes", report->bytes}, {"types", report->type_bytes}, {"seconds", seconds}};
    RETURN_IF_ERROR(EmitJson(o.output, json));
    return kDone;
  }
  std::string types;
  for (const auto& [name, bytes] : report->type_bytes)
    types += fmt::format(", {} in {}", ByteText(bytes), name);
  RETURN_IF_ERROR(
      Emit(o.output,
           fmt::format("{}: the shape of {} with random weights, {} tensors of {} parameters"
                       "{}; written in {:.1f} s\n",
                       o.write, shape.name, report->tensors, report->parameters, types, seconds)));
  return kDone;
}

}  // namespace

Result<int> RunBenchInference(const Arguments& arguments) {
  ArgumentParser parser(
      "How fast a model reads a prompt and writes tokens, beside what this "
      "machine can do",
      "vernier bench inference");
  Options o;
  Declare(&parser, &o);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (!go) return kDone;
  ASSIGN_OR_RETURN(const ModelShape* shape, FindShape(o.shape));
  const FileType* type = FindFileType(o.type);
  if (type == nullptr) return Fail("--type: unknown type '{}'", o.type);
  return Write(o, *shape, *type);
}

}  // namespace vernier
