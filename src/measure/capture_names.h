// Which site a foreign tensor is, by its name: Vernier's labels themselves, llama.cpp's names
// ("ffn_norm-3", and by op and weights those that it leaves unnamed), Hugging Face's modules
// ("model.layers.3.mlp.down_proj"), and what a file of names says.
#ifndef VERNIER_MEASURE_CAPTURE_NAMES_H_
#define VERNIER_MEASURE_CAPTURE_NAMES_H_

#include <string>
#include <string_view>
#include <vector>

#include "measure/capture_foreign.h"

namespace vernier {

// The lines of a file "FOREIGN = SITE"; empty lines and those that start with # apart. SITE is a
// label, "ffn_norm[3]". Both may have one "*" in place of the layer: "encoder.*.out = l_out[*]".
struct NameMap {
  std::vector<std::pair<std::string, std::string>> lines;
};
Result<NameMap> ReadNameMap(const std::string& path);

// The labels a tensor may be, likeliest first; empty: none that is known. Where `op` is not known a
// name may mean several sites ("Qcur-3": before and after rotation): `ambiguous` says that the
// values must decide; else the first label that the other side has is meant.
struct SiteCandidates {
  std::vector<std::string> labels;
  bool ambiguous = false;
};
SiteCandidates FindSites(const ForeignTensor& tensor, const NameMap& map);

// Whether the tensor is another one with its elements moved (ggml's RESHAPE, VIEW, PERMUTE,
// TRANSPOSE).
bool MovesOnly(const ForeignTensor& tensor);

// The built-in map, as documentation and tests read it: names without layer.
struct NamePair {
  const char* foreign;
  const char* site;
};
std::vector<NamePair> LlamaNames();   // "attn_norm" of "attn_norm-3"
std::vector<NamePair> ModuleNames();  // "mlp.down_proj" of "model.layers.3.mlp.down_proj"

}  // namespace vernier

#endif  // VERNIER_MEASURE_CAPTURE_NAMES_H_
