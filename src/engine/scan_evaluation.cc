// The scan of state-space layers in NodeEvaluator. A state has an identity as a row has, made of
// what goes into it and of the state before, so texts and lanes share states up to where they part,
// and go on from there. A state is kept in memory where another run begins with it, where a cache
// or a tap wants it; the others exist in registers only.
#include <cstring>

#include "base/result.h"
#include "engine/node_evaluator.h"
#include "engine/treat_rows.h"
#include "ops/format_scan.h"
#include "ops/recurrence.h"

namespace vernier {

// Identities of the states after each token; finds which of them are new.
std::vector<Hash128> NodeEvaluator::StateChains(Job* job, size_t index) {
  const auto& place = job->plan->state;
  const bool stochastic = place && place->treatment.rounding == Rounding::kStochastic;
  std::vector<Hash128> chains;
  Hash128 id = job->history->chain;
  for (size_t i = 0; i < job->inputs[0]->rows.size(); ++i) {
    id = Combine(job->plan->identity, id);
    for (const size_t operand : {0, 1, 2}) id = Combine(id, job->inputs[operand]->rows[i].id);
    if (stochastic) id = Combine(id, job->context->rows[i]);
    const auto [number, is_new] = known_states_.Emplace(id, states_.size());
    if (is_new) states_.push_back({id, index, false, nullptr, {}});
    if (!is_new && job->own_states == i) ++job->own_states;
    job->states.push_back(number);
    chains.push_back(id);
  }
  return chains;
}

// The tokens a job runs through: from the first whose state or row is new, to the last that is
// needed. States in between that another job has are computed again: a row may want one that is
// not kept.
NodeEvaluator::TokenRange NodeEvaluator::ScannedTokens(const Job& job) const {
  TokenRange range{job.own_states, job.states.size()};
  if (!job.fresh.empty()) {
    range.first = std::min<size_t>(range.first, new_rows_[job.fresh.front()].token);
    if (job.own_states == job.states.size()) range.last = new_rows_[job.fresh.back()].token + 1;
  }
  return range;
}

void NodeEvaluator::KeepStates() {
  for (const Job& job : jobs_) {
    if (job.states.empty()) continue;
    const TokenRange range = ScannedTokens(job);
    if (range.first > 0 && range.first < range.last)
      states_[job.states[range.first - 1]].kept = true;
    if (job.context->cache != nullptr) states_[job.states.back()].kept = true;
    if (request_.keep_inner)
      for (const uint32_t token : job.tokens->tokens) states_[job.states[token]].kept = true;
  }
}

// The state that the job goes on from. Another order may have left it: a state in chunks begins
// with what is one, and any state may begin a chunk.
template <class T>
const T* NodeEvaluator::StartOf(const Job& job,
                                std::vector<std::unique_ptr<T[]>>* converted) const {
  const KvCache::Layer& history = *job.history;
  const size_t one = StateSize(node_.shape, {}), size = StateSize(node_.shape, job.plan->order);
  const bool chunked = job.plan->order.chunk > 0;
  const T* state = As<T>(history.state, history.state_type,
                         history.chunked ? std::max(one, size) : one, converted);
  if (!chunked || history.chunked) return state;
  converted->push_back(std::make_unique<T[]>(size));
  T* const begun = converted->back().get();
  std::copy_n(state, one, begun);
  BeginChunk(begun, one);
  return begun;
}

// What one job runs, the kept states' memory being there.
template <class T>
ScanSequence<T> NodeEvaluator::SequenceOf(const Job& job, size_t index,
                                          const std::map<size_t, int>& sequence_of_job,
                                          std::vector<std::unique_ptr<T[]>>* converted) const {
  const TokenRange range = ScannedTokens(job);
  ScanSequence<T> s;
  s.position = job.context->start + range.first;
  if (range.first > 0) {
    const ScanState& before = states_[job.states[range.first - 1]];
    s.start = static_cast<const T*>(before.data.get());
    s.after = sequence_of_job.at(before.job);
  } else if (job.history->state.data != nullptr) {
    s.start = StartOf<T>(job, converted);
  }
  const auto operand = [&](size_t o, size_t token) {
    return Operand<T>(*job.plan, job.inputs[o]->rows[token], job.inputs[o]->type, OperandWidth(o),
                      converted);
  };
  for (size_t t = range.first; t < range.last; ++t) {
    s.dt.push_back(operand(0, t));
    s.x.push_back(operand(1, t));
    s.b.push_back(operand(2, t));
    const ScanState& state = states_[job.states[t]];
    s.kept.push_back(state.kept && state.job == index
                         ? static_cast<T*>(const_cast<void*>(state.data.get()))
                         : nullptr);
  }
  s.c.resize(s.dt.size());
  s.y.resize(s.dt.size());
  for (const size_t i : job.fresh) {
    const NewRow& row = new_rows_[i];
    s.c[row.token - range.first] =
        Operand<T>(*job.plan, row.a, job.inputs[3]->type, OperandWidth(3), converted);
    s.y[row.token - range.first] = Mutable<T>(row.out);
  }
  return s;
}

// The jobs of one plan.
template <class T>
void NodeEvaluator::RunScan(const std::vector<size_t>& jobs, const LoadedWeight& weight) {
  std::vector<std::unique_ptr<T[]>> converted;
  std::vector<ScanSequence<T>> sequences;
  std::map<size_t, int> sequence_of_job;
  for (const size_t j : jobs) {
    sequences.push_back(SequenceOf<T>(jobs_[j], j, sequence_of_job, &converted));
    sequence_of_job.emplace(j, static_cast<int>(sequences.size()) - 1);
  }
  const NodePlan& plan = *jobs_[jobs.front()].plan;
  ScanSequencesArgs<T> args{node_.shape, &PanelsOf<T>(weight), sequences, {}, plan.order};
  if constexpr (sizeof(T) == sizeof(float)) {
    if (plan.ggml) args.scan = GgmlScan;
  }
  const auto& place = plan.state;
  if (place) {
    args.every = place->every;
    args.treat = [&](size_t sequence, size_t step, T* values) {
      const Job& job = jobs_[jobs[sequence]];
      const size_t token = ScannedTokens(job).first + step;
      if ((job.context->start + token + 1) % place->every != 0) return;
      const TreatmentCounts counts =
          TreatRow(place->treatment, values, node_.shape.width * node_.shape.states,
                   RandomKey(*place, *job.context, static_cast<uint32_t>(token)));
      ScanState& state = states_[job.states[token]];
      if (state.job == jobs[sequence]) state.counts = counts;
    };
  }
  if (plan.format)
    return EvaluateFormatScan<T>(
        {&*plan.format, node_.shape, &weight.wide_small, sequences, args.treat},
        request_.model.machine());
  EvaluateScan(args, request_.model.machine());
}

template <class T>
void NodeEvaluator::ComputeScans(Arithmetic type) {
  for (ScanState& state : states_) {
    const NodePlan& plan = *jobs_[state.job].plan;
    if (!state.kept || plan.math != type) continue;
    state.data = request_.model.buffers().Take(StateSize(node_.shape, plan.order) * sizeof(T));
  }
  std::unordered_map<Hash128, size_t> index_of_plan;
  std::vector<std::vector<size_t>> by_plan;
  for (size_t j = 0; j < jobs_.size(); ++j) {
    const TokenRange range = ScannedTokens(jobs_[j]);
    if (jobs_[j].plan->math != type || range.first >= range.last) continue;
    const auto [found, is_new] = index_of_plan.emplace(jobs_[j].plan->identity, by_plan.size());
    if (is_new) by_plan.emplace_back();
    by_plan[found->second].push_back(j);
  }
  std::vector<std::shared_ptr<const LoadedWeight>> weights;
  for (const std::vector<size_t>& jobs : by_plan) {
    const auto& place = jobs_[jobs.front()].plan->weight;
    weights.push_back(request_.model.weights().Get(
        node_.weight, place ? &place->treatment : nullptr, place ? place->seed : 0));
  }
  request_.model.workers().For(by_plan.size(), 1, [&](size_t first, size_t last) {
    for (size_t p = first; p < last; ++p) RunScan<T>(by_plan[p], *weights[p]);
  });
  if (!request_.keep_inner) return;
  for (const Job& job : jobs_) {
    if (job.plan->math != type) continue;
    for (const size_t i : job.fresh) {
      auto inner = std::make_shared<InnerRow>();
      inner->width = StateSize(node_.shape, {});
      inner->state = states_[job.states[new_rows_[i].token]].data;
      inside_[i].inner = std::move(inner);
    }
  }
}

void NodeEvaluator::ExtendScan(const Job& job, KvCache::Layer* layer) const {
  if (job.states.empty()) return;
  const ScanState& last = states_[job.states.back()];
  layer->state = {last.data.get(), last.id};
  layer->state_type = job.plan->math;
  layer->chunked = job.plan->order.chunk > 0;
  layer->storage = {last.data};
  layer->chain = last.id;
}

template void NodeEvaluator::ComputeScans<float>(Arithmetic);
template void NodeEvaluator::ComputeScans<double>(Arithmetic);

}  // namespace vernier
