// A capture: the values at sites of a run, saved with the sites' names, by Vernier or by any other
// program.
//
// The file is a .safetensors or an .npz file. A tensor (an array) is a site, named by its label
// ("ffn_norm[3]", "embd"), a row a token; F32, F64, F16 and BF16 are read, F32 and F64 written,
// sites in order of computation. Rows of different lengths ("kq", "kq_soft_max") are filled with
// zeros to the longest one. __metadata__ may hold, and Vernier writes:
//   vernier.model   path of the model       vernier.recipe  rules, one a line
//   vernier.hash    hash of its content     vernier.tokens  JSON array of the token ids
//   vernier.widths  JSON object: label -> array of each row's length, of sites with ragged rows
//   vernier.rope    JSON object: the order of the elements of q and k: {"layout": "halves" or
//                   "neighbours", "head_dim", "rotated", "sites": names of the sites in this order}
//   vernier.weights JSON object: name of a weight -> its type ("blk.3.attn_q.weight": "Q4_K")
//   vernier.rows    JSON object: label -> array: which of the tokens each row is, where not all
#ifndef VERNIER_MEASURE_CAPTURE_H_
#define VERNIER_MEASURE_CAPTURE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/evaluate.h"
#include "measure/rope_order.h"
#include "measure/rows_view.h"

namespace vernier {

struct CapturedSite {
  std::string label, name;  // "ffn_norm[3]", "ffn_norm"
  int layer = -1;
  Arithmetic type = Arithmetic::kF32;
  std::vector<size_t> widths;    // of each row
  std::vector<uint32_t> tokens;  // which token each row is
  std::vector<float> f32;        // the rows one after another, without gaps, where type is kF32
  std::vector<double> f64;       // ... where it is kF64
  double step = 0;               // largest relative error of having been stored: F16 2^-11, else 0
};

// The rows of a captured site, which must outlive this.
class CapturedRows {
 public:
  explicit CapturedRows(const CapturedSite& site);
  RowsView view() const { return {type_, rows_, widths_}; }

 private:
  Arithmetic type_;
  std::vector<const void*> rows_;
  std::vector<size_t> widths_;
};

struct Capture {
  std::string source;  // the file it came from, or what it was made from; named in errors
  std::string model, hash, recipe;
  std::vector<int32_t> tokens;  // empty: not known
  std::vector<CapturedSite> sites;
  std::optional<RopeOrder> rope{};  // of q and k; empty: not known
  // Types of the weights by name, "blk.3.attn_q.weight": "Q4_K"; empty: not known.
  std::map<std::string, std::string> weights{};

  const CapturedSite* Find(std::string_view label) const;  // null when absent
};

// The rows of these tokens, which it has among others (CHECK).
CapturedSite RowsOf(const CapturedSite& site, const std::vector<uint32_t>& tokens);

// A copy of what a tap was given.
CapturedSite CaptureSite(const SiteTensor& tensor);

// "ffn_norm[3]" into name and layer; a label without [N] has layer -1.
Site ParseSiteLabel(const std::string& label);

// What a path that names no model is, by its ending.
enum class CaptureKind {
  kNone,     // a model
  kTensors,  // .safetensors, .npz: a capture of Vernier's, or tensors of another program
  kNpy,      // .npy
  kPrinted,  // .txt, .log: what llama.cpp prints
  kBinary,   // .bin: logits that llama.cpp saves
  kKld,      // .kld: the base file of llama-perplexity
};
CaptureKind KindOfCapture(const std::string& path);
inline bool IsCapturePath(const std::string& path) {
  return KindOfCapture(path) != CaptureKind::kNone;
}

// Whole file or nothing; the ending says which kind, .safetensors or .npz. Sites without rows are
// left out. The same capture gives the same bytes.
Status SaveCapture(const Capture& capture, const std::string& path);

// Of kind kTensors. The file is not trusted. Errors name it and the tensor or key. Without metadata
// the names are taken as labels.
Result<Capture> LoadCapture(const std::string& path);
// Whether the file has Vernier's metadata.
Result<bool> IsOwnCapture(const std::string& path);

// The types of a model's weights, as `weights` has them.
std::map<std::string, std::string> WeightTypes(const Graph& graph);

// Brings q and k into another order, where the capture says which it has.
void ToLayout(RopeLayout wanted, Capture* capture);

}  // namespace vernier

#endif  // VERNIER_MEASURE_CAPTURE_H_
