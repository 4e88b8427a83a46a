#include "ops/wide_chains.h"

#include <algorithm>

#include "formats/number.h"
#include "ops/format_plan.h"
#include "ops/format_product.h"

namespace vernier {
namespace {

bool Rounds(const FormatRounding& r) {
  constexpr int kMost = 51;
  return r.format.precision <= kMost || IsHostFormat<double>(r);
}

}  // namespace

bool WideChains::Can(const FormatMath& math) {
  return Rounds(math.values) && Rounds(math.sum.partial) &&
         (math.sum.chunk == 0 || Rounds(math.sum.into));
}

WideChains::WideChains(const FormatMath& math, const Kernels& kernels)
    : kind_(math.kind),
      order_(math.sum.order),
      chunk_(math.sum.chunk),
      values_{SpecOf(math.values), IsHostFormat<double>(math.values)},
      partial_{SpecOf(math.sum.partial), IsHostFormat<double>(math.sum.partial)},
      into_{SpecOf(math.sum.into), IsHostFormat<double>(math.sum.into)},
      kernels_(kernels),
      odd_(ChainTablesOf(kernels.isa).odd) {}

void WideChains::Start(size_t width) {
  width_ = width;
  terms_ = 0;
  s_.assign(width, 0);
  c_.assign(width, 0);
  t_.resize(width);
  y_.resize(width);
  total_.assign(chunk_ != 0 ? width : 0, 0);
}

void WideChains::Round(const Operations& to, size_t n, double* y) const {
  if (!to.is_f64) RoundRow(to.spec, y, n, y, 0, 0, &kernels_);
}

void WideChains::Product(double x, const double* w, double* y) const {
  if (values_.is_f64) {
    for (size_t i = 0; i < width_; ++i) y[i] = x * w[i];
  } else if (odd_ != nullptr) {
    odd_->product(x, w, width_, y);
  } else {
    for (size_t i = 0; i < width_; ++i) y[i] = OddProduct(x, w[i]);
  }
  Round(values_, width_, y);
}

void WideChains::Fused(double x, const double* w, const double* s, double* y) const {
  if (partial_.is_f64) {
    for (size_t i = 0; i < width_; ++i) y[i] = std::fma(x, w[i], s[i]);
  } else if (odd_ != nullptr) {
    odd_->fused(x, w, s, width_, y);
  } else {
    for (size_t i = 0; i < width_; ++i) y[i] = OddFused(x, w[i], s[i]);
  }
  Round(partial_, width_, y);
}

void WideChains::Sum(const Operations& to, const double* a, const double* b, size_t n,
                     double* y) const {
  if (to.is_f64) {
    for (size_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
  } else if (odd_ != nullptr) {
    odd_->sum(a, b, n, y);
  } else {
    for (size_t i = 0; i < n; ++i) y[i] = OddSum(a[i], b[i]);
  }
  Round(to, n, y);
}

void WideChains::Difference(const double* a, const double* b, double* y) const {
  if (partial_.is_f64) {
    for (size_t i = 0; i < width_; ++i) y[i] = a[i] - b[i];
  } else if (odd_ != nullptr) {
    odd_->difference(a, b, width_, y);
  } else {
    for (size_t i = 0; i < width_; ++i) y[i] = OddSum(a[i], -b[i]);
  }
  Round(partial_, width_, y);
}

void WideChains::AddInto(double* a, const double* b, size_t n) const { Sum(into_, a, b, n, a); }

void WideChains::Add(double x, const double* w) {
  ++terms_;
  if (order_ == SumOrder::kKahan) {
    Kahan(x, w);
  } else if (order_ == SumOrder::kPairwise) {
    Pairwise(x, w);
  } else if (kind_ == FormatMathKind::kStep) {
    Product(x, w, t_.data());
    Sum(partial_, s_.data(), t_.data(), width_, s_.data());
  } else {
    Fused(x, w, s_.data(), s_.data());
  }
  if (chunk_ != 0 && terms_ == chunk_) EndChunk();
}

void WideChains::Kahan(double x, const double* w) {
  double *s = s_.data(), *c = c_.data(), *t = t_.data(), *y = y_.data();
  if (kind_ == FormatMathKind::kStep) {
    Product(x, w, t);
    Difference(t, c, y);
  } else {
    for (size_t i = 0; i < width_; ++i) t[i] = -c[i];
    Fused(x, w, t, y);
  }
  Sum(partial_, s, y, width_, t);
  Difference(t, s, c);
  Difference(c, y, c);
  std::copy_n(t, width_, s);
}

// Sums of 1, 2, 4, ... terms wait for another of as many: what splitting at the largest power of
// two adds.
void WideChains::Pairwise(double x, const double* w) {
  double* t = t_.data();
  if (kind_ == FormatMathKind::kStep) {
    Product(x, w, t);
    Round(partial_, width_, t);
  } else {
    // The exact product, rounded once: as one that is added to zero, but for the sign of zero.
    if (odd_ != nullptr) {
      odd_->product(x, w, width_, t);
    } else {
      for (size_t i = 0; i < width_; ++i) t[i] = OddProduct(x, w[i]);
    }
    if (partial_.is_f64)
      for (size_t i = 0; i < width_; ++i) t[i] = x * w[i];
    Round(partial_, width_, t);
  }
  size_t level = 0;
  for (size_t n = terms_ - 1; n % 2 != 0; n /= 2, ++level)
    Sum(partial_, stack_[level].data(), t, width_, t);
  if (stack_.size() <= level) stack_.resize(level + 1);
  stack_[level].assign(t, t + width_);
}

void WideChains::EndChunk() {
  if (order_ == SumOrder::kPairwise) {
    bool any = false;
    for (size_t level = 0; terms_ >> level != 0; ++level) {
      if ((terms_ >> level) % 2 == 0) continue;
      if (any) {
        Sum(partial_, stack_[level].data(), s_.data(), width_, s_.data());
      } else {
        s_.assign(stack_[level].begin(), stack_[level].begin() + static_cast<ptrdiff_t>(width_));
      }
      any = true;
    }
  }
  terms_ = 0;
  if (chunk_ == 0) return;
  AddInto(total_.data(), s_.data(), width_);
  s_.assign(width_, 0);
  c_.assign(width_, 0);
}

const double* WideChains::End() {
  if (chunk_ == 0 || terms_ != 0) EndChunk();
  double* const result = chunk_ == 0 ? s_.data() : total_.data();
  Round(values_, width_, result);
  return result;
}

}  // namespace vernier
