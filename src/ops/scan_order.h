// In which order a scan goes through the tokens of a text: `sequential`, one after another, or
// `chunked:N`, as block scans do (docs/numerics.md states both). Chunks begin at the positions k N
// of the text, so that a token's state does not depend on how the text is cut into calls.
#ifndef VERNIER_OPS_SCAN_ORDER_H_
#define VERNIER_OPS_SCAN_ORDER_H_

#include <cstddef>
#include <string_view>

#include "base/result.h"

namespace vernier {

struct ScanOrder {
  size_t chunk = 0;  // tokens; 0: sequential
};

inline constexpr size_t kLongestChunk = size_t{1} << 20;

// "sequential", "chunked:256".
Result<ScanOrder> ParseScanOrder(std::string_view text);

}  // namespace vernier

#endif  // VERNIER_OPS_SCAN_ORDER_H_
