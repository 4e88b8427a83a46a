#include "base/parallel.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace vernier {
namespace {

// Waiting for a thread to wake takes 5 to 50 microseconds, the serial part between two nodes less
// than 20: to look out for so long saves most wakings and costs little when it is in vain.
constexpr auto kPatience = std::chrono::microseconds(50);

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Until value != old; looks for kPatience, then sleeps. Whoever changes the value notifies.
template <class T>
T AwaitChange(const std::atomic<T>& value, T old) {
  const auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < 16; ++i) {
      const T now = value.load();
      if (now != old) return now;
      Pause();
    }
  } while (std::chrono::steady_clock::now() - start < kPatience);
  for (;;) {
    value.wait(old);
    const T now = value.load();
    if (now != old) return now;
  }
}

}  // namespace

// One loop at a time. `ticket` is odd while a loop is open. A worker enters (inside + 1) and then
// looks whether the loop is still open; the caller closes it and then waits until nobody is inside:
// so the loop's fields are never written while a worker reads them.
struct Workers::Pool {
  explicit Pool(int helpers) {
    for (int i = 0; i < helpers; ++i) threads.emplace_back([this] { Help(); });
  }
  ~Pool() {
    ticket.store(kStop);
    ticket.notify_all();
    for (std::thread& thread : threads) thread.join();
  }

  static constexpr uint32_t kStop = UINT32_MAX - 1;

  void Help() {
    for (uint32_t seen = 0;;) {
      seen = AwaitChange(ticket, seen);
      if (seen == kStop) return;
      if (seen % 2 == 0) continue;
      inside.fetch_add(1);
      if (ticket.load() == seen) TakePieces();
      if (inside.fetch_sub(1) == 1) inside.notify_one();
    }
  }

  // The next piece of the loop, [*first, *last); false where nothing is left. Pieces become smaller
  // towards the end, where threads wait for each other.
  bool Take(size_t* first, size_t* last) {
    *first = next.load(std::memory_order_relaxed);
    do {
      if (*first >= count) return false;
      const size_t left = count - *first;
      *last = *first + std::min(left, std::max(grain, left / (8 * (threads.size() + 1))));
    } while (!next.compare_exchange_weak(*first, *last, std::memory_order_relaxed));
    return true;
  }

  void TakePieces() {
    for (size_t first, last; Take(&first, &last);) {
      try {
        (*body)(first, last);
      } catch (...) {
        const std::lock_guard lock(error_mutex);
        if (error == nullptr) error = std::current_exception();
        next.store(count, std::memory_order_relaxed);
      }
    }
  }

  void Run(size_t n, size_t at_least, const std::function<void(size_t, size_t)>& f) {
    body = &f;
    count = n;
    grain = at_least;
    next.store(0, std::memory_order_relaxed);
    const uint32_t open = ticket.load() + 1;
    ticket.store(open);
    ticket.notify_all();
    TakePieces();
    ticket.store(open + 1 == kStop ? 0 : open + 1);
    for (int left = inside.load(); left != 0;) left = AwaitChange(inside, left);
    if (error != nullptr) std::rethrow_exception(std::exchange(error, nullptr));
  }

  const std::function<void(size_t, size_t)>* body = nullptr;
  size_t count = 0, grain = 1;
  std::atomic<size_t> next{0};
  std::exception_ptr error;
  std::mutex error_mutex;
  std::atomic<uint32_t> ticket{0};
  std::atomic<int> inside{0};
  std::atomic<bool> busy{false};
  std::vector<std::thread> threads;
};

Workers::Workers(int threads)
    : threads_(threads > 0 ? threads
                           : std::max(1, static_cast<int>(std::thread::hardware_concurrency()))) {
  if (threads_ > 1) pool_ = std::make_unique<Pool>(threads_ - 1);
}
Workers::~Workers() = default;

void Workers::For(size_t count, size_t grain, const std::function<void(size_t, size_t)>& body) {
  if (count == 0) return;
  grain = std::max<size_t>(grain, 1);
  if (pool_ == nullptr || count <= grain || pool_->busy.exchange(true)) {
    body(0, count);
    return;
  }
  struct Release {
    std::atomic<bool>& busy;
    ~Release() { busy.store(false); }
  } release{pool_->busy};
  pool_->Run(count, grain, body);
}

}  // namespace vernier
