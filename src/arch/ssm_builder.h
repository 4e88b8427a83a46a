// What the graphs of state-space models share (mamba.cc, mamba2.cc).
#ifndef VERNIER_ARCH_SSM_BUILDER_H_
#define VERNIER_ARCH_SSM_BUILDER_H_

#include "arch/graph_builder.h"
#include "arch/hyperparameters.h"

namespace vernier {

class SsmBuilder : protected GraphBuilder {
 public:
  SsmBuilder(const Checkpoint& checkpoint, const SsmHyperparameters& h)
      : GraphBuilder(checkpoint, "backbone.layers"), h_(h) {}
  virtual ~SsmBuilder() = default;
  Result<Graph> Build();

 protected:
  // From the normalised residual stream to what out_proj reads.
  virtual Result<int> Mixer(int layer, int normed) = 0;
  int Slice(int layer, int x, size_t offset, size_t width, const char* site);
  int Activation(OpKind op, int layer, int x, const char* site);
  // Sites ssm_conv_nobias (only with a bias), ssm_conv, ssm_conv_silu.
  Result<int> Convolution(int layer, int x);
  // Sites ssm_skip (D x), ssm_y (with what the scan gave) and ssm_gated (times silu(z)).
  int SkipAndGate(int layer, int scanned, int x, int z, int skip, const char* llama_name);

  const SsmHyperparameters& h_;

 private:
  Status Layer(int layer);
  int x_ = 0;  // the residual stream
};

}  // namespace vernier

#endif  // VERNIER_ARCH_SSM_BUILDER_H_
