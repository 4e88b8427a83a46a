#include "cli/site_selection.h"

#include <algorithm>

#include "base/names.h"

namespace vernier {
namespace {

bool Means(const Rule& selector, int layers, const Site& site) {
  return GlobMatches(selector.glob, site.name) && selector.layers.Contains(site.layer, layers);
}

Error NothingMeant(const Rule& selector, const std::string& text, const std::vector<Site>& sites) {
  std::vector<std::string> names;
  int last = -1;
  for (const Site& site : sites) {
    if (std::find(names.begin(), names.end(), site.name) == names.end()) names.push_back(site.name);
    if (GlobMatches(selector.glob, site.name)) last = std::max(last, site.layer);
  }
  const bool named = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return GlobMatches(selector.glob, name);
  });
  if (!named)
    return {fmt::format("--site {}: no site is named '{}'{}", text, selector.glob,
                        DidYouMean(selector.glob, names))};
  if (last < 0) return {fmt::format("--site {}: '{}' is in no layer", text, selector.glob)};
  return {fmt::format("--site {}: layers of '{}' are 0 to {}", text, selector.glob, last)};
}

}  // namespace

bool SiteSelection::Contains(const Site& site) const {
  return selectors.empty() ||
         std::any_of(selectors.begin(), selectors.end(),
                     [&](const Rule& selector) { return Means(selector, layers, site); });
}

Result<SiteSelection> SelectSites(const std::vector<std::string>& selectors,
                                  const std::vector<Site>& sites) {
  SiteSelection out;
  for (const Site& site : sites) out.layers = std::max(out.layers, site.layer + 1);
  for (const std::string& text : selectors) {
    auto selector = ParseRule(text + "=f32");
    if (!selector || selector->part != Part::kOut || text.find('=') != std::string::npos)
      return Fail("--site '{}': expected SITE or SITE[LAYERS], as in ffn_norm[0:5]", text);
    if (std::none_of(sites.begin(), sites.end(),
                     [&](const Site& site) { return Means(*selector, out.layers, site); }))
      return tl::unexpected(NothingMeant(*selector, text, sites));
    out.selectors.push_back(std::move(*selector));
  }
  return out;
}

}  // namespace vernier
