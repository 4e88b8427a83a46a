#include "engine/treat_rows.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "base/hash_index.h"
#include "base/result.h"
#include "kernels/even_rows.h"

namespace vernier {
namespace {

// One distinct row to treat.
struct Task {
  RowRef from;
  Arithmetic type;
  size_t width;
  const PlacedTreatment* place;
  uint64_t key;
  RowRef to;
  TreatmentCounts counts;
};

size_t Size(Arithmetic type) { return type == Arithmetic::kF32 ? sizeof(float) : sizeof(double); }

void RunTask(Task* task, std::byte* out) {
  const size_t bytes = task->width * Size(task->type);
  std::memcpy(out, task->from.data, bytes);
  task->counts =
      task->type == Arithmetic::kF32
          ? TreatPlaced(*task->place, reinterpret_cast<float*>(out), task->width, task->key)
          : TreatPlaced(*task->place, reinterpret_cast<double*>(out), task->width, task->key);
  task->to = task->counts.changed == 0
                 ? task->from
                 : RowRef{out, Combine(HashBytes(out, bytes), Size(task->type))};
}

Hash128 RequestKey(const TreatRequest& r) {
  Hash128 key =
      Combine(r.place->identity, static_cast<uint64_t>(reinterpret_cast<uintptr_t>(r.value.get())));
  if (r.place->treatment.rounding == Rounding::kStochastic) key = Combine(key, r.context->identity);
  return key;
}

// Distinct requests, each with its rows as indices into the distinct tasks.
struct Work {
  std::vector<size_t> of_request;  // request -> distinct request, SIZE_MAX: nothing to do
  std::vector<const TreatRequest*> distinct;
  std::vector<std::vector<size_t>> rows;  // by distinct request
  std::vector<Task> tasks;
};

Work Collect(std::span<const TreatRequest> requests) {
  Work work;
  HashIndex known_requests, known_rows;
  for (const TreatRequest& r : requests) {
    if (r.place == nullptr) {
      work.of_request.push_back(SIZE_MAX);
      continue;
    }
    const auto [request, is_new] = known_requests.Emplace(RequestKey(r), work.distinct.size());
    work.of_request.push_back(request);
    if (!is_new) continue;
    work.distinct.push_back(&r);
    work.rows.emplace_back();
    const bool stochastic = r.place->treatment.rounding == Rounding::kStochastic;
    for (size_t i = 0; i < r.value->rows.size(); ++i) {
      const uint64_t key = stochastic ? RandomKey(*r.place, *r.context, r.value->tokens[i]) : 0;
      const Hash128 id = Combine(Combine(r.value->rows[i].id, r.place->identity), key);
      const auto [row, row_is_new] = known_rows.Emplace(id, work.tasks.size());
      if (row_is_new)
        work.tasks.push_back({r.value->rows[i], r.value->type, r.width, r.place, key, {}, {}});
      work.rows.back().push_back(row);
    }
  }
  return work;
}

// The treated values by the identities of their rows, so that equal outcomes become one object.
class Outcomes {
 public:
  TreatedValue Make(const Work& work, size_t distinct, const std::shared_ptr<const void>& storage) {
    const Value& before = *work.distinct[distinct]->value;
    auto after = std::make_shared<Value>(before);
    TreatedValue result;
    bool changed = false;
    Hash128 key = Combine(HashText("value"), before.rows.size());
    for (size_t i = 0; i < before.rows.size(); ++i) {
      const Task& task = work.tasks[work.rows[distinct][i]];
      result.counts += task.counts;
      changed |= task.counts.changed != 0;
      after->rows[i] = task.to;
      key = Combine(Combine(key, task.to.id), before.tokens[i]);
    }
    if (!changed) {
      result.value = work.distinct[distinct]->value;
      return result;
    }
    after->storage.push_back(storage);
    result.value = known_.emplace(key, std::move(after)).first->second;
    return result;
  }

 private:
  std::unordered_map<Hash128, ValuePtr> known_;
};

}  // namespace

uint64_t RandomKey(const PlacedTreatment& place, const StreamContext& context, uint32_t token) {
  return Combine(context.rows[token], place.seed).low;
}

std::vector<TreatedValue> TreatValues(std::span<const TreatRequest> requests, Model& model) {
  if (std::all_of(requests.begin(), requests.end(),
                  [](const TreatRequest& r) { return r.place == nullptr; })) {
    std::vector<TreatedValue> same;
    for (const TreatRequest& r : requests) same.push_back({r.value, {}});
    return same;
  }
  Work work = Collect(requests);
  std::vector<size_t> offsets(work.tasks.size() + 1);
  for (size_t i = 0; i < work.tasks.size(); ++i)
    offsets[i + 1] =
        offsets[i] + EvenStride<std::byte>(work.tasks[i].width * Size(work.tasks[i].type));
  const std::shared_ptr<std::byte> storage = model.buffers().Take(offsets.back());
  model.workers().For(work.tasks.size(), 8, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) RunTask(&work.tasks[i], storage.get() + offsets[i]);
  });
  Outcomes outcomes;
  std::vector<TreatedValue> treated;
  for (size_t d = 0; d < work.distinct.size(); ++d)
    treated.push_back(outcomes.Make(work, d, storage));
  std::vector<TreatedValue> results;
  for (size_t i = 0; i < requests.size(); ++i) {
    const size_t d = work.of_request[i];
    results.push_back(d == SIZE_MAX ? TreatedValue{requests[i].value, {}} : treated[d]);
  }
  return results;
}

}  // namespace vernier
