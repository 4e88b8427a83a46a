// Every tensor that llama.cpp's eval callback saw in one evaluation, against the site of the same
// name: its sum. So the sites' llama.cpp names are right, and so is every value between tokens and
// logits.
//
// Not compared, because they compute nothing: the ops RESHAPE, VIEW and PERMUTE (the heads of
// Qcur, Kcur and Vcur apart, and the caches as attention reads them), whose values are those of
// tensors that are compared. All else must have a site.
#include <regex>
#include <set>

#include "golden_testing.h"

namespace vernier {
namespace {

const std::set<std::string> kViews = {"RESHAPE", "VIEW", "PERMUTE"};

struct GoldenTensor {
  std::string name, op, args;
  std::string base;  // without the layer and "(view)"
  int layer = -1;
  size_t elements = 1;
  double sum = 0;
};

GoldenTensor Parse(const nlohmann::json& json) {
  GoldenTensor t{json.at("name"), json.at("op"), json.at("args"), "", -1, 1, json.at("sum")};
  for (const size_t n : json.at("shape")) t.elements *= n;
  std::smatch match;
  t.base = t.name;
  if (std::regex_match(t.name, match, std::regex(R"((cache_[kv])_l(\d+) .*|(.*)-(\d+))"))) {
    const bool cache = match[1].matched;
    t.base = match[cache ? 1 : 3];
    t.layer = std::stoi(match[cache ? 2 : 4]);
  }
  return t;
}

class Evaluated {
 public:
  Evaluated(Model& model, const std::vector<int32_t>& ids)
      : graph_(model.graph()), sites_(CaptureSites(model, ids)) {}

  // The label of the site a tensor is the value of; empty: none.
  std::string SiteOf(const GoldenTensor& t) const;
  // Its last rows, as many as make `elements`; all rows of the points inside attention.
  Sum Last(const std::string& label, size_t elements) const;
  // q k of all pairs of tokens, as llama.cpp's kq, or of those where the key is not later, as ours:
  // it masks in the softmax, we never compute the others.
  Sum Scores(int layer, bool causal) const;

  const std::map<std::string, Captured>& sites() const { return sites_; }

 private:
  const Node& NodeOf(const Captured& c) const {
    return graph_.nodes[static_cast<size_t>(c.site.node)];
  }

  const Graph& graph_;
  std::map<std::string, Captured> sites_;
};

// Which op of ours an op of ggml may be.
bool SameOp(const std::string& ggml, OpKind op) {
  static const std::map<std::string, std::set<OpKind>> table = {
      {"GET_ROWS", {OpKind::kEmbed}}, {"RMS_NORM", {OpKind::kNormalise}},
      {"MUL", {OpKind::kMultiply}},   {"MUL_MAT", {OpKind::kMatMul}},
      {"ROPE", {OpKind::kRope}},      {"ADD", {OpKind::kAdd, OpKind::kBias}},
      {"SET_ROWS", {OpKind::kStore}}, {"SWIGLU", {OpKind::kSwiGlu}},
      {"CONT", {OpKind::kAttention}},
  };
  const auto found = table.find(ggml);
  return found != table.end() && found->second.contains(op);
}

// The layer a tensor of blk.N.* or of layer N - 1 belongs to is in its arguments where its own name
// does not say.
std::string Evaluated::SiteOf(const GoldenTensor& t) const {
  if (t.base == "kq_soft_max") return Label(t.base, t.layer);
  if (t.base == "kqv") return Label("kqv_out", t.layer);  // in another order
  std::smatch match;
  if (t.base.starts_with("node_")) {
    if (std::regex_search(t.args, match, std::regex(R"(^blk\.(\d+)\.attn_output\.weight)")))
      return Label("attn_out", std::stoi(match[1]));
    // The rows the logits need, of attn_out (itself such a node where it is not named) or l_out.
    if (std::regex_search(t.args, match, std::regex(R"(^l_out-(\d+)\{.*out_ids)")))
      return Label("l_out", std::stoi(match[1]));
    if (std::regex_search(t.args, std::regex(R"(^(attn_out-|node_)\d+\{.*out_ids)")))
      return Label("attn_out", graph_.layers - 1);
    return "";
  }
  std::vector<std::string> found;
  for (const auto& [label, captured] : sites_) {
    const Node& node = NodeOf(captured);
    if (captured.site.inner != InnerSite::kNone || captured.site.layer != t.layer ||
        node.llama_name != t.base || !SameOp(t.op, node.op))
      continue;
    // A layer has two norms: of the residual stream before and after attention.
    if (node.op == OpKind::kNormalise && t.layer >= 0 &&
        t.args.starts_with("ffn_inp") !=
            (graph_.nodes[static_cast<size_t>(node.inputs[0])].site == "ffn_inp"))
      continue;
    found.push_back(label);
  }
  EXPECT_LE(found.size(), 1u) << t.name << " " << t.op << " could be several sites";
  return found.size() == 1 ? found[0] : "";
}

Sum Evaluated::Last(const std::string& label, size_t elements) const {
  const Captured& captured = sites_.at(label);
  const auto& rows = captured.rows;
  const size_t width = rows[0].size();
  size_t count = rows.size();
  if (captured.site.inner == InnerSite::kNone && NodeOf(captured).op != OpKind::kStore) {
    EXPECT_EQ(elements % width, 0u) << label;
    count = elements / width;
    EXPECT_LE(count, rows.size()) << label;
    count = std::min(count, rows.size());
  }
  Sum sum;
  for (size_t r = rows.size() - count; r < rows.size(); ++r)
    for (const double x : rows[r]) sum.Add(x);
  return sum;
}

Sum Evaluated::Scores(int layer, bool causal) const {
  const Captured& q = sites_.at(Label("Qcur_rope", layer));
  const Captured& k = sites_.at(Label("k_cache", layer));
  const size_t dim = NodeOf(q).shape.head_dim, heads = NodeOf(q).shape.heads;
  const size_t group = heads / (NodeOf(k).shape.width / dim);
  Sum sum;
  for (size_t t = 0; t < q.rows.size(); ++t)
    for (size_t u = 0; u < (causal ? t + 1 : k.rows.size()); ++u)
      for (size_t h = 0; h < heads; ++h) {
        double dot = 0;
        for (size_t i = 0; i < dim; ++i)
          dot += q.rows[t][h * dim + i] * k.rows[u][h / group * dim + i];
        sum.Add(dot);
      }
  return sum;
}

class GoldenTensorsTest : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenTensorsTest, SumsAgree) {
  ScratchFolder folder;
  const std::string path = folder / "model.gguf";
  Convert(TinyFolder(GetParam()), path, TensorType::kF32);
  auto model = OpenModel(path);
  const auto golden = ReadJsonFile(kSource + "/tests/data/golden/" + GetParam() + "-tensors.json");
  const auto ids =
      model->tokenizer().value()->Encode(golden.at("prompt").get<std::string>(), {}).value();
  const Evaluated evaluated(*model, ids);
  std::set<std::string> unseen;
  for (const auto& [label, captured] : evaluated.sites()) unseen.insert(label);
  size_t compared = 0, views = 0;
  for (const auto& json : golden.at("tensors")) {
    const GoldenTensor t = Parse(json);
    if (kViews.contains(t.op)) {
      ++views;
      continue;
    }
    Sum sum;
    if (t.base == "kq") {
      sum = evaluated.Scores(t.layer, false);
      const Sum ours = evaluated.Last(Label("kq", t.layer), 0),
                causal = evaluated.Scores(t.layer, true);
      EXPECT_NEAR(ours.sum, causal.sum, causal.Tolerance()) << t.name;
      unseen.erase(Label("kq", t.layer));
    } else {
      const std::string label = evaluated.SiteOf(t);
      ASSERT_TRUE(evaluated.sites().contains(label))
          << t.name << " = " << t.op << "(" << t.args << ": no site, and no view";
      sum = evaluated.Last(label, t.elements);
      unseen.erase(label);
    }
    EXPECT_NEAR(sum.sum, t.sum, sum.Tolerance()) << t.name << " " << t.op;
    ++compared;
  }
  EXPECT_TRUE(unseen.empty()) << unseen.size() << " sites without a tensor, " << *unseen.begin();
  const size_t layers = static_cast<size_t>(model->graph().layers);
  EXPECT_EQ(views, layers * 14);
  EXPECT_GE(compared, layers * 20);
}

INSTANTIATE_TEST_SUITE_P(Zoo, GoldenTensorsTest, ::testing::Values("tiny-llama", "tiny-qwen2"),
                         [](const auto& test) { return std::string(test.param).substr(5); });

}  // namespace
}  // namespace vernier
