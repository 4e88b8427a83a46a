#include "measure/capture_fit.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "measure/capture_text.h"
#include "measure/rope_order.h"
#include "model/quote.h"

namespace vernier {
namespace {

constexpr double kElementTolerance = 1e-4, kSumTolerance = 1e-4;

enum class Layout { kRows, kHeadsFirst, kTokensFastest, kScores };

// How a foreign tensor lies, and where its elements are in our rows.
struct Arrangement {
  Layout layout = Layout::kRows;
  size_t width = 0, rows = 0;              // kRows: of the tensor
  size_t first_token = 0;                  // kRows: which the first row is
  size_t heads = 0, tokens = 0, last = 0;  // else: the dimensions
  std::string text;                        // empty: as expected

  // Row and column; nullopt: no element of ours (a masked score, an unused row of a cache).
  std::optional<std::pair<size_t, size_t>> Place(size_t index, size_t tokens_wanted) const {
    switch (layout) {
      case Layout::kRows: {
        const size_t row = index / width + first_token;
        if (row >= tokens_wanted) return std::nullopt;
        return std::pair{row, index % width};
      }
      case Layout::kHeadsFirst: {
        const size_t d = index % last, t = index / last % tokens, h = index / last / tokens;
        return std::pair{t, h * last + d};
      }
      case Layout::kTokensFastest:
        return std::pair{index % tokens, index / tokens};
      case Layout::kScores: {
        const size_t k = index % last, t = index / last % tokens, h = index / last / tokens;
        if (k > t) return std::nullopt;
        return std::pair{t, h * (t + 1) + k};
      }
    }
    return std::nullopt;
  }
};

double ValueAt(const CapturedSite& site, size_t i) {
  return site.type == Arithmetic::kF32 ? double{site.f32[i]} : site.f64[i];
}
double ValueAt(const ForeignTensor& tensor, size_t i) {
  return tensor.type == Arithmetic::kF32 ? double{tensor.f32[i]} : tensor.f64[i];
}

std::vector<size_t> Starts(const CapturedSite& site) {
  std::vector<size_t> starts = {0};
  for (const size_t width : site.widths) starts.push_back(starts.back() + width);
  return starts;
}

bool IsScores(const CapturedSite& like) { return like.name == "kq" || like.name == "kq_soft_max"; }

std::string DimensionsText(const std::vector<size_t>& shape) {
  std::string text;
  for (const size_t n : shape) text += (text.empty() ? "" : ", ") + std::to_string(n);
  return "[" + text + "]";
}

// Of [heads][tokens][keys], with any dimensions of 1 before.
void AddScores(const std::vector<size_t>& shape, const CapturedSite& like,
               std::vector<Arrangement>* out) {
  const size_t tokens = like.widths.size(), heads = like.widths[0];  // one key at the first token
  std::vector<size_t> d = shape;
  while (d.size() > 3 && d[0] == 1) d.erase(d.begin());
  while (d.size() < 3) d.insert(d.begin(), 1);
  if (d.size() != 3 || d[0] != heads || d[1] != tokens || d[2] < tokens) return;
  Arrangement a;
  a.layout = Layout::kScores;
  a.heads = heads;
  a.tokens = tokens;
  a.last = d[2];
  out->push_back(a);
}

// Every way the tensor can be rows of `like`, the plain one first.
std::vector<Arrangement> Arrangements(const ForeignTensor& tensor, const CapturedSite& like) {
  std::vector<size_t> d;
  for (const size_t n : tensor.shape)
    if (n != 1) d.push_back(n);
  std::vector<Arrangement> out;
  if (IsScores(like)) {
    AddScores(tensor.shape, like, &out);
    return out;
  }
  const size_t tokens = like.widths.size(), width = like.widths[0];
  if (std::any_of(like.widths.begin(), like.widths.end(), [&](size_t w) { return w != width; }))
    return out;
  size_t inner = 1, from = d.size();
  while (from > 0 && inner < width) inner *= d[--from];
  const bool llama = !tensor.op.empty() || tensor.name == "result_output";
  // Numbers without a shape of their own are rows one after another.
  const bool flat = d.size() == 1 && d[0] % width == 0;
  if ((inner == width || flat) && tensor.Elements() > 0) {
    const size_t rows = tensor.Elements() / width;
    Arrangement a;
    a.width = width;
    a.rows = rows;
    if (rows < tokens) {
      a.first_token = tokens - rows;
      a.text = fmt::format("the last {} tokens", rows);
    } else if (rows > tokens) {
      a.text = fmt::format("the first {} of {} rows", tokens, rows);
    }
    const bool cache = tensor.op == "SET_ROWS" || tensor.op == "CPY";
    if (rows == tokens || (rows < tokens && llama) || cache) out.push_back(a);
  }
  if (d.size() == 3 && d[1] == tokens && d[0] * d[2] == width) {
    Arrangement a;
    a.layout = Layout::kHeadsFirst;
    a.heads = d[0];
    a.tokens = tokens;
    a.last = d[2];
    a.text = "[heads][tokens][elements]";
    out.push_back(a);
  }
  if (d.size() == 2 && d[0] == width && d[1] == tokens) {
    Arrangement a;
    a.layout = Layout::kTokensFastest;
    a.tokens = tokens;
    a.text = "[elements][tokens]";
    out.push_back(a);
  }
  return out;
}

// The known elements of the tensor with their places: calls body(value, row, column).
template <class Body>
void ForEach(const ForeignTensor& tensor, const Arrangement& arrangement, size_t tokens,
             const Body& body) {
  const size_t count = tensor.partial ? tensor.places.size() : tensor.Elements();
  for (size_t i = 0; i < count; ++i) {
    const auto place = arrangement.Place(tensor.partial ? tensor.places[i] : i, tokens);
    if (place) body(ValueAt(tensor, i), place->first, place->second);
  }
}

struct Chosen {
  const CapturedSite* like = nullptr;
  Arrangement arrangement;
};

double Distance(const ForeignTensor& tensor, const Chosen& chosen) {
  const std::vector<size_t> starts = Starts(*chosen.like);
  double squares = 0;
  ForEach(tensor, chosen.arrangement, chosen.like->widths.size(),
          [&](double value, size_t row, size_t column) {
            const double d = value - ValueAt(*chosen.like, starts[row] + column);
            squares += std::isfinite(d) ? d * d : 0;
          });
  return squares;
}

// The site and the arrangement; null `like` where the other side has none of the sites.
Result<Chosen> Choose(const ForeignTensor& tensor, const SiteCandidates& candidates,
                      const Capture& like, const std::string& source) {
  std::vector<Chosen> possible;
  const CapturedSite* first = nullptr;
  for (const std::string& label : candidates.labels) {
    const CapturedSite* site = like.Find(label);
    if (site == nullptr || site->widths.empty()) continue;
    if (first != nullptr && !candidates.ambiguous) break;
    if (first == nullptr) first = site;
    for (const Arrangement& a : Arrangements(tensor, *site)) possible.push_back({site, a});
  }
  if (first == nullptr) return Chosen{};
  if (possible.empty())
    return Fail("{}: tensor {} of shape {} is not {} tokens by {} elements, as site '{}' has them",
                source, Quote(tensor.name), DimensionsText(tensor.shape), first->widths.size(),
                IsScores(*first) ? fmt::format("{} heads by tokens", first->widths[0])
                                 : std::to_string(first->widths[0]),
                first->label);
  if (possible.size() == 1) return possible[0];
  size_t best = 0;
  double least = Distance(tensor, possible[0]);
  for (size_t i = 1; i < possible.size(); ++i) {
    const double distance = Distance(tensor, possible[i]);
    if (distance < least) {
      least = distance;
      best = i;
    }
  }
  return possible[best];
}

// A whole tensor as rows. Elements that no place was found for stay away: rows are made of those
// that are there.
CapturedSite Whole(const ForeignTensor& tensor, const Chosen& chosen) {
  const CapturedSite& like = *chosen.like;
  const Arrangement& a = chosen.arrangement;
  CapturedSite out;
  out.label = like.label;
  out.name = like.name;
  out.layer = like.layer;
  out.type = tensor.type;
  out.step = tensor.step;
  const size_t first = a.layout == Layout::kRows ? a.first_token : 0;
  std::vector<size_t> starts;
  size_t count = 0;
  for (size_t r = 0; r < like.widths.size(); ++r) {
    starts.push_back(count);
    if (r < first) continue;
    out.widths.push_back(like.widths[r]);
    out.tokens.push_back(like.tokens[r]);
    count += like.widths[r];
  }
  (out.type == Arithmetic::kF32 ? out.f32.resize(count) : out.f64.resize(count));
  ForEach(tensor, a, like.widths.size(), [&](double value, size_t row, size_t column) {
    const size_t at = starts[row] + column;
    if (out.type == Arithmetic::kF32) {
      out.f32[at] = static_cast<float>(value);
    } else {
      out.f64[at] = value;
    }
  });
  return out;
}

PartialSite Partial(const ForeignTensor& tensor, const Chosen& chosen) {
  const CapturedSite& like = *chosen.like;
  const Arrangement& a = chosen.arrangement;
  const std::vector<size_t> starts = Starts(like);
  const size_t first = a.layout == Layout::kRows ? starts[a.first_token] : 0;
  PartialSite out;
  out.label = like.label;
  out.name = like.name;
  out.layer = like.layer;
  out.foreign = tensor.name;
  out.op = tensor.op;
  out.elements = starts.back() - first;
  double sum = 0, squares = 0, partial_squares = 0, errors = 0;
  for (size_t i = first; i < starts.back(); ++i) {
    const double x = ValueAt(like, i);
    sum += x;
    squares += x * x;
    partial_squares += sum * sum;
  }
  const double rms = std::sqrt(squares / static_cast<double>(out.elements));
  const double allowed = kPrintedStep * (1 + 1e-6) + kElementTolerance * rms;
  ForEach(tensor, a, like.widths.size(), [&](double value, size_t row, size_t column) {
    const double x = ValueAt(like, starts[row] + column), d = std::abs(value - x);
    ++out.printed;
    out.max_abs = d <= out.max_abs ? out.max_abs : d;
    errors += d * d;
    // float32 printed with four decimals; large ones have fewer digits.
    if (!(d <= allowed + 0x1p-23 * std::abs(x)) && !(std::isnan(value) && std::isnan(x)) &&
        out.agrees) {
      out.agrees = false;
      out.first_row = row;
      out.first_column = column;
    }
  });
  out.rmse = out.printed == 0 ? 0 : std::sqrt(errors / static_cast<double>(out.printed));
  // llama.cpp's kq also has the pairs that are masked later.
  if (!tensor.sum || like.name == "kq") return out;
  out.sum = tensor.sum;
  out.other_sum = sum;
  out.sum_tolerance = 1e-6 + kSumTolerance * std::sqrt(squares) +
                      4 * 0x1p-24 / std::sqrt(3.0) * std::sqrt(partial_squares);
  if (!(std::abs(*out.sum - sum) <= out.sum_tolerance)) out.agrees = false;
  return out;
}

// The values cache is kept transposed ([dim][cells]); its printed elements are not ours, its sum
// is.
bool IsTransposedCache(const ForeignTensor& tensor) {
  return tensor.name.starts_with("cache_v_l") && tensor.shape.back() == 1;
}

// Into the order of `like` where that is nearer, for all sites of q and k together.
void ChooseRopeOrder(const Capture& like, const Graph& graph, FittedCapture* out) {
  const RopeLayout here = graph.rope.layout, other = here == RopeLayout::kHalves
                                                         ? RopeLayout::kNeighbours
                                                         : RopeLayout::kHalves;
  double as_is = 0, reordered = 0;
  std::vector<std::pair<CapturedSite*, CapturedSite>> moved;
  for (CapturedSite& site : out->capture.sites) {
    const auto found = std::find_if(graph.sites.begin(), graph.sites.end(),
                                    [&](const Site& s) { return s.Label() == site.label; });
    const CapturedSite* values = like.Find(site.label);
    if (found == graph.sites.end() || values == nullptr) continue;
    const std::vector<size_t> order = ElementOrder(here, other, graph, *found);
    if (order.empty()) continue;
    CapturedSite copy = site;
    Reorder(order, &copy.f32);
    Reorder(order, &copy.f64);
    const size_t skip = Starts(*values).back() - Starts(site).back();
    for (size_t i = 0; i + skip < Starts(*values).back(); ++i) {
      const double x = ValueAt(*values, i + skip);
      as_is += std::pow(ValueAt(site, i) - x, 2);
      reordered += std::pow(ValueAt(copy, i) - x, 2);
    }
    moved.emplace_back(&site, std::move(copy));
  }
  if (!(reordered < as_is)) return;
  for (auto& [site, copy] : moved) *site = std::move(copy);
  out->notes.push_back(fmt::format("q and k are read in the order '{}', which is nearer than '{}'",
                                   RopeLayoutName(other), RopeLayoutName(here)));
}

Status CheckTokens(const ForeignCapture& foreign, const Capture& like) {
  if (foreign.tokens.empty() || like.tokens.empty() || foreign.tokens == like.tokens) return {};
  return Fail("{} has token ids other than {}; expected the same token stream", foreign.source,
              like.source);
}

}  // namespace

std::vector<std::string> WantedLabels(const ForeignCapture& foreign, const NameMap& map) {
  std::set<std::string> labels;
  for (const ForeignTensor& tensor : foreign.tensors)
    for (const std::string& label : FindSites(tensor, map).labels) labels.insert(label);
  return {labels.begin(), labels.end()};
}

Result<FittedCapture> FitCapture(const ForeignCapture& foreign, const NameMap& map,
                                 const Capture& like, const Graph* graph) {
  RETURN_IF_ERROR(CheckTokens(foreign, like));
  FittedCapture out;
  out.notes = foreign.notes;
  out.capture.source = foreign.source;
  out.capture.tokens = foreign.tokens.empty() ? like.tokens : foreign.tokens;
  std::map<std::string, std::string> taken;
  std::map<std::string, std::vector<std::string>> read_as;
  for (const ForeignTensor& tensor : foreign.tensors) {
    const SiteCandidates candidates = FindSites(tensor, map);
    if (MovesOnly(tensor)) continue;
    if (candidates.labels.empty()) {
      out.unknown.push_back(tensor.name);
      continue;
    }
    ASSIGN_OR_RETURN(Chosen chosen, Choose(tensor, candidates, like, foreign.source));
    if (chosen.like == nullptr) {
      if (graph != nullptr &&
          std::none_of(graph->sites.begin(), graph->sites.end(),
                       [&](const Site& s) { return s.Label() == candidates.labels[0]; }))
        out.unknown.push_back(tensor.name);
      continue;
    }
    const auto [other, is_new] = taken.emplace(chosen.like->label, tensor.name);
    if (!is_new)
      return Fail("{}: tensors {} and {} are both site '{}'; --map FILE says which is meant",
                  foreign.source, Quote(other->second), Quote(tensor.name), chosen.like->label);
    if (!chosen.arrangement.text.empty()) read_as[chosen.arrangement.text].push_back(tensor.name);
    if (tensor.partial) {
      ForeignTensor kept = tensor;
      if (IsTransposedCache(tensor)) kept.places.clear();
      out.partial.push_back(Partial(kept, chosen));
    } else {
      out.capture.sites.push_back(Whole(tensor, chosen));
    }
  }
  if (out.capture.sites.empty() && out.partial.empty())
    return Fail("{}: none of its {} tensors has a site here ({}); --map FILE names them",
                foreign.source, foreign.tensors.size(), Quote(foreign.tensors[0].name));
  for (const auto& [text, names] : read_as)
    out.notes.push_back(
        fmt::format("read as {}: {} tensors, from {}", text, names.size(), Quote(names.front())));
  if (graph != nullptr) ChooseRopeOrder(like, *graph, &out);
  return out;
}

}  // namespace vernier
