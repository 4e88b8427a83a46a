#include "base/parallel.h"

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <thread>

namespace vernier {

struct Workers::Arena {
  explicit Arena(int threads)
      : control(tbb::global_control::max_allowed_parallelism,
                std::max<size_t>(static_cast<size_t>(threads),
                                 std::max(1u, std::thread::hardware_concurrency()))),
        arena(threads) {}
  tbb::global_control control;  // more workers than cores only when asked for
  tbb::task_arena arena;
};

Workers::Workers(int threads)
    : threads_(threads > 0 ? threads
                           : std::max(1, static_cast<int>(std::thread::hardware_concurrency()))),
      arena_(std::make_unique<Arena>(threads_)) {}
Workers::~Workers() = default;

void Workers::For(size_t count, size_t grain, const std::function<void(size_t, size_t)>& body) {
  if (count == 0) return;
  if (threads_ == 1 || count <= grain) {
    body(0, count);
    return;
  }
  arena_->arena.execute([&] {
    tbb::parallel_for(tbb::blocked_range<size_t>(0, count, std::max<size_t>(grain, 1)),
                      [&](const tbb::blocked_range<size_t>& r) { body(r.begin(), r.end()); });
  });
}

}  // namespace vernier
