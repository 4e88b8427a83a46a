#include "arch/synthetic.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "arch/synthetic_tokenizer.h"
#include "base/hash.h"
#include "formats/encode.h"
#include "model/gguf_writer.h"

namespace vernier {
namespace {

constexpr size_t kOutliers = 4;                         // channels of the residual stream
constexpr double kOutlierGain = 6, kOutlierDamp = 0.2;  // in what writes it; in the norms
constexpr size_t kPiece = 256;                          // columns that stay together
constexpr size_t kDrawnWhole = size_t{1} << 20;         // elements of a matrix
constexpr size_t kBatchBytes = size_t{1} << 24;         // put together between two writes
constexpr uint32_t kQuantizationVersion = 2;

// The finaliser of SplitMix64 (Steele, Lea and Flood 2014), of two numbers.
uint64_t Mix(uint64_t key, uint64_t counter) {
  uint64_t z = key + (counter + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

double Uniform(uint64_t key, uint64_t counter) {  // 0 <= u < 1
  return static_cast<double>(Mix(key, counter) >> 11) * 0x1p-53;
}

// Near normal, mean 0 and variance 1: the sum of eight uniform numbers of 16 bits, whose variance
// is 8 / 12 (65536^2 - 1).
float Normal(uint64_t key, uint64_t counter) {
  int32_t sum = -4 * 65535;
  for (const uint64_t bits : {Mix(key, 2 * counter), Mix(key, 2 * counter + 1)})
    for (int shift = 0; shift < 64; shift += 16)
      sum += static_cast<int32_t>(bits >> shift & 0xffff);
  return static_cast<float>(sum) * static_cast<float>(1.2247448713915890 / 65536);
}

bool Is(std::span<const size_t> channels, size_t i) {
  return std::find(channels.begin(), channels.end(), i) != channels.end();
}

class Source {  // of one tensor's values
 public:
  using Outliers = ShapeTensor::Outliers;
  Source(const ShapeTensor& tensor, uint64_t seed, std::span<const size_t> outliers,
         std::span<const float> factors)
      : tensor_(tensor),
        key_(Mix(seed, HashText(tensor.name).low)),
        outliers_(outliers),
        factors_(factors) {
    if (tensor.fill != Fill::kMatrix) return;
    scales_.resize(static_cast<size_t>(tensor.shape.back()));
    for (size_t c = 0; c < scales_.size(); ++c) {
      scales_[c] = static_cast<float>(tensor.spread) * Around(Mix(key_, 1), c);
      if (tensor.outliers == Outliers::kColumns && Is(outliers_, c))
        scales_[c] *= static_cast<float>(kOutlierGain);
    }
  }

  uint64_t key() const { return key_; }

  void Row(size_t row, std::span<float> out) const {
    const uint64_t key = Mix(Mix(key_, 2), row);
    switch (tensor_.fill) {
      case Fill::kMatrix:
        return Matrix(key, row, out);
      case Fill::kVector:
        return Vector(key, out);
      case Fill::kUniform:
        for (size_t i = 0; i < out.size(); ++i)
          out[i] = static_cast<float>(tensor_.mean + tensor_.spread * 1.7320508075688772 *
                                                         (2 * Uniform(key, i) - 1));
        return;
      case Fill::kRates:
        for (size_t i = 0; i < out.size(); ++i)
          out[i] = -static_cast<float>(i + 1) * Around(key, i);
        return;
      case Fill::kFactors:
        CHECK(factors_.size() == out.size());
        std::copy(factors_.begin(), factors_.end(), out.begin());
        return;
    }
  }

 private:
  // About 1, by a tenth.
  static float Around(uint64_t key, size_t i) { return std::max(0.5f, 1 + 0.1f * Normal(key, i)); }

  void Matrix(uint64_t key, size_t row, std::span<float> out) const {
    float scale = Around(Mix(key_, 3), row);
    if (tensor_.outliers == Outliers::kRows && Is(outliers_, row))
      scale *= static_cast<float>(kOutlierGain);
    for (size_t i = 0; i < out.size(); ++i) {
      const float tail = Mix(key, ~uint64_t{i}) % 64 == 0 ? 2.5f : 1.0f;
      out[i] = scale * scales_[i] * tail * Normal(key, i);
    }
  }

  void Vector(uint64_t key, std::span<float> out) const {
    for (size_t i = 0; i < out.size(); ++i) {
      double value = tensor_.mean + tensor_.spread * static_cast<double>(Normal(key, i));
      if (tensor_.outliers == Outliers::kDamped && Is(outliers_, i)) value *= kOutlierDamp;
      out[i] = static_cast<float>(value);
    }
  }

  const ShapeTensor& tensor_;
  uint64_t key_;
  std::span<const size_t> outliers_;
  std::span<const float> factors_;
  std::vector<float> scales_;  // of a matrix, by column
};

struct Planned {
  const ShapeTensor* tensor;
  TensorType type;
};

class SyntheticWriter {
 public:
  SyntheticWriter(GgufWriter out, const SyntheticOptions& options, std::span<const size_t> outliers,
                  std::span<const float> factors, Workers& workers, const ProgressSink& progress,
                  uint64_t total)
      : out_(std::move(out)),
        options_(options),
        outliers_(outliers),
        factors_(factors),
        workers_(workers),
        progress_(progress),
        total_(static_cast<double>(total) * 1e-6) {}

  Status Write(const Planned& plan) {
    const ShapeTensor& tensor = *plan.tensor;
    const size_t columns = static_cast<size_t>(tensor.shape.back());
    const size_t rows = tensor.shape.size() == 1 ? 1 : static_cast<size_t>(tensor.shape[0]);
    const size_t row_bytes = static_cast<size_t>(
        TensorByteSize(plan.type, std::vector<int64_t>{tensor.shape.back()}).value());
    const Source source(tensor, options_.seed, outliers_, factors_);
    if (tensor.fill != Fill::kMatrix || rows <= options_.distinct_rows ||
        rows * columns <= kDrawnWhole) {
      std::vector<std::byte> bytes(rows * row_bytes);
      Draw(
          source, plan.type, columns, rows, [](size_t i) { return i; }, bytes);
      return Put(bytes);
    }
    const size_t drawn = options_.distinct_rows;
    const bool own_rows = tensor.outliers == ShapeTensor::Outliers::kRows;
    // The rows put together, and after them those of the outlying channels.
    std::vector<std::byte> pool((drawn + (own_rows ? outliers_.size() : 0)) * row_bytes);
    const auto row_of = [&](size_t i) {
      if (i >= drawn) return outliers_[i - drawn];
      while (own_rows && Is(outliers_, i)) i += rows - drawn;  // a drawn row is an ordinary one
      return i;
    };
    Draw(source, plan.type, columns, pool.size() / row_bytes, row_of, pool);
    return Assemble(source, own_rows, rows, columns, row_bytes, pool);
  }

  Status Commit() { return out_.Commit(); }

 private:
  // Rows row_of(0), row_of(1), ..., encoded one after the other.
  template <class RowOf>
  void Draw(const Source& source, TensorType type, size_t columns, size_t rows, const RowOf& row_of,
            std::span<std::byte> out) {
    const size_t row_bytes = out.size() / rows;
    constexpr size_t kTogether = 4;  // the encoders take several rows at a time
    const size_t groups = (rows + kTogether - 1) / kTogether;
    workers_.For(groups, 1, [&](size_t first, size_t last) {
      std::vector<float> values(kTogether * columns);
      for (size_t at = first * kTogether; at < std::min(rows, last * kTogether); at += kTogether) {
        const size_t count = std::min(kTogether, rows - at);
        for (size_t i = 0; i < count; ++i)
          source.Row(row_of(at + i), std::span(values).subspan(i * columns, columns));
        EncodeRows(type, values.data(), count, columns, {},
                   out.subspan(at * row_bytes, count * row_bytes));
      }
    });
  }

  Status Assemble(const Source& source, bool own_rows, size_t rows, size_t columns,
                  size_t row_bytes, std::span<const std::byte> pool) {
    const size_t piece = std::gcd(columns, kPiece), pieces = columns / piece,
                 piece_bytes = row_bytes / pieces;
    const uint64_t key = Mix(source.key(), 4);
    const size_t batch = std::max<size_t>(1, kBatchBytes / row_bytes);
    for (size_t done = 0; done < rows; done += batch) {
      const size_t count = std::min(batch, rows - done);
      buffer_.resize(count * row_bytes);
      workers_.For(count, 64, [&](size_t first, size_t last) {
        for (size_t i = first; i < last; ++i) {
          const size_t row = done + i;
          std::byte* to = buffer_.data() + i * row_bytes;
          const auto own = std::find(outliers_.begin(), outliers_.end(), row);
          if (own_rows && own != outliers_.end()) {
            const size_t at = options_.distinct_rows + static_cast<size_t>(own - outliers_.begin());
            std::memcpy(to, pool.data() + at * row_bytes, row_bytes);
            continue;
          }
          for (size_t p = 0; p < pieces; ++p) {
            const size_t from = Mix(key, row * pieces + p) % options_.distinct_rows;
            std::memcpy(to + p * piece_bytes, pool.data() + from * row_bytes + p * piece_bytes,
                        piece_bytes);
          }
        }
      });
      RETURN_IF_ERROR(Put(buffer_));
    }
    return {};
  }

  Status Put(std::span<const std::byte> bytes) {
    RETURN_IF_ERROR(out_.Append(bytes));
    done_ += static_cast<double>(bytes.size()) * 1e-6;
    if (!progress_ || progress_({"writing", done_, total_, "MB"})) return {};
    return Fail("stopped; nothing written");
  }

  GgufWriter out_;
  const SyntheticOptions& options_;
  std::span<const size_t> outliers_;
  std::span<const float> factors_;
  Workers& workers_;
  const ProgressSink& progress_;
  double total_, done_ = 0;  // megabytes
  std::vector<std::byte> buffer_;
};

std::vector<size_t> OutlierChannels(uint64_t seed, size_t hidden) {
  std::vector<size_t> channels;
  for (uint64_t i = 0; channels.size() < std::min(kOutliers, hidden); ++i) {
    const size_t channel = Mix(seed, i) % hidden;
    if (!Is(channels, channel)) channels.push_back(channel);
  }
  return channels;
}

}  // namespace

Result<SyntheticReport> WriteSynthetic(const ModelShape& shape, const std::string& path,
                                       const SyntheticOptions& options, Workers& workers,
                                       const ProgressSink& progress) {
  CHECK(options.type != nullptr && options.distinct_rows > 0);
  ASSIGN_OR_RETURN(ShapeForm form, MakeShapeForm(shape));
  Metadata& metadata = form.metadata;
  metadata.Set("general.description",
               MetaString(fmt::format("The shape of {} with random weights, for benchmarks; seed "
                                      "{}, {} drawn rows a matrix",
                                      shape.name, options.seed, options.distinct_rows)));
  metadata.Set("general.file_type", MetaUint32(options.type->number));
  metadata.Set("general.quantization_version", MetaUint32(kQuantizationVersion));
  AddSyntheticTokenizer(shape.vocabulary, form.vocabulary, &metadata);

  std::vector<NamedShape> names;
  for (const ShapeTensor& tensor : form.tensors) names.push_back({tensor.name, tensor.shape});
  MixtureOptions mixture;
  mixture.file_type = options.type;
  mixture.pure = options.pure;
  const std::vector<TypeChoice> types = ChooseTypes(ReadMixtureFacts(metadata), mixture, names);
  SyntheticReport report;
  report.tensors = form.tensors.size();
  std::vector<PlannedTensor> plan;
  for (size_t i = 0; i < names.size(); ++i) {
    plan.push_back({names[i].name, types[i].type, names[i].shape});
    const uint64_t bytes = TensorByteSize(types[i].type, names[i].shape).value();
    report.bytes += bytes;
    report.type_bytes[Info(types[i].type).name] += bytes;
    uint64_t elements = 1;
    for (const int64_t size : names[i].shape) elements *= static_cast<uint64_t>(size);
    report.parameters += elements;
  }
  const std::vector<size_t> outliers = OutlierChannels(options.seed, form.hidden);
  ASSIGN_OR_RETURN(GgufWriter out, GgufWriter::Create(path, metadata, std::move(plan)));
  SyntheticWriter writer(std::move(out), options, outliers, form.rope_factors, workers, progress,
                         report.bytes);
  for (size_t i = 0; i < names.size(); ++i) {
    const Status written = writer.Write({&form.tensors[i], types[i].type});
    if (written) continue;
    const std::string& message = written.error().message;
    return message.starts_with(path + ":") ? Fail("{}", message) : Fail("{}: {}", path, message);
  }
  RETURN_IF_ERROR(writer.Commit());
  return report;
}

}  // namespace vernier
