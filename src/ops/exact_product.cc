#include "ops/exact_product.h"

#include <vector>

#include "base/result.h"
#include "formats/exact_sum.h"
#include "kernels/exact_decode.h"

namespace vernier {
namespace {

template <class T>
struct Weights {
  const ExactProductArgs<T>& args;
  RoundSpec spec;
  Isa isa;

  size_t outputs() const {
    return args.packed != nullptr ? args.packed->outputs : args.wide->outputs;
  }
  size_t k() const { return args.packed != nullptr ? args.packed->k : args.wide->k; }

  // Panel p in the format: out[i * 16 + r].
  void Panel(size_t p, double* out) const {
    if (args.wide != nullptr) {
      const size_t size = k() * kLanes;
      RoundRow(spec, args.wide->data.data() + p * size, size, out);
      return;
    }
    const PackedMatrix& w = *args.packed;
    AlignedArray<float> narrow(w.k * kLanes);
    if (w.mapped == nullptr) {
      DecodePanel(isa, w.type, w.Panel(p), w.k, 0, w.k, narrow.data());
    } else {
      AlignedArray<uint8_t> packed(w.stride);
      PackPanelOf(w, p, w.mapped, w.row_bytes, packed.data());
      DecodePanel(isa, w.type, packed.data(), w.k, 0, w.k, narrow.data());
    }
    for (size_t i = 0; i < narrow.size(); ++i) out[i] = static_cast<double>(narrow[i]);
    RoundRow(spec, out, narrow.size());
  }
};

}  // namespace

template <class T>
void EvaluateExactProduct(const ExactProductArgs<T>& args, const Machine& machine) {
  CHECK((args.packed != nullptr) != (args.wide != nullptr));
  const FormatRounding& values = args.values;
  const RoundSpec result =
      MakeRoundSpec(values.format, values.rounding, values.overflow, values.flush);
  const Weights<T> weights{
      args, MakeRoundSpec(values.format, Rounding::kNearestEven, values.overflow, values.flush),
      machine.kernels->isa};
  const size_t k = weights.k(), outputs = weights.outputs();
  machine.workers->For((outputs + kLanes - 1) / kLanes, 1, [&](size_t first, size_t last) {
    AlignedArray<double> panel(k * kLanes);
    ExactSum sum;
    for (size_t p = first; p < last; ++p) {
      weights.Panel(p, panel.data());
      for (size_t r = 0; r < args.x.size(); ++r) {
        for (size_t o = p * kLanes; o < outputs && o < (p + 1) * kLanes; ++o) {
          sum.Clear();
          for (size_t i = 0; i < k; ++i)
            sum.AddProduct(static_cast<double>(args.x[r][i]), panel[i * kLanes + o % kLanes]);
          args.y[r][o] = static_cast<T>(sum.Round(result));
        }
      }
    }
  });
}
template void EvaluateExactProduct<float>(const ExactProductArgs<float>&, const Machine&);
template void EvaluateExactProduct<double>(const ExactProductArgs<double>&, const Machine&);

}  // namespace vernier
