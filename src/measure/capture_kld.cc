#include "measure/capture_kld.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "engine/evaluate.h"

namespace vernier {
namespace {

constexpr std::string_view kMagic = "_logits_";
constexpr size_t kHeaderBytes = 8 + 3 * sizeof(int32_t), kLeastContext = 4;
constexpr int32_t kMostCount = 1 << 28;
constexpr double kRange = 16;  // logits are kept down to this much below the largest
constexpr float kMostCode = 65535;

int32_t Int32(std::span<const std::byte> bytes, size_t at) {
  int32_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// ln p as a file can hold it: logits cut at kRange below the largest.
std::vector<double> Cut(const Distribution& d) {
  std::vector<double> out;
  for (const double x : d.logits) out.push_back(std::max(x, d.max - kRange) - d.log_sum);
  return out;
}

using RowSink = std::function<void(size_t row, const Distribution&)>;

// The logits of rows first .. context - 2 of a chunk, in order; gives the effects by rule.
std::vector<TreatmentCounts> RunChunk(const RunSide& side, std::vector<int32_t> tokens, int32_t bos,
                                      const RowSink& sink) {
  if (bos >= 0) tokens[0] = bos;
  std::vector<uint32_t> wanted;
  for (size_t r = tokens.size() / 2; r + 1 < tokens.size(); ++r)
    wanted.push_back(static_cast<uint32_t>(r));
  const Stream stream{side.plan, std::move(tokens), nullptr, std::move(wanted)};
  const auto take = [&](std::span<const LogitsRow> rows) {
    for (const LogitsRow& row : rows)
      sink(row.index,
           MakeDistribution(row, side.model->graph().vocabulary, *side.model->machine().kernels));
  };
  return Evaluate(*side.model, {&stream, 1}, take).effects[0];
}

bool Tick(const ProgressSink& progress, size_t done, size_t total) {
  return !progress ||
         progress({"evaluating", static_cast<double>(done), static_cast<double>(total), "chunks"});
}

}  // namespace

Result<KldBase> KldBase::Open(const std::string& path) {
  ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(path));
  KldBase out(std::move(mapped));
  const std::span<const std::byte> bytes = out.file_.bytes();
  if (bytes.size() < kHeaderBytes || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0)
    return Fail("{}: expected a base file of llama-perplexity, which begins with '{}'", path,
                kMagic);
  const int32_t counts[] = {Int32(bytes, 8), Int32(bytes, 12), Int32(bytes, 16)};
  for (const auto& [count, what] :
       {std::pair{counts[0], "n_ctx"}, {counts[1], "n_vocab"}, {counts[2], "n_chunk"}})
    if (count < 1 || count > kMostCount)
      return Fail("{}: {}: expected 1 to {}, found {}", path, what, kMostCount, count);
  out.context_ = static_cast<size_t>(counts[0]);
  out.vocabulary_ = static_cast<size_t>(counts[1]);
  out.chunks_ = static_cast<size_t>(counts[2]);
  if (out.context_ < kLeastContext)
    return Fail("{}: n_ctx: expected at least {}, found {}", path, kLeastContext, out.context_);
  // At most 2^28 * (2^30 + 2^28 * 2^29.1): no overflow, since the first factor ends it.
  const double wanted = static_cast<double>(kHeaderBytes) +
                        static_cast<double>(out.chunks_) *
                            (4.0 * static_cast<double>(out.context_) +
                             static_cast<double>(out.rows()) * static_cast<double>(out.RowBytes()));
  if (static_cast<double>(bytes.size()) != wanted)
    return Fail("{}: {} bytes, but {} chunks of {} tokens of {} take {:.0f}", path, bytes.size(),
                out.chunks_, out.context_, out.vocabulary_, wanted);
  for (size_t i = 0; i < out.chunks_ * out.context_; ++i) {
    const int32_t id = Int32(bytes, kHeaderBytes + 4 * i);
    if (id < 0 || static_cast<size_t>(id) >= out.vocabulary_)
      return Fail("{}: token {} is {}, expected an id below {}", path, i, id, out.vocabulary_);
  }
  for (size_t c = 0; c < out.chunks_; ++c)
    for (size_t r = 0; r < out.rows(); ++r) {
      float head[2];
      std::memcpy(head, out.Row(c, r), sizeof head);
      if (!(head[0] >= 0) || !std::isfinite(head[0]) || !std::isfinite(head[1]))
        return Fail("{}: chunk {}, row {}: scale {} and least {}: expected finite numbers", path, c,
                    r, head[0], head[1]);
    }
  return out;
}

const std::byte* KldBase::Row(size_t chunk, size_t r) const {
  return file_.bytes().data() + kHeaderBytes + 4 * chunks_ * context_ +
         (chunk * rows() + r) * RowBytes();
}

std::vector<int32_t> KldBase::Tokens(size_t chunk) const {
  std::vector<int32_t> out(context_);
  std::memcpy(out.data(), file_.bytes().data() + kHeaderBytes + 4 * chunk * context_, 4 * context_);
  return out;
}

std::vector<double> KldBase::LogProbabilities(size_t chunk, size_t r) const {
  const std::byte* row = Row(chunk, r);
  float head[2];
  std::memcpy(head, row, sizeof head);
  std::vector<uint16_t> codes(vocabulary_);
  std::memcpy(codes.data(), row + sizeof head, 2 * vocabulary_);
  std::vector<double> out;
  for (const uint16_t code : codes) out.push_back(double{head[0] * code + head[1]});
  return out;
}

Result<KldWriter> KldWriter::Create(const std::string& path, size_t context, size_t vocabulary,
                                    std::span<const int32_t> tokens) {
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  KldWriter out(std::move(file));
  const auto counts = {static_cast<int32_t>(context), static_cast<int32_t>(vocabulary),
                       static_cast<int32_t>(tokens.size() / context)};
  RETURN_IF_ERROR(out.file_.Write(kMagic));
  RETURN_IF_ERROR(out.file_.Write(counts.begin(), counts.size() * sizeof(int32_t)));
  RETURN_IF_ERROR(out.file_.Write(tokens.data(), tokens.size_bytes()));
  return out;
}

// As llama-perplexity rounds: float32, ties to even.
Status KldWriter::Add(std::span<const double> logits, const Kernels& kernels) {
  const Distribution d =
      MakeDistribution({0, 0, Arithmetic::kF64, logits.data(), {}}, logits.size(), kernels);
  const double lowest = *std::min_element(logits.begin(), logits.end());
  const auto largest = static_cast<float>(d.max),
             least = static_cast<float>(std::max(lowest, d.max - kRange));
  const float head[] = {(largest - least) / kMostCode,
                        least - largest - static_cast<float>(d.log_sum - d.max)};
  std::vector<uint16_t> codes((logits.size() + 1) / 2 * 2);
  const float inverse = head[0] > 0 ? 1 / head[0] : 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const auto x = static_cast<float>(logits[i]);
    if (head[0] > 0 && x > least)
      codes[i] =
          static_cast<uint16_t>(std::clamp(std::nearbyint(inverse * (x - least)), 0.0f, kMostCode));
  }
  RETURN_IF_ERROR(file_.Write(head, sizeof head));
  return file_.Write(codes.data(), codes.size() * sizeof(uint16_t));
}

Result<KldComparison> CompareWithKld(const RunSide& side, const KldBase& base, bool kld_is_a,
                                     int32_t bos, const ProgressSink& progress) {
  const size_t vocabulary = side.model->graph().vocabulary;
  if (base.vocabulary() != vocabulary)
    return Fail("{} has {} tokens, {} has {}; expected one vocabulary", base.path(),
                base.vocabulary(), side.model->path(), vocabulary);
  using Role = LogitComparer::Role;
  LogitComparer comparer(vocabulary, false, *side.model->machine().kernels);
  KldComparison out;
  out.effects.resize(side.plan->rules.size());
  for (size_t c = 0; c < base.chunks(); ++c) {
    const auto take = [&](size_t r, const Distribution& d) {
      const std::vector<double> here = Cut(d), there = base.LogProbabilities(c, r);
      const size_t index = c * base.rows() + r;
      comparer.Take(kld_is_a ? Role::kB : Role::kA, {0, index, Arithmetic::kF64, here.data(), {}});
      comparer.Take(kld_is_a ? Role::kA : Role::kB, {0, index, Arithmetic::kF64, there.data(), {}});
    };
    const std::vector<TreatmentCounts> effects = RunChunk(side, base.Tokens(c), bos, take);
    for (size_t rule = 0; rule < effects.size(); ++rule) out.effects[rule] += effects[rule];
    if (!Tick(progress, c + 1, base.chunks())) return Fail("stopped");
  }
  out.logits = comparer.Finish();
  return out;
}

Result<LogitComparison> CompareKlds(const KldBase& a, const KldBase& b, const Kernels& kernels) {
  if (a.vocabulary() != b.vocabulary() || a.context() != b.context() || a.chunks() != b.chunks())
    return Fail("{} is {} chunks of {} tokens of {}, {} {} of {} of {}; expected the same",
                a.path(), a.chunks(), a.context(), a.vocabulary(), b.path(), b.chunks(),
                b.context(), b.vocabulary());
  using Role = LogitComparer::Role;
  LogitComparer comparer(a.vocabulary(), false, kernels);
  for (size_t c = 0; c < a.chunks(); ++c) {
    if (a.Tokens(c) != b.Tokens(c))
      return Fail("{} and {}: other tokens in chunk {}", a.path(), b.path(), c);
    for (size_t r = 0; r < a.rows(); ++r)
      for (const auto& [role, of] : {std::pair{Role::kA, &a}, {Role::kB, &b}}) {
        const std::vector<double> row = of->LogProbabilities(c, r);
        comparer.Take(role, {0, c * a.rows() + r, Arithmetic::kF64, row.data(), {}});
      }
  }
  return comparer.Finish();
}

Status SaveKld(const RunSide& side, const std::vector<std::vector<int32_t>>& chunks, int32_t bos,
               const std::string& path, const ProgressSink& progress) {
  CHECK(!chunks.empty());
  std::vector<int32_t> tokens;
  for (const auto& chunk : chunks) tokens.insert(tokens.end(), chunk.begin(), chunk.end());
  ASSIGN_OR_RETURN(KldWriter writer, KldWriter::Create(path, chunks[0].size(),
                                                       side.model->graph().vocabulary, tokens));
  Status status;
  for (size_t c = 0; c < chunks.size(); ++c) {
    RunChunk(side, chunks[c], bos, [&](size_t, const Distribution& d) {
      if (status) status = writer.Add(d.logits, *side.model->machine().kernels);
    });
    RETURN_IF_ERROR(status);
    if (!Tick(progress, c + 1, chunks.size())) return Fail("stopped");
  }
  return writer.Commit();
}

}  // namespace vernier
