// Whether a matrix of a checkpoint lies the way the graph reads it. A transposed matrix keeps its
// shape when it is square, and its statistics always (RMS, histogram): only its relation to other
// matrices tells.
//
// Method. Matrices that read from the residual stream or write to it have one side (rows of inputs,
// or columns of outputs) in the same space, and what training puts there lies along common
// directions: vectors of that side are more alike than chance. For sampled vectors u of the matrix
// and v of its neighbours' residual sides, the mean of d cos^2(u, v), d the width of the stream, is
// 1 for unrelated directions and larger for related ones. It is computed for the data as the graph
// reads them and for the other order, element (o, i) at i * outputs + o (for a square matrix, the
// transposed one); where the other order alone is related, the layout is suspicious. On the trained
// models this was tried on, matrices as they are have 1.1 to 6, transposed ones 0.9 to 1.1.
#ifndef VERNIER_MEASURE_LAYOUT_CHECK_H_
#define VERNIER_MEASURE_LAYOUT_CHECK_H_

#include <span>
#include <string>
#include <vector>

#include "arch/graph.h"

namespace vernier {

// The side of a weight that lies in the residual stream.
enum class ResidualSide { kNone, kInputs, kOutputs };
std::vector<ResidualSide> ResidualSides(const Graph& graph);  // by weight slot

// Vectors along the residual side of one matrix, in both orders of its data.
struct LayoutSample {
  int slot = 0;
  size_t width = 0;                        // of the residual stream
  size_t count = 0;                        // vectors
  std::vector<size_t> first, first_other;  // index of each vector's first element
  size_t stride = 1, stride_other = 1;
  std::vector<float> as_read, other;  // [count][width]
};

// Samples to be filled for every matrix with a residual side. Memory: 256 bytes times the width of
// the stream for each.
std::vector<LayoutSample> MakeLayoutSamples(const Graph& graph);
// Takes from a run of the tensor's decoded elements (measure/format_fit.h) what belongs to the
// sample. Runs may come from several threads.
void FillSample(size_t first, std::span<const float> run, LayoutSample* sample);

enum class LayoutVerdict {
  kAsRead,   // related to its neighbours as the graph reads it
  kSwapped,  // only in the other order: rows and columns look swapped
  kNoSign,   // in neither (a matrix that training hardly moved)
};
const char* LayoutVerdictName(LayoutVerdict verdict);  // "as read", "swapped", "no sign"

struct LayoutFinding {
  int slot = 0;
  double as_read = 0, as_read_error = 0;  // mean of d cos^2 and its standard error over vectors
  double other = 0, other_error = 0;
  LayoutVerdict verdict = LayoutVerdict::kNoSign;
};

// One finding a sample. Samples must be filled.
std::vector<LayoutFinding> CheckLayouts(const Graph& graph, std::span<const LayoutSample> samples);

}  // namespace vernier

#endif  // VERNIER_MEASURE_LAYOUT_CHECK_H_
