// The weights of a graph in the form its ops read: matrices as packed panels, which keep the codes
// of the file (docs/kernels.md), vectors as float and double, embeddings row by row from the file.
// A treated weight is another form of the same slot, made when asked for; the original is never
// changed.
#ifndef VERNIER_ENGINE_WEIGHTS_H_
#define VERNIER_ENGINE_WEIGHTS_H_

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "arch/graph.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/pages.h"
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

// What is done to a weight before an op reads it, in this order.
struct WeightForm {
  bool ones = false;  // every element is 1: of a norm whose weight is folded
  int folded = -1;  // the slot of a vector: each row of the matrix is multiplied by it, element by
                    // element, exactly and rounded once to float32; -1: none
  std::optional<Treatment> treatment{};
  uint64_t seed = 0;  // of the treatment
  bool Plain() const { return !ones && folded < 0 && !treatment; }
};

struct LoadedWeight {
  PackedMatrix matrix;  // what a kMatMul reads: stored codes, or float32 numbers (treated, or
                        // of a type without a layout)
  Panels<double> wide_matrix;  // beside it where the values need doubles
  Panels<float> small;         // what a kConvolve or kScan reads, in the type it runs in
  Panels<double> wide_small;
  std::vector<float> vector;  // weights of kMultiply and kBias
  std::vector<double> vector_f64;
  std::optional<WeightValues> rows;  // treated embeddings
};

// What a treatment does to a weight, known without running the model; where the form has none, what
// else it does.
struct WeightTreatment {
  TreatmentCounts counts;
  Hash128 identity;  // of the treated values; the slot's own where nothing changed
};

class WeightStore {
 public:
  // `files` (may be empty): what the graph's tensors are views into; a matrix is read from them
  // only to be packed. `mapped`: matrices are not packed but read from the file at every
  // use, where their type has a layout.
  WeightStore(const Graph& graph, Workers& workers, std::span<const MappedFile> files, bool mapped);

  // The identity of a slot's untreated values (its place in this model).
  Hash128 Identity(int slot) const;
  // The slot as its ops read it, treated or not; loaded on first use. Safe from one thread at a
  // time.
  std::shared_ptr<const LoadedWeight> Get(int slot, const WeightForm& form);
  std::shared_ptr<const LoadedWeight> Get(int slot, const Treatment* treatment, uint64_t seed);
  // Counts and identity of a form, remembered. CHECK: it is not plain.
  const WeightTreatment& Measure(int slot, const WeightForm& form);
  // What a form's treatment is applied to.
  WeightValues Untreated(int slot, const WeightForm& form) const;
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
  std::span<const std::byte> Stored(std::span<const std::byte> part,
                                    std::vector<std::byte>* copy) const;
  WeightValues Decode(int slot) const;
  TreatmentCounts Treat(int slot, const WeightForm& form, WeightValues* values) const;
  std::shared_ptr<const LoadedWeight> Load(int slot, const WeightForm& form) const;
  void LoadSmall(int slot, const WeightValues& values, LoadedWeight* loaded) const;
  void LoadPanels(int slot, const WeightValues* treated, LoadedWeight* loaded) const;
  void LoadStored(const TensorView& tensor, LoadedWeight* loaded) const;
  void PackPanels(const TensorView& tensor, size_t first, size_t last, PackedMatrix* matrix) const;
  size_t PackedBytes() const;

  const Graph& graph_;
  Workers& workers_;
  std::span<const MappedFile> files_;
  bool mapped_;
  std::vector<bool> is_matrix_, is_small_matrix_, is_vector_,
      is_embedding_;               // what reads each slot
  std::vector<size_t> row_width_;  // of a kMultiply that reads the slot
  std::vector<std::shared_ptr<const LoadedWeight>> originals_;
  mutable std::optional<PageArena> arena_;  // of the originals' matrices
  std::map<Key, Cached> treated_;
  std::map<Key, WeightTreatment> measured_;
  uint64_t clock_ = 0;
};

}  // namespace vernier

#endif  // VERNIER_ENGINE_WEIGHTS_H_
