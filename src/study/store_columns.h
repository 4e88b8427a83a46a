// What the store keeps of a token, a site and a rule: the one place that names the columns. Tables,
// insertions, readings, seals and views are made from these lists, so a measure that is added here
// is in all of them (and in docs/store.md, which a test holds to the tables; kStoreVersion
// changes).
#ifndef VERNIER_STUDY_STORE_COLUMNS_H_
#define VERNIER_STUDY_STORE_COLUMNS_H_

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>

#include "base/hash.h"
#include "measure/score.h"

namespace vernier {

// column(NAME, MEMBER) for each; `of_truth`: nothing where the study has no truth.
template <class M, class F>
void TokenColumns(M& m, F column) {
  column("nll", m.nll);
  column("kld", m.kld);
  column("delta_p", m.delta_p);
  column("same_top", m.same_top);
  column("correct", m.correct);
  column("margin", m.margin);
  column("mae", m.mae);
  column("max_abs", m.max_abs);
  column("kld_truth", m.kld_truth);
  column("mae_truth", m.mae_truth);
}

template <class M, class F>
void SiteColumns(M& m, F column) {
  column("count", m.count);
  column("sum", m.sum);
  column("squares", m.squares);
  column("error", m.error);
  column("reference", m.reference);
  column("truth_error", m.truth_error);
  column("truth_reference", m.truth_reference);
  column("inherited", m.inherited);
  column("low", m.low);
  column("high", m.high);
  column("max_error", m.max_error);
  column("beside", m.beside);
  column("beside_max", m.beside_max);
  column("first_1", m.first[0]);
  column("first_2", m.first[1]);
  column("first_3", m.first[2]);
  column("first_4", m.first[3]);
  column("first_5", m.first[4]);
}

template <class M, class F>
void EffectColumns(M& m, F column) {
  column("touched", m.touched);
  column("changed", m.changed);
  column("saturated", m.saturated);
  column("flushed", m.flushed);
}

// Columns that are NULL in views of a study without a truth.
inline bool IsOfTruth(const std::string& column) {
  return column.find("truth") != std::string::npos;
}

// The bits of a number as the store gives it back: it keeps no sign of zero and one NaN.
template <class T>
uint64_t StoredBits(T value) {
  if constexpr (std::is_floating_point_v<T>) {
    const double x = static_cast<double>(value);
    if (std::isnan(x)) return std::bit_cast<uint64_t>(std::numeric_limits<double>::quiet_NaN());
    return std::bit_cast<uint64_t>(x == 0 ? 0.0 : x);
  } else {
    return static_cast<uint64_t>(value);
  }
}

// Over what belongs together in the store: what was put in and what comes out have the same one,
// unless the file was damaged in between.
class Seal {
 public:
  template <class T>
  void Add(T value) {
    state_ = Combine(state_, StoredBits(value));
  }
  void Add(const std::string& text) { state_ = Combine(state_, HashText(text)); }
  int64_t value() const { return std::bit_cast<int64_t>(state_.low ^ state_.high); }

 private:
  Hash128 state_;
};

}  // namespace vernier

#endif  // VERNIER_STUDY_STORE_COLUMNS_H_
