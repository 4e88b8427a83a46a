#include "measure/capture_foreign.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "base/file.h"
#include "formats/decode.h"
#include "measure/capture_text.h"
#include "model/npy.h"
#include "model/quote.h"
#include "model/safetensors.h"
#include "model/zip.h"

namespace vernier {
namespace {

constexpr double kF16Step = 0x1p-11, kBF16Step = 0x1p-8;
constexpr double kSixDigits = 5e-6;  // as C++ streams print numbers
constexpr const char* kTokenNames[] = {"tokens", "input_ids", "ids"};

void Decode(TensorType type, std::span<const std::byte> bytes, size_t count, ForeignTensor* out) {
  out->step = type == TensorType::kF16 ? kF16Step : type == TensorType::kBF16 ? kBF16Step : 0;
  if (type == TensorType::kF64) {
    out->type = Arithmetic::kF64;
    out->f64.resize(count);
    DecodeToDouble(type, bytes, out->f64);
  } else {
    out->f32.resize(count);
    DecodeToFloat(type, bytes, out->f32);
  }
}

// A float array as a tensor, or integers as the token ids.
Status TakeArray(const NpyArray& array, const std::string& name, const std::string& source,
                 ForeignCapture* out) {
  const bool ids =
      std::find(std::begin(kTokenNames), std::end(kTokenNames), name) != std::end(kTokenNames);
  if (array.kind != 'f') {
    if (!ids) {
      out->notes.push_back(fmt::format("{}: integers, not read", Quote(name)));
      return {};
    }
    for (const int64_t id : array.Integers()) {
      if (id < 0 || id > std::numeric_limits<int32_t>::max())
        return Fail("{}: expected token ids, found {}", source, id);
      out->tokens.push_back(static_cast<int32_t>(id));
    }
    return {};
  }
  if (array.Elements() == 0) return Fail("{}: an array without elements", source);
  const TensorType type = array.element_bytes == 2   ? TensorType::kF16
                          : array.element_bytes == 4 ? TensorType::kF32
                                                     : TensorType::kF64;
  ForeignTensor tensor;
  tensor.name = name;
  tensor.shape = array.shape.empty() ? std::vector<size_t>{1} : array.shape;
  Decode(type, array.InOrder(), array.Elements(), &tensor);
  out->tensors.push_back(std::move(tensor));
  return {};
}

std::string Stem(const std::string& path) { return std::filesystem::path(path).stem().string(); }

// "0: -1.25" on each line, from 0 on.
std::optional<ForeignTensor> ParseSavedLogits(std::string_view text) {
  ForeignTensor out;
  out.step = kSixDigits;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const char *p = text.data() + at, *last = text.data() + end;
    size_t index = 0;
    float value = 0;
    const auto [colon, bad] = std::from_chars(p, last, index);
    if (bad != std::errc() || index != out.f32.size() || last - colon < 3 || colon[0] != ':' ||
        colon[1] != ' ')
      return std::nullopt;
    const auto [stop, wrong] = std::from_chars(colon + 2, last, value);
    if (wrong != std::errc() || stop != last) return std::nullopt;
    out.f32.push_back(value);
    at = end + 1;
  }
  out.shape = {out.f32.size()};
  return out.f32.empty() ? std::nullopt : std::optional(std::move(out));
}

// llama-debug writes STEM.bin, STEM.txt and STEM-tokens.bin.
Status ReadTokensBeside(const std::string& path, ForeignCapture* out) {
  const std::filesystem::path file(path);
  std::string stem = file.stem().string();
  const std::string beside = (file.parent_path() / (stem + "-tokens.bin")).string();
  if (!std::filesystem::is_regular_file(beside)) return {};
  ASSIGN_OR_RETURN(const std::string bytes, ReadText(beside));
  if (bytes.empty() || bytes.size() % sizeof(int32_t) != 0)
    return Fail("{}: {} bytes, expected int32 token ids", beside, bytes.size());
  out->tokens.resize(bytes.size() / sizeof(int32_t));
  std::memcpy(out->tokens.data(), bytes.data(), bytes.size());
  for (const int32_t id : out->tokens)
    if (id < 0) return Fail("{}: expected token ids, found {}", beside, id);
  return {};
}

// What the saved numbers are: llama-debug's file name says.
void NameSaved(const std::string& path, ForeignTensor* tensor) {
  tensor->name = Stem(path).ends_with("-embeddings") ? "result_norm" : "result_output";
}

}  // namespace

size_t ForeignTensor::Elements() const {
  size_t count = 1;
  for (const size_t n : shape) count *= n;
  return count;
}

Result<ForeignCapture> ReadForeignNpy(const std::string& path) {
  ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  ASSIGN_OR_RETURN(const NpyArray array, ReadNpy(file.bytes(), path));
  if (array.kind != 'f') return Fail("{}: expected an array of floats", path);
  ForeignCapture out;
  out.source = path;
  RETURN_IF_ERROR(TakeArray(array, Stem(path), path, &out));
  return out;
}

Result<ForeignCapture> ReadForeignNpz(const std::string& path) {
  ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  ASSIGN_OR_RETURN(const std::vector<ZipMember> members, ReadZip(file));
  ForeignCapture out;
  out.source = path;
  for (const ZipMember& member : members) {
    if (!member.name.ends_with(".npy")) {
      out.notes.push_back(fmt::format("{}: no .npy array, not read", Quote(member.name)));
      continue;
    }
    const std::string name = member.name.substr(0, member.name.size() - 4);
    const std::string source = fmt::format("{}: {}", path, Quote(member.name));
    ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, Unpack(member, path));
    ASSIGN_OR_RETURN(const NpyArray array, ReadNpy(bytes, source));
    RETURN_IF_ERROR(TakeArray(array, name, source, &out));
  }
  if (out.tensors.empty()) return Fail("{}: no arrays of floats", path);
  return out;
}

Result<ForeignCapture> ReadForeignSafetensors(const std::string& path) {
  ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Open(path));
  ASSIGN_OR_RETURN(const SafetensorsFile file, ReadSafetensors(mapped));
  if (file.tensors.empty()) return Fail("{}: no tensors, expected a capture", path);
  ForeignCapture out;
  out.source = path;
  for (const TensorView& view : file.tensors) {
    ForeignTensor tensor;
    tensor.name = view.name;
    tensor.shape.assign(view.shape.begin(), view.shape.end());
    Decode(view.type, view.data, static_cast<size_t>(view.Elements()), &tensor);
    out.tensors.push_back(std::move(tensor));
  }
  return out;
}

Result<ForeignCapture> ReadForeignText(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(path));
  auto logits = ParseSavedLogits(text);
  if (!logits) return ParseDebugText(text, path);
  ForeignCapture out;
  out.source = path;
  NameSaved(path, &*logits);
  out.tensors.push_back(std::move(*logits));
  RETURN_IF_ERROR(ReadTokensBeside(path, &out));
  return out;
}

Result<ForeignCapture> ReadForeignBinary(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadText(path));
  if (bytes.empty() || bytes.size() % sizeof(float) != 0)
    return Fail("{}: {} bytes, expected float32 numbers", path, bytes.size());
  ForeignTensor tensor;
  tensor.f32.resize(bytes.size() / sizeof(float));
  std::memcpy(tensor.f32.data(), bytes.data(), bytes.size());
  tensor.shape = {tensor.f32.size()};
  NameSaved(path, &tensor);
  ForeignCapture out;
  out.source = path;
  out.tensors.push_back(std::move(tensor));
  RETURN_IF_ERROR(ReadTokensBeside(path, &out));
  return out;
}

}  // namespace vernier
