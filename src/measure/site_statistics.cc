#include "measure/site_statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>

#include "kernels/kernels.h"

namespace vernier {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Counts of some rows by the exponent field of their type: 0 holds zeros and subnormals, the last
// infinities and NaN; the ones that a field does not tell apart are looked at one by one, for they
// are rare.
struct ExponentCounts {
  std::vector<uint64_t> fields;
  std::map<int, uint64_t> subnormals;
  uint64_t zeros = 0, nans = 0, infinities = 0;

  template <class T>
  void Specials(const T* row, size_t n) {
    for (size_t i = 0; i < n; ++i) {
      const double x = static_cast<double>(row[i]);
      if (x == 0) ++zeros;
      if (x != 0 && std::abs(row[i]) < std::numeric_limits<T>::min()) ++subnormals[std::ilogb(x)];
      if (x != x) ++nans;
      if (std::isinf(x)) ++infinities;
    }
  }
  void operator+=(const ExponentCounts& other) {
    fields.resize(std::max(fields.size(), other.fields.size()));
    for (size_t i = 0; i < other.fields.size(); ++i) fields[i] += other.fields[i];
    for (const auto& [exponent, count] : other.subnormals) subnormals[exponent] += count;
    zeros += other.zeros;
    nans += other.nans;
    infinities += other.infinities;
  }
};

// One row; its exponent fields are counted in `fields`, the rare ones that need a look in `counts`.
template <class T>
RowMoments MeasureRow(const T* row, size_t n, uint32_t* fields, ExponentCounts* counts,
                      uint64_t* finite) {
  constexpr size_t kFields = kExponentFields<T>;
  const MomentKernels<T>& kernels = MomentKernelsOf<T>(BestKernels());
  const uint32_t small = fields[0], infinite = fields[kFields - 1];
  kernels.exponents(row, n, fields);
  if (fields[0] != small || fields[kFields - 1] != infinite) counts->Specials(row, n);
  *finite = n - (fields[kFields - 1] - infinite);
  return kernels.moments(row, n, *finite);
}

// Rows in tasks; their counts are whole numbers, which may be added in any order.
struct Measured {
  std::vector<RowMoments> rows;
  std::vector<uint64_t> finite;
  ExponentCounts counts;
};

Measured MeasureRows(const RowsView& view, Workers* workers) {
  const size_t n = view.rows.size(), elements = CountElements(view);
  // Large enough that adding up the counts costs little, small enough that a site of a short text
  // is work for all; a row may be of any length.
  const size_t a_task = std::max<size_t>(1, n * (size_t{1} << 15) / std::max<size_t>(1, elements));
  const size_t tasks = (n + a_task - 1) / a_task;
  Measured all{std::vector<RowMoments>(n), std::vector<uint64_t>(n), {}};
  std::mutex mutex;
  const size_t fields =
      view.type == Arithmetic::kF32 ? kExponentFields<float> : kExponentFields<double>;
  const auto run = [&](size_t first, size_t last) {
    ExponentCounts counts{std::vector<uint64_t>(fields), {}};
    std::vector<uint32_t> counted;  // of a task: about 2^15 elements, or one row
    for (size_t t = first; t < last; ++t) {
      counted.assign(fields, 0);
      for (size_t r = t * a_task; r < std::min(n, (t + 1) * a_task); ++r)
        VisitRow(view, r, [&](const auto* row, size_t width) {
          all.rows[r] = MeasureRow(row, width, counted.data(), &counts, &all.finite[r]);
        });
      for (size_t i = 0; i < fields; ++i) counts.fields[i] += counted[i];
    }
    const std::lock_guard lock(mutex);
    all.counts += counts;
  };
  if (workers != nullptr) {
    workers->For(tasks, 1, run);
  } else {
    run(0, tasks);
  }
  return all;
}

}  // namespace

SiteStatistics MeasureSite(const RowsView& view, Workers* workers) {
  const Measured measured = MeasureRows(view, workers);
  SiteStatistics s;
  s.count = CountElements(view);
  s.zeros = measured.counts.zeros;
  s.nans = measured.counts.nans;
  s.infinities = measured.counts.infinities;
  s.exponents = measured.counts.subnormals;
  const std::vector<uint64_t>& fields = measured.counts.fields;
  const int bias = view.type == Arithmetic::kF32 ? 127 : 1023;
  for (size_t field = 1; field + 1 < fields.size(); ++field)
    if (fields[field] > 0) s.exponents[static_cast<int>(field) - bias] = fields[field];
  const uint64_t finite = s.count - s.nans - s.infinities;
  if (finite == 0) {
    s.mean = s.std = s.rms = s.min = s.max = s.absmax = kNan;
    return s;
  }
  double deviations = 0;
  s.min = std::numeric_limits<double>::infinity();
  s.max = -s.min;
  for (const RowMoments& row : measured.rows) {
    s.sum += row.sum;
    s.squares += row.squares;
    s.min = std::min(s.min, row.low);
    s.max = std::max(s.max, row.high);
  }
  const double n = static_cast<double>(finite);
  s.mean = s.sum / n;
  s.rms = std::sqrt(s.squares / n);
  s.absmax = std::max(std::abs(s.min), std::abs(s.max));
  for (size_t r = 0; r < measured.rows.size(); ++r) {
    if (measured.finite[r] == 0) continue;
    const double of_row = static_cast<double>(measured.finite[r]);
    const double apart = measured.rows[r].sum / of_row - s.mean;
    deviations += measured.rows[r].deviations + of_row * (apart * apart);
  }
  s.std = std::sqrt(deviations / n);
  return s;
}

void MeasureGrowth(std::span<SiteSummary> sites) {
  std::map<std::pair<std::string, int>, double> rms;
  for (const SiteSummary& site : sites)
    if (site.layer >= 0) rms[{site.name, site.layer}] = site.statistics.rms;
  for (SiteSummary& site : sites) {
    const auto before = rms.find({site.name, site.layer - 1});
    site.growth = site.layer > 0 && before != rms.end() && before->second > 0
                      ? site.statistics.rms / before->second
                      : kNan;
  }
}

}  // namespace vernier
