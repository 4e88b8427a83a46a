// What a lane would cost on hardware that computes as its recipe says, from shapes and treatments
// alone: nothing is timed. docs/measures.md ("What a lane costs") is the definition for users.
#ifndef VERNIER_MEASURE_LANE_COST_H_
#define VERNIER_MEASURE_LANE_COST_H_

#include <cstddef>

#include "arch/graph.h"
#include "engine/plan.h"

namespace vernier {

// Of one token decoded alone, after the tokens before it.
struct LaneCost {
  double weight_bytes = 0;      // read, each weight once (of embeddings one row)
  double activation_bytes = 0;  // values written and read between kernels, states, kept K and V
  double integer_macs = 0;      // multiply-adds of integers
  double float_macs = 0;        // multiply-adds of all else, in whatever arithmetic
  double float_operations = 0;  // other operations on elements: sums, products, exponentials
  double conversions = 0;       // elements that treatments convert, and sums of integers scaled
  double Bytes() const { return weight_bytes + activation_bytes; }
};

// Widths are those that treatments imply: an element takes its format's bits, a value without
// treatment those of its arithmetic. A value is written once in each form that its readers want and
// read by each of them; one that an element-wise op alone reads, the last of its operands to be
// computed, stays in registers. `seen` tokens are in attention's reach.
LaneCost CostOfLane(const Graph& graph, const Plan& plan, size_t seen);

// Bits of one element under a treatment of rows or weights that have `host` bits without it; scales
// of the data not counted. Codes of segments take the bits that number their points; outliers that
// are kept need the host's width for all, a second scale one more bit.
double ElementBits(const Treatment& treatment, double host);

}  // namespace vernier

#endif  // VERNIER_MEASURE_LANE_COST_H_
