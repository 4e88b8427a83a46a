#include <algorithm>
#include <cmath>

#include "cli/compare.h"
#include "report/rule_effects.h"
#include "report/table.h"

namespace vernier {
namespace {

constexpr size_t kWorstShown = 12;

double Rate(size_t matches, size_t of) {
  return of == 0 ? std::nan("") : static_cast<double>(matches) / static_cast<double>(of);
}

const char* Nearer(const LogitComparison& logits) {
  const double a = logits.a_truth.l2_rel, b = logits.b_truth.l2_rel;
  if (a == b) return "equal";
  return a < b ? "a" : "b";
}

OrderedJson LogitsJson(const Compared& c) {
  if (!c.logits) return {};
  return {{"of", c.log_probabilities ? "log-probabilities" : "logits"},
          {"positions", c.logits->rows},
          {"mae", c.logits->mae},
          {"max_abs", c.logits->max_abs},
          {"kl_mean", c.logits->kl_mean},
          {"kl_max", c.logits->kl_max},
          {"top1_agreement", c.logits->top1_agreement},
          {"identical", c.logits->identical}};
}

OrderedJson SitesJson(const Compared& c) {
  OrderedJson sites = OrderedJson::array();
  for (const SiteDifference& site : c.sites.sites) {
    const TensorError& e = site.error;
    const OrderedJson first = e.first_difference < 0 ? OrderedJson()
                                                     : OrderedJson({{"index", e.first_difference},
                                                                    {"row", e.first_row},
                                                                    {"column", e.first_column}});
    sites.push_back({{"site", site.name},
                     {"label", site.label},
                     {"layer", site.layer < 0 ? OrderedJson() : OrderedJson(site.layer)},
                     {"shape", {site.rows, site.width}},
                     {"max_abs", e.max_abs},
                     {"rmse", e.rmse},
                     {"l2_rel", e.l2_rel},
                     {"sqnr_db", e.sqnr_db},
                     {"cosine", e.cosine},
                     {"equal_bits", e.equal_bits()},
                     {"ulp_median", e.ulp_median},
                     {"ulp_p99", e.ulp_p99},
                     {"ulp_max", e.ulp_max},
                     {"first_difference", first},
                     {"nonfinite", e.nonfinite},
                     {"unlike", e.unlike}});
  }
  return sites;
}

OrderedJson SizeJson(const ErrorSize& size) {
  return {{"rmse", size.rmse}, {"l2_rel", size.l2_rel}};
}

OrderedJson ContributionsJson(const Compared& c) {
  OrderedJson out = OrderedJson::array();
  const OrderedJson none;
  for (const Contribution& k : c.contributions)
    out.push_back({{"site", k.name},
                   {"label", k.label},
                   {"layer", k.layer < 0 ? none : OrderedJson(k.layer)},
                   {"op", Info(k.op).name},
                   {"rows", k.rows},
                   {"total", SizeJson(k.total)},
                   {"inherited", SizeJson(k.inherited)},
                   {"contributed", SizeJson(k.contributed)},
                   {"cost", k.has_cost ? SizeJson(k.cost) : none},
                   {"beyond", k.beyond},
                   {"since", k.since},
                   {"position_shift", k.position_shift ? OrderedJson(*k.position_shift) : none},
                   {"transposed", k.transposed}});
  return out;
}

OrderedJson PartialJson(const Compared& c) {
  OrderedJson out = OrderedJson::array();
  const OrderedJson none;
  const auto number = [&](const std::optional<double>& x) { return x ? OrderedJson(*x) : none; };
  for (const PartialSite& p : c.partial)
    out.push_back({{"site", p.name},
                   {"label", p.label},
                   {"layer", p.layer < 0 ? none : OrderedJson(p.layer)},
                   {"foreign", p.foreign},
                   {"op", p.op},
                   {"printed", p.printed},
                   {"elements", p.elements},
                   {"max_abs", p.max_abs},
                   {"rmse", p.rmse},
                   {"sum", number(p.sum)},
                   {"other_sum", number(p.other_sum)},
                   {"sum_tolerance", p.sum_tolerance},
                   {"agrees", p.agrees}});
  return out;
}

// Of an abbreviated dump: what it shows, and the first that does not agree.
std::string PartialText(const Compared& c, const Screen& screen) {
  if (c.partial.empty()) return "";
  size_t agree = 0, printed = 0, elements = 0;
  const PartialSite* first = nullptr;
  Table table{{{"printed sites that differ", Align::kLeft},
               {"printed"},
               {"max |b-a|"},
               {"sum"},
               {"of the other"},
               {"may differ by"}},
              {}};
  for (const PartialSite& p : c.partial) {
    agree += p.agrees;
    printed += p.printed;
    elements += p.elements;
    if (p.agrees) continue;
    if (first == nullptr) first = &p;
    if (table.rows.size() < kWorstShown)
      table.rows.push_back({p.label, fmt::format("{} of {}", p.printed, p.elements),
                            NumberText(p.max_abs), p.sum ? NumberText(*p.sum) : "-",
                            p.other_sum ? NumberText(*p.other_sum) : "-",
                            NumberText(p.sum_tolerance)});
  }
  std::string text = fmt::format(
      "partial: {} of {} elements are printed; at {} of {} sites they and the sums agree\n",
      printed, elements, agree, c.partial.size());
  if (first == nullptr) return text;
  return text +
         fmt::format("first wrong site: {} ({} {})\n\n", first->label, first->op, first->foreign) +
         FormatTable(table, screen);
}

std::string NotesText(const Compared& c) {
  std::string text;
  for (const std::string& note : c.notes) text += note + "\n";
  if (!c.unknown.empty())
    text += fmt::format("{} tensors have no site here, from '{}'\n", c.unknown.size(),
                        c.unknown.front());
  return text;
}

// What the first node that is beyond looks like.
std::string BeyondText(const Contribution& k) {
  std::string text = fmt::format("{}: contributes {}, {} would be rounding and formats", k.label,
                                 NumberText(k.contributed.l2_rel), NumberText(k.cost.l2_rel));
  if (k.position_shift) text += fmt::format("; positions look shifted by {:+}", *k.position_shift);
  if (k.transposed) text += "; its weight looks transposed";
  return text;
}

std::string DistanceText(const TruthDistance& d) {
  return fmt::format("l2 {}, KL {}", NumberText(d.l2_rel), NumberText(d.kl_mean));
}

std::string Headline(const Compared& c, const Screen& screen) {
  Table table{{{"", Align::kLeft}, {"", Align::kLeft, 0, true}}, {}};
  const auto add = [&](const char* what, std::string value) {
    table.rows.push_back({what, std::move(value)});
  };
  add("a", c.a);
  add("b", c.b);
  add("tokens", fmt::format("{} given, {} of a's", c.prompt, c.tokens.size() - c.prompt));
  if (c.Identical()) add("result", "identical: every compared number has equal bits");
  if (c.logits) {
    add(c.log_probabilities ? "ln p" : "logits",
        fmt::format("max |b-a| {}, mean {}, over {} positions", NumberText(c.logits->max_abs),
                    NumberText(c.logits->mae), c.logits->rows));
    add("KL(a||b)", fmt::format("mean {} nats, largest {}", NumberText(c.logits->kl_mean),
                                NumberText(c.logits->kl_max)));
    add("same top token", PercentText(c.logits->top1_agreement));
  }
  if (c.free_ran) {
    add("a's tokens, forced", fmt::format("b says {} of {}", c.forced_matches, c.generated));
    add("free-running",
        c.first_difference
            ? fmt::format("{} of {} equal; first difference at step {}, where a's margin is {}",
                          c.free_matches, c.generated, *c.first_difference, NumberText(c.margin))
            : fmt::format("{} of {} equal", c.free_matches, c.generated));
  }
  if (c.logits && c.logits->has_truth) {
    add("truth (f64) to a", DistanceText(c.logits->a_truth));
    add("truth (f64) to b", DistanceText(c.logits->b_truth));
    add("nearer to truth", Nearer(*c.logits));
  }
  return FormatTable(table, screen);
}

bool Worse(const SiteDifference& a, const SiteDifference& b) {
  if (a.error.unlike != b.error.unlike) return a.error.unlike > b.error.unlike;
  return a.error.l2_rel > b.error.l2_rel;
}

// Where the most error is made, whatever is handed on.
std::string ContributionsText(const Compared& c, const Screen& screen) {
  std::vector<Contribution> most = c.contributions;
  std::erase_if(most, [](const Contribution& k) { return k.contributed.l2_rel == 0; });
  if (most.empty()) return "";
  std::stable_sort(most.begin(), most.end(), [](const Contribution& a, const Contribution& b) {
    return a.contributed.l2_rel > b.contributed.l2_rel;
  });
  Table table{{{"contributed most", Align::kLeft},
               {"contributed"},
               {"inherited"},
               {"total"},
               {"formats cost"},
               {"", Align::kLeft}},
              {}};
  for (size_t i = 0; i < std::min(kWorstShown, most.size()); ++i) {
    const Contribution& k = most[i];
    table.rows.push_back({k.label, NumberText(k.contributed.l2_rel), NumberText(k.inherited.l2_rel),
                          NumberText(k.total.l2_rel), k.has_cost ? NumberText(k.cost.l2_rel) : "-",
                          k.beyond ? "beyond" : ""});
  }
  return "\n" + FormatTable(table, screen);
}

std::string SitesText(const Compared& c, const Screen& screen) {
  if (c.log_probabilities || (c.sites.sites.empty() && !c.partial.empty())) return "";
  const auto first = std::find_if(c.sites.sites.begin(), c.sites.sites.end(),
                                  [](const SiteDifference& s) { return !s.error.identical(); });
  std::string text;
  for (const auto& [side, only] : {std::pair{"a", &c.sites.only_a}, {"b", &c.sites.only_b}})
    if (!only->empty())
      text += fmt::format("only in {}: {} sites, from {}\n", side, only->size(), only->front());
  if (first == c.sites.sites.end())
    return text + fmt::format("all {} sites have equal bits\n", c.sites.sites.size());
  text += fmt::format("first site that differs: {}, at row {}, element {}\n", first->label,
                      first->error.first_row, first->error.first_column);
  if (const Contribution* beyond = FirstBeyond(c.contributions))
    text += fmt::format("first wrong site: {}\n", BeyondText(*beyond));
  text += "\n";
  std::vector<SiteDifference> worst = c.sites.sites;
  std::stable_sort(worst.begin(), worst.end(), Worse);
  Table table{{{"worst sites", Align::kLeft},
               {"l2_rel"},
               {"SQNR dB", Align::kRight, 3},
               {"max |b-a|"},
               {"cosine", Align::kRight, 2},
               {"equal bits"},
               {"ulp p99", Align::kRight, 1},
               {"", Align::kLeft, 0, true}},
              {}};
  for (size_t i = 0; i < std::min(kWorstShown, worst.size()); ++i) {
    const TensorError& e = worst[i].error;
    if (e.identical()) break;
    table.rows.push_back({worst[i].label, NumberText(e.l2_rel), fmt::format("{:.1f}", e.sqnr_db),
                          NumberText(e.max_abs), fmt::format("{:.6f}", e.cosine),
                          PercentText(e.equal_bits()), NumberText(e.ulp_p99),
                          e.unlike > 0 ? fmt::format("{} NaN or infinite in one", e.unlike) : ""});
  }
  return text + FormatTable(table, screen) + ContributionsText(c, screen);
}

}  // namespace

bool Compared::Identical() const {
  return partial.empty() && (!logits || logits->identical) &&
         std::all_of(sites.sites.begin(), sites.sites.end(),
                     [](const SiteDifference& s) { return s.error.identical(); }) &&
         sites.only_a.empty() && sites.only_b.empty();
}

const std::string* Compared::FirstWrong() const {
  if (const Contribution* beyond = FirstBeyond(contributions)) return &beyond->label;
  const auto found =
      std::find_if(partial.begin(), partial.end(), [](const PartialSite& p) { return !p.agrees; });
  return found == partial.end() ? nullptr : &found->label;
}

OrderedJson CompareJson(const Compared& c) {
  const OrderedJson none;
  const std::string* wrong = c.FirstWrong();
  OrderedJson json = {
      {"a", c.a},
      {"b", c.b},
      {"ids", c.tokens},
      {"prompt_tokens", c.prompt},
      {"identical", c.Identical()},
      {"logits", LogitsJson(c)},
      {"teacher_forced",
       {{"scored", c.generated}, {"match_rate", Rate(c.forced_matches, c.generated)}}},
      {"free_running",
       {{"match_rate", Rate(c.free_matches, c.generated)},
        {"first_difference", c.first_difference ? OrderedJson(*c.first_difference) : none},
        {"margin", c.first_difference ? OrderedJson(c.margin) : none}}},
      {"sites", SitesJson(c)},
      {"contributions", ContributionsJson(c)},
      {"first_wrong", wrong == nullptr ? none : OrderedJson(*wrong)},
      {"partial", PartialJson(c)},
      {"unknown", c.unknown},
      {"notes", c.notes},
      {"only_a", c.sites.only_a},
      {"only_b", c.sites.only_b},
      {"rules", EffectsJson(c.effects)}};
  if (!c.logits || !c.logits->has_truth) return json;
  const auto distance = [](const TruthDistance& d) {
    return OrderedJson{{"kl_mean", d.kl_mean}, {"l2_rel", d.l2_rel}};
  };
  json["nearer"] = Nearer(*c.logits);
  json["truth"] = {{"a", distance(c.logits->a_truth)}, {"b", distance(c.logits->b_truth)}};
  return json;
}

std::string CompareText(const Compared& c, const Screen& screen) {
  const std::string rules = EffectsTable(c.effects, screen);
  return fmt::format("{}\n{}{}{}{}{}", Headline(c, screen), NotesText(c), SitesText(c, screen),
                     PartialText(c, screen), rules.empty() ? "" : "\n", rules);
}

}  // namespace vernier
