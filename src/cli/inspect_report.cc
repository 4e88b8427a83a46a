#include "cli/inspect_report.h"

#include <algorithm>

#include "model/json.h"
#include "report/table.h"

namespace vernier {
namespace {

constexpr size_t kShownElements = 8;  // of an array of the metadata
constexpr size_t kShownBytes = 400;   // of a string

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

OrderedJson ScalesJson(const ScaleCensus& scales) {
  OrderedJson exponents = OrderedJson::object();
  for (const auto& [exponent, count] : scales.exponents)
    exponents[std::to_string(exponent)] = count;
  return {{"groups", scales.groups},     {"zero", scales.zero},
          {"negative", scales.negative}, {"nonfinite", scales.nonfinite},
          {"offsets", scales.offsets},   {"smallest", scales.smallest},
          {"largest", scales.largest},   {"exponents", exponents}};
}

OrderedJson LayoutJson(const LayoutFinding& finding) {
  return {{"verdict", LayoutVerdictName(finding.verdict)},
          {"as_read", finding.as_read},
          {"as_read_error", finding.as_read_error},
          {"other_order", finding.other},
          {"other_order_error", finding.other_error}};
}

// What --exact found of the tensor of index i.
void AddFit(const Inspected& inspected, size_t i, OrderedJson* json) {
  const TensorView& tensor = inspected.checkpoint->tensors[i];
  const TensorFit& fit = inspected.fits[i];
  for (size_t f = 0; f < fit.formats.size(); ++f) {
    const std::string& name = inspected.formats[f].name;
    const FormatFit& of = fit.formats[f];
    (*json)["exact"][name] = Share(of.held, tensor);
    (*json)["rounded"][name] = {{"max_error", of.max_error},
                                {"l2_rel", of.l2_rel},
                                {"sqnr_db", of.sqnr_db},
                                {"saturated", of.saturated},
                                {"flushed", of.flushed}};
  }
  (*json)["holds_all"] = fit.holds_all.empty() ? OrderedJson() : OrderedJson(fit.holds_all);
  (*json)["zeros"] = fit.zeros;
  (*json)["nans"] = fit.nans;
  (*json)["infinities"] = fit.infinities;
  (*json)["largest"] = fit.largest;
  (*json)["smallest"] = fit.smallest;
  if (fit.scales.groups > 0) (*json)["scales"] = ScalesJson(fit.scales);
  const auto layout = inspected.layouts.find(tensor.name);
  if (layout != inspected.layouts.end()) (*json)["layout"] = LayoutJson(layout->second);
}

}  // namespace

Result<OrderedJson> InspectJson(const Inspected& inspected) {
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
    if (!inspected.fits.empty()) AddFit(inspected, i, &json);
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
      {"layout_error",
       inspected.why_no_layout.empty() ? OrderedJson() : OrderedJson(inspected.why_no_layout)},
      {"metadata", metadata},
      {"tensors", tensors}};
}

namespace {

std::string TensorTable(const Inspected& inspected, const Screen& screen) {
  Table table{{{"tensor", Align::kLeft},
               {"type", Align::kLeft},
               {"shape", Align::kLeft, 1},
               {"bytes", Align::kRight, 2}},
              {}};
  for (const Format& format : inspected.formats) table.columns.push_back({format.name});
  if (!inspected.fits.empty()) table.columns.push_back({"held by", Align::kLeft});
  for (size_t i = 0; i < inspected.checkpoint->tensors.size(); ++i) {
    const TensorView& tensor = inspected.checkpoint->tensors[i];
    std::vector<std::string> row = {tensor.name, Info(tensor.type).name, ShapeText(tensor.shape),
                                    CountText(tensor.data.size())};
    if (!inspected.fits.empty()) {
      for (const FormatFit& fit : inspected.fits[i].formats)
        row.push_back(PercentText(Share(fit.held, tensor)));
      row.push_back(inspected.fits[i].holds_all);
    }
    table.rows.push_back(std::move(row));
  }
  return FormatTable(table, screen);
}

// Error if rounded, of the tensors that some format does not hold.
std::string ErrorTable(const Inspected& inspected, const Screen& screen) {
  Table table{{{"tensor", Align::kLeft}, {"absmax"}}, {}};
  for (const Format& format : inspected.formats) {
    table.columns.push_back({format.name + " max"});
    table.columns.push_back({"l2_rel"});
    table.columns.push_back({"SQNR dB"});
  }
  for (size_t i = 0; i < inspected.fits.size(); ++i) {
    const TensorFit& fit = inspected.fits[i];
    std::vector<std::string> row = {inspected.checkpoint->tensors[i].name, NumberText(fit.largest)};
    bool exact = true;
    for (const FormatFit& of : fit.formats) {
      row.push_back(NumberText(of.max_error));
      row.push_back(NumberText(of.l2_rel));
      row.push_back(NumberText(of.sqnr_db));
      exact = exact && of.held == fit.elements;
    }
    if (!exact) table.rows.push_back(std::move(row));
  }
  return table.rows.empty()
             ? ""
             : "\n" + Styled(screen, Style::kHeading, "error if rounded to nearest:") + "\n" +
                   FormatTable(table, screen);
}

// "2^-12 0.3 %, 2^-11 17 %, ...": all that holds at least a hundredth of the groups.
std::string HistogramText(const ScaleCensus& scales) {
  std::string text;
  for (const auto& [exponent, count] : scales.exponents) {
    const double share = static_cast<double>(count) / static_cast<double>(scales.groups);
    if (share >= 0.01)
      text += fmt::format("{}2^{} {}", text.empty() ? "" : ", ", exponent, PercentText(share));
  }
  return text;
}

std::string ScaleTable(const Inspected& inspected, const Screen& screen) {
  Table table{{{"tensor", Align::kLeft},
               {"scales"},
               {"zero"},
               {"negative"},
               {"smallest"},
               {"largest"},
               {"histogram", Align::kLeft, 0, true}},
              {}};
  for (size_t i = 0; i < inspected.fits.size(); ++i) {
    const ScaleCensus& scales = inspected.fits[i].scales;
    if (scales.groups > 0)
      table.rows.push_back({inspected.checkpoint->tensors[i].name, CountText(scales.groups),
                            CountText(scales.zero), CountText(scales.negative),
                            NumberText(scales.smallest), NumberText(scales.largest),
                            HistogramText(scales)});
  }
  return table.rows.empty() ? ""
                            : "\n" + Styled(screen, Style::kHeading, "scales inside the blocks:") +
                                  "\n" + FormatTable(table, screen);
}

std::string LayoutText(const Inspected& inspected) {
  if (inspected.fits.empty()) return "";
  if (!inspected.why_no_layout.empty())
    return "\nlayout: not checked: " + inspected.why_no_layout + "\n";
  std::map<LayoutVerdict, size_t> count;
  std::string swapped;
  for (const auto& [name, finding] : inspected.layouts) {
    ++count[finding.verdict];
    if (finding.verdict == LayoutVerdict::kSwapped)
      swapped += fmt::format(
          "  {}: rows and columns look swapped: relation to its neighbours {:.3f} +- {:.3f} as "
          "read, {:.3f} +- {:.3f} in the other order (1: none)\n",
          name, finding.as_read, finding.as_read_error, finding.other, finding.other_error);
  }
  return fmt::format(
      "\nlayout: {} matrices checked: {} lie as they are read, {} swapped, {} "
      "without a sign\n{}",
      inspected.layouts.size(), count[LayoutVerdict::kAsRead], count[LayoutVerdict::kSwapped],
      count[LayoutVerdict::kNoSign], swapped);
}

}  // namespace

Result<std::string> InspectText(const Inspected& inspected, const Screen& screen) {
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
  std::string text = FormatTable(head, screen) + "\n" + FormatTable(metadata, screen) + "\n" +
                     FormatTable(types, screen) + "\n";
  if (!inspected.formats.empty()) text += "share of the elements that each format holds exactly:\n";
  return text + TensorTable(inspected, screen) + ErrorTable(inspected, screen) +
         ScaleTable(inspected, screen) + LayoutText(inspected);
}

}  // namespace vernier
