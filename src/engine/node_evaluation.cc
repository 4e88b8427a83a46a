#include "engine/node_evaluation.h"

#include <cstring>
#include <map>
#include <numeric>
#include <tuple>

#include "base/result.h"
#include "engine/node_evaluator.h"
#include "engine/treat_rows.h"
#include "kernels/even_rows.h"
#include "kernels/panels.h"
#include "ops/attention.h"
#include "ops/format_attention.h"
#include "ops/format_scan.h"
#include "ops/recurrence.h"

namespace vernier {

void StreamContext::MakeIdentity() {
  identity = Combine(HashText("stream"), start);
  identity = Combine(identity, rows.empty() ? Hash128{} : rows.back());
  identity = Combine(identity, HashBytes(wanted.data(), wanted.size() * sizeof(uint32_t)));
}

StreamRows StreamContext::AllRows() const {
  StreamRows all{std::vector<uint32_t>(tokens.size())};
  std::iota(all.tokens.begin(), all.tokens.end(), 0u);
  return all;
}

StreamRows StreamContext::WantedRows(size_t first, size_t last) const {
  first = std::min(first, wanted.size());
  last = std::min(last, wanted.size());
  return {{wanted.begin() + static_cast<std::ptrdiff_t>(first),
           wanted.begin() + static_cast<std::ptrdiff_t>(last)}};
}

namespace {

size_t RoundUp(size_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

// The rows of `value` for these tokens, which it has among others.
ValuePtr Select(const ValuePtr& value, const std::vector<uint32_t>& tokens) {
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

}  // namespace

NodeEvaluator::NodeEvaluator(const NodeRequest& request, const std::vector<StreamRows>& rows)
    : request_(request),
      rows_(rows),
      node_(request.model.graph().nodes[request.node]),
      streams_(request.plans.size()),
      outputs_(streams_) {}

size_t NodeEvaluator::OperandWidth(size_t operand) const {
  return request_.model.graph().nodes[static_cast<size_t>(node_.inputs[operand])].shape.width;
}

void NodeEvaluator::PrepareInputs() {
  inputs_.resize(streams_);
  raw_.resize(streams_);
  for (size_t operand = 0; operand < node_.inputs.size(); ++operand) {
    const bool whole = Info(node_.op).ReadsEarlier(operand);  // rows of every token
    const size_t width = OperandWidth(operand);
    // Selecting makes a new object; streams that share the value must go on sharing it.
    std::unordered_map<Hash128, ValuePtr> selected;
    std::vector<TreatRequest> requests;
    for (size_t s = 0; s < streams_; ++s) {
      ValuePtr value = request_.inputs[s][operand];
      if (!whole && value->tokens != rows_[s].tokens) {
        const Hash128 key =
            Combine(request_.contexts[s]->identity,
                    static_cast<uint64_t>(reinterpret_cast<uintptr_t>(value.get())));
        auto [found, is_new] = selected.try_emplace(key);
        if (is_new) found->second = Select(value, rows_[s].tokens);
        value = found->second;
      }
      if (request_.plans[s]->integer && node_.op == OpKind::kMatMul) raw_[s] = value;
      const auto& place = request_.plans[s]->in;
      requests.push_back({value, width, place ? &*place : nullptr, request_.contexts[s]});
    }
    const std::vector<TreatedValue> treated = TreatValues(requests, request_.model);
    for (size_t s = 0; s < streams_; ++s) {
      inputs_[s].push_back(treated[s].value);
      outputs_[s].in += treated[s].counts;
    }
  }
}

void NodeEvaluator::MakeJobs() {
  static const KvCache::Layer kNoHistory;
  HashIndex known;
  for (size_t s = 0; s < streams_; ++s) {
    const StreamContext& context = *request_.contexts[s];
    const bool has_history = Info(node_.op).causal() && context.cache != nullptr;
    size_t number = 0;
    bool is_new = true;
    if (streams_ > 1) {  // else there is nobody to share with
      Hash128 key = Combine(request_.plans[s]->identity, context.identity);
      for (const ValuePtr& input : inputs_[s])
        key = Combine(key, static_cast<uint64_t>(reinterpret_cast<uintptr_t>(input.get())));
      key = Combine(key, static_cast<uint64_t>(reinterpret_cast<uintptr_t>(raw_[s].get())));
      if (has_history) key = Combine(key, context.cache->layers[request_.causal_index].chain);
      std::tie(number, is_new) = known.Emplace(key, jobs_.size());
    }
    job_of_stream_.push_back(number);
    if (!is_new) continue;
    Job job;
    job.plan = request_.plans[s];
    job.context = &context;
    job.tokens = &rows_[s];
    job.inputs = inputs_[s];
    job.raw = raw_[s];
    job.history = &kNoHistory;
    if (has_history) job.history = &context.cache->layers[request_.causal_index];
    jobs_.push_back(std::move(job));
  }
}

// What row i of the job is: the plan of the node, and all its result depends on.
// A causal node's depends on earlier rows through `chain`.
Hash128 NodeEvaluator::RowKey(const Job& job, size_t i, const Hash128& chain) const {
  const uint32_t token = job.tokens->tokens[i];
  Hash128 key = job.plan->identity;
  if (job.plan->ggml) key = Combine(key, static_cast<uint64_t>(OrderOf(job, token)));
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
    case OpKind::kConvolve:
      return Combine(key, chain);
    case OpKind::kScan:
      return Combine(Combine(key, job.inputs[3]->rows[i].id), chain);
    default:
      for (const ValuePtr& input : job.inputs) key = Combine(key, input->rows[i].id);
      // Rows may be equal after their treatment, of other integers and scales.
      if (job.raw != nullptr) key = Combine(key, job.raw->rows[i].id);
      return key;
  }
}

// By token, the identity of all its row depends on besides its own operands.
std::vector<Hash128> NodeEvaluator::Chains(Job* job, size_t index) {
  std::vector<Hash128> chains;
  if (node_.op == OpKind::kScan) return StateChains(job, index);
  if (node_.op == OpKind::kConvolve) {
    for (size_t i = 0; i < job->inputs[0]->rows.size(); ++i) {
      Hash128 chain;
      for (const RowRef* row : Window(*job, i)) chain = Combine(chain, row ? row->id : Hash128{});
      chains.push_back(chain);
    }
  }
  if (node_.op == OpKind::kAttention) {
    Hash128 chain = job->history->chain;
    for (size_t i = 0; i < job->inputs[1]->rows.size(); ++i) {
      chain = Combine(Combine(chain, job->inputs[1]->rows[i].id), job->inputs[2]->rows[i].id);
      chains.push_back(chain);
    }
  }
  return chains;
}

// The rows a convolution reads for a token, the newest last; null before the text.
std::vector<const RowRef*> NodeEvaluator::Window(const Job& job, size_t token) const {
  const std::vector<RowRef>&before = job.history->k, &rows = job.inputs[0]->rows;
  std::vector<const RowRef*> window(node_.shape.taps);
  for (size_t back = 0; back < window.size(); ++back) {
    const RowRef*& row = window[window.size() - 1 - back];
    if (back <= token) {
      row = &rows[token - back];
    } else if (back - token <= before.size()) {
      row = &before[before.size() - (back - token)];
    }
  }
  return window;
}

void NodeEvaluator::FindNewRows(Job* job, size_t index) {
  const std::vector<Hash128> chains = Chains(job, index);
  const size_t rows = job->tokens->tokens.size();
  if (index == 0) {
    new_rows_.reserve(rows);
    known_rows_.Reserve(rows);
  }
  job->rows.reserve(rows);
  job->fresh.reserve(rows);
  for (size_t i = 0; i < rows; ++i) {
    const uint32_t token = job->tokens->tokens[i];
    const Hash128 key = RowKey(*job, i, chains.empty() ? Hash128{} : chains[token]);
    const auto [number, is_new] = known_rows_.Emplace(key, new_rows_.size());
    job->rows.push_back(number);
    if (!is_new) continue;
    job->fresh.push_back(new_rows_.size());
    NewRow& row = new_rows_.emplace_back();
    row.job = index;
    row.token = token;
    row.out.id = key;
    if (node_.op == OpKind::kScan) {
      row.a = job->inputs[3]->rows[i];
    } else if (node_.op != OpKind::kConvolve && !job->inputs.empty()) {
      row.a = job->inputs[0]->rows[i];
    }
    if (job->inputs.size() == 2) row.b = job->inputs[1]->rows[i];
    if (job->raw != nullptr) row.raw = job->raw->rows[i];
  }
}

template <class T>
std::shared_ptr<const void> NodeEvaluator::Allocate(const std::vector<size_t>& rows) {
  const size_t stride = EvenStride<T>(node_.shape.width);
  const std::shared_ptr<std::byte> storage =
      request_.model.buffers().Take(rows.size() * stride * sizeof(T));
  T* data = reinterpret_cast<T*>(storage.get());
  for (size_t i = 0; i < rows.size(); ++i) new_rows_[rows[i]].out.data = data + i * stride;
  return storage;
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
  const GatheredRows<T> g = Gather<T>(rows);
  RowsArgs<T> args{node_.op, node_.shape, {},          g.a,
                   g.b,      g.out,       g.positions, &request_.model.rope(plan.rope_theta)};
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
void NodeEvaluator::ComputeConvolution(const std::vector<size_t>& rows,
                                       const LoadedWeight& weight) {
  const NodePlan& plan = *jobs_[new_rows_[rows.front()].job].plan;
  std::vector<std::unique_ptr<T[]>> converted;
  std::map<const RowRef*, const T*> at;  // a row is read for several tokens
  std::vector<const T*> x;
  std::vector<T*> out;
  for (const size_t i : rows) {
    const NewRow& row = new_rows_[i];
    const Job& job = jobs_[row.job];
    for (const RowRef* r : Window(job, row.token)) {
      const auto [found, is_new] = at.try_emplace(r, nullptr);
      const bool old = r < job.inputs[0]->rows.data() ||
                       r >= job.inputs[0]->rows.data() + job.inputs[0]->rows.size();
      if (is_new && r != nullptr)
        found->second = Operand<T>(plan, *r, old ? job.history->k_type : job.inputs[0]->type,
                                   node_.shape.in_width, &converted);
      x.push_back(found->second);
    }
    out.push_back(Mutable<T>(row.out));
  }
  if (plan.format)
    return EvaluateFormatConvolution<T>({&*plan.format, node_.shape, &weight.wide_small, x, out},
                                        request_.model.machine());
  EvaluateConvolution<T>({node_.shape, &PanelsOf<T>(weight), x, out}, request_.model.machine());
}

// What one job's attention reads and writes.
template <class T>
struct AttentionRows {
  std::vector<std::unique_ptr<T[]>> converted;
  std::vector<const T*> q, k, v;
  std::vector<size_t> keys;
  std::vector<T*> out;
  std::vector<size_t> kept;            // where each row's scores and probabilities lie in
  std::shared_ptr<T> scores, softmax;  // these, where a tap wants them
};

template <class T>
AttentionRows<T> NodeEvaluator::GatherAttention(const Job& job) const {
  const size_t kv_width = node_.shape.kv_heads * node_.shape.head_dim;
  AttentionRows<T> rows;
  const auto as = [&](const RowRef& row, Arithmetic type, size_t width) {
    return Operand<T>(*job.plan, row, type, width, &rows.converted);
  };
  rows.k.reserve(job.history->k.size() + job.inputs[1]->rows.size());
  rows.v.reserve(job.history->v.size() + job.inputs[2]->rows.size());
  for (size_t i = 0; i < job.history->k.size(); ++i) {
    rows.k.push_back(as(job.history->k[i], job.history->k_type, kv_width));
    rows.v.push_back(as(job.history->v[i], job.history->v_type, kv_width));
  }
  for (size_t i = 0; i < job.inputs[1]->rows.size(); ++i) {
    rows.k.push_back(as(job.inputs[1]->rows[i], job.inputs[1]->type, kv_width));
    rows.v.push_back(as(job.inputs[2]->rows[i], job.inputs[2]->type, kv_width));
  }
  for (const size_t i : job.fresh) {
    const NewRow& row = new_rows_[i];
    rows.q.push_back(as(row.a, job.inputs[0]->type, node_.shape.width));
    rows.keys.push_back(job.context->start + row.token + 1);
    rows.out.push_back(Mutable<T>(row.out));
  }
  return rows;
}

// Room for the points inside the attention of a job's new rows.
template <class T>
void NodeEvaluator::KeepInner(const Job& job, AttentionRows<T>* rows) {
  size_t size = 0;
  for (const size_t keys : rows->keys) {
    rows->kept.push_back(size);
    size += RoundUp(node_.shape.heads * keys);
  }
  rows->scores = TakeArray<T>(request_.model.machine(), size);
  rows->softmax = TakeArray<T>(request_.model.machine(), size);
  for (size_t r = 0; r < rows->keys.size(); ++r) {
    const auto at = [&](const std::shared_ptr<T>& all) {
      return std::shared_ptr<const void>(all, all.get() + rows->kept[r]);
    };
    inside_[job.fresh[r]].inner = std::make_shared<InnerRow>(
        InnerRow{node_.shape.heads * rows->keys[r], at(rows->scores), at(rows->softmax), {}});
  }
}

template <class T>
void NodeEvaluator::ComputeAttention(Arithmetic type) {
  std::vector<AttentionRows<T>> rows;
  std::vector<AttentionArgs<T>> sequences;
  std::vector<const Job*> job_of_sequence;
  rows.reserve(jobs_.size());
  for (const Job& job : jobs_) {
    if (job.plan->math != type || job.fresh.empty()) continue;
    AttentionRows<T>& of = rows.emplace_back(GatherAttention<T>(job));
    sequences.push_back({node_.shape, of.q, of.keys, of.k, of.v, of.out, {}});
    job_of_sequence.push_back(&job);
    if (request_.keep_inner) {
      KeepInner(job, &of);
      sequences.back().keep = [&of](AttentionStage stage, size_t r, size_t) {
        return (stage == AttentionStage::kScores ? of.scores : of.softmax).get() + of.kept[r];
      };
    }
    if (!job.plan->scores && !job.plan->softmax) continue;
    sequences.back().inner = [this, &job](AttentionStage stage, size_t r, T* values, size_t n) {
      const uint32_t token = new_rows_[job.fresh[r]].token;
      InsideRow& inside = inside_[job.fresh[r]];
      const bool scores = stage == AttentionStage::kScores;
      const auto& place = scores ? job.plan->scores : job.plan->softmax;
      if (place)
        (scores ? inside.scores : inside.softmax) =
            TreatPlaced(*place, values, n, RandomKey(*place, *job.context, token));
      return place.has_value();
    };
  }
  std::vector<AttentionArgs<T>> own;  // in Vernier's own arithmetic
  for (size_t i = 0; i < sequences.size(); ++i) {
    const Job& job = *job_of_sequence[i];
    if (job.plan->format) {
      EvaluateFormatAttention(*job.plan->format, sequences[i], request_.model.machine());
      continue;
    }
    if constexpr (std::is_same_v<T, float>) {
      if (job.plan->ggml) {
        ComputeGgmlAttention(job, sequences[i]);
        continue;
      }
    }
    own.push_back(std::move(sequences[i]));
  }
  EvaluateAttention<T>(own, request_.model.machine());
}

// All new rows of one arithmetic, plan by plan.
template <class T>
void NodeEvaluator::Compute(Arithmetic type) {
  HashIndex index_of_plan;
  std::vector<std::pair<const NodePlan*, std::vector<size_t>>> by_plan;
  std::vector<size_t> all;
  size_t job = SIZE_MAX, number = 0;  // new rows go by their jobs
  for (size_t i = 0; i < new_rows_.size(); ++i) {
    const NodePlan* plan = jobs_[new_rows_[i].job].plan;
    if (plan->math != type) continue;
    if (new_rows_[i].job != job) {
      job = new_rows_[i].job;
      bool is_new = false;
      std::tie(number, is_new) = index_of_plan.Emplace(plan->identity, by_plan.size());
      if (is_new) by_plan.push_back({plan, {}});
    }
    by_plan[number].second.push_back(i);
    all.push_back(i);
  }
  if (!all.empty()) storage_.push_back(Allocate<T>(all));
  // States are made for later calls even where no row is wanted.
  if (node_.op == OpKind::kScan) return ComputeScans<T>(type);
  if (all.empty()) return;
  if (node_.op == OpKind::kAttention) return ComputeAttention<T>(type);
  for (const auto& [plan, rows] : by_plan) {
    if (plan->ggml && node_.op == OpKind::kMatMul) {
      ComputeGgmlProduct(rows);
      continue;
    }
    if (plan->integer) {
      if (node_.op == OpKind::kConvolve)
        ConvolveCodes(*plan, rows);
      else
        ComputeCodes(*plan, rows);
      continue;
    }
    std::shared_ptr<const LoadedWeight> weight;
    if (node_.weight >= 0) {
      weight = request_.model.weights().Get(node_.weight, FormOf(*plan));
    }
    if (node_.op == OpKind::kConvolve) {
      ComputeConvolution<T>(rows, *weight);
    } else if (plan->format) {
      ComputeInFormat<T>(*plan, rows, weight.get());
    } else if (node_.op == OpKind::kEmbed) {
      ComputeEmbedding<T>(rows, *weight);
    } else if (plan->ggml) {
      ComputeGgmlRows(*plan, rows, weight.get());
    } else {
      ComputeRows<T>(*plan, rows, weight.get());
    }
  }
}

// A view of the operand's rows.
ValuePtr NodeEvaluator::SliceOf(const Job& job) const {
  auto slice = std::make_shared<Value>(*job.inputs[0]);
  for (RowRef& row : slice->rows) {
    row.data = static_cast<const std::byte*>(row.data) + node_.shape.offset * Size(slice->type);
    row.id = Combine(job.plan->identity, row.id);
  }
  return slice;
}

void NodeEvaluator::Assemble() {
  std::vector<ValuePtr> values;
  std::vector<TreatmentCounts> scores(jobs_.size()), softmax(jobs_.size());
  for (size_t j = 0; j < jobs_.size(); ++j) {
    const Job& job = jobs_[j];
    if (node_.op == OpKind::kStore || node_.op == OpKind::kSlice) {
      values.push_back(node_.op == OpKind::kStore ? job.inputs[0] : SliceOf(job));
      continue;
    }
    auto value = std::make_shared<Value>();
    value->type = job.plan->math;
    value->tokens = job.tokens->tokens;
    value->storage = storage_;
    value->rows.reserve(job.rows.size());
    for (const size_t row : job.rows) {
      value->rows.push_back(new_rows_[row].out);
      if (inside_.empty()) continue;
      scores[j] += inside_[row].scores;
      softmax[j] += inside_[row].softmax;
    }
    values.push_back(std::move(value));
  }
  for (size_t s = 0; s < streams_; ++s) {
    const size_t j = job_of_stream_[s];
    outputs_[s].value = values[j];
    outputs_[s].scores = scores[j];
    outputs_[s].softmax = softmax[j];
    for (const size_t state : jobs_[j].states) outputs_[s].state += states_[state].counts;
    if (request_.keep_inner)
      for (const size_t row : jobs_[j].rows) outputs_[s].inner.push_back(inside_[row].inner);
  }
}

void NodeEvaluator::TreatOutputs() {
  if (node_.op == OpKind::kStore) KeepStores();
  std::vector<TreatRequest> requests;
  for (size_t s = 0; s < streams_; ++s) {
    const auto& place = request_.plans[s]->out;
    requests.push_back(
        {outputs_[s].value, node_.shape.width, place ? &*place : nullptr, request_.contexts[s]});
  }
  const std::vector<TreatedValue> treated = TreatValues(requests, request_.model);
  for (size_t s = 0; s < streams_; ++s) {
    outputs_[s].value = treated[s].value;
    outputs_[s].out = treated[s].counts;
  }
}

void NodeEvaluator::ExtendCaches() {
  for (size_t s = 0; s < streams_; ++s) {
    if (request_.contexts[s]->cache == nullptr) continue;
    KvCache::Layer& layer = request_.contexts[s]->cache->layers[request_.causal_index];
    if (node_.op == OpKind::kAttention) ExtendAttention(s, &layer);
    if (node_.op == OpKind::kConvolve) ExtendConvolution(s, &layer);
    if (node_.op == OpKind::kScan) ExtendScan(jobs_[job_of_stream_[s]], &layer);
  }
}

void NodeEvaluator::ExtendAttention(size_t stream, KvCache::Layer* layer) const {
  const Value& k = *inputs_[stream][1];
  const Value& v = *inputs_[stream][2];
  layer->k_type = k.type;
  layer->v_type = v.type;
  for (size_t i = 0; i < k.rows.size(); ++i) {
    layer->chain = Combine(Combine(layer->chain, k.rows[i].id), v.rows[i].id);
    layer->k.push_back(k.rows[i]);
    layer->v.push_back(v.rows[i]);
  }
  for (const Value* value : {&k, &v})
    layer->storage.insert(layer->storage.end(), value->storage.begin(), value->storage.end());
}

// Keeps copies of the last rows: what they are part of is as long as the text was.
void NodeEvaluator::ExtendConvolution(size_t stream, KvCache::Layer* layer) const {
  const Value& x = *inputs_[stream][0];
  if (x.rows.empty()) return;
  CHECK(layer->k.empty() || layer->k_type == x.type);
  std::vector<RowRef> last = layer->k;
  last.insert(last.end(), x.rows.begin(), x.rows.end());
  last.erase(last.begin(),
             last.end() - static_cast<std::ptrdiff_t>(std::min(last.size(), node_.shape.taps - 1)));
  const size_t bytes = node_.shape.in_width * Size(x.type);
  const auto storage = std::make_shared<AlignedArray<std::byte>>(last.size() * bytes);
  layer->chain = Hash128{};
  for (size_t i = 0; i < last.size(); ++i) {
    std::memcpy(storage->data() + i * bytes, last[i].data, bytes);
    last[i].data = storage->data() + i * bytes;
    layer->chain = Combine(layer->chain, last[i].id);
  }
  layer->k = std::move(last);
  layer->k_type = x.type;
  layer->storage = {storage};
}

std::vector<NodeOutput> NodeEvaluator::Run(EvaluationCost* cost) {
  PrepareInputs();
  MakeJobs();
  if (node_.op != OpKind::kStore && node_.op != OpKind::kSlice) {
    for (size_t j = 0; j < jobs_.size(); ++j) {
      FindNewRows(&jobs_[j], j);
      cost->tensors_evaluated += !jobs_[j].fresh.empty();
    }
    cost->rows_evaluated += new_rows_.size();
    cost->tensors_naive += streams_;
    for (const StreamRows& rows : rows_) cost->rows_naive += rows.tokens.size();
    if (node_.op == OpKind::kAttention || node_.op == OpKind::kScan)
      inside_.resize(new_rows_.size());
    KeepStates();
    Compute<float>(Arithmetic::kF32);
    Compute<double>(Arithmetic::kF64);
  }
  Assemble();
  TreatOutputs();
  if (Info(node_.op).causal()) ExtendCaches();
  return std::move(outputs_);
}

std::vector<NodeOutput> EvaluateNode(const NodeRequest& request,
                                     const std::vector<StreamRows>& rows, EvaluationCost* cost) {
  return NodeEvaluator(request, rows).Run(cost);
}

}  // namespace vernier
