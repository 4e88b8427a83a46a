#include "cli/verb.h"
namespace vernier { Result<int> RunInspect(const Arguments&){return 0;} Result<int> RunProbe(const Arguments&){return 0;} Result<int> RunCompare(const Arguments&){return 0;} }
