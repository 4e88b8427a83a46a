// The peer of the measurements: the published bit-level method (bench_formats.h).
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/kernels.h"
#include "measure/bench_formats.h"

namespace vernier {
namespace {

constexpr uint32_t kSign = 0x80000000, kInfinity = 0x7f800000;

struct Bitwise {
  uint32_t drop;                   // bits below the last of a normal number
  uint32_t normal, half_smallest;  // 2^emin, and half the smallest subnormal number
  uint32_t smallest;
  uint32_t overflow_from;  // magnitudes from here on overflow in nearest-even
  uint32_t max;
  int emin;
};

struct Pcg32 {
  uint64_t state = 0x853c49e6748fea9b;
  inline uint32_t Next() {
    const uint64_t old = state;
    state = old * 6364136223846793005u + 0xda3e39cb94b95bdb;
    return std::rotr(static_cast<uint32_t>(((old >> 18) ^ old) >> 27), static_cast<int>(old >> 59));
  }
};

// One element, and the same body for each instruction set. With the exponents of float32 no range
// needs a test of its own.
template <Rounding kMode>
__attribute__((always_inline)) inline uint32_t RoundSameRange(const Bitwise& f, uint32_t bits,
                                                              uint32_t random) {
  const uint32_t rest = (uint32_t{1} << f.drop) - 1;
  uint32_t r = bits;
  if (kMode == Rounding::kNearestEven) r += (rest >> 1) + ((bits >> f.drop) & 1);
  if (kMode == Rounding::kStochastic) r += random & rest;
  r &= ~rest;
  return (bits & ~kSign) >= kInfinity ? bits : r;
}

template <Rounding kMode>
__attribute__((always_inline)) inline uint32_t RoundOne(const Bitwise& f, uint32_t bits,
                                                        uint32_t random) {
  const uint32_t sign = bits & kSign, u = bits ^ sign;
  if (u == 0 || u >= kInfinity) return bits;
  uint32_t drop = f.drop;
  if (u < f.normal) {
    if (kMode == Rounding::kNearestEven && u <= f.half_smallest) return sign;
    if (kMode == Rounding::kTowardZero && u < f.smallest) return sign;
    drop += static_cast<uint32_t>(f.emin + 127) - std::max(u >> 23, uint32_t{1});
    if (drop > 23) {  // between zero and the smallest number
      if (kMode == Rounding::kNearestEven) return sign | f.smallest;
      if (kMode == Rounding::kTowardZero) return sign;
      const float share = std::bit_cast<float>(u) / std::bit_cast<float>(f.smallest);
      const bool away = share >= 1 || static_cast<float>(random >> 8) * 0x1p-24f < share;
      return sign | (away ? f.smallest : 0);
    }
  }
  const uint32_t rest = (uint32_t{1} << drop) - 1;
  uint32_t r = u;
  if (kMode == Rounding::kNearestEven) {
    // The last bit kept; the implicit one where no other is.
    const uint32_t odd = drop == 23 ? 1 : (u >> drop) & 1;
    r += (rest >> 1) + odd;
  }
  if (kMode == Rounding::kStochastic) r += random & rest;
  r &= ~rest;
  if (kMode == Rounding::kNearestEven ? u >= f.overflow_from : r > f.max)
    return sign | (kMode == Rounding::kTowardZero ? f.max : kInfinity);
  return sign | r;
}

template <Rounding kMode>
__attribute__((always_inline)) inline void RoundAll(const Bitwise& format, const float* x, size_t n,
                                                    float* y) {
  const Bitwise f = format;
  Pcg32 generator;
  if (f.emin == -126 && f.max >= 0x7f000000) {
    for (size_t i = 0; i < n; ++i) {
      const uint32_t random = kMode == Rounding::kStochastic ? generator.Next() : 0;
      y[i] = std::bit_cast<float>(RoundSameRange<kMode>(f, std::bit_cast<uint32_t>(x[i]), random));
    }
    return;
  }
  for (size_t i = 0; i < n; ++i) {
    const uint32_t random = kMode == Rounding::kStochastic ? generator.Next() : 0;
    y[i] = std::bit_cast<float>(RoundOne<kMode>(f, std::bit_cast<uint32_t>(x[i]), random));
  }
}

using Loop = void (*)(const Bitwise&, const float*, size_t, float*);

template <Rounding kMode>
void Portable(const Bitwise& f, const float* x, size_t n, float* y) {
  RoundAll<kMode>(f, x, n, y);
}
#if defined(__x86_64__)
template <Rounding kMode>
__attribute__((target("avx2,fma"))) void Avx2(const Bitwise& f, const float* x, size_t n,
                                              float* y) {
  RoundAll<kMode>(f, x, n, y);
}
template <Rounding kMode>
__attribute__((target("avx512f,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512"))) void Avx512(
    const Bitwise& f, const float* x, size_t n, float* y) {
  RoundAll<kMode>(f, x, n, y);
}
#endif

template <Rounding kMode>
Loop LoopFor(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx2) return Avx2<kMode>;
  if (isa == Isa::kAvx512) return Avx512<kMode>;
#endif
  static_cast<void>(isa);
  return Portable<kMode>;
}

}  // namespace

bool BitwiseRound(const Format& format, Rounding mode, const float* x, size_t n, float* y) {
  if (format.kind != FormatKind::kFloat || !format.has_sign || format.precision > 22 ||
      format.emin < -126 || format.emin - format.precision < -148 || format.emax > 127)
    return false;
  const auto bits = [](double v) { return std::bit_cast<uint32_t>(static_cast<float>(v)); };
  Bitwise f;
  f.drop = static_cast<uint32_t>(24 - format.precision);
  f.normal = bits(std::ldexp(1.0, format.emin));
  const double smallest = std::ldexp(1.0, format.emin - format.precision + 1);
  f.smallest = bits(smallest);
  f.half_smallest = bits(smallest / 2);
  f.max = bits(format.max_finite);
  f.emin = format.emin;
  // Halfway to the next number; itself below the overflow where max has an even significand.
  const uint32_t half = f.max + (uint32_t{1} << (f.drop - 1));
  f.overflow_from = ((f.max >> f.drop) & 1) != 0 ? half : half + 1;
  const Isa isa = BestKernels().isa;
  Loop loop = nullptr;
  if (mode == Rounding::kNearestEven) loop = LoopFor<Rounding::kNearestEven>(isa);
  if (mode == Rounding::kTowardZero) loop = LoopFor<Rounding::kTowardZero>(isa);
  if (mode == Rounding::kStochastic) loop = LoopFor<Rounding::kStochastic>(isa);
  if (loop == nullptr) return false;
  loop(f, x, n, y);
  return true;
}

}  // namespace vernier
