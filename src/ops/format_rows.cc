#include "ops/format_rows.h"

#include <algorithm>

#include "base/result.h"
#include "ops/format_functions.h"
#include "ops/format_product.h"
#include "ops/format_row_ops.h"

namespace vernier {
namespace {

// Scratch of one thread.
template <class T>
struct Scratch {
  std::vector<double> a, b, c, d, e;
  std::vector<T> panel;
};

// What all rows of a call have in common.
struct Shared {
  FormatRowOps ops;
  RoundSpec operands;
  std::vector<double> vector;  // rounded
  double eps = 0;
};

template <class T>
void ToDoubles(const T* x, size_t n, std::vector<double>* out) {
  out->assign(x, x + n);
}

template <class T>
void FromDoubles(const std::vector<double>& x, T* out) {
  ToHost(x.data(), x.size(), out);
}

template <class T>
void Normalise(const FormatRowsArgs<T>& args, const Shared& shared, size_t r, Scratch<T>* s) {
  const size_t n = args.shape.width / args.shape.groups;
  const RoundSpec& spec = shared.ops.spec();
  for (size_t group = 0; group < args.shape.groups; ++group) {
    const T* const x = args.a[r] + group * n;
    const double sum = FormatRowDot(*args.math, shared.ops.kernels(), x, x, n, &s->panel);
    const double mean = RoundedQuotient(spec, sum, static_cast<double>(n));
    const double root = RoundedReciprocalRoot(spec, shared.ops.Sum(mean, shared.eps));
    ToDoubles(x, n, &s->a);
    shared.ops.Product(s->a.data(), root, n, s->a.data());
    FromDoubles(s->a, args.out[r] + group * n);
  }
}

template <class T>
void Sigmoided(const FormatRowsArgs<T>& args, const Shared& shared, size_t r, Scratch<T>* s) {
  const size_t n = args.shape.width;
  ToDoubles(args.a[r], n, &s->a);
  s->b.resize(n);
  RoundedRow(FormatFunction::kSigmoid, shared.ops.spec(), shared.ops.kernels(), s->a.data(), n,
             s->b.data());
  shared.ops.Product(s->a.data(), s->b.data(), n, s->a.data());
  if (args.op == OpKind::kSwiGlu) {
    ToDoubles(args.b[r], n, &s->b);
    shared.ops.Product(s->a.data(), s->b.data(), n, s->a.data());
  }
  FromDoubles(s->a, args.out[r]);
}

// A pair's elements by head, side by side in two rows.
template <class T>
struct Pairs {
  const FormatRowsArgs<T>& args;
  size_t Count() const { return args.shape.heads * args.rope->pairs(); }
  template <class F>
  void ForEach(const F& f) const {
    const size_t pairs = args.rope->pairs();
    const bool halves = args.rope->spec().layout == RopeLayout::kHalves;
    for (size_t h = 0; h < args.shape.heads; ++h)
      for (size_t i = 0; i < pairs; ++i) {
        const size_t base = h * args.shape.head_dim;
        f(h * pairs + i, i, base + (halves ? i : 2 * i), base + (halves ? i + pairs : 2 * i + 1));
      }
  }
};

template <class T>
void Rotate(const FormatRowsArgs<T>& args, const Shared& shared, size_t r, Scratch<T>* s) {
  const Pairs<T> pairs{args};
  const size_t n = pairs.Count(), angles = args.rope->pairs();
  const T* const x = args.a[r];
  std::vector<double> cosines(angles), sines(angles), minus(n);
  RoundRow(shared.operands, args.rope->template Cos<double>(args.positions[r]), angles,
           cosines.data());
  RoundRow(shared.operands, args.rope->template Sin<double>(args.positions[r]), angles,
           sines.data());
  for (auto* v : {&s->a, &s->b, &s->c, &s->d, &s->e}) v->resize(n);
  double *const a = s->a.data(), *const b = s->b.data(), *const c = s->c.data(),
                *const d = s->d.data(), *const e = s->e.data();
  pairs.ForEach([&](size_t at, size_t i, size_t first, size_t second) {
    a[at] = x[first];
    b[at] = x[second];
    c[at] = cosines[i];
    d[at] = sines[i];
  });
  const FormatRowOps& ops = shared.ops;
  std::vector<double> turned(n);
  switch (args.math->kind) {
    case FormatMathKind::kStep:
      ops.Product(b, d, n, e);
      ops.Product(a, c, n, turned.data());
      ops.Difference(turned.data(), e, n, turned.data());
      ops.Product(a, d, n, e);
      ops.Product(b, c, n, b);
      ops.Sum(b, e, n, b);
      break;
    case FormatMathKind::kFused:
      ops.Product(b, d, n, e);
      ops.FusedDifference(a, c, e, n, turned.data());
      ops.Product(a, d, n, e);
      ops.Fused(b, c, e, n, b);
      break;
    case FormatMathKind::kQuire:
      for (size_t i = 0; i < n; ++i) minus[i] = -d[i];
      ops.TwoProducts(a, c, b, minus.data(), n, turned.data());
      ops.TwoProducts(b, c, a, d, n, b);
      break;
  }
  T* const out = args.out[r];
  std::copy_n(x, args.shape.width, out);
  pairs.ForEach([&](size_t at, size_t, size_t first, size_t second) {
    ToHost(&turned[at], 1, out + first);
    ToHost(b + at, 1, out + second);
  });
}

template <class T>
void OneRow(const FormatRowsArgs<T>& args, const Shared& shared, size_t r, Scratch<T>* s) {
  const size_t n = args.shape.width;
  const FormatRowOps& ops = shared.ops;
  switch (args.op) {
    case OpKind::kNormalise:
      return Normalise(args, shared, r, s);
    case OpKind::kRope:
      return Rotate(args, shared, r, s);
    case OpKind::kSilu:
    case OpKind::kSwiGlu:
      return Sigmoided(args, shared, r, s);
    default:
      break;
  }
  ToDoubles(args.a[r], n, &s->a);
  double* const a = s->a.data();
  switch (args.op) {
    case OpKind::kMultiply:
      ops.Product(a, shared.vector.data(), n, a);
      break;
    case OpKind::kBias:
      ops.Sum(a, shared.vector.data(), n, a);
      break;
    case OpKind::kAdd:
      ToDoubles(args.b[r], n, &s->b);
      ops.Sum(a, s->b.data(), n, a);
      break;
    case OpKind::kClamp: {
      const double low = RoundValue(shared.operands, args.shape.low),
                   high = RoundValue(shared.operands, args.shape.high);
      for (size_t i = 0; i < n; ++i) a[i] = a[i] < low ? low : a[i] > high ? high : a[i];
      break;
    }
    case OpKind::kSoftplus:
      RoundedRow(FormatFunction::kSoftplus, ops.spec(), ops.kernels(), a, n, a);
      break;
    default:
      CHECK(false && "op without rows in a format");
  }
  FromDoubles(s->a, args.out[r]);
}

}  // namespace

template <class T>
double FormatRowDot(const FormatMath& math, const Kernels& kernels, const T* x, const T* w,
                    size_t n, std::vector<T>* panel) {
  panel->assign(n * kLanes, T{0});
  for (size_t i = 0; i < n; ++i) (*panel)[i * kLanes] = w[i];
  T sum = 0;
  T* const out[] = {&sum};
  const T* const in[] = {x};
  EvaluateFormatChains<T>({&math, panel->data(), 0, 1, n, in, {}, out}, kernels);
  return sum;
}

template <class T>
void EvaluateFormatRows(const FormatRowsArgs<T>& args, const Machine& machine) {
  Shared shared{FormatRowOps(*args.math, args.math->values, *machine.kernels),
                OperandSpec(args.math->values),
                {args.vector.begin(), args.vector.end()},
                0};
  RoundRow(shared.operands, shared.vector.data(), shared.vector.size());
  shared.eps = RoundValue(shared.operands, args.shape.eps);
  const size_t grain = std::max<size_t>(1, 4096 / std::max<size_t>(args.shape.width, 1));
  machine.workers->For(args.out.size(), grain, [&](size_t first, size_t last) {
    Scratch<T> scratch;
    for (size_t r = first; r < last; ++r) OneRow(args, shared, r, &scratch);
  });
}

template double FormatRowDot(const FormatMath&, const Kernels&, const float*, const float*, size_t,
                             std::vector<float>*);
template double FormatRowDot(const FormatMath&, const Kernels&, const double*, const double*,
                             size_t, std::vector<double>*);
template void EvaluateFormatRows(const FormatRowsArgs<float>&, const Machine&);
template void EvaluateFormatRows(const FormatRowsArgs<double>&, const Machine&);

}  // namespace vernier
