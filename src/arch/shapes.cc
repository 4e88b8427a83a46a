#include "arch/shapes.h"

#include <cmath>

#include "arch/architecture.h"
#include "arch/hyperparameters.h"
#include "base/names.h"
#include "model/checkpoint.h"

namespace vernier {
namespace {

// Constants: the config.json files that TinyLlama/TinyLlama-1.1B-Chat-v1.0,
// meta-llama/Llama-3.2-1B, Qwen/Qwen2.5-0.5B, state-spaces/mamba-130m-hf and
// state-spaces/mamba2-130m (there in the layout of its own code) publish.
const std::vector<ModelShape>& Table() {
  static const std::vector<ModelShape> table = {
      {"tinyllama-1.1b",
       "TinyLlama: 22 layers of 2048, 32 heads on 4 KV heads, 32000 tokens",
       R"({"model_type": "llama", "num_hidden_layers": 22, "hidden_size": 2048,
           "intermediate_size": 5632, "num_attention_heads": 32, "num_key_value_heads": 4,
           "vocab_size": 32000, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5,
           "rope_theta": 10000})",
       false,
       {.pieces = 32000, .bos = "<s>", .eos = "</s>", .adds_bos = true}},
      {"llama-3.2-1b",
       "Llama 3.2: 16 layers of 2048, 32 heads on 8 KV heads, 128256 tokens, tied",
       R"({"model_type": "llama", "num_hidden_layers": 16, "hidden_size": 2048,
           "intermediate_size": 8192, "num_attention_heads": 32, "num_key_value_heads": 8,
           "head_dim": 64, "vocab_size": 128256, "max_position_embeddings": 131072,
           "rms_norm_eps": 1e-5, "rope_theta": 500000, "rope_scaling": {"rope_type": "llama3",
           "factor": 32, "low_freq_factor": 1, "high_freq_factor": 4,
           "original_max_position_embeddings": 8192}})",
       true,
       {.kind = TokenizerKind::kByteLevel,
        .pre = "llama-bpe",
        .pieces = 128000,
        .special = {"<|begin_of_text|>", "<|end_of_text|>"},
        .bos = "<|begin_of_text|>",
        .eos = "<|end_of_text|>",
        .adds_bos = true}},
      {"qwen2.5-0.5b",
       "Qwen 2.5: 24 layers of 896, 14 heads on 2 KV heads, 151936 tokens, tied, q k v biases",
       R"({"model_type": "qwen2", "num_hidden_layers": 24, "hidden_size": 896,
           "intermediate_size": 4864, "num_attention_heads": 14, "num_key_value_heads": 2,
           "vocab_size": 151936, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6,
           "rope_theta": 1000000})",
       true,
       {.kind = TokenizerKind::kByteLevel,
        .pre = "qwen2",
        .pieces = 151643,
        .special = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"},
        .bos = "<|endoftext|>",
        .eos = "<|endoftext|>"}},
      {"mamba-130m",
       "Mamba: 24 layers of 768 (inner 1536, 16 states), 50280 tokens, tied",
       R"({"model_type": "mamba", "num_hidden_layers": 24, "hidden_size": 768,
           "intermediate_size": 1536, "state_size": 16, "conv_kernel": 4, "time_step_rank": 48,
           "vocab_size": 50280, "layer_norm_epsilon": 1e-5, "use_bias": false,
           "use_conv_bias": true})",
       true,
       {.kind = TokenizerKind::kByteLevel,
        .pre = "olmo",
        .pieces = 50254,
        .special = {"<|endoftext|>"},
        .bos = "<|endoftext|>",
        .eos = "<|endoftext|>"}},
      {"mamba2-130m",
       "Mamba 2: 24 layers of 768 (24 heads of 64, 128 states), 50288 tokens, tied",
       R"({"model_type": "mamba2", "num_hidden_layers": 24, "hidden_size": 768, "expand": 2,
           "num_heads": 24, "head_dim": 64, "n_groups": 1, "state_size": 128, "conv_kernel": 4,
           "vocab_size": 50288, "layer_norm_epsilon": 1e-5, "use_bias": false,
           "use_conv_bias": true})",
       true,
       {.kind = TokenizerKind::kByteLevel,
        .pre = "olmo",
        .pieces = 50254,
        .special = {"<|endoftext|>"},
        .bos = "<|endoftext|>",
        .eos = "<|endoftext|>"}},
      {"tiny",
       "no known model: 2 llama layers of 256, 1024 tokens, to try a command with",
       R"({"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 256,
           "intermediate_size": 768, "num_attention_heads": 8, "num_key_value_heads": 2,
           "vocab_size": 1024, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5,
           "rope_theta": 10000})",
       false,
       {.pieces = 1024, .bos = "<s>", .eos = "</s>", .adds_bos = true}},
  };
  return table;
}

using Outliers = ShapeTensor::Outliers;

// The standard deviation of a matrix whose rows make `gain` of inputs with RMS 1.
double Spread(double gain, int64_t columns) {
  return gain / std::sqrt(static_cast<double>(columns));
}

class Lister {
 public:
  explicit Lister(std::vector<ShapeTensor>* tensors) : tensors_(tensors) {}
  void SetLayer(size_t layer, size_t layers) {
    prefix_ = fmt::format("blk.{}.", layer);
    depth_ = static_cast<double>(layer) / static_cast<double>(layers);
  }
  void NoLayer() { prefix_.clear(); }
  void Matrix(const char* name, size_t rows, size_t columns, double gain,
              Outliers outliers = Outliers::kNone) {
    const int64_t r = static_cast<int64_t>(rows), c = static_cast<int64_t>(columns);
    Add({name, {r, c}, Fill::kMatrix, 0, Spread(gain, c), outliers});
  }
  void Vector(const char* name, size_t width, double mean, double spread,
              Outliers outliers = Outliers::kNone) {
    Add({name, {static_cast<int64_t>(width)}, Fill::kVector, mean, spread, outliers});
  }
  // Norm weights grow with depth.
  void Norm(const char* name, size_t width, double first) {
    const double mean = first + 0.4 * depth_;
    Vector(name, width, mean, mean / 10, Outliers::kDamped);
  }
  void Add(ShapeTensor tensor) {
    tensor.name = prefix_ + tensor.name;
    tensors_->push_back(std::move(tensor));
  }

 private:
  std::vector<ShapeTensor>* tensors_;
  std::string prefix_;
  double depth_ = 0;
};

constexpr double kEmbeddingSpread = 0.02;

// Gains: those of q and k are larger, so that attention looks somewhere; the MLP adds more to the
// stream than attention, so that what comes next depends on the last token and not on the mean of
// all; the stream grows from 0.02 to about 1.
void ListDecoder(const Hyperparameters& h, bool tied, bool biases, ShapeForm* form) {
  Lister list(&form->tensors);
  const size_t d = h.hidden, q = h.heads * h.head_dim, kv = h.kv_heads * h.head_dim;
  list.Add({"token_embd.weight",
            {static_cast<int64_t>(h.vocabulary), static_cast<int64_t>(d)},
            Fill::kMatrix,
            0,
            kEmbeddingSpread,
            Outliers::kColumns});
  for (size_t layer = 0; layer < h.layers; ++layer) {
    list.SetLayer(layer, h.layers);
    list.Norm("attn_norm.weight", d, 0.2);
    list.Matrix("attn_q.weight", q, d, 3);
    list.Matrix("attn_k.weight", kv, d, 3);
    list.Matrix("attn_v.weight", kv, d, 0.9);
    if (biases) {
      list.Vector("attn_q.bias", q, 0, 0.5);
      list.Vector("attn_k.bias", kv, 0, 1);
      list.Vector("attn_v.bias", kv, 0, 0.05);
    }
    list.Matrix("attn_output.weight", d, q, 0.3, Outliers::kRows);
    list.Norm("ffn_norm.weight", d, 0.25);
    list.Matrix("ffn_gate.weight", h.intermediate, d, 1.2);
    list.Matrix("ffn_up.weight", h.intermediate, d, 1.2);
    list.Matrix("ffn_down.weight", d, h.intermediate, 1.6, Outliers::kRows);
  }
  list.NoLayer();
  list.Vector("output_norm.weight", d, 2, 0.2, Outliers::kDamped);
  if (!tied) list.Matrix("output.weight", h.vocabulary, d, 0.9);
  if (h.rope.factors.empty()) return;
  form->rope_factors.assign(h.rope.factors.begin(), h.rope.factors.end());
  list.Add(
      {"rope_freqs.weight", {static_cast<int64_t>(form->rope_factors.size())}, Fill::kFactors});
}

// A layer of Mamba 2, its norm apart: rates between -1 and -16.
void ListHeads(const SsmHyperparameters& h, Lister* list) {
  const size_t convolved = h.inner + 2 * h.groups * h.states;
  const int64_t heads = static_cast<int64_t>(h.heads), groups = static_cast<int64_t>(h.groups);
  list->Matrix("ssm_in.weight", h.inner + convolved + h.heads, h.hidden, 1.2);
  list->Add({"ssm_conv1d.weight",
             {static_cast<int64_t>(convolved), static_cast<int64_t>(h.taps)},
             Fill::kUniform,
             0,
             0.29});
  list->Vector("ssm_conv1d.bias", convolved, 0, 0.1);
  list->Add({"ssm_dt.bias", {heads}, Fill::kUniform, -4.58, 1.34});
  list->Add({"ssm_a", {heads, 1}, Fill::kUniform, -8.5, 4.33});
  list->Add({"ssm_d", {heads, 1}, Fill::kVector, 1, 0.1});
  list->Add(
      {"ssm_norm.weight", {groups, static_cast<int64_t>(h.inner) / groups}, Fill::kVector, 1, 0.1});
  list->Matrix("ssm_out.weight", h.hidden, h.inner, 1, Outliers::kRows);
}

// Steps: softplus of a bias between -6.9 and -2.25 is between 0.001 and 0.1, as Mamba begins with.
void ListSsm(const SsmHyperparameters& h, ShapeForm* form) {
  Lister list(&form->tensors);
  const size_t d = h.hidden;
  const int64_t inner = static_cast<int64_t>(h.inner);
  list.Add({"token_embd.weight",
            {static_cast<int64_t>(h.vocabulary), static_cast<int64_t>(d)},
            Fill::kMatrix,
            0,
            kEmbeddingSpread,
            Outliers::kColumns});
  for (size_t layer = 0; layer < h.layers; ++layer) {
    list.SetLayer(layer, h.layers);
    list.Norm("attn_norm.weight", d, 0.4);
    if (h.heads > 0) {
      ListHeads(h, &list);
      continue;
    }
    list.Matrix("ssm_in.weight", 2 * h.inner, d, 1.2);
    list.Add({"ssm_conv1d.weight", {inner, static_cast<int64_t>(h.taps)}, Fill::kUniform, 0, 0.29});
    list.Vector("ssm_conv1d.bias", h.inner, 0, 0.1);
    list.Matrix("ssm_x.weight", h.dt_rank + 2 * h.states, h.inner, 1.5);
    list.Add({"ssm_dt.weight",
              {inner, static_cast<int64_t>(h.dt_rank)},
              Fill::kUniform,
              0,
              Spread(0.58, static_cast<int64_t>(h.dt_rank))});
    list.Add({"ssm_dt.bias", {inner}, Fill::kUniform, -4.58, 1.34});
    list.Add({"ssm_a", {inner, static_cast<int64_t>(h.states)}, Fill::kRates});
    list.Vector("ssm_d", h.inner, 1, 0.1);
    list.Matrix("ssm_out.weight", d, h.inner, 1, Outliers::kRows);
  }
  list.NoLayer();
  list.Vector("output_norm.weight", d, 2, 0.2, Outliers::kDamped);
}

}  // namespace

std::span<const ModelShape> ModelShapes() { return Table(); }

Result<const ModelShape*> FindShape(std::string_view name) {
  std::vector<std::string> names;
  for (const ModelShape& shape : Table()) {
    if (name == shape.name) return &shape;
    names.emplace_back(shape.name);
  }
  return Fail("unknown shape '{}'{}; known are {}", name, DidYouMean(name, names),
              fmt::join(names, ", "));
}

Result<ShapeForm> MakeShapeForm(const ModelShape& shape) {
  Checkpoint folder;  // with the constants alone
  folder.kind = CheckpointKind::kHuggingFace;
  folder.path = shape.name;
  folder.config_json = shape.config;
  ASSIGN_OR_RETURN(const Architecture* architecture, FindArchitecture(folder));
  ShapeForm form;
  Metadata& metadata = form.metadata;
  metadata.source = shape.name;
  metadata.Set("general.architecture", MetaString(architecture->name));
  metadata.Set("general.type", MetaString("model"));
  metadata.Set("general.name", MetaString(fmt::format("{} (synthetic)", shape.name)));
  RETURN_IF_ERROR(architecture->write_constants(folder, &metadata));
  const std::string_view name = architecture->name;
  if (name == "mamba" || name == "mamba2") {
    ASSIGN_OR_RETURN(const SsmHyperparameters h, ReadSsmHyperparameters(folder));
    ListSsm(h, &form);
    form.vocabulary = h.vocabulary;
    form.hidden = h.hidden;
  } else {
    ASSIGN_OR_RETURN(const Hyperparameters h, ReadHyperparameters(folder));
    ListDecoder(h, shape.tied, name == "qwen2", &form);
    form.vocabulary = h.vocabulary;
    form.hidden = h.hidden;
  }
  return form;
}

}  // namespace vernier
