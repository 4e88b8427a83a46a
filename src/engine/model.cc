#include "engine/model.h"

#include "arch/architecture.h"

namespace vernier {

Model::Model(Checkpoint checkpoint, const ModelOptions& options)
    : checkpoint_(std::move(checkpoint)),
      workers_(options.threads),
      kernels_(options.kernels != nullptr ? options.kernels : &BestKernels()) {}

Result<std::unique_ptr<Model>> Model::Open(const std::string& path, const ModelOptions& options) {
  ASSIGN_OR_RETURN(Checkpoint checkpoint, OpenCheckpoint(path));
  std::unique_ptr<Model> model(new Model(std::move(checkpoint), options));
  ASSIGN_OR_RETURN(model->graph_, BuildGraph(model->checkpoint_));
  model->weights_ = std::make_unique<WeightStore>(model->graph_, model->workers_,
                                                  model->checkpoint_.files, options.mapped);
  model->integers_ =
      std::make_unique<IntegerWeights>(model->graph_, *model->weights_, model->workers_);
  model->ggml_rope_ = std::make_unique<GgmlRopeTable>(model->graph_.rope);
  return model;
}

RopeTable& Model::rope(double theta) {
  RopeSpec spec = graph_.rope;
  if (theta != 0) spec.theta = theta;
  std::unique_ptr<RopeTable>& table = ropes_[spec.theta];
  if (table == nullptr) table = std::make_unique<RopeTable>(spec);
  return *table;
}

Result<const Tokenizer*> Model::tokenizer() {
  if (tokenizer_ == nullptr) {
    ASSIGN_OR_RETURN(std::unique_ptr<Tokenizer> made, MakeTokenizer(checkpoint_));
    if (made->size() > static_cast<int64_t>(graph_.vocabulary))
      return Fail("{}: the tokenizer has {} tokens, the model {}", path(), made->size(),
                  graph_.vocabulary);
    tokenizer_ = std::move(made);
  }
  return tokenizer_.get();
}

Hash128 Model::hash(const ProgressSink& progress) {
  if (!hash_) hash_ = ContentHash(checkpoint_, progress);
  return *hash_;
}

}  // namespace vernier
