// Makes a store of made-up numbers, to see how large and how fast one is:
//   vernier_synthetic_store FOLDER [VARIANTS [TOKEN-MEASURES]]     (200, 1000000)
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "study/synthetic_store_testing.h"

int main(int argc, char** argv) {
  using Clock = std::chrono::steady_clock;
  if (argc < 2) {
    std::fprintf(stderr, "expected FOLDER [VARIANTS [TOKEN-MEASURES]]\n");
    return 2;
  }
  const auto number = [&](int at, size_t otherwise) {
    return argc > at ? static_cast<size_t>(std::strtoull(argv[at], nullptr, 10)) : otherwise;
  };
  vernier::SyntheticStudy study;
  study.variants = number(2, study.variants);
  study.measures = number(3, study.measures);
  const auto start = Clock::now();
  {
    auto store = vernier::Store::Open(argv[1]);
    const vernier::Status filled =
        store ? vernier::FillSynthetic(**store, study)
              : vernier::Status(tl::unexpected<vernier::Error>(store.error()));
    if (!filled) {
      std::fprintf(stderr, "%s\n", filled.error().message.c_str());
      return 2;
    }
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::printf(
      "%zu variants, %zu token measures, %.1f MB, %.1f s\n", study.variants, study.measures,
      static_cast<double>(std::filesystem::file_size(std::string(argv[1]) + "/study.sqlite")) / 1e6,
      seconds);
}
