#include "measure/layout_check.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "measure/statistics.h"

namespace vernier {
namespace {

constexpr size_t kVectors = 32;  // sampled of each matrix
constexpr int kNearLayers = 1;   // neighbours: this many layers before and after
constexpr double kClearly = 4;   // standard errors

// The nodes that are the residual stream: the embedding, and sums of an earlier one and something.
std::vector<bool> ResidualNodes(const Graph& graph) {
  std::vector<bool> residual(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    residual[i] = node.op == OpKind::kEmbed;
    if (node.op == OpKind::kAdd)
      for (const int input : node.inputs)
        residual[i] = residual[i] || residual[static_cast<size_t>(input)];
  }
  return residual;
}

void Gather(size_t first, std::span<const float> run, const std::vector<size_t>& starts,
            size_t stride, size_t width, float* out) {
  for (size_t v = 0; v < starts.size(); ++v) {
    const size_t start = starts[v];
    size_t i = first <= start ? 0 : (first - start + stride - 1) / stride;
    for (; i < width && start + i * stride < first + run.size(); ++i)
      out[v * width + i] = run[start + i * stride - first];
  }
}

// Rows of unit length; those of no length stay zero.
std::vector<float> Normalised(const std::vector<float>& rows, size_t width) {
  std::vector<float> out(rows.size());
  for (size_t at = 0; at < rows.size(); at += width) {
    double squares = 0;
    for (size_t i = 0; i < width; ++i) squares += double{rows[at + i]} * double{rows[at + i]};
    const double scale = squares > 0 && std::isfinite(squares) ? 1 / std::sqrt(squares) : 0;
    for (size_t i = 0; i < width; ++i) out[at + i] = static_cast<float>(rows[at + i] * scale);
  }
  return out;
}

double Dot(const float* a, const float* b, size_t n) {
  constexpr size_t kLanes = 16;  // which the compiler turns into vectors
  float lane[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (size_t l = 0; l < kLanes; ++l) lane[l] += a[i + l] * b[i + l];
  double sum = 0;
  for (const float l : lane) sum += double{l};
  for (; i < n; ++i) sum += double{a[i]} * double{b[i]};
  return sum;
}

// By vector of `rows`, the mean of width * cos^2 with the neighbours' vectors.
std::vector<double> Relation(const std::vector<float>& rows, size_t width,
                             const std::vector<const std::vector<float>*>& neighbours) {
  std::vector<double> relation;
  for (size_t at = 0; at < rows.size(); at += width) {
    double sum = 0;
    size_t count = 0;
    for (const auto* other : neighbours) {
      for (size_t v = 0; v < other->size(); v += width, ++count) {
        const double cosine = Dot(rows.data() + at, other->data() + v, width);
        sum += cosine * cosine;
      }
    }
    relation.push_back(count == 0 ? 1
                                  : sum * static_cast<double>(width) / static_cast<double>(count));
  }
  return relation;
}

}  // namespace

const char* LayoutVerdictName(LayoutVerdict verdict) {
  return verdict == LayoutVerdict::kAsRead    ? "as read"
         : verdict == LayoutVerdict::kSwapped ? "swapped"
                                              : "no sign";
}

std::vector<ResidualSide> ResidualSides(const Graph& graph) {
  std::vector<ResidualSide> sides(graph.weights.size(), ResidualSide::kNone);
  const std::vector<bool> residual = ResidualNodes(graph);
  // The stream as a matrix product sees it: normalised, times a norm's weight.
  std::vector<bool> scaled = residual;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op == OpKind::kNormalise || node.op == OpKind::kMultiply)
      scaled[i] = scaled[static_cast<size_t>(node.inputs[0])];
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op == OpKind::kEmbed) sides[static_cast<size_t>(node.weight)] = ResidualSide::kInputs;
    if (node.op == OpKind::kMatMul && scaled[static_cast<size_t>(node.inputs[0])])
      sides[static_cast<size_t>(node.weight)] = ResidualSide::kInputs;
    if (node.op != OpKind::kAdd) continue;
    for (int input : node.inputs) {
      const Node* from = &graph.nodes[static_cast<size_t>(input)];
      if (from->op == OpKind::kBias) from = &graph.nodes[static_cast<size_t>(from->inputs[0])];
      if (from->op == OpKind::kMatMul)
        sides[static_cast<size_t>(from->weight)] = ResidualSide::kOutputs;
    }
  }
  return sides;
}

std::vector<LayoutSample> MakeLayoutSamples(const Graph& graph) {
  const std::vector<ResidualSide> sides = ResidualSides(graph);
  std::vector<LayoutSample> samples;
  for (size_t slot = 0; slot < sides.size(); ++slot) {
    const TensorView& tensor = graph.weights[slot].tensor;
    if (sides[slot] == ResidualSide::kNone || tensor.shape.size() != 2) continue;
    const auto rows = static_cast<size_t>(tensor.Rows()),
               columns = static_cast<size_t>(tensor.Columns());
    const bool inputs = sides[slot] == ResidualSide::kInputs;
    LayoutSample sample;
    sample.slot = static_cast<int>(slot);
    sample.width = inputs ? columns : rows;
    const size_t vectors = inputs ? rows : columns;
    sample.count = std::min(kVectors, vectors);
    // Vector v along the rows starts at v * width and has stride 1, along the columns at v and has
    // stride `vectors`; the other order of the data is the other of the two.
    for (size_t s = 0; s < sample.count; ++s) {
      const size_t v = (2 * s + 1) * vectors / (2 * sample.count);
      sample.first.push_back(inputs ? v * sample.width : v);
      sample.first_other.push_back(inputs ? v : v * sample.width);
    }
    sample.stride = inputs ? 1 : vectors;
    sample.stride_other = inputs ? vectors : 1;
    sample.as_read.resize(sample.count * sample.width);
    sample.other.resize(sample.count * sample.width);
    samples.push_back(std::move(sample));
  }
  return samples;
}

void FillSample(size_t first, std::span<const float> run, LayoutSample* sample) {
  Gather(first, run, sample->first, sample->stride, sample->width, sample->as_read.data());
  Gather(first, run, sample->first_other, sample->stride_other, sample->width,
         sample->other.data());
}

std::vector<LayoutFinding> CheckLayouts(const Graph& graph, std::span<const LayoutSample> samples) {
  std::vector<std::vector<float>> as_read, other;
  for (const LayoutSample& sample : samples) {
    as_read.push_back(Normalised(sample.as_read, sample.width));
    other.push_back(Normalised(sample.other, sample.width));
  }
  const auto layer = [&](size_t s) {
    return graph.weights[static_cast<size_t>(samples[s].slot)].layer;
  };
  std::vector<LayoutFinding> findings;
  for (size_t s = 0; s < samples.size(); ++s) {
    // The embedding and the head, of no layer, are neighbours of the first and last ones, and of
    // each other.
    std::vector<const std::vector<float>*> neighbours;
    for (size_t n = 0; n < samples.size(); ++n) {
      const bool near =
          layer(n) < 0 || layer(s) < 0 || std::abs(layer(n) - layer(s)) <= kNearLayers;
      if (n != s && near && samples[n].width == samples[s].width) neighbours.push_back(&as_read[n]);
    }
    const MeanError here = Mean(Relation(as_read[s], samples[s].width, neighbours)),
                    there = Mean(Relation(other[s], samples[s].width, neighbours));
    const bool swapped = there.mean - 1 > kClearly * there.error &&
                         there.mean - here.mean > kClearly * std::hypot(there.error, here.error) &&
                         there.mean - 1 > 3 * (here.mean - 1);
    const bool related = here.mean - 1 > kClearly * here.error;
    const LayoutVerdict verdict = swapped   ? LayoutVerdict::kSwapped
                                  : related ? LayoutVerdict::kAsRead
                                            : LayoutVerdict::kNoSign;
    const LayoutFinding finding{samples[s].slot, here.mean,   here.error,
                                there.mean,      there.error, verdict};
    findings.push_back(finding);
  }
  return findings;
}

}  // namespace vernier
