// UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#ifndef VERNIER_MODEL_UTF8_H_
#define VERNIER_MODEL_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace vernier {

// Bytes of the character that starts at `position`; 0 when no well-formed character starts there.
inline size_t Utf8Length(std::string_view text, size_t position) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[position + i]); };
  const size_t left = text.size() - position;
  const auto continues = [&](size_t i) { return (at(i) & 0xc0) == 0x80; };
  const unsigned char first = at(0);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  if (first < 0xe0) return left >= 2 && continues(1) ? 2 : 0;
  if (first < 0xf0) {
    if (left < 3 || !continues(1) || !continues(2)) return 0;
    if (first == 0xe0 && at(1) < 0xa0) return 0;  // overlong
    if (first == 0xed && at(1) > 0x9f) return 0;  // surrogate
    return 3;
  }
  if (left < 4 || !continues(1) || !continues(2) || !continues(3)) return 0;
  if (first == 0xf0 && at(1) < 0x90) return 0;  // overlong
  if (first == 0xf4 && at(1) > 0x8f) return 0;  // above U+10FFFF
  return 4;
}

// The code point of a well-formed character of `length` bytes.
inline uint32_t Utf8CodePoint(std::string_view text, size_t position, size_t length) {
  const auto at = [&](size_t i) { return static_cast<uint32_t>(text[position + i]) & 0xff; };
  if (length == 1) return at(0);
  uint32_t code = at(0) & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) code = code << 6 | (at(i) & 0x3f);
  return code;
}

// Appends a code point below U+0800, which is all the byte-level alphabet needs.
inline void AppendShortUtf8(uint32_t code, std::string& out) {
  if (code < 0x80) {
    out.push_back(static_cast<char>(code));
  } else {
    out.push_back(static_cast<char>(0xc0 | code >> 6));
    out.push_back(static_cast<char>(0x80 | (code & 0x3f)));
  }
}

}  // namespace vernier

#endif  // VERNIER_MODEL_UTF8_H_
