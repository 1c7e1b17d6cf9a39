#include "providers/testing/fault_plan.h"

#include <algorithm>

#include "providers/provider.h"

namespace boxkeeper::providers::testing {

using std::chrono::nanoseconds;

namespace {

void SetRetryAfter(nanoseconds wait, pb::ProviderError& error) {
  if (wait <= nanoseconds(0)) return;
  error.mutable_retry_after()->set_seconds(wait.count() / 1'000'000'000);
  error.mutable_retry_after()->set_nanos(static_cast<int32_t>(wait.count() % 1'000'000'000));
}

}  // namespace

int HttpStatusOf(pb::ErrorClass error_class) {
  switch (error_class) {
    case pb::RATE:
      return 429;
    case pb::CAPACITY:
      return 507;
    case pb::QUOTA:
      return 402;
    case pb::AUTH:
      return 401;
    case pb::INVALID:
      return 422;
    case pb::IMAGE_NOT_FOUND:
    case pb::NOT_FOUND:
      return 404;
    case pb::PROTOCOL:
      return 501;
    default:
      return 503;
  }
}

pb::ListPage ListOnePage(FakeWorld& world, FaultPlanner& faults, const FakeProviderOptions& options,
                         const std::string& cursor) {
  const size_t limit = static_cast<size_t>(std::max(1, options.page_size));
  std::vector<pb::SandboxView> rows = world.List(cursor, limit);
  pb::ListPage page;
  if (rows.size() == limit) page.set_next_cursor(rows.back().name());
  // "!" is below every name, and not the empty cursor that ends the list.
  if (!rows.empty() && faults.Draw(options.duplicate_page)) {
    page.set_next_cursor(cursor.empty() ? "!" : cursor);
  }
  for (pb::SandboxView& row : rows) {
    row = faults.Seen(std::move(row));
    const bool twice = faults.Draw(options.duplicate_row);
    if (twice) *page.add_sandboxes() = row;
    *page.add_sandboxes() = std::move(row);
  }
  return page;
}

nanoseconds FaultPlanner::Between(nanoseconds low, nanoseconds high) {
  if (high <= low) return low;
  return low + nanoseconds(rng_.Below(static_cast<uint64_t>((high - low).count()) + 1));
}

pb::SandboxView FaultPlanner::Seen(pb::SandboxView view) {
  if (view.state() == pb::SandboxView::ABSENT || !Draw(options_.unknown_state)) return view;
  view.set_state(pb::SandboxView::UNKNOWN);
  view.clear_exit();
  return view;
}

bool FaultPlanner::AboveRate(Verb verb) {
  const RateLimit& limit = options_.rate_limit;
  if (limit.per_second <= 0) return false;
  const bool counts = limit.verbs.empty() ||
                      std::find(limit.verbs.begin(), limit.verbs.end(), verb) != limit.verbs.end();
  if (!counts) return false;
  const base::BootTime now = clock_.Boot();
  while (!accepted_.empty() && accepted_.front() <= now - std::chrono::seconds(1)) {
    accepted_.pop_front();
  }
  if (static_cast<double>(accepted_.size()) >= limit.per_second) return true;
  accepted_.push_back(now);
  return false;
}

void FaultPlanner::Apply(const ErrorFault& fault, FaultPlan& plan) {
  plan.kind = fault.kind;
  switch (fault.kind) {
    case FaultKind::kAnswer:
      plan.error = MakeProviderError(fault.error_class, "injected error", fault.proves_no_effect);
      plan.http_status =
          fault.http_status != 0 ? fault.http_status : HttpStatusOf(fault.error_class);
      SetRetryAfter(fault.retry_after, *plan.error);
      plan.effect = !fault.proves_no_effect && Draw(fault.effect_probability);
      return;
    case FaultKind::kHang:
    case FaultKind::kDrip:
      plan.answer_at = base::BootTime::max();
      break;
    case FaultKind::kReset:
    case FaultKind::kCut:
      plan.error = MakeProviderError(pb::TRANSIENT, "connection reset by peer", false);
      break;
    case FaultKind::kHtml:
    case FaultKind::kGarbage:
    case FaultKind::kHuge:
      plan.error = MakeProviderError(pb::PROTOCOL, "an answer that makes no sense", false);
      break;
  }
  plan.effect = Draw(fault.effect_probability);
}

FaultPlan FaultPlanner::Plan(Verb verb) {
  VerbFaults& faults = options_[verb];
  const Latency& latency = faults.latency;
  const nanoseconds total = Draw(latency.tail) ? Between(latency.max, latency.tail_max)
                                               : Between(latency.min, latency.max);
  FaultPlan plan;
  const base::BootTime now = clock_.Boot();
  plan.effect_at = now + Between(nanoseconds(0), total);
  plan.answer_at = now + total;
  if (AboveRate(verb)) {
    plan.error = MakeProviderError(pb::RATE, "too many calls", true);
    plan.http_status = HttpStatusOf(pb::RATE);
    SetRetryAfter(options_.rate_limit.retry_after, *plan.error);
    plan.effect = false;
    return plan;
  }
  for (ErrorFault& fault : faults.errors) {
    if (fault.count == 0 || !Draw(fault.probability)) continue;
    if (fault.count > 0) --fault.count;
    Apply(fault, plan);
    return plan;
  }
  if (Draw(faults.answer_lost)) {
    if (Draw(0.5)) {
      plan.kind = FaultKind::kHang;
      plan.answer_at = base::BootTime::max();
    } else {
      plan.kind = FaultKind::kReset;
      plan.error = MakeProviderError(pb::TRANSIENT, "connection reset by peer", false);
    }
  }
  return plan;
}

}  // namespace boxkeeper::providers::testing
