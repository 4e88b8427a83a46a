#include "ops/exact_product.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <vector>

#include "base/result.h"
#include "formats/exact_sum.h"
#include "kernels/decode_panel.h"
#include "kernels/exact_fixed.h"

namespace vernier {
namespace {

// Fixed point of X takes 8 bytes an element.
constexpr size_t kRowsAtOnce = 256;
// Rows of which it is worth to fix a panel a second time.
constexpr size_t kRowsForNarrow = 4;
// So few dot products take less time than it takes to fix a panel.
constexpr size_t kFewDots = 2;

RoundSpec RoundSpecOf(const FormatRounding& values, Rounding rounding) {
  return MakeRoundSpec(values.format, rounding, values.overflow, values.flush);
}

// Whether floats become numbers of the format that are floats, so that they can be rounded as such.
bool StaysFloat(const Format& format) {
  constexpr int kLeast = -149;  // 2^kLeast is the smallest float
  if (format.max_finite > static_cast<double>(std::numeric_limits<float>::max())) return false;
  if (format.kind == FormatKind::kPosit) return format.emin >= kLeast;
  return format.precision <= 24 && format.emin - format.precision + 1 >= kLeast;
}

// Whether numbers of a stored type can be others in the format.
bool Rounds(const FormatRounding& values, const PackedMatrix* packed) {
  if (packed == nullptr || values.flush) return true;
  const char* stored = packed->type == TensorType::kF16    ? "f16"
                       : packed->type == TensorType::kBF16 ? "bf16"
                                                           : "f32";
  return !Contains(values.format, FindFormat(stored).value());
}

// Panels of weights in the format: floats where they are stored as floats or less.
struct Weights {
  const PackedMatrix* packed;
  const Panels<double>* wide;
  RoundSpec spec;
  bool as_floats;
  bool rounds;  // whether rounding can change what is stored
  const Kernels& kernels;
  // A thread's own.
  struct Scratch {
    AlignedArray<float> floats;
    AlignedArray<double> doubles;
    AlignedArray<uint8_t> packed;
  };

  size_t k() const { return packed != nullptr ? packed->k : wide->k; }
  size_t outputs() const { return packed != nullptr ? packed->outputs : wide->outputs; }

  // [k][16]; valid until the scratch is used again.
  const float* Floats(size_t p, Scratch* scratch) const {
    if (!rounds && packed->type == TensorType::kF32 && packed->mapped == nullptr)
      return static_cast<const float*>(static_cast<const void*>(packed->Panel(p)));
    Decode(p, scratch);
    float* out = scratch->floats.data();
    if (rounds) RoundRow(spec, out, k() * kLanes, out, 0, 0, &kernels);
    return out;
  }
  const double* Doubles(size_t p, Scratch* scratch) const {
    const size_t size = k() * kLanes;
    if (scratch->doubles.size() < size) scratch->doubles = AlignedArray<double>(size);
    double* out = scratch->doubles.data();
    if (wide != nullptr) {
      RoundRow(spec, wide->data.data() + p * size, size, out, 0, 0, &kernels);
    } else {
      Decode(p, scratch);
      for (size_t i = 0; i < size; ++i) out[i] = static_cast<double>(scratch->floats[i]);
      if (rounds) RoundRow(spec, out, size, out, 0, 0, &kernels);
    }
    return out;
  }

 private:
  void Decode(size_t p, Scratch* scratch) const {
    if (scratch->floats.size() < k() * kLanes) scratch->floats = AlignedArray<float>(k() * kLanes);
    const uint8_t* panel = nullptr;
    if (packed->mapped == nullptr) {
      panel = packed->Panel(p);
    } else {
      if (scratch->packed.size() < packed->stride)
        scratch->packed = AlignedArray<uint8_t>(packed->stride);
      PackPanelOf(*packed, p, packed->mapped, packed->row_bytes, scratch->packed.data());
      panel = scratch->packed.data();
    }
    DecodePanel(kernels.isa, packed->type, panel, k(), 0, k(), scratch->floats.data());
  }
};

// Rows of X against panels.
template <class T>
class Product {
 public:
  Product(const Kernels& kernels, const RoundSpec& spec, std::span<const T* const> x, size_t k,
          std::span<const size_t> terms, std::span<T* const> y, size_t outputs, Workers* workers,
          BufferPool* buffers)
      : kernels_(ExactKernelsOf(kernels.isa)),
        row_kernels_(kernels),
        spec_(spec),
        odd_(RoundsFromOddDouble(spec)),
        x_(x),
        terms_(terms),
        y_(y),
        outputs_(outputs),
        rows_(FixRows(kernels_, x, k, terms, x.size() >= kRowsForNarrow, workers, buffers)) {}

  // What a thread needs; W is the type of the weights.
  template <class W>
  struct Scratch {
    FixedPanel<W> panel;
    AlignedArray<int64_t> high;
    AlignedArray<uint64_t> low;
    AlignedArray<double> odd;
    ExactSum sum;
  };

  template <class W>
  void Panel(size_t p, const W* w, Scratch<W>* s) const {
    const size_t count = rows_.x.size(), n = rows_.n;
    FixPanel(kernels_, w, rows_.k, &s->panel);
    const FixedPanel<W>& panel = s->panel;
    if (s->high.size() < panel.count * count * kLanes) {
      s->high = AlignedArray<int64_t>(panel.count * count * kLanes);
      s->low = AlignedArray<uint64_t>(panel.count * count * kLanes);
    }
    const bool narrow = IsNarrow(panel);
    if (narrow) {
      NarrowPanel(kernels_, w, &s->panel);
      const FixedLimb& limb = panel.limbs[0];
      kernels_.narrow({rows_.k, limb.data.data(), limb.sums.data(), rows_.narrow.data(),
                       rows_.narrow_sums.data(), n, s->high.data(), s->low.data(), rows_.bits,
                       panel.bits});
    } else {
      for (size_t i = 0; i < panel.count; ++i) {
        const FixedLimb& limb = panel.limbs[i];
        kernels_.wide({rows_.k, limb.data.data(), limb.sums.data(), rows_.x.data(),
                       rows_.sums.data(), count, s->high.data() + i * count * kLanes,
                       s->low.data() + i * count * kLanes});
      }
    }
    if (panel.count == 1) Round(p, narrow ? rows_.narrow_units : rows_.units, s);
    if (panel.count > 1 || count > n) AddLimbs(p, s);
    AddGeneral(p, w, s);
  }

 private:
  template <class W>
  bool IsNarrow(const FixedPanel<W>& panel) const {
    if (rows_.narrow.empty() || panel.count > 1) return false;
    const int most =
        std::min(kernels_.narrow_sum, 62 - static_cast<int>(std::bit_width(rows_.k - 1)));
    return panel.bits <= kernels_.narrow_most && rows_.bits + panel.bits <= most;
  }

  size_t LanesOf(size_t p) const { return std::min(kLanes, outputs_ - p * kLanes); }

  // The sums of first limbs.
  template <class W>
  void Round(size_t p, const std::vector<int>& x_units, Scratch<W>* s) const {
    const size_t n = rows_.n, lanes = LanesOf(p);
    const int* w_units = s->panel.limbs[0].units;
    if (s->odd.size() < n * kLanes) s->odd = AlignedArray<double>(n * kLanes);
    double* out = s->odd.data();
    if (odd_) {
      kernels_.odd(s->high.data(), s->low.data(), n, x_units.data(), w_units, out);
      RoundRow(spec_, out, n * kLanes, out, 0, 0, &row_kernels_);
    } else {
      for (size_t i = 0; i < n * kLanes; ++i)
        out[i] =
            RoundFixed(spec_, s->high[i], s->low[i], x_units[i / kLanes] + w_units[i % kLanes]);
    }
    for (size_t r = 0; r < n; ++r)
      for (size_t l = 0; l < lanes; ++l)
        y_[r][p * kLanes + l] = static_cast<T>(out[r * kLanes + l]);
  }

  // Rows, or all of a panel, that have more than one limb.
  template <class W>
  void AddLimbs(size_t p, Scratch<W>* s) const {
    const FixedPanel<W>& panel = s->panel;
    const size_t count = rows_.x.size(), n = rows_.n, lanes = LanesOf(p);
    // Limbs after the first of a row stand together, rows in order.
    for (size_t r = 0, next = n; r < n; ++r) {
      size_t last = next;
      while (last < count && rows_.owners[last] == r) ++last;
      for (size_t l = 0; l < lanes && (panel.count > 1 || last > next); ++l) {
        s->sum.Clear();
        const auto add = [&](size_t entry) {
          for (size_t i = 0; i < panel.count; ++i) {
            const size_t at = (i * count + entry) * kLanes + l;
            s->sum.AddFixed(s->high[at], s->low[at], rows_.units[entry] + panel.limbs[i].units[l]);
          }
        };
        add(r);
        for (size_t entry = next; entry < last; ++entry) add(entry);
        y_[r][p * kLanes + l] = static_cast<T>(s->sum.Round(spec_));
      }
      next = last;
    }
  }

  // Rows and lanes that are not in fixed point.
  template <class W>
  void AddGeneral(size_t p, const W* w, Scratch<W>* s) const {
    const size_t lanes = LanesOf(p);
    for (size_t r = 0; r < rows_.n; ++r) {
      if (rows_.general[r] == 0 && s->panel.general == 0) continue;
      const size_t terms = terms_.empty() ? rows_.k : terms_[r];
      for (size_t l = 0; l < lanes; ++l) {
        if (rows_.general[r] == 0 && (s->panel.general >> l & 1) == 0) continue;
        s->sum.Clear();
        for (size_t i = 0; i < terms && !s->sum.IsNan(); ++i)
          s->sum.AddProduct(static_cast<double>(x_[r][i]), static_cast<double>(w[i * kLanes + l]));
        y_[r][p * kLanes + l] = static_cast<T>(s->sum.Round(spec_));
      }
    }
  }

  const ExactKernels& kernels_;
  const Kernels& row_kernels_;
  const RoundSpec& spec_;
  bool odd_;
  std::span<const T* const> x_;
  std::span<const size_t> terms_;
  std::span<T* const> y_;
  size_t outputs_;
  FixedRows rows_;
};

// Sums of no terms.
template <class T>
void FillZero(const RoundSpec& spec, std::span<T* const> y, size_t outputs) {
  for (T* row : y) std::fill_n(row, outputs, static_cast<T>(RoundValue(spec, 0.0)));
}

// One by one.
template <class T>
void EvaluateDots(const ExactChainsArgs<T>& args, const RoundSpec& spec) {
  for (size_t r = 0; r < args.x.size(); ++r) {
    const size_t terms = args.terms.empty() ? args.k : args.terms[r];
    for (size_t o = 0; o < args.outputs; ++o)
      args.y[r][o] =
          ExactDot(spec, args.x[r], 1, args.panels + o / kLanes * args.panel_stride + o % kLanes,
                   kLanes, terms);
  }
}

}  // namespace

template <class T>
void EvaluateExactProduct(const ExactProductArgs<T>& args, const Machine& machine) {
  CHECK((args.packed != nullptr) != (args.wide != nullptr));
  CHECK(args.values.rounding != Rounding::kStochastic);
  const RoundSpec spec = RoundSpecOf(args.values, args.values.rounding);
  const Weights weights{args.packed,
                        args.wide,
                        RoundSpecOf(args.values, Rounding::kNearestEven),
                        args.packed != nullptr && StaysFloat(args.values.format),
                        Rounds(args.values, args.packed),
                        *machine.kernels};
  const size_t k = weights.k(), outputs = weights.outputs();
  if (k == 0) return FillZero(spec, args.y, outputs);
  for (size_t r = 0; r < args.x.size(); r += kRowsAtOnce) {
    const size_t n = std::min(kRowsAtOnce, args.x.size() - r);
    const Product<T> product(*machine.kernels, spec, args.x.subspan(r, n), k, {},
                             args.y.subspan(r, n), outputs, machine.workers, machine.buffers);
    const auto run = [&](size_t first, size_t last, auto panel_of, auto scratch) {
      Weights::Scratch panel;
      for (size_t p = first; p < last; ++p) product.Panel(p, panel_of(p, &panel), &scratch);
    };
    machine.workers->For((outputs + kLanes - 1) / kLanes, 1, [&](size_t first, size_t last) {
      if (weights.as_floats) {
        run(
            first, last, [&](size_t p, auto* s) { return weights.Floats(p, s); },
            typename Product<T>::template Scratch<float>());
      } else {
        run(
            first, last, [&](size_t p, auto* s) { return weights.Doubles(p, s); },
            typename Product<T>::template Scratch<double>());
      }
    });
  }
}

template <class T>
void EvaluateExactChains(const ExactChainsArgs<T>& args, const Kernels& kernels) {
  CHECK(args.values.rounding != Rounding::kStochastic);
  const RoundSpec spec = RoundSpecOf(args.values, args.values.rounding);
  if (args.k == 0) return FillZero(spec, args.y, args.outputs);
  if (args.x.size() * args.outputs <= kFewDots) return EvaluateDots(args, spec);
  const Product<T> product(kernels, spec, args.x, args.k, args.terms, args.y, args.outputs, nullptr,
                           nullptr);
  typename Product<T>::template Scratch<T> scratch;
  for (size_t p = 0; p * kLanes < args.outputs; ++p)
    product.Panel(p, args.panels + p * args.panel_stride, &scratch);
}

template void EvaluateExactProduct<float>(const ExactProductArgs<float>&, const Machine&);
template void EvaluateExactProduct<double>(const ExactProductArgs<double>&, const Machine&);
template void EvaluateExactChains<float>(const ExactChainsArgs<float>&, const Kernels&);
template void EvaluateExactChains<double>(const ExactChainsArgs<double>&, const Kernels&);

}  // namespace vernier
