#include "measure/capture.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "model/model_testing.h"

namespace vernier {
namespace {

// Gone when the tests end.
std::string TempPath(const std::string& name) {
  static const TestFolder folder;
  return folder / (name + ".safetensors");
}

Capture Example() {
  Capture capture{"", "models/x", "00ff", "ffn_norm=bf16\n", {5, 6, 7}, {}};
  CapturedSite plain{"l_out[1]", "l_out", 1, Arithmetic::kF32, {2, 2, 2}, {0, 1, 2}, {}, {}};
  plain.f32 = {1, 2, 3, 4, 5, 6};
  CapturedSite ragged{"kq[1]", "kq", 1, Arithmetic::kF64, {1, 2, 3}, {0, 1, 2}, {}, {}};
  ragged.f64 = {1, 2, 3, 4, 5, 6};
  CapturedSite last{"result_output", "result_output", -1, Arithmetic::kF32, {3}, {2}, {}, {}};
  last.f32 = {7, 8, 9};
  capture.sites = {plain, ragged, last};
  return capture;
}

TEST(Capture, ComesBackAsItWas) {
  const std::string path = TempPath("round");
  const Capture saved = Example();
  ASSERT_TRUE(SaveCapture(saved, path));
  const auto loaded = LoadCapture(path);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->source, path);
  EXPECT_EQ(loaded->model, saved.model);
  EXPECT_EQ(loaded->hash, saved.hash);
  EXPECT_EQ(loaded->recipe, saved.recipe);
  EXPECT_EQ(loaded->tokens, saved.tokens);
  ASSERT_EQ(loaded->sites.size(), saved.sites.size());
  for (size_t i = 0; i < saved.sites.size(); ++i) {
    const CapturedSite &a = saved.sites[i], &b = loaded->sites[i];
    EXPECT_EQ(a.label, b.label);
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.layer, b.layer);
    EXPECT_EQ(a.type, b.type);
    EXPECT_EQ(a.widths, b.widths);
    EXPECT_EQ(a.tokens, b.tokens);
    EXPECT_EQ(a.f32, b.f32);
    EXPECT_EQ(a.f64, b.f64);
  }
}

// A file cut short is refused with one line that names it.
TEST(Capture, CutFilesAreRefused) {
  const std::string path = TempPath("whole"), cut = TempPath("cut");
  ASSERT_TRUE(SaveCapture(Example(), path));
  const std::string bytes = ReadText(path).value();
  for (size_t size = 0; size < bytes.size(); size += 7) {
    ASSERT_TRUE(WriteFileAtomically(cut, bytes.substr(0, size)));
    const auto loaded = LoadCapture(cut);
    ASSERT_FALSE(loaded) << size;
    EXPECT_TRUE(loaded.error().message.starts_with(cut)) << loaded.error().message;
    EXPECT_EQ(loaded.error().message.find('\n'), std::string::npos);
  }
}

// A safetensors file with this header and data.
Result<Capture> LoadText(const std::string& header, size_t data_bytes) {
  const std::string path = TempPath("text");
  const uint64_t length = header.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  EXPECT_TRUE(WriteFileAtomically(path, bytes + header + std::string(data_bytes, '\0')));
  return LoadCapture(path);
}

TEST(Capture, ForeignFilesNeedNoMetadata) {
  const auto loaded =
      LoadText(R"({"model.norm":{"dtype":"BF16","shape":[1,3,2],"data_offsets":[0,12]}})", 12);
  ASSERT_TRUE(loaded) << loaded.error().message;
  ASSERT_EQ(loaded->sites.size(), 1u);
  EXPECT_EQ(loaded->sites[0].layer, -1);
  EXPECT_EQ(loaded->sites[0].widths, (std::vector<size_t>{2, 2, 2}));
  EXPECT_TRUE(loaded->tokens.empty());
}

TEST(Capture, MetadataIsChecked) {
  const std::string tensor = R"("kq[0]":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]})";
  const auto message = [&](const std::string& notes) {
    const auto loaded = LoadText("{\"__metadata__\":{" + notes + "}," + tensor + "}", 16);
    return loaded ? std::string() : loaded.error().message;
  };
  EXPECT_EQ(message(R"("vernier.widths":"{\"kq[0]\":[1,2]}")"), "");
  for (const char* bad :
       {R"("vernier.widths":"{\"kq[0]\":[1,3]}")", R"("vernier.widths":"{\"kq[0]\":[0,2]}")",
        R"("vernier.widths":"{\"kq[0]\":[1]}")", R"("vernier.widths":"{\"kq[0]\":7}")",
        R"("vernier.widths":"[]")", R"("vernier.widths":"{")",
        R"("vernier.rows":"{\"kq[0]\":[0,-1]}")", R"("vernier.rows":"{\"kq[0]\":[0,1,2]}")",
        R"("vernier.tokens":"[1,-2]")", R"("vernier.tokens":"[18446744073709551615]")",
        R"("vernier.tokens":"{}")"}) {
    EXPECT_NE(message(bad), "") << bad;
    EXPECT_EQ(message(bad).find('\n'), std::string::npos) << message(bad);
  }
}

TEST(Capture, Labels) {
  EXPECT_EQ(ParseSiteLabel("ffn_norm[12]").name, "ffn_norm");
  EXPECT_EQ(ParseSiteLabel("ffn_norm[12]").layer, 12);
  for (const char* plain : {"embd", "a[b]", "[3]", "x[-1]", "x[1", "x[99999999999]", "x[]"})
    EXPECT_EQ(ParseSiteLabel(plain).layer, -1) << plain;
}

}  // namespace
}  // namespace vernier
