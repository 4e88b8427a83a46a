// How EvaluateNode works: jobs, new rows, states. Seen by node_evaluation.cc, scan_evaluation.cc,
// ggml_evaluation.cc and format_evaluation.cc alone.
#ifndef VERNIER_ENGINE_NODE_EVALUATOR_H_
#define VERNIER_ENGINE_NODE_EVALUATOR_H_

#include <algorithm>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/hash_index.h"
#include "engine/node_evaluation.h"
#include "kernels/panels.h"
#include "ops/attention.h"
#include "ops/recurrence.h"

namespace vernier {

inline size_t Size(Arithmetic type) {
  return type == Arithmetic::kF32 ? sizeof(float) : sizeof(double);
}

// A distinct row to compute: its operands, and where its tokens stand.
struct NewRow {
  size_t job = 0;
  RowRef a, b;
  RowRef raw;  // products of integers: `a` before its treatment
  uint32_t token = 0;
  RowRef out;
};

// What happened inside a node's new row.
struct InsideRow {
  TreatmentCounts scores, softmax;
  std::shared_ptr<const InnerRow> inner;
};

// Streams that compute the same value: same plan for the node, same operands, same tokens.
struct Job {
  const NodePlan* plan = nullptr;
  const StreamContext* context = nullptr;
  const StreamRows* tokens = nullptr;
  std::vector<ValuePtr> inputs;             // after `in`
  ValuePtr raw;                             // products of integers: the operand before `in`
  const KvCache::Layer* history = nullptr;  // causal nodes: what the stream saw before
  std::vector<size_t> rows;                 // into the new rows, by token
  std::vector<size_t> fresh;                // those of them this job is the first to need
  std::vector<size_t> states;               // scan: into the states, by token of the stream
  size_t own_states = 0;  // scan: the first token whose state this job is the first to need
};

// A distinct state of a scan: after a token, of everything up to it.
struct ScanState {
  Hash128 id;
  size_t job = 0;  // which computes it
  bool kept = false;
  std::shared_ptr<const void> data;  // where it is kept
  TreatmentCounts counts;
};

template <class T>
struct AttentionRows;

// Operands of rows as an op on T reads them, and where its results go.
template <class T>
struct GatheredRows {
  std::vector<std::unique_ptr<T[]>> converted;
  std::vector<const T*> a, b;
  std::vector<T*> out;
  std::vector<size_t> positions;
};

class NodeEvaluator {
 public:
  NodeEvaluator(const NodeRequest& request, const std::vector<StreamRows>& rows);

  std::vector<NodeOutput> Run(EvaluationCost* cost);

 private:
  void PrepareInputs();
  void MakeJobs();
  void FindNewRows(Job* job, size_t index);
  std::vector<Hash128> Chains(Job* job, size_t index);
  std::vector<Hash128> StateChains(Job* job, size_t index);
  std::vector<const RowRef*> Window(const Job& job, size_t token) const;
  Hash128 RowKey(const Job& job, size_t i, const Hash128& chain) const;
  GgmlOrder OrderOf(const Job& job, uint32_t token) const;
  template <class T>
  void Compute(Arithmetic type);
  // read(ref, type, &converted) gives a row of the first operand's width as T.
  template <class T, class Read>
  GatheredRows<T> Gather(const std::vector<size_t>& rows, const Read& read) const;
  template <class T>
  GatheredRows<T> Gather(const std::vector<size_t>& rows) const;
  template <class T>
  void ComputeEmbedding(const std::vector<size_t>& rows, const LoadedWeight& weight);
  template <class T>
  void ComputeRows(const NodePlan& plan, const std::vector<size_t>& rows,
                   const LoadedWeight* weight);
  // ggml_evaluation.cc
  void ComputeGgmlRows(const NodePlan& plan, const std::vector<size_t>& rows,
                       const LoadedWeight* weight);
  void ComputeGgmlProduct(const std::vector<size_t>& rows);
  void ComputeGgmlAttention(const Job& job, const AttentionArgs<float>& sequence) const;
  // format_evaluation.cc
  template <class T>
  void ComputeInFormat(const NodePlan& plan, const std::vector<size_t>& rows,
                       const LoadedWeight* weight);
  template <class T>
  void EmbedInFormat(const NodePlan& plan, const std::vector<size_t>& rows,
                     const LoadedWeight& weight);
  template <class T>
  const T* InFormat(const NodePlan& plan, const RowRef& row, Arithmetic type, size_t width,
                    std::vector<std::unique_ptr<T[]>>* converted) const;
  void ComputeCodes(const NodePlan& plan, const std::vector<size_t>& rows);
  void ConvolveCodes(const NodePlan& plan, const std::vector<size_t>& rows);
  void KeepStores();
  template <class T>
  AttentionRows<T> GatherAttention(const Job& job) const;
  template <class T>
  void KeepInner(const Job& job, AttentionRows<T>* rows);
  template <class T>
  void ComputeAttention(Arithmetic type);
  template <class T>
  void ComputeConvolution(const std::vector<size_t>& rows, const LoadedWeight& weight);
  // scan_evaluation.cc
  struct TokenRange {
    size_t first, last;
  };
  TokenRange ScannedTokens(const Job& job) const;
  void KeepStates();
  template <class T>
  void ComputeScans(Arithmetic type);
  template <class T>
  void RunScan(const std::vector<size_t>& jobs, const LoadedWeight& weight);
  template <class T>
  const T* StartOf(const Job& job, std::vector<std::unique_ptr<T[]>>* converted) const;
  template <class T>
  ScanSequence<T> SequenceOf(const Job& job, size_t index,
                             const std::map<size_t, int>& sequence_of_job,
                             std::vector<std::unique_ptr<T[]>>* converted) const;
  template <class T>
  std::shared_ptr<const void> Allocate(const std::vector<size_t>& rows);
  template <class T>
  const T* As(const RowRef& row, Arithmetic type, size_t width,
              std::vector<std::unique_ptr<T[]>>* converted) const;
  // As the node reads it: in a format, rounded to it.
  template <class T>
  const T* Operand(const NodePlan& plan, const RowRef& row, Arithmetic type, size_t width,
                   std::vector<std::unique_ptr<T[]>>* converted) const;
  size_t OperandWidth(size_t operand) const;
  ValuePtr SliceOf(const Job& job) const;
  void Assemble();
  void TreatOutputs();
  void ExtendCaches();
  void ExtendAttention(size_t stream, KvCache::Layer* layer) const;
  void ExtendConvolution(size_t stream, KvCache::Layer* layer) const;
  void ExtendScan(const Job& job, KvCache::Layer* layer) const;

  const NodeRequest& request_;
  const std::vector<StreamRows>& rows_;
  const Node& node_;
  size_t streams_;
  std::vector<std::vector<ValuePtr>> inputs_;  // by stream, selected and treated
  std::vector<ValuePtr> raw_;                  // by stream, of products of integers: selected
  std::vector<size_t> job_of_stream_;
  std::vector<Job> jobs_;
  std::vector<NewRow> new_rows_;
  std::vector<InsideRow> inside_;  // by new row, or empty: attention and scans have an inside
  HashIndex known_rows_;
  std::vector<ScanState> states_;
  HashIndex known_states_;
  std::vector<std::shared_ptr<const void>> storage_;
  std::vector<NodeOutput> outputs_;
};

// The row as T: where it lies, or a converted copy.
template <class T>
const T* NodeEvaluator::As(const RowRef& row, Arithmetic type, size_t width,
                           std::vector<std::unique_ptr<T[]>>* converted) const {
  if (Size(type) == sizeof(T)) return static_cast<const T*>(row.data);
  auto copy = std::make_unique<T[]>(width);
  if (type == Arithmetic::kF32) {
    std::copy_n(static_cast<const float*>(row.data), width, copy.get());
  } else {
    std::transform(static_cast<const double*>(row.data),
                   static_cast<const double*>(row.data) + width, copy.get(),
                   [](double v) { return static_cast<T>(v); });
  }
  converted->push_back(std::move(copy));
  return converted->back().get();
}

template <class T>
const T* NodeEvaluator::Operand(const NodePlan& plan, const RowRef& row, Arithmetic type,
                                size_t width, std::vector<std::unique_ptr<T[]>>* converted) const {
  return plan.format ? InFormat(plan, row, type, width, converted)
                     : As(row, type, width, converted);
}

template <class T>
T* Mutable(const RowRef& row) {  // rows under construction
  return static_cast<T*>(const_cast<void*>(row.data));
}

template <class T, class Read>
GatheredRows<T> NodeEvaluator::Gather(const std::vector<size_t>& rows, const Read& read) const {
  GatheredRows<T> gathered;
  gathered.a.reserve(rows.size());
  gathered.b.reserve(rows.size());
  gathered.out.reserve(rows.size());
  gathered.positions.reserve(rows.size());
  for (const size_t i : rows) {
    const NewRow& row = new_rows_[i];
    const Job& job = jobs_[row.job];
    gathered.a.push_back(read(row.a, job.inputs[0]->type, &gathered.converted));
    if (job.inputs.size() == 2)
      gathered.b.push_back(read(row.b, job.inputs[1]->type, &gathered.converted));
    gathered.out.push_back(Mutable<T>(row.out));
    gathered.positions.push_back(job.context->start + row.token);
  }
  return gathered;
}

template <class T>
GatheredRows<T> NodeEvaluator::Gather(const std::vector<size_t>& rows) const {
  return Gather<T>(rows, [&](const RowRef& row, Arithmetic type, auto* converted) {
    return As<T>(row, type, node_.shape.in_width, converted);
  });
}

// The weight of a convolution or scan in the type it runs in.
template <class T>
const Panels<T>& PanelsOf(const LoadedWeight& weight) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return weight.small;
  } else {
    return weight.wide_small;
  }
}

}  // namespace vernier

#endif  // VERNIER_ENGINE_NODE_EVALUATOR_H_
