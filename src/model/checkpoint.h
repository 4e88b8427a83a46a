// A model as it lies on disk: a GGUF file (or a set of split ones) or a Hugging Face folder.
// Nothing is decoded or guessed here: tensors keep the names and dimension order of their file,
// metadata its keys; arch/ gives them meaning.
#ifndef VERNIER_MODEL_CHECKPOINT_H_
#define VERNIER_MODEL_CHECKPOINT_H_

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "base/progress.h"
#include "base/result.h"
#include "model/metadata.h"
#include "model/tensor.h"

namespace vernier {

enum class CheckpointKind { kGguf, kHuggingFace };

struct Checkpoint {
  CheckpointKind kind = CheckpointKind::kGguf;
  std::string path;            // as the user gave it
  Metadata metadata;           // GGUF: its key-values, those of the first part first; without the
                               // split.* keys that describe the files. Hugging Face: empty
  std::string config_json;     // Hugging Face: the text of config.json
  std::string tokenizer_json;  // Hugging Face: the text of tokenizer.json; empty when there is none
  std::string tokenizer_config_json;                 // the same of tokenizer_config.json
  std::vector<TensorView> tensors;                   // in file order; names unique
  std::vector<MappedFile> files;                     // what the views point into
  std::map<std::string, size_t, std::less<>> index;  // name -> position in tensors

  const TensorView* Find(std::string_view name) const;  // null when absent
  // Error "PATH: no tensor 'NAME'" with the nearest name, or one naming the shape found and the
  // shape expected.
  Result<const TensorView*> Get(std::string_view name, const std::vector<int64_t>& shape) const;
  uint64_t TensorBytes() const;
};

// Opens PATH: a GGUF file (any part NAME-00001-of-00003.gguf of a split set opens the whole set) or
// a folder with config.json (a JSON object) and model.safetensors, or the files that
// model.safetensors.index.json names, or a single *.safetensors. Every count, offset and size is
// checked against the file before it is used; errors name the file, the key or tensor and the
// offset. Cheap: tensor data is mapped, not read.
Result<Checkpoint> OpenCheckpoint(const std::string& path);

// Identity of the model's content: metadata (config and tokenizer text) and every tensor's name,
// type, shape and bytes, whatever the file's name, split, shards, order or alignment. Reads all
// tensor data once; `progress` (may be empty) is told, and cannot stop it.
Hash128 ContentHash(const Checkpoint& checkpoint, const ProgressSink& progress = {});

}  // namespace vernier

#endif  // VERNIER_MODEL_CHECKPOINT_H_
