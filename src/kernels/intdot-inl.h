// The table of intdot.h for one instruction set.
#ifndef VERNIER_KERNELS_INTDOT_INL_H_
#define VERNIER_KERNELS_INTDOT_INL_H_

#include "kernels/intdot_blocks-inl.h"
#include "kernels/intdot_lanes-inl.h"

namespace vernier::VERNIER_TARGET {

template <class B>
constexpr IntDotKernel RepackedBlocks() {
  return {{ActivationKind::kQ8_0, false, B::kOffset}, MatMulBlocks<B>};
}

inline IntDotKernel FindIntDot(PackedType type, IntDotOrder order) {
  if (order == IntDotOrder::kRepack) {
    switch (type) {
      case PackedType::kQ4_0:
        return RepackedBlocks<BlocksQ4_0>();
      case PackedType::kIQ4_NL:
        return RepackedBlocks<BlocksIQ4_NL>();
      case PackedType::kMXFP4:
        return RepackedBlocks<BlocksMXFP4>();
      case PackedType::kQ4_K:
        return {kSuperFormat, MatMulQ4_K};
      default:
        return {};
    }
  }
  switch (type) {
    case PackedType::kQ8_0:
      return {kLanesFormat, MatMulLanes<LanesQ8_0>};
    case PackedType::kQ4_0:
      return {kLanesFormat, MatMulLanes<LanesQ4_0>};
    case PackedType::kQ4_K:
      return {kSuperFormat, MatMulSuper<SuperQ4_K>};
    case PackedType::kQ6_K:
      return {kSuperFormat, MatMulSuper<SuperQ6_K>};
    default:
      return {};
  }
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_INTDOT_INL_H_
