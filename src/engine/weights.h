// The weights of a graph in the form its ops read: matrices as panels, vectors as float and double,
// embeddings row by row from the file. A treated weight is another form of the same slot, made when
// asked for; the original is never changed.
#ifndef VERNIER_ENGINE_WEIGHTS_H_
#define VERNIER_ENGINE_WEIGHTS_H_

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "arch/graph.h"
#include "base/hash.h"
#include "base/parallel.h"
#include "formats/treatment.h"
#include "kernels/panels.h"

namespace vernier {

// Decoded elements, row-major: float32 numbers, or doubles where the file has ones that are not
// (F64 tensors).
struct WeightValues {
  std::vector<float> f32;
  std::vector<double> f64;  // empty unless the values need it
};

struct LoadedWeight {
  Panels<float> matrix;        // matrices that a kMatMul, kConvolve or kScan reads
  Panels<double> wide_matrix;  // beside it for kConvolve and kScan; where the values need doubles
  std::vector<float> vector;   // weights of kMultiply and kBias
  std::vector<double> vector_f64;
  std::optional<WeightValues> rows;  // treated embeddings
};

// What a treatment does to a weight, known without running the model.
struct WeightTreatment {
  TreatmentCounts counts;
  Hash128 identity;  // of the treated values; the slot's own where nothing changed
};

class WeightStore {
 public:
  WeightStore(const Graph& graph, Workers& workers);

  // The identity of a slot's untreated values (its place in this model).
  Hash128 Identity(int slot) const;
  // The slot as its ops read it, treated or not; loaded on first use. Safe from one thread at a
  // time.
  std::shared_ptr<const LoadedWeight> Get(int slot, const Treatment* treatment, uint64_t seed);
  // Counts and identity of a treatment, remembered.
  const WeightTreatment& Measure(int slot, const Treatment& treatment, uint64_t seed);
  // Row `token` of an embedding, treated or not, as float or double.
  template <class T>
  void EmbeddingRow(int slot, const LoadedWeight& loaded, size_t token, T* out) const;
  // Bytes of treated weights that are kept for reuse.
  size_t cache_budget = size_t{1} << 30;

 private:
  using Key = std::pair<int, std::string>;
  struct Cached {
    std::shared_ptr<const LoadedWeight> weight;
    size_t bytes = 0;
    uint64_t used = 0;
  };
  WeightValues Decode(int slot) const;
  TreatmentCounts Treat(int slot, const Treatment& treatment, uint64_t seed,
                        WeightValues* values) const;
  std::shared_ptr<const LoadedWeight> Load(int slot, const Treatment* treatment,
                                           uint64_t seed) const;
  void LoadSmall(int slot, const WeightValues& values, LoadedWeight* loaded) const;
  void LoadPanels(int slot, const WeightValues* treated, LoadedWeight* loaded) const;

  const Graph& graph_;
  Workers& workers_;
  std::vector<bool> is_matrix_, is_small_matrix_, is_vector_,
      is_embedding_;  // what reads each slot
  std::vector<std::shared_ptr<const LoadedWeight>> originals_;
  std::map<Key, Cached> treated_;
  std::map<Key, WeightTreatment> measured_;
  uint64_t clock_ = 0;
};

}  // namespace vernier

#endif  // VERNIER_ENGINE_WEIGHTS_H_
