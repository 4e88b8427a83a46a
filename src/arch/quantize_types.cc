#include "arch/quantize_types.h"

#include <strings.h>

#include <algorithm>
#include <numeric>

namespace vernier {
namespace {

using enum TensorType;

constexpr FileType kFileTypes[] = {
    {"F32", 0, kF32},        {"F16", 1, kF16},          {"BF16", 32, kBF16},
    {"Q4_0", 2, kQ4_0},      {"Q4_1", 3, kQ4_1},        {"Q5_0", 8, kQ5_0},
    {"Q5_1", 9, kQ5_1},      {"Q8_0", 7, kQ8_0},        {"Q2_K", 10, kQ2_K},
    {"Q2_K_S", 21, kQ2_K},   {"Q3_K_S", 11, kQ3_K},     {"Q3_K_M", 12, kQ3_K},
    {"Q3_K_L", 13, kQ3_K},   {"Q4_K_S", 14, kQ4_K},     {"Q4_K_M", 15, kQ4_K},
    {"Q5_K_S", 16, kQ5_K},   {"Q5_K_M", 17, kQ5_K},     {"Q6_K", 18, kQ6_K},
    {"IQ4_NL", 25, kIQ4_NL}, {"IQ4_XS", 30, kIQ4_XS},   {"TQ1_0", 36, kTQ1_0},
    {"TQ2_0", 37, kTQ2_0},   {"MXFP4_MOE", 38, kMXFP4}, {"NVFP4", 39, kNVFP4},
};
constexpr std::pair<const char*, const char*> kAliases[] = {
    {"Q3_K", "Q3_K_M"}, {"Q4_K", "Q4_K_M"}, {"Q5_K", "Q5_K_M"}};

bool SameWord(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

enum class Category {
  kTokenEmbedding,
  kOutput,
  kAttentionQ,
  kAttentionK,
  kAttentionV,  // also fused q, k and v, and what k and v are made of
  kAttentionOutput,
  kFfnDown,
  kOther,
};

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

Category CategoryOf(std::string_view name) {
  if (name == "output.weight") return Category::kOutput;
  if (name == "token_embd.weight" || name == "per_layer_token_embd.weight")
    return Category::kTokenEmbedding;
  constexpr std::pair<const char*, Category> kParts[] = {
      {"attn_qkv.weight", Category::kAttentionV},
      {"attn_kv_b.weight", Category::kAttentionV},
      {"attn_v.weight", Category::kAttentionV},
      {"attn_k.weight", Category::kAttentionK},
      {"attn_q.weight", Category::kAttentionQ},
      {"attn_output.weight", Category::kAttentionOutput},
      {"ffn_up", Category::kOther},
      {"ffn_gate", Category::kOther},
      {"ffn_down", Category::kFfnDown}};
  for (const auto& [part, category] : kParts)
    if (Contains(name, part)) return category;
  return Category::kOther;
}

// Where in the model a row of the mixture table holds. i counts the tensors of the category, or is
// the layer; n is how many there are.
enum class Where { kAll, kFirst2, kFirst4, kSixteenth, kEighth, kMoreBits, kGrouped };
enum class Models { kAny, kFalcon, kOthers };
enum class Importance { kEither, kWithout, kWith };

struct MixtureRow {
  std::string_view file_type;
  Category category;
  Where where;
  TensorType type;
  Models models = Models::kAny;
  Importance importance = Importance::kEither;
};

// The first row that holds decides; without one the tensor gets the file type's own type.
constexpr MixtureRow kMixtures[] = {
    {"Q2_K", Category::kAttentionV, Where::kGrouped, kQ4_K},
    {"Q2_K", Category::kAttentionV, Where::kAll, kQ3_K},
    {"Q2_K_S", Category::kAttentionV, Where::kGrouped, kQ4_K},
    {"Q3_K_M", Category::kAttentionV, Where::kFirst2, kQ5_K},
    {"Q3_K_M", Category::kAttentionV, Where::kAll, kQ4_K},
    {"Q3_K_L", Category::kAttentionV, Where::kAll, kQ5_K},
    {"Q4_K_S", Category::kAttentionV, Where::kFirst4, kQ5_K},
    {"Q4_K_M", Category::kAttentionV, Where::kMoreBits, kQ6_K},
    {"Q5_K_M", Category::kAttentionV, Where::kMoreBits, kQ6_K},
    {"IQ4_NL", Category::kAttentionV, Where::kGrouped, kQ5_K},
    {"IQ4_XS", Category::kAttentionV, Where::kGrouped, kQ5_K},

    {"Q2_K", Category::kFfnDown, Where::kAll, kQ3_K},
    {"Q2_K_S", Category::kFfnDown, Where::kEighth, kQ4_K},
    {"Q3_K_M", Category::kFfnDown, Where::kSixteenth, kQ5_K},
    {"Q3_K_M", Category::kFfnDown, Where::kMoreBits, kQ4_K, Models::kFalcon},
    {"Q3_K_M", Category::kFfnDown, Where::kAll, kQ4_K, Models::kOthers},
    {"Q3_K_L", Category::kFfnDown, Where::kAll, kQ4_K, Models::kFalcon},
    {"Q3_K_L", Category::kFfnDown, Where::kAll, kQ5_K, Models::kOthers},
    {"Q4_K_S", Category::kFfnDown, Where::kEighth, kQ5_K, Models::kOthers},
    {"Q4_K_M", Category::kFfnDown, Where::kSixteenth, kQ6_K, Models::kFalcon},
    {"Q4_K_M", Category::kFfnDown, Where::kMoreBits, kQ5_K, Models::kFalcon},
    {"Q4_K_M", Category::kFfnDown, Where::kMoreBits, kQ6_K, Models::kOthers},
    {"Q5_K_M", Category::kFfnDown, Where::kMoreBits, kQ6_K},
    {"IQ4_NL", Category::kFfnDown, Where::kEighth, kQ5_K, Models::kAny, Importance::kWithout},
    {"IQ4_XS", Category::kFfnDown, Where::kEighth, kQ5_K, Models::kAny, Importance::kWithout},
    {"Q4_0", Category::kFfnDown, Where::kEighth, kQ4_1, Models::kAny, Importance::kWith},
    {"Q5_0", Category::kFfnDown, Where::kEighth, kQ5_1, Models::kAny, Importance::kWith},

    {"Q2_K", Category::kAttentionOutput, Where::kAll, kQ3_K, Models::kOthers},
    {"Q3_K_M", Category::kAttentionOutput, Where::kAll, kQ4_K, Models::kOthers},
    {"Q3_K_L", Category::kAttentionOutput, Where::kAll, kQ4_K, Models::kFalcon},
    {"Q3_K_L", Category::kAttentionOutput, Where::kAll, kQ5_K, Models::kOthers},
};

// File types whose attn_output is Q5_K in models of eight experts.
constexpr std::string_view kExpertOutput[] = {"Q2_K",   "Q3_K_S", "Q3_K_M", "Q4_K_S",
                                              "Q4_K_M", "IQ4_NL", "IQ4_XS"};

// What a type becomes where rows are not whole blocks; F16 when it is not here or does not fit
// either.
constexpr std::pair<TensorType, TensorType> kFallbacks[] = {
    {kIQ4_XS, kIQ4_NL}, {kQ2_K, kQ4_0}, {kQ3_K, kQ4_0}, {kTQ1_0, kQ4_0},
    {kTQ2_0, kQ4_0},    {kQ4_K, kQ5_0}, {kQ5_K, kQ5_1}, {kQ6_K, kQ8_0}};

// Parts of names that are not quantised (see IsQuantizable).
constexpr std::string_view kKeptParts[] = {"_norm.weight",
                                           "ffn_gate_inp.weight",
                                           "ffn_gate_tid2eid.weight",
                                           "altup",
                                           "laurel",
                                           "per_layer_model_proj",
                                           "ssm_conv1d",
                                           "shortconv.conv.weight",
                                           "indexer.k_proj.weight",
                                           "indexer.q_proj.weight",
                                           "time_mix_first.weight",
                                           "time_mix_w0.weight",
                                           "time_mix_w1.weight",
                                           "time_mix_w2.weight",
                                           "time_mix_v0.weight",
                                           "time_mix_v1.weight",
                                           "time_mix_v2.weight",
                                           "time_mix_a0.weight",
                                           "time_mix_a1.weight",
                                           "time_mix_a2.weight",
                                           "time_mix_g1.weight",
                                           "time_mix_g2.weight",
                                           "time_mix_decay_w1.weight",
                                           "time_mix_decay_w2.weight",
                                           "time_mix_lerp_fused.weight",
                                           "attn_rel_b.weight",
                                           ".position_embd",
                                           "sam.pos_embd",
                                           "sam.neck.",
                                           "sam.net_",
                                           ".rel_pos",
                                           ".patch_embd",
                                           ".patch_merger",
                                           "a.rvq.codebook",
                                           "mm.a.code_embd"};
constexpr std::string_view kKeptNames[] = {"position_embd.weight", "token_types.weight"};

// The layer of "blk.N.", or -1.
int LayerOf(std::string_view name) {
  if (!name.starts_with("blk.")) return -1;
  int layer = 0;
  size_t at = 4;
  for (; at < name.size() && name[at] >= '0' && name[at] <= '9'; ++at) {
    if (layer > 1000000) return -1;
    layer = layer * 10 + (name[at] - '0');
  }
  return at > 4 && at < name.size() && name[at] == '.' ? layer : -1;
}

bool Holds(Where where, int i, int n, const MixtureFacts& facts) {
  switch (where) {
    case Where::kAll:
      return true;
    case Where::kFirst2:
      return i < 2;
    case Where::kFirst4:
      return i < 4;
    case Where::kSixteenth:
      return i < n / 16;
    case Where::kEighth:
      return i < n / 8;
    case Where::kMoreBits:  // the first and last eighth, and every third between
      return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
    case Where::kGrouped:
      return facts.query_groups >= 4;
  }
  return false;
}

TensorType Fallback(TensorType type, int64_t columns) {
  const auto fits = [columns](TensorType t) { return columns % Info(t).block_elements == 0; };
  if (fits(type)) return type;
  for (const auto& [from, to] : kFallbacks)
    if (from == type && fits(to)) return to;
  return kF16;
}

class Chooser {
 public:
  Chooser(const MixtureFacts& facts, const MixtureOptions& options,
          std::span<const NamedShape> tensors)
      : facts_(facts), options_(options), type_(options.file_type) {
    for (const NamedShape& tensor : tensors) {
      const Category category = CategoryOf(tensor.name);
      values_ += category == Category::kAttentionV;
      tied_ = tied_ && category != Category::kOutput;
    }
  }

  TypeChoice Choose(const NamedShape& tensor, std::optional<TensorType> pattern) {
    if (!IsQuantizable(tensor.name, tensor.shape) ||
        (options_.leave_output && tensor.name == "output.weight"))
      return {tensor.type, tensor.type, true};
    const TensorType wanted = Wanted(tensor, pattern);
    if (wanted == tensor.type) return {wanted, wanted, false};
    return {Fallback(wanted, tensor.shape.back()), wanted, false};
  }

 private:
  TensorType Wanted(const NamedShape& tensor, std::optional<TensorType> pattern) {
    const Category category = CategoryOf(tensor.name);
    if (category == Category::kTokenEmbedding && options_.token_embedding)
      return *options_.token_embedding;
    if (category == Category::kOutput && options_.output) return *options_.output;
    if (pattern) return *pattern;
    if (type_ == nullptr) return tensor.type;
    if (options_.pure || Info(type_->type).block_elements == 1) return type_->type;
    return Mixture(tensor, category);
  }

  TensorType Mixture(const NamedShape& tensor, Category category) {
    if (category == Category::kOutput || (tied_ && category == Category::kTokenEmbedding))
      return OfOutput(tensor.shape.back());
    if (Is("MXFP4_MOE")) {  // the experts of a mixture model, and nothing else
      const size_t dims = tensor.shape.size();
      return dims > 2 && tensor.shape[dims - 3] > 1 ? kMXFP4 : kQ8_0;
    }
    if (category == Category::kTokenEmbedding)
      return Is("TQ1_0") || Is("TQ2_0") ? kQ4_K : type_->type;
    const int layer = facts_.experts > 1 ? LayerOf(tensor.name) : downs_seen_;
    if (category == Category::kAttentionV)
      return OfValues(FromTable(category, values_seen_++, values_));
    if (category == Category::kAttentionK && facts_.experts == 8) return kQ8_0;
    if (category == Category::kAttentionOutput && facts_.experts == 8 &&
        facts_.architecture != "falcon")
      return std::any_of(std::begin(kExpertOutput), std::end(kExpertOutput),
                         [&](std::string_view name) { return Is(name); })
                 ? kQ5_K
                 : type_->type;
    if (category == Category::kFfnDown) ++downs_seen_;
    return FromTable(category, layer, facts_.layers);
  }

  // Of output.weight, or of the embeddings that stand in for it.
  TensorType OfOutput(int64_t columns) const {
    if (options_.output) return *options_.output;
    if (Is("MXFP4_MOE") || facts_.architecture == "falcon" ||
        columns % Info(type_->type).block_elements != 0)
      return kQ8_0;
    return type_->type == kQ8_0 ? kQ8_0 : kQ6_K;
  }

  TensorType OfValues(TensorType type) const {
    if (facts_.experts == 8) return kQ8_0;
    if (facts_.narrow_values && (type == kQ3_K || type == kQ4_K)) return kQ5_K;
    return type;
  }

  TensorType FromTable(Category category, int i, int n) const {
    const Models models = facts_.architecture == "falcon" ? Models::kFalcon : Models::kOthers;
    const Importance importance =
        options_.has_importance ? Importance::kWith : Importance::kWithout;
    for (const MixtureRow& row : kMixtures)
      if (row.category == category && Is(row.file_type) &&
          (row.models == Models::kAny || row.models == models) &&
          (row.importance == Importance::kEither || row.importance == importance) &&
          Holds(row.where, i, n, facts_))
        return row.type;
    return type_->type;
  }

  bool Is(std::string_view name) const { return type_->name == name; }

  const MixtureFacts& facts_;
  const MixtureOptions& options_;
  const FileType* type_;
  bool tied_ = true;
  int values_ = 0, values_seen_ = 0, downs_seen_ = 0;
};

// An integer, or the first one of an array; 0 when absent or something else.
int FirstInt(const Metadata& metadata, const std::string& key) {
  const MetaValue* value = metadata.Find(key);
  if (value != nullptr)
    if (const auto* array = std::get_if<MetaArray>(&value->value))
      value = array->values.empty() ? nullptr : &array->values[0];
  if (value == nullptr) return 0;
  uint64_t number = 0;
  if (const auto* n = std::get_if<uint64_t>(&value->value)) number = *n;
  if (const auto* n = std::get_if<int64_t>(&value->value))
    number = static_cast<uint64_t>(std::max<int64_t>(*n, 0));
  return static_cast<int>(std::min<uint64_t>(number, 1 << 20));
}

}  // namespace

std::span<const FileType> FileTypes() { return kFileTypes; }

const FileType* FindFileType(std::string_view name) {
  for (const auto& [alias, of] : kAliases)
    if (SameWord(alias, name)) name = of;
  for (const FileType& type : kFileTypes)
    if (SameWord(type.name, name)) return &type;
  return nullptr;
}

std::vector<std::string> FileTypeNames() {
  std::vector<std::string> names;
  for (const FileType& type : kFileTypes) names.push_back(type.name);
  return names;
}

MixtureFacts ReadMixtureFacts(const Metadata& metadata) {
  MixtureFacts facts;
  if (const auto architecture = metadata.String("general.architecture"))
    facts.architecture = *architecture;
  const std::string prefix = facts.architecture + ".";
  facts.layers = FirstInt(metadata, prefix + "block_count");
  facts.experts = FirstInt(metadata, prefix + "expert_count");
  const int heads = FirstInt(metadata, prefix + "attention.head_count");
  const int kv_heads = metadata.Has(prefix + "attention.head_count_kv")
                           ? FirstInt(metadata, prefix + "attention.head_count_kv")
                           : heads;
  if (kv_heads > 0) facts.query_groups = heads / kv_heads;
  const std::string& a = facts.architecture;
  facts.narrow_values =
      facts.layers == 80 && ((a == "llama" && heads != kv_heads) || a == "qwen2" || a == "deci");
  return facts;
}

bool IsQuantizable(std::string_view name, std::span<const int64_t> shape) {
  size_t dims = shape.size();
  for (const int64_t size : shape) {
    if (size != 1) break;
    --dims;
  }
  if (dims < 2 || !name.ends_with("weight")) return false;
  return std::find(std::begin(kKeptNames), std::end(kKeptNames), name) == std::end(kKeptNames) &&
         std::none_of(std::begin(kKeptParts), std::end(kKeptParts),
                      [name](std::string_view part) { return Contains(name, part); });
}

std::vector<TypeChoice> ChooseTypes(const MixtureFacts& facts, const MixtureOptions& options,
                                    std::span<const NamedShape> tensors,
                                    const ChosenByPattern& by_pattern) {
  CHECK(by_pattern.empty() || by_pattern.size() == tensors.size());
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const int layer_a = LayerOf(tensors[a].name), layer_b = LayerOf(tensors[b].name);
    return layer_a != layer_b ? layer_a < layer_b : tensors[a].name < tensors[b].name;
  });
  std::vector<TypeChoice> choices(tensors.size());
  Chooser chooser(facts, options, tensors);
  for (const size_t i : order)
    choices[i] = chooser.Choose(tensors[i], by_pattern.empty() ? std::nullopt : by_pattern[i]);
  return choices;
}

bool NeedsImportance(const MixtureOptions& options, std::string_view name, TensorType type) {
  const Category category = CategoryOf(name);
  return options.file_type != nullptr && options.file_type->name == std::string_view("Q2_K_S") &&
         type == kQ2_K && category != Category::kOutput && category != Category::kTokenEmbedding;
}

}  // namespace vernier
