// vernier bench arithmetic: products of matrices in the arithmetics of a format.
#include "measure/bench_arithmetic.h"

#include "base/names.h"
#include "cli/bench_subjects.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "measure/bench_bounds.h"
#include "report/table.h"

namespace vernier {
namespace {

constexpr const char* kMaths =
    "step:posit32;fused:posit32;quire:posit32;step:posit16;step:f16;step:bf16;step:e4m3;step:f32;"
    "exact";

// For scale: SoftPosit (gitlab.com/cerlane/SoftPosit), posit32 with es = 2, p32_mul and p32_add for
// each term; measured on one core of an AMD EPYC of the Zen 4 generation at 3.7 GHz, a product of
// 64 x 96 x 1024 (0.026) and dot products (0.030; by its quire 0.028). Not measured here.
constexpr double kSoftPositLow = 0.026e9, kSoftPositHigh = 0.030e9;

struct Options {
  std::string maths = kMaths;
  ArithmeticBenchOptions bench;
  bool no_bounds = false;
  OutputOptions output;
};

std::string Billions(double rate) {
  return fmt::format("{:.{}f}", rate / 1e9, rate < 0.1e9 ? 3 : 2);
}

std::string Text(const Options& o, const ArithmeticBench& bench, const MachineBounds& bounds) {
  std::string text = fmt::format(
      "{} thread{}, {}; M = N = K = {} from float32 weights, end to end; the best pass\n",
      bench.threads, bench.threads == 1 ? "" : "s", bench.isa, o.bench.size);
  if (!o.no_bounds)
    text += fmt::format(
        "at most, in this run: {:.1f} G fused multiply-adds/s in float32, {:.1f} in float64\n",
        bounds.fma_f32.all / 2e9, bounds.fma_f64.all / 2e9);
  text += fmt::format(
      "for scale, not measured here: SoftPosit's posit32 (es 2) on one Zen 4 core, a product and a "
      "sum, or its quire, {:.3f} to {:.3f} G/s\n\n",
      kSoftPositLow / 1e9, kSoftPositHigh / 1e9);
  Table table{{{"arithmetic", Align::kLeft}, {"held in", Align::kLeft}, {"rows"}, {"G/s"}}, {}};
  if (!o.no_bounds) table.columns.push_back({"of FMA there"});
  table.columns.push_back({"of SoftPosit"});
  for (const ArithmeticSpeed& s : bench.lines) {
    table.rows.push_back({s.core ? s.math + ", inner loop" : s.math, s.host, std::to_string(s.rows),
                          Billions(s.rate)});
    if (!o.no_bounds)
      table.rows.back().push_back(fmt::format(
          "{:.1f} %",
          100 * s.rate / ((s.host == "f32" ? bounds.fma_f32.all : bounds.fma_f64.all) / 2)));
    table.rows.back().push_back(
        s.math == "step:posit32" || s.math == "quire:posit32"
            ? fmt::format("{:.0f} x", s.rate / bench.threads / kSoftPositHigh)
            : "");
  }
  return text + FormatTable(table, ScreenOf(o.output));
}

OrderedJson Json(const Options& o, const ArithmeticBench& bench, const MachineBounds& bounds) {
  OrderedJson json = {{"subject", "arithmetic"},
                      {"threads", bench.threads},
                      {"isa", bench.isa},
                      {"size", o.bench.size},
                      {"bounds", nullptr},
                      {"softposit", {kSoftPositLow, kSoftPositHigh}},
                      {"lines", OrderedJson::array()}};
  if (!o.no_bounds)
    json["bounds"] = {{"fma_f32", bounds.fma_f32.all / 2}, {"fma_f64", bounds.fma_f64.all / 2}};
  for (const ArithmeticSpeed& s : bench.lines) {
    OrderedJson line = {{"math", s.math}, {"core", s.core}, {"host", s.host},
                        {"rows", s.rows}, {"rate", s.rate}, {"of_fma", nullptr}};
    if (!o.no_bounds)
      line["of_fma"] = s.rate / ((s.host == "f32" ? bounds.fma_f32.all : bounds.fma_f64.all) / 2);
    json["lines"].push_back(line);
  }
  return json;
}

}  // namespace

Result<int> RunBenchArithmetic(const Arguments& arguments) {
  ArgumentParser parser("How fast matrices are multiplied in the arithmetics of a format",
                        "vernier bench arithmetic");
  Options o;
  parser.Text("--math", &o.maths, "MATHS",
              fmt::format("As after .math=, separated by semicolons; +acc=... after one is its "
                          ".acc ({})",
                          kMaths));
  parser.Number("--size", &o.bench.size, "N", "M = N = K (1024)", 16, 16384);
  parser.Number("-t", &o.bench.threads, "THREADS", "Threads (1: figures are of one core)", 1, 1024);
  parser.Flag("--no-bounds", &o.no_bounds, "Do not measure what the machine can do at most");
  AddOutputOptions(&parser, &o.output);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (!go) return kDone;
  for (const std::string& piece : Split(o.maths, ';')) {
    auto math = ParseNamedMath(std::string(Trim(piece)));
    if (!math) return Fail("--math: {}", math.error().message);
    o.bench.maths.push_back(std::move(*math));
  }
  ArithmeticBench bench;
  MachineBounds bounds;
  {
    ProgressLine progress(o.output.quiet, "measuring what the machine can do");
    const ProgressSink draw = progress.Sink();
    const InterruptGuard guard;
    if (!o.no_bounds) bounds = MeasureBounds({.threads = o.bench.threads});
    bench = BenchArithmetic(
        o.bench, [&](const Progress& p) { return draw(p) && !InterruptGuard::interrupted(); });
    progress.Phase("measuring what the machine can do");
    if (InterruptGuard::interrupted()) return Interrupted(o.output);
    if (!o.no_bounds) bounds = BestOf(bounds, MeasureBounds({.threads = o.bench.threads}));
  }
  if (o.output.json) {
    RETURN_IF_ERROR(EmitJson(o.output, Json(o, bench, bounds)));
  } else {
    RETURN_IF_ERROR(EmitText(o.output, Text(o, bench, bounds)));
  }
  return kDone;
}

}  // namespace vernier
