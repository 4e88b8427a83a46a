// The kernels for one instruction set; the build gives this file its compiler flags.
#define VERNIER_TARGET portable
#define VERNIER_VECTOR_BYTES 16
#include "kernels/ggml-inl.h"
#include "kernels/half-inl.h"
#include "kernels/matmul-inl.h"
#include "kernels/moments-inl.h"
#include "kernels/quantise-inl.h"
#include "kernels/round-inl.h"
#include "kernels/rows-inl.h"
#include "kernels/targets.h"

namespace vernier {

const Kernels kPortableKernels = {
    Isa::kPortable,
    "portable",
    portable::MakeRowKernels<float>(),
    portable::MakeRowKernels<double>(),
    [](const MatMulArgs<float>& a) { portable::MatMul(a, kPortablePacked); },
    [](const MatMulArgs<double>& a) { portable::MatMul(a, kPortablePacked); },
    portable::WideMatMul,
    portable::SumExp<float>,
    portable::SumExp<double>,
    portable::ExpRow,
    portable::kQuantise,
    portable::kGgml,
    portable::MakeRoundKernels<float>(),
    portable::MakeRoundKernels<double>(),
    portable::MakeMomentKernels<float>(),
    portable::MakeMomentKernels<double>(),
    portable::FloatsOfHalves,
};

}  // namespace vernier
