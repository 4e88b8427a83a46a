#include "measure/logit_comparison.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace vernier {
namespace {

double SquaredDistance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

double Squares(const std::vector<double>& a) {
  double sum = 0;
  for (const double x : a) sum += x * x;
  return sum;
}

double RelativeDistance(double squares, double reference) {
  return squares == 0 ? 0 : std::sqrt(squares) / std::sqrt(reference);
}

}  // namespace

void LogitComparer::Take(Role role, const LogitsRow& row) {
  Partners& partners = waiting_[row.index];
  partners[role] = MakeDistribution(row, vocabulary_, kernels_);
  if (partners.size() < (truth_ ? 3u : 2u)) return;
  done_[row.index] = Measure(partners);
  waiting_.erase(row.index);
}

LogitComparer::Row LogitComparer::Measure(Partners& partners) const {
  Distribution &a = partners[Role::kA], &b = partners[Role::kB];
  Row row;
  row.identical = std::memcmp(a.logits.data(), b.logits.data(), vocabulary_ * sizeof(double)) == 0;
  const LogitError distance = LogitDistance(a, b);
  row.mae = distance.mae;
  row.max_abs = std::isnan(distance.mae) ? distance.mae : distance.max_abs;
  WithProbabilities(&a, kernels_);
  row.kl = KlDivergence(a, b);
  row.top_a = a.top;
  row.top_b = b.top;
  row.margin_a = a.margin;
  if (!truth_) return row;
  Distribution& truth = partners[Role::kTruth];
  WithProbabilities(&truth, kernels_);
  row.kl_a = KlDivergence(truth, a);
  row.kl_b = KlDivergence(truth, b);
  row.squares_a = SquaredDistance(a.logits, truth.logits);
  row.squares_b = SquaredDistance(b.logits, truth.logits);
  row.squares_truth = Squares(truth.logits);
  return row;
}

LogitComparison LogitComparer::Finish() const {
  LogitComparison out;
  out.rows = done_.size();
  out.has_truth = truth_;
  size_t agree = 0;
  Row sum;
  for (const auto& [index, row] : done_) {
    sum.mae += row.mae;
    sum.kl += row.kl;
    sum.kl_a += row.kl_a;
    sum.kl_b += row.kl_b;
    sum.squares_a += row.squares_a;
    sum.squares_b += row.squares_b;
    sum.squares_truth += row.squares_truth;
    // Not std::max: it would drop a NaN.
    if (!(row.max_abs <= out.max_abs)) out.max_abs = row.max_abs;
    if (!(row.kl <= out.kl_max)) out.kl_max = row.kl;
    agree += row.top_a == row.top_b;
    out.identical = out.identical && row.identical;
    out.top_a.push_back(row.top_a);
    out.top_b.push_back(row.top_b);
    out.margin_a.push_back(row.margin_a);
  }
  const double n = static_cast<double>(std::max<size_t>(out.rows, 1));
  out.mae = sum.mae / n;
  if (std::isnan(out.mae)) out.max_abs = out.mae;
  out.kl_mean = sum.kl / n;
  out.top1_agreement = out.rows == 0 ? 1 : static_cast<double>(agree) / n;
  out.a_truth = {sum.kl_a / n, RelativeDistance(sum.squares_a, sum.squares_truth)};
  out.b_truth = {sum.kl_b / n, RelativeDistance(sum.squares_b, sum.squares_truth)};
  return out;
}

}  // namespace vernier
