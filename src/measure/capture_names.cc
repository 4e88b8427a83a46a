#include "measure/capture_names.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "arch/graph.h"
#include "base/file.h"
#include "measure/capture.h"

namespace vernier {
namespace {

// Of a layer. Names that llama.cpp gives to one tensor only.
constexpr NamePair kLlama[] = {
    {"attn_norm", "attn_norm"},
    {"kq", "kq"},
    {"kq_soft_max", "kq_soft_max"},
    {"kqv_out", "kqv_out"},
    {"attn_out", "attn_out"},
    {"ffn_inp", "ffn_inp"},
    {"ffn_norm", "ffn_norm"},
    {"ffn_gate", "ffn_gate"},
    {"ffn_up", "ffn_up"},
    {"ffn_swiglu", "ffn_swiglu"},
    {"ffn_gate_par", "ffn_swiglu"},
    {"ffn_out", "ffn_out"},
    {"l_out", "l_out"},
    {"mamba2_y_add_d", "ssm_y"},
    {"mamba_out", "ssm_out"},
};
constexpr NamePair kLlamaGlobal[] = {
    {"embd", "embd"},
    {"inp_embd", "embd"},
    {"norm", "result_normed"},
    {"result_norm", "result_norm"},
    {"result_output", "result_output"},
};
// Matrix products that llama.cpp leaves unnamed, by the weight they read.
constexpr NamePair kByWeight[] = {
    {"attn_output", "attn_out"}, {"ssm_in", "ssm_in"},   {"ssm_x", "ssm_x"},
    {"ssm_dt", "ssm_dt_nobias"}, {"ssm_out", "ssm_out"},
};
constexpr NamePair kByBias[] = {{"ssm_dt", "ssm_dt"}, {"ssm_conv1d", "ssm_conv"}};
// Ops that move elements and compute nothing.
constexpr const char* kViews[] = {"RESHAPE", "VIEW", "PERMUTE", "TRANSPOSE"};

// After "layers.N.": modules as forward hooks name them; "" is the layer itself.
constexpr NamePair kModules[] = {
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "Qcur"},
    {"self_attn.k_proj", "Kcur"},
    {"self_attn.v_proj", "Vcur"},
    {"self_attn.o_proj", "attn_out"},
    {"self_attn", "attn_out"},
    {"post_attention_layernorm", "ffn_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_out"},
    {"mlp", "ffn_out"},
    {"norm", "attn_norm"},
    {"mixer.in_proj", "ssm_in"},
    {"mixer.x_proj", "ssm_x"},
    {"mixer.dt_proj", "ssm_dt"},
    {"mixer.norm", "ssm_norm"},
    {"mixer.out_proj", "ssm_out"},
    {"mixer", "ssm_out"},
    {"", "l_out"},
};
constexpr NamePair kModuleInputs[] = {
    {"self_attn.o_proj", "kqv_out"},         {"mlp.down_proj", "ffn_swiglu"},
    {"post_attention_layernorm", "ffn_inp"}, {"mixer.out_proj", "ssm_gated"},
    {"mixer.x_proj", "ssm_conv_silu"},       {"self_attn.q_proj", "attn_norm"},
    {"mlp.gate_proj", "ffn_norm"},           {"mixer.in_proj", "attn_norm"},
};
constexpr NamePair kModulesGlobal[] = {
    {"embed_tokens", "embd"},  {"embeddings", "embd"},       {"norm", "result_norm"},
    {"norm_f", "result_norm"}, {"lm_head", "result_output"}, {"logits", "result_output"},
};

template <size_t N>
const char* Find(const NamePair (&pairs)[N], std::string_view name) {
  const auto found = std::find_if(std::begin(pairs), std::end(pairs),
                                  [&](const NamePair& p) { return name == p.foreign; });
  return found == std::end(pairs) ? nullptr : found->site;
}

std::string Label(std::string_view site, int layer) {
  return Site{std::string(site), layer}.Label();
}

// "attn_norm-3" into "attn_norm" and 3.
struct Numbered {
  std::string_view base;
  int number = -1;
};
constexpr size_t kMostDigits = 6;
std::optional<int> Digits(std::string_view text) {
  if (text.empty() || text.size() > kMostDigits ||
      !std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return std::nullopt;
  return std::stoi(std::string(text));
}
Numbered SplitNumber(std::string_view name) {
  const size_t dash = name.rfind('-');
  if (dash == std::string_view::npos || dash == 0) return {name};
  const auto number = Digits(name.substr(dash + 1));
  return number ? Numbered{name.substr(0, dash), *number} : Numbered{name};
}

// "blk.3.attn_output.weight" into 3, "attn_output" and "weight".
struct WeightName {
  int layer = -1;
  std::string_view base, kind;
};
std::optional<WeightName> SplitWeight(std::string_view name) {
  if (!name.starts_with("blk.")) return std::nullopt;
  const size_t dot = name.find('.', 4), last = name.rfind('.');
  if (dot == std::string_view::npos || last <= dot) return std::nullopt;
  const auto layer = Digits(name.substr(4, dot - 4));
  if (!layer) return std::nullopt;
  return WeightName{*layer, name.substr(dot + 1, last - dot - 1), name.substr(last + 1)};
}

// q, k, v: before the bias, after it, and rotated have one name.
SiteCandidates ProjectionSites(const std::string& site, int layer, const std::string& op) {
  const std::string plain = Label(site, layer), before = Label(site + "_nobias", layer),
                    rotated = Label(site + "_rope", layer);
  if (op == "MUL_MAT") return {{before, plain}, false};
  if (op == "ADD") return {{plain}, false};
  if (op == "ROPE") return {{rotated}, false};
  if (!op.empty()) return {};
  return site == "Vcur" ? SiteCandidates{{plain}, false} : SiteCandidates{{plain, rotated}, true};
}

// "cache_k_l3": the rows stored, not the views attention reads.
SiteCandidates CacheSites(std::string_view name, const std::string& op) {
  const size_t end = std::min(name.find(' '), name.size());
  const auto layer = Digits(name.substr(9, end - 9));
  if (!layer || (op != "SET_ROWS" && op != "CPY")) return {};
  return {{Label(name[6] == 'k' ? "k_cache" : "v_cache", *layer)}, false};
}

SiteCandidates LlamaSites(const ForeignTensor& tensor) {
  const std::string_view name = tensor.name;
  if (MovesOnly(tensor)) return {};
  if (name.starts_with("cache_k_l") || name.starts_with("cache_v_l"))
    return CacheSites(name, tensor.op);
  const Numbered n = SplitNumber(name);
  for (const std::string& source : tensor.sources) {
    const auto weight = SplitWeight(source);
    if (!weight) continue;
    if (tensor.op == "MUL_MAT" && weight->kind == "weight")
      if (const char* site = Find(kByWeight, weight->base))
        return {{Label(site, weight->layer)}, false};
    if (tensor.op == "SSM_CONV")
      return {{Label("ssm_conv_nobias", weight->layer), Label("ssm_conv", weight->layer)}, false};
    if (tensor.op == "ADD" && weight->kind == "bias")
      if (const char* site = Find(kByBias, weight->base))
        return {{Label(site, weight->layer)}, false};
  }
  if (n.number < 0) {
    const char* site = Find(kLlamaGlobal, n.base);
    return site == nullptr ? SiteCandidates{} : SiteCandidates{{site}, false};
  }
  for (const char* site : {"Qcur", "Kcur", "Vcur"})
    if (n.base == site) return ProjectionSites(site, n.number, tensor.op);
  if (n.base == "norm") {
    const std::string attention = Label("attn_normed", n.number),
                      feed = Label("ffn_normed", n.number);
    if (tensor.sources.empty()) return {{attention, feed}, true};
    return {{tensor.sources[0].starts_with("ffn_inp") ? feed : attention}, false};
  }
  const char* site = Find(kLlama, n.base);
  if (site == nullptr) return {};
  return {{Label(site, n.number)}, false};
}

SiteCandidates ModuleSites(std::string_view name) {
  bool input = false;
  for (const std::string_view suffix : {".output.0", ".output", ".out"})
    if (name.ends_with(suffix)) {
      name.remove_suffix(suffix.size());
      break;
    }
  for (const std::string_view suffix : {".input.0", ".input"})
    if (name.ends_with(suffix)) {
      name.remove_suffix(suffix.size());
      input = true;
      break;
    }
  for (const std::string_view prefix : {"model.", "backbone.", "transformer."})
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  if (!name.starts_with("layers.")) {
    const char* site = input ? nullptr : Find(kModulesGlobal, name);
    return site == nullptr ? SiteCandidates{} : SiteCandidates{{site}, false};
  }
  name.remove_prefix(std::string_view("layers.").size());
  const size_t dot = std::min(name.find('.'), name.size());
  const auto layer = Digits(name.substr(0, dot));
  if (!layer) return {};
  const std::string_view module = dot == name.size() ? std::string_view() : name.substr(dot + 1);
  const char* site = input ? Find(kModuleInputs, module) : Find(kModules, module);
  if (input && module == "mixer.out_proj")  // behind Mamba 2's norm
    return {{Label("ssm_norm", *layer), Label(site, *layer)}, false};
  return site == nullptr ? SiteCandidates{} : SiteCandidates{{Label(site, *layer)}, false};
}

// The text that "*" stands for; nullopt: no match.
std::optional<std::string> MatchStar(std::string_view pattern, std::string_view name) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos)
    return pattern == name ? std::optional<std::string>("") : std::nullopt;
  const std::string_view before = pattern.substr(0, star), after = pattern.substr(star + 1);
  if (name.size() < before.size() + after.size() || !name.starts_with(before) ||
      !name.ends_with(after))
    return std::nullopt;
  const std::string_view middle =
      name.substr(before.size(), name.size() - before.size() - after.size());
  return Digits(middle) ? std::optional<std::string>(middle) : std::nullopt;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
    text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  return text;
}

template <size_t N>
std::vector<NamePair> AsVector(const NamePair (&pairs)[N]) {
  return {std::begin(pairs), std::end(pairs)};
}

}  // namespace

std::vector<NamePair> LlamaNames() { return AsVector(kLlama); }
std::vector<NamePair> ModuleNames() { return AsVector(kModules); }

bool MovesOnly(const ForeignTensor& tensor) {
  return std::find(std::begin(kViews), std::end(kViews), tensor.op) != std::end(kViews);
}

Result<NameMap> ReadNameMap(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(path));
  NameMap out;
  size_t at = 0, line = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view t = Trim(std::string_view(text).substr(at, end - at));
    at = end + 1;
    ++line;
    if (t.empty() || t.front() == '#') continue;
    const size_t equals = t.rfind('=');
    if (equals == std::string_view::npos)
      return Fail("{}: line {}: expected FOREIGN = SITE", path, line);
    const std::string_view from = Trim(t.substr(0, equals)), to = Trim(t.substr(equals + 1));
    const auto stars = [](std::string_view s) { return std::count(s.begin(), s.end(), '*'); };
    if (from.empty() || to.empty() || stars(from) > 1 || stars(from) != stars(to))
      return Fail("{}: line {}: expected FOREIGN = SITE, with one '*' in both or none", path, line);
    out.lines.emplace_back(from, to);
  }
  return out;
}

SiteCandidates FindSites(const ForeignTensor& tensor, const NameMap& map) {
  for (const auto& [from, to] : map.lines) {
    const auto middle = MatchStar(from, tensor.name);
    if (!middle) continue;
    std::string label = to;
    if (const size_t star = label.find('*'); star != std::string::npos)
      label.replace(star, 1, *middle);
    return {{label}, false};
  }
  if (ParseSiteLabel(tensor.name).layer >= 0) return {{tensor.name}, false};
  SiteCandidates found = LlamaSites(tensor);
  if (found.labels.empty() && tensor.op.empty()) found = ModuleSites(tensor.name);
  // Names without layer may be labels of sites: "embd" in a file of another program.
  if (found.labels.empty() && tensor.op.empty()) found.labels = {tensor.name};
  return found;
}

}  // namespace vernier
