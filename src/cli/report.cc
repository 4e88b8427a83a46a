// vernier report: the page of one or several studies that are done.
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/parser.h"
#include "cli/verb.h"
#include "report/page.h"
#include "report/page_data.h"
#include "study/store_reader.h"

namespace vernier {
namespace {

// What the store of a study's folder keeps for its page.
Result<std::string> ReadDocument(const std::string& folder) {
  ASSIGN_OR_RETURN(const std::unique_ptr<StoreReader> store, StoreReader::Open(folder));
  std::string document;
  RETURN_IF_ERROR(store->Query(
      fmt::format("SELECT text FROM document WHERE name='{}'", kPageKey),
      [](const std::vector<std::string>&) { return Status(); },
      [&](const std::vector<SqlValue>& row) {
        document = row[0].bytes;
        return Status();
      }));
  if (document.empty())
    return Fail("{}: the study is not finished; vernier study goes on with it", folder);
  const auto json = nlohmann::json::parse(document, nullptr, false);
  if (!json.is_object() || !json.contains("vernier"))
    return Fail("{}: what the store keeps for the page is damaged", folder);
  if (json["vernier"] != kPageVersion)
    return Fail("{}: made by another version; vernier study makes its page anew", folder);
  return document;
}

}  // namespace

Result<int> RunReport(const Arguments& arguments) {
  ArgumentParser parser("The page of a study, or of several side by side", "vernier report");
  std::vector<std::string> folders;
  std::string path;
  parser.Positionals("DIR", &folders, "Folders of studies that are done");
  parser.RequiredText("-o", &path, "FILE.html", "The page");
  ASSIGN_OR_RETURN(const bool go, parser.Parse(arguments));
  if (!go) return kDone;
  if (folders.empty()) return Fail("expected the folder of a study, such as out/ffn-norm-bf16");
  std::vector<std::string> documents;
  for (const std::string& folder : folders) {
    ASSIGN_OR_RETURN(std::string document, ReadDocument(folder));
    documents.push_back(std::move(document));
  }
  const std::string html = PageHtml(documents);
  RETURN_IF_ERROR(WriteFileAtomically(path, html));
  RETURN_IF_ERROR(PrintText(fmt::format("{}: {} {}, {:.1f} MB\n", path, documents.size(),
                                        documents.size() == 1 ? "study" : "studies",
                                        static_cast<double>(html.size()) / 1e6)));
  return kDone;
}

}  // namespace vernier
