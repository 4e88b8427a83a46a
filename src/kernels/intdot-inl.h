// The table of intdot.h for one instruction set.
#ifndef VERNIER_KERNELS_INTDOT_INL_H_
#define VERNIER_KERNELS_INTDOT_INL_H_

#include "kernels/intdot_super-inl.h"

namespace vernier::VERNIER_TARGET {

template <class B>
constexpr IntDotKernel RepackedBlocks() {
  return {{ActivationKind::kQ8_0, false, B::kOffset}, MatMulBlocks<B>};
}
template <class B>
constexpr IntDotKernel Lanes() {
  return {LanesFormat<B>(), MatMulLanes<B>};
}
template <class S, SuperOrder kFirst = SuperOrder::kLanes, SuperOrder kRest = kFirst>
constexpr IntDotKernel Super() {
  return {SuperFormat<S>(), MatMulSuper<S, kFirst, kRest>};
}

inline IntDotKernel FindRepacked(TensorType type) {
  switch (type) {
    case TensorType::kQ4_0:
      return RepackedBlocks<BlocksQ4_0>();
    case TensorType::kIQ4_NL:
      return RepackedBlocks<BlocksIQ4_NL>();
    case TensorType::kMXFP4:
      return RepackedBlocks<BlocksMXFP4>();
    case TensorType::kQ4_K:
      return {kSuperFormat, MatMulQ4_K};
    case TensorType::kQ2_K:
      return Super<SuperQ2_K, SuperOrder::kFours, SuperOrder::kOnes>();
    default:
      return {};
  }
}

inline IntDotKernel FindIntDot(TensorType type, IntDotOrder order) {
  if (order == IntDotOrder::kRepack) return FindRepacked(type);
  const bool batch = order == IntDotOrder::kBatch;
  switch (type) {
    case TensorType::kQ8_0:
      return Lanes<LanesQ8_0>();
    case TensorType::kQ4_0:
      return Lanes<LanesQ4_0>();
    case TensorType::kQ4_1:
      return Lanes<LanesQ4_1>();
    case TensorType::kQ5_0:
      return Lanes<LanesQ5_0>();
    case TensorType::kQ5_1:
      return Lanes<LanesQ5_1>();
    case TensorType::kIQ4_NL:
      return batch ? Lanes<LanesIQ4_NL<false>>() : Lanes<LanesIQ4_NL<true>>();
    case TensorType::kMXFP4:
      return Lanes<LanesMXFP4>();
    case TensorType::kQ2_K:
      return Super<SuperQ2_K>();
    case TensorType::kQ3_K:
      return Super<SuperQ3_K>();
    case TensorType::kQ4_K:
      return Super<SuperQ4_K>();
    case TensorType::kQ5_K:
      return Super<SuperQ5_K>();
    case TensorType::kQ6_K:
      return Super<SuperQ6_K>();
    case TensorType::kIQ4_XS:
      return batch ? Super<SuperIQ4_XS, SuperOrder::kWhole>() : Super<SuperIQ4_XS>();
    default:
      return {};
  }
}

}  // namespace vernier::VERNIER_TARGET

#endif  // VERNIER_KERNELS_INTDOT_INL_H_
