// Reading the members of a zip archive (PKWARE's APPNOTE.TXT, 4.3), stored or deflated, as .npz
// files have them; and writing one whose members are stored. The archive is not trusted.
#ifndef VERNIER_MODEL_ZIP_H_
#define VERNIER_MODEL_ZIP_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace vernier {

struct ZipMember {
  std::string name;
  int method = 0;     // 0 stored, 8 deflated
  uint64_t size = 0;  // of the member itself
  uint32_t crc = 0;
  std::span<const std::byte> packed;  // as it lies in the archive
};

// By the central directory, in its order. Errors ("PATH: zip: ..."): cut short, several disks,
// encrypted members, other methods, sizes that are not there, more than 65534 members or 4 GiB
// (zip64) archives, two members of one name.
Result<std::vector<ZipMember>> ReadZip(const MappedFile& file);

// A member's bytes; their length and CRC-32 are checked.
Result<std::vector<std::byte>> Unpack(const ZipMember& member, const std::string& path);

// Writes members that are stored, dated 1980-01-01, so that the same members give the same bytes.
// Finish writes the directory; nothing of the file is seen before. Errors: over 4 GiB.
class ZipWriter {
 public:
  static Result<ZipWriter> Create(const std::string& path);
  // `pieces` one after another are the member.
  Status Add(const std::string& name, std::span<const std::span<const std::byte>> pieces);
  Status Finish();

 private:
  explicit ZipWriter(AtomicFile file) : file_(std::move(file)) {}
  AtomicFile file_;
  std::string directory_;
  uint64_t at_ = 0;
  uint16_t members_ = 0;
};

}  // namespace vernier

#endif  // VERNIER_MODEL_ZIP_H_
