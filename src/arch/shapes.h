// Shapes of known models: every constant of them, none of their weights. A benchmark on such a
// shape costs what the model costs (arch/synthetic.h writes one as a file).
#ifndef VERNIER_ARCH_SHAPES_H_
#define VERNIER_ARCH_SHAPES_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/metadata.h"

namespace vernier {

enum class TokenizerKind { kSentencePiece, kByteLevel };

// How many tokens there are of each sort. The pieces themselves are made up
// (arch/synthetic_tokenizer.h).
struct VocabularyShape {
  TokenizerKind kind = TokenizerKind::kSentencePiece;
  const char* pre = "default";  // tokenizer.ggml.pre
  size_t pieces = 0;            // tokens of text, bytes included; those after them are special
  std::vector<const char*> special{};  // names of the first tokens after the pieces
  const char* bos = nullptr;           // by text; null: none
  const char* eos = nullptr;
  bool adds_bos = false;
};

struct ModelShape {
  const char* name;    // "tinyllama-1.1b"
  const char* doc;     // one line
  const char* config;  // the constants of its config.json
  bool tied;           // no output.weight: the embeddings stand in for it
  VocabularyShape vocabulary;
};

std::span<const ModelShape> ModelShapes();
Result<const ModelShape*> FindShape(std::string_view name);  // error: lists those that are known

// What a tensor's elements look like. `spread` is the standard deviation.
enum class Fill {
  kMatrix,   // near normal, a few heavy tails, columns and rows of slightly different size
  kVector,   // mean +- spread
  kUniform,  // between mean - sqrt(3) spread and mean + sqrt(3) spread
  kRates,    // -(column + 1), each varied by a tenth: A of a state-space layer
  kFactors,  // Llama 3's frequency factors
};
struct ShapeTensor {
  std::string name;
  std::vector<int64_t> shape;  // outermost dimension first
  Fill fill = Fill::kMatrix;
  double mean = 0, spread = 0;
  // Where the few channels of the residual stream stand out that are large in trained models.
  enum class Outliers { kNone, kColumns, kRows, kDamped } outliers = Outliers::kNone;
};

struct ShapeForm {
  Metadata metadata;  // architecture and its constants; no tokenizer
  std::vector<ShapeTensor> tensors;
  std::vector<float> rope_factors;  // of kFactors
  size_t vocabulary = 0, hidden = 0;
};
// The GGUF keys and tensors of the shape, as conversion (arch/convert.h) would name them. Errors:
// only where `config` is not what an architecture reads.
Result<ShapeForm> MakeShapeForm(const ModelShape& shape);

}  // namespace vernier

#endif  // VERNIER_ARCH_SHAPES_H_
