// What `vernier inspect` found in a checkpoint, as JSON and as text (docs/commands.md, "inspect").
#ifndef VERNIER_CLI_INSPECT_REPORT_H_
#define VERNIER_CLI_INSPECT_REPORT_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "arch/hyperparameters.h"
#include "cli/output.h"
#include "measure/format_fit.h"
#include "measure/layout_check.h"
#include "model/checkpoint.h"

namespace vernier {

struct Inspected {
  const Checkpoint* checkpoint;
  std::string architecture;
  std::optional<std::vector<NamedConstant>> constants;
  std::string why_not;  // they could not be read
  std::string hash;
  std::vector<Format> formats;                   // asked for by --exact; empty: nothing was decoded
  std::vector<TensorFit> fits;                   // by tensor
  std::map<std::string, LayoutFinding> layouts;  // by tensor
  std::string why_no_layout;                     // the graph could not be built
};

Result<OrderedJson> InspectJson(const Inspected& inspected);
Result<std::string> InspectText(const Inspected& inspected, const Screen& screen);

}  // namespace vernier

#endif  // VERNIER_CLI_INSPECT_REPORT_H_
