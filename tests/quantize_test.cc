// Quantised files: every tensor of every type against the files llama-quantize made, copies against
// their sources, treated weights against runs with the same rules.
#include "engine/quantize.h"

#include <bit>
#include <cmath>
#include <cstdlib>
#include <map>

#include "base/file.h"
#include "base/names.h"
#include "e2e_testing.h"
#include "formats/decode.h"
#include "model/gguf.h"
#include "model/gguf_writer.h"
#include "sha256.h"

namespace vernier {
namespace {

std::string Bytes(const std::string& path) { return ReadText(path).value(); }

Result<QuantizeReport> Quantize(const std::string& from, const std::string& to,
                                const QuantizeOptions& options) {
  ASSIGN_OR_RETURN(const Checkpoint checkpoint, OpenCheckpoint(from));
  return QuantizeModel(checkpoint, to, options);
}

QuantizeOptions ToType(const char* type) {
  QuantizeOptions options;
  options.mixture.file_type = FindFileType(type);
  EXPECT_NE(options.mixture.file_type, nullptr) << type;
  return options;
}

QuantizeOptions WithRules(const std::vector<std::string>& rules) {
  QuantizeOptions options;
  options.recipe = ParseRecipe(rules).value();
  return options;
}

QuantizeOptions WithPatterns(QuantizeOptions options, const std::vector<std::string>& patterns) {
  for (const std::string& p : patterns)
    options.patterns.push_back(ParseTypePattern(p, "--tensor-type").value());
  return options;
}

class QuantizeTest : public ::testing::TestWithParam<const char*> {
 protected:
  std::string Folder() const { return TinyFolder(GetParam()); }
  std::string F32() const {
    const std::string path = folder_ / "f32.gguf";
    if (!std::filesystem::exists(path)) Convert(Folder(), path, TensorType::kF32);
    return path;
  }
  std::string Error(const std::string& from, const QuantizeOptions& options) const {
    const auto report = Quantize(from, folder_ / "error.gguf", options);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "error.gguf"));
    return report ? "" : report.error().message;
  }
  ScratchFolder folder_;
};

void ExpectGolden(const std::string& path, const nlohmann::json& right, const std::string& what) {
  auto made = OpenCheckpoint(path);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->tensors.size(), right.size());
  for (const auto& [name, tensor] : right.items()) {
    const TensorView* ours = made->Find(name);
    ASSERT_NE(ours, nullptr) << name;
    EXPECT_STREQ(Info(ours->type).name, FindTensorType(tensor.at("type").get<std::string>())->name)
        << what << " " << name;
    EXPECT_EQ(Sha256Hex(ours->data), tensor.at("sha256").get<std::string>()) << what << " " << name;
  }
}

TEST_P(QuantizeTest, TensorsHaveTheTypesAndBytesOfTheGoldenFiles) {
  const auto golden =
      ReadJsonFile(kSource + "/tests/data/golden/" + GetParam() + ".json").at("types");
  EXPECT_GE(golden.size(), 8u);
  for (const auto& [type, right] : golden.items()) {
    const std::string made = folder_ / "made.gguf";
    const auto report = Quantize(F32(), made, ToType(type.c_str()));
    ASSERT_TRUE(report) << report.error().message;
    ExpectGolden(made, right.at("tensors"), type);
    const Metadata metadata = OpenCheckpoint(made)->metadata;
    EXPECT_EQ(metadata.Int("general.file_type").value(), FindFileType(type)->number);
    EXPECT_EQ(metadata.Int("general.quantization_version").value(), 2);
    // Straight from the folder, and with another number of threads: the same file.
    if (type != "F16" && type != "Q4_K_M" && type != "IQ4_NL") continue;
    QuantizeOptions options = ToType(type.c_str());
    options.threads = 1;
    const auto again = Quantize(Folder(), folder_ / "again.gguf", options);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_TRUE(Bytes(folder_ / "again.gguf") == Bytes(made)) << type;
    for (size_t i = 0; i < report->tensors.size(); ++i) {
      const TensorOutcome &a = report->tensors[i].outcome, &b = again->tensors[i].outcome;
      EXPECT_EQ(a.squared_error, b.squared_error) << "the order of sums";
      EXPECT_EQ(a.stored, b.stored);
    }
  }
}

TEST_P(QuantizeTest, ErrorsAreThoseOfWhatReadsBack) {
  const auto report = Quantize(F32(), folder_ / "q.gguf", ToType("Q4_K_M"));
  ASSERT_TRUE(report);
  auto from = OpenCheckpoint(F32()), made = OpenCheckpoint(folder_ / "q.gguf");
  for (const QuantizedTensor& tensor : report->tensors) {
    const TensorView &a = *from->Find(tensor.name), &b = *made->Find(tensor.name);
    EXPECT_EQ(tensor.choice.type, b.type);
    EXPECT_EQ(tensor.outcome.bytes, b.data.size());
    std::vector<double> x(static_cast<size_t>(a.Elements())), y(x.size());
    DecodeToDouble(a.type, a.data, x);
    DecodeToDouble(b.type, b.data, y);
    double error = 0, square = 0, most = 0;
    uint64_t changed = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      error += (x[i] - y[i]) * (x[i] - y[i]);
      square += x[i] * x[i];
      most = std::max(most, std::abs(x[i] - y[i]));
      changed += std::bit_cast<uint64_t>(x[i]) != std::bit_cast<uint64_t>(y[i]);
    }
    EXPECT_NEAR(tensor.outcome.l2_rel(), std::sqrt(error / square), 1e-9) << tensor.name;
    EXPECT_NEAR(tensor.outcome.rmse(), std::sqrt(error / static_cast<double>(x.size())), 1e-9);
    EXPECT_EQ(tensor.outcome.max_abs, most);
    EXPECT_EQ(tensor.outcome.stored.changed, changed);
    EXPECT_EQ(tensor.outcome.stored.touched, x.size());
  }
}

TEST_P(QuantizeTest, PatternsAndOptions) {
  QuantizeOptions options = WithPatterns(ToType("Q4_0"), {"ffn_down=q8_0", "blk\\.1\\.=f16"});
  options.mixture.output = TensorType::kQ5_1;
  ASSERT_TRUE(Quantize(F32(), folder_ / "q.gguf", options));
  auto made = OpenCheckpoint(folder_ / "q.gguf");
  EXPECT_EQ(made->Find("blk.1.ffn_down.weight")->type, TensorType::kQ8_0);
  EXPECT_EQ(made->Find("blk.1.attn_q.weight")->type, TensorType::kF16);
  EXPECT_EQ(made->Find("blk.0.attn_q.weight")->type, TensorType::kQ4_0);
  const bool tied = made->Find("output.weight") == nullptr;
  EXPECT_EQ(made->Find(tied ? "token_embd.weight" : "output.weight")->type, TensorType::kQ5_1);
  EXPECT_EQ(Error(F32(), WithPatterns({}, {"atn_q=q8_0"})).substr(0, 14), "--tensor-type:");
}

// What is written under a rule computes what the source does under that rule.
TEST_P(QuantizeTest, TreatedWeightsAreThoseOfARun) {
  const std::vector<int32_t> ids = {0, 336, 59, 747, 283, 9, 11, 500};
  auto model = OpenModel(F32());
  for (const std::vector<std::string>& rules : std::vector<std::vector<std::string>>{
           {"blk.*.ffn_norm.weight=e4m3,round=toward-zero"},
           {"blk.*.ffn_*.weight=bf16", "blk.1.ffn_up.weight=e5m2"},
           {"attn_norm[1:3].weight=e3m2", "Qcur.weight=int8"},
           {"blk.*.attn_v.weight=e4m3,round=stochastic", "token_embd.weight=int8,per=tensor"},
           {"blk.0.ffn_down.weight=int4,per=group:32,scale=percentile:99"},
           {"blk.*.ffn_down.weight=mxfp4", "blk.0.ffn_down.weight=nvfp4"},
           {"blk.*.ffn_down.weight=q8_0,rotate=hadamard"}}) {
    QuantizeOptions options = WithRules(rules);
    options.seed = 5;
    const std::string made = folder_ / "treated.gguf";
    const auto report = Quantize(F32(), made, options);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_FALSE(report->copied);
    const auto plan = MakePlan(*model, options.recipe, options.seed);
    ASSERT_TRUE(plan) << plan.error().message;
    auto treated = OpenModel(made);
    EXPECT_EQ(LastLogits(*treated, PlanOf(*treated, {}), ids), LastLogits(*model, *plan, ids))
        << rules[0];
    ASSERT_EQ(report->rules.size(), plan->rules.size());
    for (size_t r = 0; r < rules.size(); ++r) {
      EXPECT_EQ(report->rules[r].counts, plan->rules[r].counts) << rules[r];
      std::vector<std::string> a = report->rules[r].sites, b = plan->rules[r].sites;
      std::sort(a.begin(), a.end());
      std::sort(b.begin(), b.end());
      EXPECT_EQ(a, b);
    }
    auto source = OpenCheckpoint(F32()), after = OpenCheckpoint(made);
    EXPECT_EQ(after->metadata.entries, source->metadata.entries);
    for (size_t i = 0; i < source->tensors.size(); ++i)
      EXPECT_EQ(after->tensors[i].type, source->tensors[i].type);
  }
}

TEST_P(QuantizeTest, TheSameFromTheFolder) {
  QuantizeOptions options = ToType("F32");
  options.recipe = ParseRecipe({"blk.*.attn_q.weight=e4m3,round=stochastic",
                                "blk.*.attn_k.weight=int8,per=tensor"})
                       .value();
  ASSERT_TRUE(Quantize(Folder(), folder_ / "a.gguf", options));
  auto folder = OpenModel(Folder()), made = OpenModel(folder_ / "a.gguf");
  const auto plan = MakePlan(*folder, options.recipe, options.seed);
  const std::vector<int32_t> ids = {0, 336, 59, 747, 283, 9, 11, 500};
  const auto a = LastLogits(*made, PlanOf(*made, {}), ids), b = LastLogits(*folder, *plan, ids);
  // Rows in another order, so scores summed in another: a few units in the last place.
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 5e-5);
}

TEST_P(QuantizeTest, VacuousRulesAreSaidToBe) {
  const auto report = Quantize(F32(), folder_ / "v.gguf",
                               WithRules({"blk.*.ffn_norm.weight=bf16,round=toward-zero"}));
  ASSERT_TRUE(report);
  ASSERT_EQ(report->rules.size(), 1u);
  EXPECT_TRUE(report->rules[0].vacuous()) << "the folder's weights are BF16";
  EXPECT_GT(report->rules[0].counts.touched, 0u);
  EXPECT_EQ(ContentHash(*OpenCheckpoint(folder_ / "v.gguf")), ContentHash(*OpenCheckpoint(F32())));
}

TEST_P(QuantizeTest, RulesThatStore) {
  const auto report = Quantize(F32(), folder_ / "s.gguf", WithRules({"blk.*.ffn_*.weight=q8_0"}));
  EXPECT_FALSE(report) << "the norms";
  const auto stored = Quantize(F32(), folder_ / "s.gguf",
                               WithRules({"blk.*.ffn_up.weight=q4_0", "blk.1.*_up.weight=q8_0"}));
  ASSERT_TRUE(stored) << stored.error().message;
  auto made = OpenCheckpoint(folder_ / "s.gguf");
  EXPECT_EQ(made->Find("blk.0.ffn_up.weight")->type, TensorType::kQ4_0);
  EXPECT_EQ(made->Find("blk.1.ffn_up.weight")->type, TensorType::kQ8_0);
  EXPECT_EQ(made->Find("blk.1.ffn_gate.weight")->type, TensorType::kF32);
  EXPECT_GT(stored->rules[0].counts.changed, 0u);
  // What is stored computes what a run under the rules does.
  const std::vector<std::string> rules = {"blk.*.ffn_up.weight=q4_0",
                                          "blk.1.ffn_down.weight=ggml:mxfp4"};
  ASSERT_TRUE(Quantize(F32(), folder_ / "r.gguf", WithRules(rules)));
  auto model = OpenModel(F32()), file = OpenModel(folder_ / "r.gguf");
  const std::vector<int32_t> ids = {0, 336, 59, 747, 283, 9, 11, 500};
  EXPECT_EQ(LastLogits(*file, PlanOf(*file, {}), ids),
            LastLogits(*model, PlanOf(*model, rules), ids));
  EXPECT_EQ(stored->rules[1].sites, std::vector<std::string>{"blk.1.ffn_up.weight"});
}

TEST_P(QuantizeTest, RefusesWhatItCannotDo) {
  const auto rule = [&](const char* text) { return Error(F32(), WithRules({text})); };
  EXPECT_EQ(
      rule("blk.*.fnn_norm.weight=bf16"),
      "rule 'blk.*.fnn_norm.weight=bf16': no weight is named 'blk.*.fnn_norm.weight'; did you "
      "mean 'blk.0.ffn_norm.weight'?");
  EXPECT_NE(rule("ffn_norm=bf16").find("a file has weights only"), std::string::npos);
  EXPECT_NE(rule("*.math=f64").find("a file has weights only"), std::string::npos);
  EXPECT_NE(rule("ffn_norm[99].weight=bf16").find("layers are 0 to"), std::string::npos);
  EXPECT_NE(rule("blk.0.ffn_up.weight=q4").find("unknown format 'q4'"), std::string::npos);
  EXPECT_NE(rule("output_norm.weight=q4_0").find("is not quantised"), std::string::npos);
  EXPECT_NE(rule("blk.0.ffn_up.weight=int8,scale=static").find("without scales of sites"),
            std::string::npos);
  EXPECT_EQ(Error(F32(), WithPatterns({}, {"x(=q8_0"})).substr(0, 14), "--tensor-type:");
  EXPECT_NE(Error(F32(), ToType("Q2_K_S")).find("with --imatrix"), std::string::npos);

  const std::string f32 = F32();
  const auto itself = Quantize(f32, f32, ToType("Q8_0"));
  ASSERT_FALSE(itself);
  EXPECT_EQ(itself.error().message, f32 + ": is read from; expected another file to write");

  ASSERT_TRUE(Quantize(F32(), folder_ / "q8.gguf", ToType("Q8_0")));
  QuantizeOptions options = ToType("Q4_0");
  EXPECT_NE(Error(folder_ / "q8.gguf", options).find("--allow-requantize"), std::string::npos);
  options.allow_requantize = true;
  EXPECT_TRUE(Quantize(folder_ / "q8.gguf", folder_ / "q4.gguf", options));
  EXPECT_TRUE(Quantize(folder_ / "q8.gguf", folder_ / "wide.gguf", ToType("F32")));
  EXPECT_NE(Error(folder_ / "q8.gguf", WithRules({"blk.0.ffn_up.weight=e4m3"}))
                .find("--tensor-type 'blk.0.ffn_up.weight=f32'"),
            std::string::npos);
  EXPECT_NE(Error(Folder(), WithRules({"blk.0.ffn_up.weight=int8"})).find("are no BF16 numbers"),
            std::string::npos);
}

TEST_P(QuantizeTest, StopsWhenAskedAndLeavesNothing) {
  QuantizeOptions options = ToType("Q8_0");
  double last = 0;
  options.progress = [&](const Progress& p) {
    last = p.done / p.total;
    return p.done < p.total / 2;
  };
  EXPECT_FALSE(Quantize(Folder(), folder_ / "x.gguf", options));
  EXPECT_TRUE(std::filesystem::is_empty(std::filesystem::path(folder_ / "x").parent_path()));
  EXPECT_GE(last, 0.5);
  EXPECT_LT(last, 0.95);
}

// All tensors' bytes in the order of their names.
std::string HashOfTensors(const std::string& path) {
  auto made = OpenCheckpoint(path);
  EXPECT_TRUE(made);
  std::map<std::string, const TensorView*> sorted;
  for (const TensorView& tensor : made->tensors) sorted[tensor.name] = &tensor;
  std::vector<std::byte> all;
  for (const auto& [name, tensor] : sorted)
    all.insert(all.end(), tensor->data.begin(), tensor->data.end());
  return Sha256Hex(all);
}

// The importance matrix that tests/data/importance.json was made with, less its chunks.
void WriteImportance(const std::string& path, const Checkpoint& model) {
  std::vector<std::vector<float>> data;
  std::vector<TensorView> tensors;
  for (const TensorView& tensor : model.tensors) {
    const std::string& name = tensor.name;
    if (!IsQuantizable(name, tensor.shape) || name == "blk.1.attn_v.weight") continue;
    std::vector<float>& sums = data.emplace_back();
    for (size_t i = 0; i < static_cast<size_t>(tensor.Columns()); ++i)
      sums.push_back(static_cast<float>((i * 7919 + 31 * name.size()) % 1000 + 1) / 16);
    data.push_back({3});
  }
  size_t i = 0;
  for (const TensorView& tensor : model.tensors) {
    if (!IsQuantizable(tensor.name, tensor.shape) || tensor.name == "blk.1.attn_v.weight") continue;
    for (const char* suffix : {".in_sum2", ".counts"}) {
      const std::vector<float>& values = data[i++];
      tensors.push_back({tensor.name + suffix,
                         TensorType::kF32,
                         {1, static_cast<int64_t>(values.size())},
                         std::as_bytes(std::span(values))});
    }
  }
  Metadata metadata;
  metadata.Set("general.type", MetaString("imatrix"));
  metadata.Set("imatrix.datasets", MetaStrings({"a text"}));
  metadata.Set("imatrix.chunk_count", MetaUint32(7));
  metadata.Set("imatrix.chunk_size", MetaUint32(512));
  ASSERT_TRUE(WriteGguf(path, metadata, tensors));
}

TEST_P(QuantizeTest, WithImportanceAndPatternsTheBytesAreLlamaCpps) {
  WriteImportance(folder_ / "imatrix.gguf", *OpenCheckpoint(F32()));
  const auto importance = ReadImportance(folder_ / "imatrix.gguf");
  ASSERT_TRUE(importance) << importance.error().message;
  const auto golden = ReadJsonFile(kSource + "/tests/data/importance.json").at(GetParam());
  EXPECT_GE(golden.size(), 15u);
  const std::vector<std::string> longer = {"Q3_K_M", "Q4_K_S", "Q5_K_M", "Q5_1", "IQ4_XS"};
  for (const auto& [what, right] : golden.items()) {
    if (std::getenv("VERNIER_TEST_ALL") == nullptr &&
        std::find(longer.begin(), longer.end(), what) != longer.end())
      continue;
    const std::vector<std::string> words = Split(what, ' ');
    QuantizeOptions options = ToType(words[0].c_str());
    std::string from = F32();
    if (words.size() == 1 && what != "MXFP4_MOE") {
      options.importance = &*importance;
    } else if (what == "Q4_K_M from Q8_0") {
      from = folder_ / "q8.gguf";
      ASSERT_TRUE(Quantize(F32(), from, ToType("Q8_0")));
      options.allow_requantize = true;
    } else if (what == "Q4_K_M pure") {
      options.mixture.pure = true;
    } else {
      options = WithPatterns(options, {words.begin() + 1, words.end()});
    }
    const auto report = Quantize(from, folder_ / "q.gguf", options);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(HashOfTensors(folder_ / "q.gguf"), right.get<std::string>()) << what;
    if (options.importance == nullptr) continue;
    const Metadata metadata = OpenCheckpoint(folder_ / "q.gguf")->metadata;
    EXPECT_EQ(metadata.String("quantize.imatrix.dataset").value(), "a text");
    EXPECT_EQ(metadata.Int("quantize.imatrix.entries_count").value(),
              static_cast<int64_t>(importance->weights.size()));
    EXPECT_EQ(metadata.Int("quantize.imatrix.chunks_count").value(), 7);
  }
}

TEST_P(QuantizeTest, AnImportanceMatrixMustFit) {
  WriteImportance(folder_ / "imatrix.gguf", *OpenCheckpoint(F32()));
  ImportanceMatrix matrix = ReadImportance(folder_ / "imatrix.gguf").value();
  QuantizeOptions options = ToType("Q4_0");
  options.importance = &matrix;
  matrix.weights["blk.0.attn_q.weight"].push_back(1);
  EXPECT_NE(Error(F32(), options).find("blk.0.attn_q.weight has"), std::string::npos);
  matrix.weights.erase("blk.0.ffn_up.weight");
  matrix.weights.erase("blk.0.attn_q.weight");
  EXPECT_TRUE(Quantize(F32(), folder_ / "q.gguf", options));
  options.mixture.file_type = FindFileType("Q2_K_S");
  const bool whole = OpenCheckpoint(F32())->Find("blk.0.ffn_up.weight")->Columns() % 256 == 0;
  if (whole) {
    EXPECT_NE(Error(F32(), options).find("nothing for blk.0."), std::string::npos);
  }
  options.mixture.file_type = FindFileType("Q4_0");
  matrix.weights = {{"blk.0.other.weight", {1, 2}}};
  EXPECT_NE(Error(F32(), options).find("nothing for any tensor"), std::string::npos);
}

TEST(QuantizeMamba, TensorsHaveTheTypesAndBytesOfTheGoldenFiles) {
  ScratchFolder folder;
  const auto golden = ReadJsonFile(kSource + "/tests/data/golden/tiny-mamba.json").at("types");
  EXPECT_GE(golden.size(), 8u);
  for (const auto& [type, right] : golden.items()) {
    const auto report =
        Quantize(TinyFolder("tiny-mamba"), folder / "made.gguf", ToType(type.c_str()));
    ASSERT_TRUE(report) << report.error().message;
    ExpectGolden(folder / "made.gguf", right.at("tensors"), type);
  }
}

INSTANTIATE_TEST_SUITE_P(Zoo, QuantizeTest, ::testing::Values("tiny-llama", "tiny-qwen2"),
                         [](const auto& test) { return std::string(test.param).substr(5); });

// A file with every tensor type, every metadata type and an unusual alignment, with bytes in its
// padding that no writer here would put there.
std::string UnusualFile(const ScratchFolder& folder) {
  Metadata metadata;
  metadata.Set("general.architecture", MetaString("none"));
  metadata.Set("general.alignment", MetaUint32(128));
  const std::pair<MetaType, MetaValue> numbers[] = {
      {MetaType::kUint8, {MetaType::kUint8, uint64_t{255}}},
      {MetaType::kInt8, {MetaType::kInt8, int64_t{-128}}},
      {MetaType::kUint16, {MetaType::kUint16, uint64_t{65535}}},
      {MetaType::kInt16, {MetaType::kInt16, int64_t{-32768}}},
      {MetaType::kInt32, {MetaType::kInt32, int64_t{-1}}},
      {MetaType::kUint64, {MetaType::kUint64, UINT64_MAX}},
      {MetaType::kInt64, {MetaType::kInt64, INT64_MIN}},
      {MetaType::kFloat64, {MetaType::kFloat64, 0.1}},
      {MetaType::kFloat32, {MetaType::kFloat32, WidenFloatBits(0x7fa00001)}},
      {MetaType::kBool, MetaBool(true)}};
  MetaArray nested{MetaType::kArray, {}};
  for (const auto& [type, value] : numbers) {
    metadata.Set(std::string("k.") + MetaTypeName(type), value);
    nested.values.push_back({MetaType::kArray, MetaArray{type, {value, value}}});
  }
  nested.values.push_back({MetaType::kArray, MetaArray{MetaType::kString, {}}});
  metadata.Set("nested", {MetaType::kArray, nested});
  metadata.Set("empty", MetaString(""));
  std::vector<std::vector<std::byte>> data;
  std::vector<TensorView> tensors;
  for (const TensorTypeInfo& info : TensorTypes()) {
    auto& bytes = data.emplace_back(static_cast<size_t>(3 * info.block_bytes));
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 37 + 11);
    tensors.push_back(
        {fmt::format("z.{}.weight", info.name), info.type, {3, info.block_elements}, bytes});
  }
  EXPECT_TRUE(WriteGguf(folder / "plain.gguf", metadata, tensors));
  std::string bytes = Bytes(folder / "plain.gguf");
  const auto mapped = MappedFile::Open(folder / "plain.gguf");
  const auto file = ReadGguf(*mapped);
  for (size_t i = 0; i + 1 < file->tensors.size(); ++i) {
    const std::byte* end = file->tensors[i].data.data() + file->tensors[i].data.size();
    for (const std::byte* p = end; p < file->tensors[i + 1].data.data(); ++p)
      bytes[static_cast<size_t>(p - mapped->bytes().data())] = 'p';
  }
  bytes += "tail";
  EXPECT_TRUE(WriteFileAtomically(folder / "unusual.gguf", bytes));
  return folder / "unusual.gguf";
}

TEST(QuantizeCopy, IsTheFile) {
  ScratchFolder folder;
  const std::string source = UnusualFile(folder);
  const auto report = Quantize(source, folder / "copy.gguf", {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(report->copied);
  EXPECT_EQ(report->tensors.size(), TensorTypes().size());
  EXPECT_TRUE(Bytes(folder / "copy.gguf") == Bytes(source));
  // Also with a rule that stores a tensor in the type it has.
  const auto same = Quantize(source, folder / "same.gguf", WithRules({"z.Q4_0.weight=q4_0"}));
  ASSERT_TRUE(same) << same.error().message;
  EXPECT_TRUE(same->rules[0].vacuous());
  EXPECT_TRUE(Bytes(folder / "same.gguf") == Bytes(source));
}

TEST(QuantizeCopy, WhatIsNotTouchedStays) {
  ScratchFolder folder;
  const std::string source = UnusualFile(folder);
  const auto report = Quantize(source, folder / "out.gguf", WithPatterns({}, {"z.bf16=f32"}));
  ASSERT_TRUE(report) << report.error().message;
  auto before = OpenCheckpoint(source), after = OpenCheckpoint(folder / "out.gguf");
  const size_t keys = before->metadata.entries.size();
  ASSERT_EQ(after->metadata.entries.size(), keys + 2) << "file_type and quantization_version";
  for (size_t i = 0; i < keys; ++i)
    EXPECT_EQ(after->metadata.entries[i], before->metadata.entries[i]);
  ASSERT_EQ(after->tensors.size(), before->tensors.size());
  for (size_t i = 0; i < before->tensors.size(); ++i) {
    const TensorView &a = before->tensors[i], &b = after->tensors[i];
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.shape, b.shape);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(b.data.data()) % 128, 0u);
    if (a.type == TensorType::kBF16) {
      EXPECT_EQ(b.type, TensorType::kF32);
    } else {
      EXPECT_EQ(a.type, b.type);
      EXPECT_TRUE(std::equal(a.data.begin(), a.data.end(), b.data.begin(), b.data.end()));
    }
  }
}

// Rows beyond what a worker takes at a time, in a tensor of several matrices, some of them with
// NaN.
TEST(QuantizeLarge, PiecesAndExperts) {
  ScratchFolder folder;
  constexpr int64_t kExperts = 3, kRows = 700, kColumns = 2048;
  std::vector<float> values(kExperts * kRows * kColumns);
  uint32_t state = 1;
  for (float& v : values) {
    state = state * 1664525 + 1013904223;
    v = static_cast<float>(static_cast<int32_t>(state >> 8) - (1 << 23)) * 0x1p-24f;
  }
  TensorView tensor{"blk.0.ffn_up_exps.weight",
                    TensorType::kF32,
                    {kExperts, kRows, kColumns},
                    std::as_bytes(std::span(values))};
  Metadata metadata;
  metadata.Set("general.architecture", MetaString("none"));
  ASSERT_TRUE(WriteGguf(folder / "in.gguf", metadata, {&tensor, 1}));
  std::vector<std::string> files;
  for (const int threads : {1, 2, 5}) {
    QuantizeOptions options = ToType("Q8_0");
    options.threads = threads;
    const auto report = Quantize(folder / "in.gguf", folder / "out.gguf", options);
    ASSERT_TRUE(report);
    files.push_back(Bytes(folder / "out.gguf"));
  }
  EXPECT_TRUE(files[0] == files[1] && files[0] == files[2]);
  auto made = OpenCheckpoint(folder / "out.gguf");
  std::vector<float> got(values.size());
  DecodeToFloat(TensorType::kQ8_0, made->tensors[0].data, got);
  for (size_t i = 0; i < got.size(); i += 97) ASSERT_NEAR(got[i], values[i], 0.5 / 254 + 1e-3);

  values[(kRows + 3) * kColumns + 5] = NAN;
  ASSERT_TRUE(WriteGguf(folder / "in.gguf", metadata, {&tensor, 1}));
  std::filesystem::remove(folder / "out.gguf");
  const auto report = Quantize(folder / "in.gguf", folder / "out.gguf", ToType("Q8_0"));
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().message,
            (folder / "out.gguf") +
                ": tensor blk.0.ffn_up_exps.weight: row 703 holds nan, which Q8_0 cannot");
  EXPECT_FALSE(std::filesystem::exists(folder / "out.gguf"));
}

}  // namespace
}  // namespace vernier
