// Help, examples and docs/commands.md: that they are complete, and that every example does what it
// says.
#include "cli/manual.h"

#include <set>

#include "base/names.h"
#include "cli/cli_testing.h"
#include "cli/help.h"

namespace vernier {
namespace {

TEST(Manual, EveryVerbHasAnEntryAndTwoExamples) {
  std::set<std::string> names;
  for (const Command& command : Commands()) {
    names.insert(command.Name());
    const Manual* manual = FindManual(command.Name());
    ASSERT_NE(manual, nullptr) << "manual.cc lacks '" << command.Name() << "'";
    EXPECT_NE(std::string(manual->gives), "");
    size_t of_it = 0;  // others show what its files are for
    for (const Example& example : manual->examples)
      of_it += std::string(example.command).find("vernier " + command.Name()) != std::string::npos;
    EXPECT_GE(of_it, 2u) << command.Name();
  }
  for (const Manual& manual : Manuals())
    EXPECT_TRUE(names.contains(manual.command)) << "no verb '" << manual.command << "'";
  EXPECT_EQ(Manuals().size(), names.size());
}

TEST(Manual, EveryOptionIsExplained) {
  for (const Command& command : Commands())
    for (const OptionDoc& option : command.doc.options)
      EXPECT_GE(option.doc.size(), 3u) << command.Name() << " " << option.name;
}

// "See also" names verbs, and pages that are there.
TEST(Manual, ReferencesAreThere) {
  for (const Manual& manual : Manuals())
    for (const std::string& part : Split(manual.see, ';'))
      for (const std::string& piece : Split(part, ',')) {
        const std::string name(Trim(piece));
        if (name.starts_with("docs/"))
          EXPECT_TRUE(std::filesystem::exists(kSource + "/" + name)) << name;
        else
          EXPECT_NE(FindManual(name), nullptr) << manual.command << ": " << name;
      }
}

// The examples in a folder that has what the project's folder has, in their order.
TEST(Manual, ExamplesRun) {
  const std::string folder = TempPath("examples");
  std::filesystem::create_directories(folder + "/out");
  std::filesystem::create_directories(folder + "/bin");
  for (const char* name : {"models", "data", "studies"})
    std::filesystem::create_directory_symlink(kSource + "/" + name, folder + "/" + name);
  std::filesystem::create_symlink(VERNIER_BINARY, folder + "/bin/vernier");
  WriteAll(folder + "/run.sh",
           "set -e -o pipefail\ncd '" + folder + "'\nPATH=\"$PWD/bin:$PATH\"\neval \"$1\"\n");
  for (const Manual& manual : Manuals())
    for (const Example& example : manual.examples) {
      const std::string out = folder + "/stdout", err = folder + "/stderr";
      WriteAll(folder + "/command", example.command);
      const int status = std::system(("bash '" + folder + "/run.sh' \"$(cat '" + folder +
                                      "/command')\" >'" + out + "' 2>'" + err + "'")
                                         .c_str());
      EXPECT_EQ(status, 0) << example.command << "\n" << ReadAll(err);
      const std::string command = example.command;
      const bool writes = command.find(" -o ") != std::string::npos ||
                          command.find("> ") != std::string::npos || command.starts_with("source ");
      EXPECT_TRUE(writes || !ReadAll(out).empty()) << example.command << " prints nothing";
    }
}

TEST(Manual, PagesSayEverything) {
  for (const Command& command : Commands()) {
    Arguments arguments = {"help"};
    for (const std::string& word : Split(command.Name(), ' ')) arguments.push_back(word);
    const Outcome page = Vernier(arguments);
    EXPECT_EQ(page.status, 0) << page.err;
    for (const OptionDoc& option : command.doc.options)
      EXPECT_NE(page.out.find("   " + option.name), std::string::npos)
          << command.Name() << " " << option.name;
    for (const Example& example : FindManual(command.Name())->examples)
      EXPECT_NE(page.out.find("\n    " + std::string(example.command) + "\n"), std::string::npos);
    for (const char* heading : {"Synopsis", "What it gives", "Examples", "Exit status", "See also"})
      EXPECT_NE(page.out.find("\n" + std::string(heading) + "\n"), std::string::npos) << heading;
    if (command.subject == nullptr && command.verb->subjects != nullptr) continue;
    arguments.erase(arguments.begin());
    arguments.push_back("--help");
    const Outcome options = Vernier(arguments);
    EXPECT_TRUE(options.out.starts_with("Usage: vernier ")) << options.out;
    for (const OptionDoc& option : command.doc.options)
      EXPECT_NE(options.out.find("   " + option.name), std::string::npos)
          << command.Name() << " " << option.name;
  }
  const std::string list = Vernier({"help"}).out;
  for (const Verb& verb : Verbs())
    EXPECT_NE(list.find("\n" + std::string(verb.group) + "\n"), std::string::npos) << verb.group;
}

// The part of docs/commands.md under a heading, up to the next of the same kind.
std::string SectionOf(const std::string& page, const std::string& heading) {
  const size_t start = page.find("\n## " + heading + "\n");
  if (start == std::string::npos) return "";
  return page.substr(start, page.find("\n## ", start + 1) - start);
}

TEST(Manual, TheDocumentationNamesEveryOption) {
  const std::string page = ReadAll(kSource + "/docs/commands.md"),
                    everywhere = SectionOf(page, "What is the same everywhere");
  ASSERT_NE(everywhere, "");
  const auto names = [](const std::string& text, const std::string& option) {
    for (const char* after : {"`", " ", "="})
      for (const char* before : {"`", " ", "["})
        if (text.find(before + option + after) != std::string::npos) return true;
    return text.find("[" + option + "]") != std::string::npos;
  };
  for (const Command& command : Commands()) {
    const std::string section = SectionOf(page, command.verb->name);
    EXPECT_NE(section, "") << "docs/commands.md has no section '" << command.verb->name << "'";
    if (command.subject != nullptr) {
      EXPECT_NE(section.find("vernier " + command.Name()), std::string::npos) << command.Name();
    }
    for (const OptionDoc& option : command.doc.options) {
      if (option.argument) continue;
      EXPECT_TRUE(names(section, option.name) || names(everywhere, option.name))
          << "docs/commands.md does not name " << option.name << " of " << command.Name();
    }
  }
}

TEST(Manual, MistakesNameWhatIsNearest) {
  ExpectRefused({"help", "benhc"}, "did you mean 'bench'?");
  ExpectRefused({"help", "bench", "formts"}, "did you mean 'formats'?");
  ExpectRefused({"help", "run", "formats"}, "'run' has no subjects");
  ExpectRefused({"help", "--completion", "fish"}, "expected bash, zsh, found 'fish'");
  ExpectRefused({"sites", kQwen, "--color", "red"}, "expected auto, always, never, found 'red'");
  ExpectRefused({"sites", kQwen, "--colour"}, "did you mean '--color'?");
  ExpectRefused({"--color", "never", "sitse", kQwen}, "did you mean 'sites'?");
}

TEST(Manual, VersionSaysHowItWasBuilt) {
  const std::string facts = Vernier({"--version"}).out;
  for (const char* part : {"vernier ", "numerics: vernier-numerics-", "built by: ", "kernels:  "})
    EXPECT_NE(facts.find(part), std::string::npos) << facts;
}

}  // namespace
}  // namespace vernier
