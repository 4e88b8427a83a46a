// vernier bench inference: a model, or a file of a known shape with random weights.
#include "measure/bench_inference.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>

#include "arch/synthetic.h"
#include "base/names.h"
#include "cli/bench_subjects.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/temporary_file.h"
#include "measure/bench_bounds.h"
#include "report/table.h"

namespace vernier {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Options {
  std::string model, shape, type = "q4_k_m", write;
  bool type_given = false, pairs = false, no_bounds = false;
  InferenceOptions inference;
  RuleOptions rules;
  int threads = 0;
  OutputOptions output;
};

std::string ShapesDoc() {
  std::vector<std::string> names;
  for (const ModelShape& shape : ModelShapes()) names.emplace_back(shape.name);
  return fmt::format("A known shape with random weights in the place of MODEL: {}",
                     fmt::join(names, ", "));
}

void Declare(ArgumentParser* parser, Options* o) {
  parser->Positional("MODEL", &o->model, "Model, or model@recipe file", false);
  parser->Text("--shape", &o->shape, "NAME", ShapesDoc());
  parser->Text("--type", &o->type, "TYPE", "With --shape: the type of the file (q4_k_m)",
               &o->type_given);
  parser->Text("--write", &o->write, "FILE", "With --shape: write the GGUF file, measure nothing");
  parser->Number("--prompt", &o->inference.prompt, "N", "Tokens of the prompt (512)", 1,
                 size_t{1} << 20);
  parser->Number("-n", &o->inference.tokens, "N", "Tokens after it, one by one (64)", size_t{0},
                 size_t{1} << 20);
  parser->Number("--repeat", &o->inference.repetitions, "N", "Repetitions (5)", 1, 1000);
  parser->Flag("--pairs", &o->pairs, "With rules: also the model without them, in turns");
  parser->Flag("--no-bounds", &o->no_bounds, "Do not measure what the machine can do at most");
  std::vector<std::string> shapes;
  for (const ModelShape& shape : ModelShapes()) shapes.emplace_back(shape.name);
  parser->Takes("--shape", WordsOf(std::move(shapes)));
  parser->Takes("--type", WordsOf(FileTypeNames()));
  parser->Takes("--write", FilesNamed({"gguf"}));
  AddRuleOptions(parser, &o->rules);
  AddThreadsOption(parser, &o->threads);
  AddOutputOptions(parser, &o->output);
}

Status Check(const Options& o) {
  if (o.model.empty() == o.shape.empty())
    return Fail("expected a MODEL or --shape, {}", o.model.empty() ? "found none" : "found both");
  if (o.shape.empty() && (o.type_given || !o.write.empty()))
    return Fail("{}: expected --shape as well", o.write.empty() ? "--type" : "--write");
  if (o.pairs && !o.rules.given() && o.model.find('@') == std::string::npos)
    return Fail("--pairs: expected a rule to compare with");
  return {};
}

// Writes the shape's file; kInterrupted when asked to stop.
Result<int> WriteShape(const Options& o, const std::string& path, SyntheticReport* report) {
  ASSIGN_OR_RETURN(const ModelShape* shape, FindShape(o.shape));
  const FileType* type = FindFileType(o.type);
  if (type == nullptr)
    return Fail("--type: expected a file type, found '{}'{}", o.type,
                DidYouMean(o.type, FileTypeNames()));
  ProgressLine progress(o.output.quiet);
  const ProgressSink draw = progress.Sink();
  const InterruptGuard guard;
  Workers workers(o.threads);
  auto written =
      WriteSynthetic(*shape, path, {.type = type, .seed = o.rules.seed}, workers,
                     [&](const Progress& p) { return draw(p) && !InterruptGuard::interrupted(); });
  progress.Clear();
  if (!written && InterruptGuard::interrupted()) {
    PrintRemark(o.output, fmt::format("interrupted; {} is as it was", path));
    return kInterrupted;
  }
  if (!written) return tl::unexpected(written.error());
  *report = std::move(*written);
  return kDone;
}

Result<int> WriteOnly(const Options& o) {
  const auto start = Clock::now();
  SyntheticReport report;
  ASSIGN_OR_RETURN(const int status, WriteShape(o, o.write, &report));
  if (status != kDone) return status;
  const double seconds = SecondsSince(start);
  const char* type = FindFileType(o.type)->name;
  if (o.output.json) {
    const OrderedJson json = {{"subject", "write"},
                              {"shape", o.shape},
                              {"type", type},
                              {"file", o.write},
                              {"seed", o.rules.seed},
                              {"tensors", report.tensors},
                              {"parameters", report.parameters},
                              {"bytes", report.bytes},
                              {"types", report.type_bytes},
                              {"seconds", seconds}};
    RETURN_IF_ERROR(EmitJson(o.output, json));
    return kDone;
  }
  std::string types;
  for (const auto& [name, bytes] : report.type_bytes)
    types += fmt::format("{}{} in {}", types.empty() ? "" : ", ", ByteText(bytes), name);
  RETURN_IF_ERROR(EmitText(
      o.output,
      fmt::format("{}: the shape of {} with random weights, {}: {} parameters in {} "
                  "tensors ({}); {:.1f} s\n",
                  o.write, o.shape, type, report.parameters, report.tensors, types, seconds)));
  return kDone;
}

struct Measured {
  std::string architecture;
  int threads = 0;
  double open = 0;  // seconds
  uint64_t max_rss = 0;
  TokenWork work;
  std::vector<InferenceLane> lanes;
  std::vector<LaneTimes> times;
  MachineBounds bounds;
};

// What a lane's times mean.
struct LaneFigures {
  Spread prefill, decode;               // tokens a second
  double prefill_flops = 0, bytes = 0;  // a second
};

LaneFigures FiguresOf(const Options& o, const Measured& m, const LaneTimes& times) {
  const double prompt = static_cast<double>(o.inference.prompt),
               tokens = static_cast<double>(o.inference.tokens);
  LaneFigures figures;
  std::vector<double> prefill, decode;
  for (const double seconds : times.prefill) prefill.push_back(prompt / seconds);
  for (const double seconds : times.decode) decode.push_back(tokens / seconds);
  figures.prefill = SpreadOf(prefill);
  figures.decode = SpreadOf(decode);
  const double flops = 2 * (static_cast<double>(m.work.layer_weights) * prompt +
                            static_cast<double>(m.work.head_weights));
  figures.prefill_flops = flops * figures.prefill.median / prompt;
  figures.bytes = static_cast<double>(m.work.bytes) * figures.decode.median;
  return figures;
}

// Medians of the quotients of neighbours in time: a lane's seconds over the first lane's.
double CostRatio(const std::vector<double>& lane, const std::vector<double>& first) {
  std::vector<double> ratios;
  for (size_t i = 0; i < lane.size(); ++i) ratios.push_back(lane[i] / first[i]);
  return SpreadOf(ratios).median;
}

std::string Percent(double part, double whole) {
  return whole > 0 ? fmt::format("{:.0f} %", 100 * part / whole) : "";
}

std::string BoundsText(const MachineBounds& b, const Screen& screen) {
  Table table{{{"most this machine does", Align::kLeft}, {"", Align::kLeft}, {"1 thread"}}, {}};
  if (b.threads > 1) table.columns.push_back({fmt::format("{} threads", b.threads)});
  const auto add = [&](const std::string& what, const char* unit, const Bound& bound) {
    table.rows.push_back({what, unit, fmt::format("{:.1f}", bound.one / 1e9)});
    if (b.threads > 1) table.rows.back().push_back(fmt::format("{:.1f}", bound.all / 1e9));
  };
  add("fused multiply-add, float32", "GFLOP/s", b.fma_f32);
  add("fused multiply-add, float64", "GFLOP/s", b.fma_f64);
  add("8-bit products (" + b.dot_i8_name + ")", "GOP/s", b.dot_i8);
  add("reading memory", "GB/s", b.read);
  return FormatTable(table, screen) + "\n";
}

// "matmul 91 %, attention 5 %, ...": what takes 1 % or more.
std::string SharesText(const std::map<std::string, double>& by_op) {
  double sum = 0;
  std::vector<std::pair<double, std::string>> ops;
  for (const auto& [op, seconds] : by_op) {
    sum += seconds;
    ops.emplace_back(-seconds, op);
  }
  std::sort(ops.begin(), ops.end());
  std::string text;
  for (const auto& [seconds, op] : ops)
    if (-seconds >= 0.01 * sum)
      text += fmt::format("{}{} {:.0f} %", text.empty() ? "" : ", ", op, -100 * seconds / sum);
  return text;
}

std::string Text(const Options& o, const Measured& m) {
  const bool decodes = o.inference.tokens > 0, bounds = !o.no_bounds;
  const Screen screen = ScreenOf(o.output);
  std::string text = fmt::format(
      "{}; {} thread{}; prompt of {} tokens, then {}; median, least and most of {}\n"
      "opened in {:.2f} s, first prompt {:.2f} s; {} at most\n\n",
      o.shape.empty() ? o.model : fmt::format("shape of {}, {}", o.shape, o.type), m.threads,
      m.threads == 1 ? "" : "s", o.inference.prompt, o.inference.tokens, m.times[0].prefill.size(),
      m.open, m.times[0].first_run, ByteText(m.max_rss));
  if (bounds) text += BoundsText(m.bounds, screen);
  Table table{{{"", Align::kLeft}, {"prompt tok/s"}, {"least"}, {"most"}, {"GFLOP/s"}}, {}};
  if (bounds) table.columns.push_back({"of FMA"});
  if (decodes) {
    table.columns.insert(table.columns.end(), {{"writing tok/s"}, {"least"}, {"most"}, {"GB/s"}});
    if (bounds) table.columns.push_back({"of memory"});
  }
  const auto number = [](double x) { return fmt::format("{:.4g}", x); };
  for (size_t i = 0; i < m.lanes.size(); ++i) {
    const LaneFigures f = FiguresOf(o, m, m.times[i]);
    std::vector<std::string> row = {m.lanes[i].name, number(f.prefill.median),
                                    number(f.prefill.least), number(f.prefill.most),
                                    fmt::format("{:.1f}", f.prefill_flops / 1e9)};
    if (bounds) row.push_back(Percent(f.prefill_flops, m.bounds.fma_f32.all));
    if (decodes) {
      for (const double x : {f.decode.median, f.decode.least, f.decode.most})
        row.push_back(number(x));
      row.push_back(fmt::format("{:.1f}", f.bytes / 1e9));
      if (bounds) row.push_back(Percent(f.bytes, m.bounds.read.all));
    }
    table.rows.push_back(row);
  }
  text += FormatTable(table, screen);
  for (size_t i = 0; i < m.lanes.size(); ++i) {
    text += fmt::format("\n{}, prompt: {}", m.lanes[i].name, SharesText(m.times[i].prefill_by_op));
    if (decodes) text += fmt::format("; writing: {}", SharesText(m.times[i].decode_by_op));
  }
  text += "\n";
  for (size_t i = 1; i < m.lanes.size(); ++i) {
    text +=
        fmt::format("\n{} over {}: {:+.1f} % of the prompt's time", m.lanes[i].name,
                    m.lanes[0].name, 100 * CostRatio(m.times[i].prefill, m.times[0].prefill) - 100);
    if (decodes)
      text += fmt::format(", {:+.1f} % of writing",
                          100 * CostRatio(m.times[i].decode, m.times[0].decode) - 100);
  }
  return m.lanes.size() > 1 ? text + "\n" : text;
}

OrderedJson BoundJson(const Bound& bound) { return {{"one", bound.one}, {"all", bound.all}}; }

OrderedJson SpreadJson(const Spread& d) {
  return {{"median", d.median}, {"least", d.least}, {"most", d.most}};
}

OrderedJson LaneJson(const Options& o, const Measured& m, size_t i) {
  const LaneFigures f = FiguresOf(o, m, m.times[i]);
  const auto share = [&](double part, double whole) {
    return o.no_bounds ? OrderedJson() : OrderedJson(part / whole);
  };
  OrderedJson lane = {{"name", m.lanes[i].name},
                      {"rules", OrderedJson::array()},
                      {"first_run_seconds", m.times[i].first_run},
                      {"prefill",
                       {{"tokens_per_second", SpreadJson(f.prefill)},
                        {"flops", f.prefill_flops},
                        {"of_fma", share(f.prefill_flops, m.bounds.fma_f32.all)},
                        {"seconds", m.times[i].prefill},
                        {"by_op", m.times[i].prefill_by_op}}},
                      {"decode", nullptr},
                      {"prefill_cost", CostRatio(m.times[i].prefill, m.times[0].prefill)},
                      {"decode_cost", nullptr}};
  for (const Rule& rule : m.lanes[i].plan->recipe.rules) lane["rules"].push_back(rule.text);
  if (o.inference.tokens == 0) return lane;
  lane["decode"] = {{"tokens_per_second", SpreadJson(f.decode)},
                    {"bytes", f.bytes},
                    {"of_read", share(f.bytes, m.bounds.read.all)},
                    {"seconds", m.times[i].decode},
                    {"by_op", m.times[i].decode_by_op}};
  lane["decode_cost"] = CostRatio(m.times[i].decode, m.times[0].decode);
  return lane;
}

OrderedJson Json(const Options& o, const Measured& m) {
  OrderedJson json = {{"subject", "inference"},
                      {"model", nullptr},
                      {"shape", nullptr},
                      {"type", nullptr},
                      {"architecture", m.architecture},
                      {"threads", m.threads},
                      {"prompt", o.inference.prompt},
                      {"tokens", o.inference.tokens},
                      {"repetitions", m.times[0].prefill.size()},
                      {"open_seconds", m.open},
                      {"max_rss", m.max_rss},
                      {"work",
                       {{"layer_weights", m.work.layer_weights},
                        {"head_weights", m.work.head_weights},
                        {"bytes", m.work.bytes}}},
                      {"bounds", nullptr},
                      {"lanes", OrderedJson::array()}};
  if (o.shape.empty()) {
    json["model"] = o.model;
  } else {
    json["shape"] = o.shape;
    json["type"] = FindFileType(o.type)->name;
  }
  if (!o.no_bounds) {
    const MachineBounds& b = m.bounds;
    json["bounds"] = {{"isa", b.isa},
                      {"threads", b.threads},
                      {"fma_f32", BoundJson(b.fma_f32)},
                      {"fma_f64", BoundJson(b.fma_f64)},
                      {"dot_i8", BoundJson(b.dot_i8)},
                      {"dot_i8_name", b.dot_i8_name},
                      {"read", BoundJson(b.read)},
                      {"read_bytes", b.read_bytes}};
  }
  for (size_t i = 0; i < m.lanes.size(); ++i) json["lanes"].push_back(LaneJson(o, m, i));
  return json;
}

uint64_t PeakMemory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

Result<int> Measure(const Options& o, const std::string& path) {
  Measured m;
  const auto start = Clock::now();
  ASSIGN_OR_RETURN(OpenedModel opened, OpenModel(path, o.threads));
  m.open = SecondsSince(start);
  Model& model = *opened.model;
  ASSIGN_OR_RETURN(const Recipe recipe, ReadRules(o.rules, opened.recipe));
  ASSIGN_OR_RETURN(const Plan plain, MakePlan(model, {}, o.rules.seed));
  ASSIGN_OR_RETURN(const Plan plan, MakePlan(model, recipe, o.rules.seed));
  m.architecture = model.graph().architecture;
  m.threads = model.workers().threads();
  m.work = WorkOfToken(model.graph());
  if (recipe.rules.empty() || o.pairs) m.lanes.push_back({"as it is", &plain});
  if (!recipe.rules.empty()) m.lanes.push_back({"with rules", &plan});
  const BoundOptions bounds{.threads = m.threads};
  {
    ProgressLine progress(o.output.quiet, "a first run");
    const ProgressSink draw = progress.Sink();
    const InterruptGuard guard;
    m.times = BenchInference(model, m.lanes, o.inference, [&](const Progress& p) {
      return draw(p) && !InterruptGuard::interrupted();
    });
    m.max_rss = PeakMemory();
    progress.Phase("measuring what the machine can do");
    if (InterruptGuard::interrupted()) return Interrupted(o.output);
    if (!o.no_bounds) m.bounds = BestOf(MeasureBounds(bounds), MeasureBounds(bounds));
  }
  if (o.output.json)
    RETURN_IF_ERROR(EmitJson(o.output, Json(o, m)));
  else
    RETURN_IF_ERROR(EmitText(o.output, Text(o, m)));
  return kDone;
}

}  // namespace

Result<int> RunBenchInference(const Arguments& arguments) {
  ArgumentParser parser(
      "How fast a model reads a prompt and writes tokens, beside what this machine can do",
      "vernier bench inference");
  Options o;
  Declare(&parser, &o);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (!go) return kDone;
  RETURN_IF_ERROR(Check(o));
  if (!o.write.empty()) return WriteOnly(o);
  if (o.shape.empty()) return Measure(o, o.model);
  const TemporaryFile file(o.shape);
  SyntheticReport report;
  ASSIGN_OR_RETURN(const int status, WriteShape(o, file.path(), &report));
  return status == kDone ? Measure(o, file.path()) : Result<int>(status);
}

}  // namespace vernier
