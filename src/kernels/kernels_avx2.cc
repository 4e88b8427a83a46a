// The kernels for one instruction set; the build gives this file its compiler flags.
#define VERNIER_TARGET avx2
#define VERNIER_VECTOR_BYTES 32
#include "kernels/ggml-inl.h"
#include "kernels/half-inl.h"
#include "kernels/matmul-inl.h"
#include "kernels/moments-inl.h"
#include "kernels/quantise-inl.h"
#include "kernels/round-inl.h"
#include "kernels/rows-inl.h"
#include "kernels/targets.h"

namespace vernier {

const Kernels kAvx2Kernels = {
    Isa::kAvx2,
    "avx2",
    avx2::MakeRowKernels<float>(),
    avx2::MakeRowKernels<double>(),
    [](const MatMulArgs<float>& a) { avx2::MatMul(a, kAvx2Packed); },
    [](const MatMulArgs<double>& a) { avx2::MatMul(a, kAvx2Packed); },
    avx2::WideMatMul,
    avx2::SumExp<float>,
    avx2::SumExp<double>,
    avx2::ExpRow,
    avx2::kQuantise,
    avx2::kGgml,
    avx2::MakeRoundKernels<float>(),
    avx2::MakeRoundKernels<double>(),
    avx2::MakeMomentKernels<float>(),
    avx2::MakeMomentKernels<double>(),
    avx2::FloatsOfHalves,
};

}  // namespace vernier
