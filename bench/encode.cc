// The encoders beside llama.cpp's, in one process: bytes and rates of every block type, without and
// with importance.
//   cmake --build build/release --target vernier_encode_bench
//   build/release/vernier_encode_bench /path/to/libggml-base.so [THREADS]
// The library is that of a llama.cpp built for shared libraries. Each thread encodes rows of its
// own; rates are elements over the processor time of each thread, added up, the best of five.
#include "formats/encode.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string_view>
#include <thread>
#include <vector>

namespace vernier {
namespace {

using QuantizeChunk = size_t (*)(int type, const float* source, void* out, int64_t start,
                                 int64_t rows, int64_t columns, const float* importance);

constexpr size_t kColumns = 4096, kRows = 32;  // of a thread

double ThreadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <class F>
double MillionsPerSecond(size_t threads, const F& encode) {
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    std::vector<double> seconds(threads);
    std::vector<std::thread> pool;
    for (size_t t = 0; t < threads; ++t)
      pool.emplace_back([&, t] {
        const double start = ThreadSeconds();
        encode(t);
        seconds[t] = ThreadSeconds() - start;
      });
    for (std::thread& thread : pool) thread.join();
    double rate = 0;
    for (const double s : seconds) rate += static_cast<double>(kRows * kColumns) / s / 1e6;
    best = std::max(best, rate);
  }
  return best;
}

int Run(const char* library, size_t threads) {
  void* handle = dlopen(library, RTLD_LAZY);
  void* symbol = handle != nullptr ? dlsym(handle, "ggml_quantize_chunk") : nullptr;
  if (symbol == nullptr) {
    fmt::print(stderr, "{}: expected a library with ggml_quantize_chunk: {}\n", library, dlerror());
    return 2;
  }
  const auto quantize = reinterpret_cast<QuantizeChunk>(symbol);
  std::mt19937_64 engine(1);
  std::normal_distribution<float> normal(0, 0.02f);
  std::uniform_real_distribution<float> uniform;
  std::vector<float> values(threads * kRows * kColumns), importance(kColumns);
  for (float& v : values) v = normal(engine);
  for (float& w : importance) w = uniform(engine);
  fmt::print("M elements/s, {} threads\n{:8}{:>12}{:>10}{:>10}{:>8}  bytes\n", threads, "type",
             "importance", "vernier", "ggml", "ratio");
  for (const TensorTypeInfo& info : TensorTypes()) {
    // ggml quantises no files into these.
    if (info.block_elements == 1 || info.type == TensorType::kQ8_1 ||
        info.type == TensorType::kQ8_K)
      continue;
    for (const bool weighted : {false, true}) {
      if (weighted && !UsesImportance(info.type)) continue;
      const size_t bytes = kRows * kColumns / static_cast<size_t>(info.block_elements) *
                           static_cast<size_t>(info.block_bytes);
      std::vector<std::byte> ours(threads * bytes), theirs(threads * bytes);
      const std::span<const float> weights(importance.data(), weighted ? kColumns : 0);
      const double our_rate = MillionsPerSecond(threads, [&](size_t t) {
        EncodeRows(info.type, values.data() + t * kRows * kColumns, kRows, kColumns, weights,
                   std::span(ours).subspan(t * bytes, bytes));
      });
      const double their_rate = MillionsPerSecond(threads, [&](size_t t) {
        quantize(static_cast<int>(info.type), values.data(), theirs.data(),
                 static_cast<int64_t>(t * kRows * kColumns), kRows, kColumns,
                 weighted ? importance.data() : nullptr);
      });
      fmt::print("{:8}{:>12}{:10.1f}{:10.1f}{:8.1f}  {}\n", info.name, weighted ? "yes" : "no",
                 our_rate, their_rate, our_rate / their_rate,
                 ours == theirs ? "equal" : "DIFFERENT");
    }
  }
  return 0;
}

}  // namespace
}  // namespace vernier

int main(int argc, char** argv) {
  const long threads = argc > 2 ? std::strtol(argv[2], nullptr, 10) : 1;
  if (argc < 2 || threads < 1 || threads > 1024) {
    fmt::print(stderr, "usage: vernier_encode_bench LIBGGML_BASE.SO [THREADS]\n");
    return 2;
  }
  return vernier::Run(argv[1], static_cast<size_t>(threads));
}
