// Worker threads (oneTBB, which sleeps when there is nothing to do). What runs in parallel never
// changes a result: every task writes its own output.
#ifndef VERNIER_BASE_PARALLEL_H_
#define VERNIER_BASE_PARALLEL_H_

#include <cstddef>
#include <functional>
#include <memory>

namespace vernier {

class Workers {
 public:
  explicit Workers(int threads = 0);  // 0: as many as the machine runs at once
  ~Workers();
  int threads() const { return threads_; }
  // Calls body(first, last) on disjoint ranges that cover [0, count), each of at least `grain`
  // elements where it can be. Returns when all are done; an exception of a body comes out here.
  void For(size_t count, size_t grain, const std::function<void(size_t, size_t)>& body);

 private:
  struct Arena;
  int threads_;
  std::unique_ptr<Arena> arena_;
};

}  // namespace vernier

#endif  // VERNIER_BASE_PARALLEL_H_
