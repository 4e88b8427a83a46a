#include "kernels/exact.h"

#include "kernels/exact_targets.h"

namespace vernier {

const ExactKernels* ExactKernelsFor(ExactIsa isa) {
  switch (isa) {
    case ExactIsa::kPortable:
      return &kPortableExact;
#if defined(VERNIER_X86)
    case ExactIsa::kAvx2:
      return KernelsFor(Isa::kAvx2) != nullptr ? &kAvx2Exact : nullptr;
    case ExactIsa::kAvx512Ifma:
      return KernelsFor(Isa::kAvx512) != nullptr && __builtin_cpu_supports("avx512ifma") &&
                     __builtin_cpu_supports("avx512cd")
                 ? &kAvx512IfmaExact
                 : nullptr;
#endif
    default:
      return nullptr;
  }
}

const ExactKernels& ExactKernelsOf(Isa isa) {
  const ExactKernels* best = nullptr;
  if (isa == Isa::kAvx512) best = ExactKernelsFor(ExactIsa::kAvx512Ifma);
  if (best == nullptr && isa != Isa::kPortable) best = ExactKernelsFor(ExactIsa::kAvx2);
  return best != nullptr ? *best : kPortableExact;
}

}  // namespace vernier
