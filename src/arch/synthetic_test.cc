#include "arch/synthetic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>

#include "arch/architecture.h"
#include "formats/decode.h"
#include "model/tokenizer.h"

namespace vernier {
namespace {

std::string TempPath(const std::string& name) { return testing::TempDir() + "synthetic_" + name; }

SyntheticReport Write(const ModelShape& shape, const char* type, const std::string& path,
                      int threads = 2, uint64_t seed = 0) {
  Workers workers(threads);
  auto report =
      WriteSynthetic(shape, path, {.type = FindFileType(type), .seed = seed}, workers, {});
  EXPECT_TRUE(report) << report.error().message;
  return *report;
}

// The published numbers of parameters: model cards of TinyLlama (1,100,048,384), Llama-3.2-1B
// (1.23B, with tied embeddings), Qwen2.5-0.5B (494,032,768), mamba-130m (129,135,360) and
// mamba2-130m (128,989,632).
TEST(Shapes, HaveTheParametersOfTheirModels) {
  const std::pair<const char*, uint64_t> expected[] = {{"tinyllama-1.1b", 1100048384},
                                                       {"llama-3.2-1b", 1235814400 + 32},
                                                       {"qwen2.5-0.5b", 494032768},
                                                       {"mamba-130m", 129135360},
                                                       {"mamba2-130m", 128989632}};
  for (const auto& [name, count] : expected) {
    const ShapeForm form = MakeShapeForm(**FindShape(name)).value();
    uint64_t elements = 0;
    for (const ShapeTensor& tensor : form.tensors) {
      uint64_t size = 1;
      for (const int64_t n : tensor.shape) size *= static_cast<uint64_t>(n);
      elements += size;
    }
    EXPECT_EQ(elements, count) << name;
  }
  EXPECT_EQ(FindShape("tinylama-1.1b").error().message.substr(0, 60),
            "unknown shape 'tinylama-1.1b'; did you mean 'tinyllama-1.1b'");
}

// Shapes like the real ones in everything but size, so that the test is small.
ModelShape Small(const char* config, const char* like) {
  ModelShape shape = **FindShape(like);
  shape.name = "small";
  shape.config = config;
  if (shape.vocabulary.kind == TokenizerKind::kByteLevel) shape.vocabulary.pieces = 2000;
  return shape;
}
ModelShape SmallOf(const std::string& like) {
  if (like == "mamba-130m")
    return Small(R"({"model_type": "mamba", "num_hidden_layers": 2, "hidden_size": 256,
        "intermediate_size": 512, "state_size": 16, "conv_kernel": 4, "time_step_rank": 16,
        "vocab_size": 2048, "layer_norm_epsilon": 1e-5, "use_conv_bias": true})",
                 "mamba-130m");
  if (like == "mamba2-130m")
    return Small(R"({"model_type": "mamba2", "num_hidden_layers": 2, "hidden_size": 256,
        "expand": 2, "num_heads": 8, "head_dim": 64, "n_groups": 2, "state_size": 32,
        "conv_kernel": 4, "vocab_size": 2048, "layer_norm_epsilon": 1e-5, "use_conv_bias": true})",
                 "mamba2-130m");
  if (like == "qwen2.5-0.5b")
    return Small(R"({"model_type": "qwen2", "num_hidden_layers": 2, "hidden_size": 128,
        "intermediate_size": 384, "num_attention_heads": 2, "num_key_value_heads": 1,
        "vocab_size": 2048, "rms_norm_eps": 1e-6, "rope_theta": 1000000})",
                 "qwen2.5-0.5b");
  return Small(R"({"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 256,
        "intermediate_size": 768, "num_attention_heads": 4, "num_key_value_heads": 2,
        "vocab_size": 2048, "rms_norm_eps": 1e-5, "rope_theta": 500000, "rope_scaling":
        {"rope_type": "llama3", "factor": 32, "low_freq_factor": 1, "high_freq_factor": 4,
        "original_max_position_embeddings": 8192}})",
               like.c_str());
}

TEST(Synthetic, FilesAreWhatTheirArchitectureReads) {
  for (const char* like :
       {"tinyllama-1.1b", "llama-3.2-1b", "qwen2.5-0.5b", "mamba-130m", "mamba2-130m"}) {
    const std::string path = TempPath("read.gguf");
    const SyntheticReport report = Write(SmallOf(like), "Q4_K_M", path);
    const Checkpoint checkpoint = OpenCheckpoint(path).value();
    const auto graph = BuildGraph(checkpoint);
    ASSERT_TRUE(graph) << like << ": " << graph.error().message;
    EXPECT_EQ(graph->vocabulary, 2048u);
    EXPECT_EQ(checkpoint.TensorBytes(), report.bytes);
    EXPECT_EQ(checkpoint.tensors.size(), report.tensors);
    EXPECT_EQ(graph->rope.factors.empty(),
              std::string(like) != "llama-3.2-1b" && std::string(like) != "tinyllama-1.1b");
    const auto tokenizer = MakeTokenizer(checkpoint);
    ASSERT_TRUE(tokenizer) << like << ": " << tokenizer.error().message;
    EXPECT_EQ((*tokenizer)->size(), 2048);
    const std::string text = "Hello there, said the king of 12 days.\n\xc3\xa9";
    const std::vector<int32_t> ids = (*tokenizer)->Encode(text, {}).value();
    EXPECT_EQ((*tokenizer)->Decode(ids), text);
    EXPECT_LT(ids.size(), text.size());
    std::filesystem::remove(path);
  }
}

TEST(Synthetic, TheLargestShapesHaveDistinctTokens) {
  for (const char* name : {"llama-3.2-1b", "tinyllama-1.1b"}) {
    const ModelShape& shape = **FindShape(name);
    // One narrow layer: the tokenizer is what is asked about.
    ModelShape narrow = shape;
    narrow.config = shape.vocabulary.kind == TokenizerKind::kByteLevel
                        ? R"({"model_type": "llama", "num_hidden_layers": 1, "hidden_size": 32,
        "intermediate_size": 32, "num_attention_heads": 1, "vocab_size": 128256,
        "rms_norm_eps": 1e-5})"
                        : R"({"model_type": "llama", "num_hidden_layers": 1, "hidden_size": 32,
        "intermediate_size": 32, "num_attention_heads": 1, "vocab_size": 32000,
        "rms_norm_eps": 1e-5})";
    const std::string path = TempPath("tokens.gguf");
    Write(narrow, "Q8_0", path);
    const Checkpoint checkpoint = OpenCheckpoint(path).value();
    const auto texts = checkpoint.metadata.Strings("tokenizer.ggml.tokens").value();
    EXPECT_EQ(std::set<std::string>(texts.begin(), texts.end()).size(), texts.size());
    EXPECT_TRUE(MakeTokenizer(checkpoint));
    std::filesystem::remove(path);
  }
}

std::string Bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Synthetic, BytesDependOnTheSeedAloneNotOnThreads) {
  const ModelShape shape = SmallOf("tinyllama-1.1b");
  const std::string a = TempPath("a.gguf"), b = TempPath("b.gguf");
  Write(shape, "Q4_K_M", a, 1);
  Write(shape, "Q4_K_M", b, 3);
  EXPECT_EQ(Bytes(a), Bytes(b));
  Write(shape, "Q4_K_M", b, 1, 1);
  EXPECT_NE(Bytes(a), Bytes(b));
  std::filesystem::remove(a);
  std::filesystem::remove(b);
}

std::vector<float> Values(const Checkpoint& checkpoint, const char* name) {
  const TensorView* tensor = checkpoint.Find(name);
  std::vector<float> out(static_cast<size_t>(tensor->Elements()));
  DecodeToFloat(tensor->type, tensor->data, out);
  return out;
}

// A wide matrix is put together from drawn rows: its rows must differ all the same, files of two
// types must hold the same model, and its statistics must be the stated ones.
TEST(Synthetic, WideMatricesHaveDistinctRowsAndTheirSpread) {
  ModelShape shape = SmallOf("tinyllama-1.1b");
  shape.config = R"({"model_type": "llama", "num_hidden_layers": 1, "hidden_size": 1024,
      "intermediate_size": 1024, "num_attention_heads": 8, "vocab_size": 2048,
      "rms_norm_eps": 1e-5})";
  const std::string f32 = TempPath("f32.gguf"), q8 = TempPath("q8.gguf");
  Write(shape, "F32", f32);
  Write(shape, "Q8_0", q8);
  const Checkpoint exact = OpenCheckpoint(f32).value(), coarse = OpenCheckpoint(q8).value();
  const std::vector<float> a = Values(exact, "output.weight"), b = Values(coarse, "output.weight");
  ASSERT_EQ(a.size(), size_t{2048} * 1024);
  std::set<std::vector<float>> rows;
  double squares = 0, errors = 0, fourth = 0;
  for (size_t r = 0; r < 2048; ++r) rows.emplace(&a[r * 1024], &a[r * 1024] + 1024);
  for (size_t i = 0; i < a.size(); ++i) {
    squares += static_cast<double>(a[i]) * a[i];
    fourth += std::pow(static_cast<double>(a[i]), 4);
    errors += std::pow(static_cast<double>(a[i]) - b[i], 2);
  }
  EXPECT_EQ(rows.size(), 2048u);
  const double n = static_cast<double>(a.size()), variance = squares / n;
  EXPECT_LT(errors, 1e-4 * squares);  // 8 bits err by about 0.5 % of a value
  // Gain 0.9 over 1024 columns; varied scales and tails add some 12 % to the variance.
  EXPECT_NEAR(std::sqrt(variance), 0.9 / 32, 0.1 * 0.9 / 32);
  EXPECT_GT(fourth / n / (variance * variance), 3.1);  // heavier tails than normal
  std::filesystem::remove(f32);
  std::filesystem::remove(q8);
}

TEST(Synthetic, StoppedWritingLeavesNothing) {
  const std::string path = TempPath("stopped.gguf");
  Workers workers(1);
  const auto report = WriteSynthetic(SmallOf("tinyllama-1.1b"), path, {.type = FindFileType("F32")},
                                     workers, [](const Progress& p) { return p.done < 1; });
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().message, path + ": stopped; nothing written");
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace vernier
