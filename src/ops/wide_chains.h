// Dot products in any format of at most 51 bits, or f64 itself, any mode and order: chains side by
// side as rows of doubles, each operation rounded to odd and then to the format.
#ifndef VERNIER_OPS_WIDE_CHAINS_H_
#define VERNIER_OPS_WIDE_CHAINS_H_

#include <cstddef>
#include <vector>

#include "kernels/chain.h"
#include "kernels/kernels.h"
#include "ops/format_dot.h"
#include "ops/format_math.h"

namespace vernier {

class WideChains {
 public:
  // Whether it does this arithmetic.
  static bool Can(const FormatMath& math);
  // `kernels` must outlive this.
  WideChains(const FormatMath& math, const Kernels& kernels);

  void Start(size_t width);  // from zero, no terms
  // Adds the term x * w[o] to the chain of each output o.
  void Add(double x, const double* w);
  // Ends chunks, and rounds to `values`: the results, which stay until the next Start.
  const double* End();

  // Pieces, for callers that keep sums: of kSequential, and one chunk.
  double* sums() { return s_.data(); }
  // a = into(a + b).
  void AddInto(double* a, const double* b, size_t n) const;

 private:
  struct Operations {
    RoundSpec spec;
    bool is_f64;  // as the machine has it
  };
  void EndChunk();
  void Product(double x, const double* w, double* y) const;
  void Fused(double x, const double* w, const double* s, double* y) const;  // to partial
  void Sum(const Operations& to, const double* a, const double* b, size_t n, double* y) const;
  void Difference(const double* a, const double* b, double* y) const;  // to partial
  void Round(const Operations& to, size_t n, double* y) const;
  void Kahan(double x, const double* w);
  void Pairwise(double x, const double* w);

  FormatMathKind kind_;
  SumOrder order_;
  size_t chunk_;
  Operations values_, partial_, into_;
  const Kernels& kernels_;
  const OddKernels* odd_;  // null: formats/number.h
  size_t width_ = 0, terms_ = 0;
  std::vector<double> s_, c_, t_, y_, total_;
  std::vector<std::vector<double>> stack_;  // kPairwise: sums of 2^i terms
};

}  // namespace vernier

#endif  // VERNIER_OPS_WIDE_CHAINS_H_
