#include "formats/segments.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/names.h"
#include "formats/away.h"

namespace vernier {
namespace {

constexpr size_t kMostSegments = 16;
constexpr double kMostPoints = 65536;  // END / STEP
constexpr int kMostDoublings = 255;

// NaN where it is none.
double Number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return NAN;
  return value;
}

Status CheckStep(std::string_view text, double step) {
  int exponent = 0;
  if (!(step >= 0x1p-16 && step <= 0x1p16) || std::frexp(step, &exponent) != 0.5)
    return Fail("segments={}: step {} is not a power of two from 2^-16 to 2^16", text, step);
  return {};
}

Result<Segment> ParseTail(std::string_view text, std::string_view piece, double start) {
  const std::vector<std::string> parts = Split(piece, ':');
  const double step = parts.size() == 3 ? Number(parts[1]) : NAN;
  const double most = parts.size() == 3 ? Number(parts[2]) : NAN;
  if (std::isnan(step) || !(most >= 0 && most <= kMostDoublings) || most != std::floor(most))
    return Fail("segments={}: expected log:STEP:K with K from 0 to {} in place of '{}'", text,
                kMostDoublings, piece);
  RETURN_IF_ERROR(CheckStep(text, step));
  if (start / step > kMostPoints)
    return Fail("segments={}: the tail starts more than {} steps of {} from 0", text, kMostPoints,
                step);
  return Segment{step, start, start + std::ldexp(step, static_cast<int>(most)), true};
}

Result<Segment> ParseSegment(std::string_view text, std::string_view piece, double start) {
  if (piece.starts_with("log:")) return ParseTail(text, piece, start);
  const std::vector<std::string> parts = Split(piece, ':');
  const double step = parts.size() == 2 ? Number(parts[0]) : NAN;
  const double end = parts.size() == 2 ? Number(parts[1]) : NAN;
  if (std::isnan(step) || std::isnan(end))
    return Fail("segments={}: expected STEP:END or log:STEP:K in place of '{}'", text, piece);
  RETURN_IF_ERROR(CheckStep(text, step));
  if (!(end > start))
    return Fail("segments={}: the end {} is not beyond {}, where its segment starts", text, end,
                start);
  if (end / step > kMostPoints)
    return Fail("segments={}: the end {} is more than {} steps of {} from 0", text, end,
                kMostPoints, step);
  if (std::fmod(end - start, step) != 0)
    return Fail("segments={}: from {} to {} is no whole number of steps of {}", text, start, end,
                step);
  return Segment{step, start, end, false};
}

using RandomWord = decltype(RandomBits(0, 0));

// d >= 0 to 0 or a power of two; the points are numbered 0, 1, 2 ... .
double RoundToPower(double d, bool negative, Rounding rounding, RandomWord random) {
  const int k = d < 1 ? -1 : std::ilogb(d);
  const double below = d < 1 ? 0 : std::ldexp(1.0, k), above = d < 1 ? 1 : 2 * below;
  if (d == below) return d;
  const bool odd = k % 2 == 0;  // whether `below`, point k + 1, has an odd number
  const double rest = d - below, gap = above - below;  // exact, and so is their quotient
  const bool away =
      rounding == Rounding::kStochastic
          ? RoundToMultiple(rest / gap, 0, rounding, random) > 0
          : internal::GoesAway(rounding, 2 * rest < gap ? -1 : 2 * rest > gap, odd, negative);
  return away ? above : below;
}

// Every point of the last segment, and one beyond; a larger q rounds as this one does.
double Beyond(const Segment& last) {
  return last.logarithmic ? last.start + 4 * (last.end - last.start) : last.end + 2 * last.step;
}

double Width(const SegmentedGrid& grid, size_t k) {
  return (k + 1 == grid.size() ? Beyond(grid[k]) : grid[k].end) - grid[k].start;
}

// The magnitude of q cut into its parts in each segment: of the whole ones nothing is rounded away.
double RoundOne(const SegmentedGrid& grid, Rounding rounding, double q, RandomWord random) {
  const double u = std::abs(q);
  double sum = 0;
  for (size_t k = 0; k < grid.size() && u > grid[k].start; ++k) {
    const Segment& s = grid[k];
    const double part = std::min(u - s.start, Width(grid, k)) / s.step;
    const double r = s.logarithmic
                         ? RoundToPower(part, q < 0, rounding, random)
                         : std::abs(RoundToMultiple(std::copysign(part, q), 0, rounding, random));
    sum += r * s.step;
  }
  return std::copysign(sum, q);
}

}  // namespace

Result<SegmentedGrid> ParseSegments(std::string_view text) {
  SegmentedGrid grid;
  for (const std::string& raw : Split(text, '/')) {
    if (grid.size() == kMostSegments)
      return Fail("segments={}: more than {} segments", text, kMostSegments);
    if (!grid.empty() && grid.back().logarithmic)
      return Fail("segments={}: nothing may follow log:STEP:K", text);
    ASSIGN_OR_RETURN(const Segment segment,
                     ParseSegment(text, Trim(raw), grid.empty() ? 0 : grid.back().end));
    if (!grid.empty() && !segment.logarithmic && !grid.back().logarithmic &&
        segment.step == grid.back().step)
      return Fail("segments={}: two segments of step {} are one", text, segment.step);
    grid.push_back(segment);
  }
  return grid;
}

std::string SegmentsText(const SegmentedGrid& grid) {
  std::string text;
  for (const Segment& s : grid) {
    if (!text.empty()) text += '/';
    text += s.logarithmic ? fmt::format("log:{}:{}", s.step, std::ilogb((s.end - s.start) / s.step))
                          : fmt::format("{}:{}", s.step, s.end);
  }
  return text;
}

void RoundToSegments(const SegmentedGrid& grid, Rounding rounding, double* q, size_t n,
                     uint64_t key, uint64_t first) {
  if (rounding != Rounding::kNearestEven || grid.back().logarithmic) {
    const bool stochastic = rounding == Rounding::kStochastic;
    for (size_t i = 0; i < n; ++i)
      q[i] = RoundOne(grid, rounding, q[i], stochastic ? RandomBits(key, first + i) : 0);
    return;
  }
  // The same without branches, a segment at a time.
  constexpr double kMagic = 0x1.8p52;  // adding it rounds |q| < 2^51 to an integer, ties to even
  constexpr size_t kPiece = 256;
  double sum[kPiece];
  for (size_t from = 0; from < n; from += kPiece) {
    const size_t size = std::min(kPiece, n - from);
    double* const x = q + from;
    std::fill_n(sum, size, 0.0);
    for (size_t k = 0; k < grid.size(); ++k) {
      const double start = grid[k].start, width = Width(grid, k), step = grid[k].step,
                   inverse = 1 / step;
      for (size_t i = 0; i < size; ++i) {
        double part = std::abs(x[i]) - start;
        part = part < 0 ? 0 : part;
        part = part > width ? width : part;
        sum[i] += ((part * inverse + kMagic) - kMagic) * step;
      }
    }
    for (size_t i = 0; i < size; ++i) x[i] = std::copysign(sum[i], x[i]);
  }
}

}  // namespace vernier
