#include "ops/scan_order.h"

#include <charconv>

namespace vernier {

Result<ScanOrder> ParseScanOrder(std::string_view text) {
  if (text == "sequential") return ScanOrder{};
  constexpr std::string_view kChunked = "chunked:";
  ScanOrder order;
  if (text.starts_with(kChunked)) {
    const char* const end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data() + kChunked.size(), end, order.chunk);
    if (error == std::errc() && at == end && order.chunk >= 1 && order.chunk <= kLongestChunk)
      return order;
  }
  return Fail("'{}': expected sequential or chunked:N, N from 1 to {}", text, kLongestChunk);
}

}  // namespace vernier
