// Nodes in an arithmetic of a number format, and of integers: the part of NodeEvaluator that gives
// them their operands.
#include <algorithm>
#include <map>

#include "engine/node_evaluator.h"
#include "engine/treat_rows.h"
#include "ops/coded_convolution.h"
#include "ops/coded_product.h"
#include "ops/format_product.h"
#include "ops/format_row_ops.h"
#include "ops/format_rows.h"

namespace vernier {

// The row rounded to the node's format, to nearest even and once: in the type it has, then as T,
// which holds the format's numbers.
template <class T>
const T* NodeEvaluator::InFormat(const NodePlan& plan, const RowRef& row, Arithmetic type,
                                 size_t width, std::vector<std::unique_ptr<T[]>>* converted) const {
  const RoundSpec spec = OperandSpec(plan.format->values);
  converted->push_back(std::make_unique<T[]>(width));
  T* const out = converted->back().get();
  if (Size(type) == sizeof(T)) {
    RoundRow(spec, static_cast<const T*>(row.data), width, out);
  } else if (type == Arithmetic::kF64) {
    std::vector<double> wide(width);
    RoundRow(spec, static_cast<const double*>(row.data), width, wide.data());
    std::transform(wide.begin(), wide.end(), out, [](double v) { return static_cast<T>(v); });
  } else {
    std::copy_n(static_cast<const float*>(row.data), width, out);
    RoundRow(spec, out, width);
  }
  return out;
}

template <class T>
void NodeEvaluator::EmbedInFormat(const NodePlan& plan, const std::vector<size_t>& rows,
                                  const LoadedWeight& weight) {
  const RoundSpec spec = OperandSpec(plan.format->values);
  const size_t width = node_.shape.width;
  request_.model.workers().For(rows.size(), 8, [&](size_t first, size_t last) {
    std::vector<double> wide(width);
    for (size_t i = first; i < last; ++i) {
      const NewRow& row = new_rows_[rows[i]];
      const size_t token = static_cast<size_t>(jobs_[row.job].context->tokens[row.token]);
      request_.model.weights().EmbeddingRow(node_.weight, weight, token, wide.data());
      RoundRow(spec, wide.data(), width);
      ToHost(wide.data(), width, Mutable<T>(row.out));
    }
  });
}

// Rows of one plan: all ops but attention, convolution and scan, which have places of their own.
template <class T>
void NodeEvaluator::ComputeInFormat(const NodePlan& plan, const std::vector<size_t>& rows,
                                    const LoadedWeight* weight) {
  if (node_.op == OpKind::kEmbed) return EmbedInFormat<T>(plan, rows, *weight);
  const GatheredRows<T> g =
      Gather<T>(rows, [&](const RowRef& row, Arithmetic type, auto* converted) {
        return Operand<T>(plan, row, type, node_.shape.in_width, converted);
      });
  if (node_.op == OpKind::kMatMul) {
    FormatProductArgs<T> args{
        &*plan.format, node_.shape.in_width, node_.shape.width, nullptr, nullptr, g.a, g.out};
    if (weight->wide_matrix.outputs > 0) {
      args.wide_matrix = &weight->wide_matrix;
    } else {
      args.matrix = &weight->matrix;
    }
    return EvaluateFormatProduct(args, request_.model.machine());
  }
  FormatRowsArgs<T> args{&*plan.format,
                         node_.op,
                         node_.shape,
                         {},
                         g.a,
                         g.b,
                         g.out,
                         g.positions,
                         &request_.model.rope(plan.rope_theta)};
  args.shape.eps = plan.eps;
  if (weight != nullptr) args.vector = weight->vector_f64;
  EvaluateFormatRows(args, request_.model.machine());
}

// Products of the integers that the treatments of operand and weight make.
void NodeEvaluator::ComputeCodes(const NodePlan& plan, const std::vector<size_t>& rows) {
  const PlacedTreatment &in = *plan.codes, &of = *plan.weight;
  const auto weight = request_.model.integers().Get(node_.weight, FormOf(plan));
  const size_t width = node_.shape.in_width;
  std::vector<IntegerCodes> codes(rows.size());
  std::vector<float*> out;
  for (const size_t i : rows) out.push_back(Mutable<float>(new_rows_[i].out));
  request_.model.workers().For(rows.size(), 8, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      const NewRow& row = new_rows_[rows[i]];
      const Job& job = jobs_[row.job];
      const uint64_t key = in.treatment.rounding == Rounding::kStochastic
                               ? RandomKey(in, *job.context, row.token)
                               : 0;
      codes[i] =
          job.raw->type == Arithmetic::kF32
              ? CodesOfRow(in.treatment, static_cast<const float*>(row.raw.data), width, key)
              : CodesOfRow(in.treatment, static_cast<const double*>(row.raw.data), width, key);
    }
  });
  EvaluateCodedProduct(
      {weight.get(), LargestCode(of.treatment), codes, LargestCode(in.treatment), out},
      request_.model.machine());
}

// The convolution of the integers that the treatments of operand and weight make. Rows are on their
// grid already, so that their codes are those of the nearest integers in every rounding mode.
void NodeEvaluator::ConvolveCodes(const NodePlan& plan, const std::vector<size_t>& rows) {
  const auto weight = request_.model.integers().Get(node_.weight, FormOf(plan));
  const size_t width = node_.shape.in_width;
  std::map<const RowRef*, size_t> at;  // a row is read for several tokens
  std::vector<std::pair<const RowRef*, Arithmetic>> distinct;
  std::vector<std::vector<const RowRef*>> windows;
  for (const size_t i : rows) {
    const Job& job = jobs_[new_rows_[i].job];
    windows.push_back(Window(job, new_rows_[i].token));
    for (const RowRef* r : windows.back()) {
      if (r == nullptr || !at.try_emplace(r, distinct.size()).second) continue;
      const bool old = r < job.inputs[0]->rows.data() ||
                       r >= job.inputs[0]->rows.data() + job.inputs[0]->rows.size();
      distinct.emplace_back(r, old ? job.history->k_type : job.inputs[0]->type);
    }
  }
  std::vector<std::vector<int16_t>> codes(distinct.size());
  request_.model.workers().For(distinct.size(), 8, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      const auto& [row, type] = distinct[i];
      codes[i] =
          type == Arithmetic::kF32
              ? ConvolutionCodes(plan.codes->treatment, static_cast<const float*>(row->data), width)
              : ConvolutionCodes(plan.codes->treatment, static_cast<const double*>(row->data),
                                 width);
    }
  });
  std::vector<const int16_t*> x;
  for (const auto& window : windows)
    for (const RowRef* r : window) x.push_back(r == nullptr ? nullptr : codes[at.at(r)].data());
  std::vector<float*> out;
  for (const size_t i : rows) out.push_back(Mutable<float>(new_rows_[i].out));
  EvaluateCodedConvolution({node_.shape, weight.get(), ScaleOfAll(plan.codes->treatment), x, out},
                           request_.model.machine());
}

// What is kept for later tokens, rounded to the node's format.
void NodeEvaluator::KeepStores() {
  std::vector<TreatRequest> requests;
  for (size_t s = 0; s < streams_; ++s) {
    const auto& place = request_.plans[s]->kept;
    requests.push_back(
        {outputs_[s].value, node_.shape.width, place ? &*place : nullptr, request_.contexts[s]});
  }
  const std::vector<TreatedValue> treated = TreatValues(requests, request_.model);
  for (size_t s = 0; s < streams_; ++s) outputs_[s].value = treated[s].value;
}

template const float* NodeEvaluator::InFormat(const NodePlan&, const RowRef&, Arithmetic, size_t,
                                              std::vector<std::unique_ptr<float[]>>*) const;
template const double* NodeEvaluator::InFormat(const NodePlan&, const RowRef&, Arithmetic, size_t,
                                               std::vector<std::unique_ptr<double[]>>*) const;
template void NodeEvaluator::ComputeInFormat<float>(const NodePlan&, const std::vector<size_t>&,
                                                    const LoadedWeight*);
template void NodeEvaluator::ComputeInFormat<double>(const NodePlan&, const std::vector<size_t>&,
                                                     const LoadedWeight*);

}  // namespace vernier
