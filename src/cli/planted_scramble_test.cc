// Three defects planted into a small model: a square projection transposed, a Q6_K tensor whose
// nibbles are taken in the wrong order, rotary positions off by one. Each layer's RMS hardly moves;
// `compare` names the first wrong site, given the wrong run as a file or as a capture.
#include <cmath>

#include "cli/cli_testing.h"
#include "engine/model.h"
#include "engine/node_replay.h"
#include "measure/capture.h"

namespace vernier {
namespace {

constexpr double kHardly = 0.05;  // of a layer's RMS
const std::string kPrompt = "First Citizen: before we proceed any further, hear me speak.";

std::string Quantized(const std::string& type, const std::string& name) {
  const std::string path = TempPath(name);
  const Outcome made = Vernier({"quantize", kLlama, path, "--type", type, "--quiet"});
  EXPECT_EQ(made.status, 0) << made.err;
  return path;
}

// A copy of the file with one tensor's bytes changed.
template <class Change>
std::string Scrambled(const std::string& path, const std::string& tensor, const std::string& name,
                      const Change& change) {
  std::string bytes = ReadAll(path);
  const Checkpoint checkpoint = OpenCheckpoint(path).value();
  const TensorView& view = *checkpoint.Find(tensor);
  const auto offset = static_cast<size_t>(view.data.data() - checkpoint.files[0].bytes().data());
  change(view, bytes.data() + offset);
  const std::string out = TempPath(name);
  WriteAll(out, bytes);
  return out;
}

std::string SavedRun(const std::string& model, const std::string& name) {
  const std::string path = TempPath(name);
  const Outcome saved = Vernier({"probe", model, "-p", kPrompt, "--save", path, "--quiet"});
  EXPECT_EQ(saved.status, 0) << saved.err;
  return path;
}

// By layer, rms of l_out; of a model or capture.
std::vector<double> LayerRms(const std::string& of) {
  const bool capture = IsCapturePath(of);
  const Json probed = capture ? RunJson({"probe", of, "--site", "l_out"})
                              : RunJson({"probe", of, "-p", kPrompt, "--site", "l_out"});
  std::vector<double> rms;
  for (const Json& site : probed.at("sites")) rms.push_back(site.at("rms"));
  return rms;
}

void ExpectRmsHardlyMoves(const std::string& right, const std::string& wrong) {
  const std::vector<double> a = LayerRms(right), b = LayerRms(wrong);
  ASSERT_EQ(a.size(), 4u);
  ASSERT_EQ(b.size(), 4u);
  for (size_t layer = 0; layer < a.size(); ++layer)
    EXPECT_NEAR(b[layer] / a[layer], 1, kHardly) << "layer " << layer;
}

Json FirstWrong(const Json& compared) {
  for (const Json& c : compared.at("contributions"))
    if (c.at("label") == compared.at("first_wrong")) return c;
  ADD_FAILURE() << "no first wrong site";
  return {};
}

// The wrong run named as B, as A, as a file and as a capture.
void ExpectNamed(const std::string& right, const std::string& wrong, const std::string& capture,
                 const std::string& site) {
  ExpectRmsHardlyMoves(right, wrong);
  for (const Arguments& arguments : {Arguments{"compare", right, wrong, "-p", kPrompt},
                                     {"compare", wrong, right, "-p", kPrompt},
                                     {"compare", right, capture},
                                     {"compare", capture, right}}) {
    const Json compared = RunJson(arguments);
    EXPECT_EQ(compared.at("first_wrong"), site) << arguments[1] << " " << arguments[2];
    const Json first = FirstWrong(compared);
    EXPECT_GT(first.at("contributed").at("l2_rel"), 0.1);
    // What comes after is wrong because of this one alone.
    for (const Json& c : compared.at("contributions")) {
      EXPECT_EQ(c.at("beyond"), c.at("label") == site) << c;
    }
    const Outcome text = Vernier(arguments);
    EXPECT_NE(text.out.find("first wrong site: " + site + ":"), std::string::npos) << text.out;
  }
}

TEST(PlantedScramble, TransposedProjection) {
  const std::string right = Quantized("f32", "right.gguf");
  const std::string wrong = Scrambled(right, "blk.2.attn_q.weight", "transposed.gguf",
                                      [](const TensorView& view, char* at) {
                                        const auto n = static_cast<size_t>(view.Columns());
                                        ASSERT_EQ(view.Rows(), view.Columns());
                                        auto* data = reinterpret_cast<float*>(at);
                                        for (size_t r = 0; r < n; ++r)
                                          for (size_t c = 0; c < r; ++c)
                                            std::swap(data[r * n + c], data[c * n + r]);
                                      });
  const std::string capture = SavedRun(wrong, "transposed.safetensors");
  ExpectNamed(right, wrong, capture, "Qcur[2]");
  for (const std::string& b : {wrong, capture}) {
    Arguments arguments = {"compare", right, b};
    if (b == wrong) arguments.insert(arguments.end(), {"-p", kPrompt});
    EXPECT_EQ(FirstWrong(RunJson(arguments)).at("transposed"), true);
  }
}

// 128 bytes hold the low nibbles of the first 64 of 128 elements low and of the other 64 high.
TEST(PlantedScramble, Q6KInTheWrongOrder) {
  const std::string right = Quantized("q6_k", "right-q6.gguf"),
                    full = Quantized("f32", "full.gguf");
  const std::string wrong = Scrambled(right, "blk.1.ffn_down.weight", "nibbles.gguf",
                                      [](const TensorView& view, char* at) {
                                        ASSERT_EQ(view.type, TensorType::kQ6_K);
                                        constexpr size_t kBlock = 210, kNibbles = 128;
                                        for (size_t b = 0; b < view.data.size(); b += kBlock)
                                          for (size_t i = 0; i < kNibbles; ++i) {
                                            const auto byte = static_cast<uint8_t>(at[b + i]);
                                            at[b + i] = static_cast<char>(byte >> 4 | byte << 4);
                                          }
                                      });
  ExpectNamed(right, wrong, SavedRun(wrong, "nibbles.npz"), "ffn_out[1]");
  // Against the model in float32 too, where every other tensor differs by what Q6_K costs.
  EXPECT_TRUE(RunJson({"compare", full, right, "-p", kPrompt}).at("first_wrong").is_null());
  EXPECT_EQ(RunJson({"compare", full, wrong, "-p", kPrompt}).at("first_wrong"), "ffn_out[1]");
}

// A run in which the sites of this name rotate one position further.
Capture RunShifted(Model& model, const std::vector<int32_t>& ids,
                   const std::vector<std::string>& shifted) {
  const Plan plan = MakePlan(model, {}).value();
  Capture out;
  out.tokens = ids;
  out.rope = RopeOrderOf(model.graph());
  std::vector<uint32_t> all;
  for (uint32_t i = 0; i < ids.size(); ++i) all.push_back(i);
  std::vector<Replayed> values;
  for (size_t n = 0; n < model.graph().nodes.size(); ++n) {
    const Node& node = model.graph().nodes[n];
    ReplayRequest request{model, plan, n, ids, {}, all, 0};
    for (const int input : node.inputs)
      request.operands.push_back(values[static_cast<size_t>(input)].value);
    const bool moves = std::find(shifted.begin(), shifted.end(), node.site) != shifted.end();
    request.first_position = moves ? 1 : 0;
    values.push_back(ReplayNode(request));
    const Site site{node.site, node.layer, static_cast<int>(n)};
    const TokenRows& value = values.back().value;
    out.sites.push_back(CaptureSite({&site, 0, value.type, value.rows,
                                     std::vector<size_t>(ids.size(), node.shape.width), all}));
  }
  return out;
}

TEST(PlantedScramble, PositionsOffByOne) {
  const std::string file = Quantized("f32", "right-rope.gguf");
  const std::vector<int32_t> ids =
      RunJson({"tokenize", file, "-p", kPrompt}).at("ids").get<std::vector<int32_t>>();
  auto model = Model::Open(file).value();
  const std::string right = SavedRun(file, "right-rope.safetensors"),
                    wrong = TempPath("shifted.safetensors");
  // Queries alone: attention looks one token too far. Queries and keys: it cannot tell.
  for (const std::vector<std::string>& shifted :
       {std::vector<std::string>{"Qcur_rope"}, {"Qcur_rope", "Kcur_rope"}, {"Kcur_rope"}}) {
    ASSERT_TRUE(SaveCapture(RunShifted(*model, ids, shifted), wrong));
    ExpectRmsHardlyMoves(right, wrong);
    for (const Arguments& arguments :
         {Arguments{"compare", file, wrong}, {"compare", wrong, file}}) {
      const Json compared = RunJson(arguments);
      EXPECT_EQ(compared.at("first_wrong"), shifted[0] + "[0]");
      EXPECT_EQ(FirstWrong(compared).at("position_shift"), 1);
      const Outcome text = Vernier(arguments);
      EXPECT_NE(text.out.find("positions look shifted by +1"), std::string::npos) << text.out;
    }
    if (shifted.size() == 2) {
      EXPECT_LT(RunJson({"compare", right, wrong}).at("logits").at("max_abs"), 1e-3);
    }
  }
}

// As a file: rows of the query's projection turned by one position's angles, which is the same run
// but for the name of what is wrong: the weight.
TEST(PlantedScramble, PositionsOffByOneInTheWeights) {
  const std::string right = Quantized("f32", "right-turned.gguf");
  const auto model = Model::Open(right).value();
  const RopeSpec& rope = model->graph().rope;
  ASSERT_EQ(rope.layout, RopeLayout::kNeighbours);
  const std::string wrong =
      Scrambled(right, "blk.0.attn_q.weight", "turned.gguf", [&](const TensorView& view, char* at) {
        auto* data = reinterpret_cast<float*>(at);
        const auto columns = static_cast<size_t>(view.Columns());
        for (size_t row = 0; row < static_cast<size_t>(view.Rows()); row += 2) {
          const size_t pair = row / 2 % (rope.rotated / 2);
          const double angle = std::pow(
              rope.theta, -2.0 * static_cast<double>(pair) / static_cast<double>(rope.rotated));
          float *even = data + row * columns, *odd = even + columns;
          for (size_t c = 0; c < columns; ++c) {
            const double x = even[c], y = odd[c];
            even[c] = static_cast<float>(x * std::cos(angle) - y * std::sin(angle));
            odd[c] = static_cast<float>(y * std::cos(angle) + x * std::sin(angle));
          }
        }
      });
  ExpectNamed(right, wrong, SavedRun(wrong, "turned.safetensors"), "Qcur[0]");
}

}  // namespace
}  // namespace vernier
