// vernier sites: every site with its aliases.
#include "arch/architecture.h"
#include "cli/options.h"
#include "report/table.h"

namespace vernier {
namespace {

struct SiteLine {
  std::string label, name, op, llama_name, module, weight;
  int layer = -1;
  size_t width = 0;
  bool inner = false;  // a row is `width` heads of as many elements as tokens are seen
};

SiteLine Describe(const Graph& graph, const Site& site) {
  const Node& node = graph.nodes[static_cast<size_t>(site.node)];
  SiteLine line{site.Label(), site.name, Info(node.op).name, node.llama_name,
                node.module,  "",        site.layer,         node.shape.width};
  const std::optional<size_t> width = RowWidth(graph, site);
  line.inner = !width.has_value();
  line.width = width.value_or(node.shape.heads);
  if (site.inner != InnerSite::kNone) {
    line.llama_name = line.inner ? site.name : "";
    line.module.clear();
  } else if (node.weight >= 0) {
    line.weight = graph.weights[static_cast<size_t>(node.weight)].name;
  }
  if (!line.llama_name.empty() && site.layer >= 0)
    line.llama_name += "-" + std::to_string(site.layer);
  return line;
}

OrderedJson OrNull(const std::string& text) {
  return text.empty() ? OrderedJson() : OrderedJson(text);
}

OrderedJson ToJson(const Graph& graph) {
  OrderedJson sites = OrderedJson::array();
  for (const Site& site : graph.sites) {
    const SiteLine line = Describe(graph, site);
    sites.push_back({{"site", line.name},
                     {"label", line.label},
                     {"layer", line.layer < 0 ? OrderedJson() : OrderedJson(line.layer)},
                     {"op", line.op},
                     {"width", line.inner ? OrderedJson() : OrderedJson(line.width)},
                     {"heads", line.inner ? OrderedJson(line.width) : OrderedJson()},
                     {"llama_name", OrNull(line.llama_name)},
                     {"module", OrNull(line.module)},
                     {"weight", OrNull(line.weight)}});
  }
  return sites;
}

std::string ToText(const Graph& graph, const Screen& screen) {
  Table table{{{"site", Align::kLeft},
               {"op", Align::kLeft, 1},
               {"width"},
               {"llama.cpp", Align::kLeft, 4},
               {"Hugging Face module", Align::kLeft, 3},
               {"weight", Align::kLeft, 2}},
              {}};
  for (const Site& site : graph.sites) {
    const SiteLine line = Describe(graph, site);
    table.rows.push_back(
        {line.label, line.op,
         line.inner ? fmt::format("{} x tokens", line.width) : std::to_string(line.width),
         line.llama_name, line.module, line.weight});
  }
  return FormatTable(table, screen);
}

}  // namespace

Result<int> RunSites(const Arguments& arguments) {
  ArgumentParser parser("Every site of a model: a name that rules, probes and comparisons use",
                        "vernier sites");
  std::string path;
  OutputOptions output;
  parser.Positional("MODEL", &path, "Model");
  AddOutputOptions(&parser, &output);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (!go) return kDone;
  ASSIGN_OR_RETURN(const Checkpoint checkpoint, OpenCheckpoint(path));
  ASSIGN_OR_RETURN(const Graph graph, BuildGraph(checkpoint));
  if (output.json) {
    RETURN_IF_ERROR(EmitJson(output, {{"model", path},
                                      {"architecture", graph.architecture},
                                      {"layers", graph.layers},
                                      {"sites", ToJson(graph)}}));
  } else {
    RETURN_IF_ERROR(EmitText(output, ToText(graph, ScreenOf(output))));
  }
  return kDone;
}

}  // namespace vernier
