#include "measure/format_fit.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <limits>

#include "base/result.h"
#include "formats/block_scales.h"
#include "formats/decode.h"
#include "formats/round.h"
#include "kernels/kernels.h"
#include "ops/elementary.h"

namespace vernier {
namespace {

constexpr size_t kRun = 16384;        // elements decoded at a time, about: half of a core's L2
constexpr size_t kPiece = kRun * 16;  // elements of a task, about
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Sums of one format over a piece.
struct ErrorSum {
  uint64_t held = 0, saturated = 0, flushed = 0;
  double squares = 0, max = 0;
};

// What one task finds. Pieces are joined in order, so that sums do not depend on threads.
struct PieceFit {
  uint64_t zeros = 0, nans = 0, infinities = 0;
  double largest = 0, smallest = kInfinity, squares = 0;
  std::vector<ErrorSum> formats;
  ScaleCensus scales;
};

template <class T>
void Describe(std::span<const T> x, PieceFit* fit) {
  const RowExtent extent = MomentKernelsOf<T>(BestKernels()).extent(x.data(), x.size());
  fit->squares += extent.squares;
  fit->largest = std::max(fit->largest, extent.largest);
  fit->smallest = std::min(fit->smallest, extent.smallest);
  fit->zeros += extent.zeros;
  fit->nans += extent.nans;
  fit->infinities += extent.infinities;
}

template <class T>
void AddErrors(std::span<const T> x, const T* rounded, ErrorSum* sum) {
  const RowDistance distance =
      MomentKernelsOf<T>(BestKernels()).distance(x.data(), rounded, x.size());
  sum->squares += distance.squares;
  sum->max = std::max(sum->max, distance.largest);
}

std::vector<RoundSpec> Specs(std::span<const Format> formats) {
  std::vector<RoundSpec> specs;
  for (const Format& format : formats) {
    CHECK(format.kind != FormatKind::kFixed);
    specs.push_back(MakeRoundSpec(format, Rounding::kNearestEven, Overflow::kSaturate));
  }
  return specs;
}

// Scales of one piece; exponents of float32 magnitudes, subnormals included, from -149 to 127.
class ScaleCounter {
 public:
  void Add(float scale, float offset) {
    const float magnitude = std::abs(scale);
    ++census_.groups;
    census_.offsets += offset != 0;
    census_.negative += scale < 0;
    if (scale == 0) {
      ++census_.zero;
    } else if (!(magnitude <= std::numeric_limits<float>::max())) {
      ++census_.nonfinite;
    } else {
      smallest_ = std::min(smallest_, magnitude);
      largest_ = std::max(largest_, magnitude);
      ++exponents_[static_cast<size_t>(kLowest + FloorLog2(magnitude))];
    }
  }
  ScaleCensus Census() const {
    ScaleCensus census = census_;
    for (size_t e = 0; e < exponents_.size(); ++e)
      if (exponents_[e] > 0) census.exponents[static_cast<int>(e) - kLowest] = exponents_[e];
    if (!census.exponents.empty()) census.smallest = double{smallest_};
    census.largest = double{largest_};
    return census;
  }

 private:
  static constexpr int kLowest = 149;
  static int FloorLog2(float magnitude) {
    const uint32_t bits = std::bit_cast<uint32_t>(magnitude);
    return bits >> 23 == 0 ? std::bit_width(bits) - 1 - 149 : static_cast<int>(bits >> 23) - 127;
  }
  ScaleCensus census_;
  std::array<uint64_t, 277> exponents_{};
  float smallest_ = std::numeric_limits<float>::infinity(), largest_ = 0;
};

// One tensor, as T: float, or double where it is stored so.
template <class T>
class Measurement {
 public:
  Measurement(const TensorView& tensor, std::span<const Format> formats, const DecodedRun& visit)
      : tensor_(tensor),
        visit_(visit),
        specs_(Specs(formats)),
        standard_(Specs(StandardFormats())),
        alive_((1u << standard_.size()) - 1) {
    const auto all = StandardFormats();
    contained_.resize(all.size());
    for (size_t f = 0; f < all.size(); ++f)
      for (size_t g = 0; g < f; ++g)
        if (Contains(all[f], all[g])) contained_[f] |= 1u << g;
  }

  PieceFit Measure(size_t first_row, size_t last_row) {
    PieceFit fit;
    fit.formats.resize(specs_.size());
    const size_t columns = static_cast<size_t>(tensor_.Columns());
    const size_t rows_at_once = std::max<size_t>(1, kRun / columns);
    std::vector<T> decoded, rounded;
    ScaleCounter scales;
    for (size_t row = first_row; row < last_row; row += rows_at_once) {
      const size_t rows = std::min(rows_at_once, last_row - row);
      decoded.resize(rows * columns);
      const size_t bytes = tensor_.RowBytes();
      const auto source = tensor_.data.subspan(row * bytes, rows * bytes);
      Decode(source, decoded);
      Visit(row * columns, decoded);
      Describe<T>(decoded, &fit);
      CountScales(source, &scales);
      // In runs that stay in the first-level cache through all formats.
      for (size_t at = 0; at < decoded.size(); at += 2048) {
        const size_t n = std::min<size_t>(2048, decoded.size() - at);
        Round({decoded.data() + at, n}, &rounded, &fit);
      }
    }
    fit.scales = scales.Census();
    return fit;
  }
  uint32_t alive() const { return alive_; }

 private:
  void Decode(std::span<const std::byte> source, std::vector<T>& out) const {
    if constexpr (sizeof(T) == 4)
      DecodeToFloat(tensor_.type, source, out);
    else
      DecodeToDouble(tensor_.type, source, out);
  }
  void Visit(size_t first, const std::vector<T>& decoded) const {
    if (!visit_) return;
    if constexpr (sizeof(T) == 4)
      visit_(first, decoded);
    else
      visit_(first, std::vector<float>(decoded.begin(), decoded.end()));
  }
  void CountScales(std::span<const std::byte> source, ScaleCounter* counter) const;

  void Round(std::span<const T> x, std::vector<T>* rounded, PieceFit* fit) {
    for (size_t f = 0; f < specs_.size(); ++f) {
      rounded->assign(x.begin(), x.end());
      const TreatmentCounts counts = RoundRow(specs_[f], rounded->data(), x.size());
      ErrorSum& sum = fit->formats[f];
      sum.held += x.size() - counts.changed;
      sum.saturated += counts.saturated;
      sum.flushed += counts.flushed;
      if (counts.changed > 0) AddErrors(x, rounded->data(), &sum);
    }
    // Standard formats that have held all so far: most fall in the first run. One that contains
    // another which holds the run need not be tried.
    const uint32_t alive = alive_.load(std::memory_order_relaxed);
    uint32_t hold = 0;
    for (size_t f = 0; f < standard_.size(); ++f) {
      if ((alive >> f & 1) == 0) continue;
      if ((hold & contained_[f]) == 0) {
        rounded->assign(x.begin(), x.end());
        if (RoundRow(standard_[f], rounded->data(), x.size()).changed != 0) {
          alive_.fetch_and(~(1u << f));
          continue;
        }
      }
      hold |= 1u << f;
    }
  }

  const TensorView& tensor_;
  const DecodedRun& visit_;
  std::vector<RoundSpec> specs_, standard_;
  std::vector<uint32_t> contained_;  // by standard format: bits of those it contains
  std::atomic<uint32_t> alive_;      // bit f: standard format f has held every element so far
};

void Join(const ScaleCensus& from, ScaleCensus* to) {
  if (!from.exponents.empty())
    to->smallest = to->exponents.empty() ? from.smallest : std::min(to->smallest, from.smallest);
  to->largest = std::max(to->largest, from.largest);
  to->groups += from.groups;
  to->zero += from.zero;
  to->negative += from.negative;
  to->nonfinite += from.nonfinite;
  to->offsets += from.offsets;
  for (const auto& [exponent, count] : from.exponents) to->exponents[exponent] += count;
}

template <class T>
void Measurement<T>::CountScales(std::span<const std::byte> source, ScaleCounter* counter) const {
  const int groups = ScaleGroups(tensor_.type);
  if (groups == 0) return;
  const auto block = static_cast<size_t>(Info(tensor_.type).block_bytes);
  float scales[kMostScaleGroups], offsets[kMostScaleGroups];
  for (size_t at = 0; at < source.size(); at += block) {
    BlockScales(tensor_.type, source.data() + at, scales, offsets);
    for (int g = 0; g < groups; ++g) counter->Add(scales[g], offsets[g]);
  }
}

TensorFit JoinPieces(const std::vector<PieceFit>& pieces, size_t formats) {
  TensorFit fit;
  fit.smallest = kInfinity;
  double squares = 0;
  std::vector<ErrorSum> sums(formats);
  for (const PieceFit& piece : pieces) {
    fit.zeros += piece.zeros;
    fit.nans += piece.nans;
    fit.infinities += piece.infinities;
    fit.largest = std::max(fit.largest, piece.largest);
    fit.smallest = std::min(fit.smallest, piece.smallest);
    squares += piece.squares;
    for (size_t f = 0; f < formats; ++f) {
      sums[f].held += piece.formats[f].held;
      sums[f].saturated += piece.formats[f].saturated;
      sums[f].flushed += piece.formats[f].flushed;
      sums[f].squares += piece.formats[f].squares;
      sums[f].max = std::max(sums[f].max, piece.formats[f].max);
    }
    Join(piece.scales, &fit.scales);
  }
  if (fit.smallest == kInfinity) fit.smallest = 0;
  for (const ErrorSum& sum : sums) {
    const double l2_rel = sum.squares == 0 ? 0 : std::sqrt(sum.squares / squares);
    const double sqnr = l2_rel == 0 ? kInfinity : -20 * Logarithm(l2_rel) / Logarithm(10.0);
    fit.formats.push_back({sum.held, sum.saturated, sum.flushed, sum.max, l2_rel, sqnr});
  }
  return fit;
}

template <class T>
TensorFit MeasureAs(const TensorView& tensor, std::span<const Format> formats, Workers& workers,
                    const DecodedRun& visit) {
  Measurement<T> measurement(tensor, formats, visit);
  const size_t rows = static_cast<size_t>(tensor.Rows());
  const size_t rows_of_piece = std::max<size_t>(1, kPiece / static_cast<size_t>(tensor.Columns()));
  const size_t count = (rows + rows_of_piece - 1) / rows_of_piece;
  std::vector<PieceFit> pieces(count);
  workers.For(count, 1, [&](size_t first, size_t last) {
    for (size_t p = first; p < last; ++p)
      pieces[p] = measurement.Measure(p * rows_of_piece, std::min(rows, (p + 1) * rows_of_piece));
  });
  TensorFit fit = JoinPieces(pieces, formats.size());
  fit.elements = static_cast<uint64_t>(tensor.Elements());
  const uint32_t alive = measurement.alive();
  if (alive != 0)
    fit.holds_all = StandardFormats()[static_cast<size_t>(std::countr_zero(alive))].name;
  return fit;
}

}  // namespace

std::span<const Format> StandardFormats() {
  static const std::vector<Format> formats = [] {
    std::vector<Format> list;
    for (const char* name :
         {"e2m1", "e2m3", "e3m2", "e4m3", "e5m2", "f16", "bf16", "tf32", "f32", "f64"})
      list.push_back(*FindFormat(name));
    return list;
  }();
  return formats;
}

TensorFit MeasureFit(const TensorView& tensor, std::span<const Format> formats, Workers& workers,
                     const DecodedRun& visit) {
  return tensor.type == TensorType::kF64 ? MeasureAs<double>(tensor, formats, workers, visit)
                                         : MeasureAs<float>(tensor, formats, workers, visit);
}

}  // namespace vernier
