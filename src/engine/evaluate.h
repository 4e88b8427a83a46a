// Identity-shared evaluation: many lanes and texts at once, each distinct row computed once.
//
// A stream is one lane on one text. Every row of every node's value has an identity, made of what
// computes it and of the identities of the rows it is computed from; rows of equal identity are one
// row. So streams share all that comes before their first difference, rows before the first changed
// token stay shared (attention, convolution and scan are causal), a treatment that changed no bit
// hands back the row it was given, and two treatments with the same effect give one row. Distinct
// rows that meet the same weight are stacked into one matrix product. Sharing is sound because no
// number depends on what else is computed: a stream evaluated alone gives the same bits.
#ifndef VERNIER_ENGINE_EVALUATE_H_
#define VERNIER_ENGINE_EVALUATE_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/hash.h"
#include "engine/model.h"
#include "engine/plan.h"

namespace vernier {

// A row of a value: where it lies, and its identity.
struct RowRef {
  const void* data = nullptr;
  Hash128 id;
};

// What later tokens need of a stream, by causal node: of attention all rows of K and V, of a
// convolution the last rows it reads, of a scan its state; and what random numbers go on from.
// Streams that share a history share its rows.
struct KvCache {
  struct Layer {
    std::vector<RowRef> k, v;  // attention; k alone: the last rows of a convolution
    RowRef state;              // scan; no data: before the first token
    bool chunked = false;      // the state is one of a scan in chunks (StateSize)
    Arithmetic k_type = Arithmetic::kF32, v_type = Arithmetic::kF32, state_type = Arithmetic::kF32;
    std::vector<std::shared_ptr<const void>> storage;
    Hash128 chain;  // of all rows so far that later ones depend on
  };
  size_t tokens = 0;
  Hash128 context;            // of all tokens so far
  std::vector<Layer> layers;  // by causal node, in graph order
};

struct Stream {
  const Plan* plan = nullptr;
  std::vector<int32_t> tokens;   // new tokens, after those in `cache`
  KvCache* cache = nullptr;      // extended by the call; null: the tokens stand alone
  std::vector<uint32_t> wanted;  // which of `tokens` need logits, ascending; nodes that only serve
                                 // logits run for these alone
};

// One site's value in one stream. Rows are of `type`; a row of an inner site is as InnerSite says.
struct SiteTensor {
  const Site* site = nullptr;
  size_t stream = 0;
  Arithmetic type = Arithmetic::kF32;
  std::vector<const void*> rows;
  std::vector<size_t> widths;
  std::vector<uint32_t> tokens;  // which of the stream's tokens each row is
};

// Observes sites. `receive` is called from one thread, once for each site it wants and stream that
// runs its layer, in order of computation; the rows live until the site's last stream has been
// received.
struct Tap {
  std::function<bool(const Site&)> wants;
  std::function<void(const SiteTensor&)> receive;
};

// Logits of one wanted token of one stream.
struct LogitsRow {
  size_t stream = 0;
  size_t index = 0;  // into the stream's `wanted`
  Arithmetic type = Arithmetic::kF32;
  const void* values = nullptr;
  Hash128 id;  // equal ids: equal bits
};

struct EvaluationCost {
  uint64_t tensors_naive = 0,
           tensors_evaluated =
               0;  // values of nodes, by stream; of those, the ones that needed any new row
  uint64_t rows_naive = 0, rows_evaluated = 0;
  std::array<double, kOpKinds> seconds{};  // by OpKind, rules at the node included
  EvaluationCost& operator+=(const EvaluationCost& other);
};

struct Evaluation {
  EvaluationCost cost;
  std::vector<std::vector<TreatmentCounts>>
      effects;  // [stream][rule]: what its treatments did to activations
};

// Evaluates the streams together. `logits` is called with blocks that hold the same indices of all
// streams (streams with fewer wanted tokens are absent from later blocks). Tokens must be in the
// vocabulary (CHECK).
Evaluation Evaluate(Model& model, std::span<const Stream> streams,
                    const std::function<void(std::span<const LogitsRow>)>& logits,
                    const Tap* tap = nullptr);

// A bound on the bytes Evaluate needs for `rows` new rows in all streams together, if none are
// shared.
uint64_t EvaluationBytes(const Graph& graph, uint64_t rows);

}  // namespace vernier

#endif  // VERNIER_ENGINE_EVALUATE_H_
