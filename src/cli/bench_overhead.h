// vernier bench overhead (see measure/bench_overhead.h).
#ifndef VERNIER_CLI_BENCH_OVERHEAD_H_
#define VERNIER_CLI_BENCH_OVERHEAD_H_

#include "cli/verb.h"

namespace vernier {

Result<int> RunBenchOverhead(const Arguments& arguments);

}  // namespace vernier

#endif  // VERNIER_CLI_BENCH_OVERHEAD_H_
