// vernier bench matmul: products of rows with stored matrices.
#include "measure/bench_matmul.h"

#include <charconv>

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

// One of each storage type that runs have kernels for.
constexpr const char* kTypes =
    "f32,f16,bf16,q8_0,q4_0,q4_1,q5_0,q5_1,q2_k,q3_k,q4_k,q5_k,q6_k,iq4_nl,iq4_xs";

struct Options {
  std::string types = kTypes, rows = "1,2,4,8,16,64,512";
  MatmulBenchOptions matmul;
  bool no_bounds = false;
  OutputOptions output;
};

Result<std::vector<size_t>> ReadCounts(const char* option, const std::string& list) {
  std::vector<size_t> counts;
  for (const std::string& piece : Split(list, ',')) {
    const std::string_view text = Trim(piece);
    size_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc() || end != text.data() + text.size() || count < 1 || count > 65536)
      return Fail("{}: expected numbers from 1 to 65536, found '{}'", option, text);
    counts.push_back(count);
  }
  return counts;
}

Result<std::vector<const FileType*>> ReadTypes(const std::string& list) {
  std::vector<const FileType*> types;
  for (const std::string& piece : Split(list, ',')) {
    const std::string name(Trim(piece));
    const FileType* type = FindFileType(name);
    if (type == nullptr)
      return Fail("--type: expected file types, found '{}'{}", name,
                  DidYouMean(name, FileTypeNames()));
    types.push_back(type);
  }
  return types;
}

std::string Text(const Options& o, const MatmulBench& bench, const MachineBounds& bounds) {
  std::string text =
      fmt::format("{} thread{}; matrices of {} x {}, in turns from {}; the best pass\n",
                  bench.threads, bench.threads == 1 ? "" : "s", o.matmul.outputs, o.matmul.inputs,
                  ByteText(o.matmul.matrix_bytes));
  if (!o.no_bounds)
    text += fmt::format("at most {:.0f} GFLOP/s (float32 multiply-add) and {:.1f} GB/s\n",
                        bounds.fma_f32.all / 1e9, bounds.read.all / 1e9);
  Table table{{{"type", Align::kLeft}, {"rows"}, {"GFLOP/s"}, {"GB/s"}}, {}};
  if (!o.no_bounds) table.columns.insert(table.columns.end(), {{"of FMA"}, {"of memory"}});
  for (const MatmulSpeed& s : bench.lines) {
    table.rows.push_back({s.type, std::to_string(s.rows), fmt::format("{:.1f}", s.flops / 1e9),
                          fmt::format("{:.2f}", s.bytes / 1e9)});
    if (o.no_bounds) continue;
    table.rows.back().push_back(fmt::format("{:.0f} %", 100 * s.flops / bounds.fma_f32.all));
    table.rows.back().push_back(fmt::format("{:.0f} %", 100 * s.bytes / bounds.read.all));
  }
  return text + "\n" + FormatTable(table, ScreenOf(o.output));
}

OrderedJson Json(const Options& o, const MatmulBench& bench, const MachineBounds& bounds) {
  OrderedJson json = {{"subject", "matmul"},         {"threads", bench.threads},
                      {"outputs", o.matmul.outputs}, {"inputs", o.matmul.inputs},
                      {"bounds", nullptr},           {"lines", OrderedJson::array()}};
  if (!o.no_bounds)
    json["bounds"] = {{"isa", bounds.isa},
                      {"fma_f32", bounds.fma_f32.all},
                      {"dot_i8", bounds.dot_i8.all},
                      {"read", bounds.read.all}};
  for (const MatmulSpeed& s : bench.lines) {
    OrderedJson line = {{"type", s.type},   {"rows", s.rows},    {"flops", s.flops},
                        {"bytes", s.bytes}, {"of_fma", nullptr}, {"of_read", nullptr}};
    if (!o.no_bounds) {
      line["of_fma"] = s.flops / bounds.fma_f32.all;
      line["of_read"] = s.bytes / bounds.read.all;
    }
    json["lines"].push_back(line);
  }
  return json;
}

}  // namespace

Result<int> RunBenchMatmul(const Arguments& arguments) {
  ArgumentParser parser("How fast rows are multiplied by stored matrices, in Vernier's arithmetic",
                        "vernier bench matmul");
  Options o;
  parser.Text("--type", &o.types, "TYPES", fmt::format("Separated by commas ({})", kTypes));
  parser.Text("--rows", &o.rows, "COUNTS", fmt::format("Separated by commas ({})", o.rows));
  parser.Number("--outputs", &o.matmul.outputs, "N", "Rows of the matrix, a multiple of 64 (5632)",
                1, 1 << 20);
  parser.Number("--inputs", &o.matmul.inputs, "N", "Its columns, a multiple of 256 (2048)", 1,
                1 << 20);
  parser.Flag("--no-bounds", &o.no_bounds, "Do not measure what the machine can do at most");
  parser.Takes("--type", ListOf(FileTypeNames()));
  AddThreadsOption(&parser, &o.matmul.threads);
  AddOutputOptions(&parser, &o.output);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (!go) return kDone;
  ASSIGN_OR_RETURN(o.matmul.types, ReadTypes(o.types));
  ASSIGN_OR_RETURN(o.matmul.rows, ReadCounts("--rows", o.rows));
  if (o.matmul.outputs % 64 != 0 || o.matmul.inputs % 256 != 0)
    return Fail("--outputs {} --inputs {}: expected multiples of 64 and of 256", o.matmul.outputs,
                o.matmul.inputs);
  const TemporaryFile file("matmul");
  o.matmul.path = file.path();
  MatmulBench bench;
  MachineBounds bounds;
  {
    ProgressLine progress(o.output.quiet, "making matrices");
    const ProgressSink draw = progress.Sink();
    const InterruptGuard guard;
    ASSIGN_OR_RETURN(bench, BenchMatmul(o.matmul, [&](const Progress& p) {
                       return draw(p) && !InterruptGuard::interrupted();
                     }));
    progress.Phase("measuring what the machine can do");
    if (InterruptGuard::interrupted()) return Interrupted(o.output);
    if (!o.no_bounds) bounds = MeasureBounds({.threads = bench.threads});
  }
  if (o.output.json)
    RETURN_IF_ERROR(EmitJson(o.output, Json(o, bench, bounds)));
  else
    RETURN_IF_ERROR(EmitText(o.output, Text(o, bench, bounds)));
  return kDone;
}

}  // namespace vernier
