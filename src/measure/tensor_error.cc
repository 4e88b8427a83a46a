#include "measure/tensor_error.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

namespace vernier {
namespace {

uint32_t FloatBits(float x) {
  uint32_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

uint64_t DoubleBits(double x) {
  uint64_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

bool SameBits(float a, float b) { return FloatBits(a) == FloatBits(b); }
template <class A, class B>
bool SameBits(A a, B b) {
  return DoubleBits(static_cast<double>(a)) == DoubleBits(static_cast<double>(b));
}

// The place of a float on the line of all floats; -0 and +0 share one.
int64_t FloatPlace(double x) {
  constexpr double kMost = std::numeric_limits<float>::max();
  const uint32_t bits = FloatBits(static_cast<float>(std::clamp(x, -kMost, kMost)));
  const int64_t magnitude = bits & 0x7fffffff;
  return bits >> 31 ? -magnitude : magnitude;
}

// What the rows add up to.
struct Sums {
  TensorError error;
  double squares = 0, a_squares = 0, b_squares = 0, products = 0;
  std::vector<uint32_t> ulps;

  template <class A, class B>
  void Add(A a_value, B b_value) {
    const double a = static_cast<double>(a_value), b = static_cast<double>(b_value);
    if (!std::isfinite(a) || !std::isfinite(b)) {
      ++error.nonfinite;
      error.unlike += !(a == b || (a != a && b != b));
      return;
    }
    const double d = std::abs(a - b);
    error.max_abs = std::max(error.max_abs, d);
    squares += d * d;
    a_squares += a * a;
    b_squares += b * b;
    products += a * b;
    ulps.push_back(static_cast<uint32_t>(std::abs(FloatPlace(a) - FloatPlace(b))));
  }
};

double Quantile(std::vector<uint32_t>* values, double f) {
  const double at = f * static_cast<double>(values->size() - 1);
  const auto low = values->begin() + static_cast<std::ptrdiff_t>(at);
  std::nth_element(values->begin(), low, values->end());
  const double below = *low;
  if (low + 1 == values->end()) return below;
  const double above = *std::min_element(low + 1, values->end());
  return below + (above - below) * (at - std::floor(at));
}

void Finish(Sums* sums) {
  TensorError& e = sums->error;
  const uint64_t finite = e.count - e.nonfinite;
  if (finite > 0) {
    e.rmse = std::sqrt(sums->squares / static_cast<double>(finite));
    e.ulp_median = Quantile(&sums->ulps, 0.5);
    e.ulp_p99 = Quantile(&sums->ulps, 0.99);
    e.ulp_max = *std::max_element(sums->ulps.begin(), sums->ulps.end());
  }
  if (sums->squares > 0) {
    e.l2_rel = std::sqrt(sums->squares) / std::sqrt(sums->a_squares);
    e.cosine = sums->products / (std::sqrt(sums->a_squares) * std::sqrt(sums->b_squares));
    e.cosine = std::isnan(e.cosine) ? e.cosine : std::clamp(e.cosine, -1.0, 1.0);
  }
  e.sqnr_db = -20 * std::log10(e.l2_rel);
}

Site SiteOf(const CapturedSite& captured) { return {captured.name, captured.layer}; }

std::string ShapeOf(const RowsView& view) {
  if (view.rows.empty()) return "no rows";
  const auto [least, most] = std::minmax_element(view.widths.begin(), view.widths.end());
  return *least == *most
             ? fmt::format("{} rows of {} elements", view.rows.size(), *most)
             : fmt::format("{} rows of {} to {} elements", view.rows.size(), *least, *most);
}

Status CheckSameTokens(const Capture& a, const Capture& b) {
  if (a.tokens.empty() || b.tokens.empty() || a.tokens == b.tokens) return {};
  if (a.tokens.size() != b.tokens.size())
    return Fail("{} has {} tokens and {} has {}; expected the same token stream", a.source,
                a.tokens.size(), b.source, b.tokens.size());
  const auto at = std::mismatch(a.tokens.begin(), a.tokens.end(), b.tokens.begin());
  return Fail("{} and {}: token {} is {} and {}; expected the same token stream", a.source,
              b.source, at.first - a.tokens.begin(), *at.first, *at.second);
}

}  // namespace

TensorError MeasureError(const RowsView& a, const RowsView& b) {
  CHECK(std::equal(a.widths.begin(), a.widths.end(), b.widths.begin(), b.widths.end()));
  Sums sums;
  sums.ulps.reserve(CountElements(a));
  TensorError& e = sums.error;
  for (size_t r = 0; r < a.rows.size(); ++r) {
    VisitRow(a, r, [&](const auto* left, size_t n) {
      VisitRow(b, r, [&](const auto* right, size_t) {
        for (size_t i = 0; i < n; ++i) {
          if (SameBits(left[i], right[i])) {
            ++e.equal;
          } else if (e.first_difference < 0) {
            e.first_difference = static_cast<int64_t>(e.count + i);
            e.first_row = r;
            e.first_column = i;
          }
          sums.Add(left[i], right[i]);
        }
        e.count += n;
      });
    });
  }
  Finish(&sums);
  return e;
}

Result<SiteDifference> CompareSite(const Site& site, const RowsView& a, const RowsView& b) {
  if (!std::equal(a.widths.begin(), a.widths.end(), b.widths.begin(), b.widths.end()))
    return Fail("site '{}': a is {}, b {}; expected the same shape", site.Label(), ShapeOf(a),
                ShapeOf(b));
  SiteDifference out{site.Label(), site.name, site.layer, a.rows.size(), 0, MeasureError(a, b)};
  for (const size_t width : a.widths) out.width = std::max(out.width, width);
  return out;
}

Result<CaptureComparison> CompareCaptures(const Capture& a, const Capture& b) {
  RETURN_IF_ERROR(CheckSameTokens(a, b));
  CaptureComparison out;
  std::set<std::string> matched;
  for (const CapturedSite& site : a.sites) {
    const CapturedSite* other = b.Find(site.label);
    if (other == nullptr) {
      out.only_a.push_back(site.label);
      continue;
    }
    matched.insert(site.label);
    const CapturedRows left(site), right(*other);
    ASSIGN_OR_RETURN(SiteDifference error, CompareSite(SiteOf(site), left.view(), right.view()));
    out.sites.push_back(std::move(error));
  }
  for (const CapturedSite& site : b.sites)
    if (!matched.contains(site.label)) out.only_b.push_back(site.label);
  if (out.sites.empty()) return Fail("{} and {} have no site in common", a.source, b.source);
  return out;
}

}  // namespace vernier
