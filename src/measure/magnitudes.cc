#include "measure/magnitudes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

#include "base/result.h"

namespace vernier {
namespace {

constexpr int kBinShift = 52 - 8;           // a bin: sign, exponent and eight bits of fraction
constexpr size_t kExponents = 2047;         // those of finite doubles
constexpr size_t kPieceElements = 1 << 20;  // bounds what is gathered at once
constexpr size_t kTaskElements = 1 << 16;

double EdgeOf(uint64_t bin) { return std::bit_cast<double>(bin << kBinShift); }

size_t IndexBelow(uint64_t n, double p) {
  return static_cast<size_t>(p / 100 * static_cast<double>(n - 1));
}

}  // namespace

template <class T>
void Magnitudes::Counts::Add(const T* row, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const double x = std::abs(static_cast<double>(row[i]));
    const uint64_t bin = std::bit_cast<uint64_t>(x) >> kBinShift, exponent = bin >> 8;
    if (exponent == kExponents) continue;
    if (pages[exponent] == nullptr) pages[exponent] = std::make_unique<Page>();
    ++(*pages[exponent])[bin & 255];
  }
}

void Magnitudes::Counts::Add(const Counts& other) {
  for (size_t e = 0; e < kExponents; ++e) {
    if (other.pages[e] == nullptr) continue;
    if (pages[e] == nullptr) pages[e] = std::make_unique<Page>();
    for (size_t i = 0; i < 256; ++i) (*pages[e])[i] += (*other.pages[e])[i];
  }
}

Magnitudes::Magnitudes(size_t most) : most_(most) { counts_.pages.resize(kExponents); }

// The largest edge of a bin with at least `most_` magnitudes above it, by the counts.
double Magnitudes::LeastKept() const {
  uint64_t above = 0;
  for (size_t e = kExponents; e-- > 0;) {
    if (counts_.pages[e] == nullptr) continue;
    for (size_t i = 256; i-- > 0;) {
      above += (*counts_.pages[e])[i];
      if (above >= most_) return EdgeOf(e << 8 | i);
    }
  }
  return 0;
}

// Cuts top_ when it has grown to twice what is needed: amortised, a few steps an element.
void Magnitudes::Keep(std::vector<double> magnitudes) {
  if (top_.empty()) {
    top_ = std::move(magnitudes);
  } else {
    top_.insert(top_.end(), magnitudes.begin(), magnitudes.end());
  }
  if (most_ == 0) top_.clear();
  if (top_.size() < 2 * most_ || top_.empty()) return;
  const auto last = top_.begin() + static_cast<std::ptrdiff_t>(most_ - 1);
  std::nth_element(top_.begin(), last, top_.end(), std::greater<>());
  floor_ = *last;
  top_.resize(most_);
  top_.shrink_to_fit();
}

void Magnitudes::AddPiece(const RowsView& view, Workers* workers) {
  const size_t rows = view.rows.size();
  const size_t a_row = std::max<size_t>(1, CountElements(view) / std::max<size_t>(rows, 1));
  const size_t a_task = std::max<size_t>(1, kTaskElements / a_row);
  const size_t tasks = (rows + a_task - 1) / a_task;
  const auto run = [&](const std::function<void(size_t)>& task) {
    const auto range = [&](size_t first, size_t last) {
      for (size_t t = first; t < last; ++t) task(t);
    };
    workers != nullptr ? workers->For(tasks, 1, range) : range(0, tasks);
  };
  const auto visit = [&](size_t t, const auto& body) {
    for (size_t r = t * a_task; r < std::min(rows, (t + 1) * a_task); ++r) VisitRow(view, r, body);
  };
  std::vector<Counts> counts(tasks);
  run([&](size_t t) {
    counts[t].pages.resize(kExponents);
    visit(t, [&](const auto* row, size_t n) { counts[t].Add(row, n); });
  });
  for (const Counts& c : counts) counts_.Add(c);
  const double least = LeastKept(), floor = floor_;
  std::vector<std::vector<double>> kept(tasks);
  run([&](size_t t) {
    visit(t, [&](const auto* row, size_t n) {
      for (size_t i = 0; i < n; ++i) {
        const double x = std::abs(static_cast<double>(row[i]));
        if (x >= least && x > floor && !std::isinf(x)) kept[t].push_back(x);
      }
    });
  });
  for (std::vector<double>& k : kept) Keep(std::move(k));
}

void Magnitudes::Add(const RowsView& view, Workers* workers) {
  for (size_t first = 0; first < view.rows.size();) {
    size_t last = first, elements = 0;
    while (last < view.rows.size() && (last == first || elements < kPieceElements))
      elements += view.widths[last++];
    AddPiece({view.type, view.rows.subspan(first, last - first),
              view.widths.subspan(first, last - first)},
             workers);
    first = last;
  }
  count_ = 0;
  for (const auto& page : counts_.pages)
    if (page != nullptr)
      for (const uint64_t c : *page) count_ += c;
}

void Magnitudes::Add(const Magnitudes& other) {
  CHECK(other.most_ >= most_);
  counts_.Add(other.counts_);
  count_ += other.count_;
  std::vector<double> above;
  for (const double x : other.top_)
    if (x > floor_) above.push_back(x);
  Keep(std::move(above));
}

// The k-th smallest, from the counts.
double Magnitudes::Estimate(uint64_t k) const {
  uint64_t before = 0;
  for (size_t e = 0; e < kExponents; ++e) {
    if (counts_.pages[e] == nullptr) continue;
    for (size_t i = 0; i < 256; ++i) {
      const uint64_t here = (*counts_.pages[e])[i];
      if (k >= before + here) {
        before += here;
        continue;
      }
      const uint64_t bin = e << 8 | i;
      if (bin == 0) return 0;
      const double share = (static_cast<double>(k - before) + 0.5) / static_cast<double>(here);
      return EdgeOf(bin) + share * (EdgeOf(bin + 1) - EdgeOf(bin));
    }
  }
  return 0;
}

uint64_t Magnitudes::Needed(uint64_t n, double p) { return n == 0 ? 0 : n - IndexBelow(n, p); }

Magnitudes::Value Magnitudes::Percentile(double p) {
  CHECK(count_ > 0 && p > 0 && p <= 100);
  const double at = p / 100 * static_cast<double>(count_ - 1);
  const uint64_t k = IndexBelow(count_, p), from_top = count_ - 1 - k;
  const double share = at - static_cast<double>(k);
  // top_ has the `most_` largest, or all of them.
  if (from_top >= std::min<uint64_t>(most_, top_.size())) {
    const double below = Estimate(k), above = from_top == 0 ? below : Estimate(k + 1);
    return {below + share * (above - below), false};
  }
  const auto kth = top_.begin() + static_cast<std::ptrdiff_t>(from_top);
  std::nth_element(top_.begin(), kth, top_.end(), std::greater<>());
  const double below = *kth;
  if (from_top == 0) return {below, true};
  const double above = *std::min_element(top_.begin(), kth);
  return {below + share * (above - below), true};
}

}  // namespace vernier
