#include "measure/capture_foreign.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <random>

#include "base/file.h"
#include "measure/capture_fit.h"
#include "measure/capture_kld.h"
#include "measure/capture_text.h"
#include "model/model_testing.h"
#include "model/npy.h"
#include "model/zip.h"

namespace vernier {
namespace {

const std::string kArrays = VERNIER_SOURCE_DIR "/tests/data/captures/arrays.npz";

// Gone when the tests end.
std::string TempPath(const std::string& name) {
  static const TestFolder folder;
  return folder / name;
}

// Element e of token t is 10 t + e.
const std::vector<float> kRows = {0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23};

CapturedSite Like(const std::string& label, std::vector<float> values = kRows) {
  const Site site = ParseSiteLabel(label);
  return {label, site.name, site.layer, Arithmetic::kF32, {4, 4, 4}, {0, 1, 2}, values, {}};
}

Capture LikeCapture(std::vector<CapturedSite> sites) {
  Capture out;
  out.source = "model";
  out.tokens = {5, 6, 7};
  out.sites = std::move(sites);
  return out;
}

ForeignTensor Tensor(const std::string& name, std::vector<size_t> shape,
                     std::vector<float> values = kRows) {
  ForeignTensor out;
  out.name = name;
  out.shape = std::move(shape);
  out.f32 = std::move(values);
  return out;
}

Result<FittedCapture> Fit(const ForeignTensor& tensor, const CapturedSite& like,
                          const NameMap& map = {}) {
  ForeignCapture foreign;
  foreign.source = "dump";
  foreign.tensors = {tensor};
  return FitCapture(foreign, map, LikeCapture({like}), nullptr);
}

// An archive and arrays made with Python's zipfile and struct, after NumPy's description.
TEST(Foreign, NpzDeflatedAndStored) {
  const auto read = ReadForeignNpz(kArrays);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->tokens, (std::vector<int32_t>{5, 6, 7}));
  ASSERT_EQ(read->tensors.size(), 3u);
  EXPECT_EQ(read->tensors[0].name, "model.layers.0.mlp.down_proj");
  EXPECT_EQ(read->tensors[0].shape, (std::vector<size_t>{1, 3, 4}));
  EXPECT_EQ(read->tensors[0].f32, kRows);
  EXPECT_EQ(read->tensors[1].f64, std::vector<double>(kRows.begin(), kRows.end()));
  EXPECT_EQ(read->tensors[2].f32, kRows);
  EXPECT_EQ(read->tensors[2].step, 0x1p-11);
  const auto fitted =
      FitCapture(*read, {{{"fortran", "l_out[0]"}, {"half", "embd"}}},
                 LikeCapture({Like("ffn_out[0]"), Like("l_out[0]"), Like("embd")}), nullptr);
  ASSERT_TRUE(fitted) << fitted.error().message;
  ASSERT_EQ(fitted->capture.sites.size(), 3u);
  EXPECT_EQ(fitted->capture.sites[0].label, "ffn_out[0]");
  EXPECT_EQ(fitted->capture.sites[0].f32, kRows);
  EXPECT_TRUE(fitted->unknown.empty());
}

TEST(Foreign, LayoutsAreReconciled) {
  const std::vector<float> heads_first = {0, 1, 10, 11, 20, 21, 2, 3, 12, 13, 22, 23},
                           tokens_fastest = {0, 10, 20, 1, 11, 21, 2, 12, 22, 3, 13, 23};
  for (const auto& [shape, values] : {std::pair{std::vector<size_t>{1, 3, 4}, kRows},
                                      {{3, 2, 2}, kRows},
                                      {{3, 4}, kRows},
                                      {{1, 1, 3, 4}, kRows},
                                      {{1, 2, 3, 2}, heads_first},
                                      {{4, 3}, tokens_fastest}}) {
    const auto fitted = Fit(Tensor("l_out[0]", shape, values), Like("l_out[0]"));
    ASSERT_TRUE(fitted) << fitted.error().message;
    EXPECT_EQ(fitted->capture.sites[0].f32, kRows);
    EXPECT_EQ(fitted->capture.sites[0].widths, (std::vector<size_t>{4, 4, 4}));
  }
  const auto last = Fit(Tensor("result_output", {4}, {20, 21, 22, 23}), Like("result_output"));
  ASSERT_TRUE(last) << last.error().message;
  EXPECT_EQ(last->capture.sites[0].tokens, std::vector<uint32_t>{2});
}

// Heads and tokens of one number: the values decide.
TEST(Foreign, AmbiguousShapesAreDecidedByValues) {
  std::vector<float> rows(3 * 6), heads_first(3 * 6);
  for (size_t t = 0; t < 3; ++t)
    for (size_t i = 0; i < 6; ++i) {
      rows[t * 6 + i] = static_cast<float>(10 * t + i);
      heads_first[i / 2 * 6 + t * 2 + i % 2] = rows[t * 6 + i];
    }
  CapturedSite like = Like("Qcur[0]", rows);
  like.widths = {6, 6, 6};
  for (const auto& values : {rows, heads_first}) {
    const auto fitted = Fit(Tensor("Qcur[0]", {3, 3, 2}, values), like);
    ASSERT_TRUE(fitted) << fitted.error().message;
    EXPECT_EQ(fitted->capture.sites[0].f32, rows);
    EXPECT_EQ(fitted->notes.empty(), values == rows);
  }
}

TEST(Foreign, ScoresLoseWhatIsMasked) {
  // Two heads, three tokens, four keys; ours are the keys up to the token.
  CapturedSite like{"kq[0]", "kq", 0, Arithmetic::kF32, {2, 4, 6}, {0, 1, 2}, {}, {}};
  like.f32.resize(12);
  std::vector<float> values;
  for (int h = 0; h < 2; ++h)
    for (int t = 0; t < 3; ++t)
      for (int k = 0; k < 4; ++k)
        values.push_back(k > t ? NAN : static_cast<float>(100 * h + 10 * t + k));
  const auto fitted = Fit(Tensor("kq-0", {1, 2, 3, 4}, values), like);
  ASSERT_TRUE(fitted) << fitted.error().message;
  EXPECT_EQ(fitted->capture.sites[0].f32,
            (std::vector<float>{0, 100, 10, 11, 110, 111, 20, 21, 22, 120, 121, 122}));
}

TEST(Foreign, MisfitsAreRefusedWithTheReason) {
  const auto refused = [](const Result<FittedCapture>& fitted, const std::string& part) {
    ASSERT_FALSE(fitted) << part;
    EXPECT_NE(fitted.error().message.find(part), std::string::npos) << fitted.error().message;
    EXPECT_EQ(fitted.error().message.find('\n'), std::string::npos);
  };
  refused(
      Fit(Tensor("l_out[0]", {2, 6}), Like("l_out[0]")),
      "dump: tensor 'l_out[0]' of shape [2, 6] is not 3 tokens by 4 elements, as site 'l_out[0]'");
  refused(Fit(Tensor("l_out[0]", {2, 4}, {1, 2, 3, 4, 5, 6, 7, 8}), Like("l_out[0]")), "[2, 4]");
  refused(Fit(Tensor("something", {3, 4}), Like("l_out[0]")), "--map FILE");
  ForeignCapture twice;
  twice.source = "dump";
  twice.tensors = {Tensor("l_out-0", {3, 4}), Tensor("model.layers.0", {3, 4})};
  refused(FitCapture(twice, {}, LikeCapture({Like("l_out[0]")}), nullptr), "are both site");
  twice.tensors.pop_back();
  twice.tokens = {5, 6, 8};
  refused(FitCapture(twice, {}, LikeCapture({Like("l_out[0]")}), nullptr), "token ids");
}

TEST(Foreign, Names) {
  const auto labels = [](const std::string& name, const std::string& op = "",
                         std::vector<std::string> sources = {}) {
    ForeignTensor t;
    t.name = name;
    t.op = op;
    t.sources = std::move(sources);
    const std::vector<std::string> found = FindSites(t, {}).labels;
    std::string text;
    for (const std::string& label : found) text += (text.empty() ? "" : " ") + label;
    return text;
  };
  EXPECT_EQ(labels("attn_norm-3"), "attn_norm[3]");
  EXPECT_EQ(labels("Qcur-3", "MUL_MAT"), "Qcur_nobias[3] Qcur[3]");
  EXPECT_EQ(labels("Qcur-3", "ADD"), "Qcur[3]");
  EXPECT_EQ(labels("Qcur-3", "ROPE"), "Qcur_rope[3]");
  EXPECT_EQ(labels("Qcur-3", "RESHAPE"), "");
  EXPECT_EQ(labels("Qcur-3"), "Qcur[3] Qcur_rope[3]");
  EXPECT_EQ(labels("norm-2", "RMS_NORM", {"ffn_inp-2"}), "ffn_normed[2]");
  EXPECT_EQ(labels("norm-2", "RMS_NORM", {"l_out-1"}), "attn_normed[2]");
  EXPECT_EQ(labels("cache_k_l1 (view)", "SET_ROWS"), "k_cache[1]");
  EXPECT_EQ(labels("cache_k_l1 (view)", "VIEW"), "");
  EXPECT_EQ(labels("node_31", "MUL_MAT", {"blk.4.attn_output.weight", "kqv_out-4"}), "attn_out[4]");
  EXPECT_EQ(labels("node_29", "MUL_MAT", {"blk.0.ssm_x.weight", "node_27"}), "ssm_x[0]");
  EXPECT_EQ(labels("inp_embd"), "embd");
  EXPECT_EQ(labels("norm", "RMS_NORM"), "result_normed");
  EXPECT_EQ(labels("model.embed_tokens"), "embd");
  EXPECT_EQ(labels("model.layers.3.mlp.down_proj"), "ffn_out[3]");
  EXPECT_EQ(labels("layers.3.mlp.down_proj.input"), "ffn_swiglu[3]");
  EXPECT_EQ(labels("model.layers.3"), "l_out[3]");
  EXPECT_EQ(labels("model.layers.0"), "l_out[0]");
  EXPECT_EQ(labels("model.layers.3.output.0"), "l_out[3]");
  EXPECT_EQ(labels("model.norm"), "result_norm");
  EXPECT_EQ(labels("backbone.layers.5.mixer.dt_proj"), "ssm_dt[5]");
  EXPECT_EQ(labels("backbone.norm_f"), "result_norm");
  EXPECT_EQ(labels("lm_head"), "result_output");
  EXPECT_EQ(labels("ffn_norm[7]"), "ffn_norm[7]");
  ForeignTensor own;
  own.name = "encoder.3.out";
  EXPECT_EQ(FindSites(own, {{{"encoder.*.out", "l_out[*]"}}}).labels[0], "l_out[3]");
}

TEST(Foreign, NameMapFiles) {
  const std::string path = TempPath("map");
  ASSERT_TRUE(WriteFileAtomically(path, "# ours\n\n a.*.b = l_out[*] \nx=y = embd\n"));
  const auto map = ReadNameMap(path);
  ASSERT_TRUE(map) << map.error().message;
  EXPECT_EQ(map->lines[0], (std::pair<std::string, std::string>{"a.*.b", "l_out[*]"}));
  EXPECT_EQ(map->lines[1].first, "x=y");
  for (const char* bad : {"a\n", "= b", "a =", "a.* = b", "a.*.* = b[*]"}) {
    ASSERT_TRUE(WriteFileAtomically(path, bad));
    EXPECT_FALSE(ReadNameMap(path)) << bad;
  }
}

// As llama.cpp prints it: 14 rows of 256, of which six rows of six are shown; and the older form.
const char kDump[] =
    "number of input tokens = 3\n  5\n  6\n  7\nsome log line\n"
    "common_debug_cb_eval:                     embd = (f32)   GET_ROWS(token_embd.weight{8, 9, 1, "
    "1}, "
    "inp_tokens{3, 1, 1, 1}}) = {8, 3, 1, 1}\n"
    "    [\n        [\n"
    "            [      0.0000,       1.0000,       2.0000,    ...,       5.0000,       6.0000,    "
    "   "
    "7.0000  ],\n"
    "            [     10.0000,      11.0000,      12.0000,    ...,      15.0000,      16.0000,    "
    "  "
    "17.0000  ],\n"
    "            [     20.0000,      21.0000,      22.0000,    ...,      25.0000,      26.0000,    "
    "  "
    "27.0000  ],\n"
    "        ],\n    ]\n    sum = 324.000000\n"
    "ggml_debug:                 l_out-0 = (f32)        ADD(CUDA0#ffn_out-0#0{8, 3, 1, 1}, embd{8, "
    "3, 1, "
    "1}}) = {8, 3, 1, 1}\n"
    "                                     [\n"
    "                                      [\n"
    "                                       [  0.0000,   1.0000,   2.0000, ...],\n"
    "                                       [ 10.0000,  11.0000,  12.0000, ...],\n"
    "                                       [ 20.0000,  21.0000,  22.0000, ...],\n"
    "                                      ],\n"
    "                                     ]\n"
    "ggml_debug: embd = (f32) GET_ROWS(token_embd.weight{8, 9, 1, 1}, inp_tokens{1, 1, 1, 1}}) = "
    "{8, "
    "1, 1, 1}\n";

TEST(Foreign, DebugText) {
  const auto read = ParseDebugText(kDump, "x.txt");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->tokens, (std::vector<int32_t>{5, 6, 7}));
  ASSERT_EQ(read->tensors.size(), 2u);
  ASSERT_EQ(read->notes.size(), 1u);
  const ForeignTensor &embd = read->tensors[0], &sum = read->tensors[1];
  EXPECT_EQ(embd.op, "GET_ROWS");
  EXPECT_EQ(embd.sources, (std::vector<std::string>{"token_embd.weight", "inp_tokens"}));
  EXPECT_EQ(embd.shape, (std::vector<size_t>{1, 1, 3, 8}));
  EXPECT_EQ(embd.sum, 324.0);
  ASSERT_EQ(embd.places.size(), 18u);
  for (size_t i = 0; i < embd.places.size(); ++i)
    EXPECT_EQ(embd.f32[i], static_cast<float>(embd.places[i] / 8 * 10 + embd.places[i] % 8));
  EXPECT_EQ(embd.places[3], 5u);
  EXPECT_EQ(sum.places, (std::vector<size_t>{0, 1, 2, 8, 9, 10, 16, 17, 18}));
  EXPECT_FALSE(sum.sum);
  EXPECT_EQ(sum.sources[0], "ffn_out-0");

  CapturedSite like = Like("embd", {});
  like.widths = {8, 8, 8};
  for (size_t i = 0; i < 24; ++i) like.f32.push_back(static_cast<float>(i / 8 * 10 + i % 8));
  ForeignCapture first = *read;
  first.tensors.resize(1);
  const auto agrees = [&](const CapturedSite& ours) {
    return FitCapture(first, {}, LikeCapture({ours}), nullptr).value().partial.at(0);
  };
  EXPECT_TRUE(agrees(like).agrees);
  EXPECT_EQ(agrees(like).printed, 18u);
  EXPECT_EQ(agrees(like).elements, 24u);
  CapturedSite seen = like, unseen = like;
  seen.f32[13] += 0.01f;
  unseen.f32[11] += 0.1f;  // not printed; the sum shows it
  EXPECT_FALSE(agrees(seen).agrees);
  EXPECT_EQ(agrees(seen).first_row, 1u);
  EXPECT_EQ(agrees(seen).first_column, 5u);
  EXPECT_FALSE(agrees(unseen).agrees);
  EXPECT_EQ(agrees(unseen).max_abs, 0);
}

// llama-debug's list of tokens, whose pieces may hold brackets and ends of lines.
TEST(Foreign, DebugTextTokens) {
  const std::string tensor =
      "ggml_debug: embd = (f32) GET_ROWS(a{2, 9, 1, 1}, b{1, 1, 1, 1}}) = {1, 2, 1, 1}\n"
      "[\n[\n[ 1.0000 ],\n[ nan ],\n],\n]\nsum    = nan\nsum_sq = nan\n";
  const auto read =
      ParseDebugText("Token ids (3):\n<s>(1)  (x) (2) \n(y)\n(17) \n" + tensor, "x.txt");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->tokens, (std::vector<int32_t>{1, 2, 17}));
  EXPECT_TRUE(std::isnan(read->tensors[0].f32[1]));
}

TEST(Foreign, DebugTextErrorsNameTheLine) {
  const std::string head = "ggml_debug: a = (f32) ADD(b{2, 1, 1, 1}, }) = {2, 1, 1, 1}\n";
  for (const auto& [text, part] :
       {std::pair{std::string("no dump"), "expected the text of llama-eval-callback"},
        {"ggml_debug: a = {2}\n", "line 1: expected 'NAME"},
        {"ggml_debug: a = (f32) ADD(b{2}, }) = {2, x}\n", "line 1: shape"},
        {"ggml_debug: a = (f32) ADD(b{2}, }) = {99999999999, 99999999999}\n", "line 1: shape"},
        {head + "[\n[\n[ 1.0, 2.0, 3.0 ],\n],\n]\n", "not of its shape"},
        {head + "[\n[\n[ 1.0, zwei ],\n],\n]\n", "line 4: expected a number"},
        {head + "[\n[\n[ 1.0, 2.0 ],\n", "cut short inside of tensor 'a'"},
        {head + "sum = much\n", "line 2: expected 'sum"},
        {"number of input tokens = 99999999999\n", "line 1: expected a number of tokens"},
        {"number of input tokens = 2\n 5\n", "cut short"}}) {
    const auto read = ParseDebugText(text, "x.txt");
    ASSERT_FALSE(read) << text;
    EXPECT_NE(read.error().message.find(part), std::string::npos) << read.error().message;
    EXPECT_TRUE(read.error().message.starts_with("x.txt: ")) << read.error().message;
  }
}

TEST(Foreign, SavedLogits) {
  const std::string bin = TempPath("llamacpp-m.bin"), text = TempPath("llamacpp-m.txt"),
                    ids = TempPath("llamacpp-m-tokens.bin");
  const std::vector<float> logits = {1.5f, -2.25f, 1e-3f};
  const std::vector<int32_t> tokens = {4, 2};
  const auto bytes = [](const auto& v) {
    return std::string_view(reinterpret_cast<const char*>(v.data()), v.size() * 4);
  };
  ASSERT_TRUE(WriteFileAtomically(bin, bytes(logits)));
  ASSERT_TRUE(WriteFileAtomically(ids, bytes(tokens)));
  ASSERT_TRUE(WriteFileAtomically(text, "0: 1.5\n1: -2.25\n2: 0.001\n"));
  for (const auto& read : {ReadForeignBinary(bin), ReadForeignText(text)}) {
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->tensors[0].name, "result_output");
    EXPECT_EQ(read->tensors[0].f32, logits);
    EXPECT_EQ(read->tokens, tokens);
  }
  ASSERT_TRUE(WriteFileAtomically(bin, "12345"));
  EXPECT_FALSE(ReadForeignBinary(bin));
  ASSERT_TRUE(WriteFileAtomically(ids, "123"));
  EXPECT_FALSE(ReadForeignText(text));
}

// A row by hand: with 16 between least and largest, a step is 16 / 65535.
TEST(Kld, RowsByHand) {
  const std::string path = TempPath("base.kld");
  const std::vector<int32_t> tokens = {1, 2, 0, 1};
  auto writer = KldWriter::Create(path, 4, 3, tokens);
  ASSERT_TRUE(writer);
  const double logits[] = {0, -8, -40};
  ASSERT_TRUE(writer->Add(logits, BestKernels()));
  ASSERT_TRUE(writer->Commit());
  const std::string bytes = ReadText(path).value();
  ASSERT_EQ(bytes.size(), 8u + 12 + 16 + 8 + 8);
  EXPECT_EQ(bytes.substr(0, 8), "_logits_");
  uint16_t codes[4];
  float head[2];
  std::memcpy(head, bytes.data() + 36, 8);
  std::memcpy(codes, bytes.data() + 44, 8);
  const double sum = std::log(1 + std::exp(-8.0));
  EXPECT_FLOAT_EQ(head[0], 16.0f / 65535);
  EXPECT_FLOAT_EQ(head[1], static_cast<float>(-16 - sum));
  EXPECT_EQ(codes[0], 65535);
  EXPECT_EQ(codes[1], 32768);  // 32767.5, ties to even
  EXPECT_EQ(codes[2], 0);
  const auto base = KldBase::Open(path);
  ASSERT_TRUE(base) << base.error().message;
  EXPECT_EQ(base->rows(), 1u);
  EXPECT_EQ(base->Tokens(0), tokens);
  EXPECT_NEAR(base->LogProbabilities(0, 0)[1], -8 - sum, 16.0 / 65535);
  EXPECT_NEAR(base->LogProbabilities(0, 0)[2], -16 - sum, 1e-5);
}

// Every beginning of a file is refused with one line that names it; flipped bytes never do worse.
template <class Read>
void ExpectCutsRefused(const std::string& bytes, const std::string& name, const Read& read,
                       bool all_refused = true) {
  const std::string path = TempPath(name);
  ASSERT_TRUE(WriteFileAtomically(path, bytes));
  ASSERT_TRUE(read(path)) << read(path).error().message;
  const auto check = [&](const std::string& broken, bool must_fail) {
    std::ofstream(path, std::ios::binary) << broken;  // without waiting for the disk
    const auto result = read(path);
    if (result) {
      EXPECT_FALSE(must_fail) << broken.size();
      return;
    }
    EXPECT_TRUE(result.error().message.starts_with(path)) << result.error().message;
    EXPECT_EQ(result.error().message.find('\n'), std::string::npos) << result.error().message;
  };
  for (size_t size = 0; size < bytes.size(); ++size) check(bytes.substr(0, size), all_refused);
  std::mt19937 random(7);
  for (int i = 0; i < 400; ++i) {
    std::string flipped = bytes;
    flipped[random() % bytes.size()] = static_cast<char>(random());
    check(flipped, false);
  }
}

TEST(Foreign, BrokenFiles) {
  ExpectCutsRefused(ReadText(kArrays).value(), "cut.npz", ReadForeignNpz);
  const size_t shape[] = {3, 4};
  const std::string npy =
      NpyHeader("<f4", shape) + std::string(reinterpret_cast<const char*>(kRows.data()), 48);
  ExpectCutsRefused(npy, "cut.npy", ReadForeignNpy);
  // Text may end between two tensors.
  ExpectCutsRefused(kDump, "cut.txt", ReadForeignText, false);
  const std::string path = TempPath("whole.kld");
  auto writer = KldWriter::Create(path, 4, 3, std::vector<int32_t>{1, 2, 0, 1});
  const double logits[] = {0, -8, -40};
  ASSERT_TRUE(writer->Add(logits, BestKernels()));
  ASSERT_TRUE(writer->Commit());
  ExpectCutsRefused(ReadText(path).value(), "cut.kld", KldBase::Open);
  Capture capture = LikeCapture({Like("l_out[0]")});
  for (const char* name : {"own.npz", "own.safetensors"}) {
    ASSERT_TRUE(SaveCapture(capture, TempPath(name)));
    ExpectCutsRefused(ReadText(TempPath(name)).value(), std::string("cut_") + name, LoadCapture);
  }
}

TEST(Npy, RefusesWhatItCannotRead) {
  const auto message = [](const std::string& dictionary, size_t data) {
    std::string text = "\x93NUMPY\x01";
    text += '\0';
    text += static_cast<char>(dictionary.size());
    text += '\0';
    text += dictionary + std::string(data, '\0');
    const auto read = ReadNpy(std::as_bytes(std::span(text)), "x.npy");
    return read ? std::string() : read.error().message;
  };
  EXPECT_EQ(message("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 8), "");
  EXPECT_EQ(message("{\"shape\": (), \"descr\": \"<f8\", \"fortran_order\": True}\n", 8), "");
  for (const char* bad :
       {"{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551615,4), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,), }",
        "{'descr': '<f4', 'shape': (2,), }", "{'descr': '<f4'", "", "{}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }"})
    EXPECT_NE(message(bad, 8), "") << bad;
}

}  // namespace
}  // namespace vernier
