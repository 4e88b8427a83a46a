// vernier tokenize: the ids of a text.
#include "base/file.h"
#include "cli/options.h"
#include "report/table.h"

namespace vernier {
namespace {

// A piece with what cannot be shown on a line escaped.
std::string Shown(const std::string& piece) {
  std::string out;
  for (const char c : piece) {
    if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return "'" + out + "'";
}

}  // namespace

Result<int> RunTokenize(const Arguments& arguments) {
  CLI::App app("Token ids of a text", "vernier tokenize");
  std::string path, text, file;
  bool no_bos = false, special = false;
  OutputOptions output;
  app.add_option("MODEL", path, "Model")->option_text("MODEL")->required();
  CLI::Option* text_option = app.add_option("-p", text, "The text")->option_text("TEXT");
  app.add_option("-f", file, "The text is in FILE")->option_text("FILE");
  app.add_flag("--no-bos", no_bos, "No BOS or EOS around the text");
  app.add_flag("--special", special, "Special tokens written in the text are those tokens");
  AddOutputOptions(&app, &output);
  ASSIGN_OR_RETURN(const bool go, Parse(&app, arguments));
  if (!go) return kDone;
  if ((text_option->count() > 0) == !file.empty())
    return Fail("expected one of -p TEXT, -f FILE, found {}", file.empty() ? 0 : 2);
  if (!file.empty()) {
    ASSIGN_OR_RETURN(text, ReadText(file));
  }
  ASSIGN_OR_RETURN(const Checkpoint checkpoint, OpenCheckpoint(path));
  ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer, MakeTokenizer(checkpoint));
  ASSIGN_OR_RETURN(const std::vector<int32_t> ids, tokenizer->Encode(text, {!no_bos, special}));
  if (output.json) {
    OrderedJson pieces = OrderedJson::array();
    for (const int32_t id : ids) pieces.push_back(tokenizer->Piece(id));
    RETURN_IF_ERROR(EmitJson(output, {{"ids", ids}, {"pieces", pieces}}));
    return kDone;
  }
  Table table{{{"id"}, {"piece", Align::kLeft}}, {}};
  for (const int32_t id : ids)
    table.rows.push_back({std::to_string(id), Shown(tokenizer->Piece(id))});
  RETURN_IF_ERROR(Emit(output, FormatTable(table)));
  return kDone;
}

}  // namespace vernier
