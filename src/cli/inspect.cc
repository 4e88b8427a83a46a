// vernier inspect: what is in a model file.
#include <algorithm>
#include <map>
#include <optional>

#include "arch/architecture.h"
#include "base/names.h"
#include "base/parallel.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "formats/decode.h"
#include "formats/treatment.h"
#include "model/json.h"
#include "report/table.h"

namespace vernier {
namespace {

constexpr size_t kShownElements = 8;  // of an array of the metadata
constexpr size_t kShownBytes = 400;   // of a string

struct InspectOptions {
  std::string model, exact;
  OutputOptions output;
  int threads = 0;
};

struct Inspected {
  const Checkpoint* checkpoint;
  std::string architecture;
  std::optional<std::vector<NamedConstant>> constants;
  std::string why_not;  // they could not be read
  std::string hash;
  std::vector<std::string> formats;          // asked for by --exact
  std::vector<std::vector<uint64_t>> exact;  // by tensor and format: elements it holds exactly
};

OrderedJson ToJson(const MetaValue& value, bool whole);

OrderedJson ToJson(const MetaArray& array, bool whole) {
  OrderedJson json = OrderedJson::array();
  for (const MetaValue& value : array.values) {
    if (!whole && json.size() == kShownElements)
      return {{"type", MetaTypeName(array.type)}, {"length", array.values.size()}, {"first", json}};
    json.push_back(ToJson(value, whole));
  }
  return json;
}

OrderedJson ToJson(const MetaValue& value, bool whole) {
  return std::visit(
      [&](const auto& v) -> OrderedJson {
        using V = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<V, MetaArray>) {
          return ToJson(v, whole);
        } else if constexpr (std::is_same_v<V, std::string>) {
          return v.size() <= kShownBytes ? v : v.substr(0, kShownBytes) + "...";
        } else {
          return v;
        }
      },
      value.value);
}

// GGUF's metadata, or config.json.
Result<OrderedJson> MetadataJson(const Checkpoint& checkpoint) {
  OrderedJson json = OrderedJson::object();
  for (const auto& [key, value] : checkpoint.metadata.entries) json[key] = ToJson(value, false);
  if (checkpoint.kind == CheckpointKind::kGguf) return json;
  ASSIGN_OR_RETURN(const nlohmann::json config,
                   ParseJsonObject(checkpoint.config_json, checkpoint.path + "/config.json"));
  for (const auto& [key, value] : config.items()) json[key] = value;
  return json;
}

Result<std::vector<Treatment>> ParseFormats(const std::string& list,
                                            std::vector<std::string>* names) {
  std::vector<Treatment> out;
  if (list.empty()) return out;
  for (const std::string& piece : Split(list, ',')) {
    const std::string name(Trim(piece));
    auto format = FindFormat(name);
    if (!format) return Fail("--exact: {}", format.error().message);
    if (format->kind != FormatKind::kFloat)
      return Fail("--exact: '{}' needs a scale; expected floating-point formats", name);
    ASSIGN_OR_RETURN(Treatment treatment, ParseTreatment(name, TreatedThing::kWeight));
    out.push_back(std::move(treatment));
    names->push_back(name);
  }
  return out;
}

// Elements of rows [first, last) that each treatment leaves as they are.
std::vector<uint64_t> CountExact(const TensorView& tensor, size_t first, size_t last,
                                 const std::vector<Treatment>& treatments) {
  std::vector<uint64_t> held(treatments.size());
  const size_t columns = static_cast<size_t>(tensor.Columns());
  const auto count = [&](auto decode, auto zero) {
    std::vector<decltype(zero)> row(columns), treated;
    for (size_t r = first; r < last; ++r) {
      decode(tensor.type, tensor.Row(static_cast<int64_t>(r)), std::span(row));
      for (size_t t = 0; t < treatments.size(); ++t) {
        treated = row;
        const TreatmentCounts counts = TreatRow(treatments[t], treated.data(), columns, 0);
        held[t] += counts.touched - counts.changed;
      }
    }
  };
  if (tensor.type == TensorType::kF64) {
    count(DecodeToDouble, 0.0);
  } else {
    count(DecodeToFloat, 0.0f);
  }
  return held;
}

void MeasureExact(const std::vector<Treatment>& treatments, const InspectOptions& o,
                  Inspected* out) {
  Workers workers(o.threads);
  ProgressLine progress(o.output.quiet);
  const ProgressSink report = progress.Sink();
  const double total = static_cast<double>(out->checkpoint->TensorBytes()) / 1e6;
  double done = 0;
  for (const TensorView& tensor : out->checkpoint->tensors) {
    const size_t rows = static_cast<size_t>(tensor.Rows());
    constexpr size_t kPieces = 64;
    const size_t piece = (rows + kPieces - 1) / kPieces;
    std::vector<std::vector<uint64_t>> held(kPieces, std::vector<uint64_t>(treatments.size()));
    workers.For(kPieces, 1, [&](size_t first, size_t last) {
      for (size_t p = first; p < last; ++p)
        if (p * piece < rows)
          held[p] = CountExact(tensor, p * piece, std::min(rows, (p + 1) * piece), treatments);
    });
    std::vector<uint64_t> sum(treatments.size());
    for (const auto& h : held)
      for (size_t t = 0; t < sum.size(); ++t) sum[t] += h[t];
    out->exact.push_back(std::move(sum));
    done += static_cast<double>(tensor.data.size()) / 1e6;
    report({"decoding", done, total, "MB"});
  }
}

double Share(uint64_t held, const TensorView& tensor) {
  return static_cast<double>(held) / static_cast<double>(tensor.Elements());
}

struct TypeCensus {
  uint64_t tensors = 0, elements = 0, bytes = 0;
};

std::map<std::string, TypeCensus> Census(const Checkpoint& checkpoint) {
  std::map<std::string, TypeCensus> census;
  for (const TensorView& tensor : checkpoint.tensors) {
    TypeCensus& entry = census[Info(tensor.type).name];
    ++entry.tensors;
    entry.elements += static_cast<uint64_t>(tensor.Elements());
    entry.bytes += tensor.data.size();
  }
  return census;
}

TypeCensus Total(const Checkpoint& checkpoint) {
  TypeCensus total;
  for (const auto& [type, entry] : Census(checkpoint)) {
    total.tensors += entry.tensors;
    total.elements += entry.elements;
    total.bytes += entry.bytes;
  }
  return total;
}

OrderedJson ConstantsJson(const std::vector<NamedConstant>& constants) {
  OrderedJson json;
  for (const NamedConstant& c : constants)
    json[c.name] = c.whole ? OrderedJson(static_cast<uint64_t>(c.value)) : OrderedJson(c.value);
  return json;
}

Result<OrderedJson> ToJson(const Inspected& inspected) {
  const Checkpoint& checkpoint = *inspected.checkpoint;
  const TypeCensus total = Total(checkpoint);
  OrderedJson types = OrderedJson::object(), tensors = OrderedJson::array();
  for (const auto& [type, entry] : Census(checkpoint))
    types[type] = {
        {"tensors", entry.tensors}, {"elements", entry.elements}, {"bytes", entry.bytes}};
  for (size_t i = 0; i < checkpoint.tensors.size(); ++i) {
    const TensorView& tensor = checkpoint.tensors[i];
    OrderedJson json = {{"name", tensor.name},
                        {"type", Info(tensor.type).name},
                        {"shape", tensor.shape},
                        {"bytes", tensor.data.size()}};
    for (size_t f = 0; f < inspected.formats.size(); ++f)
      json["exact"][inspected.formats[f]] = Share(inspected.exact[i][f], tensor);
    tensors.push_back(std::move(json));
  }
  ASSIGN_OR_RETURN(OrderedJson metadata, MetadataJson(checkpoint));
  return OrderedJson{
      {"model", checkpoint.path},
      {"kind", checkpoint.kind == CheckpointKind::kGguf ? "gguf" : "huggingface"},
      {"architecture",
       inspected.architecture.empty() ? OrderedJson() : OrderedJson(inspected.architecture)},
      {"hash", inspected.hash},
      {"parameters", total.elements},
      {"bytes", total.bytes},
      {"hyperparameters",
       inspected.constants ? ConstantsJson(*inspected.constants) : OrderedJson()},
      {"hyperparameters_error",
       inspected.constants ? OrderedJson() : OrderedJson(inspected.why_not)},
      {"types", types},
      {"metadata", metadata},
      {"tensors", tensors}};
}

std::string TensorTable(const Inspected& inspected) {
  Table table{
      {{"tensor", Align::kLeft}, {"type", Align::kLeft}, {"shape", Align::kLeft}, {"bytes"}}, {}};
  for (const std::string& format : inspected.formats) table.columns.push_back({format});
  for (size_t i = 0; i < inspected.checkpoint->tensors.size(); ++i) {
    const TensorView& tensor = inspected.checkpoint->tensors[i];
    std::vector<std::string> row = {tensor.name, Info(tensor.type).name, ShapeText(tensor.shape),
                                    CountText(tensor.data.size())};
    for (size_t f = 0; f < inspected.formats.size(); ++f)
      row.push_back(PercentText(Share(inspected.exact[i][f], tensor)));
    table.rows.push_back(std::move(row));
  }
  return FormatTable(table, 120);
}

Result<std::string> ToText(const Inspected& inspected) {
  const Checkpoint& checkpoint = *inspected.checkpoint;
  const TypeCensus total = Total(checkpoint);
  Table head{{{"model", Align::kLeft}, {checkpoint.path, Align::kLeft}}, {}};
  head.rows.push_back({"architecture", inspected.architecture});
  head.rows.push_back({"content hash", inspected.hash});
  head.rows.push_back({"parameters", CountText(total.elements)});
  head.rows.push_back({"tensor data", ByteText(total.bytes)});
  if (inspected.constants) {
    const OrderedJson constants = ConstantsJson(*inspected.constants);
    for (const auto& [key, value] : constants.items()) head.rows.push_back({key, value.dump()});
  } else {
    head.rows.push_back({"hyperparameters", inspected.why_not});
  }
  Table types{{{"type", Align::kLeft}, {"tensors"}, {"elements"}, {"bytes"}}, {}};
  for (const auto& [type, entry] : Census(checkpoint))
    types.rows.push_back(
        {type, CountText(entry.tensors), CountText(entry.elements), CountText(entry.bytes)});
  Table metadata{{{"metadata", Align::kLeft}, {"", Align::kLeft}}, {}};
  ASSIGN_OR_RETURN(const OrderedJson values, MetadataJson(checkpoint));
  for (const auto& [key, value] : values.items())
    metadata.rows.push_back(
        {key, value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace)});
  std::string text =
      FormatTable(head, 120) + "\n" + FormatTable(metadata, 120) + "\n" + FormatTable(types) + "\n";
  if (!inspected.formats.empty()) text += "share of the elements that each format holds exactly:\n";
  return text + TensorTable(inspected);
}

}  // namespace

Result<int> RunInspect(const Arguments& arguments) {
  ArgumentParser parser("What is in a model file", "vernier inspect");
  InspectOptions o;
  parser.Positional("MODEL", &o.model, "Model");
  parser.Text("--exact", &o.exact, "FMT,...",
              "Floating-point formats: how much of each tensor do they hold exactly?");
  AddThreadsOption(&parser, &o.threads);
  AddOutputOptions(&parser, &o.output);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (!go) return kDone;
  Inspected inspected;
  ASSIGN_OR_RETURN(const std::vector<Treatment> treatments,
                   ParseFormats(o.exact, &inspected.formats));
  ASSIGN_OR_RETURN(const Checkpoint checkpoint, OpenCheckpoint(o.model));
  inspected.checkpoint = &checkpoint;
  if (auto name = ArchitectureName(checkpoint)) inspected.architecture = *name;
  // Of an architecture that cannot be evaluated, what a transformer would have.
  const auto architecture = FindArchitecture(checkpoint);
  if (auto constants = (architecture ? (*architecture)->constants : DecoderConstants)(checkpoint)) {
    inspected.constants = std::move(*constants);
  } else {
    inspected.why_not = constants.error().message;
  }
  inspected.hash = ContentHash(checkpoint).Hex();
  if (!treatments.empty()) MeasureExact(treatments, o, &inspected);
  if (o.output.json) {
    ASSIGN_OR_RETURN(const OrderedJson json, ToJson(inspected));
    RETURN_IF_ERROR(EmitJson(o.output, json));
  } else {
    ASSIGN_OR_RETURN(const std::string text, ToText(inspected));
    RETURN_IF_ERROR(Emit(o.output, text));
  }
  return kDone;
}

}  // namespace vernier
