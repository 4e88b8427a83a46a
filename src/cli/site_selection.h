// Which sites `--site` means: the selectors of rules without a part, "ffn_norm", "ffn_*[0:5]".
#ifndef VERNIER_CLI_SITE_SELECTION_H_
#define VERNIER_CLI_SITE_SELECTION_H_

#include <string>
#include <vector>

#include "arch/graph.h"
#include "base/result.h"
#include "engine/recipe.h"

namespace vernier {

struct SiteSelection {
  std::vector<Rule> selectors;  // empty: every site
  int layers = 0;
  bool Contains(const Site& site) const;
};

// `sites` are those there are. Error when a selector means none of them, with the nearest name.
Result<SiteSelection> SelectSites(const std::vector<std::string>& selectors,
                                  const std::vector<Site>& sites);

}  // namespace vernier

#endif  // VERNIER_CLI_SITE_SELECTION_H_
