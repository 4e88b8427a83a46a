// vernier inspect: what is in a model file.
#include <algorithm>

#include "arch/architecture.h"
#include "base/names.h"
#include "base/parallel.h"
#include "cli/inspect_report.h"
#include "cli/options.h"
#include "cli/progress.h"

namespace vernier {
namespace {

struct InspectOptions {
  std::string model, exact;
  OutputOptions output;
  int threads = 0;
};

// Decodes every tensor once: how well formats hold it, and whether it lies as the graph reads it.
void MeasureTensors(const InspectOptions& o, const ProgressSink& report, Inspected* out) {
  const Checkpoint& checkpoint = *out->checkpoint;
  const Result<Graph> graph = BuildGraph(checkpoint);
  if (!graph) out->why_no_layout = graph.error().message;
  std::vector<LayoutSample> samples;
  if (graph) samples = MakeLayoutSamples(*graph);
  const auto tensor_of = [&](const LayoutSample& sample) -> const TensorView& {
    return graph->weights[static_cast<size_t>(sample.slot)].tensor;
  };
  Workers workers(o.threads);
  const double total = static_cast<double>(checkpoint.TensorBytes()) / 1e6;
  double done = 0;
  for (const TensorView& tensor : checkpoint.tensors) {
    const auto sample = std::find_if(samples.begin(), samples.end(), [&](const LayoutSample& s) {
      return tensor_of(s).data.data() == tensor.data.data();
    });
    DecodedRun visit;
    if (sample != samples.end())
      visit = [&](size_t first, std::span<const float> run) { FillSample(first, run, &*sample); };
    out->fits.push_back(MeasureFit(tensor, out->formats, workers, visit));
    done += static_cast<double>(tensor.data.size()) / 1e6;
    report({"decoding", done, total, "MB"});
  }
  if (!graph) return;
  for (const LayoutFinding& finding : CheckLayouts(*graph, samples))
    out->layouts[graph->weights[static_cast<size_t>(finding.slot)].tensor.name] = finding;
}

}  // namespace

Result<int> RunInspect(const Arguments& arguments) {
  ArgumentParser parser("What is in a model file", "vernier inspect");
  InspectOptions o;
  parser.Positional("MODEL", &o.model, "Model");
  parser.Text("--exact", &o.exact, "FMT,...",
              "Floating-point formats and posits: how much of each tensor do they hold exactly?");
  parser.Takes("--exact", ListOf(FormatNames()));
  AddThreadsOption(&parser, &o.threads);
  AddOutputOptions(&parser, &o.output);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (!go) return kDone;
  Inspected inspected;
  ASSIGN_OR_RETURN(inspected.formats, ReadUnscaledFormats("--exact", o.exact));
  ASSIGN_OR_RETURN(const Checkpoint checkpoint, OpenCheckpoint(o.model));
  inspected.checkpoint = &checkpoint;
  if (auto name = ArchitectureName(checkpoint)) inspected.architecture = *name;
  // Of an architecture that cannot be evaluated, what a transformer would have.
  const auto architecture = FindArchitecture(checkpoint);
  if (auto constants = (architecture ? (*architecture)->constants : DecoderConstants)(checkpoint)) {
    inspected.constants = std::move(*constants);
  } else {
    inspected.why_not = constants.error().message;
  }
  {
    ProgressLine progress(o.output.quiet, "reading the model");
    inspected.hash = ContentHash(checkpoint, progress.Sink()).Hex();
    if (!inspected.formats.empty()) MeasureTensors(o, progress.Sink(), &inspected);
  }
  if (o.output.json) {
    ASSIGN_OR_RETURN(const OrderedJson json, InspectJson(inspected));
    RETURN_IF_ERROR(EmitJson(o.output, json));
  } else {
    ASSIGN_OR_RETURN(const std::string text, InspectText(inspected, ScreenOf(o.output)));
    RETURN_IF_ERROR(EmitText(o.output, text));
  }
  return kDone;
}

}  // namespace vernier
