// The exponential that GGUF files of state-space models were made with.
#ifndef VERNIER_ARCH_NUMPY_EXP_H_
#define VERNIER_ARCH_NUMPY_EXP_H_

namespace vernier {

// exp(x) in float32 as NumPy computes it where it has AVX2 or AVX-512
// (numpy/core/src/umath/loops_exponent_log.dispatch.c.src): within 2.6 ulp, and the same bits, so
// that a converted file equals one made by Python. Evaluation does not use it.
float NumpyExp(float x);

}  // namespace vernier

#endif  // VERNIER_ARCH_NUMPY_EXP_H_
