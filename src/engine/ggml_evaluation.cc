// Nodes in ggml's arithmetic: the part of NodeEvaluator that knows of batches.
#include "engine/node_evaluator.h"
#include "ops/ggml_rows.h"
#include "ops/integer_product.h"

namespace vernier {

// In which order the sums of a row are taken; kDot where the node has no choice.
GgmlOrder NodeEvaluator::OrderOf(const Job& job, uint32_t token) const {
  const NodePlan& plan = *job.plan;
  const GgmlRowBatch batch = RowBatch(*plan.ggml, plan.selected, job.context->start + token);
  if (node_.op == OpKind::kAttention) return batch.rows > 1 ? GgmlOrder::kBatch : GgmlOrder::kDot;
  if (node_.op != OpKind::kMatMul) return GgmlOrder::kDot;
  const TensorView& tensor =
      request_.model.graph().weights[static_cast<size_t>(node_.weight)].tensor;
  return ProductOrder(tensor.type, node_.shape.width, node_.shape.in_width, plan.ggml->repack,
                      batch);
}

void NodeEvaluator::ComputeGgmlProduct(const std::vector<size_t>& rows) {
  const TensorView& tensor =
      request_.model.graph().weights[static_cast<size_t>(node_.weight)].tensor;
  std::vector<std::unique_ptr<float[]>> converted;
  std::vector<const float*> x;
  std::vector<float*> y;
  std::vector<GgmlOrder> orders;
  for (const size_t i : rows) {
    const NewRow& row = new_rows_[i];
    const Job& job = jobs_[row.job];
    x.push_back(As<float>(row.a, job.inputs[0]->type, node_.shape.in_width, &converted));
    y.push_back(Mutable<float>(row.out));
    orders.push_back(OrderOf(job, row.token));
  }
  const TensorType type = tensor.type;
  if (HasIntegerProduct(type, orders)) {
    const auto weight = request_.model.weights().Get(node_.weight, nullptr, 0);
    if (weight->matrix.mapped == nullptr)
      return EvaluateIntegerProduct(
          {type, weight->matrix.data.data(), node_.shape.in_width, node_.shape.width, x, orders, y},
          request_.model.machine());
  }
  EvaluateGgmlProduct({tensor.type, tensor.data.data(), tensor.RowBytes(), node_.shape.in_width,
                       node_.shape.width, x, orders, y},
                      request_.model.machine());
}

void NodeEvaluator::ComputeGgmlRows(const NodePlan& plan, const std::vector<size_t>& rows,
                                    const LoadedWeight* weight) {
  const GatheredRows<float> g = Gather<float>(rows);
  RowsArgs<float> args{node_.op, node_.shape, {},          g.a,
                       g.b,      g.out,       g.positions, &request_.model.rope()};
  args.shape.eps = plan.eps;
  if (weight != nullptr) args.weight.vector = weight->vector.data();
  EvaluateGgmlRows(args, request_.model.ggml_rope(), request_.model.machine());
}

void NodeEvaluator::ComputeGgmlAttention(const Job& job,
                                         const AttentionArgs<float>& sequence) const {
  std::vector<uint8_t> batch;
  for (const size_t i : job.fresh)
    batch.push_back(OrderOf(job, new_rows_[i].token) == GgmlOrder::kBatch);
  EvaluateGgmlAttention({sequence, batch, job.plan->half_keys, job.plan->half_values},
                        request_.model.machine());
}

}  // namespace vernier
