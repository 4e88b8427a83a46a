#include "measure/calibrate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "formats/rotate.h"
#include "formats/static_scales.h"
#include "measure/compare_runs.h"
#include "measure/magnitudes.h"
#include "measure/site_statistics.h"

namespace vernier {
namespace {

constexpr size_t kMostKept = size_t{1} << 17;  // magnitudes of a point; 1 MB
constexpr size_t kTokensAtOnce = 512;          // enough for tall matrix products

// What adds up over rows and chunks.
struct Sums {
  uint64_t count = 0, nans = 0, infinities = 0, zeros = 0;
  double sum = 0, squares = 0;
  double min = std::numeric_limits<double>::infinity(),
         max = -std::numeric_limits<double>::infinity();
  std::map<int, uint64_t> exponents;

  void Add(const SiteStatistics& s) {
    count += s.count;
    nans += s.nans;
    infinities += s.infinities;
    zeros += s.zeros;
    for (const auto& [exponent, n] : s.exponents) exponents[exponent] += n;
    if (s.count == s.nans + s.infinities) return;
    sum += s.sum;
    squares += s.squares;
    min = std::min(min, s.min);
    max = std::max(max, s.max);
  }
  void Add(const Sums& s) {
    count += s.count;
    nans += s.nans;
    infinities += s.infinities;
    zeros += s.zeros;
    sum += s.sum;
    squares += s.squares;
    min = std::min(min, s.min);
    max = std::max(max, s.max);
    for (const auto& [exponent, n] : s.exponents) exponents[exponent] += n;
  }
};

CalibratedValues ValuesOf(const Sums& s) {
  CalibratedValues v{s.count, s.nans, s.infinities, s.zeros, 0, 0, 0, 0, 0, s.exponents};
  const uint64_t finite = s.count - s.nans - s.infinities;
  if (finite == 0) {
    v.mean = v.rms = v.min = v.max = v.absmax = std::numeric_limits<double>::quiet_NaN();
    return v;
  }
  const double n = static_cast<double>(finite);
  v.mean = s.sum / n;
  v.rms = std::sqrt(s.squares / n);
  v.min = s.min;
  v.max = s.max;
  v.absmax = std::max(std::abs(s.min), std::abs(s.max));
  return v;
}

// A point in one chunk.
struct Piece {
  Sums sums;
  Magnitudes magnitudes;
  explicit Piece(size_t most) : magnitudes(most) {}
  void Add(const Piece& other) {
    sums.Add(other.sums);
    magnitudes.Add(other.magnitudes);
  }
};

// A point over the chunks: of one site's values, or of several sites that are one node's operands.
struct Gathered {
  std::vector<size_t> sites;  // the last one is the last to be computed
  bool rotated = false;
  size_t most = 0;  // magnitudes to be kept
  Piece all;
  std::vector<double> smoothed;
  std::vector<bool> exact;
  bool any = false;  // chunk with a finite element

  void AddChunk(Piece* piece, const CalibrationRequest& request) {
    all.Add(*piece);
    if (piece->magnitudes.count() == 0) return;
    for (size_t i = 0; i < request.percentiles.size(); ++i) {
      const Magnitudes::Value q = piece->magnitudes.Percentile(request.percentiles[i]);
      smoothed[i] = any ? smoothed[i] + request.ema * (q.value - smoothed[i]) : q.value;
      if (!q.exact) exact[i] = false;
    }
    any = true;
  }
};

class Calibrator {
 public:
  explicit Calibrator(const CalibrationRequest& request)
      : request_(request), graph_(request.side.model->graph()) {
    site_of_node_.resize(graph_.nodes.size());
    for (size_t i = 0; i < graph_.sites.size(); ++i)
      if (graph_.sites[i].inner == InnerSite::kNone)
        site_of_node_[static_cast<size_t>(graph_.sites[i].node)] = i;
    ListPoints();
    PrepareSites();
  }

  Result<Calibration> Run();

 private:
  struct Point {
    size_t site;
    bool operand, rotated;
    size_t gathered;
  };
  void ListPoints();
  void PrepareSites();
  size_t Gather(std::vector<size_t> sites, bool rotated);
  void AddPoint(size_t site, bool operand, const std::vector<size_t>& sites);
  size_t MostKept(const std::vector<size_t>& sites) const;
  void RunWave(size_t first, size_t last);
  void See(const SiteTensor& tensor);
  std::optional<Piece> Rotated(size_t site, const RowsView& view) const;
  void SeeLogits(std::span<const LogitsRow> rows);
  void Take(size_t site, size_t stream, Piece piece, std::optional<Piece> rotated = std::nullopt);
  bool IsLogits(const Site& site) const {
    return site.inner == InnerSite::kNone &&
           static_cast<size_t>(site.node) + 1 == graph_.nodes.size();
  }
  void Tick(double of_wave);
  Calibration Finish();

  const CalibrationRequest& request_;
  const Graph& graph_;
  std::vector<size_t> site_of_node_;
  std::vector<Point> points_;
  std::vector<Gathered> gathered_;
  // By site: what it is part of, how many magnitudes that needs (0: the site is not wanted), and
  // the last site whose coming needs this one's pieces.
  std::vector<std::vector<size_t>> gathered_of_;
  std::vector<size_t> most_, last_use_;
  std::vector<bool> rotated_;  // by site: whether it is needed rotated
  std::vector<std::map<std::pair<size_t, bool>, Piece>> waiting_;  // by stream; site, rotated
  std::vector<std::optional<Piece>> logits_;                       // by stream
  std::vector<TreatmentCounts> effects_;
  size_t wanted_sites_ = 0, seen_ = 0;
  double done_ = 0, total_ = 0, of_wave_ = 0;  // tokens
  bool stopped_ = false;
};

void Calibrator::ListPoints() {
  for (size_t i = 0; i < graph_.sites.size(); ++i) {
    const Site& site = graph_.sites[i];
    if (HasOperands(graph_, site)) {
      std::vector<size_t> sites;
      for (const int input : graph_.nodes[static_cast<size_t>(site.node)].inputs)
        sites.push_back(site_of_node_[static_cast<size_t>(input)]);
      AddPoint(i, true, sites);
    }
    AddPoint(i, false, {i});
  }
}

void Calibrator::AddPoint(size_t site, bool operand, const std::vector<size_t>& sites) {
  const Site& of = graph_.sites[site];
  if (!request_.wants || request_.wants(of, operand))
    points_.push_back({site, operand, false, Gather(sites, false)});
  const bool fixed = std::all_of(sites.begin(), sites.end(), [&](size_t s) {
    return RowWidth(graph_, graph_.sites[s]) && !IsLogits(graph_.sites[s]);
  });
  if (fixed && request_.rotates && request_.rotates(of, operand))
    points_.push_back({site, operand, true, Gather(sites, true)});
}

// One operand is the site it comes from.
size_t Calibrator::Gather(std::vector<size_t> sites, bool rotated) {
  std::sort(sites.begin(), sites.end());
  for (size_t g = 0; g < gathered_.size(); ++g)
    if (gathered_[g].sites == sites && gathered_[g].rotated == rotated) return g;
  const size_t most = MostKept(sites), n = request_.percentiles.size();
  gathered_.push_back({std::move(sites), rotated, most, Piece(most), std::vector<double>(n),
                       std::vector<bool>(n, true)});
  return gathered_.size() - 1;
}

// As many as the percentiles of all chunks, and of the longest one, need; but of a percentile that
// needs more than kMostKept none.
size_t Calibrator::MostKept(const std::vector<size_t>& sites) const {
  uint64_t all = 0, longest = 0;
  for (const auto& chunk : request_.chunks) {
    uint64_t elements = 0;
    for (const size_t s : sites) {
      const Site& site = graph_.sites[s];
      const std::optional<size_t> width = RowWidth(graph_, site);
      elements += width ? chunk.size() * *width
                        : graph_.nodes[static_cast<size_t>(site.node)].shape.heads * chunk.size() *
                              (chunk.size() + 1) / 2;
    }
    all += elements;
    longest = std::max(longest, elements);
  }
  uint64_t most = 0;
  for (const double p : request_.percentiles)
    for (const uint64_t n : {all, longest})
      if (const uint64_t needed = Magnitudes::Needed(n, p); needed <= kMostKept)
        most = std::max(most, needed);
  return most;
}

void Calibrator::PrepareSites() {
  gathered_of_.resize(graph_.sites.size());
  most_.resize(graph_.sites.size());
  last_use_.resize(graph_.sites.size());
  rotated_.resize(graph_.sites.size());
  for (size_t g = 0; g < gathered_.size(); ++g)
    for (const size_t site : gathered_[g].sites) {
      auto& of = gathered_of_[site];
      if (of.empty() || of.back() != g) of.push_back(g);
      most_[site] = std::max(most_[site], gathered_[g].most);
      if (gathered_[g].rotated) rotated_[site] = true;
      last_use_[site] = std::max(last_use_[site], gathered_[g].sites.back());
    }
  for (const auto& of : gathered_of_) wanted_sites_ += !of.empty();
}

void Calibrator::Tick(double of_wave) {
  if (request_.progress && !request_.progress({"calibrating", done_ + of_wave, total_, "tokens"}))
    stopped_ = true;
}

// Pieces of a site come in the order of the chunks; sites come in order too.
void Calibrator::Take(size_t site, size_t stream, Piece piece, std::optional<Piece> rotated) {
  auto& waiting = waiting_[stream];
  waiting.emplace(std::pair(site, false), std::move(piece));
  if (rotated) waiting.emplace(std::pair(site, true), std::move(*rotated));
  for (const size_t g : gathered_of_[site]) {
    Gathered& gathered = gathered_[g];
    if (gathered.sites.back() != site) continue;
    if (gathered.sites.size() == 1) {
      gathered.AddChunk(&waiting.at({site, gathered.rotated}), request_);
      continue;
    }
    Piece all(gathered.most);
    for (const size_t s : gathered.sites) all.Add(waiting.at({s, gathered.rotated}));
    gathered.AddChunk(&all, request_);
  }
  std::erase_if(waiting, [&](const auto& w) { return last_use_[w.first.first] <= site; });
}

// The rows as rotate=hadamard makes them, where some point needs that.
std::optional<Piece> Calibrator::Rotated(size_t site, const RowsView& view) const {
  if (!rotated_[site]) return std::nullopt;
  std::vector<std::vector<double>> rows(view.rows.size());
  std::vector<const void*> pointers(rows.size());
  Workers& workers = request_.side.model->workers();
  workers.For(rows.size(), 8, [&](size_t first, size_t last) {
    for (size_t r = first; r < last; ++r) {
      const size_t n = view.widths[r];
      rows[r].resize(n);
      if (view.type == Arithmetic::kF32)
        std::copy_n(static_cast<const float*>(view.rows[r]), n, rows[r].data());
      else
        std::copy_n(static_cast<const double*>(view.rows[r]), n, rows[r].data());
      Hadamard(rows[r].data(), n, HadamardBlock(n));
      pointers[r] = rows[r].data();
    }
  });
  const RowsView rotated{Arithmetic::kF64, pointers, view.widths};
  Piece piece(most_[site]);
  piece.sums.Add(MeasureSite(rotated, &workers));
  piece.magnitudes.Add(rotated, &workers);
  return piece;
}

void Calibrator::See(const SiteTensor& tensor) {
  const size_t site = static_cast<size_t>(tensor.site - graph_.sites.data());
  const RowsView view{tensor.type, tensor.rows, tensor.widths};
  Piece piece(most_[site]);
  piece.sums.Add(MeasureSite(view, &request_.side.model->workers()));
  piece.magnitudes.Add(view, &request_.side.model->workers());
  Take(site, tensor.stream, std::move(piece), Rotated(site, view));
  ++seen_;
  Tick(of_wave_ * static_cast<double>(seen_) /
       static_cast<double>(wanted_sites_ * waiting_.size()));
}

// Rows of logits come in blocks, whose size depends on how many streams there are; each row is
// added by itself, as MeasureSite adds the rows of a whole site.
void Calibrator::SeeLogits(std::span<const LogitsRow> rows) {
  const size_t site = site_of_node_.back(), width = graph_.vocabulary;
  if (gathered_of_[site].empty()) return;
  for (size_t stream = 0; stream < logits_.size(); ++stream) {
    std::vector<const void*> of_stream;
    Arithmetic type = Arithmetic::kF32;
    Piece& piece = *logits_[stream];
    for (const LogitsRow& row : rows) {
      if (row.stream != stream) continue;
      type = row.type;
      of_stream.push_back(row.values);
      piece.sums.Add(MeasureSite({type, {&row.values, 1}, {&width, 1}}));
    }
    const std::vector<size_t> widths(of_stream.size(), width);
    piece.magnitudes.Add({type, of_stream, widths}, &request_.side.model->workers());
  }
}

void Calibrator::RunWave(size_t first, size_t last) {
  std::vector<Stream> streams;
  of_wave_ = 0;
  seen_ = 0;
  logits_.clear();
  for (size_t c = first; c < last; ++c) {
    const std::vector<int32_t>& tokens = request_.chunks[c];
    streams.push_back({request_.side.plan, tokens, nullptr, AllPositions(tokens.size())});
    of_wave_ += static_cast<double>(tokens.size());
    logits_.emplace_back(Piece(most_[site_of_node_.back()]));
  }
  waiting_.clear();
  waiting_.resize(streams.size());
  const Tap tap{[&](const Site& site) {
                  const auto index = static_cast<size_t>(&site - graph_.sites.data());
                  return !IsLogits(site) && !gathered_of_[index].empty();
                },
                [&](const SiteTensor& tensor) { See(tensor); }};
  const Evaluation evaluation = Evaluate(
      *request_.side.model, streams, [&](std::span<const LogitsRow> rows) { SeeLogits(rows); },
      &tap);
  for (size_t s = 0; s < streams.size(); ++s) {
    if (!gathered_of_[site_of_node_.back()].empty())
      Take(site_of_node_.back(), s, std::move(*logits_[s]));
    effects_.resize(evaluation.effects[s].size());
    for (size_t r = 0; r < effects_.size(); ++r) effects_[r] += evaluation.effects[s][r];
  }
  done_ += of_wave_;
  Tick(0);
}

Calibration Calibrator::Finish() {
  Calibration out;
  for (const Point& point : points_) {
    const Site& site = graph_.sites[point.site];
    Gathered& gathered = gathered_[point.gathered];
    CalibratedPoint& p = out.points.emplace_back();
    p = {site.Label() + (point.operand ? ".in" : "") + (point.rotated ? kRotatedKey : ""),
         site.name,
         site.layer,
         point.operand,
         point.rotated,
         ValuesOf(gathered.all.sums),
         {}};
    if (!gathered.any) continue;
    for (size_t i = 0; i < request_.percentiles.size(); ++i) {
      const Magnitudes::Value all = gathered.all.magnitudes.Percentile(request_.percentiles[i]);
      p.percentiles.push_back({request_.percentiles[i], all.value, gathered.smoothed[i],
                               all.exact && gathered.exact[i]});
    }
  }
  out.effects = std::move(effects_);
  return out;
}

Result<Calibration> Calibrator::Run() {
  size_t longest = 1;
  for (const auto& chunk : request_.chunks) {
    total_ += static_cast<double>(chunk.size());
    longest = std::max(longest, chunk.size());
  }
  const size_t at_once = request_.chunks_at_once > 0 ? request_.chunks_at_once
                                                     : std::max<size_t>(1, kTokensAtOnce / longest);
  for (size_t c = 0; c < request_.chunks.size(); c += at_once) {
    RunWave(c, std::min(c + at_once, request_.chunks.size()));
    if (stopped_) return Fail("stopped");
  }
  return Finish();
}

}  // namespace

bool HasOperands(const Graph& graph, const Site& site) {
  const OpKind op = graph.nodes[static_cast<size_t>(site.node)].op;
  return site.inner == InnerSite::kNone && op != OpKind::kEmbed && op != OpKind::kStore &&
         op != OpKind::kSlice;
}

Result<Calibration> Calibrate(const CalibrationRequest& request) {
  return Calibrator(request).Run();
}

}  // namespace vernier
