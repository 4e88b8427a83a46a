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
  model->rope_ = std::make_unique<RopeTable>(model->graph_.rope);
  model->ggml_rope_ = std::make_unique<GgmlRopeTable>(model->graph_.rope);
  return model;
}

const GgmlPanels& Model::ggml_panels(int slot) {
  ggml_panels_.resize(graph_.weights.size());
  std::unique_ptr<GgmlPanels>& panels = ggml_panels_[static_cast<size_t>(slot)];
  if (panels == nullptr) {
    const TensorView& tensor = graph_.weights[static_cast<size_t>(slot)].tensor;
    panels = std::make_unique<GgmlPanels>(PackGgmlPanels(
        static_cast<GgmlType>(tensor.type), tensor.data.data(), tensor.RowBytes(),
        static_cast<size_t>(tensor.Columns()), static_cast<size_t>(tensor.Rows()), workers_));
  }
  return *panels;
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

Hash128 Model::hash() {
  if (!hash_) hash_ = ContentHash(checkpoint_);
  return *hash_;
}

}  // namespace vernier
