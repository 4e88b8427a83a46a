// The option heads= of a treatment: only some heads of a row are treated (docs/rules.md).
#ifndef VERNIER_ENGINE_HEAD_RULES_H_
#define VERNIER_ENGINE_HEAD_RULES_H_

#include <cstddef>

#include "arch/graph.h"
#include "base/hash.h"
#include "base/result.h"
#include "engine/recipe.h"

namespace vernier {

// Consecutive heads of a row that holds `of` heads one after another.
struct HeadRange {
  size_t of = 1, first = 0, last = 1;  // [first, last)
  bool All() const { return first == 0 && last == of; }
  // Of a row of n elements.
  size_t Offset(size_t n) const { return n / of * first; }
  size_t Count(size_t n) const { return All() ? n : n / of * (last - first); }
};
Hash128 Combine(const Hash128& identity, const HeadRange& heads);  // itself where all are meant

// Takes heads= out of the rule's value. Errors: the site has no heads, or not these; `.in`.
Result<HeadRange> TakeHeads(const Graph& graph, const Site& site, Rule* rule);

}  // namespace vernier

#endif  // VERNIER_ENGINE_HEAD_RULES_H_
