#include "kernels/exact_fixed.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace vernier {
namespace {

// Units of both operands in these bounds, and those of their sums are in ExactKernels::odd's.
constexpr int kLeastUnit = -480, kMostUnit = 420;
// Steps that are fixed in one call, a block of sums in all.
constexpr size_t kRowSteps = kExactBlock / kLanes;

void Largest(const ExactKernels& kernels, const float* x, size_t steps, uint32_t* largest) {
  kernels.largest_f32(x, steps, largest);
}
void Largest(const ExactKernels& kernels, const double* x, size_t steps, uint64_t* largest) {
  kernels.largest_f64(x, steps, largest);
}
void Fix(const ExactKernels& kernels, const ExactFixArgs<float>& args, bool wide) {
  kernels.fix_f32(args, wide);
}
void Fix(const ExactKernels& kernels, const ExactFixArgs<double>& args, bool wide) {
  kernels.fix_f64(args, wide);
}

// Bits of an operand such that a sum of k products stays below 2^115.
int OperandBits(size_t k) {
  return std::min(kExactBits, (115 - static_cast<int>(std::bit_width(k - 1))) / 2);
}

// What 16 lanes of elements become.
template <class T>
struct Lanes {
  const ExactKernels& kernels;
  size_t block_steps;  // steps of a block of sums
  int units[kLanes] = {};
  uint64_t any[kLanes], inexact[kLanes];

  // The units that suit the largest elements; lanes that have none are added to `general`.
  void Choose(const T* x, size_t steps, int bits, bool together, uint32_t* general) {
    typename HostBits<T>::Type largest[kLanes] = {};
    Largest(kernels, x, steps, largest);
    if (together) std::fill_n(largest, kLanes, *std::max_element(largest, largest + kLanes));
    for (size_t l = 0; l < kLanes; ++l) {
      const double x_most = static_cast<double>(std::bit_cast<T>(largest[l]));
      units[l] = 0;
      if (x_most == 0) continue;
      const int unit = std::isfinite(x_most) ? std::ilogb(x_most) + 1 - bits : kMostUnit + 1;
      if (unit < kLeastUnit || unit > kMostUnit) {
        *general |= uint32_t{1} << l;
      } else {
        units[l] = unit;
      }
    }
  }

  // sums: of each block, 16 of them.
  void Run(const T* x, size_t steps, bool wide, int64_t bias, uint64_t* out, T* rest,
           int64_t* sums) {
    alignas(64) double magic[kLanes];
    alignas(64) int64_t add[kLanes];
    for (size_t l = 0; l < kLanes; ++l) {
      magic[l] = 1.5 * std::bit_cast<double>(static_cast<uint64_t>(units[l] + 52 + 1023) << 52);
      add[l] =
          static_cast<int64_t>(static_cast<uint64_t>(bias) - std::bit_cast<uint64_t>(magic[l]));
      any[l] = inexact[l] = 0;
    }
    for (size_t i = 0, block = 0; i < steps; i += block_steps, ++block) {
      const size_t count = std::min(block_steps, steps - i);
      int64_t* s = sums + block * kLanes;
      std::fill_n(s, kLanes, 0);
      Fix(kernels,
          ExactFixArgs<T>{x + i * kLanes, count, magic, add, out + i * kLanes,
                          rest == nullptr ? nullptr : rest + i * kLanes, s, any, inexact},
          wide);
      // Of X alone: without the biases.
      for (size_t l = 0; l < kLanes; ++l)
        s[l] =
            static_cast<int64_t>(static_cast<uint64_t>(s[l]) - count * static_cast<uint64_t>(bias));
    }
  }

  // Zeros that all X of a lane end in; of a lane of zeros kExactBits.
  int Zeros(size_t l) const { return std::countr_zero(any[l] | uint64_t{1} << kExactBits); }
  uint32_t InexactLanes() const {
    uint32_t lanes = 0;
    for (size_t l = 0; l < kLanes; ++l) lanes |= static_cast<uint32_t>(inexact[l] != 0) << l;
    return lanes;
  }
};

template <class T>
void Reserve(AlignedArray<T>* array, size_t size) {
  if (array->size() < size) *array = AlignedArray<T>(size);
}

void ClearLanes(uint32_t lanes, size_t k, FixedLimb* limb) {
  for (size_t l = 0; l < kLanes; ++l) {
    if ((lanes >> l & 1) == 0) continue;
    limb->units[l] = 0;
    for (size_t i = 0; i < k; ++i) limb->data[i * kLanes + l] = 0;
    for (size_t b = 0; b < ExactBlocks(k); ++b) limb->sums[b * kLanes + l] = 0;
  }
}

}  // namespace

template <class T>
void FixPanel(const ExactKernels& kernels, const T* w, size_t k, FixedPanel<T>* panel) {
  panel->k = k;
  panel->general = 0;
  const int bits = OperandBits(k);
  Lanes<T> lanes{kernels, kExactBlock, {}, {}, {}};
  for (panel->count = 0; panel->count < kMostLimbs;) {
    const size_t index = panel->count++;
    if (panel->limbs.size() <= index) panel->limbs.emplace_back();
    FixedLimb& limb = panel->limbs[index];
    Reserve(&limb.data, k * kLanes);
    Reserve(&limb.sums, ExactBlocks(k) * kLanes);
    lanes.Choose(w, k, bits, false, &panel->general);
    lanes.Run(w, k, true, kernels.wide_bias, limb.data.data(), nullptr, limb.sums.data());
    const uint32_t inexact = lanes.InexactLanes() & ~panel->general;
    if (inexact != 0) {
      // Rounded to nearest, an operand can grow by a bit.
      Reserve(&panel->rest[index % 2], k * kLanes);
      T* rest = panel->rest[index % 2].data();
      for (size_t l = 0; l < kLanes; ++l) lanes.units[l] += static_cast<int>(inexact >> l & 1);
      lanes.Run(w, k, true, kernels.wide_bias, limb.data.data(), rest, limb.sums.data());
      w = rest;
    }
    std::copy_n(lanes.units, kLanes, limb.units);
    if (inexact == 0) break;
    if (panel->count == kMostLimbs) panel->general |= inexact;
  }
  panel->bits = 0;
  for (size_t l = 0; l < kLanes && panel->count == 1; ++l) {
    panel->zeros[l] = lanes.Zeros(l);
    panel->bits = std::max(panel->bits, kExactBits - panel->zeros[l]);
  }
  if (panel->general != 0)
    for (size_t i = 0; i < panel->count; ++i) ClearLanes(panel->general, k, &panel->limbs[i]);
}

template <class T>
void NarrowPanel(const ExactKernels& kernels, const T* w, FixedPanel<T>* panel) {
  FixedLimb& limb = panel->limbs[0];
  Lanes<T> lanes{kernels, kExactBlock, {}, {}, {}};
  for (size_t l = 0; l < kLanes; ++l) limb.units[l] += panel->zeros[l];
  std::copy_n(limb.units, kLanes, lanes.units);
  const int64_t bias = kernels.narrow_biased ? int64_t{1} << panel->bits : 0;
  lanes.Run(w, panel->k, false, bias, limb.data.data(), nullptr, limb.sums.data());
}

namespace {

std::shared_ptr<std::byte> Take(BufferPool* buffers, size_t bytes) {
  return buffers != nullptr ? buffers->Take(bytes) : BufferPool().Take(bytes);
}

// A row takes its operands, its sums of blocks, and as much more as keeps rows from starting in the
// same set of a cache.
struct RowLayout {
  size_t sums, stride;  // words
  explicit RowLayout(size_t k)
      : sums((k + kLanes - 1) / kLanes * kLanes), stride(sums + (ExactBlocks(k) + 7) / 8 * 8) {}
  static uint64_t* Data(const std::shared_ptr<std::byte>& block, size_t words) {
    return static_cast<uint64_t*>(static_cast<void*>(block.get())) + words;
  }
  int64_t* Sums(uint64_t* row) const {
    return static_cast<int64_t*>(static_cast<void*>(row + sums));
  }
};

// A limb of a row.
struct RowLimb {
  std::shared_ptr<std::byte> data;
  int unit = 0;
};

template <class T>
class RowFixer {
 public:
  RowFixer(const ExactKernels& kernels, size_t k, BufferPool* buffers)
      : kernels_(kernels),
        buffers_(buffers),
        layout_(k),
        k_(k),
        steps_((k + kLanes - 1) / kLanes),
        row_(steps_ * kLanes),
        rest_(steps_ * kLanes),
        lane_sums_(ExactBlocks(k) * kLanes),
        lanes_{kernels, kRowSteps, {}, {}, {}} {}

  // The first limb goes to `first` and `unit`, others to `limbs`. False: the row is left to the
  // caller.
  bool Fix(const T* x, size_t terms, std::vector<RowLimb>* limbs, uint64_t* first, int* unit) {
    Copy(x, terms);
    uint32_t general = 0;
    limbs->clear();
    for (size_t index = 0; index < kMostLimbs; ++index) {
      if (index > 0) {
        limbs->push_back({Take(buffers_, layout_.stride * sizeof(uint64_t)), 0});
        first = RowLayout::Data(limbs->back().data, 0);
        unit = &limbs->back().unit;
      }
      lanes_.Choose(row_.data(), steps_, OperandBits(k_), true, &general);
      if (general != 0) break;
      Run(true, kernels_.wide_bias, first, nullptr);
      const bool inexact = lanes_.InexactLanes() != 0;
      if (inexact) {
        for (int& u : lanes_.units) ++u;
        Run(true, kernels_.wide_bias, first, rest_.data());
        std::swap(row_, rest_);
      }
      *unit = lanes_.units[0];
      if (!inexact) return true;
    }
    return false;
  }

  void Zero(uint64_t* first, int* unit) {
    std::fill_n(row_.data(), row_.size(), T{0});
    std::fill_n(lanes_.units, kLanes, *unit = 0);
    Run(true, kernels_.wide_bias, first, nullptr);
  }

  // Of the row that was fixed last.
  int Zeros() const {
    int zeros = kExactBits;
    for (size_t l = 0; l < kLanes; ++l) zeros = std::min(zeros, lanes_.Zeros(l));
    return zeros;
  }

  void Narrow(const T* x, size_t terms, int unit, int64_t bias, uint64_t* out) {
    Copy(x, terms);
    std::fill_n(lanes_.units, kLanes, unit);
    Run(false, bias, out, nullptr);
  }

 private:
  void Copy(const T* x, size_t terms) {
    std::memcpy(row_.data(), x, terms * sizeof(T));
    std::fill_n(row_.data() + terms, row_.size() - terms, T{0});
  }
  void Run(bool wide, int64_t bias, uint64_t* out, T* rest) {
    int64_t* sums = layout_.Sums(out);
    lanes_.Run(row_.data(), steps_, wide, bias, out, rest, lane_sums_.data());
    for (size_t b = 0; b < ExactBlocks(k_); ++b) {
      sums[b] = 0;
      for (size_t l = 0; l < kLanes; ++l) sums[b] += lane_sums_[b * kLanes + l];
    }
  }

  const ExactKernels& kernels_;
  BufferPool* buffers_;
  RowLayout layout_;
  size_t k_, steps_;
  AlignedArray<T> row_, rest_;
  AlignedArray<int64_t> lane_sums_;
  Lanes<T> lanes_;
};

template <class F>
void ForRows(size_t n, Workers* workers, const F& body) {
  if (workers != nullptr) {
    workers->For(n, 4, body);
  } else {
    body(size_t{0}, n);
  }
}

template <class T>
void NarrowRows(const ExactKernels& kernels, std::span<const T* const> x,
                std::span<const size_t> terms, const std::vector<int>& zeros, Workers* workers,
                BufferPool* buffers, FixedRows* rows) {
  const size_t n = rows->n, k = rows->k;
  const RowLayout layout(k);
  rows->data.push_back(Take(buffers, n * layout.stride * sizeof(uint64_t)));
  uint64_t* data = RowLayout::Data(rows->data.back(), 0);
  const int64_t bias = kernels.narrow_biased ? int64_t{1} << rows->bits : 0;
  rows->narrow.resize(n);
  rows->narrow_sums.resize(n);
  rows->narrow_units.resize(n);
  ForRows(n, workers, [&](size_t first, size_t last) {
    RowFixer<T> fixer(kernels, k, buffers);
    for (size_t r = first; r < last; ++r) {
      uint64_t* row = data + r * layout.stride;
      rows->narrow[r] = row;
      rows->narrow_sums[r] = layout.Sums(row);
      rows->narrow_units[r] = rows->units[r] + zeros[r];
      const size_t count = rows->general[r] != 0 ? 0 : terms.empty() ? k : terms[r];
      fixer.Narrow(x[r], count, rows->narrow_units[r], bias, row);
    }
  });
}

}  // namespace

template <class T>
FixedRows FixRows(const ExactKernels& kernels, std::span<const T* const> x, size_t k,
                  std::span<const size_t> terms, bool narrow, Workers* workers,
                  BufferPool* buffers) {
  const size_t n = x.size();
  const RowLayout layout(k);
  FixedRows rows;
  rows.n = n;
  rows.k = k;
  rows.x.resize(n);
  rows.sums.resize(n);
  rows.units.resize(n);
  rows.owners.resize(n);
  rows.general.resize(n);
  rows.data.push_back(Take(buffers, n * layout.stride * sizeof(uint64_t)));
  uint64_t* data = RowLayout::Data(rows.data.back(), 0);
  std::vector<std::vector<RowLimb>> limbs(n);
  std::vector<int> zeros(n);
  ForRows(n, workers, [&](size_t first, size_t last) {
    RowFixer<T> fixer(kernels, k, buffers);
    for (size_t r = first; r < last; ++r) {
      uint64_t* row = data + r * layout.stride;
      rows.x[r] = row;
      rows.sums[r] = layout.Sums(row);
      rows.owners[r] = r;
      if (!fixer.Fix(x[r], terms.empty() ? k : terms[r], &limbs[r], row, &rows.units[r])) {
        rows.general[r] = 1;
        limbs[r].clear();
        fixer.Zero(row, &rows.units[r]);
      }
      zeros[r] = limbs[r].empty() ? fixer.Zeros() : 0;
    }
  });
  bool one_limb = true;
  for (size_t r = 0; r < n; ++r) {
    one_limb = one_limb && limbs[r].empty();
    rows.bits = std::max(rows.bits, kExactBits - zeros[r]);
    for (RowLimb& limb : limbs[r]) {
      uint64_t* row = RowLayout::Data(limb.data, 0);
      rows.x.push_back(row);
      rows.sums.push_back(layout.Sums(row));
      rows.units.push_back(limb.unit);
      rows.owners.push_back(r);
      rows.data.push_back(std::move(limb.data));
    }
  }
  // Worth it if there can be weights that are short enough.
  if (narrow && one_limb && rows.bits <= std::min(kernels.narrow_most, kernels.narrow_sum - 18))
    NarrowRows(kernels, x, terms, zeros, workers, buffers, &rows);
  return rows;
}

template void FixPanel<float>(const ExactKernels&, const float*, size_t, FixedPanel<float>*);
template void FixPanel<double>(const ExactKernels&, const double*, size_t, FixedPanel<double>*);
template void NarrowPanel<float>(const ExactKernels&, const float*, FixedPanel<float>*);
template void NarrowPanel<double>(const ExactKernels&, const double*, FixedPanel<double>*);
template FixedRows FixRows<float>(const ExactKernels&, std::span<const float* const>, size_t,
                                  std::span<const size_t>, bool, Workers*, BufferPool*);
template FixedRows FixRows<double>(const ExactKernels&, std::span<const double* const>, size_t,
                                   std::span<const size_t>, bool, Workers*, BufferPool*);

}  // namespace vernier
