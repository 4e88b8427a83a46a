#include "engine/node_evaluation.h"

#include <cstring>
#include <unordered_map>

#include "base/result.h"
#include "engine/treat_rows.h"
#include "kernels/panels.h"

namespace vernier {

void StreamContext::MakeIdentity() {
  identity = Combine(HashText("stream"), start);
  identity = Combine(identity, rows.empty() ? Hash128{} : rows.back());
  identity = Combine(identity, HashBytes(wanted.data(), wanted.size() * sizeof(uint32_t)));
}

StreamRows StreamContext::AllRows() const {
  StreamRows all;
  for (uint32_t i = 0; i < tokens.size(); ++i) all.tokens.push_back(i);
  return all;
}

StreamRows StreamContext::WantedRows(size_t first, size_t last) const {
  first = std::min(first, wanted.size());
  last = std::min(last, wanted.size());
  return {{wanted.begin() + static_cast<std::ptrdiff_t>(first),
           wanted.begin() + static_cast<std::ptrdiff_t>(last)}};
}

namespace {

size_t Size(Arithmetic type) { return type == Arithmetic::kF32 ? sizeof(float) : sizeof(double); }

// A distinct row to compute: its operands, and where its tokens stand.
struct NewRow {
  size_t job = 0;
  RowRef a, b;
  uint32_t token = 0;
  RowRef out;
  TreatmentCounts scores, softmax;
  std::shared_ptr<const InnerRow> inner;
};

// Streams that compute the same value: same plan for the node, same operands, same tokens.
struct Job {
  const NodePlan* plan = nullptr;
  const StreamContext* context = nullptr;
  const StreamRows* tokens = nullptr;
  std::vector<ValuePtr> inputs;  // after `in`
  KvCache::Layer history;        // attention: what the stream saw before
  std::vector<size_t> rows;      // into the new rows, by token
  std::vector<size_t> fresh;     // those of them this job is the first to need
};

// The rows of `value` for these tokens, which it has among others.
ValuePtr Select(const ValuePtr& value, const std::vector<uint32_t>& tokens) {
  if (value->tokens == tokens) return value;
  auto selected = std::make_shared<Value>();
  selected->type = value->type;
  selected->storage = value->storage;
  selected->tokens = tokens;
  size_t at = 0;
  for (const uint32_t token : tokens) {
    while (at < value->tokens.size() && value->tokens[at] < token) ++at;
    CHECK(at < value->tokens.size() && value->tokens[at] == token);
    selected->rows.push_back(value->rows[at]);
  }
  return selected;
}

class NodeEvaluator {
 public:
  NodeEvaluator(const NodeRequest& request, const std::vector<StreamRows>& rows)
      : request_(request),
        rows_(rows),
        node_(request.model.graph().nodes[request.node]),
        streams_(request.plans.size()),
        outputs_(streams_) {
    for (size_t i = 0; i < request.node; ++i)
      attention_index_ += request.model.graph().nodes[i].op == OpKind::kAttention;
  }

  std::vector<NodeOutput> Run(EvaluationCost* cost);

 private:
  void PrepareInputs();
  void MakeJobs();
  void FindNewRows(Job* job, size_t index);
  Hash128 RowKey(const Job& job, size_t i, const Hash128& chain) const;
  template <class T>
  void Compute(Arithmetic type);
  template <class T>
  void ComputeEmbedding(const std::vector<size_t>& rows, const LoadedWeight& weight);
  template <class T>
  void ComputeRows(const NodePlan& plan, const std::vector<size_t>& rows,
                   const LoadedWeight* weight);
  template <class T>
  void ComputeAttention(size_t job);
  template <class T>
  std::shared_ptr<const void> Allocate(const std::vector<size_t>& rows);
  template <class T>
  const T* As(const RowRef& row, Arithmetic type, size_t width,
              std::vector<std::unique_ptr<T[]>>* converted) const;
  void Assemble();
  void TreatOutputs();
  void ExtendCaches();

  const NodeRequest& request_;
  const std::vector<StreamRows>& rows_;
  const Node& node_;
  size_t streams_;
  size_t attention_index_ = 0;
  std::vector<std::vector<ValuePtr>> inputs_;  // by stream, selected and treated
  std::vector<size_t> job_of_stream_;
  std::vector<Job> jobs_;
  std::vector<NewRow> new_rows_;
  std::unordered_map<Hash128, size_t> known_rows_;
  std::vector<std::shared_ptr<const void>> storage_;
  std::vector<NodeOutput> outputs_;
};

void NodeEvaluator::PrepareInputs() {
  inputs_.resize(streams_);
  for (size_t operand = 0; operand < node_.inputs.size(); ++operand) {
    const bool whole = node_.op == OpKind::kAttention && operand > 0;  // K and V of every token
    const size_t width =
        request_.model.graph().nodes[static_cast<size_t>(node_.inputs[operand])].shape.width;
    // Selecting makes a new object; streams that share the value must go on sharing it.
    std::unordered_map<Hash128, ValuePtr> selected;
    std::vector<TreatRequest> requests;
    for (size_t s = 0; s < streams_; ++s) {
      ValuePtr value = request_.inputs[s][operand];
      if (!whole) {
        const Hash128 key =
            Combine(request_.contexts[s]->identity,
                    static_cast<uint64_t>(reinterpret_cast<uintptr_t>(value.get())));
        auto [found, is_new] = selected.try_emplace(key);
        if (is_new) found->second = Select(value, rows_[s].tokens);
        value = found->second;
      }
      const auto& place = request_.plans[s]->in;
      requests.push_back({value, width, place ? &*place : nullptr, request_.contexts[s]});
    }
    const std::vector<TreatedValue> treated = TreatValues(requests, request_.model.workers());
    for (size_t s = 0; s < streams_; ++s) {
      inputs_[s].push_back(treated[s].value);
      outputs_[s].in += treated[s].counts;
    }
  }
}

void NodeEvaluator::MakeJobs() {
  std::unordered_map<Hash128, size_t> known;
  for (size_t s = 0; s < streams_; ++s) {
    const StreamContext& context = *request_.contexts[s];
    Hash128 key = Combine(request_.plans[s]->identity, context.identity);
    for (const ValuePtr& input : inputs_[s])
      key = Combine(key, static_cast<uint64_t>(reinterpret_cast<uintptr_t>(input.get())));
    const bool has_history = node_.op == OpKind::kAttention && context.cache != nullptr;
    if (has_history) key = Combine(key, context.cache->layers[attention_index_].chain);
    const auto [found, is_new] = known.emplace(key, jobs_.size());
    job_of_stream_.push_back(found->second);
    if (!is_new) continue;
    Job job;
    job.plan = request_.plans[s];
    job.context = &context;
    job.tokens = &rows_[s];
    job.inputs = inputs_[s];
    if (has_history) job.history = context.cache->layers[attention_index_];
    jobs_.push_back(std::move(job));
  }
}

// What row i of the job is: the plan of the node, and all its result depends on.
Hash128 NodeEvaluator::RowKey(const Job& job, size_t i, const Hash128& chain) const {
  const uint32_t token = job.tokens->tokens[i];
  Hash128 key = job.plan->identity;
  switch (node_.op) {
    case OpKind::kEmbed:
      return Combine(key, static_cast<uint64_t>(job.context->tokens[token]));
    case OpKind::kRope:
      return Combine(Combine(key, job.inputs[0]->rows[i].id), job.context->start + token);
    case OpKind::kAttention:
      for (const auto* inner : {&job.plan->scores, &job.plan->softmax})
        if (*inner && (*inner)->treatment.rounding == Rounding::kStochastic)
          key = Combine(key, job.context->rows[token]);
      return Combine(Combine(key, job.inputs[0]->rows[i].id), chain);
    default:
      for (const ValuePtr& input : job.inputs) key = Combine(key, input->rows[i].id);
      return key;
  }
}

void NodeEvaluator::FindNewRows(Job* job, size_t index) {
  std::vector<Hash128> chains;  // attention: identity of K and V up to each token
  if (node_.op == OpKind::kAttention) {
    Hash128 chain = job->history.chain;
    for (size_t i = 0; i < job->inputs[1]->rows.size(); ++i) {
      chain = Combine(Combine(chain, job->inputs[1]->rows[i].id), job->inputs[2]->rows[i].id);
      chains.push_back(chain);
    }
  }
  for (size_t i = 0; i < job->tokens->tokens.size(); ++i) {
    const uint32_t token = job->tokens->tokens[i];
    const Hash128 key = RowKey(*job, i, chains.empty() ? Hash128{} : chains[token]);
    const auto [found, is_new] = known_rows_.emplace(key, new_rows_.size());
    job->rows.push_back(found->second);
    if (!is_new) continue;
    job->fresh.push_back(new_rows_.size());
    NewRow row;
    row.job = index;
    row.token = token;
    row.out.id = key;
    if (!job->inputs.empty()) row.a = job->inputs[0]->rows[i];
    if (job->inputs.size() == 2) row.b = job->inputs[1]->rows[i];
    new_rows_.push_back(std::move(row));
  }
}

template <class T>
std::shared_ptr<const void> NodeEvaluator::Allocate(const std::vector<size_t>& rows) {
  const size_t stride = (node_.shape.width + kLanes - 1) / kLanes * kLanes;
  auto storage = std::make_shared<AlignedArray<T>>(rows.size() * stride);
  for (size_t i = 0; i < rows.size(); ++i)
    new_rows_[rows[i]].out.data = storage->data() + i * stride;
  return storage;
}

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
T* Mutable(const RowRef& row) {  // rows under construction
  return static_cast<T*>(const_cast<void*>(row.data));
}

template <class T>
void NodeEvaluator::ComputeEmbedding(const std::vector<size_t>& rows, const LoadedWeight& weight) {
  request_.model.workers().For(rows.size(), 8, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      const NewRow& row = new_rows_[rows[i]];
      const size_t token = static_cast<size_t>(jobs_[row.job].context->tokens[row.token]);
      request_.model.weights().EmbeddingRow(node_.weight, weight, token, Mutable<T>(row.out));
    }
  });
}

template <class T>
void NodeEvaluator::ComputeRows(const NodePlan& plan, const std::vector<size_t>& rows,
                                const LoadedWeight* weight) {
  std::vector<std::unique_ptr<T[]>> converted;
  std::vector<const T*> a, b;
  std::vector<T*> out;
  std::vector<size_t> positions;
  for (const size_t i : rows) {
    const NewRow& row = new_rows_[i];
    const Job& job = jobs_[row.job];
    a.push_back(As<T>(row.a, job.inputs[0]->type, node_.shape.in_width, &converted));
    if (job.inputs.size() == 2)
      b.push_back(As<T>(row.b, job.inputs[1]->type, node_.shape.in_width, &converted));
    out.push_back(Mutable<T>(row.out));
    positions.push_back(job.context->start + row.token);
  }
  RowsArgs<T> args{node_.op, node_.shape, {}, a, b, out, positions, &request_.model.rope()};
  args.shape.eps = plan.eps;
  if (weight != nullptr) {
    if (weight->wide_matrix.outputs > 0) args.weight.wide_matrix = &weight->wide_matrix;
    if (weight->matrix.outputs > 0) args.weight.matrix = &weight->matrix;
    if constexpr (sizeof(T) == 4) {
      args.weight.vector = weight->vector.data();
    } else {
      args.weight.vector = weight->vector_f64.data();
    }
  }
  EvaluateRows(args, request_.model.machine());
}

template <class T>
void NodeEvaluator::ComputeAttention(size_t index) {
  const Job& job = jobs_[index];
  const size_t kv_width = node_.shape.kv_heads * node_.shape.head_dim;
  std::vector<std::unique_ptr<T[]>> converted;
  std::vector<const T*> q, k, v;
  std::vector<size_t> keys;
  std::vector<T*> out;
  for (size_t i = 0; i < job.history.k.size(); ++i) {
    k.push_back(As<T>(job.history.k[i], job.history.k_type, kv_width, &converted));
    v.push_back(As<T>(job.history.v[i], job.history.v_type, kv_width, &converted));
  }
  for (size_t i = 0; i < job.inputs[1]->rows.size(); ++i) {
    k.push_back(As<T>(job.inputs[1]->rows[i], job.inputs[1]->type, kv_width, &converted));
    v.push_back(As<T>(job.inputs[2]->rows[i], job.inputs[2]->type, kv_width, &converted));
  }
  for (const size_t i : job.fresh) {
    const NewRow& row = new_rows_[i];
    q.push_back(As<T>(row.a, job.inputs[0]->type, node_.shape.width, &converted));
    keys.push_back(job.context->start + row.token + 1);
    out.push_back(Mutable<T>(row.out));
  }
  AttentionArgs<T> args{node_.shape, q, keys, k, v, out, {}};
  if (request_.keep_inner || job.plan->scores || job.plan->softmax) {
    std::vector<std::shared_ptr<InnerRow>> kept(job.fresh.size());
    args.inner = [&](AttentionStage stage, size_t r, T* values, size_t n) {
      NewRow& row = new_rows_[job.fresh[r]];
      const bool scores = stage == AttentionStage::kScores;
      const auto& place = scores ? job.plan->scores : job.plan->softmax;
      if (place)
        (scores ? row.scores : row.softmax) =
            TreatRow(place->treatment, values, n, RandomKey(*place, *job.context, row.token));
      if (!request_.keep_inner) return;
      if (kept[r] == nullptr) kept[r] = std::make_shared<InnerRow>();
      auto copy = std::make_shared<AlignedArray<T>>(n);
      std::copy_n(values, n, copy->data());
      kept[r]->width = n;
      (scores ? kept[r]->scores : kept[r]->softmax) =
          std::shared_ptr<const void>(copy, copy->data());
    };
    EvaluateAttention(args, request_.model.machine());
    for (size_t r = 0; r < kept.size(); ++r) new_rows_[job.fresh[r]].inner = kept[r];
    return;
  }
  EvaluateAttention(args, request_.model.machine());
}

// All new rows of one arithmetic, plan by plan.
template <class T>
void NodeEvaluator::Compute(Arithmetic type) {
  std::unordered_map<Hash128, size_t> index_of_plan;
  std::vector<std::pair<const NodePlan*, std::vector<size_t>>> by_plan;
  std::vector<size_t> all;
  for (size_t i = 0; i < new_rows_.size(); ++i) {
    const NodePlan* plan = jobs_[new_rows_[i].job].plan;
    if (plan->math != type) continue;
    const auto [found, is_new] = index_of_plan.emplace(plan->identity, by_plan.size());
    if (is_new) by_plan.push_back({plan, {}});
    by_plan[found->second].second.push_back(i);
    all.push_back(i);
  }
  if (all.empty()) return;
  storage_.push_back(Allocate<T>(all));
  if (node_.op == OpKind::kAttention) {
    request_.model.workers().For(jobs_.size(), 1, [&](size_t first, size_t last) {
      for (size_t j = first; j < last; ++j)
        if (jobs_[j].plan->math == type && !jobs_[j].fresh.empty()) ComputeAttention<T>(j);
    });
    return;
  }
  for (const auto& [plan, rows] : by_plan) {
    std::shared_ptr<const LoadedWeight> weight;
    if (node_.weight >= 0) {
      const auto& place = plan->weight;
      weight = request_.model.weights().Get(node_.weight, place ? &place->treatment : nullptr,
                                            place ? place->seed : 0);
    }
    if (node_.op == OpKind::kEmbed) {
      ComputeEmbedding<T>(rows, *weight);
    } else {
      ComputeRows<T>(*plan, rows, weight.get());
    }
  }
}

void NodeEvaluator::Assemble() {
  std::vector<ValuePtr> values;
  std::vector<TreatmentCounts> scores(jobs_.size()), softmax(jobs_.size());
  for (size_t j = 0; j < jobs_.size(); ++j) {
    const Job& job = jobs_[j];
    if (node_.op == OpKind::kStore) {
      values.push_back(job.inputs[0]);
      continue;
    }
    auto value = std::make_shared<Value>();
    value->type = job.plan->math;
    value->tokens = job.tokens->tokens;
    value->storage = storage_;
    for (const size_t row : job.rows) {
      value->rows.push_back(new_rows_[row].out);
      scores[j] += new_rows_[row].scores;
      softmax[j] += new_rows_[row].softmax;
    }
    values.push_back(std::move(value));
  }
  for (size_t s = 0; s < streams_; ++s) {
    const size_t j = job_of_stream_[s];
    outputs_[s].value = values[j];
    outputs_[s].scores = scores[j];
    outputs_[s].softmax = softmax[j];
    if (request_.keep_inner)
      for (const size_t row : jobs_[j].rows) outputs_[s].inner.push_back(new_rows_[row].inner);
  }
}

void NodeEvaluator::TreatOutputs() {
  std::vector<TreatRequest> requests;
  for (size_t s = 0; s < streams_; ++s) {
    const auto& place = request_.plans[s]->out;
    requests.push_back(
        {outputs_[s].value, node_.shape.width, place ? &*place : nullptr, request_.contexts[s]});
  }
  const std::vector<TreatedValue> treated = TreatValues(requests, request_.model.workers());
  for (size_t s = 0; s < streams_; ++s) {
    outputs_[s].value = treated[s].value;
    outputs_[s].out = treated[s].counts;
  }
}

void NodeEvaluator::ExtendCaches() {
  for (size_t s = 0; s < streams_; ++s) {
    if (request_.contexts[s]->cache == nullptr) continue;
    KvCache::Layer& layer = request_.contexts[s]->cache->layers[attention_index_];
    const Value& k = *inputs_[s][1];
    const Value& v = *inputs_[s][2];
    layer.k_type = k.type;
    layer.v_type = v.type;
    for (size_t i = 0; i < k.rows.size(); ++i) {
      layer.chain = Combine(Combine(layer.chain, k.rows[i].id), v.rows[i].id);
      layer.k.push_back(k.rows[i]);
      layer.v.push_back(v.rows[i]);
    }
    for (const Value* value : {&k, &v})
      layer.storage.insert(layer.storage.end(), value->storage.begin(), value->storage.end());
  }
}

std::vector<NodeOutput> NodeEvaluator::Run(EvaluationCost* cost) {
  PrepareInputs();
  MakeJobs();
  if (node_.op != OpKind::kStore) {
    for (size_t j = 0; j < jobs_.size(); ++j) {
      FindNewRows(&jobs_[j], j);
      cost->tensors_evaluated += !jobs_[j].fresh.empty();
    }
    cost->rows_evaluated += new_rows_.size();
    cost->tensors_naive += streams_;
    for (const StreamRows& rows : rows_) cost->rows_naive += rows.tokens.size();
    Compute<float>(Arithmetic::kF32);
    Compute<double>(Arithmetic::kF64);
  }
  Assemble();
  TreatOutputs();
  if (node_.op == OpKind::kAttention) ExtendCaches();
  return std::move(outputs_);
}

}  // namespace

std::vector<NodeOutput> EvaluateNode(const NodeRequest& request,
                                     const std::vector<StreamRows>& rows, EvaluationCost* cost) {
  return NodeEvaluator(request, rows).Run(cost);
}

}  // namespace vernier
