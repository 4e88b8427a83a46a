// llama-perplexity's base files (llama.cpp, tools/perplexity: --kl-divergence-base), little-endian,
// without a version:
//   "_logits_"; int32 n_ctx, n_vocab, n_chunk; int32 tokens[n_chunk * n_ctx], the first of each
//   chunk as the text has it (BOS replaces it while it is evaluated);
//   for each chunk, rows n_ctx/2 .. n_ctx-2: float32 scale, float32 least, uint16 code[n_vocab],
//   and one more uint16 where n_vocab is odd: ln p(i) = scale * code[i] + least.
// Logits more than 16 below the largest are kept as if they were 16 below it.
#ifndef VERNIER_MEASURE_CAPTURE_KLD_H_
#define VERNIER_MEASURE_CAPTURE_KLD_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/progress.h"
#include "base/result.h"
#include "kernels/kernels.h"
#include "measure/logit_comparison.h"
#include "measure/run_side.h"

namespace vernier {

class KldBase {
 public:
  // The file is not trusted: it must be as long as its counts say, tokens below n_vocab, scales
  // finite and not negative.
  static Result<KldBase> Open(const std::string& path);
  const std::string& path() const { return file_.path(); }
  size_t context() const { return context_; }
  size_t vocabulary() const { return vocabulary_; }
  size_t chunks() const { return chunks_; }
  size_t rows() const { return context_ - 1 - context_ / 2; }  // of a chunk
  size_t first_row() const { return context_ / 2; }
  std::vector<int32_t> Tokens(size_t chunk) const;
  // ln p of every token in row r of the chunk.
  std::vector<double> LogProbabilities(size_t chunk, size_t r) const;

 private:
  explicit KldBase(MappedFile file) : file_(std::move(file)) {}
  size_t RowBytes() const { return 2 * (4 + (vocabulary_ + 1) / 2 * 2); }
  const std::byte* Row(size_t chunk, size_t r) const;
  MappedFile file_;
  size_t context_ = 0, vocabulary_ = 0, chunks_ = 0;
};

// Writes such a file, row by row.
class KldWriter {
 public:
  // `tokens` are those of all chunks, `context` of each.
  static Result<KldWriter> Create(const std::string& path, size_t context, size_t vocabulary,
                                  std::span<const int32_t> tokens);
  // The rows of the first chunk, of the second, and so on.
  Status Add(std::span<const double> logits, const Kernels& kernels);
  Status Commit() { return file_.Commit(); }

 private:
  explicit KldWriter(AtomicFile file) : file_(std::move(file)) {}
  AtomicFile file_;
};

// The logits of a run on every chunk of the file against the file, `kld_is_a` which side that is.
// Both are compared as ln p with everything below 16 under the largest logit at 16 under it, which
// is what the file has. `bos` replaces the first token of each chunk; -1: none. Errors: another
// vocabulary; progress asked to stop.
struct KldComparison {
  LogitComparison logits;
  std::vector<TreatmentCounts> effects;  // by rule of the side's plan
};
Result<KldComparison> CompareWithKld(const RunSide& side, const KldBase& base, bool kld_is_a,
                                     int32_t bos, const ProgressSink& progress);
// Two files of the same tokens.
Result<LogitComparison> CompareKlds(const KldBase& a, const KldBase& b, const Kernels& kernels);

// Evaluates the chunks (tokens as the file shall hold them) and writes the file.
Status SaveKld(const RunSide& side, const std::vector<std::vector<int32_t>>& chunks, int32_t bos,
               const std::string& path, const ProgressSink& progress);

}  // namespace vernier

#endif  // VERNIER_MEASURE_CAPTURE_KLD_H_
