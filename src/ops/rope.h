// Rotary position embedding (Su et al. 2021, arXiv 2104.09864): the angles, and their cosines and
// sines by position.
#ifndef VERNIER_OPS_ROPE_H_
#define VERNIER_OPS_ROPE_H_

#include <cstddef>
#include <vector>

#include "base/parallel.h"

namespace vernier {

// Which elements of a head form pair i: 2i and 2i+1 (GGUF files of llama), or i and i + pairs
// (Hugging Face, qwen2).
enum class RopeLayout { kNeighbours, kHalves };

struct RopeSpec {
  RopeLayout layout = RopeLayout::kHalves;
  size_t rotated = 0;           // elements of a head that are rotated: twice the pairs
  double theta = 10000;         // frequency of pair i: theta^(-2i / rotated) / factor[i]
  double scale = 1;             // divides every position (linear scaling)
  std::vector<double> factors;  // one a pair, or empty for all 1 (Llama 3's rope_freqs)
};

// Llama 3's frequency factors (rope_type "llama3" of transformers' modeling_rope_utils.py):
// wavelengths below context / high keep their frequency, those above context / low are slowed by
// `factor`, between them it is blended.
std::vector<double> Llama3RopeFactors(size_t rotated, double theta, double factor, double low,
                                      double high, double context);

class RopeTable {
 public:
  explicit RopeTable(RopeSpec spec);
  const RopeSpec& spec() const { return spec_; }
  size_t pairs() const { return spec_.rotated / 2; }
  // Makes positions [0, count) available. Not for use beside the readers below.
  void Extend(size_t count, Workers& workers);
  // Cosines and sines of the angles position / scale * frequency, evaluated in double; the float
  // rows are those rounded.
  template <class T>
  const T* Cos(size_t position) const;
  template <class T>
  const T* Sin(size_t position) const;

 private:
  RopeSpec spec_;
  std::vector<double> frequencies_;
  std::vector<double> cos_, sin_;
  std::vector<float> cos_f32_, sin_f32_;
};

}  // namespace vernier

#endif  // VERNIER_OPS_ROPE_H_
