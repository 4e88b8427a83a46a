#include "arch/convert.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "arch/architecture.h"
#include "arch/convert_tokenizer.h"
#include "arch/numpy_exp.h"
#include "base/names.h"
#include "formats/decode.h"
#include "formats/round.h"
#include "model/gguf_writer.h"

namespace vernier {
namespace {

constexpr size_t kPieceElements = size_t{1} << 16;
constexpr size_t kWhole = 0;  // no reordering

// A tensor to be written: what it is called, what it becomes, and where its rows lie.
struct Job {
  std::string name;
  TensorView tensor;
  TensorType type = TensorType::kF32;
  size_t head_dim = kWhole;  // of rows to be reordered within heads
  WeightTransform transform = WeightTransform::kNone;
};

struct FileType {
  TensorType type;
  uint32_t number;  // enum llama_ftype of ggml-org/llama.cpp, for general.file_type
};
constexpr FileType kFileTypes[] = {
    {TensorType::kF32, 0}, {TensorType::kF16, 1}, {TensorType::kBF16, 32}};

Result<uint32_t> FileTypeNumber(TensorType type) {
  for (const FileType& known : kFileTypes)
    if (known.type == type) return known.number;
  return Fail("type {}: expected F32, F16 or BF16", Info(type).name);
}

// float16 code of a double that is a float16 number.
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

const char* FormatName(TensorType type) {
  return type == TensorType::kF32 ? "f32" : type == TensorType::kF16 ? "f16" : "bf16";
}

// Rounds decoded rows into the type and packs them.
class Encoder {
 public:
  Encoder(TensorType type, WeightTransform transform)
      : type_(type),
        transform_(transform),
        spec_(MakeRoundSpec(FindFormat(FormatName(type)).value())) {}

  // The values that `source` decodes to; says what rounding them did.
  TreatmentCounts Append(TensorType from, std::span<const std::byte> source, size_t elements,
                         std::vector<std::byte>* out) {
    values_.resize(elements);
    DecodeToDouble(from, source, values_);
    if (transform_ == WeightTransform::kNegativeExp)
      for (double& value : values_) value = -NumpyExp(static_cast<float>(value));
    const TreatmentCounts counts = RoundRow(spec_, values_.data(), elements);
    size_t at = out->size();
    out->resize(at + elements * static_cast<size_t>(Info(type_).block_bytes));
    const auto put = [&](auto code) {
      std::memcpy(out->data() + at, &code, sizeof(code));
      at += sizeof(code);
    };
    for (const double value : values_) {
      if (type_ == TensorType::kF32)
        put(NarrowToFloatBits(value));
      else
        put(type_ == TensorType::kF16 ? HalfCode(value) : BrainCode(value));
    }
    return counts;
  }

 private:
  TensorType type_;
  WeightTransform transform_;
  RoundSpec spec_;
  std::vector<double> values_;
};

// Row 2 i + j of a head comes from row i + j * head_dim / 2.
size_t SourceRow(size_t row, size_t head_dim) {
  if (head_dim == kWhole) return row;
  const size_t in_head = row % head_dim;
  return row - in_head + in_head / 2 + in_head % 2 * (head_dim / 2);
}

// Calls put(bytes) with pieces of the tensor in its new type, in order, and adds to `counts`.
template <class Put>
Status ForEachPiece(const Job& job, TreatmentCounts* counts, const Put& put) {
  // A vector counts as a column, so that a bias is reordered like the rows of its matrix.
  const bool column = job.tensor.shape.size() == 1 && job.head_dim != kWhole;
  const size_t elements = static_cast<size_t>(job.tensor.Elements()),
               columns = column ? 1 : static_cast<size_t>(job.tensor.Columns()),
               rows = elements / columns, row_bytes = job.tensor.data.size() / rows;
  Encoder encoder(job.type, job.transform);
  std::vector<std::byte> piece;
  for (size_t row = 0; row < rows; ++row) {
    const auto source =
        job.tensor.data.subspan(SourceRow(row, job.head_dim) * row_bytes, row_bytes);
    if (job.tensor.type == job.type && job.transform == WeightTransform::kNone) {
      piece.insert(piece.end(), source.begin(), source.end());
      counts->touched += columns;
    } else {
      *counts += encoder.Append(job.tensor.type, source, columns, &piece);
    }
    if (piece.size() < kPieceElements && row + 1 < rows) continue;
    RETURN_IF_ERROR(put(piece));
    piece.clear();
  }
  return {};
}

// Matrices have the type asked for; what llama.cpp multiplies in float32 only stays F32.
TensorType TypeOf(const std::string& name, const TensorView& tensor, TensorType asked) {
  const bool small = tensor.shape.size() == 1 || GlobMatches("*.ssm_conv1d.weight", name) ||
                     GlobMatches("*.ssm_a", name);
  return small ? TensorType::kF32 : asked;
}

// For each weight slot the head size its rows are reordered by: those of the projections that the
// rotary embedding reads.
std::vector<size_t> ReorderedSlots(const Graph& graph) {
  std::vector<size_t> head_dims(graph.weights.size(), kWhole);
  if (graph.gguf_layout != RopeLayout::kNeighbours) return head_dims;
  for (const Node& rope : graph.nodes) {
    if (rope.op != OpKind::kRope) continue;
    int at = rope.inputs[0];
    while (true) {
      const Node& node = graph.nodes[static_cast<size_t>(at)];
      CHECK(node.op == OpKind::kMatMul || node.op == OpKind::kBias);
      head_dims[static_cast<size_t>(node.weight)] = rope.shape.head_dim;
      if (node.op == OpKind::kMatMul) break;
      at = node.inputs[0];
    }
  }
  return head_dims;
}

std::string NameOf(const Checkpoint& folder) {
  std::error_code ignored;
  auto path = std::filesystem::weakly_canonical(folder.path, ignored);
  if (!path.has_filename()) path = path.parent_path();
  return path.filename().string();
}

// What is written: keys, and tensors in order.
struct Conversion {
  Metadata metadata;
  std::vector<Job> jobs;
  std::vector<float> rope_factors;  // the data of rope_freqs.weight
};

Status PlanFolder(const Checkpoint& folder, TensorType type, Conversion* conversion) {
  ASSIGN_OR_RETURN(const Architecture* architecture, FindArchitecture(folder));
  ASSIGN_OR_RETURN(const Graph graph, architecture->build(folder));
  Metadata& metadata = conversion->metadata;
  metadata.source = folder.path;
  metadata.Set("general.architecture", MetaString(graph.architecture));
  metadata.Set("general.type", MetaString("model"));
  metadata.Set("general.name", MetaString(NameOf(folder)));
  metadata.Set("general.quantization_version", MetaUint32(2));
  RETURN_IF_ERROR(architecture->write_constants(folder, &metadata));
  if (!folder.tokenizer_json.empty()) RETURN_IF_ERROR(AddTokenizer(folder, &metadata));
  const std::vector<size_t> head_dims = ReorderedSlots(graph);
  for (size_t i = 0; i < graph.weights.size(); ++i) {
    const WeightSlot& slot = graph.weights[i];
    conversion->jobs.push_back({slot.name, slot.tensor, TypeOf(slot.name, slot.tensor, type),
                                head_dims[i], slot.transform});
  }
  if (graph.rope.factors.empty()) return {};
  conversion->rope_factors.assign(graph.rope.factors.begin(), graph.rope.factors.end());
  const TensorView factors{.name = "rope_freqs.weight",
                           .type = TensorType::kF32,
                           .shape = {static_cast<int64_t>(conversion->rope_factors.size())},
                           .data = std::as_bytes(std::span(conversion->rope_factors))};
  conversion->jobs.push_back({factors.name, factors, TensorType::kF32, kWhole});
  return {};
}

Status PlanGguf(const Checkpoint& file, TensorType type, Conversion* conversion) {
  conversion->metadata = file.metadata;
  for (const TensorView& tensor : file.tensors)
    conversion->jobs.push_back({tensor.name, tensor, TypeOf(tensor.name, tensor, type), kWhole});
  return {};
}

Result<ConvertReport> Write(const Conversion& conversion, const std::string& path,
                            const ProgressSink& progress) {
  std::vector<PlannedTensor> plan;
  double total = 0;
  ConvertReport report;
  for (const Job& job : conversion.jobs) {
    plan.push_back({job.name, job.type, job.tensor.shape});
    total += static_cast<double>(job.tensor.Elements()) * Info(job.type).block_bytes;
  }
  ASSIGN_OR_RETURN(GgufWriter out, GgufWriter::Create(path, conversion.metadata, std::move(plan)));
  const auto put = [&](const std::vector<std::byte>& piece) -> Status {
    RETURN_IF_ERROR(out.Append(piece));
    report.bytes += piece.size();
    if (!progress || progress({"writing", static_cast<double>(report.bytes), total, "bytes"}))
      return {};
    return Fail("{}: stopped; nothing written", path);
  };
  for (const Job& job : conversion.jobs) {
    RETURN_IF_ERROR(ForEachPiece(job, &report.counts, put));
    ++report.tensors;
  }
  RETURN_IF_ERROR(out.Commit());
  return report;
}

}  // namespace

Result<ConvertReport> ConvertToGguf(const Checkpoint& checkpoint, const std::string& path,
                                    const ConvertOptions& options) {
  ASSIGN_OR_RETURN(const uint32_t number, FileTypeNumber(options.type));
  Conversion conversion;
  const auto plan = checkpoint.kind == CheckpointKind::kGguf ? PlanGguf : PlanFolder;
  RETURN_IF_ERROR(plan(checkpoint, options.type, &conversion));
  conversion.metadata.Set("general.file_type", MetaUint32(number));
  return Write(conversion, path, options.progress);
}

}  // namespace vernier
