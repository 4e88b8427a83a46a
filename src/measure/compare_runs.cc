#include "measure/compare_runs.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "measure/rope_order.h"

namespace vernier {
namespace {

// Progress by sites seen. A tap cannot stop an evaluation, so a wish to stop is kept until the end.
class SiteProgress {
 public:
  SiteProgress(const ProgressSink& sink, size_t total) : sink_(sink), total_(total) {}
  void Tick() {
    ++done_;
    if (sink_ &&
        !sink_({"evaluating", static_cast<double>(done_), static_cast<double>(total_), "sites"}))
      stopped_ = true;
  }
  bool stopped() const { return stopped_; }

 private:
  const ProgressSink& sink_;
  size_t total_, done_ = 0;
  bool stopped_ = false;
};

using Role = LogitComparer::Role;

bool Selected(const CompareRequest& request, const Site& site) {
  return !request.wants || request.wants(site);
}

// Compares B's sites with A's as they come, and forgets A's then. Where contributions are measured,
// A's values also stay until the last node that reads them has been fed.
class SiteComparer {
 public:
  SiteComparer(const CompareRequest& request, const std::vector<int32_t>& tokens)
      : request_(request),
        graph_a_(request.a.model->graph()),
        graph_b_(request.b.model->graph()) {
    if (!request.contributions || !SameNodes(graph_a_, graph_b_)) return;
    last_reader_ = LastReaders(graph_a_);
    meter_.emplace(ContributionRequest{request.b, request.a, false, tokens, graph_a_.rope.layout,
                                       [this](const std::string& label) -> const CapturedSite* {
                                         const auto found = fed_.find(label);
                                         return found == fed_.end() ? nullptr : &found->second.value;
                                       },
                                       true});
  }
  SiteComparer(const SiteComparer&) = delete;
  SiteComparer& operator=(const SiteComparer&) = delete;

  bool Wants(const Site& site) const { return Selected(request_, site) || Feeds(site); }
  void TakeA(const SiteTensor& tensor) {
    if (Feeds(*tensor.site))
      fed_.insert_or_assign(tensor.site->Label(), Fed{tensor.site->node, CaptureSite(tensor)});
    if (!Selected(request_, *tensor.site)) return;
    order_.push_back(tensor.site->Label());
    waiting_.emplace(order_.back(), CaptureSite(tensor));
  }
  void TakeB(const SiteTensor& tensor) {
    if (Selected(request_, *tensor.site)) {
      if (meter_) meter_->Take(tensor);
      CompareWithA(tensor);
    }
    if (tensor.site->inner != InnerSite::kNone) return;
    std::erase_if(fed_, [&](const auto& f) {
      const int node = f.second.node;
      return node <= tensor.site->node &&
             last_reader_[static_cast<size_t>(node)] <= tensor.site->node;
    });
  }
  Result<CaptureComparison> Finish() {
    RETURN_IF_ERROR(failure_);
    CaptureComparison out;
    for (const std::string& label : order_) {
      const auto found = compared_.find(label);
      if (found == compared_.end()) {
        out.only_a.push_back(label);
      } else {
        out.sites.push_back(std::move(found->second));
      }
    }
    out.only_b = std::move(only_b_);
    return out;
  }
  std::vector<Contribution> Contributions() const {
    return meter_ ? meter_->results() : std::vector<Contribution>();
  }

 private:
  struct Fed {
    int node = 0;
    CapturedSite value;
  };

  bool Feeds(const Site& site) const { return meter_ && site.inner == InnerSite::kNone; }
  void CompareWithA(const SiteTensor& tensor) {
    const auto found = waiting_.find(tensor.site->Label());
    if (found == waiting_.end()) {
      only_b_.push_back(tensor.site->Label());
      return;
    }
    const CapturedRows a(found->second);
    auto compared = Compare(a.view(), tensor);
    if (compared) {
      compared_.emplace(found->first, std::move(*compared));
    } else if (failure_) {
      failure_ = tl::unexpected(compared.error());
    }
    waiting_.erase(found);
  }
  // B's elements in A's order.
  Result<SiteDifference> Compare(const RowsView& a, const SiteTensor& b) const {
    const std::vector<size_t> order =
        ElementOrder(graph_a_.rope.layout, graph_b_.rope.layout, graph_b_, *b.site);
    if (order.empty()) return CompareSite(*b.site, a, {b.type, b.rows, b.widths});
    CapturedSite reordered = CaptureSite(b);
    Reorder(order, &reordered.f32);
    Reorder(order, &reordered.f64);
    return CompareSite(*b.site, a, CapturedRows(reordered).view());
  }

  const CompareRequest& request_;
  const Graph &graph_a_, &graph_b_;
  std::vector<int> last_reader_;
  std::vector<std::string> order_, only_b_;
  std::map<std::string, CapturedSite> waiting_;
  std::map<std::string, Fed> fed_;
  std::optional<ContributionMeter> meter_;
  std::map<std::string, SiteDifference> compared_;
  Status failure_;
};

// Evaluates some of the runs, all of one model, on the stream.
struct Pass {
  Model* model;
  std::vector<std::pair<Role, const Plan*>> lanes;
};

struct Collector {
  LogitComparer logits;
  SiteComparer sites;
  SiteProgress progress;
  std::vector<TreatmentCounts> effects_b;
};

void RunPass(const Pass& pass, const CompareRequest& request, const std::vector<int32_t>& tokens,
             Collector* into) {
  std::vector<Stream> streams;
  for (const auto& [role, plan] : pass.lanes)
    streams.push_back({plan, tokens, nullptr, AllPositions(tokens.size())});
  const Tap tap{[&](const Site& site) { return into->sites.Wants(site); },
                [&](const SiteTensor& tensor) {
                  const Role role = pass.lanes[tensor.stream].first;
                  if (role == Role::kA) into->sites.TakeA(tensor);
                  if (role == Role::kB) into->sites.TakeB(tensor);
                  if (Selected(request, *tensor.site)) into->progress.Tick();
                }};
  const auto take = [&](std::span<const LogitsRow> rows) {
    for (const LogitsRow& row : rows) into->logits.Take(pass.lanes[row.stream].first, row);
  };
  const Evaluation evaluation = Evaluate(*pass.model, streams, take, &tap);
  for (size_t s = 0; s < streams.size(); ++s)
    if (pass.lanes[s].first == Role::kB) into->effects_b = evaluation.effects[s];
}

std::vector<Pass> MakePasses(const CompareRequest& request) {
  Pass first{request.a.model, {{Role::kA, request.a.plan}}};
  if (request.truth != nullptr) first.lanes.push_back({Role::kTruth, request.truth});
  const std::pair<Role, const Plan*> b{Role::kB, request.b.plan};
  if (request.b.model != request.a.model) return {first, {request.b.model, {b}}};
  first.lanes.push_back(b);
  return {first};
}

Status FreeRun(const CompareRequest& request, RunComparison* out) {
  if (request.generate == 0) return {};
  bool stopped = false;
  size_t made = 0;
  GenerateOptions options;
  options.tokens = request.generate;
  options.on_token = [&](size_t, const GeneratedStep&) {
    ++made;
    stopped = request.progress &&
              !request.progress({"generating", static_cast<double>(made),
                                 static_cast<double>(2 * request.generate), "tokens"});
    return !stopped;
  };
  const GenerateRequest a{request.a.plan, request.prompt}, b{request.b.plan, request.prompt};
  if (request.a.model == request.b.model) {
    std::vector<Generated> both = Generate(*request.a.model, std::vector{a, b}, options);
    out->a_steps = std::move(both[0].steps);
    out->b_steps = std::move(both[1].steps);
  } else {
    out->a_steps = Generate(*request.a.model, {&a, 1}, options)[0].steps;
    if (!stopped) out->b_steps = Generate(*request.b.model, {&b, 1}, options)[0].steps;
  }
  if (stopped) return Fail("stopped");
  return {};
}

size_t CountSites(const Pass& pass, const CompareRequest& request) {
  const std::vector<Site>& sites = pass.model->graph().sites;
  const auto wanted = std::count_if(sites.begin(), sites.end(),
                                    [&](const Site& site) { return Selected(request, site); });
  return static_cast<size_t>(wanted) * pass.lanes.size();
}

}  // namespace

std::vector<uint32_t> AllPositions(size_t n) {
  std::vector<uint32_t> all(n);
  std::iota(all.begin(), all.end(), 0u);
  return all;
}

size_t RunComparison::FreeMatches() const {
  size_t matches = 0;
  for (size_t i = 0; i < a_steps.size(); ++i) matches += a_steps[i].token == b_steps[i].token;
  return matches;
}

std::optional<size_t> RunComparison::FirstDifference() const {
  for (size_t i = 0; i < a_steps.size(); ++i)
    if (a_steps[i].token != b_steps[i].token) return i;
  return std::nullopt;
}

Result<RunComparison> CompareRuns(const CompareRequest& request) {
  const size_t vocabulary = request.a.model->graph().vocabulary;
  CHECK(vocabulary == request.b.model->graph().vocabulary && !request.prompt.empty());
  RunComparison out;
  RETURN_IF_ERROR(FreeRun(request, &out));
  out.stream = request.prompt;
  for (const GeneratedStep& step : out.a_steps) out.stream.push_back(step.token);
  const std::vector<Pass> passes = MakePasses(request);
  size_t total = 0;
  for (const Pass& pass : passes) total += CountSites(pass, request);
  Collector collector{{vocabulary, request.truth != nullptr, *request.a.model->machine().kernels},
                      {request, out.stream},
                      {request.progress, total},
                      {}};
  for (const Pass& pass : passes) RunPass(pass, request, out.stream, &collector);
  if (collector.progress.stopped()) return Fail("stopped");
  out.logits = collector.logits.Finish();
  for (size_t i = 0; i < out.a_steps.size(); ++i)
    out.forced_matches += out.logits.top_b[request.prompt.size() - 1 + i] ==
                          static_cast<size_t>(out.a_steps[i].token);
  ASSIGN_OR_RETURN(out.sites, collector.sites.Finish());
  out.contributions = collector.sites.Contributions();
  out.effects_b = std::move(collector.effects_b);
  return out;
}

Result<std::vector<TreatmentCounts>> ObserveRun(const CaptureRequest& request) {
  const auto wants = [&](const Site& site) { return !request.wants || request.wants(site); };
  const std::vector<Site>& sites = request.side.model->graph().sites;
  SiteProgress progress(request.progress,
                        static_cast<size_t>(std::count_if(sites.begin(), sites.end(), wants)));
  const Tap tap{wants, [&](const SiteTensor& tensor) {
                  if (request.receive) request.receive(tensor);
                  progress.Tick();
                }};
  const Stream stream{request.side.plan, request.tokens, nullptr,
                      AllPositions(request.tokens.size())};
  Evaluation evaluation = Evaluate(*request.side.model, {&stream, 1}, nullptr, &tap);
  if (progress.stopped()) return Fail("stopped");
  return std::move(evaluation.effects[0]);
}

}  // namespace vernier
