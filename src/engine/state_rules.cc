#include "engine/state_rules.h"

#include <charconv>

#include "base/names.h"

namespace vernier {

Result<size_t> TakeEvery(const Site& site, Rule* rule) {
  std::string kept;
  size_t every = 0;
  for (const std::string& piece : Split(rule->value, ',')) {
    if (!piece.starts_with("every=")) {
      kept += (kept.empty() ? "" : ",") + piece;
      continue;
    }
    if (every > 0) return Fail("rule '{}': option 'every' is given twice", rule->text);
    if (site.inner != InnerSite::kState || rule->part != Part::kOut)
      return Fail("rule '{}': {}: {}{} is no state that is carried on; ssm_state is", rule->text,
                  piece, site.name, rule->part == Part::kIn ? ".in" : "");
    const char* const end = piece.data() + piece.size();
    const auto [at, error] = std::from_chars(piece.data() + 6, end, every);
    if (error != std::errc() || at != end || every < 1 || every > kLongestChunk)
      return Fail("rule '{}': '{}': expected every=N, N from 1 to {} tokens", rule->text, piece,
                  kLongestChunk);
  }
  if (every == 0) return 1;
  rule->value = kept;
  return every;
}

Result<ScanOrder> OrderOf(const Rule& rule) {
  auto order = ParseScanOrder(rule.value);
  if (!order) return Fail("rule '{}': {}", rule.text, order.error().message);
  return order;
}

Status CheckOrder(const Rule& rule, const Node& node, const NodePlan& plan) {
  if (plan.order.chunk == 0 || (!plan.ggml && !plan.format)) return {};
  return Fail("rule '{}': {} computes in {}, which scans sequentially; chunked is of f32 and f64",
              rule.text, Site{node.site, node.layer}.Label(), plan.ggml ? "a profile" : "a format");
}

}  // namespace vernier
