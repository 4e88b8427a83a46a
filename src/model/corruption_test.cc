// Damaged files: opening one gives an error that names the path, or a checkpoint whose every part
// lies inside its files. Never a crash, never an allocation out of proportion.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <new>

#include "model/checkpoint.h"
#include "model/model_testing.h"

#if !defined(__SANITIZE_ADDRESS__)
#define VERNIER_WATCHES_ALLOCATIONS
#endif

namespace {
size_t largest_allocation = 0;
}  // namespace

#ifdef VERNIER_WATCHES_ALLOCATIONS
// Not inlined: GCC 12 would see free() of what it takes for another allocation.
[[gnu::noinline]] void* operator new(size_t size) {
  if (size > largest_allocation) largest_allocation = size;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
#endif

namespace vernier {
namespace {

constexpr size_t kMostAllocated = size_t{1} << 20;  // for files of a few kB
constexpr uint64_t kHostile[] = {0,
                                 1,
                                 0x7fffffff,
                                 0x80000000,
                                 0xffffffff,
                                 uint64_t{1} << 32,
                                 uint64_t{1} << 40,
                                 uint64_t{1} << 60,
                                 INT64_MAX,
                                 uint64_t{1} << 63,
                                 UINT64_MAX - 31,
                                 UINT64_MAX};

class Damage {
 public:
  // Damages `file` (whose undamaged content it keeps) and opens `model`.
  Damage(std::string file, std::string model, std::string folder)
      : file_(std::move(file)), model_(std::move(model)), folder_(std::move(folder)) {
    good_ = Get(file_);
    EXPECT_LE(good_.size(), 4096u);
  }

  void EveryLength() {
    for (size_t size = 0; size <= good_.size(); ++size) Try(good_.substr(0, size), size);
  }

  void EveryByte(size_t end) {
    for (size_t i = 0; i < std::min(end, good_.size()); ++i) {
      const char old = good_[i];
      for (const char value : {char{0}, char{0x7f}, static_cast<char>(0x80),
                               static_cast<char>(0xff), static_cast<char>(old + 1)}) {
        std::string bad = good_;
        bad[i] = value;
        Try(bad, i);
      }
    }
  }

  // Every place a 64-bit field could be, aligned or not.
  void EveryNumber(size_t end) {
    for (size_t i = 0; i + 8 <= std::min(end, good_.size()); ++i) {
      for (const uint64_t value : kHostile) {
        std::string bad = good_;
        std::memcpy(bad.data() + i, &value, sizeof(value));
        Try(bad, i);
      }
    }
  }

  size_t errors() const { return errors_; }
  size_t opened() const { return opened_; }

 private:
  void Try(const std::string& content, size_t where) {
    std::filesystem::remove(
        file_);  // truncating it instead makes some file systems sync: 10 x slower
    std::ofstream(file_, std::ios::binary) << content;
    largest_allocation = 0;
    const auto checkpoint = OpenCheckpoint(model_);
    if (!checkpoint) {
      ++errors_;
      const std::string& message = checkpoint.error().message;
      ASSERT_EQ(message.find(folder_), 0u) << "at " << where << ": " << message;
      ASSERT_EQ(message.find('\n'), std::string::npos) << message;
    } else {
      ++opened_;
      CheckInside(*checkpoint);
      ContentHash(*checkpoint);  // reads every byte
    }
    ASSERT_LE(largest_allocation, kMostAllocated) << "at " << where;
  }

  static void CheckInside(const Checkpoint& checkpoint) {
    ASSERT_EQ(checkpoint.index.size(), checkpoint.tensors.size());
    for (const TensorView& tensor : checkpoint.tensors) {
      ASSERT_EQ(tensor.data.size(), TensorByteSize(tensor.type, tensor.shape).value());
      bool inside = false;
      for (const MappedFile& file : checkpoint.files) {
        const std::byte *begin = file.bytes().data(), *end = begin + file.bytes().size();
        inside = inside ||
                 (begin <= tensor.data.data() && tensor.data.data() + tensor.data.size() <= end);
      }
      ASSERT_TRUE(inside);
    }
  }

  std::string file_, model_, folder_, good_;
  size_t errors_ = 0, opened_ = 0;
};

TEST(CorruptionTest, Gguf) {
  TestFolder folder;
  const std::string path = folder / "a.gguf";
  PutSmallGguf(path);
  Damage damage(path, path, folder.path());
  damage.EveryLength();
  EXPECT_EQ(damage.opened(), 15u);  // the padding after the last tensor may be missing
  damage.EveryByte(SIZE_MAX);
  damage.EveryNumber(SIZE_MAX);
  EXPECT_GT(damage.errors(), 1000u);
  EXPECT_GT(damage.opened(), 1000u);
}

TEST(CorruptionTest, SplitGguf) {
  TestFolder folder;
  std::vector<std::byte> data;
  const std::vector<TensorView> tensors = SmallTensors(&data);
  for (uint64_t part : {0, 1}) {
    Metadata m;
    m.Set("split.no", {MetaType::kUint16, part});
    m.Set("split.count", {MetaType::kUint16, uint64_t{2}});
    m.Set("split.tensors.count", {MetaType::kInt32, int64_t{2}});
    ASSERT_TRUE(WriteGguf(folder / fmt::format("m-{:05}-of-00002.gguf", part + 1), m,
                          std::span(tensors).subspan(part, 1)));
  }
  for (const char* damaged : {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"}) {
    const std::string path = folder / damaged, good = Get(path);
    Damage damage(path, folder / "m-00001-of-00002.gguf", folder.path());
    damage.EveryLength();
    damage.EveryByte(300);
    damage.EveryNumber(300);
    EXPECT_GT(damage.errors(), 1000u);
    Put(path, good);
  }
}

TEST(CorruptionTest, Safetensors) {
  TestFolder folder;
  const std::string path = folder / "model.safetensors";
  Put(folder / "config.json", R"({"model_type":"llama"})");
  Put(path,
      SafetensorsBytes(
          R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":)"
          R"([0,24]},"b":{"dtype":"BF16","shape":[],"data_offsets":[24,26]}} )",
          std::string(26, 'x')));
  Damage damage(path, folder.path(), folder.path());
  damage.EveryLength();
  EXPECT_EQ(damage.opened(), 1u);
  damage.EveryByte(SIZE_MAX);
  damage.EveryNumber(SIZE_MAX);
  EXPECT_GT(damage.errors(), 1000u);
}

TEST(CorruptionTest, ShardIndexAndConfig) {
  TestFolder folder;
  const std::string index = folder / "model.safetensors.index.json";
  Put(folder / "config.json", R"({"model_type":"llama","rms_norm_eps":1e-05})");
  Put(folder / "1.safetensors",
      SafetensorsBytes(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "aaaa"));
  Put(folder / "2.safetensors",
      SafetensorsBytes(R"({"b":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}})", "bbbb"));
  Put(index, R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
  for (const std::string& path : {index, folder / "config.json"}) {
    const std::string good = Get(path);
    Damage damage(path, folder.path(), folder.path());
    damage.EveryLength();
    damage.EveryByte(SIZE_MAX);
    EXPECT_GT(damage.errors(), 100u);
    Put(path, good);
  }
}

}  // namespace
}  // namespace vernier
