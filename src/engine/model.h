// A model ready to be evaluated: checkpoint, graph, weights, tokenizer.
#ifndef VERNIER_ENGINE_MODEL_H_
#define VERNIER_ENGINE_MODEL_H_

#include <map>
#include <memory>
#include <string>

#include "arch/graph.h"
#include "base/buffer_pool.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "base/result.h"
#include "engine/integer_weights.h"
#include "engine/weights.h"
#include "kernels/kernels.h"
#include "model/checkpoint.h"
#include "model/tokenizer.h"
#include "ops/evaluate_rows.h"
#include "ops/ggml_rows.h"

namespace vernier {

struct ModelOptions {
  int threads = 0;                   // 0: as many as the machine runs at once
  const Kernels* kernels = nullptr;  // null: the best this machine has
  bool mapped = false;               // weights stay in the file: slower, with less memory
};

class Model {
 public:
  // Opens and checks everything; weights are read when first used.
  static Result<std::unique_ptr<Model>> Open(const std::string& path,
                                             const ModelOptions& options = {});

  const std::string& path() const { return checkpoint_.path; }
  const Checkpoint& checkpoint() const { return checkpoint_; }
  const Graph& graph() const { return graph_; }
  WeightStore& weights() { return *weights_; }
  IntegerWeights& integers() { return *integers_; }
  // With another theta, or 0: the model's own. Tables are kept. Not for use from several threads.
  RopeTable& rope(double theta = 0);
  GgmlRopeTable& ggml_rope() { return *ggml_rope_; }
  Workers& workers() { return workers_; }
  BufferPool& buffers() { return buffers_; }  // for values
  Machine machine() { return {kernels_, &workers_, &buffers_}; }
  // Error when the checkpoint has none that is understood, or one with more tokens than the model.
  Result<const Tokenizer*> tokenizer();
  // ContentHash of the checkpoint, made on first use.
  Hash128 hash(const ProgressSink& progress = {});

 private:
  Model(Checkpoint checkpoint, const ModelOptions& options);
  Checkpoint checkpoint_;
  Workers workers_;
  BufferPool buffers_;
  const Kernels* kernels_;
  Graph graph_;
  std::unique_ptr<WeightStore> weights_;
  std::unique_ptr<IntegerWeights> integers_;
  std::map<double, std::unique_ptr<RopeTable>> ropes_;  // by theta
  std::unique_ptr<GgmlRopeTable> ggml_rope_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::optional<Hash128> hash_;
};

}  // namespace vernier

#endif  // VERNIER_ENGINE_MODEL_H_
