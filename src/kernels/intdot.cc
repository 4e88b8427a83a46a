#include "kernels/intdot.h"

#include <initializer_list>
#if defined(VERNIER_X86)
#include <cpuid.h>
#endif

#include "kernels/intdot_targets.h"

namespace vernier {
namespace {

#if defined(VERNIER_X86)
// Leaf 7, subleaf 1: not every compiler knows the name.
bool HasAvxVnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1) != 0;
}
#endif

}  // namespace

const IntDotKernels* IntDotKernelsFor(IntDotIsa isa) {
#if defined(VERNIER_X86)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
#endif
  switch (isa) {
    case IntDotIsa::kPortable:
      return &kPortableIntDot;
#if defined(VERNIER_X86)
    case IntDotIsa::kAvx2:
      return avx2 ? &kAvx2IntDot : nullptr;
    case IntDotIsa::kAvxVnni:
      return avx2 && HasAvxVnni() ? &kAvxVnniIntDot : nullptr;
    case IntDotIsa::kAvx512Vnni:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                     __builtin_cpu_supports("avx512vnni")
                 ? &kAvx512VnniIntDot
                 : nullptr;
#endif
    default:
      return nullptr;
  }
}

const IntDotKernels& IntDotKernelsOf(Isa isa) {
  const auto best_of = [](std::initializer_list<IntDotIsa> tables) -> const IntDotKernels& {
    for (const IntDotIsa table : tables)
      if (const IntDotKernels* kernels = IntDotKernelsFor(table)) return *kernels;
    return kPortableIntDot;
  };
  switch (isa) {
    case Isa::kAvx512:
      return best_of({IntDotIsa::kAvx512Vnni, IntDotIsa::kAvxVnni, IntDotIsa::kAvx2});
    case Isa::kAvx2:
      return best_of({IntDotIsa::kAvxVnni, IntDotIsa::kAvx2});
    default:
      return kPortableIntDot;
  }
}

const IntDotKernels& BestIntDotKernels() { return IntDotKernelsOf(BestKernels().isa); }

}  // namespace vernier
