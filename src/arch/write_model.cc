#include "arch/write_model.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

#include "arch/numpy_exp.h"
#include "formats/decode.h"
#include "formats/encode.h"
#include "formats/round.h"
#include "kernels/kernels.h"
#include "model/gguf_writer.h"

namespace vernier {
namespace {

constexpr size_t kPieceElements = size_t{1} << 16;  // what a worker takes at a time
constexpr size_t kBatchElements = size_t{1} << 22;  // what is encoded between two writes
constexpr size_t kCopyBytes = size_t{1} << 22;

bool IsPlain(TensorType type) { return Info(type).block_elements == 1; }

size_t RowBytes(TensorType type, size_t columns) {
  const TensorTypeInfo& info = Info(type);
  return columns / static_cast<size_t>(info.block_elements) * static_cast<size_t>(info.block_bytes);
}

// Row 2 i + j of a head comes from row i + j * head_dim / 2.
size_t SourceRow(size_t row, size_t head_dim) {
  if (head_dim == 0) return row;
  const size_t in_head = row % head_dim;
  return row - in_head + in_head / 2 + in_head % 2 * (head_dim / 2);
}

// float16 code of a float or double that is a float16 number.
uint16_t HalfCode(double value) {
  const uint64_t bits = std::bit_cast<uint64_t>(value);
  const uint16_t sign = static_cast<uint16_t>(bits >> 48 & 0x8000);
  const int exponent = static_cast<int>(bits >> 52 & 0x7ff) - 1023;
  const uint64_t fraction = bits & ((uint64_t{1} << 52) - 1);
  if (value != value) return sign | 0x7e00;  // the quiet NaN: payloads do not fit
  if (exponent == 1024) return sign | 0x7c00;
  if (exponent >= -14) return static_cast<uint16_t>(sign | (exponent + 15) << 10 | fraction >> 42);
  if (exponent < -24) return sign;  // zero
  const uint64_t significand = uint64_t{1} << 52 | fraction;
  return static_cast<uint16_t>(sign | significand >> (28 - exponent));
}

uint16_t BrainCode(double value) {
  if (value != value) return std::signbit(value) ? 0xffc0 : 0x7fc0;
  return static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(value)) >> 16);
}

template <class Code, class T, class Encode>
void PutCodes(std::span<const T> values, std::byte* out, const Encode& encode) {
  for (size_t i = 0; i < values.size(); ++i) {
    const Code code = encode(values[i]);
    std::memcpy(out + i * sizeof code, &code, sizeof code);
  }
}

// Rounds the values into a plain type, in place, and stores them.
template <class T>
TreatmentCounts StorePlain(TensorType type, std::span<T> values, std::byte* out) {
  const char* name = type == TensorType::kF64   ? "f64"
                     : type == TensorType::kF32 ? "f32"
                     : type == TensorType::kF16 ? "f16"
                                                : "bf16";
  const RoundSpec spec = MakeRoundSpec(FindFormat(name).value());
  const TreatmentCounts counts = RoundRow(spec, values.data(), values.size());
  const std::span<const T> rounded = values;
  if (type == TensorType::kF64)
    PutCodes<double>(rounded, out, [](T v) { return static_cast<double>(v); });
  else if (type == TensorType::kF32)
    PutCodes<uint32_t>(rounded, out, [](T v) {
      if constexpr (sizeof(T) == 4) return std::bit_cast<uint32_t>(v);
      return NarrowToFloatBits(v);
    });
  else if (type == TensorType::kF16)
    PutCodes<uint16_t>(rounded, out, [](T v) { return HalfCode(v); });
  else
    PutCodes<uint16_t>(rounded, out, [](T v) { return BrainCode(v); });
  return counts;
}

// What storing did to float32 values, both sides known.
TreatmentCounts CountChanges(std::span<const float> before, std::span<const float> after) {
  uint32_t changed = 0, flushed = 0;  // a piece has fewer elements than 2^32
  for (size_t i = 0; i < before.size(); ++i) {
    changed += std::bit_cast<uint32_t>(before[i]) != std::bit_cast<uint32_t>(after[i]);
    flushed += (before[i] != 0) & (after[i] == 0);
  }
  return {before.size(), changed, 0, flushed};
}

template <class T>
void AddErrors(std::span<const T> right, std::span<const T> stored, TensorOutcome* outcome) {
  const RowDistance distance =
      MomentKernelsOf<T>(BestKernels()).distance(right.data(), stored.data(), right.size());
  outcome->squared_error += distance.squares;
  outcome->squares += MomentKernelsOf<T>(BestKernels()).extent(right.data(), right.size()).squares;
  outcome->max_abs = std::max(outcome->max_abs, distance.largest);
}

void Merge(const TensorOutcome& piece, TensorOutcome* whole) {
  whole->treated += piece.treated;
  whole->stored += piece.stored;
  whole->squared_error += piece.squared_error;
  whole->squares += piece.squares;
  whole->max_abs = std::max(whole->max_abs, piece.max_abs);
}

template <class T>
void Decode(TensorType type, std::span<const std::byte> source, std::span<T> out) {
  if constexpr (sizeof(T) == 4)
    DecodeToFloat(type, source, out);
  else
    DecodeToDouble(type, source, out);
}

// The rows as the file keeps them: decoded and transformed.
template <class T>
void ReadRows(const TensorJob& job, std::span<const std::byte> source, std::span<T> out) {
  Decode<T>(job.source.type, source, out);
  if (job.transform == WeightTransform::kNegativeExp)
    for (T& value : out) value = -NumpyExp(static_cast<float>(value));
}

// Whether an F64 tensor holds numbers that are not float32.
bool NeedsDoubles(const TensorView& tensor) {
  if (tensor.type != TensorType::kF64) return false;
  for (size_t at = 0; at < tensor.data.size(); at += sizeof(double)) {
    double value = 0;
    std::memcpy(&value, tensor.data.data() + at, sizeof value);
    if (value == value && static_cast<double>(static_cast<float>(value)) != value) return true;
  }
  return false;
}

// What a worker needs for a piece, kept from one to the next: fresh memory would cost more time in
// page faults (18 GB of them for a file of 2 GB) than encoding does.
template <class T>
struct Scratch {
  std::vector<T> right, values;
  std::vector<float> before, after;
};

// The rows of one job, treated and encoded in the arithmetic of T.
template <class T>
class RowEncoder {
 public:
  explicit RowEncoder(const TensorJob& job)
      : job_(job), columns_(static_cast<size_t>(job.source.Columns())) {
    if (!job.treatment || !ScaleFromData(*job.treatment) ||
        job.treatment->per != Granularity::kTensor)
      return;
    const size_t rows = static_cast<size_t>(job.source.Rows());
    whole_.resize(rows * columns_);
    ReadRows<T>(job, job.source.data, whole_);
    whole_counts_ = TreatTensor(*job.treatment, whole_.data(), rows, columns_, job.key);
  }

  TreatmentCounts whole_counts() const { return whole_counts_; }

  // Rows first .. first + count of what is written. Error: a row that the type cannot hold.
  Status Encode(size_t first, size_t count, std::byte* out, Scratch<T>* scratch,
                TensorOutcome* outcome) const {
    std::vector<T>&right = scratch->right, &values = scratch->values;
    right.resize(count * columns_);
    values.resize(count * columns_);
    for (size_t r = 0; r < count; ++r) {
      const size_t row = job_.source.shape.size() == 1 ? 0 : SourceRow(first + r, job_.head_dim);
      const auto from = std::span(right).subspan(r * columns_, columns_);
      const auto to = std::span(values).subspan(r * columns_, columns_);
      ReadRows<T>(job_, job_.source.Row(static_cast<int64_t>(row)), from);
      if (!whole_.empty()) {
        std::copy_n(whole_.data() + row * columns_, columns_, to.data());
      } else {
        std::copy(from.begin(), from.end(), to.begin());
        if (job_.treatment)
          outcome->treated += TreatRow(*job_.treatment, to.data(), columns_, RowKey(job_.key, row));
      }
      if (job_.source.shape.size() == 1 && job_.head_dim != 0) {
        Reorder(from);
        Reorder(to);
      }
    }
    return Store(first, out, scratch, outcome);
  }

 private:
  void Reorder(std::span<T> vector) const {
    const std::vector<T> before(vector.begin(), vector.end());
    for (size_t i = 0; i < vector.size(); ++i) vector[i] = before[SourceRow(i, job_.head_dim)];
  }

  Status Store(size_t first, std::byte* out, Scratch<T>* scratch, TensorOutcome* outcome) const {
    std::vector<T>& values = scratch->values;
    if (IsPlain(job_.type)) {
      outcome->stored += StorePlain<T>(job_.type, values, out);
      AddErrors<T>(scratch->right, values, outcome);
      return {};
    }
    std::vector<float>&before = scratch->before, &after = scratch->after;
    before.assign(values.begin(), values.end());
    after.resize(before.size());
    RETURN_IF_ERROR(CheckFinite(first, before));
    const size_t rows = before.size() / columns_;
    const std::span bytes(out, rows * RowBytes(job_.type, columns_));
    EncodeRows(job_.type, before.data(), rows, columns_, ImportanceOf(first), bytes);
    DecodeToFloat(job_.type, bytes, after);
    outcome->stored += CountChanges(before, after);
    values.assign(after.begin(), after.end());
    AddErrors<T>(scratch->right, values, outcome);
    return {};
  }

  Status CheckFinite(size_t first, std::span<const float> values) const {
    const RowExtent extent =
        MomentKernelsOf<float>(BestKernels()).extent(values.data(), values.size());
    if (extent.nans + extent.infinities == 0) return {};
    const size_t i = static_cast<size_t>(
        std::find_if(values.begin(), values.end(), [](float x) { return !std::isfinite(x); }) -
        values.begin());
    return Fail("tensor {}: row {} holds {}, which {} cannot", job_.name, first + i / columns_,
                values[i], Info(job_.type).name);
  }

  // Of the matrix that the row is in.
  std::span<const float> ImportanceOf(size_t row) const {
    if (job_.importance.empty()) return {};
    const size_t matrices = job_.importance.size() / columns_;
    const size_t rows = static_cast<size_t>(job_.source.Rows()) / matrices;
    return job_.importance.subspan(row / rows * columns_, columns_);
  }

  const TensorJob& job_;
  size_t columns_;
  std::vector<T> whole_;  // treated, for per=tensor
  TreatmentCounts whole_counts_;
};

class ModelWriter {
 public:
  ModelWriter(GgufWriter out, std::span<const MappedFile> files, Workers& workers,
              const ProgressSink& progress, double total)
      : out_(std::move(out)),
        files_(files),
        workers_(workers),
        progress_(progress),
        total_(total) {}

  Result<TensorOutcome> Write(const TensorJob& job) {
    CHECK(job.importance.empty() ||
          job.importance.size() % static_cast<size_t>(job.source.Columns()) == 0);
    TensorOutcome outcome;
    outcome.elements = static_cast<uint64_t>(job.source.Elements());
    outcome.bytes = TensorByteSize(job.type, job.source.shape).value();
    if (job.type == job.source.type && !job.treatment && job.transform == WeightTransform::kNone) {
      RETURN_IF_ERROR(Copy(job));
      outcome.stored.touched = outcome.elements;
    } else if (NeedsDoubles(job.source)) {
      RETURN_IF_ERROR(Encode(job, RowEncoder<double>(job), &outcome));
    } else {
      RETURN_IF_ERROR(Encode(job, RowEncoder<float>(job), &outcome));
    }
    return outcome;
  }

  Status Commit() { return out_.Commit(); }

 private:
  struct Piece {
    size_t first = 0, rows = 0;
    TensorOutcome outcome;
    Status status;
  };

  Status Copy(const TensorJob& job) {
    const auto data = job.source.data;
    if (job.head_dim == 0) {
      for (size_t at = 0; at < data.size(); at += kCopyBytes) {
        const auto piece = data.subspan(at, std::min(kCopyBytes, data.size() - at));
        RETURN_IF_ERROR(out_.Append(piece));
        RETURN_IF_ERROR(Done(piece));
      }
      return {};
    }
    // A vector counts as a column, so that a bias is reordered like the rows of its matrix.
    const size_t rows = static_cast<size_t>(job.source.shape.size() == 1 ? job.source.Columns()
                                                                         : job.source.Rows()),
                 row_bytes = data.size() / rows;
    std::vector<std::byte> buffer;
    for (size_t row = 0; row < rows; ++row) {
      const auto source = data.subspan(SourceRow(row, job.head_dim) * row_bytes, row_bytes);
      buffer.insert(buffer.end(), source.begin(), source.end());
      if (buffer.size() < kCopyBytes && row + 1 < rows) continue;
      RETURN_IF_ERROR(out_.Append(buffer));
      RETURN_IF_ERROR(Report(buffer.size()));
      buffer.clear();
    }
    Release(data);
    return {};
  }

  // Cuts the rows into pieces that do not cross from one matrix into the next.
  template <class T>
  Status Encode(const TensorJob& job, const RowEncoder<T>& encoder, TensorOutcome* outcome) {
    const size_t rows = static_cast<size_t>(job.source.Rows()),
                 columns = static_cast<size_t>(job.source.Columns()),
                 dims = job.source.shape.size(),
                 matrix = dims < 2 ? 1 : static_cast<size_t>(job.source.shape[dims - 2]),
                 piece_rows = std::max<size_t>(1, kPieceElements / columns);
    const size_t row_bytes = RowBytes(job.type, columns);
    std::vector<Scratch<T>> scratch(static_cast<size_t>(workers_.threads()));
    outcome->treated += encoder.whole_counts();
    for (size_t row = 0; row < rows;) {
      std::vector<Piece> pieces;
      const size_t batch_first = row;
      while (row < rows && (row - batch_first) * columns < kBatchElements) {
        pieces.push_back({row, std::min(piece_rows, matrix - row % matrix), {}, {}});
        row += pieces.back().rows;
      }
      buffer_.resize((row - batch_first) * row_bytes);
      std::atomic<size_t> next = 0;
      workers_.For(scratch.size(), 1, [&](size_t first, size_t last) {
        for (size_t worker = first; worker < last; ++worker)
          for (size_t i; (i = next++) < pieces.size();) {
            Piece& piece = pieces[i];
            piece.status = encoder.Encode(piece.first, piece.rows,
                                          buffer_.data() + (piece.first - batch_first) * row_bytes,
                                          &scratch[worker], &piece.outcome);
          }
      });
      for (const Piece& piece : pieces) {
        RETURN_IF_ERROR(Status(piece.status));
        Merge(piece.outcome, outcome);
      }
      RETURN_IF_ERROR(out_.Append(buffer_));
      const size_t source_row = job.source.RowBytes();
      RETURN_IF_ERROR(Done(
          job.source.data.subspan(batch_first * source_row, (row - batch_first) * source_row)));
    }
    return {};
  }

  Status Done(std::span<const std::byte> source) {
    Release(source);
    return Report(source.size());
  }

  Status Report(size_t bytes) {
    done_ += static_cast<double>(bytes) * 1e-6;
    if (!progress_ || progress_({"writing", done_, total_, "MB"})) return {};
    return Fail("stopped; nothing written");
  }

  void Release(std::span<const std::byte> source) {
    for (const MappedFile& file : files_) file.Release(source);
  }

  GgufWriter out_;
  std::span<const MappedFile> files_;
  Workers& workers_;
  const ProgressSink& progress_;
  double total_ = 0, done_ = 0;  // megabytes of the source
  std::vector<std::byte> buffer_;
};

}  // namespace

Result<std::vector<TensorOutcome>> WriteModel(const std::string& path, const Metadata& metadata,
                                              std::span<const TensorJob> jobs,
                                              std::span<const MappedFile> files, Workers& workers,
                                              const ProgressSink& progress,
                                              const OutcomeCheck& check) {
  std::vector<PlannedTensor> plan;
  double total = 0;
  for (const TensorJob& job : jobs) {
    plan.push_back({job.name, job.type, job.source.shape});
    total += static_cast<double>(job.source.data.size()) * 1e-6;
  }
  ASSIGN_OR_RETURN(GgufWriter out, GgufWriter::Create(path, metadata, std::move(plan)));
  ModelWriter writer(std::move(out), files, workers, progress, total);
  std::vector<TensorOutcome> outcomes;
  for (const TensorJob& job : jobs) {
    auto outcome = writer.Write(job);
    if (!outcome) {  // errors of writing lead with the file already
      const std::string& message = outcome.error().message;
      return message.starts_with(path + ":") ? Fail("{}", message) : Fail("{}: {}", path, message);
    }
    if (check) RETURN_IF_ERROR(check(outcomes.size(), *outcome));
    outcomes.push_back(*outcome);
  }
  RETURN_IF_ERROR(writer.Commit());
  return outcomes;
}

Status CopyFile(const MappedFile& file, const std::string& path, const ProgressSink& progress) {
  ASSIGN_OR_RETURN(AtomicFile out, AtomicFile::Create(path));
  const auto bytes = file.bytes();
  for (size_t at = 0; at < bytes.size(); at += kCopyBytes) {
    const auto piece = bytes.subspan(at, std::min(kCopyBytes, bytes.size() - at));
    RETURN_IF_ERROR(out.Write(piece.data(), piece.size()));
    file.Release(piece);
    const double done = static_cast<double>(at + piece.size()) * 1e-6;
    if (progress && !progress({"writing", done, static_cast<double>(bytes.size()) * 1e-6, "MB"}))
      return Fail("{}: stopped; nothing written", path);
  }
  return out.Commit();
}

}  // namespace vernier
