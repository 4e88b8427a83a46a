#include "ops/integer_product.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "base/buffer_pool.h"
#include "base/result.h"
#include "kernels/intdot.h"

namespace vernier {
namespace {

IntDotOrder OrderOf(GgmlOrder order) {
  switch (order) {
    case GgmlOrder::kDot:
      return IntDotOrder::kDot;
    case GgmlOrder::kBatch:
      return IntDotOrder::kBatch;
    default:
      return IntDotOrder::kRepack;
  }
}

// Rows of X that one call of the kernel takes, `fours` of them first.
struct RowGroup {
  std::vector<const float*> x;
  std::vector<float*> y;
  size_t fours = 0;
};

RowGroup GroupOf(const IntegerProductArgs& args, IntDotOrder order) {
  RowGroup group;
  const auto take = [&](auto wanted) {
    for (size_t r = 0; r < args.x.size(); ++r) {
      if (!wanted(args.orders[r])) continue;
      group.x.push_back(args.x[r]);
      group.y.push_back(args.y[r]);
    }
  };
  if (order == IntDotOrder::kRepack) {
    take([](GgmlOrder o) { return o == GgmlOrder::kGemm; });
    group.fours = group.x.size();
    take([](GgmlOrder o) { return o == GgmlOrder::kGemv; });
  } else {
    take([&](GgmlOrder o) { return OrderOf(o) == order; });
  }
  return group;
}

void Multiply(const IntegerProductArgs& args, const RowGroup& group, IntDotOrder order,
              const Machine& machine) {
  const IntDotKernels& kernels = IntDotKernelsOf(machine.kernels->isa);
  const IntDotKernel kernel = kernels.find(args.type, order);
  CHECK(kernel.matmul != nullptr);
  const size_t n = group.x.size(), bytes = kernel.format.RowBytes(args.k);
  const std::shared_ptr<std::byte> block = TakeBuffer(machine, n * bytes);
  uint8_t* rows = reinterpret_cast<uint8_t*>(block.get());
  std::vector<const uint8_t*> x(n);
  for (size_t r = 0; r < n; ++r) x[r] = rows + r * bytes;
  machine.workers->For(n, 4, [&](size_t first, size_t last) {
    for (size_t r = first; r < last; ++r)
      kernels.quantise(kernel.format, group.x[r], args.k, rows + r * bytes);
  });
  // Each worker reads its own part of the weights: a few panels, fewer where there would not be two
  // pieces for everyone.
  const size_t panels = (args.outputs + kLanes - 1) / kLanes;
  const size_t threads = static_cast<size_t>(machine.workers->threads());
  const size_t least = std::clamp<size_t>(panels / (2 * threads), 1, 4);
  const size_t at_once = std::max(least, panels / (8 * threads));
  machine.workers->For((panels + at_once - 1) / at_once, 1, [&](size_t first, size_t last) {
    kernel.matmul({args.panels, args.k, args.outputs, first * at_once,
                   std::min(panels, last * at_once), x.data(), n, group.fours, group.y.data()});
  });
}

}  // namespace

bool HasIntegerProduct(TensorType type, std::span<const GgmlOrder> orders) {
  const IntDotKernels& kernels = IntDotKernelsOf(Isa::kPortable);
  return std::all_of(orders.begin(), orders.end(), [&](GgmlOrder order) {
    return kernels.find(type, OrderOf(order)).matmul != nullptr;
  });
}

void EvaluateIntegerProduct(const IntegerProductArgs& args, const Machine& machine) {
  for (const IntDotOrder order : {IntDotOrder::kDot, IntDotOrder::kBatch, IntDotOrder::kRepack}) {
    const RowGroup group = GroupOf(args, order);
    if (!group.x.empty()) Multiply(args, group, order, machine);
  }
}

}  // namespace vernier
