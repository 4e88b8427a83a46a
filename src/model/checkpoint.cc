#include "model/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/names.h"
#include "model/gguf.h"
#include "model/gguf_writer.h"
#include "model/json.h"
#include "model/quote.h"
#include "model/safetensors.h"

namespace vernier {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLongestJson = size_t{256} << 20;  // of config, tokenizer and index
constexpr int kMostParts = 65536;                   // split.count is a uint16
constexpr const char* kSplitKeys[] = {"split.no", "split.count", "split.tensors.count"};

// What describes the file and not the model.
bool IsFileKey(std::string_view key) {
  return key == "general.alignment" ||
         std::find(std::begin(kSplitKeys), std::end(kSplitKeys), key) != std::end(kSplitKeys);
}

void DropSplitKeys(Metadata* metadata) {
  std::erase_if(metadata->entries, [](const auto& entry) {
    return IsFileKey(entry.first) && entry.first != "general.alignment";
  });
}

// Takes over a file's tensors; two of a name cannot be told apart.
Status AddTensors(std::vector<TensorView> tensors, const std::string& file, Checkpoint* out) {
  for (TensorView& tensor : tensors) {
    if (!out->index.emplace(tensor.name, out->tensors.size()).second)
      return Fail("{}: tensor {} is also in another file of the model", file, Quote(tensor.name));
    out->tensors.push_back(std::move(tensor));
  }
  return {};
}

// "DIR/NAME-00002-of-00003.gguf" is "DIR/NAME" and the end below.
std::string PartEnd(int64_t part, int64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", part + 1, count);
}

// A later part repeats keys of the first or adds some; it does not contradict it.
Status MergeMetadata(const Metadata& part, Metadata* whole) {
  for (const auto& [key, value] : part.entries) {
    if (IsFileKey(key)) continue;
    const MetaValue* first = whole->Find(key);
    if (first == nullptr) {
      whole->Set(key, value);
    } else if (!(*first == value)) {
      return Fail("{}: key {} contradicts {}", part.source, Quote(key), whole->source);
    }
  }
  return {};
}

Status AddPart(const std::string& path, int64_t part, int64_t count, Checkpoint* out,
               int64_t* expected_tensors) {
  ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(path));
  ASSIGN_OR_RETURN(GgufFile file, ReadGguf(mapped));
  RETURN_IF_ERROR(file.metadata.Int("split.no", part, part));
  RETURN_IF_ERROR(file.metadata.Int("split.count", count, count));
  ASSIGN_OR_RETURN(const int64_t total, file.metadata.Int("split.tensors.count", 0));
  if (part == 0) {
    *expected_tensors = total;
    out->metadata = std::move(file.metadata);
  } else {
    if (total != *expected_tensors)
      return Fail("{}: key 'split.tensors.count': expected {} as in the first part, found {}", path,
                  *expected_tensors, total);
    RETURN_IF_ERROR(MergeMetadata(file.metadata, &out->metadata));
  }
  RETURN_IF_ERROR(AddTensors(std::move(file.tensors), path, out));
  out->files.push_back(std::move(mapped));
  return {};
}

Status OpenSplitGguf(const Metadata& opened, Checkpoint* out) {
  ASSIGN_OR_RETURN(const int64_t count, opened.Int("split.count", 2, kMostParts));
  ASSIGN_OR_RETURN(const int64_t part, opened.Int("split.no", 0, count - 1));
  const std::string end = PartEnd(part, count);
  if (!std::string_view(out->path).ends_with(end))
    return Fail("{}: part {} of {} of a split model, expected a file name that ends in {}",
                out->path, part + 1, count, end);
  const std::string base = out->path.substr(0, out->path.size() - end.size());
  int64_t expected_tensors = 0;
  for (int64_t i = 0; i < count; ++i)
    RETURN_IF_ERROR(AddPart(base + PartEnd(i, count), i, count, out, &expected_tensors));
  if (static_cast<int64_t>(out->tensors.size()) != expected_tensors)
    return Fail("{}: the {} parts have {} tensors, key 'split.tensors.count' says {}", out->path,
                count, out->tensors.size(), expected_tensors);
  DropSplitKeys(&out->metadata);
  return {};
}

Status OpenGguf(Checkpoint* out) {
  ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(out->path));
  ASSIGN_OR_RETURN(GgufFile file, ReadGguf(mapped));
  if (file.metadata.Has("split.count")) {
    ASSIGN_OR_RETURN(const int64_t count, file.metadata.Int("split.count", 0, kMostParts));
    if (count > 1) return OpenSplitGguf(file.metadata, out);
  }
  DropSplitKeys(&file.metadata);
  out->metadata = std::move(file.metadata);
  RETURN_IF_ERROR(AddTensors(std::move(file.tensors), out->path, out));
  out->files.push_back(std::move(mapped));
  return {};
}

Status AddSafetensors(const std::string& path, Checkpoint* out) {
  ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(path));
  ASSIGN_OR_RETURN(SafetensorsFile file, ReadSafetensors(mapped));
  RETURN_IF_ERROR(AddTensors(std::move(file.tensors), path, out));
  out->files.push_back(std::move(mapped));
  return {};
}

// The files the index names, each opened once in the order of their names; every tensor of the map
// must be in the file it is said to be in.
Status OpenShards(const fs::path& folder, const std::string& index_path, Checkpoint* out) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(index_path, kLongestJson));
  ASSIGN_OR_RETURN(const nlohmann::json index, ParseJsonObject(text, index_path));
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object() || map->empty())
    return Fail("{}: expected an object 'weight_map' that is not empty", index_path);
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) return Fail("{}: {}: expected a file name", index_path, Quote(tensor));
    const std::string& name = file.get_ref<const std::string&>();
    if (!IsPlainName(name, 255) || name.find('/') != std::string::npos ||
        !name.ends_with(".safetensors"))
      return Fail("{}: {}: expected the name of a .safetensors file of this folder, found {}",
                  index_path, Quote(tensor), Quote(name));
    shards[name].push_back(tensor);
  }
  for (const auto& [name, tensors] : shards) {
    const size_t before = out->tensors.size();
    const std::string path = (folder / name).string();
    RETURN_IF_ERROR(AddSafetensors(path, out));
    for (const std::string& tensor : tensors) {
      const auto found = out->index.find(tensor);
      if (found == out->index.end() || found->second < before)
        return Fail("{}: no tensor {}, which {} says is in this file", path, Quote(tensor),
                    index_path);
    }
  }
  return {};
}

// model.safetensors, or the sharded set, or the only .safetensors file there is.
Status OpenSafetensorsOf(const fs::path& folder, Checkpoint* out) {
  const std::string single = (folder / "model.safetensors").string();
  const std::string index = (folder / "model.safetensors.index.json").string();
  std::error_code error;
  const bool has_single = fs::exists(single, error), has_index = fs::exists(index, error);
  if (has_single && has_index)
    return Fail("{}: both model.safetensors and model.safetensors.index.json, expected one of them",
                out->path);
  if (has_single) return AddSafetensors(single, out);
  if (has_index) return OpenShards(folder, index, out);
  std::vector<std::string> found;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->path().extension() == ".safetensors") found.push_back(it->path().string());
  if (error) return Fail("{}: {}", out->path, error.message());
  if (found.size() == 1) return AddSafetensors(found[0], out);
  return Fail(
      "{}: {} .safetensors files, expected model.safetensors or "
      "model.safetensors.index.json",
      out->path, found.size());
}

Status OpenFolder(Checkpoint* out) {
  const fs::path folder = out->path;
  out->kind = CheckpointKind::kHuggingFace;
  out->metadata.source = out->path;
  const std::string config = (folder / "config.json").string();
  const std::string tokenizer = (folder / "tokenizer.json").string();
  ASSIGN_OR_RETURN(out->config_json, ReadText(config, kLongestJson));
  out->config_json = WithoutInfinity(out->config_json);
  RETURN_IF_ERROR(ParseJsonObject(out->config_json, config));
  std::error_code error;
  if (fs::exists(tokenizer, error)) {
    ASSIGN_OR_RETURN(out->tokenizer_json, ReadText(tokenizer, kLongestJson));
  }
  const std::string tokenizer_config = (folder / "tokenizer_config.json").string();
  if (fs::exists(tokenizer_config, error)) {
    ASSIGN_OR_RETURN(out->tokenizer_config_json, ReadText(tokenizer_config, kLongestJson));
  }
  return OpenSafetensorsOf(folder, out);
}

Hash128 HashOfTensor(const TensorView& tensor) {
  Hash128 hash = HashText(tensor.name);
  hash = Combine(hash, static_cast<uint64_t>(tensor.type));
  hash = Combine(hash, tensor.shape.size());
  for (const int64_t size : tensor.shape) hash = Combine(hash, static_cast<uint64_t>(size));
  return Combine(hash, HashBytes(tensor.data.data(), tensor.data.size()));
}

}  // namespace

const TensorView* Checkpoint::Find(std::string_view name) const {
  const auto found = index.find(name);
  return found == index.end() ? nullptr : &tensors[found->second];
}

Result<const TensorView*> Checkpoint::Get(std::string_view name,
                                          const std::vector<int64_t>& shape) const {
  const TensorView* tensor = Find(name);
  if (tensor == nullptr) {
    std::vector<std::string> names;
    for (const auto& entry : index) names.push_back(entry.first);
    return Fail("{}: no tensor {}{}", path, Quote(name), DidYouMean(name, names));
  }
  if (tensor->shape != shape) {
    const bool swapped =
        shape.size() == 2 && tensor->shape == std::vector<int64_t>{shape[1], shape[0]};
    return Fail("{}: tensor {}: shape {}, expected {}{}", path, Quote(name),
                ShapeText(tensor->shape), ShapeText(shape),
                swapped ? "; rows and columns look swapped" : "");
  }
  return tensor;
}

uint64_t Checkpoint::TensorBytes() const {
  uint64_t bytes = 0;
  for (const TensorView& tensor : tensors) bytes += tensor.data.size();
  return bytes;
}

Result<Checkpoint> OpenCheckpoint(const std::string& path) {
  Checkpoint out;
  out.path = path;
  std::error_code error;
  const bool folder = fs::is_directory(path, error);
  if (!folder && path.ends_with(".safetensors"))
    return Fail("{}: expected a .gguf file or the folder this file is in (with config.json)", path);
  if (folder) {
    RETURN_IF_ERROR(OpenFolder(&out));
  } else {
    RETURN_IF_ERROR(OpenGguf(&out));
  }
  return out;
}

// Keys and tensors are taken in the order of their names, because splitting, sharding and
// converters reorder them.
Hash128 ContentHash(const Checkpoint& checkpoint, const ProgressSink& progress) {
  Hash128 hash = HashText(checkpoint.kind == CheckpointKind::kGguf ? "gguf" : "hugging-face");
  std::map<std::string_view, const MetaValue*> values;
  for (const auto& [key, value] : checkpoint.metadata.entries)
    if (!IsFileKey(key)) values.emplace(key, &value);
  hash = Combine(hash, values.size());
  for (const auto& [key, value] : values) {
    std::string bytes;
    AppendGgufValue(*value, &bytes);
    hash = Combine(hash, HashText(key));
    hash = Combine(hash, static_cast<uint64_t>(value->type));
    hash = Combine(hash, HashText(bytes));
  }
  hash = Combine(hash, HashText(checkpoint.config_json));
  hash = Combine(hash, HashText(checkpoint.tokenizer_json));
  hash = Combine(hash, HashText(checkpoint.tokenizer_config_json));
  const double total = static_cast<double>(checkpoint.TensorBytes()) / 1e6;
  double done = 0;
  for (const auto& [name, position] : checkpoint.index) {
    const TensorView& tensor = checkpoint.tensors[position];
    hash = Combine(hash, HashOfTensor(tensor));
    for (const MappedFile& file : checkpoint.files) file.Release(tensor.data);
    done += static_cast<double>(tensor.data.size()) / 1e6;
    if (progress) progress({"hashing the model", done, total, "MB"});
  }
  return hash;
}

}  // namespace vernier
