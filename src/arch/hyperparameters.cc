#include "arch/hyperparameters.h"

#include <cmath>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "model/gguf_writer.h"

namespace vernier {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMost = int64_t{1}
                          << 24;  // no width, count or vocabulary of a real model is larger

// Typed reading of one JSON object, errors named "FILE: 'KEY': expected ...".
class Config {
 public:
  Config(std::string path, Json json) : path_(std::move(path)), json_(std::move(json)) {}
  bool Has(const char* key) const { return json_.contains(key) && !json_.at(key).is_null(); }
  Result<size_t> Count(const char* key) const {
    if (!Has(key)) return Fail("{}: no '{}'", path_, key);
    const Json& v = json_.at(key);
    if (!v.is_number_integer() || v < 1 || v > kMost)
      return Fail("{}: '{}': expected an integer from 1 to {}", path_, key, kMost);
    return v.get<size_t>();
  }
  Result<double> Positive(const char* key) const {
    if (!Has(key)) return Fail("{}: no '{}'", path_, key);
    const Json& v = json_.at(key);
    if (!v.is_number() || !(v.get<double>() > 0) || !std::isfinite(v.get<double>()))
      return Fail("{}: '{}': expected a positive number", path_, key);
    return v.get<double>();
  }
  Result<std::string> Text(const char* key) const {
    if (!Has(key) || !json_.at(key).is_string())
      return Fail("{}: '{}': expected a string", path_, key);
    return json_.at(key).get<std::string>();
  }
  Result<Config> Object(const char* key) const {
    if (!Has(key) || !json_.at(key).is_object())
      return Fail("{}: '{}': expected an object", path_, key);
    return Config(path_, json_.at(key));
  }
  // A list of two numbers, null for one that is not finite (what Infinity is read as).
  Result<std::pair<double, double>> Limits(const char* key) const {
    const Json& v = json_.at(key);
    const auto number = [](const Json& n) { return n.is_number() || n.is_null(); };
    if (!v.is_array() || v.size() != 2 || !number(v[0]) || !number(v[1]))
      return Fail("{}: '{}': expected two numbers", path_, key);
    const std::pair<double, double> limits = {v[0].is_null() ? 0 : v[0].get<double>(),
                                              v[1].is_null() ? INFINITY : v[1].get<double>()};
    if (!(limits.first >= 0 && limits.first < limits.second))
      return Fail("{}: '{}': expected two ascending numbers that are not negative", path_, key);
    return limits;
  }
  bool Is(const char* key, bool value) const {
    return Has(key) && json_.at(key).is_boolean() && json_.at(key).get<bool>() == value;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  Json json_;
};

Result<Config> ParseConfig(const Checkpoint& checkpoint) {
  const std::string path = checkpoint.path + "/config.json";
  Json json = Json::parse(checkpoint.config_json, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return Fail("{}: expected a JSON object", path);
  return Config(path, std::move(json));
}

Status ReadRopeScaling(const Config& config, Hyperparameters* h) {
  if (!config.Has("rope_scaling")) return {};
  ASSIGN_OR_RETURN(const Config scaling, config.Object("rope_scaling"));
  ASSIGN_OR_RETURN(const std::string type,
                   scaling.Text(scaling.Has("rope_type") ? "rope_type" : "type"));
  if (type == "default") return {};
  ASSIGN_OR_RETURN(const double factor, scaling.Positive("factor"));
  if (type == "linear") {
    h->rope.scale = factor;
    return {};
  }
  if (type != "llama3")
    return Fail("{}: 'rope_scaling': type '{}' is not known; expected default, linear or llama3",
                config.path(), type);
  ASSIGN_OR_RETURN(const double low, scaling.Positive("low_freq_factor"));
  ASSIGN_OR_RETURN(const double high, scaling.Positive("high_freq_factor"));
  ASSIGN_OR_RETURN(const double context, scaling.Positive("original_max_position_embeddings"));
  if (!(high > low))
    return Fail("{}: 'rope_scaling': expected high_freq_factor above low_freq_factor",
                config.path());
  h->rope.factors = Llama3RopeFactors(h->rope.rotated, h->rope.theta, factor, low, high, context);
  return {};
}

Result<Hyperparameters> FromConfig(const Checkpoint& checkpoint, const std::string& architecture) {
  ASSIGN_OR_RETURN(const Config config, ParseConfig(checkpoint));
  Hyperparameters h;
  h.architecture = architecture;
  ASSIGN_OR_RETURN(h.layers, config.Count("num_hidden_layers"));
  ASSIGN_OR_RETURN(h.hidden, config.Count("hidden_size"));
  ASSIGN_OR_RETURN(h.intermediate, config.Count("intermediate_size"));
  ASSIGN_OR_RETURN(h.heads, config.Count("num_attention_heads"));
  h.kv_heads = h.heads;
  if (config.Has("num_key_value_heads")) {
    ASSIGN_OR_RETURN(h.kv_heads, config.Count("num_key_value_heads"));
  }
  h.head_dim = h.hidden / h.heads;
  if (config.Has("head_dim")) {
    ASSIGN_OR_RETURN(h.head_dim, config.Count("head_dim"));
  }
  ASSIGN_OR_RETURN(h.vocabulary, config.Count("vocab_size"));
  ASSIGN_OR_RETURN(h.eps, config.Positive("rms_norm_eps"));
  if (config.Has("max_position_embeddings")) {
    ASSIGN_OR_RETURN(h.context, config.Count("max_position_embeddings"));
  }
  h.rope.rotated = h.head_dim;
  if (config.Has("rope_theta")) {
    ASSIGN_OR_RETURN(h.rope.theta, config.Positive("rope_theta"));
  }
  RETURN_IF_ERROR(ReadRopeScaling(config, &h));
  if (config.Has("hidden_act")) {
    ASSIGN_OR_RETURN(const std::string activation, config.Text("hidden_act"));
    if (activation != "silu")
      return Fail("{}: 'hidden_act' is '{}'; expected silu", config.path(), activation);
  }
  if (config.Is("use_sliding_window", true))
    return Fail("{}: 'use_sliding_window': sliding windows are not supported", config.path());
  if (config.Is("mlp_bias", true))
    return Fail("{}: 'mlp_bias': biases of the MLP are not supported", config.path());
  return h;
}

Result<size_t> MetaCount(const Metadata& m, const std::string& key) {
  ASSIGN_OR_RETURN(const int64_t value, m.Int(key, 1, kMost));
  return static_cast<size_t>(value);
}

Status ReadGgufRope(const Checkpoint& checkpoint, const std::string& prefix, Hyperparameters* h) {
  const Metadata& m = checkpoint.metadata;
  h->rope.rotated = h->head_dim;
  if (m.Has(prefix + "rope.dimension_count")) {
    ASSIGN_OR_RETURN(h->rope.rotated, MetaCount(m, prefix + "rope.dimension_count"));
  }
  if (m.Has(prefix + "rope.freq_base")) {
    ASSIGN_OR_RETURN(h->rope.theta, m.Float(prefix + "rope.freq_base"));
  }
  std::string type = "none";
  if (m.Has(prefix + "rope.scaling.type")) {
    ASSIGN_OR_RETURN(type, m.String(prefix + "rope.scaling.type"));
  }
  if (type != "none" && type != "linear")
    return Fail("{}: '{}rope.scaling.type' is '{}'; expected none or linear", checkpoint.path,
                prefix, type);
  const std::string factor =
      m.Has(prefix + "rope.scaling.factor") ? "rope.scaling.factor" : "rope.scale_linear";
  if (type == "linear" || m.Has(prefix + "rope.scale_linear")) {
    ASSIGN_OR_RETURN(h->rope.scale, m.Float(prefix + factor));
  }
  if (!(h->rope.theta > 0) || !(h->rope.scale > 0))
    return Fail("{}: '{}rope.*': expected a positive base and scale", checkpoint.path, prefix);
  return {};
}

Result<Hyperparameters> FromMetadata(const Checkpoint& checkpoint,
                                     const std::string& architecture) {
  const Metadata& m = checkpoint.metadata;
  const std::string prefix = architecture + ".";
  Hyperparameters h;
  h.architecture = architecture;
  ASSIGN_OR_RETURN(h.layers, MetaCount(m, prefix + "block_count"));
  ASSIGN_OR_RETURN(h.hidden, MetaCount(m, prefix + "embedding_length"));
  ASSIGN_OR_RETURN(h.intermediate, MetaCount(m, prefix + "feed_forward_length"));
  ASSIGN_OR_RETURN(h.heads, MetaCount(m, prefix + "attention.head_count"));
  h.kv_heads = h.heads;
  if (m.Has(prefix + "attention.head_count_kv")) {
    ASSIGN_OR_RETURN(h.kv_heads, MetaCount(m, prefix + "attention.head_count_kv"));
  }
  h.head_dim = h.hidden / h.heads;
  if (m.Has(prefix + "attention.key_length")) {
    ASSIGN_OR_RETURN(h.head_dim, MetaCount(m, prefix + "attention.key_length"));
  }
  if (m.Has(prefix + "attention.value_length")) {
    ASSIGN_OR_RETURN(const size_t value_length, MetaCount(m, prefix + "attention.value_length"));
    if (value_length != h.head_dim)
      return Fail("{}: '{}attention.value_length' is {}; expected the key length, {}",
                  checkpoint.path, prefix, value_length, h.head_dim);
  }
  ASSIGN_OR_RETURN(h.eps, m.Float(prefix + "attention.layer_norm_rms_epsilon"));
  if (!(h.eps > 0))
    return Fail("{}: '{}attention.layer_norm_rms_epsilon': expected a positive number",
                checkpoint.path, prefix);
  if (m.Has(prefix + "context_length")) {
    ASSIGN_OR_RETURN(h.context, MetaCount(m, prefix + "context_length"));
  }
  for (const char* key : {"expert_count", "attention.sliding_window"}) {
    if (!m.Has(prefix + key)) continue;
    ASSIGN_OR_RETURN(const int64_t value, m.Int(prefix + key));
    if (value != 0)
      return Fail("{}: '{}{}' is {}: not supported", checkpoint.path, prefix, key, value);
  }
  RETURN_IF_ERROR(ReadGgufRope(checkpoint, prefix, &h));
  const TensorView* embedding = checkpoint.Find("token_embd.weight");
  if (embedding == nullptr) return Fail("{}: no tensor 'token_embd.weight'", checkpoint.path);
  h.vocabulary = static_cast<size_t>(embedding->Rows());
  return h;
}

// What Mamba 2 has in place of a rank: heads, groups and the limits of a step.
Status ReadHeads(const Config& config, SsmHyperparameters* h) {
  ASSIGN_OR_RETURN(h->heads, config.Count("num_heads"));
  ASSIGN_OR_RETURN(h->groups, config.Count("n_groups"));
  ASSIGN_OR_RETURN(const size_t head_dim, config.Count("head_dim"));
  if (h->heads * head_dim != h->inner)
    return Fail("{}: {} heads of {} are not the inner size, {}", config.path(), h->heads, head_dim,
                h->inner);
  if (config.Has("time_step_limit")) {
    ASSIGN_OR_RETURN(const auto limits, config.Limits("time_step_limit"));
    std::tie(h->step_low, h->step_high) = limits;
  }
  if (config.Is("rms_norm", false))
    return Fail("{}: 'rms_norm': a mixer without its norm is not supported", config.path());
  if (config.Is("norm_before_gate", true))
    return Fail("{}: 'norm_before_gate': a norm before the gate is not supported", config.path());
  return {};
}

Status ReadRank(const Config& config, SsmHyperparameters* h) {
  const auto rank = config.Text("time_step_rank");
  if (rank && *rank == "auto") {
    h->dt_rank = (h->hidden + 15) / 16;
    return {};
  }
  ASSIGN_OR_RETURN(h->dt_rank, config.Count("time_step_rank"));
  return {};
}

Result<SsmHyperparameters> SsmFromConfig(const Checkpoint& checkpoint,
                                         const std::string& architecture) {
  ASSIGN_OR_RETURN(const Config config, ParseConfig(checkpoint));
  SsmHyperparameters h;
  h.architecture = architecture == "falcon_mamba" ? "mamba" : architecture;
  ASSIGN_OR_RETURN(h.layers, config.Count("num_hidden_layers"));
  ASSIGN_OR_RETURN(h.hidden, config.Count("hidden_size"));
  ASSIGN_OR_RETURN(h.vocabulary, config.Count("vocab_size"));
  ASSIGN_OR_RETURN(h.states, config.Count("state_size"));
  ASSIGN_OR_RETURN(h.taps, config.Count("conv_kernel"));
  if (config.Has("intermediate_size")) {
    ASSIGN_OR_RETURN(h.inner, config.Count("intermediate_size"));
  } else {
    ASSIGN_OR_RETURN(const size_t expand, config.Count("expand"));
    h.inner = expand * h.hidden;
  }
  RETURN_IF_ERROR(architecture == "mamba2" ? ReadHeads(config, &h) : ReadRank(config, &h));
  ASSIGN_OR_RETURN(h.eps, config.Positive("layer_norm_epsilon"));
  if (architecture == "falcon_mamba") {
    ASSIGN_OR_RETURN(h.parts_eps, config.Positive("mixer_rms_eps"));
  }
  if (config.Has("max_position_embeddings")) {
    ASSIGN_OR_RETURN(h.context, config.Count("max_position_embeddings"));
  }
  if (config.Has("hidden_act")) {
    ASSIGN_OR_RETURN(const std::string activation, config.Text("hidden_act"));
    if (activation != "silu")
      return Fail("{}: 'hidden_act' is '{}'; expected silu", config.path(), activation);
  }
  if (config.Is("use_bias", true))
    return Fail("{}: 'use_bias': biases of in_proj and out_proj are not supported", config.path());
  h.conv_bias = !config.Is("use_conv_bias", false);
  return h;
}

Result<SsmHyperparameters> SsmFromMetadata(const Checkpoint& checkpoint,
                                           const std::string& architecture) {
  const Metadata& m = checkpoint.metadata;
  const std::string prefix = architecture + ".";
  SsmHyperparameters h;
  h.architecture = architecture;
  ASSIGN_OR_RETURN(h.layers, MetaCount(m, prefix + "block_count"));
  ASSIGN_OR_RETURN(h.hidden, MetaCount(m, prefix + "embedding_length"));
  ASSIGN_OR_RETURN(h.inner, MetaCount(m, prefix + "ssm.inner_size"));
  ASSIGN_OR_RETURN(h.states, MetaCount(m, prefix + "ssm.state_size"));
  ASSIGN_OR_RETURN(h.taps, MetaCount(m, prefix + "ssm.conv_kernel"));
  ASSIGN_OR_RETURN(h.dt_rank, MetaCount(m, prefix + "ssm.time_step_rank"));
  if (architecture == "mamba2") {
    ASSIGN_OR_RETURN(h.groups, MetaCount(m, prefix + "ssm.group_count"));
    h.heads = std::exchange(h.dt_rank, 0);  // where these files keep it
  }
  ASSIGN_OR_RETURN(h.eps, m.Float(prefix + "attention.layer_norm_rms_epsilon"));
  if (!(h.eps > 0))
    return Fail("{}: '{}attention.layer_norm_rms_epsilon': expected a positive number",
                checkpoint.path, prefix);
  if (m.Has(prefix + "context_length")) {
    ASSIGN_OR_RETURN(h.context, MetaCount(m, prefix + "context_length"));
  }
  if (m.Has(prefix + "ssm.dt_b_c_rms")) {
    ASSIGN_OR_RETURN(const bool norms, m.Bool(prefix + "ssm.dt_b_c_rms"));
    if (norms) h.parts_eps = h.eps;
  }
  const TensorView* embedding = checkpoint.Find("token_embd.weight");
  if (embedding == nullptr) return Fail("{}: no tensor 'token_embd.weight'", checkpoint.path);
  h.vocabulary = static_cast<size_t>(embedding->Rows());
  h.conv_bias = checkpoint.Find("blk.0.ssm_conv1d.bias") != nullptr;
  return h;
}

void SetCount(const std::string& key, size_t value, Metadata* metadata) {
  metadata->Set(key, MetaUint32(static_cast<uint32_t>(value)));
}

NamedConstant Whole(const char* name, size_t value) {
  return {name, static_cast<double>(value), true};
}

}  // namespace

Result<std::string> ArchitectureName(const Checkpoint& checkpoint) {
  if (checkpoint.kind == CheckpointKind::kGguf)
    return checkpoint.metadata.String("general.architecture");
  ASSIGN_OR_RETURN(const Config config, ParseConfig(checkpoint));
  return config.Text("model_type");
}

Result<Hyperparameters> ReadHyperparameters(const Checkpoint& checkpoint) {
  ASSIGN_OR_RETURN(const std::string architecture, ArchitectureName(checkpoint));
  auto h = checkpoint.kind == CheckpointKind::kGguf ? FromMetadata(checkpoint, architecture)
                                                    : FromConfig(checkpoint, architecture);
  if (!h) return h;
  if (h->heads % h->kv_heads != 0)
    return Fail("{}: {} heads on {} KV heads: expected a multiple", checkpoint.path, h->heads,
                h->kv_heads);
  if (h->rope.rotated % 2 != 0 || h->rope.rotated > h->head_dim)
    return Fail("{}: {} rotated elements of a head of {}: expected an even number up to it",
                checkpoint.path, h->rope.rotated, h->head_dim);
  return h;
}

Result<SsmHyperparameters> ReadSsmHyperparameters(const Checkpoint& checkpoint) {
  ASSIGN_OR_RETURN(const std::string architecture, ArchitectureName(checkpoint));
  auto h = checkpoint.kind == CheckpointKind::kGguf ? SsmFromMetadata(checkpoint, architecture)
                                                    : SsmFromConfig(checkpoint, architecture);
  if (!h || h->heads == 0) return h;
  if (h->inner % h->heads != 0)
    return Fail("{}: an inner size of {} in {} heads: expected a multiple", checkpoint.path,
                h->inner, h->heads);
  if (h->heads % h->groups != 0)
    return Fail("{}: {} heads in {} groups: expected a multiple", checkpoint.path, h->heads,
                h->groups);
  return h;
}

Result<std::vector<NamedConstant>> DecoderConstants(const Checkpoint& checkpoint) {
  ASSIGN_OR_RETURN(const Hyperparameters h, ReadHyperparameters(checkpoint));
  return std::vector<NamedConstant>{Whole("layers", h.layers),
                                    Whole("hidden", h.hidden),
                                    Whole("intermediate", h.intermediate),
                                    Whole("heads", h.heads),
                                    Whole("kv_heads", h.kv_heads),
                                    Whole("head_dim", h.head_dim),
                                    Whole("vocabulary", h.vocabulary),
                                    Whole("context", h.context),
                                    {"eps", h.eps, false},
                                    {"rope_theta", h.rope.theta, false},
                                    Whole("rope_rotated", h.rope.rotated),
                                    {"rope_scale", h.rope.scale, false}};
}

Result<std::vector<NamedConstant>> SsmConstants(const Checkpoint& checkpoint) {
  ASSIGN_OR_RETURN(const SsmHyperparameters h, ReadSsmHyperparameters(checkpoint));
  std::vector<NamedConstant> constants = {Whole("layers", h.layers), Whole("hidden", h.hidden),
                                          Whole("inner", h.inner), Whole("states", h.states),
                                          Whole("conv_kernel", h.taps)};
  if (h.heads == 0) constants.push_back(Whole("dt_rank", h.dt_rank));
  if (h.heads > 0) constants.push_back(Whole("heads", h.heads));
  if (h.heads > 0) constants.push_back(Whole("groups", h.groups));
  constants.push_back(Whole("vocabulary", h.vocabulary));
  constants.push_back(Whole("context", h.context));
  constants.push_back({"eps", h.eps, false});
  if (h.parts_eps) constants.push_back({"parts_eps", *h.parts_eps, false});
  if (h.LimitsStep()) constants.push_back({"step_low", h.step_low, false});
  if (h.LimitsStep()) constants.push_back({"step_high", h.step_high, false});
  return constants;
}

Status WriteDecoderConstants(const Checkpoint& folder, Metadata* metadata) {
  ASSIGN_OR_RETURN(const Hyperparameters h, ReadHyperparameters(folder));
  const std::string prefix = h.architecture + ".";
  SetCount(prefix + "block_count", h.layers, metadata);
  if (h.context > 0) SetCount(prefix + "context_length", h.context, metadata);
  SetCount(prefix + "embedding_length", h.hidden, metadata);
  SetCount(prefix + "feed_forward_length", h.intermediate, metadata);
  SetCount(prefix + "attention.head_count", h.heads, metadata);
  SetCount(prefix + "attention.head_count_kv", h.kv_heads, metadata);
  metadata->Set(prefix + "rope.freq_base", MetaFloat32(static_cast<float>(h.rope.theta)));
  metadata->Set(prefix + "attention.layer_norm_rms_epsilon",
                MetaFloat32(static_cast<float>(h.eps)));
  SetCount(prefix + "attention.key_length", h.head_dim, metadata);
  SetCount(prefix + "attention.value_length", h.head_dim, metadata);
  SetCount(prefix + "vocab_size", h.vocabulary, metadata);
  SetCount(prefix + "rope.dimension_count", h.rope.rotated, metadata);
  if (h.rope.scale != 1) {
    metadata->Set(prefix + "rope.scaling.type", MetaString("linear"));
    metadata->Set(prefix + "rope.scaling.factor", MetaFloat32(static_cast<float>(h.rope.scale)));
  }
  return {};
}

Status WriteSsmConstants(const Checkpoint& folder, Metadata* metadata) {
  ASSIGN_OR_RETURN(const SsmHyperparameters h, ReadSsmHyperparameters(folder));
  if (h.LimitsStep())
    return Fail("{}: 'time_step_limit': GGUF has no key for limits of the step", folder.path);
  if (h.parts_eps && *h.parts_eps != h.eps)
    return Fail(
        "{}: 'mixer_rms_eps' is {} and 'layer_norm_epsilon' {}: GGUF has one constant for both",
        folder.path, *h.parts_eps, h.eps);
  const std::string prefix = h.architecture + ".";
  SetCount(prefix + "block_count", h.layers, metadata);
  // A recurrence has no longest text; readers want a number all the same.
  SetCount(prefix + "context_length", h.context > 0 ? h.context : size_t{1} << 20, metadata);
  SetCount(prefix + "embedding_length", h.hidden, metadata);
  SetCount(prefix + "feed_forward_length", 0, metadata);
  SetCount(prefix + "attention.head_count", 0, metadata);
  SetCount(prefix + "ssm.conv_kernel", h.taps, metadata);
  SetCount(prefix + "ssm.inner_size", h.inner, metadata);
  SetCount(prefix + "ssm.state_size", h.states, metadata);
  SetCount(prefix + "ssm.time_step_rank", h.heads > 0 ? h.heads : h.dt_rank, metadata);
  if (h.heads > 0) SetCount(prefix + "ssm.group_count", h.groups, metadata);
  metadata->Set(prefix + "attention.layer_norm_rms_epsilon",
                MetaFloat32(static_cast<float>(h.eps)));
  if (h.heads == 0) metadata->Set(prefix + "ssm.dt_b_c_rms", MetaBool(h.parts_eps.has_value()));
  SetCount(prefix + "vocab_size", h.vocabulary, metadata);
  return {};
}

}  // namespace vernier
