#include "measure/capture.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "formats/decode.h"
#include "model/json.h"
#include "model/quote.h"
#include "model/safetensors.h"

namespace vernier {
namespace {

using Json = nlohmann::json;

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

size_t ElementBytes(Arithmetic type) { return type == Arithmetic::kF32 ? 4 : 8; }

size_t LongestRow(const CapturedSite& site) {
  return *std::max_element(site.widths.begin(), site.widths.end());
}

bool IsRagged(const CapturedSite& site) {
  return std::any_of(site.widths.begin(), site.widths.end(),
                     [&](size_t w) { return w != site.widths[0]; });
}

bool IsEveryToken(const CapturedSite& site, size_t tokens) {
  if (site.tokens.size() != tokens) return false;
  for (size_t r = 0; r < site.tokens.size(); ++r)
    if (site.tokens[r] != r) return false;
  return true;
}

std::string Header(const Capture& capture) {
  Json header = Json::object(), widths = Json::object(), rows = Json::object();
  uint64_t at = 0;
  for (const CapturedSite& site : capture.sites) {
    if (site.widths.empty()) continue;
    const uint64_t longest = LongestRow(site),
                   bytes = site.widths.size() * longest * ElementBytes(site.type);
    header[site.label] = {{"dtype", site.type == Arithmetic::kF32 ? "F32" : "F64"},
                          {"shape", {site.widths.size(), longest}},
                          {"data_offsets", {at, at + bytes}}};
    at += bytes;
    if (IsRagged(site)) widths[site.label] = site.widths;
    if (!IsEveryToken(site, capture.tokens.size())) rows[site.label] = site.tokens;
  }
  header["__metadata__"] = {
      {"vernier.model", capture.model},   {"vernier.hash", capture.hash},
      {"vernier.recipe", capture.recipe}, {"vernier.tokens", Json(capture.tokens).dump()},
      {"vernier.widths", widths.dump()},  {"vernier.rows", rows.dump()}};
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // data begin at a multiple of 8
  return text;
}

Status WriteSite(const CapturedSite& site, AtomicFile* file) {
  if (site.widths.empty()) return {};
  const size_t longest = LongestRow(site), element = ElementBytes(site.type);
  const std::string zeros(longest * element, '\0');
  const char* at = site.type == Arithmetic::kF32 ? reinterpret_cast<const char*>(site.f32.data())
                                                 : reinterpret_cast<const char*>(site.f64.data());
  for (const size_t width : site.widths) {
    RETURN_IF_ERROR(file->Write(at, width * element));
    RETURN_IF_ERROR(file->Write(zeros.data(), (longest - width) * element));
    at += width * element;
  }
  return {};
}

using Notes = std::map<std::string, std::string>;

// A note that holds JSON; of the kind of `otherwise`, which stands for an absent one.
Result<Json> ReadNote(const std::string& path, const Notes& notes, const char* key,
                      Json otherwise) {
  const auto found = notes.find(key);
  if (found == notes.end()) return otherwise;
  ASSIGN_OR_RETURN(Json json, ParseJson(found->second, path + ": __metadata__: " + key));
  if (json.type() != otherwise.type())
    return Fail("{}: __metadata__: {}: expected an {}", path, key, otherwise.type_name());
  return json;
}

// An array of integers from `least` to `most`.
template <class T>
Result<std::vector<T>> ReadIntegers(const std::string& where, const Json& json, int64_t least,
                                    int64_t most) {
  if (!json.is_array()) return Fail("{}: expected an array", where);
  std::vector<T> out;
  for (const Json& item : json) {
    if (!item.is_number_integer() ||
        (item.is_number_unsigned() && item.get<uint64_t>() > static_cast<uint64_t>(most)) ||
        item.get<int64_t>() < least || item.get<int64_t>() > most)
      return Fail("{}: expected integers from {} to {}, found {}", where, least, most,
                  item.dump().substr(0, 40));
    out.push_back(item.get<T>());
  }
  return out;
}

template <class T, class Decode>
void ReadRows(const TensorView& tensor, const std::vector<size_t>& widths, std::vector<T>* out,
              const Decode& decode) {
  std::vector<T> row(static_cast<size_t>(tensor.Columns()));
  for (size_t r = 0; r < widths.size(); ++r) {
    decode(tensor.type, tensor.Row(static_cast<int64_t>(r)), std::span<T>(row));
    out->insert(out->end(), row.begin(), row.begin() + static_cast<std::ptrdiff_t>(widths[r]));
  }
}

Result<CapturedSite> ReadSite(const std::string& path, const TensorView& tensor, const Json& widths,
                              const Json& rows) {
  CapturedSite out;
  const Site site = ParseSiteLabel(tensor.name);
  out.label = tensor.name;
  out.name = site.name;
  out.layer = site.layer;
  const size_t count = static_cast<size_t>(tensor.Rows());
  const std::string where = fmt::format("{}: tensor {}", path, Quote(tensor.name));
  out.widths.assign(count, static_cast<size_t>(tensor.Columns()));
  if (widths.contains(tensor.name)) {
    ASSIGN_OR_RETURN(out.widths, ReadIntegers<size_t>(where + ": vernier.widths",
                                                      widths.at(tensor.name), 1, tensor.Columns()));
  }
  for (size_t r = 0; r < count; ++r) out.tokens.push_back(static_cast<uint32_t>(r));
  if (rows.contains(tensor.name)) {
    ASSIGN_OR_RETURN(out.tokens, ReadIntegers<uint32_t>(where + ": vernier.rows",
                                                        rows.at(tensor.name), 0, INT32_MAX));
  }
  if (out.widths.size() != count || out.tokens.size() != count)
    return Fail("{}: {} rows, but __metadata__ lists {}", where, count,
                out.widths.size() != count ? out.widths.size() : out.tokens.size());
  out.type = tensor.type == TensorType::kF64 ? Arithmetic::kF64 : Arithmetic::kF32;
  if (out.type == Arithmetic::kF64) {
    ReadRows(tensor, out.widths, &out.f64, DecodeToDouble);
  } else {
    ReadRows(tensor, out.widths, &out.f32, DecodeToFloat);
  }
  return out;
}

}  // namespace

CapturedRows::CapturedRows(const CapturedSite& site) : type_(site.type), widths_(site.widths) {
  size_t at = 0;
  for (const size_t width : site.widths) {
    rows_.push_back(type_ == Arithmetic::kF32 ? static_cast<const void*>(site.f32.data() + at)
                                              : static_cast<const void*>(site.f64.data() + at));
    at += width;
  }
}

const CapturedSite* Capture::Find(std::string_view label) const {
  const auto found = std::find_if(sites.begin(), sites.end(),
                                  [&](const CapturedSite& s) { return s.label == label; });
  return found == sites.end() ? nullptr : &*found;
}

CapturedSite CaptureSite(const SiteTensor& tensor) {
  CapturedSite out;
  out.label = tensor.site->Label();
  out.name = tensor.site->name;
  out.layer = tensor.site->layer;
  out.type = tensor.type;
  out.widths = tensor.widths;
  out.tokens = tensor.tokens;
  const RowsView view{tensor.type, tensor.rows, tensor.widths};
  (out.type == Arithmetic::kF32 ? out.f32.reserve(CountElements(view))
                                : out.f64.reserve(CountElements(view)));
  for (size_t r = 0; r < tensor.rows.size(); ++r) {
    if (out.type == Arithmetic::kF32) {
      const float* row = static_cast<const float*>(tensor.rows[r]);
      out.f32.insert(out.f32.end(), row, row + tensor.widths[r]);
    } else {
      const double* row = static_cast<const double*>(tensor.rows[r]);
      out.f64.insert(out.f64.end(), row, row + tensor.widths[r]);
    }
  }
  return out;
}

Site ParseSiteLabel(const std::string& label) {
  Site site{label};
  const size_t open = label.rfind('[');
  if (open == std::string::npos || open == 0 || label.back() != ']') return site;
  int layer = -1;
  const char *first = label.data() + open + 1, *last = label.data() + label.size() - 1;
  const auto [end, error] = std::from_chars(first, last, layer);
  if (error != std::errc() || end != last || layer < 0) return site;
  return {label.substr(0, open), layer};
}

bool IsCapturePath(const std::string& path) { return path.ends_with(".safetensors"); }

Status SaveCapture(const Capture& capture, const std::string& path) {
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  const std::string header = Header(capture);
  const uint64_t length = header.size();
  RETURN_IF_ERROR(file.Write(&length, sizeof length));
  RETURN_IF_ERROR(file.Write(header));
  for (const CapturedSite& site : capture.sites) RETURN_IF_ERROR(WriteSite(site, &file));
  return file.Commit();
}

Result<Capture> LoadCapture(const std::string& path) {
  ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Open(path));
  ASSIGN_OR_RETURN(const SafetensorsFile file, ReadSafetensors(mapped));
  if (file.tensors.empty()) return Fail("{}: no tensors, expected a capture", path);
  Capture capture;
  capture.source = path;
  const auto text = [&](const char* key) {
    const auto found = file.notes.find(key);
    return found == file.notes.end() ? std::string() : found->second;
  };
  capture.model = text("vernier.model");
  capture.hash = text("vernier.hash");
  capture.recipe = text("vernier.recipe");
  ASSIGN_OR_RETURN(const Json tokens, ReadNote(path, file.notes, "vernier.tokens", Json::array()));
  ASSIGN_OR_RETURN(capture.tokens, ReadIntegers<int32_t>(path + ": __metadata__: vernier.tokens",
                                                         tokens, 0, INT32_MAX));
  ASSIGN_OR_RETURN(const Json widths, ReadNote(path, file.notes, "vernier.widths", Json::object()));
  ASSIGN_OR_RETURN(const Json rows, ReadNote(path, file.notes, "vernier.rows", Json::object()));
  for (const TensorView& tensor : file.tensors) {
    ASSIGN_OR_RETURN(CapturedSite site, ReadSite(path, tensor, widths, rows));
    capture.sites.push_back(std::move(site));
  }
  return capture;
}

}  // namespace vernier
