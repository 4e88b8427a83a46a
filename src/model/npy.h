// NumPy's .npy files (numpy/lib/format.py, "Format Version 1.0" and 2.0): a magic string, a
// version, the length of a header, the header (a literal of a Python dictionary), the data.
#ifndef VERNIER_MODEL_NPY_H_
#define VERNIER_MODEL_NPY_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace vernier {

struct NpyArray {
  char kind = 'f';            // 'f' float, 'i' signed, 'u' unsigned, 'b' bool
  size_t element_bytes = 4;   // 1, 2, 4 or 8
  std::vector<size_t> shape;  // of any number of dimensions up to 32, zeros allowed
  bool fortran = false;       // the first dimension runs fastest
  std::span<const std::byte> data;

  size_t Elements() const;
  // The elements' bytes in the order of C (the last dimension fastest), whatever the file's.
  std::vector<std::byte> InOrder() const;
  // Of integers and bools, likewise; unsigned ones beyond int64_t become its largest. CHECK: no
  // floats.
  std::vector<int64_t> Integers() const;
};

// The array that these bytes are. Little-endian numbers only. Errors lead with `source`: other
// types, Python objects, headers that are not such a dictionary, data of another length.
Result<NpyArray> ReadNpy(std::span<const std::byte> bytes, const std::string& source);

// Magic, version 1.0 and header of an array in C's order; the data follow. `descr`: "<f4".
std::string NpyHeader(const std::string& descr, std::span<const size_t> shape);

}  // namespace vernier

#endif  // VERNIER_MODEL_NPY_H_
