// Order statistics of the magnitudes of very many numbers, in bounded memory: the largest ones are
// kept, the others counted.
#ifndef VERNIER_MEASURE_MAGNITUDES_H_
#define VERNIER_MEASURE_MAGNITUDES_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/parallel.h"
#include "measure/rows_view.h"

namespace vernier {

// NaN and infinities are left out. What is known depends on the multiset of the magnitudes alone:
// not on their order, on how they were cut into calls, or on threads.
class Magnitudes {
 public:
  // Of all elements the `most` largest are kept exactly (8 bytes each, up to twice as many
  // meanwhile). Of every one the exponent and the first eight bits of the fraction are counted, as
  // a double: 2 KB for each exponent that occurs.
  explicit Magnitudes(size_t most);
  Magnitudes(Magnitudes&&) = default;
  Magnitudes& operator=(Magnitudes&&) = default;

  void Add(const RowsView& view, Workers* workers = nullptr);
  // `other` keeps as many as this does, or more (CHECK).
  void Add(const Magnitudes& other);

  uint64_t count() const { return count_; }  // of the finite ones

  struct Value {
    double value = 0;
    bool exact = true;
  };
  // The magnitude at position p/100 * (count - 1) of the sorted ones, linear between neighbours, as
  // in scale=percentile:P; 0 < p <= 100, count above 0 (CHECK). Exact where it lies among those
  // kept. Otherwise magnitudes are taken to be spread evenly over those with the same exponent and
  // first eight bits: the value then errs by less than 2^-8 of itself (and is 0 below 2^-1030).
  Value Percentile(double p);

  // How many of the largest of n elements Percentile(p) needs.
  static uint64_t Needed(uint64_t n, double p);

 private:
  using Page = std::array<uint64_t, 256>;  // by the first eight bits of the fraction
  struct Counts {
    std::vector<std::unique_ptr<Page>> pages;  // by exponent
    template <class T>
    void Add(const T* row, size_t n);
    void Add(const Counts& other);
  };
  double LeastKept() const;
  void Keep(std::vector<double> magnitudes);
  void AddPiece(const RowsView& view, Workers* workers);
  double Estimate(uint64_t k) const;

  size_t most_;
  uint64_t count_ = 0;
  Counts counts_;
  std::vector<double> top_;  // the `most_` largest, and some that are not above the least of them
  double floor_ = -1;        // where top_ was cut: smaller ones, and more of it, are not needed
};

}  // namespace vernier

#endif  // VERNIER_MEASURE_MAGNITUDES_H_
