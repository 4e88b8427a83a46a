// Worker threads. What runs in parallel never changes a result: every task writes its own output.
//
// A node of a decoding model takes microseconds, so workers look for the next one for a short while
// before they sleep, and no longer: another process has the processor when there is nothing to do.
// Work is taken in pieces by who is free, so that a thread that another process holds up delays the
// others by one piece at most.
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
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  int threads() const { return threads_; }
  // Calls body(first, last) on disjoint ranges that cover [0, count), each of at least `grain`
  // elements where it can be; the caller takes part. Returns when all are done; an exception of a
  // body comes out here, and ranges not yet begun are then left out. A call from inside a body, or
  // from a second thread meanwhile, runs its ranges on its own thread.
  void For(size_t count, size_t grain, const std::function<void(size_t, size_t)>& body);

 private:
  struct Pool;
  int threads_;
  std::unique_ptr<Pool> pool_;  // null: one thread
};

}  // namespace vernier

#endif  // VERNIER_BASE_PARALLEL_H_
