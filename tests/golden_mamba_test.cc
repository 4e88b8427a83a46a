// Every tensor that llama.cpp's eval callback saw in one evaluation of a Mamba model, against the
// sites of the same values: their sums. llama.cpp leaves most of them unnamed, so they are known by
// what they are computed from: a weight, or a tensor that is known.
//
// Of all sites only ssm_dt_softplus has no tensor, for ggml's SSM_SCAN takes the softplus itself,
// and ssm_conv_x, which is what ssm_conv_silu is. What is not compared: reshapes and transpositions
// of what is; the caches before the text, which are zero; and copies of no elements.
#include <regex>
#include <set>

#include "golden_testing.h"

namespace vernier {
namespace {

struct Tensor {
  std::string name, op, args;
  std::vector<size_t> shape;
  double sum = 0;
  size_t Elements() const { return shape[0] * shape[1] * shape[2] * shape[3]; }
};

class Matcher {
 public:
  Matcher(const Graph& graph, const std::map<std::string, Captured>& sites)
      : graph_(graph), sites_(sites), tokens_(sites.at("embd").rows.size()) {}

  // Compares the tensor with its site; false: nothing is known of it.
  bool Match(const Tensor& t);

  size_t compared = 0;
  std::set<std::string> seen;

 private:
  bool Zero(const Tensor& t) {
    EXPECT_EQ(t.sum, 0) << t.name;
    return true;
  }
  bool Is(const Tensor& t, const std::vector<std::string>& labels, size_t last = SIZE_MAX);
  std::string WeightsSite(const Tensor& t) const;
  std::string ReaderOf(const std::string& tensor, OpKind op) const;
  bool MatchView(const Tensor& t);
  bool MatchCache(const Tensor& t);
  // The first argument, as a name: "node_14", "(view)".
  static std::string First(const Tensor& t) { return t.args.substr(0, t.args.find('{')); }

  const Graph& graph_;
  const std::map<std::string, Captured>& sites_;
  size_t tokens_;
  std::map<std::string, std::string> site_of_;  // tensor name -> label
  std::map<std::string, int> views_of_;         // how often a tensor was viewed
  std::string viewed_;                          // site of the last "(view)"
};

// The sum of the last rows of these sites together.
bool Matcher::Is(const Tensor& t, const std::vector<std::string>& labels, size_t last) {
  Sum sum;
  for (const std::string& label : labels) {
    const auto& rows = sites_.at(label).rows;
    // The state after a token holds all before it; llama.cpp has the last alone.
    const size_t count = label.starts_with("ssm_state") ? 1 : std::min(last, rows.size());
    for (size_t r = rows.size() - count; r < rows.size(); ++r)
      for (const double x : rows[r]) sum.Add(x);
    seen.insert(label);
  }
  EXPECT_NEAR(sum.sum, t.sum, sum.Tolerance()) << t.name << " " << t.op << " " << labels[0];
  site_of_[t.name] = labels[0];
  ++compared;
  return true;
}

// The site whose op reads the weight that stands in the tensor's arguments.
std::string Matcher::WeightsSite(const Tensor& t) const {
  static const std::map<std::string, OpKind> ops = {{"GET_ROWS", OpKind::kEmbed},
                                                    {"MUL", OpKind::kMultiply},
                                                    {"MUL_MAT", OpKind::kMatMul},
                                                    {"ADD", OpKind::kBias},
                                                    {"SSM_CONV", OpKind::kConvolve}};
  const auto op = ops.find(t.op);
  for (const Node& node : graph_.nodes)
    if (op != ops.end() && node.op == op->second &&
        t.args.find(graph_.weights[static_cast<size_t>(node.weight)].name + "{") !=
            std::string::npos)
      return Label(node.site, node.layer);
  return "";
}

// The site that has this op and reads the tensor's.
std::string Matcher::ReaderOf(const std::string& tensor, OpKind op) const {
  const auto site = site_of_.find(tensor);
  if (site == site_of_.end()) return "";
  for (const Node& node : graph_.nodes)
    for (const int input : node.inputs) {
      const Node& from = graph_.nodes[static_cast<size_t>(input)];
      if (node.op == op && Label(from.site, from.layer) == site->second)
        return Label(node.site, node.layer);
    }
  return "";
}

// Parts of ssm_in, ssm_x and of what a scan gives, in the order llama.cpp takes them.
bool Matcher::MatchView(const Tensor& t) {
  const std::string from = First(t);
  const auto site = site_of_.find(from);
  if (site == site_of_.end()) return true;  // of a cache
  const Captured& captured = sites_.at(site->second);
  const int layer = captured.site.layer;
  if (captured.site.name == "ssm_scan")
    return Is(t, {Label(t.shape[1] == tokens_ ? "ssm_scan" : "ssm_state", layer)});
  if (captured.site.name == "ssm_in_x")  // the convolution's last inputs
    return Is(t, {site->second}, t.shape[0]);
  static const std::map<std::string, std::vector<const char*>> parts = {
      {"ssm_in", {"ssm_in_x", "ssm_in_z"}}, {"ssm_x", {"ssm_x_dt", "ssm_x_b", "ssm_x_c"}}};
  const auto of = parts.find(captured.site.name);
  if (of == parts.end()) return false;
  const size_t nth = static_cast<size_t>(views_of_[from]++);
  if (nth >= of->second.size()) return false;
  viewed_ = Label(of->second[nth], layer);
  return Is(t, {viewed_});
}

// What is kept for later texts; before this one it was zeros.
bool Matcher::MatchCache(const Tensor& t) {
  std::smatch match;
  if (!std::regex_search(t.name, match, std::regex(R"(cache_([rs])_l(\d+) \(view\) \(copy of .*)")))
    return Zero(t);
  const int layer = std::stoi(match[2]);
  if (match[1] == "s") return Is(t, {Label("ssm_state", layer)});
  const std::string label = Label("ssm_in_x", layer);
  return Is(t, {label}, t.Elements() / sites_.at(label).rows[0].size());
}

bool Matcher::Match(const Tensor& t) {
  const std::string weights = WeightsSite(t);
  std::smatch match;
  if (t.Elements() == 0) return Zero(t);
  if (!weights.empty()) return Is(t, {weights}, t.shape[1]);
  if (t.name.starts_with("cache_") || First(t).starts_with("cache_")) {
    if (t.op != "SSM_SCAN") return MatchCache(t);
    EXPECT_TRUE(std::regex_search(t.args, match, std::regex(R"(^cache_s_l(\d+))")));
    const int layer = std::stoi(match[1]);
    return Is(t, {Label("ssm_scan", layer), Label("ssm_state", layer)});
  }
  if (t.op == "VIEW") return t.name.starts_with("rs_s_copy") || MatchView(t);
  if (t.op == "RESHAPE" || t.op == "TRANSPOSE") return true;
  if (t.op == "CONT" || t.op == "CONCAT") return Is(t, {viewed_});
  if (t.op == "SILU") return Is(t, {ReaderOf(First(t), OpKind::kSilu)});
  if (std::regex_match(t.name, match, std::regex(R"(l_out-(\d+))")))
    return Is(t, {Label("l_out", std::stoi(match[1]))}, t.shape[1]);
  if (t.op == "GET_ROWS" && First(t).starts_with("l_out-"))
    return Is(t, {site_of_.at(First(t))}, 1);
  if (t.op == "GET_ROWS") return Is(t, {Label("ssm_out", graph_.layers - 1)}, 1);
  if (t.op == "RMS_NORM") return Is(t, {ReaderOf(First(t), OpKind::kNormalise)}, t.shape[1]);
  // The second argument is the known one.
  const size_t comma = t.args.find("},");
  const std::string second = t.args.substr(comma + 2, t.args.find('{', comma) - comma - 2);
  if (t.op == "ADD") return Is(t, {ReaderOf(second, OpKind::kAdd)});
  if (t.op == "SWIGLU") return Is(t, {ReaderOf(second, OpKind::kSwiGlu)});
  return false;
}

TEST(GoldenMamba, SumsAgree) {
  ScratchFolder folder;
  const std::string path = folder / "model.gguf";
  Convert(TinyFolder("tiny-mamba"), path, TensorType::kF32);
  auto model = OpenModel(path);
  const auto golden = ReadJsonFile(kSource + "/tests/data/golden/tiny-mamba-tensors.json");
  const auto ids =
      model->tokenizer().value()->Encode(golden.at("prompt").get<std::string>(), {}).value();
  const auto sites = CaptureSites(*model, ids);
  Matcher matcher(model->graph(), sites);
  for (const auto& json : golden.at("tensors")) {
    const Tensor t{json.at("name"), json.at("op"), json.at("args"), json.at("shape"),
                   json.at("sum")};
    ASSERT_TRUE(matcher.Match(t)) << t.name << " = " << t.op << "(" << t.args << ": no site";
  }
  for (const auto& [label, captured] : sites)
    EXPECT_EQ(matcher.seen.contains(label),
              captured.site.name != "ssm_dt_softplus" && captured.site.name != "ssm_conv_x")
        << label;
  // In each layer 20 tensors that are computed and eight views of them; the embedding, the last
  // layer's rows that the logits need, the norm and the head.
  EXPECT_EQ(matcher.compared, 6u * 28 + 6);
}

}  // namespace
}  // namespace vernier
