#include "model/zip.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "model/quote.h"

namespace vernier {
namespace {

constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50;
constexpr size_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22, kLongestComment = 65535;
constexpr uint64_t kMostBytes = 0xfffffffe;
constexpr uint64_t kMostExpansion = 1032;  // deflate's best: 258 bytes in 2 bits
constexpr uint16_t kEncrypted = 1, kStored = 0, kDeflated = 8;
constexpr uint16_t kFirstDay = 33;  // 1980-01-01

uint16_t U16(std::span<const std::byte> bytes, size_t at) {
  return static_cast<uint16_t>(std::to_integer<unsigned>(bytes[at]) |
                               std::to_integer<unsigned>(bytes[at + 1]) << 8);
}
uint32_t U32(std::span<const std::byte> bytes, size_t at) {
  return U16(bytes, at) | static_cast<uint32_t>(U16(bytes, at + 2)) << 16;
}

// Where the end record begins: the last one whose comment reaches the end of the file.
Result<size_t> FindEnd(const MappedFile& file) {
  const std::span<const std::byte> bytes = file.bytes();
  for (size_t back = kEndBytes; back <= std::min(bytes.size(), kEndBytes + kLongestComment);
       ++back) {
    const size_t at = bytes.size() - back;
    if (U32(bytes, at) == kEnd && at + kEndBytes + U16(bytes, at + 20) == bytes.size()) return at;
  }
  return Fail("{}: zip: no directory at the end; the file is cut short or no zip archive",
              file.path());
}

// The member whose record in the directory begins at `at`, which is moved behind it.
Result<ZipMember> ReadMember(const MappedFile& file, size_t directory_end, size_t* at) {
  const std::span<const std::byte> bytes = file.bytes();
  const auto cut = [&] {
    return Fail("{}: zip: directory cut short at byte {}", file.path(), *at);
  };
  if (directory_end - *at < kCentralBytes || U32(bytes, *at) != kCentral) return cut();
  const size_t name = U16(bytes, *at + 28), extra = U16(bytes, *at + 30),
               comment = U16(bytes, *at + 32);
  if (directory_end - *at - kCentralBytes < name + extra + comment) return cut();
  ZipMember member;
  const char* text = reinterpret_cast<const char*>(bytes.data() + *at + kCentralBytes);
  member.name.assign(text, name);
  member.method = U16(bytes, *at + 10);
  member.crc = U32(bytes, *at + 16);
  const uint64_t packed = U32(bytes, *at + 20), local = U32(bytes, *at + 42);
  member.size = U32(bytes, *at + 24);
  const std::string where = fmt::format("{}: zip member {}", file.path(), Quote(member.name));
  if (U16(bytes, *at + 8) & kEncrypted) return Fail("{}: encrypted", where);
  if (member.method != kStored && member.method != kDeflated)
    return Fail("{}: packed by method {}, expected 0 (stored) or 8 (deflated)", where,
                member.method);
  if (packed > kMostBytes || member.size > kMostBytes || local > kMostBytes)
    return Fail("{}: zip64, expected less than 4 GiB", where);
  *at += kCentralBytes + name + extra + comment;
  // The local record's own name and extra fields lie before the data.
  if (local + kLocalBytes > bytes.size() || U32(bytes, local) != kLocal)
    return Fail("{}: no local record at byte {}", where, local);
  const uint64_t data = local + kLocalBytes + U16(bytes, local + 26) + U16(bytes, local + 28);
  if (data > bytes.size() || bytes.size() - data < packed)
    return Fail("{}: {} bytes from byte {}, but the file has {}", where, packed, data,
                bytes.size());
  member.packed = bytes.subspan(data, packed);
  if (member.method == kStored ? member.size != packed
                               : member.size > (packed + 1) * kMostExpansion)
    return Fail("{}: {} bytes cannot be packed in {}", where, member.size, packed);
  return member;
}

void Put16(std::string* out, uint32_t value) {
  *out += static_cast<char>(value & 0xff);
  *out += static_cast<char>(value >> 8 & 0xff);
}
void Put32(std::string* out, uint32_t value) {
  Put16(out, value & 0xffff);
  Put16(out, value >> 16);
}

}  // namespace

Result<std::vector<ZipMember>> ReadZip(const MappedFile& file) {
  const std::span<const std::byte> bytes = file.bytes();
  ASSIGN_OR_RETURN(const size_t end, FindEnd(file));
  const size_t count = U16(bytes, end + 10);
  const uint64_t size = U32(bytes, end + 12), start = U32(bytes, end + 16);
  if (U16(bytes, end + 4) != 0 || U16(bytes, end + 6) != 0 || U16(bytes, end + 8) != count)
    return Fail("{}: zip: of several disks", file.path());
  if (count == 0xffff || start > kMostBytes)
    return Fail("{}: zip64, expected less than 65535 members and 4 GiB", file.path());
  if (start > end || size > end - start)
    return Fail("{}: zip: directory of {} bytes at byte {}, but the file has {}", file.path(), size,
                start, bytes.size());
  std::vector<ZipMember> members;
  std::set<std::string> names;
  size_t at = start;
  for (size_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(ZipMember member, ReadMember(file, start + size, &at));
    if (!names.insert(member.name).second)
      return Fail("{}: zip member {} twice", file.path(), Quote(member.name));
    members.push_back(std::move(member));
  }
  return members;
}

Result<std::vector<std::byte>> Unpack(const ZipMember& member, const std::string& path) {
  std::vector<std::byte> out(member.size);
  if (member.method == kStored) {
    std::copy(member.packed.begin(), member.packed.end(), out.begin());
  } else {
    z_stream stream{};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return Fail("{}: no memory", path);
    std::byte none{};  // zlib wants an address also for nothing
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(member.packed.data()));
    stream.avail_in = static_cast<uInt>(member.packed.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.empty() ? &none : out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const int status = inflate(&stream, Z_FINISH);
    const uint64_t made = stream.total_out;
    inflateEnd(&stream);
    if (status != Z_STREAM_END || made != member.size)
      return Fail("{}: zip member {}: damaged after {} of {} bytes", path, Quote(member.name), made,
                  member.size);
  }
  const uLong crc =
      out.empty() ? 0 : crc32_z(0, reinterpret_cast<const Bytef*>(out.data()), out.size());
  if (crc != member.crc)
    return Fail("{}: zip member {}: damaged, its checksum differs", path, Quote(member.name));
  return out;
}

Result<ZipWriter> ZipWriter::Create(const std::string& path) {
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  return ZipWriter(std::move(file));
}

Status ZipWriter::Add(const std::string& name, std::span<const std::span<const std::byte>> pieces) {
  uint64_t size = 0;
  uLong crc = 0;
  for (const auto& piece : pieces) {
    size += piece.size();
    if (piece.empty()) continue;  // crc32_z starts anew at a null pointer
    crc = crc32_z(crc, reinterpret_cast<const Bytef*>(piece.data()), piece.size());
  }
  if (size > kMostBytes || at_ + kLocalBytes + name.size() + size > kMostBytes ||
      members_ == 0xfffe)
    return Fail("{}: a zip archive has at most 4 GiB and 65534 members", name);
  std::string common;  // from the flags to the length of the extra fields
  Put16(&common, 0);
  Put16(&common, kStored);
  Put16(&common, 0);
  Put16(&common, kFirstDay);
  Put32(&common, static_cast<uint32_t>(crc));
  Put32(&common, static_cast<uint32_t>(size));
  Put32(&common, static_cast<uint32_t>(size));
  Put16(&common, static_cast<uint32_t>(name.size()));
  Put16(&common, 0);
  std::string local;
  Put32(&local, kLocal);
  Put16(&local, 20);  // version 2.0 reads it
  local += common + name;
  Put32(&directory_, kCentral);
  Put16(&directory_, 20);
  Put16(&directory_, 20);
  directory_ += common;
  directory_.append(10, '\0');  // comment, disk, attributes
  Put32(&directory_, static_cast<uint32_t>(at_));
  directory_ += name;
  RETURN_IF_ERROR(file_.Write(local));
  for (const auto& piece : pieces) RETURN_IF_ERROR(file_.Write(piece.data(), piece.size()));
  at_ += local.size() + size;
  ++members_;
  return {};
}

Status ZipWriter::Finish() {
  std::string end;
  Put32(&end, kEnd);
  Put32(&end, 0);
  Put16(&end, members_);
  Put16(&end, members_);
  Put32(&end, static_cast<uint32_t>(directory_.size()));
  Put32(&end, static_cast<uint32_t>(at_));
  Put16(&end, 0);
  RETURN_IF_ERROR(file_.Write(directory_));
  RETURN_IF_ERROR(file_.Write(end));
  return file_.Commit();
}

}  // namespace vernier
