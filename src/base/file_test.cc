#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

namespace vernier {
namespace {

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "vernier-file-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  size_t Entries() const {
    size_t n = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder_)) ++n;
    return n;
  }
  std::filesystem::path folder_;
};

TEST_F(FileTest, WritesWholeOrNothing) {
  const std::string path = folder_ / "a.txt";
  {
    auto file = AtomicFile::Create(path);
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->Write("half"));
  }
  EXPECT_EQ(Entries(), 0u);
  ASSERT_TRUE(WriteFileAtomically(path, "whole"));
  EXPECT_EQ(Entries(), 1u);
  EXPECT_EQ(ReadText(path).value(), "whole");
  auto mapped = MappedFile::Open(path);
  ASSERT_TRUE(mapped);
  EXPECT_EQ(mapped->bytes().size(), 5u);
}

TEST_F(FileTest, PartsAreCopied) {
  const std::string path = folder_ / "a.bin", text = "0123456789";
  ASSERT_TRUE(WriteFileAtomically(path, text));
  auto opened = MappedFile::Open(path);
  ASSERT_TRUE(opened);
  const MappedFile file = std::move(*opened);
  for (size_t first = 0; first <= text.size(); ++first) {
    std::string copy(text.size() - first, 'x');
    ASSERT_TRUE(file.Copy(file.bytes().subspan(first), copy.data()));
    EXPECT_EQ(copy, text.substr(first));
  }
  std::byte elsewhere[4] = {}, out[4];
  EXPECT_FALSE(file.Copy(elsewhere, out));
  // A file that has become shorter has no such part.
  std::filesystem::resize_file(path, 3);
  EXPECT_FALSE(file.Copy(file.bytes().subspan(2, 4), out));
  EXPECT_TRUE(file.Copy(file.bytes().subspan(1, 2), out));
}

TEST_F(FileTest, OnlyFilesAreReplaced) {
  const std::string pipe = folder_ / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  for (const std::string& path : {pipe, folder_.string()}) {
    const Status status = WriteFileAtomically(path, "x");
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().message.find(path + ": is "), std::string::npos);
  }
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  EXPECT_EQ(Entries(), 1u);
}

TEST_F(FileTest, ALinkStaysOne) {
  const std::filesystem::path file = folder_ / "file", link = folder_ / "link";
  ASSERT_TRUE(WriteFileAtomically(file, "old"));
  std::filesystem::create_symlink("file", link);
  ASSERT_TRUE(WriteFileAtomically(link, "new"));
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(ReadText(file).value(), "new");
  EXPECT_EQ(Entries(), 2u);
}

TEST_F(FileTest, ErrorsNameThePath) {
  const std::string path = folder_ / "absent";
  EXPECT_NE(ReadText(path).error().message.find(path), std::string::npos);
  EXPECT_NE(MappedFile::Open(path).error().message.find(path), std::string::npos);
  EXPECT_FALSE(ReadText(folder_.string()));
  EXPECT_FALSE(MappedFile::Open(folder_.string()));
  EXPECT_FALSE(AtomicFile::Create((folder_ / "no" / "such").string()));
  ASSERT_TRUE(WriteFileAtomically(path, "12345"));
  EXPECT_FALSE(ReadText(path, 4));
}

}  // namespace
}  // namespace vernier
