#include <initializer_list>

#include "kernels/targets.h"

namespace vernier {

const Kernels* KernelsFor(Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return &kPortableKernels;
#if defined(VERNIER_X86)
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                     __builtin_cpu_supports("f16c")
                 ? &kAvx2Kernels
                 : nullptr;
    case Isa::kAvx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
                 ? &kAvx512Kernels
                 : nullptr;
#endif
    default:
      return nullptr;
  }
}

const Kernels& BestKernels() {
  for (const Isa isa : {Isa::kAvx512, Isa::kAvx2})
    if (const Kernels* kernels = KernelsFor(isa)) return *kernels;
  return kPortableKernels;
}

}  // namespace vernier
