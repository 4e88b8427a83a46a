// The subjects of `vernier bench` that have files of their own; the table is in bench.cc.
#ifndef VERNIER_CLI_BENCH_SUBJECTS_H_
#define VERNIER_CLI_BENCH_SUBJECTS_H_

#include "cli/output.h"
#include "cli/verb.h"

namespace vernier {

// Says that nothing is kept; gives kInterrupted.
Result<int> Interrupted(const OutputOptions& output);

Result<int> RunBenchArithmetic(const Arguments& arguments);
Result<int> RunBenchInference(const Arguments& arguments);
Result<int> RunBenchMatmul(const Arguments& arguments);
Result<int> RunBenchOverhead(const Arguments& arguments);

}  // namespace vernier

#endif  // VERNIER_CLI_BENCH_SUBJECTS_H_
