// What llama.cpp's examples print of every tensor they compute (llama.cpp: examples/eval-callback,
// examples/debug, common/debug.cpp):
//
//   ggml_debug:     ffn_norm-0 = (f32)  MUL(norm-0{256, 14, 1, 1}, blk.0.ffn_norm.weight{256, 1,
//   1, 1}}) = {256, 14, 1, 1}          (one line)
//     [
//       [
//         [      0.1000,      0.2000,      0.3000, ...,      0.4000,      0.5000,      0.6000  ],
//         ...,
//       ],
//     ]
//     sum = 1.234567
//
// The prefix is "ggml_debug:" or "common_debug_cb_eval:"; of each dimension longer than six the
// first three and the last three are printed (older ones: the first three, no sum). Numbers have
// four decimals, the sum six. Token ids come as "number of input tokens = N" and N lines, or as
// "Token ids (N):" and a line of "piece(id) ".
#ifndef VERNIER_MEASURE_CAPTURE_TEXT_H_
#define VERNIER_MEASURE_CAPTURE_TEXT_H_

#include <string_view>

#include "measure/capture_foreign.h"

namespace vernier {

inline constexpr double kPrintedStep = 0.5e-4;  // four decimals

// Errors: "PATH: line N: expected ...". Only the first evaluation is read where there are several
// (what is generated afterwards); a note says so.
Result<ForeignCapture> ParseDebugText(std::string_view text, const std::string& path);

}  // namespace vernier

#endif  // VERNIER_MEASURE_CAPTURE_TEXT_H_
