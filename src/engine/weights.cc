#include "engine/weights.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/result.h"
#include "formats/decode.h"
#include "kernels/kernels.h"
#include "ops/treat_weight.h"

namespace vernier {
namespace {

size_t Bytes(const LoadedWeight& w) {
  return w.matrix.data.size() + w.wide_matrix.data.size() * sizeof(double) +
         w.small.data.size() * sizeof(float) + w.wide_small.data.size() * sizeof(double) +
         w.vector.size() * sizeof(float) + w.vector_f64.size() * sizeof(double) +
         (w.rows ? w.rows->f32.size() * sizeof(float) + w.rows->f64.size() * sizeof(double) : 0);
}

std::string FormKey(const WeightForm& form) {
  std::string key = form.ones          ? "ones "
                    : form.folded >= 0 ? fmt::format("fold {} ", form.folded)
                                       : "";
  if (!form.treatment) return key;
  key += TreatmentText(*form.treatment);
  if (form.treatment->rounding == Rounding::kStochastic) key += fmt::format(" seed {}", form.seed);
  return key;
}

// Elements whose bits differ from what they were, in either type.
TreatmentCounts CountChanged(const WeightValues& before, const WeightValues& after) {
  TreatmentCounts counts;
  counts.touched = std::max(before.f32.size(), before.f64.size());
  for (size_t i = 0; i < counts.touched; ++i) {
    const double was = before.f64.empty() ? before.f32[i] : before.f64[i];
    const double is = after.f64.empty() ? after.f32[i] : after.f64[i];
    counts.changed += std::bit_cast<uint64_t>(was) != std::bit_cast<uint64_t>(is);
    counts.flushed += was != 0 && is == 0;
  }
  return counts;
}

bool NeedsDoubles(std::span<const double> values) {
  return std::any_of(values.begin(), values.end(), [](double v) {
    return static_cast<double>(static_cast<float>(v)) != v && v == v;
  });
}

// A vector of fewer numbers than the row it multiplies has elements is one number a head.
void Repeat(size_t width, WeightValues* values) {
  const auto repeat = [width](auto* numbers) {
    if (numbers->empty() || numbers->size() >= width) return;
    auto repeated = *numbers;
    repeated.resize(width);
    const size_t times = width / numbers->size();
    for (size_t i = 0; i < width; ++i) repeated[i] = (*numbers)[i / times];
    *numbers = std::move(repeated);
  };
  repeat(&values->f32);
  repeat(&values->f64);
}

// Panels of a matrix whose row r is written by rows(r, out).
template <class W, class Row>
Panels<W> BuildPanels(size_t outputs, size_t k, Workers& workers, const Row& rows) {
  Panels<W> panels = MakePanels<W>(outputs, k);
  workers.For(panels.Count(), 1, [&](size_t first, size_t last) {
    std::vector<W> buffer(kLanes * k);
    for (size_t p = first; p < last; ++p) {
      const size_t count = std::min(kLanes, outputs - p * kLanes);
      for (size_t r = 0; r < count; ++r)
        rows(p * kLanes + r, std::span<W>(buffer).subspan(r * k, k));
      FillPanel(&panels, p, buffer.data(), count);
    }
  });
  return panels;
}

// Packed float32 numbers from row-major ones.
PackedMatrix PackFloats(size_t outputs, size_t k, Workers& workers, const float* values) {
  PackedMatrix matrix = MakePacked(TensorType::kF32, outputs, k);
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(values);
  workers.For(matrix.Count(), 1, [&](size_t first, size_t last) {
    for (size_t p = first; p < last; ++p)
      PackPanelOf(matrix, p, bytes, k * sizeof(float), matrix.data.data() + p * matrix.stride);
  });
  return matrix;
}

}  // namespace

WeightStore::WeightStore(const Graph& graph, Workers& workers, std::span<const MappedFile> files,
                         bool mapped)
    : graph_(graph),
      workers_(workers),
      files_(files),
      mapped_(mapped),
      is_matrix_(graph.weights.size()),
      is_small_matrix_(graph.weights.size()),
      is_vector_(graph.weights.size()),
      is_embedding_(graph.weights.size()),
      row_width_(graph.weights.size()),
      originals_(graph.weights.size()) {
  for (const Node& node : graph.nodes) {
    if (node.weight < 0) continue;
    const size_t slot = static_cast<size_t>(node.weight);
    if (node.op == OpKind::kMatMul) is_matrix_[slot] = true;
    if (node.op == OpKind::kConvolve || node.op == OpKind::kScan) is_small_matrix_[slot] = true;
    if (node.op == OpKind::kMultiply || node.op == OpKind::kBias) is_vector_[slot] = true;
    if (node.op == OpKind::kMultiply) row_width_[slot] = node.shape.width;
    if (node.op == OpKind::kEmbed) is_embedding_[slot] = true;
  }
}

Hash128 WeightStore::Identity(int slot) const {
  return Combine(HashText("weight"), static_cast<uint64_t>(slot));
}

// A part of a tensor as the file has it: in `copy` where the file can be read, so that its mapping
// takes no memory, else where it is mapped.
std::span<const std::byte> WeightStore::Stored(std::span<const std::byte> part,
                                               std::vector<std::byte>* copy) const {
  copy->resize(part.size());
  const bool copied = std::any_of(files_.begin(), files_.end(), [&](const MappedFile& file) {
    return file.Copy(part, copy->data());
  });
  return copied ? std::span<const std::byte>(*copy) : part;
}

WeightValues WeightStore::Decode(int slot) const {
  const TensorView& tensor = graph_.weights[static_cast<size_t>(slot)].tensor;
  const size_t rows = static_cast<size_t>(tensor.Rows()),
               columns = static_cast<size_t>(tensor.Columns());
  WeightValues values;
  std::vector<std::byte> copy;
  if (graph_.weights[static_cast<size_t>(slot)].transform == WeightTransform::kNegativeExp) {
    values.f64.resize(rows * columns);
    DecodeToDouble(tensor.type, Stored(tensor.data, &copy), values.f64);
    BestKernels().exp_f64(values.f64.data(), values.f64.size(), values.f64.data());
    for (double& v : values.f64) v = -v;
    return values;
  }
  if (tensor.type == TensorType::kF64) {
    values.f64.resize(rows * columns);
    DecodeToDouble(tensor.type, Stored(tensor.data, &copy), values.f64);
    if (NeedsDoubles(values.f64)) return values;
    values.f64.clear();
  }
  values.f32.resize(rows * columns);
  workers_.For(rows, std::max<size_t>(1, 65536 / columns), [&](size_t first, size_t last) {
    std::vector<std::byte> row;
    for (size_t r = first; r < last; ++r)
      DecodeToFloat(tensor.type, Stored(tensor.Row(static_cast<int64_t>(r)), &row),
                    std::span(values.f32).subspan(r * columns, columns));
  });
  return values;
}

// In the form but for its treatment.
WeightValues WeightStore::Untreated(int slot, const WeightForm& form) const {
  WeightValues values = Decode(slot);
  if (form.ones) {
    values.f32.assign(std::max(values.f32.size(), values.f64.size()), 1);
    values.f64.clear();
  }
  if (form.folded < 0) return values;
  const WeightValues by = Decode(form.folded);
  const size_t columns = std::max(by.f32.size(), by.f64.size());
  const size_t n = std::max(values.f32.size(), values.f64.size());
  CHECK(columns > 0 && n % columns == 0);
  const bool wide = !values.f64.empty();
  if (wide) values.f32.resize(n);
  workers_.For(n / columns, std::max<size_t>(1, 65536 / columns), [&](size_t first, size_t last) {
    for (size_t i = first * columns; i < last * columns; ++i) {
      const size_t c = i % columns;
      const double w = wide ? values.f64[i] : values.f32[i];
      values.f32[i] = static_cast<float>(w * (by.f64.empty() ? by.f32[c] : by.f64[c]));
    }
  });
  values.f64.clear();
  return values;
}

TreatmentCounts WeightStore::Treat(int slot, const WeightForm& form, WeightValues* values) const {
  const Treatment& treatment = *form.treatment;
  const WeightSlot& weight = graph_.weights[static_cast<size_t>(slot)];
  const size_t rows = static_cast<size_t>(weight.tensor.Rows()),
               columns = static_cast<size_t>(weight.tensor.Columns());
  const uint64_t key = Combine(HashText(weight.name), form.seed).low;
  if (!values->f64.empty())
    return TreatWeight(treatment, values->f64.data(), rows, columns, key, &workers_);
  return TreatWeight(treatment, values->f32.data(), rows, columns, key, &workers_);
}

// Panels [first, last), each packed from its rows as the file has them.
void WeightStore::PackPanels(const TensorView& tensor, size_t first, size_t last,
                             PackedMatrix* matrix) const {
  const size_t rows = static_cast<size_t>(tensor.Rows()), k = matrix->k;
  const size_t row_bytes = tensor.RowBytes();
  const bool stored = matrix->type == tensor.type;
  std::vector<std::byte> copy;
  std::vector<float> decoded(stored ? 0 : kLanes * k);
  for (size_t p = first; p < last; ++p) {
    const size_t count = std::min(kLanes, rows - p * kLanes);
    const std::span<const std::byte> part =
        Stored(tensor.data.subspan(p * kLanes * row_bytes, count * row_bytes), &copy);
    const uint8_t* pointers[kLanes] = {};
    for (size_t r = 0; r < count; ++r) {
      const std::span<const std::byte> row = part.subspan(r * row_bytes, row_bytes);
      if (!stored) DecodeToFloat(tensor.type, row, std::span(decoded).subspan(r * k, k));
      pointers[r] = stored ? reinterpret_cast<const uint8_t*>(row.data())
                           : reinterpret_cast<const uint8_t*>(decoded.data() + r * k);
    }
    PackPanel(matrix->type, pointers, k, matrix->data.data() + p * matrix->stride);
  }
}

// Straight from the file: blocks of types that have a layout, others as float32 numbers.
void WeightStore::LoadStored(const TensorView& tensor, LoadedWeight* loaded) const {
  const size_t rows = static_cast<size_t>(tensor.Rows()), k = static_cast<size_t>(tensor.Columns());
  const PackedLayout* layout = FindPackedLayout(tensor.type);
  PackedMatrix& matrix = loaded->matrix;
  if (layout != nullptr && mapped_) {
    matrix.type = layout->type;
    matrix.outputs = rows;
    matrix.k = k;
    matrix.stride = layout->PanelBytes(k);
    matrix.mapped = reinterpret_cast<const uint8_t*>(tensor.data.data());
    matrix.row_bytes = tensor.RowBytes();
    return;
  }
  if (!arena_) arena_.emplace(PackedBytes());
  matrix = MakePacked(layout != nullptr ? layout->type : TensorType::kF32, rows, k, &*arena_);
  const size_t panel_bytes = kLanes * tensor.RowBytes();
  workers_.For(matrix.Count(), std::max<size_t>(1, (size_t{1} << 20) / panel_bytes),
               [&](size_t first, size_t last) { PackPanels(tensor, first, last, &matrix); });
}

// Of all matrices that are packed as the file has them.
size_t WeightStore::PackedBytes() const {
  size_t bytes = 0;
  for (size_t slot = 0; slot < graph_.weights.size(); ++slot) {
    if (!is_matrix_[slot]) continue;
    const TensorView& tensor = graph_.weights[slot].tensor;
    const PackedLayout* layout = FindPackedLayout(tensor.type);
    const size_t panels = (static_cast<size_t>(tensor.Rows()) + kLanes - 1) / kLanes;
    bytes += panels * (layout != nullptr ? *layout : LayoutOf(TensorType::kF32))
                          .PanelBytes(static_cast<size_t>(tensor.Columns()));
  }
  return bytes;
}

void WeightStore::LoadPanels(int slot, const WeightValues* treated, LoadedWeight* loaded) const {
  const TensorView& tensor = graph_.weights[static_cast<size_t>(slot)].tensor;
  const size_t rows = static_cast<size_t>(tensor.Rows()), k = static_cast<size_t>(tensor.Columns());
  if (treated == nullptr && tensor.type != TensorType::kF64) return LoadStored(tensor, loaded);
  const WeightValues decoded = treated != nullptr ? WeightValues{} : Decode(slot);
  const WeightValues& values = treated != nullptr ? *treated : decoded;
  if (values.f64.empty()) {
    loaded->matrix = PackFloats(rows, k, workers_, values.f32.data());
    return;
  }
  loaded->wide_matrix =
      BuildPanels<double>(rows, k, workers_, [&](size_t row, std::span<double> out) {
        std::copy_n(values.f64.data() + row * k, k, out.data());
      });
  const std::vector<float> rounded(values.f64.begin(), values.f64.end());
  loaded->matrix = PackFloats(rows, k, workers_, rounded.data());
}

// In both types, whichever an op runs in.
void WeightStore::LoadSmall(int slot, const WeightValues& values, LoadedWeight* loaded) const {
  const TensorView& tensor = graph_.weights[static_cast<size_t>(slot)].tensor;
  const size_t rows = static_cast<size_t>(tensor.Rows()), k = static_cast<size_t>(tensor.Columns());
  const auto fill = [&](auto* panels, const auto& from) {
    using T = std::remove_reference_t<decltype(panels->data[0])>;
    *panels = BuildPanels<T>(rows, k, workers_, [&](size_t row, std::span<T> out) {
      std::transform(from.data() + row * k, from.data() + (row + 1) * k, out.data(),
                     [](auto v) { return static_cast<T>(v); });
    });
  };
  if (values.f64.empty()) {
    fill(&loaded->small, values.f32);
    fill(&loaded->wide_small, values.f32);
  } else {
    fill(&loaded->small, values.f64);
    fill(&loaded->wide_small, values.f64);
  }
}

std::shared_ptr<const LoadedWeight> WeightStore::Load(int slot, const WeightForm& form) const {
  auto loaded = std::make_shared<LoadedWeight>();
  const size_t s = static_cast<size_t>(slot);
  std::optional<WeightValues> values;
  if (!form.Plain() || is_vector_[s] || is_small_matrix_[s]) values = Untreated(slot, form);
  if (form.treatment) Treat(slot, form, &*values);
  if (is_small_matrix_[s]) LoadSmall(slot, *values, loaded.get());
  if (is_matrix_[s]) LoadPanels(slot, form.Plain() ? nullptr : &*values, loaded.get());
  if (is_vector_[s]) {
    Repeat(row_width_[s], &*values);
    if (values->f64.empty()) {
      loaded->vector = values->f32;
      loaded->vector_f64.assign(values->f32.begin(), values->f32.end());
    } else {
      loaded->vector_f64 = values->f64;
      loaded->vector.assign(values->f64.begin(), values->f64.end());
    }
  }
  if (is_embedding_[s] && !form.Plain()) loaded->rows = std::move(values);
  return loaded;
}

std::shared_ptr<const LoadedWeight> WeightStore::Get(int slot, const Treatment* treatment,
                                                     uint64_t seed) {
  return treatment == nullptr ? Get(slot, WeightForm{})
                              : Get(slot, WeightForm{.treatment = *treatment, .seed = seed});
}

std::shared_ptr<const LoadedWeight> WeightStore::Get(int slot, const WeightForm& form) {
  const size_t s = static_cast<size_t>(slot);
  if (form.Plain()) {
    if (originals_[s] == nullptr) originals_[s] = Load(slot, form);
    return originals_[s];
  }
  const Key key{slot, FormKey(form)};
  Cached& cached = treated_[key];
  cached.used = ++clock_;
  if (cached.weight == nullptr) {
    cached.weight = Load(slot, form);
    cached.bytes = Bytes(*cached.weight);
  }
  const std::shared_ptr<const LoadedWeight> weight = cached.weight;
  size_t total = 0;
  for (const auto& [k, c] : treated_) total += c.bytes;
  while (total > cache_budget && treated_.size() > 1) {  // the longest unused goes first
    const auto oldest = std::min_element(
        treated_.begin(), treated_.end(),
        [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
    total -= oldest->second.bytes;
    treated_.erase(oldest);
  }
  return weight;
}

const WeightTreatment& WeightStore::Measure(int slot, const WeightForm& form) {
  CHECK(!form.Plain());
  const Key key{slot, FormKey(form)};
  const auto found = measured_.find(key);
  if (found != measured_.end()) return found->second;
  WeightValues values = Untreated(slot, form);
  WeightTreatment result;
  result.counts = form.treatment ? Treat(slot, form, &values) : CountChanged(Decode(slot), values);
  const Hash128 content = values.f64.empty()
                              ? HashBytes(values.f32.data(), values.f32.size() * sizeof(float))
                              : HashBytes(values.f64.data(), values.f64.size() * sizeof(double));
  const bool as_it_is =
      result.counts.changed == 0 && (!form.treatment || (!form.ones && form.folded < 0));
  result.identity = as_it_is ? Identity(slot) : Combine(Identity(slot), content);
  return measured_.emplace(key, result).first->second;
}

template <class T>
void WeightStore::EmbeddingRow(int slot, const LoadedWeight& loaded, size_t token, T* out) const {
  const TensorView& tensor = graph_.weights[static_cast<size_t>(slot)].tensor;
  const size_t k = static_cast<size_t>(tensor.Columns());
  const std::span<const std::byte> row = tensor.Row(static_cast<int64_t>(token));
  std::vector<std::byte> copy;
  if (loaded.rows && !loaded.rows->f64.empty()) {
    std::transform(loaded.rows->f64.data() + token * k, loaded.rows->f64.data() + (token + 1) * k,
                   out, [](double v) { return static_cast<T>(v); });
  } else if (loaded.rows) {
    std::copy_n(loaded.rows->f32.data() + token * k, k, out);
  } else if constexpr (sizeof(T) == 4) {
    DecodeToFloat(tensor.type, Stored(row, &copy), std::span(out, k));
  } else {
    DecodeToDouble(tensor.type, Stored(row, &copy), std::span(out, k));
  }
}

template void WeightStore::EmbeddingRow(int, const LoadedWeight&, size_t, float*) const;
template void WeightStore::EmbeddingRow(int, const LoadedWeight&, size_t, double*) const;

}  // namespace vernier
