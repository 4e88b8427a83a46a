// Claims: expressions over what a study measured, judged supported, refuted or undecided
// (docs/studies.md, "Claims").
//
//   claim   = number-expression ( < | <= | > | >= ) number-expression | predicate
//   number  = 1e-3, (a + b) * c, and the measures
//             kld('VARIANT' [, 'TEXT'])        mean KL(baseline || variant) in nats a token
//             ppl, nll('VARIANT' [, 'TEXT'])   perplexity, mean negative log-likelihood
//             delta_p, rms_delta_p, same_top, mae, max_abs('VARIANT' [, 'TEXT'])
//             accuracy('VARIANT' [, 'TEXT'])   share of tokens whose likeliest is the text's next
//             p_value('A', 'B' [, 'TEXT'])     McNemar's test of two accuracies
//             last_word, last_word_ppl('VARIANT'), last_word_p('A', 'B')
//                                              of passages' last words; the test of their shares
//             late_mae('VARIANT' [, 'TEXT'])   mae of the second half of each chunk's scored tokens
//             mae_truth('VARIANT' [, 'TEXT'])  mean |logit - the truth's|
//             truth('VARIANT' [, 'TEXT'])      mean KL(truth || variant)
//             error, truth_error('VARIANT', 'SITE[LAYER]')
//                                              relative l2 error of a site against baseline, truth
//             contributed, inherited('VARIANT', 'SITE[LAYER]')
//                                              its parts, with by_layer = true
//             rms, mean, std('VARIANT', 'SITE[LAYER]')
//             max_error('VARIANT', 'SITE[LAYER]')
//                                              largest |value - the baseline's|
//             beside, beside_max('VARIANT', 'SITE[LAYER]')
//                                              relative l2, largest difference from the variant
//                                              that `beside` names
//             growth('VARIANT', 'SITE[LAYER]') rms over that of the layer before; of 'SITE': of the
//                                              last layer over the first
//             drift('VARIANT', 'SITE[LAYER]')  (mean - the baseline's) / the baseline's rms; of
//                                              'SITE': its root mean square over the layers
//             depth_exponent('VARIANT', 'SITE')
//                                              p of truth_error ~ (layer + 1)^p, by least squares
//             match, agreed, parted, parting_margin('VARIANT')
//                                              of free-running texts against the baseline's
//             fraction_bits('FORMAT', NUMBER), format_max, format_min('FORMAT')
//             first_token, first_rank('VARIANT')
//                                              share of prompts with the baseline's first token;
//                                              mean rank of that token
//             abs(x), max(x, ...), min(x, ...) of numbers
//             noise, noise_mae(['TEXT'])       mean kld, mae of the noise lanes; noise('MODEL' [,
//             'TEXT'])
//                                              in a study of several models
//             overhead('VARIANT')              time alone / time of the baseline alone - 1
//   predicate = identical('A', 'B') | vacuous('VARIANT')
//             | increasing(S, layer) | decreasing(S, layer) | monotone(S, layer)
//             | largest(S, layer, 'LAYERS')     the largest of S are those of these layers: '0,-1'
//             | anomalous(S, layer [, NUMBER])  S of that layer, or of any, is an outlier
//   In a study of several models a VARIANT is "MODEL: NAME", and so are 'SITE FORMAT' below.
//   S       = a measure's name: that measure of the sweep's variants, by layer (a third argument
//   'SITE FORMAT' says which sweep),
//             or error('VARIANT', 'SITE') and its like: that of the site by layer
#ifndef VERNIER_STUDY_CLAIMS_H_
#define VERNIER_STUDY_CLAIMS_H_

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/recipe.h"
#include "study/run.h"
#include "study/spec.h"

namespace vernier {

// A parsed expression.
struct Expression {
  enum class Kind {
    kNumber,
    kText,
    kName,
    kCall,
    kNegate,
    kAdd,
    kSubtract,
    kMultiply,
    kDivide,
    kLess,
    kLessEqual,
    kGreater,
    kGreaterEqual
  };
  Kind kind = Kind::kNumber;
  double number = 0;
  std::string text;  // kText, kName, kCall
  std::vector<Expression> parts;
};

// Checks syntax, and every variant, text and measure named; errors name the claim and the nearest
// right name. `parts`: the study of each model, sweeps expanded (study/spec.h).
Result<Expression> ParseClaim(const std::string& text, std::span<const StudySpec> parts);

// What a series says beside the measure: the sweep it goes over (null: the only one), whether its
// last argument is a layer, the layers in a text ("0,-1"); and the name of a variant's sweep.
bool IsFreeRunMeasure(const std::string& name);  // match, agreed, parted, parting_margin
bool IsSiteMeasure(const std::string& name);     // error, rms, growth ...: of a lane's site
bool IsPairedTest(const std::string& name);      // p_value, last_word_p
bool IsFormatFact(const std::string& name);      // fraction_bits, format_max, format_min
double ValueOf(const Expression& number);        // of a number, perhaps negated
const Expression* SweepOf(const Expression& series);
bool NamesLayer(const Expression& series);
std::optional<LayerSelection> LayersOfText(const std::string& text);
std::string SweepKey(const StudySpec& part, const StudyVariant& variant);

// What running one model's study must measure for a claim beside the usual: names of sites, of
// variants to be timed.
void CollectNeeds(const Expression& expression, const StudySpec& part, RunOptions* options);

enum class Verdict { kSupported, kRefuted, kUndecided };
const char* VerdictName(Verdict verdict);

// What a claim that compares was judged by: left minus right (or what `detail` names), and its
// interval; not known where a text has one chunk.
struct ClaimEstimate {
  double value = 0, low = 0, high = 0;
  double confidence = 0;  // 0.95
  bool known = false;
};

struct JudgedClaim {
  std::string says, expression;
  bool required = false;
  Verdict verdict = Verdict::kUndecided;
  std::string detail;  // the figures: difference, interval, n
  std::optional<ClaimEstimate> estimate{};
};

// Intervals are percentile bootstraps over chunks within texts (2000 draws), at 95 % for all of the
// study's claims together (Bonferroni). A comparison is supported or refuted when its interval lies
// on one side, otherwise undecided; so is one that depends on a text of which only one chunk
// counts. Models whose chunks are the same tokens are drawn together (paired), others apart.
struct StudiedModel {
  const StudySpec* spec;
  const StudyData* data;
  const Graph* graph;
};
std::vector<JudgedClaim> JudgeClaims(const std::vector<StudyClaim>& claims,
                                     const std::vector<Expression>& expressions,
                                     std::span<const StudiedModel> models);

}  // namespace vernier

#endif  // VERNIER_STUDY_CLAIMS_H_
