#include "measure/bench_overhead.h"

#include <algorithm>
#include <numeric>

#include "cli/bench_subjects.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "report/table.h"

namespace vernier {
namespace {

std::string Percent(double part) { return fmt::format("{:+.2f} %", 100 * part); }

std::string ToText(const OverheadBench& bench, const std::string& rule, size_t tokens,
                   const Screen& screen) {
  const double total = std::accumulate(bench.by_op.begin(), bench.by_op.end(), 0.0);
  std::vector<OpInfo> ops(Ops().begin(), Ops().end());
  std::stable_sort(ops.begin(), ops.end(), [&](const OpInfo& a, const OpInfo& b) {
    return bench.by_op[static_cast<size_t>(a.kind)] > bench.by_op[static_cast<size_t>(b.kind)];
  });
  Table times{{{"op", Align::kLeft}, {"ms"}, {"share"}}, {}};
  for (const OpInfo& op : ops) {
    const double seconds = bench.by_op[static_cast<size_t>(op.kind)];
    if (seconds > 0)
      times.rows.push_back({op.name, fmt::format("{:.2f}", 1e3 * seconds),
                            fmt::format("{:.1f} %", 100 * seconds / bench.seconds)});
  }
  times.rows.push_back({"between nodes", fmt::format("{:.2f}", 1e3 * (bench.seconds - total)),
                        fmt::format("{:.1f} %", 100 * (1 - total / bench.seconds))});
  Table costs{{{"beside a plain run", Align::kLeft},
               {"median"},
               {"95 % from"},
               {"to"},
               {"least"},
               {"most"}},
              {}};
  const auto add = [&](const std::string& what, const Overhead& o) {
    costs.rows.push_back({what, Percent(o.median), Percent(o.low), Percent(o.high),
                          Percent(o.least), Percent(o.most)});
  };
  add(rule, bench.rule);
  add(fmt::format("statistics of {} elements", CountText(bench.elements)), bench.statistics);
  return fmt::format("{} tokens in {:.1f} ms, {:.0f} tokens/s\n\n", tokens, 1e3 * bench.seconds,
                     static_cast<double>(tokens) / bench.seconds) +
         FormatTable(times, screen) + "\n" + FormatTable(costs, screen) +
         fmt::format("\nin the statistics' own code: {} of a plain run\n",
                     Percent(bench.in_statistics));
}

OrderedJson ToJson(const OverheadBench& bench, const std::string& rule, size_t tokens,
                   size_t pairs) {
  OrderedJson ops = OrderedJson::object();
  for (const OpInfo& op : Ops())
    if (bench.by_op[static_cast<size_t>(op.kind)] > 0)
      ops[op.name] = bench.by_op[static_cast<size_t>(op.kind)];
  const auto overhead = [](const Overhead& o) {
    return OrderedJson{{"median", o.median},
                       {"low", o.low},
                       {"high", o.high},
                       {"least", o.least},
                       {"most", o.most}};
  };
  return {{"subject", "overhead"},
          {"tokens", tokens},
          {"pairs", pairs},
          {"seconds", bench.seconds},
          {"by_op", ops},
          {"rule", rule},
          {"rule_overhead", overhead(bench.rule)},
          {"statistics_overhead", overhead(bench.statistics)},
          {"elements", bench.elements},
          {"in_statistics", bench.in_statistics}};
}

}  // namespace

Result<int> RunBenchOverhead(const Arguments& arguments) {
  ArgumentParser parser("What a rule and statistics of every site cost, and each op's share",
                        "vernier bench overhead");
  std::string path, rule = "ffn_norm=bf16";
  int threads = 0;
  OverheadOptions options;
  OutputOptions output;
  parser.Positional("MODEL", &path, "Model, or model@recipe file");
  parser.Text("--rule", &rule, "RULE", "The rule whose cost is measured (ffn_norm=bf16)");
  parser.Number("--tokens", &options.tokens, "N", "Length of the text (512)", size_t{1},
                size_t{1} << 20);
  parser.Number("--pairs", &options.pairs, "N", "Pairs of runs (7)", size_t{1}, size_t{1000});
  AddThreadsOption(&parser, &threads);
  AddOutputOptions(&parser, &output);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (!go) return kDone;
  ProgressLine progress(output.quiet, "reading the model");
  ASSIGN_OR_RETURN(OpenedModel opened, OpenModel(path, threads));
  Model& model = *opened.model;
  RuleOptions rules;
  rules.rules = {rule};
  ASSIGN_OR_RETURN(const Recipe ruled, ReadRules(rules, opened.recipe));
  ASSIGN_OR_RETURN(const Plan plain_plan, MakePlan(model, opened.recipe));
  ASSIGN_OR_RETURN(const Plan ruled_plan, MakePlan(model, ruled));
  ASSIGN_OR_RETURN(const OverheadBench bench,
                   BenchOverhead(model, plain_plan, ruled_plan, options, progress.Sink()));
  progress.Clear();
  if (output.json) {
    RETURN_IF_ERROR(EmitJson(output, ToJson(bench, rule, options.tokens, options.pairs)));
  } else {
    RETURN_IF_ERROR(EmitText(output, ToText(bench, rule, options.tokens, ScreenOf(output))));
  }
  return kDone;
}

}  // namespace vernier
