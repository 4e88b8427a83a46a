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
  ArgumentParser parser("Token ids of a text", "vernier tokenize");
  std::string path, text, file;
  bool has_text = false, no_bos = false, special = false;
  OutputOptions output;
  parser.Positional("MODEL", &path, "Model");
  parser.Text("-p", &text, "TEXT", "The text", &has_text);
  parser.Text("-f", &file, "FILE", "The text is in FILE");
  parser.Flag("--no-bos", &no_bos, "No BOS or EOS around the text");
  parser.Flag("--special", &special, "Special tokens written in the text are those tokens");
  AddOutputOptions(&parser, &output);
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (!go) return kDone;
  if (has_text == !file.empty())
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
  RETURN_IF_ERROR(EmitText(output, FormatTable(table, ScreenOf(output))));
  return kDone;
}

}  // namespace vernier
