// Hugging Face folders made GGUF files: the bytes of every tensor against the files llama.cpp's
// tools made, and the models they are against PyTorch and llama.cpp.
#include <bit>
#include <cmath>

#include "e2e_testing.h"
#include "engine/generate.h"
#include "formats/decode.h"
#include "model/gguf_writer.h"
#include "model/tokenizer.h"
#include "sha256.h"

namespace vernier {
namespace {

TEST(Sha256, ExamplesOfTheStandard) {
  const auto hash = [](const std::string& text) {
    return Sha256Hex(std::as_bytes(std::span(text)));
  };
  EXPECT_EQ(hash(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

class ConvertTest : public ::testing::TestWithParam<const char*> {
 protected:
  std::string Folder() const { return TinyFolder(GetParam()); }
  std::string Make(TensorType type) const {
    const std::string path = folder_ / fmt::format("{}.gguf", Info(type).name);
    Convert(Folder(), path, type);
    return path;
  }
  ScratchFolder folder_;
};

TEST_P(ConvertTest, TensorsHaveTheBytesOfTheGoldenFiles) {
  const auto golden =
      ReadJsonFile(kSource + "/tests/data/golden/" + GetParam() + ".json").at("types");
  for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16}) {
    auto made = OpenCheckpoint(Make(type));
    ASSERT_TRUE(made) << made.error().message;
    const auto& right = golden.at(Info(type).name).at("tensors");
    EXPECT_EQ(made->tensors.size(), right.size());
    for (const auto& [name, tensor] : right.items()) {
      const TensorView* ours = made->Find(name);
      ASSERT_NE(ours, nullptr) << name;
      EXPECT_EQ(&Info(ours->type), FindTensorType(tensor.at("type").get<std::string>())) << name;
      EXPECT_EQ(Sha256Hex(ours->data), tensor.at("sha256").get<std::string>())
          << Info(type).name << " " << name;
    }
  }
}

using Keys = std::vector<std::pair<const char*, const char*>>;  // of GGUF and of config.json

Keys IntegerKeys(bool state_space) {
  if (state_space)
    return {{"block_count", "num_hidden_layers"},     {"context_length", "max_position_embeddings"},
            {"embedding_length", "hidden_size"},      {"ssm.conv_kernel", "conv_kernel"},
            {"ssm.inner_size", "intermediate_size"},  {"ssm.state_size", "state_size"},
            {"ssm.time_step_rank", "time_step_rank"}, {"vocab_size", "vocab_size"}};
  return {{"block_count", "num_hidden_layers"},
          {"context_length", "max_position_embeddings"},
          {"embedding_length", "hidden_size"},
          {"feed_forward_length", "intermediate_size"},
          {"attention.head_count", "num_attention_heads"},
          {"attention.head_count_kv", "num_key_value_heads"},
          {"rope.dimension_count", "head_dim"},
          {"vocab_size", "vocab_size"}};
}

TEST_P(ConvertTest, KeysAreTheOnesReadersNeed) {
  auto made = OpenCheckpoint(Make(TensorType::kF16));
  ASSERT_TRUE(made);
  const auto config = ReadJsonFile(Folder() + "/config.json");
  const Metadata& m = made->metadata;
  const std::string arch = config.at("model_type");
  const bool state_space = arch == "mamba";
  EXPECT_EQ(m.String("general.architecture").value(), arch);
  EXPECT_EQ(m.String("general.name").value(), GetParam());
  EXPECT_EQ(m.Int("general.file_type").value(), 1);
  for (const auto& [key, source] : IntegerKeys(state_space))
    EXPECT_EQ(m.Int(arch + "." + key).value(), config.at(source).get<int64_t>()) << key;
  EXPECT_EQ(m.Float(arch + ".attention.layer_norm_rms_epsilon").value(),
            config.at(state_space ? "layer_norm_epsilon" : "rms_norm_eps").get<float>());
  if (!state_space) {
    EXPECT_EQ(m.Float(arch + ".rope.freq_base").value(), config.at("rope_theta").get<float>());
  }
  EXPECT_EQ(m.String("tokenizer.ggml.model").value(), "gpt2");
  EXPECT_EQ(m.String("tokenizer.ggml.pre").value(), "qwen2");
  EXPECT_EQ(m.Strings("tokenizer.ggml.tokens").value().size(), 1024u);
  EXPECT_EQ(m.Ints("tokenizer.ggml.token_type").value()[0], 3);
  EXPECT_EQ(m.Int("tokenizer.ggml.bos_token_id").value(), 0);
  EXPECT_EQ(m.Int("tokenizer.ggml.eos_token_id").value(), 0);
  EXPECT_TRUE(m.Bool("tokenizer.ggml.add_bos_token").value());
  EXPECT_FALSE(m.Bool("tokenizer.ggml.add_eos_token").value());
}

TEST_P(ConvertTest, TokenizesTheSame) {
  auto folder = OpenModel(Folder()), made = OpenModel(Make(TensorType::kBF16));
  const Tokenizer* a = folder->tokenizer().value();
  const Tokenizer* b = made->tokenizer().value();
  for (const char* name : {"gsm8k.txt", "shakespeare.txt"}) {
    const std::string text = ReadText(kSource + "/data/" + name).value();
    const auto ids = a->Encode(text, {}).value();
    EXPECT_EQ(b->Encode(text, {}).value(), ids) << name;
    EXPECT_EQ(b->Decode(ids), a->Decode(ids)) << name;
  }
  const std::string special = "a<|endoftext|> 2024 caf\xc3\xa9\r\n\r\n  x\xff";
  for (const bool parse : {false, true})
    EXPECT_EQ(b->Encode(special, {true, parse}).value(), a->Encode(special, {true, parse}).value());
  EXPECT_TRUE(b->is_end_of_generation(0));
}

TEST_P(ConvertTest, GreedyTokensAreTheReferences) {
  const auto reference = ReadJsonFile(kSource + "/tests/data/reference/" + GetParam() + ".json");
  auto model = OpenModel(Make(TensorType::kF32));
  const Plan plan = PlanOf(*model, {});
  GenerateOptions options;
  options.tokens = 24;
  for (const auto& prompt : reference) {
    const auto ids =
        model->tokenizer().value()->Encode(prompt.at("prompt").get<std::string>(), {}).value();
    EXPECT_EQ(ids, prompt.at("ids").get<std::vector<int32_t>>());
    const GenerateRequest request{&plan, ids};
    std::vector<int32_t> tokens;
    const auto generated = Generate(*model, {&request, 1}, options);
    for (const GeneratedStep& step : generated[0].steps) tokens.push_back(step.token);
    EXPECT_EQ(tokens, prompt.at("greedy").get<std::vector<int32_t>>());
  }
}

TEST_P(ConvertTest, LogitsAreThoseOfTheFolderAndOfLlamaCpp) {
  auto folder = OpenModel(Folder()), made = OpenModel(Make(TensorType::kF32));
  const Plan folder_plan = PlanOf(*folder, {}), plan = PlanOf(*made, {});
  const auto golden = ReadJsonFile(kSource + "/tests/data/golden/" + GetParam() + ".json");
  for (const auto& prompt : golden.at("types").at("F32").at("prompts")) {
    const std::vector<int32_t> ids = prompt.at("ids");
    const std::vector<float> right = prompt.at("logits");
    const std::vector<float> logits = LastLogits(*made, plan, ids);
    const std::vector<float> same = LastLogits(*folder, folder_plan, ids);
    ASSERT_EQ(logits.size(), right.size());
    for (size_t i = 0; i < right.size(); ++i) {
      EXPECT_NEAR(logits[i], right[i], 2e-5) << prompt.at("prompt") << " token " << i;
      // Rows in another order, so scores summed in another; A of a state space with NumPy's
      // exponential, not ours: a few units in the last place.
      EXPECT_NEAR(logits[i], same[i], 2e-5) << prompt.at("prompt") << " token " << i;
    }
  }
}

// Through the type the folder has, so that nothing is lost.
TEST_P(ConvertTest, DecodesAGgufFile) {
  const bool bf16 = ReadJsonFile(Folder() + "/config.json").at("torch_dtype") == "bfloat16";
  const std::string same = Make(bf16 ? TensorType::kBF16 : TensorType::kF32),
                    f32 = Make(TensorType::kF32), again = folder_ / "again.gguf";
  Convert(same, again, TensorType::kF32);
  EXPECT_EQ(ContentHash(*OpenCheckpoint(again)), ContentHash(*OpenCheckpoint(f32)));
}

INSTANTIATE_TEST_SUITE_P(Zoo, ConvertTest,
                         ::testing::Values("tiny-llama", "tiny-qwen2", "tiny-mamba"),
                         [](const auto& test) { return std::string(test.param).substr(5); });

// What rounding to F16 did, counted beside: a float16 number is a multiple of 2^-10 of its power of
// two, and of 2^-24.
TEST_P(ConvertTest, ReportsWhatRoundingDid) {
  auto checkpoint = OpenCheckpoint(Folder());
  ASSERT_TRUE(checkpoint);
  uint64_t elements = 0, changed = 0, flushed = 0;
  for (const TensorView& tensor : checkpoint->tensors) {
    elements += static_cast<uint64_t>(tensor.Elements());
    if (tensor.shape.size() != 2 || tensor.name.ends_with("A_log")) continue;  // stays F32
    std::vector<double> values(static_cast<size_t>(tensor.Elements()));
    DecodeToDouble(tensor.type, tensor.data, values);
    for (const double value : values) {
      int exponent = 0;
      std::frexp(value, &exponent);
      const double step = std::ldexp(1, std::max(exponent - 1, -14) - 10);
      const double rounded = std::nearbyint(value / step) * step;
      changed += rounded != value;
      flushed += value != 0 && rounded == 0;
    }
  }
  const auto counts = [&](const char* type) {
    QuantizeOptions options;
    options.mixture.file_type = FindFileType(type);
    const auto report = QuantizeModel(*checkpoint, folder_ / "x.gguf", options);
    EXPECT_TRUE(report);
    EXPECT_EQ(report->tensors.size(), checkpoint->tensors.size());
    TreatmentCounts sum;
    for (const QuantizedTensor& tensor : report->tensors) sum += tensor.outcome.stored;
    return sum;
  };
  EXPECT_EQ(counts("F16"), (TreatmentCounts{elements, changed, 0, flushed}));
  EXPECT_GT(changed, 0u);
  EXPECT_EQ(counts("F32"), (TreatmentCounts{elements, 0, 0, 0}));
}

// Every float16 and every BF16 code, and halfway points, infinities and NaN, through a file.
TEST(ConvertNumbers, AllCodes) {
  ScratchFolder folder;
  std::vector<double> values;
  for (uint32_t code = 0; code < 65536; ++code)
    values.push_back(std::bit_cast<float>(code << 16));  // BF16
  for (int exponent = -26; exponent <= 16; ++exponent)
    for (int m = 2048; m < 4096; ++m) {  // a bit more than float16 has: ties included
      values.push_back(std::ldexp(m, exponent - 11));
      values.push_back(-std::ldexp(m + 1e-9, exponent - 11));  // no float32 number
    }
  const auto view = [](const char* name, const std::vector<double>& data) {
    return TensorView{name,
                      TensorType::kF64,
                      {2, static_cast<int64_t>(data.size() / 2)},
                      std::as_bytes(std::span(data))};
  };
  Metadata metadata;
  metadata.Set("general.architecture", MetaString("none"));
  const TensorView tensor = view("x.weight", values);
  ASSERT_TRUE(WriteGguf(folder / "in.gguf", metadata, {&tensor, 1}));
  for (const TensorType type : {TensorType::kF16, TensorType::kBF16, TensorType::kF32}) {
    Convert(folder / "in.gguf", folder / "out.gguf", type);
    auto out = OpenCheckpoint(folder / "out.gguf");
    ASSERT_TRUE(out);
    std::vector<double> got(values.size());
    DecodeToDouble(type, out->Find("x.weight")->data, got);
    const int precision = type == TensorType::kF16 ? 11 : type == TensorType::kBF16 ? 8 : 24;
    const int lowest = type == TensorType::kF16 ? -14 : -126;
    const double most = type == TensorType::kF16 ? 65504 : 0x1p128 - 0x1p100;
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::isnan(values[i])) {
        EXPECT_TRUE(std::isnan(got[i]));
        continue;
      }
      int exponent = 0;
      std::frexp(values[i], &exponent);
      const double step = std::ldexp(1, std::max(exponent - 1, lowest) - precision + 1);
      double right = std::isinf(values[i]) ? values[i] : std::nearbyint(values[i] / step) * step;
      if (std::abs(right) > most) right = std::copysign(INFINITY, right);
      EXPECT_EQ(std::bit_cast<uint64_t>(got[i]), std::bit_cast<uint64_t>(right)) << values[i];
    }
  }
}

// A copy of tiny-llama with changes to its JSON files.
class ChangedFolder {
 public:
  ChangedFolder() {
    std::filesystem::create_directory(scratch_ / "m");
    std::filesystem::create_symlink(TinyFolder("tiny-llama") + "/model.safetensors",
                                    path() + "/model.safetensors");
    for (const char* name : {"config.json", "tokenizer.json"}) Change(name, [](nlohmann::json&) {});
  }
  std::string path() const { return scratch_ / "m"; }
  std::string gguf() const { return scratch_ / "m.gguf"; }
  template <class F>
  void Change(const std::string& name, const F& change) {
    nlohmann::json json = ReadJsonFile(TinyFolder("tiny-llama") + "/" + name);
    change(json);
    std::ofstream(path() + "/" + name) << json;
  }
  std::string ConvertError() const {
    auto checkpoint = OpenCheckpoint(path());
    if (!checkpoint) return checkpoint.error().message;
    const auto status = QuantizeModel(*checkpoint, gguf(), {});
    EXPECT_FALSE(std::filesystem::exists(gguf()));
    return status ? "" : status.error().message;
  }

 private:
  ScratchFolder scratch_;
};

TEST(ConvertChanged, Llama3FactorsBecomeATensor) {
  ChangedFolder folder;
  folder.Change("config.json", [](nlohmann::json& json) {
    json["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 64}};
  });
  Convert(folder.path(), folder.gguf(), TensorType::kF32);
  auto from = OpenModel(folder.path()), made = OpenModel(folder.gguf());
  auto plain = OpenModel(TinyFolder("tiny-llama"));
  EXPECT_EQ(made->checkpoint().Find("rope_freqs.weight")->shape, (std::vector<int64_t>{16}));
  const std::vector<int32_t> ids = {0, 336, 59, 747, 283, 9, 11, 500, 600, 7, 8};
  const auto a = LastLogits(*from, PlanOf(*from, {}), ids),
             b = LastLogits(*made, PlanOf(*made, {}), ids),
             c = LastLogits(*plain, PlanOf(*plain, {}), ids);
  double changed = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_NEAR(a[i], b[i], 5e-5);
    changed = std::max(changed, std::abs(double{a[i]} - c[i]));
  }
  EXPECT_GT(changed, 1e-2) << "the factors should matter";
}

TEST(ConvertChanged, NamesLlama3sPreTokenizerAndItsTemplate) {
  ChangedFolder folder;
  folder.Change("tokenizer.json", [](nlohmann::json& json) {
    auto& regex = json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"];
    std::string pattern = regex;
    const size_t at = pattern.find("|\\p{N}|");
    pattern.replace(at, 7, "|\\p{N}{1,3}|");
    regex = pattern;
    json["model"]["ignore_merges"] = true;
    json["added_tokens"].push_back({{"id", 1024}, {"content", "<tool>"}, {"special", false}});
    json["post_processor"] = {
        {"type", "TemplateProcessing"},
        {"single",
         {{{"SpecialToken", {{"id", "<|endoftext|>"}, {"type_id", 0}}}},
          {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
          {{"SpecialToken", {{"id", "<|endoftext|>"}, {"type_id", 0}}}}}},
        {"special_tokens", {{"<|endoftext|>", {{"id", "<|endoftext|>"}, {"ids", {0}}}}}}};
  });
  auto checkpoint = OpenCheckpoint(folder.path());
  ASSERT_TRUE(checkpoint);
  Convert(folder.path(), folder.gguf(), TensorType::kBF16);
  auto made = OpenCheckpoint(folder.gguf());
  ASSERT_TRUE(made);
  EXPECT_EQ(made->metadata.String("tokenizer.ggml.pre").value(), "llama-bpe");
  EXPECT_TRUE(made->metadata.Bool("tokenizer.ggml.add_eos_token").value());
  EXPECT_EQ(made->metadata.Ints("tokenizer.ggml.token_type").value()[1024], 4);
  auto a = MakeTokenizer(*checkpoint), b = MakeTokenizer(*made);
  ASSERT_TRUE(a && b);
  const std::string text = "In 123456 the <tool> said: hello";
  EXPECT_EQ((*b)->Encode(text, {}).value(), (*a)->Encode(text, {}).value());
}

TEST(ConvertChanged, RefusesWhatGgufCannotSay) {
  const auto message = [](const char* file, const auto& change) {
    ChangedFolder folder;
    folder.Change(file, change);
    return folder.ConvertError();
  };
  EXPECT_NE(message("tokenizer.json",
                    [](nlohmann::json& json) {
                      json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "x+";
                    })
                .find("GGUF has a name for"),
            std::string::npos);
  EXPECT_NE(message("tokenizer.json",
                    [](nlohmann::json& json) { json["added_tokens"][0]["rstrip"] = true; })
                .find("strips spaces"),
            std::string::npos);
}

}  // namespace
}  // namespace vernier
