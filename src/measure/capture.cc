#include "measure/capture.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/file.h"
#include "formats/decode.h"
#include "model/json.h"
#include "model/npy.h"
#include "model/quote.h"
#include "model/safetensors.h"
#include "model/zip.h"

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

using Notes = std::map<std::string, std::string>;

Notes MakeNotes(const Capture& capture) {
  Json widths = Json::object(), rows = Json::object();
  for (const CapturedSite& site : capture.sites) {
    if (site.widths.empty()) continue;
    if (IsRagged(site)) widths[site.label] = site.widths;
    if (!IsEveryToken(site, capture.tokens.size())) rows[site.label] = site.tokens;
  }
  Notes notes = {
      {"vernier.model", capture.model},   {"vernier.hash", capture.hash},
      {"vernier.recipe", capture.recipe}, {"vernier.tokens", Json(capture.tokens).dump()},
      {"vernier.widths", widths.dump()},  {"vernier.rows", rows.dump()}};
  if (!capture.weights.empty()) notes["vernier.weights"] = Json(capture.weights).dump();
  if (capture.rope)
    notes["vernier.rope"] = Json{
        {"layout", RopeLayoutName(capture.rope->layout)},
        {"head_dim", capture.rope->head_dim},
        {"rotated", capture.rope->rotated},
        {"sites",
         capture.rope->sites}}.dump();
  return notes;
}

std::string Header(const Capture& capture) {
  Json header = Json::object();
  uint64_t at = 0;
  for (const CapturedSite& site : capture.sites) {
    if (site.widths.empty()) continue;
    const uint64_t longest = LongestRow(site),
                   bytes = site.widths.size() * longest * ElementBytes(site.type);
    header[site.label] = {{"dtype", site.type == Arithmetic::kF32 ? "F32" : "F64"},
                          {"shape", {site.widths.size(), longest}},
                          {"data_offsets", {at, at + bytes}}};
    at += bytes;
  }
  header["__metadata__"] = MakeNotes(capture);
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
  out.step = tensor.type == TensorType::kF16    ? 0x1p-11
             : tensor.type == TensorType::kBF16 ? 0x1p-8
                                                : 0;
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

CapturedSite RowsOf(const CapturedSite& site, const std::vector<uint32_t>& tokens) {
  CapturedSite out{site.label, site.name, site.layer, site.type, {}, tokens, {}, {}, site.step};
  size_t row = 0, at = 0;
  for (const uint32_t token : tokens) {
    while (row < site.tokens.size() && site.tokens[row] != token) at += site.widths[row++];
    CHECK(row < site.tokens.size());
    const size_t width = site.widths[row];
    const auto first = static_cast<std::ptrdiff_t>(at),
               last = static_cast<std::ptrdiff_t>(at + width);
    if (site.type == Arithmetic::kF32) {
      out.f32.insert(out.f32.end(), site.f32.begin() + first, site.f32.begin() + last);
    } else {
      out.f64.insert(out.f64.end(), site.f64.begin() + first, site.f64.begin() + last);
    }
    out.widths.push_back(width);
  }
  return out;
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

CaptureKind KindOfCapture(const std::string& path) {
  static constexpr std::pair<const char*, CaptureKind> kEndings[] = {
      {".safetensors", CaptureKind::kTensors},
      {".npz", CaptureKind::kTensors},
      {".npy", CaptureKind::kNpy},
      {".txt", CaptureKind::kPrinted},
      {".log", CaptureKind::kPrinted},
      {".bin", CaptureKind::kBinary},
      {".kld", CaptureKind::kKld}};
  for (const auto& [ending, kind] : kEndings)
    if (path.ends_with(ending)) return kind;
  return CaptureKind::kNone;
}

namespace {

// The tensors of a file of either kind, and what they lie in.
struct TensorFile {
  std::optional<MappedFile> mapped;
  std::vector<std::vector<std::byte>> unpacked;
  std::vector<TensorView> tensors;
  Notes notes;
};

constexpr const char* kNotesMember = "vernier.json";

Status ReadNotes(std::span<const std::byte> bytes, const std::string& source, Notes* notes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  ASSIGN_OR_RETURN(const Json json, ParseJsonObject(text, source));
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) return Fail("{}: {}: expected a string", source, Quote(key));
    (*notes)[key] = value.get<std::string>();
  }
  return {};
}

Status ReadArray(const ZipMember& member, const std::string& path, TensorFile* out) {
  const std::string source = fmt::format("{}: {}", path, Quote(member.name));
  if (!member.name.ends_with(".npy")) return {};
  ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, Unpack(member, path));
  ASSIGN_OR_RETURN(const NpyArray array, ReadNpy(bytes, source));
  if (array.kind != 'f') return Fail("{}: expected floats", source);
  TensorView view;
  view.name = member.name.substr(0, member.name.size() - 4);
  view.type = array.element_bytes == 2   ? TensorType::kF16
              : array.element_bytes == 4 ? TensorType::kF32
                                         : TensorType::kF64;
  view.shape.assign(array.shape.begin(), array.shape.end());
  if (view.shape.empty()) view.shape = {1};
  const auto size = TensorByteSize(view.type, view.shape);
  if (!size) return Fail("{}: {}", source, size.error().message);
  out->unpacked.push_back(array.InOrder());
  view.data = out->unpacked.back();
  out->tensors.push_back(std::move(view));
  return {};
}

Result<TensorFile> OpenTensors(const std::string& path) {
  TensorFile out;
  ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(path));
  if (!path.ends_with(".npz")) {
    ASSIGN_OR_RETURN(SafetensorsFile file, ReadSafetensors(mapped));
    out.tensors = std::move(file.tensors);
    out.notes = std::move(file.notes);
    out.mapped = std::move(mapped);
    return out;
  }
  ASSIGN_OR_RETURN(const std::vector<ZipMember> members, ReadZip(mapped));
  for (const ZipMember& member : members) {
    if (member.name == kNotesMember) {
      ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, Unpack(member, path));
      RETURN_IF_ERROR(ReadNotes(bytes, path + ": " + kNotesMember, &out.notes));
    } else {
      RETURN_IF_ERROR(ReadArray(member, path, &out));
    }
  }
  return out;
}

Result<std::optional<RopeOrder>> ReadRope(const std::string& path, const Notes& notes) {
  if (!notes.contains("vernier.rope")) return std::nullopt;
  ASSIGN_OR_RETURN(const Json json, ReadNote(path, notes, "vernier.rope", Json::object()));
  const auto bad = [&] {
    return Fail("{}: __metadata__: vernier.rope: expected layout, head_dim, rotated and sites",
                path);
  };
  const auto count = [&](const char* key) {
    return json.contains(key) && json.at(key).is_number_unsigned() &&
                   json.at(key).get<uint64_t>() <= INT32_MAX
               ? json.at(key).get<size_t>()
               : 0;
  };
  if (!json.contains("layout") || !json.at("layout").is_string() || !json.contains("sites") ||
      !json.at("sites").is_array())
    return bad();
  RopeOrder out;
  const auto layout = FindRopeLayout(json.at("layout").get<std::string>());
  out.head_dim = count("head_dim");
  out.rotated = count("rotated");
  if (!layout || out.head_dim == 0 || out.rotated > out.head_dim) return bad();
  out.layout = *layout;
  for (const Json& site : json.at("sites")) {
    if (!site.is_string()) return bad();
    out.sites.push_back(site.get<std::string>());
  }
  std::sort(out.sites.begin(), out.sites.end());
  return out;
}

Status SaveNpz(const Capture& capture, const std::string& path) {
  ASSIGN_OR_RETURN(ZipWriter zip, ZipWriter::Create(path));
  const auto add = [&](const std::string& name, const std::string& head,
                       std::span<const std::byte> data) {
    const std::span<const std::byte> pieces[] = {std::as_bytes(std::span(head)), data};
    return zip.Add(name, pieces);
  };
  for (const CapturedSite& site : capture.sites) {
    if (site.widths.empty()) continue;
    const size_t shape[] = {site.widths.size(), LongestRow(site)},
                 element = ElementBytes(site.type);
    std::vector<std::byte> rows(shape[0] * shape[1] * element);
    const CapturedRows values(site);
    for (size_t r = 0; r < shape[0]; ++r)
      std::memcpy(rows.data() + r * shape[1] * element, values.view().rows[r],
                  site.widths[r] * element);
    RETURN_IF_ERROR(add(site.label + ".npy",
                        NpyHeader(site.type == Arithmetic::kF32 ? "<f4" : "<f8", shape), rows));
  }
  const std::string notes =
      Json(MakeNotes(capture)).dump(-1, ' ', false, Json::error_handler_t::replace);
  RETURN_IF_ERROR(add(kNotesMember, notes, {}));
  return zip.Finish();
}

}  // namespace

Status SaveCapture(const Capture& capture, const std::string& path) {
  if (path.ends_with(".npz")) return SaveNpz(capture, path);
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  const std::string header = Header(capture);
  const uint64_t length = header.size();
  RETURN_IF_ERROR(file.Write(&length, sizeof length));
  RETURN_IF_ERROR(file.Write(header));
  for (const CapturedSite& site : capture.sites) RETURN_IF_ERROR(WriteSite(site, &file));
  return file.Commit();
}

Result<bool> IsOwnCapture(const std::string& path) {
  ASSIGN_OR_RETURN(const TensorFile file, OpenTensors(path));
  return file.notes.contains("vernier.tokens");
}

Result<Capture> LoadCapture(const std::string& path) {
  ASSIGN_OR_RETURN(const TensorFile file, OpenTensors(path));
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
  ASSIGN_OR_RETURN(capture.rope, ReadRope(path, file.notes));
  ASSIGN_OR_RETURN(const Json weights,
                   ReadNote(path, file.notes, "vernier.weights", Json::object()));
  for (const auto& [name, type] : weights.items()) {
    if (!type.is_string() || FindTensorType(type.get<std::string>()) == nullptr)
      return Fail("{}: __metadata__: vernier.weights: {}: expected a type", path, Quote(name));
    capture.weights[name] = type.get<std::string>();
  }
  for (const TensorView& tensor : file.tensors) {
    ASSIGN_OR_RETURN(CapturedSite site, ReadSite(path, tensor, widths, rows));
    if (capture.rope && capture.rope->Has(site.name) &&
        std::any_of(site.widths.begin(), site.widths.end(),
                    [&](size_t w) { return w % capture.rope->head_dim != 0; }))
      return Fail(
          "{}: tensor {}: rows are not whole heads of {} elements, as vernier.rope has them", path,
          Quote(tensor.name), capture.rope->head_dim);
    capture.sites.push_back(std::move(site));
  }
  return capture;
}

std::map<std::string, std::string> WeightTypes(const Graph& graph) {
  std::map<std::string, std::string> out;
  for (const WeightSlot& slot : graph.weights) out[slot.name] = Info(slot.tensor.type).name;
  return out;
}

void ToLayout(RopeLayout wanted, Capture* capture) {
  if (!capture->rope || capture->rope->layout == wanted) return;
  for (CapturedSite& site : capture->sites) {
    if (!capture->rope->Has(site.name) || site.widths.empty() || IsRagged(site)) continue;
    const std::vector<size_t> order = ElementOrder(wanted, *capture->rope, site.widths[0]);
    Reorder(order, &site.f32);
    Reorder(order, &site.f64);
  }
  capture->rope->layout = wanted;
}

}  // namespace vernier
