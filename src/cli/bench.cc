// vernier bench: the speed of this machine, by subject.
#include <algorithm>
#include <iterator>

#include "base/names.h"
#include "cli/bench_subjects.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "measure/bench_formats.h"
#include "report/table.h"

namespace vernier {
namespace {

Result<std::vector<Rounding>> ReadModes(const std::string& list) {
  std::vector<Rounding> modes;
  if (list.empty()) return modes;
  for (const std::string& piece : Split(list, ',')) {
    const std::string name(Trim(piece));
    const auto found = std::find_if(kRoundingNames.begin(), kRoundingNames.end(),
                                    [&](const auto& known) { return name == known.first; });
    if (found == kRoundingNames.end()) {
      std::vector<std::string> names;
      for (const auto& known : kRoundingNames) names.emplace_back(known.first);
      return Fail("--mode: unknown mode '{}'{}; known are {}", name, DidYouMean(name, names),
                  fmt::join(names, ", "));
    }
    modes.push_back(found->second);
  }
  return modes;
}

std::string Rate(double per_second, double unit) {
  return per_second == 0 ? "" : fmt::format("{:.0f}", per_second / unit);
}

std::string FormatsText(const FormatBench& bench, const FormatBenchOptions& options,
                        const Screen& screen) {
  Table table{{{"format", Align::kLeft},
               {"host", Align::kLeft},
               {"mode", Align::kLeft},
               {"cache M/s"},
               {"GB/s"},
               {"memory M/s"},
               {"GB/s"},
               {"of memcpy"},
               {"bitwise M/s"},
               {"ratio"}},
              {}};
  for (const FormatSpeed& s : bench.lines) {
    const double bytes = s.host == "f64" ? 8 : 4;
    table.rows.push_back({s.format, s.host, kRoundingNames[static_cast<size_t>(s.mode)].first,
                          Rate(s.cache, 1e6), fmt::format("{:.1f}", s.cache * bytes / 1e9),
                          Rate(s.memory, 1e6), fmt::format("{:.1f}", s.memory * bytes / 1e9),
                          fmt::format("{:.0f} %", 100 * s.memory / s.memcpy_memory),
                          Rate(s.peer, 1e6),
                          s.peer == 0 ? "" : fmt::format("{:.1f}", s.cache / s.peer)});
  }
  return fmt::format(
             "one core, {}; rows of {} KiB in cache (best), of {} MiB in memory (median)\n"
             "memcpy: {:.1f} GB/s in cache, {:.1f} GB/s in memory; GB/s count the bytes read\n\n",
             bench.isa, options.cache_bytes >> 10, options.memory_bytes >> 20,
             bench.memcpy_cache / 1e9, bench.memcpy_memory / 1e9) +
         FormatTable(table, screen);
}

OrderedJson FormatsJson(const FormatBench& bench, const FormatBenchOptions& options) {
  OrderedJson lines = OrderedJson::array();
  for (const FormatSpeed& s : bench.lines) {
    OrderedJson line = {{"format", s.format},
                        {"host", s.host},
                        {"mode", kRoundingNames[static_cast<size_t>(s.mode)].first},
                        {"cache", s.cache},
                        {"memory", s.memory},
                        {"memcpy", s.memcpy_memory},
                        {"bitwise", nullptr},
                        {"ratio", nullptr}};
    if (s.peer != 0) {
      line["bitwise"] = s.peer;
      line["ratio"] = s.cache / s.peer;
    }
    lines.push_back(line);
  }
  return {{"subject", "formats"},
          {"isa", bench.isa},
          {"cache_bytes", options.cache_bytes},
          {"memory_bytes", options.memory_bytes},
          {"memcpy_cache", bench.memcpy_cache},
          {"memcpy_memory", bench.memcpy_memory},
          {"lines", lines}};
}

Result<int> RunFormats(const Arguments& arguments) {
  ArgumentParser parser("How fast rows are rounded to element formats", "vernier bench formats");
  std::string formats, modes;
  size_t memory = 64;
  FormatBenchOptions options;
  OutputOptions output;
  parser.Text("--format", &formats, "NAMES", "Formats, separated by commas (all named ones)");
  parser.Text("--mode", &modes, "NAMES", "Rounding modes, separated by commas (all)");
  parser.Number("--memory", &memory, "MIB", "Size of the rows in memory; beyond all caches", 1,
                4096);
  std::vector<std::string> mode_names;
  for (const auto& known : kRoundingNames) mode_names.emplace_back(known.first);
  parser.Takes("--format", ListOf(FormatNames()));
  parser.Takes("--mode", ListOf(std::move(mode_names)));
  AddOutputOptions(&parser, &output);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (!go) return kDone;
  ASSIGN_OR_RETURN(options.formats, ReadUnscaledFormats("--format", formats));
  ASSIGN_OR_RETURN(options.modes, ReadModes(modes));
  options.memory_bytes = memory << 20;
  FormatBench bench;
  {
    ProgressLine progress(output.quiet, "rounding rows");
    bench = BenchFormats(options, progress.Sink());
  }
  if (output.json) {
    RETURN_IF_ERROR(EmitJson(output, FormatsJson(bench, options)));
  } else {
    RETURN_IF_ERROR(EmitText(output, FormatsText(bench, options, ScreenOf(output))));
  }
  return kDone;
}

constexpr Verb kSubjects[] = {
    {"inference", "[MODEL]", "a model, or the shape of one: reading a prompt, and writing tokens",
     RunBenchInference},
    {"matmul", "", "products of rows with stored matrices, by type", RunBenchMatmul},
    {"arithmetic", "", "products of matrices in the arithmetics of a format", RunBenchArithmetic},
    {"formats", "", "rounding of rows to element formats", RunFormats},
    {"overhead", "MODEL", "what a rule and statistics cost, and each op's share of the time",
     RunBenchOverhead},
};

}  // namespace

Result<int> Interrupted(const OutputOptions& output) {
  PrintRemark(output, "interrupted; nothing is kept");
  return kInterrupted;
}

std::span<const Verb> BenchSubjects() { return kSubjects; }

Result<int> RunBench(const Arguments& arguments) {
  const std::string name = arguments.empty() ? "" : arguments[0];
  // A shape needs no subject: vernier bench --shape NAME.
  if (name == "--shape" || name.starts_with("--shape=")) return RunBenchInference(arguments);
  std::vector<std::string> names;
  for (const Verb& subject : kSubjects) {
    if (name == subject.name) return subject.run({arguments.begin() + 1, arguments.end()});
    names.emplace_back(subject.name);
  }
  if (name == "--help" || name == "-h") return RunHelp({"bench"});
  if (name.empty()) return Fail("expected a subject: {}", fmt::join(names, ", "));
  return Fail("unknown subject '{}'{}; known are {}", name, DidYouMean(name, names),
              fmt::join(names, ", "));
}

}  // namespace vernier
