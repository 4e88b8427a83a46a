// Names out of untrusted files, made fit for a one-line message.
#ifndef VERNIER_MODEL_QUOTE_H_
#define VERNIER_MODEL_QUOTE_H_

#include <string>
#include <string_view>

namespace vernier {

// 'name': in single quotes, control characters and quotes as \xHH, cut after 100 bytes.
std::string Quote(std::string_view name);

// Whether the bytes can serve as a key or tensor name: not empty, at most `most` bytes, no control
// characters.
bool IsPlainName(std::string_view name, size_t most);

}  // namespace vernier

#endif  // VERNIER_MODEL_QUOTE_H_
