// The logits of two runs over one token stream, row by row, with or without a truth to hold both
// against.
#ifndef VERNIER_MEASURE_LOGIT_COMPARISON_H_
#define VERNIER_MEASURE_LOGIT_COMPARISON_H_

#include <cstdint>
#include <map>
#include <vector>

#include "kernels/kernels.h"
#include "measure/divergence.h"

namespace vernier {

// How far a run's logits are from the truth's.
struct TruthDistance {
  double kl_mean = 0;  // mean over rows of KL(truth || run), nats
  double l2_rel = 0;   // |run - truth|2 / |truth|2 over all rows together
};

// b against a, over all rows.
struct LogitComparison {
  size_t rows = 0;
  double mae = 0, max_abs = 0;     // of logits; NaN where a logit is
  double kl_mean = 0, kl_max = 0;  // KL(a || b), nats
  double top1_agreement = 1;       // share of rows where the likeliest token is the same
  bool identical = true;           // every logit has equal bits
  std::vector<size_t> top_a, top_b;
  std::vector<double> margin_a;  // largest minus second largest of a
  bool has_truth = false;
  TruthDistance a_truth, b_truth;
};

// Takes rows as they are computed, in any order, and keeps each until its partners are there. The
// result does not depend on the order.
class LogitComparer {
 public:
  enum class Role { kA, kB, kTruth };
  LogitComparer(size_t vocabulary, bool truth, const Kernels& kernels)
      : vocabulary_(vocabulary), truth_(truth), kernels_(kernels) {}
  void Take(Role role, const LogitsRow& row);
  LogitComparison Finish() const;  // of the rows that both runs have

 private:
  struct Row {
    double mae = 0, max_abs = 0, kl = 0, margin_a = 0;
    size_t top_a = 0, top_b = 0;
    bool identical = true;
    double kl_a = 0, kl_b = 0, squares_a = 0, squares_b = 0, squares_truth = 0;
  };
  using Partners = std::map<Role, Distribution>;
  Row Measure(Partners& partners) const;
  size_t vocabulary_;
  bool truth_;
  const Kernels& kernels_;
  std::map<size_t, Partners> waiting_;
  std::map<size_t, Row> done_;
};

}  // namespace vernier

#endif  // VERNIER_MEASURE_LOGIT_COMPARISON_H_
