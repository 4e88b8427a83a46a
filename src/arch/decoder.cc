#include "arch/decoder.h"

#include "arch/graph_builder.h"
#include "formats/decode.h"

namespace vernier {
namespace {

class Builder : GraphBuilder {
 public:
  Builder(const Checkpoint& checkpoint, const Hyperparameters& h, const DecoderTraits& traits)
      : GraphBuilder(checkpoint, "model.layers"), h_(h), traits_(traits) {}

  Result<Graph> Build();

 private:
  Status Layer(int layer);
  Result<int> Attention(int layer, int x);
  Result<int> Projection(int layer, int x, const char* which, const char* site, size_t width);
  Status ReadRopeFactors();

  const Hyperparameters& h_;
  const DecoderTraits& traits_;
  int x_ = 0;  // the residual stream
};

// One of q, k, v with its bias: sites Qcur_nobias (only with a bias) and Qcur.
Result<int> Builder::Projection(int layer, int x, const char* which, const char* site,
                                size_t width) {
  const int64_t rows = static_cast<int64_t>(width), columns = static_cast<int64_t>(h_.hidden);
  const std::string gguf = fmt::format("attn_{}", which),
                    hf = fmt::format("self_attn.{}_proj", which);
  const std::string module = Module(layer, hf);
  ASSIGN_OR_RETURN(
      const int weight,
      LayerSlot(layer, {(gguf + ".weight").c_str(), (hf + ".weight").c_str()}, {rows, columns}));
  if (!traits_.qkv_bias) return MatMul(layer, x, weight, width, site, site, module);
  ASSIGN_OR_RETURN(const int bias,
                   LayerSlot(layer, {(gguf + ".bias").c_str(), (hf + ".bias").c_str()}, {rows}));
  const int product = MatMul(layer, x, weight, width, std::string(site) + "_nobias", site, "");
  return Bias(layer, product, bias, site, site, module);
}

Result<int> Builder::Attention(int layer, int x) {
  const size_t q_width = h_.heads * h_.head_dim, kv_width = h_.kv_heads * h_.head_dim;
  ASSIGN_OR_RETURN(const int q, Projection(layer, x, "q", "Qcur", q_width));
  ASSIGN_OR_RETURN(const int k, Projection(layer, x, "k", "Kcur", kv_width));
  ASSIGN_OR_RETURN(const int v, Projection(layer, x, "v", "Vcur", kv_width));
  const auto rotate = [&](int from, const char* site, size_t heads, const char* llama_name) {
    const size_t width = heads * h_.head_dim;
    return Append(
        {.op = OpKind::kRope,
         .site = site,
         .layer = layer,
         .inputs = {from},
         .shape = {.width = width, .in_width = width, .heads = heads, .head_dim = h_.head_dim},
         .llama_name = llama_name});
  };
  const auto store = [&](int from, const char* site, const char* llama_name) {
    return Append({.op = OpKind::kStore,
                   .site = site,
                   .layer = layer,
                   .inputs = {from},
                   .shape = {.width = kv_width, .in_width = kv_width},
                   .cache = "kv",
                   .llama_name = llama_name});
  };
  const int q_rotated = rotate(q, "Qcur_rope", h_.heads, "Qcur");
  const int k_rotated = rotate(k, "Kcur_rope", h_.kv_heads, "Kcur");
  const int k_stored = store(k_rotated, "k_cache", "cache_k");
  const int v_stored = store(v, "v_cache", "cache_v");
  const OpShape shape{.width = q_width,
                      .in_width = q_width,
                      .heads = h_.heads,
                      .kv_heads = h_.kv_heads,
                      .head_dim = h_.head_dim};
  const int mixed = Append({.op = OpKind::kAttention,
                            .site = "kqv_out",
                            .layer = layer,
                            .inputs = {q_rotated, k_stored, v_stored},
                            .shape = shape,
                            .llama_name = "kqv_out"});
  ASSIGN_OR_RETURN(const int weight,
                   LayerSlot(layer, {"attn_output.weight", "self_attn.o_proj.weight"},
                             {static_cast<int64_t>(h_.hidden), static_cast<int64_t>(q_width)}));
  return MatMul(layer, mixed, weight, h_.hidden, "attn_out", "attn_out",
                Module(layer, "self_attn.o_proj"));
}

Status Builder::Layer(int layer) {
  const int64_t d = static_cast<int64_t>(h_.hidden), m = static_cast<int64_t>(h_.intermediate);
  ASSIGN_OR_RETURN(const int attn_norm,
                   LayerSlot(layer, {"attn_norm.weight", "input_layernorm.weight"}, {d}));
  const int normed = Norm(layer, x_, attn_norm, h_.eps, "attn_norm", "attn_normed", "attn_norm",
                          Module(layer, "input_layernorm"));
  ASSIGN_OR_RETURN(const int attention, Attention(layer, normed));
  const int ffn_inp = Add(layer, attention, x_, "ffn_inp", "");
  ASSIGN_OR_RETURN(const int ffn_norm,
                   LayerSlot(layer, {"ffn_norm.weight", "post_attention_layernorm.weight"}, {d}));
  const int fed = Norm(layer, ffn_inp, ffn_norm, h_.eps, "ffn_norm", "ffn_normed", "ffn_norm",
                       Module(layer, "post_attention_layernorm"));
  ASSIGN_OR_RETURN(const int gate_weight,
                   LayerSlot(layer, {"ffn_gate.weight", "mlp.gate_proj.weight"}, {m, d}));
  ASSIGN_OR_RETURN(const int up_weight,
                   LayerSlot(layer, {"ffn_up.weight", "mlp.up_proj.weight"}, {m, d}));
  ASSIGN_OR_RETURN(const int down_weight,
                   LayerSlot(layer, {"ffn_down.weight", "mlp.down_proj.weight"}, {d, m}));
  const int gate = MatMul(layer, fed, gate_weight, h_.intermediate, "ffn_gate", "ffn_gate",
                          Module(layer, "mlp.gate_proj"));
  const int up = MatMul(layer, fed, up_weight, h_.intermediate, "ffn_up", "ffn_up",
                        Module(layer, "mlp.up_proj"));
  const int act = Append({.op = OpKind::kSwiGlu,
                          .site = "ffn_swiglu",
                          .layer = layer,
                          .inputs = {gate, up},
                          .shape = {.width = h_.intermediate, .in_width = h_.intermediate},
                          .llama_name = "ffn_swiglu"});
  const int down = MatMul(layer, act, down_weight, h_.hidden, "ffn_out", "ffn_out",
                          Module(layer, "mlp.down_proj"));
  x_ = Add(layer, down, ffn_inp, "l_out", Module(layer, ""));
  return {};
}

// GGUF keeps Llama 3's frequency factors as a tensor, one a pair.
Status Builder::ReadRopeFactors() {
  if (!gguf() || checkpoint_.Find("rope_freqs.weight") == nullptr) return {};
  const int64_t pairs = static_cast<int64_t>(graph_.rope.rotated / 2);
  ASSIGN_OR_RETURN(const TensorView* tensor, checkpoint_.Get("rope_freqs.weight", {pairs}));
  read_.insert("rope_freqs.weight");
  std::vector<double> factors(static_cast<size_t>(pairs));
  DecodeToDouble(tensor->type, tensor->data, factors);
  for (const double f : factors)
    if (!(f > 0))
      return Fail("{}: tensor 'rope_freqs.weight': expected positive factors, found {}",
                  checkpoint_.path, f);
  graph_.rope.factors = std::move(factors);
  return {};
}

Result<Graph> Builder::Build() {
  graph_.architecture = h_.architecture;
  graph_.layers = static_cast<int>(h_.layers);
  graph_.vocabulary = h_.vocabulary;
  graph_.hidden = h_.hidden;
  graph_.context = h_.context;
  graph_.rope = h_.rope;
  graph_.rope.layout = gguf() ? traits_.gguf_layout : RopeLayout::kHalves;
  graph_.gguf_layout = traits_.gguf_layout;
  RETURN_IF_ERROR(ReadRopeFactors());
  ASSIGN_OR_RETURN(x_, Embed("model.embed_tokens"));
  for (int layer = 0; layer < graph_.layers; ++layer) RETURN_IF_ERROR(Layer(layer));
  RETURN_IF_ERROR(Head(x_, h_.eps, "model.norm", "model.embed_tokens"));
  RETURN_IF_ERROR(CheckAllRead());
  graph_.sites = ListSites(graph_);
  return std::move(graph_);
}

}  // namespace

Result<Graph> BuildDecoder(const Checkpoint& checkpoint, const DecoderTraits& traits) {
  ASSIGN_OR_RETURN(const Hyperparameters h, ReadHyperparameters(checkpoint));
  return Builder(checkpoint, h, traits).Build();
}

}  // namespace vernier
