// The kernels for one instruction set; the build gives this file its compiler flags.
#define VERNIER_TARGET avx512
#define VERNIER_VECTOR_BYTES 64
#include "kernels/ggml-inl.h"
#include "kernels/half-inl.h"
#include "kernels/matmul-inl.h"
#include "kernels/moments-inl.h"
#include "kernels/quantise-inl.h"
#include "kernels/round-inl.h"
#include "kernels/rows-inl.h"
#include "kernels/targets.h"

namespace vernier {

const Kernels kAvx512Kernels = {
    Isa::kAvx512,
    "avx512",
    avx512::MakeRowKernels<float>(),
    avx512::MakeRowKernels<double>(),
    [](const MatMulArgs<float>& a) { avx512::MatMul(a, kAvx512Packed); },
    [](const MatMulArgs<double>& a) { avx512::MatMul(a, kAvx512Packed); },
    avx512::WideMatMul,
    avx512::SumExp<float>,
    avx512::SumExp<double>,
    avx512::ExpRow,
    avx512::kQuantise,
    avx512::kGgml,
    avx512::MakeRoundKernels<float>(),
    avx512::MakeRoundKernels<double>(),
    avx512::MakeMomentKernels<float>(),
    avx512::MakeMomentKernels<double>(),
    avx512::FloatsOfHalves,
};

}  // namespace vernier
