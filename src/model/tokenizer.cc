#include "model/tokenizer.h"

#include "model/tokenizer_gguf.h"
#include "model/tokenizer_hf.h"

namespace vernier {

Result<std::unique_ptr<Tokenizer>> MakeTokenizer(const Checkpoint& checkpoint) {
  if (checkpoint.kind == CheckpointKind::kGguf) return MakeGgufTokenizer(checkpoint.metadata);
  if (checkpoint.tokenizer_json.empty()) {
    return Fail("{}: expected a tokenizer.json to tokenize text with", checkpoint.path);
  }
  return MakeHfTokenizer({.folder = checkpoint.path,
                          .tokenizer = checkpoint.tokenizer_json,
                          .config = checkpoint.config_json,
                          .tokenizer_config = checkpoint.tokenizer_config_json});
}

}  // namespace vernier
