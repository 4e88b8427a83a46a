// Inherited and contributed error: how much of the difference between two runs at a site was made
// by the site's own node, and how much was handed to it.
//
// One side is the *source*, whose values are fed; the other one is *replayed*: the node of its
// model and plan computes r = op(source's inputs). Then, with y the values at the site,
//   contributed = r - y_source       what the replayed side does differently with the same inputs
//   inherited   = y_replayed - r     what it makes of having other inputs
//   total       = y_replayed - y_source
// as vectors, so contributed + inherited = total (up to sign, where b is the source). Where the
// source lacks a node's inputs (a capture of few sites), they are replayed too, from the nearest
// ones it has: then the error is contributed by all of that stretch.
//
// What the formats cost. Each side's way is replayed on the same inputs in the other's clothes: the
// replayed side's node with its weight stored in the source's type, the source's with its weight in
// the replayed side's type, the node under the source's recipe, and in float64 for the rounding of
// float32 itself. Errors are independent, so squares add:
//   cost = sqrt(weight types^2 + recipe^2) + 8 * rounding of f32 + step of the capture's type
// A node is *beyond* when it contributed more than three times that. 8: another order of summation
// and another exp have errors like ours, not smaller ones; 3: importance matrices and other
// encoders make other choices for the same type. A transposed or wrongly decoded weight contributes
// about as much as the value itself.
#ifndef VERNIER_MEASURE_CONTRIBUTED_ERROR_H_
#define VERNIER_MEASURE_CONTRIBUTED_ERROR_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/node_replay.h"
#include "measure/capture.h"
#include "measure/run_side.h"
#include "ops/rope.h"

namespace vernier {

// The size of an error vector; l2_rel is relative to the value of a (|.|2 / |a|2).
struct ErrorSize {
  double rmse = 0, l2_rel = 0;
};

struct Contribution {
  std::string label, name;  // of the node's site
  int layer = -1;
  OpKind op = OpKind::kEmbed;
  size_t rows = 0;  // tokens it was measured on
  ErrorSize total, inherited, contributed;
  ErrorSize cost;                     // what formats and rounding cost there; as above
  bool has_cost = true;               // false: a weight type that cannot be encoded, or a capture
                                      // made with a weight type finer than the replayed side's
  bool beyond = false;                // contributed > 3 * cost
  std::vector<std::string> since;     // inputs that were fed, where not all of the node's own were
  std::optional<int> position_shift;  // rotary node: at positions shifted by this it would agree
  bool transposed = false;            // matrix product: with the weight's data in the other order
                                      // (element (o, i) at i * outputs + o) it would agree
};

struct ContributionRequest {
  RunSide replayed;
  RunSide source;  // null model: a capture of unknown origin
  bool source_is_b = false;
  std::vector<int32_t> tokens;
  RopeLayout source_layout = RopeLayout::kHalves;  // of the source's values of q and k
  // The source's values by label; null: it has none. What is returned must live as long as the
  // meter. Called for nodes before, and at, the one that is taken.
  std::function<const CapturedSite*(const std::string& label)> source_site;
  bool judge = true;  // find costs, shifts and transpositions; false: sizes alone, in half the time
  // Types of the source's weights by name, where it is a capture that says so. What is not said is
  // taken to be the same as the replayed side's.
  std::map<std::string, std::string> source_types{};
};

// Takes the replayed side's sites as they are computed, in order.
class ContributionMeter {
 public:
  explicit ContributionMeter(ContributionRequest request);
  ~ContributionMeter();
  ContributionMeter(ContributionMeter&&) noexcept;
  // Measures the node of this site, if the source has its value too. Points inside nodes are
  // passed over: what they contribute shows in their node's value.
  void Take(const SiteTensor& replayed);
  const std::vector<Contribution>& results() const;  // in order of computation

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Whether the two graphs have the same nodes, so that one's can be fed with the other's values.
bool SameNodes(const Graph& a, const Graph& b);

// All of it for two runs of one text: b replayed on a's inputs. Keeps a's values at all sites in
// memory. `wants` chooses the sites reported (empty: all nodes). Errors: other graphs; progress
// asked to stop.
struct ContributionRun {
  RunSide a, b;
  std::vector<int32_t> tokens;
  std::function<bool(const Site&)> wants;
  bool judge = true;
};
Result<std::vector<Contribution>> MeasureContributions(const ContributionRun& run);

// The first that is beyond what the formats cost; null: none.
const Contribution* FirstBeyond(const std::vector<Contribution>& contributions);

}  // namespace vernier

#endif  // VERNIER_MEASURE_CONTRIBUTED_ERROR_H_
