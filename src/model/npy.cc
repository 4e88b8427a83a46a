#include "model/npy.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>

namespace vernier {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are read as they lie");

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMostDimensions = 32, kAlignment = 64;

// The header's dictionary, read as far as numpy writes it.
struct Dictionary {
  std::string_view text;
  size_t at = 0;

  void Skip() {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\n')) ++at;
  }
  bool Take(char c) {
    Skip();
    if (at >= text.size() || text[at] != c) return false;
    ++at;
    return true;
  }
  std::optional<std::string> String() {
    Skip();
    if (at >= text.size() || (text[at] != '\'' && text[at] != '"')) return std::nullopt;
    const size_t end = text.find(text[at], at + 1);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string out(text.substr(at + 1, end - at - 1));
    at = end + 1;
    return out;
  }
  std::optional<bool> Bool() {
    Skip();
    for (const auto& [word, value] : {std::pair{"True", true}, {"False", false}})
      if (text.substr(at).starts_with(word)) {
        at += std::strlen(word);
        return value;
      }
    return std::nullopt;
  }
  std::optional<std::vector<size_t>> Tuple() {
    std::vector<size_t> out;
    if (!Take('(')) return std::nullopt;
    while (!Take(')')) {
      Skip();
      size_t value = 0;
      const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), value);
      if (error != std::errc() || out.size() == kMostDimensions) return std::nullopt;
      at = static_cast<size_t>(end - text.data());
      out.push_back(value);
      if (!Take(',')) {
        if (!Take(')')) return std::nullopt;
        break;
      }
    }
    return out;
  }
};

struct Header {
  std::optional<std::string> descr;
  std::optional<bool> fortran;
  std::optional<std::vector<size_t>> shape;
};

std::optional<Header> ParseHeader(std::string_view text) {
  Dictionary d{text};
  Header out;
  if (!d.Take('{')) return std::nullopt;
  while (!d.Take('}')) {
    const auto key = d.String();
    if (!key || !d.Take(':')) return std::nullopt;
    if (*key == "descr" && !out.descr) {
      out.descr = d.String();
      if (!out.descr) return std::nullopt;
    } else if (*key == "fortran_order" && !out.fortran) {
      out.fortran = d.Bool();
      if (!out.fortran) return std::nullopt;
    } else if (*key == "shape" && !out.shape) {
      out.shape = d.Tuple();
      if (!out.shape) return std::nullopt;
    } else {
      return std::nullopt;
    }
    if (!d.Take(',')) {
      if (!d.Take('}')) return std::nullopt;
      break;
    }
  }
  d.Skip();
  if (d.at != text.size() || !out.descr || !out.fortran || !out.shape) return std::nullopt;
  return out;
}

Status ReadType(const std::string& descr, const std::string& source, NpyArray* out) {
  static constexpr std::string_view kTypes[] = {"<f2", "<f4", "<f8", "|i1", "<i2", "<i4",
                                                "<i8", "|u1", "<u2", "<u4", "<u8", "|b1"};
  if (std::find(std::begin(kTypes), std::end(kTypes), descr) == std::end(kTypes))
    return Fail("{}: type '{}', expected little-endian floats or integers such as '<f4'", source,
                descr.substr(0, 40));
  out->kind = descr[1];
  out->element_bytes = static_cast<size_t>(descr[2] - '0');
  return {};
}

}  // namespace

size_t NpyArray::Elements() const {
  size_t count = 1;
  for (const size_t n : shape) count *= n;
  return count;
}

std::vector<std::byte> NpyArray::InOrder() const {
  std::vector<std::byte> out(data.size());
  if (!fortran) {
    std::copy(data.begin(), data.end(), out.begin());
    return out;
  }
  // Walks the elements as they lie: index counts up from the first dimension.
  std::vector<size_t> index(shape.size());
  for (size_t from = 0; from < Elements(); ++from) {
    size_t to = 0;
    for (size_t d = 0; d < shape.size(); ++d) to = to * shape[d] + index[d];
    std::memcpy(out.data() + to * element_bytes, data.data() + from * element_bytes, element_bytes);
    for (size_t d = 0; d < shape.size() && ++index[d] == shape[d]; ++d) index[d] = 0;
  }
  return out;
}

std::vector<int64_t> NpyArray::Integers() const {
  CHECK(kind != 'f');
  const std::vector<std::byte> bytes = InOrder();
  std::vector<int64_t> out;
  for (size_t at = 0; at < bytes.size(); at += element_bytes) {
    uint64_t bits = 0;
    std::memcpy(&bits, bytes.data() + at, element_bytes);
    const unsigned unused = static_cast<unsigned>(64 - 8 * element_bytes);
    const auto widened = static_cast<int64_t>(bits << unused) >> unused;
    constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
    out.push_back(kind == 'i' ? widened : static_cast<int64_t>(std::min(bits, kMost)));
  }
  return out;
}

Result<NpyArray> ReadNpy(std::span<const std::byte> bytes, const std::string& source) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kMagic) || text.size() < 12)
    return Fail("{}: no .npy array, or cut short", source);
  const int version = text[6];
  if (version < 1 || version > 3)
    return Fail("{}: .npy version {}, expected 1 to 3", source, version);
  const auto at = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(text[i])); };
  const size_t start = version == 1 ? 10 : 12;
  const size_t length =
      version == 1 ? at(8) | at(9) << 8 : at(8) | at(9) << 8 | at(10) << 16 | at(11) << 24;
  if (text.size() - start < length)
    return Fail("{}: header of {} bytes, but only {} are there", source, length,
                text.size() - start);
  const auto header = ParseHeader(text.substr(start, length));
  if (!header)
    return Fail("{}: header: expected {{'descr': ..., 'fortran_order': ..., 'shape': ...}}",
                source);
  NpyArray out;
  RETURN_IF_ERROR(ReadType(*header->descr, source, &out));
  out.shape = *header->shape;
  out.fortran = *header->fortran;
  out.data = bytes.subspan(start + length);
  size_t left = out.data.size() / out.element_bytes, wanted = 1;
  for (const size_t n : out.shape) {
    if (n != 0 && wanted > left / n) return Fail("{}: cut short, or a wrong shape", source);
    wanted *= n;
  }
  if (wanted * out.element_bytes != out.data.size())
    return Fail("{}: {} bytes of data, but its shape takes {}", source, out.data.size(),
                wanted * out.element_bytes);
  return out;
}

std::string NpyHeader(const std::string& descr, std::span<const size_t> shape) {
  std::string dimensions;
  for (const size_t n : shape) dimensions += std::to_string(n) + ", ";
  if (shape.size() > 1) dimensions.resize(dimensions.size() - 2);
  if (shape.size() == 1) dimensions.pop_back();
  std::string dictionary =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, dimensions);
  constexpr size_t kBefore = 10;  // magic, version, length
  const size_t whole = (kBefore + dictionary.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  dictionary.resize(whole - kBefore - 1, ' ');
  dictionary += '\n';
  std::string out(kMagic);
  out += '\1';
  out += '\0';
  out += static_cast<char>(dictionary.size() & 0xff);
  out += static_cast<char>(dictionary.size() >> 8 & 0xff);
  return out + dictionary;
}

}  // namespace vernier
