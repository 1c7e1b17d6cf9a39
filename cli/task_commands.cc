#include "cli/task_commands.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/duration_text.h"
#include "base/status_macros.h"
#include "base/task_key.h"
#include "cli/exit_code.h"
#include "cli/human.h"
#include "cli/patience.h"
#include "cli/proto_node.h"
#include "cli/task_text.h"

namespace boxkeeper::cli {
namespace {

constexpr int kPageMax = 1000;     // of ListTasks
constexpr size_t kWaitMax = 1000;  // ids of one WaitTask
constexpr absl::Duration kWaitSlice = absl::Seconds(60);

int PrintTasks(Session& session, const std::vector<v1::Task>& tasks,
               const std::string* next_page_token) {
  Listing listing;
  listing.field = "tasks";
  for (const v1::Task& task : tasks) {
    listing.items.push_back(ProtoNode(task));
    listing.names.push_back(task.id());
  }
  if (next_page_token != nullptr) {
    listing.after.emplace_back("next_page_token", Node::Text(*next_page_token));
  }
  listing.text = [&](bool wide) { return TaskTable(tasks, session.console(), wide); };
  return Print(session.console(), session.format(), listing) ? kExitOk : kExitOurs;
}

absl::StatusOr<std::vector<v1::Task>> GetAll(Session& session,
                                             const std::vector<std::string>& refs) {
  std::vector<v1::Task> tasks;
  for (const std::string& text : refs) {
    v1::GetTaskRequest request;
    ASSIGN_OR_RETURN(*request.mutable_task(), ParseRef(text));
    ASSIGN_OR_RETURN(v1::Task task, session.client().GetTask(request));
    tasks.push_back(std::move(task));
  }
  return tasks;
}

int PrintOneOrMany(Session& session, const std::vector<v1::Task>& tasks, const TextForm& text) {
  const bool for_people = session.format() == Format::kTable || session.format() == Format::kWide;
  if (tasks.size() != 1 && !for_people) {
    return PrintTasks(session, tasks, nullptr);
  }
  const bool printed =
      Print(session.console(), session.format(), ProtoNode(tasks[0]), tasks[0].id(), text);
  return printed ? kExitOk : kExitOurs;
}

// --- wait ---

class Waiter {
 public:
  Waiter(Session& session, v1::WaitTaskRequest::Until until, absl::Time deadline)
      : client_(session.client()),
        until_(until),
        deadline_(deadline),
        patience_(session.console(), client_, true) {}

  // The tasks as they are when all have reached the condition, or at the deadline.
  absl::StatusOr<std::vector<v1::Task>> WaitAll(const std::vector<std::string>& ids) {
    std::vector<v1::Task> tasks;
    for (size_t start = 0; start < ids.size(); start += kWaitMax) {
      v1::WaitTaskRequest request;
      request.set_until(until_);
      const size_t end = std::min(ids.size(), start + kWaitMax);
      for (size_t i = start; i < end; ++i) request.add_ids(ids[i]);
      ASSIGN_OR_RETURN(v1::WaitTaskResponse answer, WaitSome(request));
      tasks.insert(tasks.end(), answer.tasks().begin(), answer.tasks().end());
      timed_out_ = timed_out_ || answer.timed_out();
    }
    return tasks;
  }

  bool timed_out() const { return timed_out_; }

 private:
  absl::StatusOr<v1::WaitTaskResponse> WaitSome(v1::WaitTaskRequest request) {
    for (;;) {
      const absl::Duration left = std::max(deadline_ - absl::Now(), absl::ZeroDuration());
      // 0 would mean no timeout at all.
      ToProto(std::clamp(left, absl::Milliseconds(1), kWaitSlice), request.mutable_timeout());
      auto answer = client_.WaitTask(request);
      const bool over = absl::Now() >= deadline_;
      if (answer.ok()) {
        patience_.Answered();
        if (!answer->timed_out() || over) return answer;
      } else if (over && IsPassing(answer.status())) {
        timed_out_ = true;
        return v1::WaitTaskResponse();
      } else if (!patience_.TryAgain(answer.status())) {
        return answer.status();
      }
    }
  }

  Client& client_;
  const v1::WaitTaskRequest::Until until_;
  const absl::Time deadline_;
  Patience patience_;
  bool timed_out_ = false;
};

absl::StatusOr<v1::WaitTaskRequest::Until> ParseUntil(const std::string& word) {
  if (word == "end") return v1::WaitTaskRequest::END;
  if (word == "log-complete") return v1::WaitTaskRequest::LOG_COMPLETE;
  if (word == "running") return v1::WaitTaskRequest::RUNNING;
  return absl::InvalidArgumentError("--until must be end, log-complete or running");
}

bool IsGood(const v1::Task& task, v1::WaitTaskRequest::Until until) {
  if (until == v1::WaitTaskRequest::RUNNING && !IsTerminal(task.state())) return true;
  return task.state() == v1::TASK_STATE_SUCCEEDED;
}

// --- cancel ---

absl::StatusOr<v1::CancelTasksRequest> CancelRequest(const CancelFlags& flags) {
  v1::CancelTasksRequest request;
  if (flags.refs.empty() == flags.filter.empty()) {
    return absl::InvalidArgumentError(
        "cancel: name tasks, or give conditions (--state --owner --key-prefix --label)");
  }
  for (const std::string& text : flags.refs) {
    ASSIGN_OR_RETURN(*request.add_tasks(), ParseRef(text));
  }
  if (flags.refs.empty()) {
    ASSIGN_OR_RETURN(*request.mutable_filter(), BuildFilter(flags.filter));
  }
  request.set_force(flags.force);
  request.set_reason(flags.reason);
  if (!flags.grace.empty()) {
    ASSIGN_OR_RETURN(absl::Duration grace, base::DurationFromText(flags.grace));
    ToProto(grace, request.mutable_grace());
  }
  return request;
}

std::string CancelledName(const v1::CancelResult& result) {
  if (!result.id().empty()) return result.id();
  return result.ref().has_key() ? base::KeyString(result.ref().key()) : result.ref().id();
}

}  // namespace

int Ls(Session& session, const LsFlags& flags) {
  v1::ListTasksRequest request;
  auto filter = BuildFilter(flags.filter);
  if (!filter.ok()) return session.Misused(filter.status());
  *request.mutable_filter() = *std::move(filter);
  request.set_page_token(flags.page_token);
  std::vector<v1::Task> tasks;
  for (;;) {
    const int left = flags.all ? kPageMax : flags.limit - static_cast<int>(tasks.size());
    request.set_page_size(std::min(left, kPageMax));
    auto page = session.client().ListTasks(request);
    if (!page.ok()) return session.Fail(page.status());
    for (v1::Task& task : *page->mutable_tasks()) tasks.push_back(std::move(task));
    request.set_page_token(page->next_page_token());
    const bool enough = !flags.all && static_cast<int>(tasks.size()) >= flags.limit;
    if (request.page_token().empty() || enough) break;
  }
  const int code = PrintTasks(session, tasks, &request.page_token());
  if (!request.page_token().empty()) {
    session.console().Progress("there are more: --all, --limit N or --page-token TOKEN shows them");
  }
  return code;
}

int Get(Session& session, const std::vector<std::string>& refs) {
  auto tasks = GetAll(session, refs);
  if (!tasks.ok()) return session.Fail(tasks.status());
  return PrintOneOrMany(session, *tasks,
                        [&](bool wide) { return TaskTable(*tasks, session.console(), wide); });
}

int Describe(Session& session, const std::vector<std::string>& refs) {
  auto tasks = GetAll(session, refs);
  if (!tasks.ok()) return session.Fail(tasks.status());
  return PrintOneOrMany(session, *tasks, [&](bool) {
    std::string pages;
    for (const v1::Task& task : *tasks) {
      if (!pages.empty()) pages += '\n';
      pages += TaskPage(task, session.console());
    }
    return pages;
  });
}

int Wait(Session& session, const WaitFlags& flags) {
  auto until = ParseUntil(flags.until);
  if (!until.ok()) return session.Misused(until.status());
  absl::Time deadline = absl::InfiniteFuture();
  if (!flags.timeout.empty()) {
    auto timeout = base::DurationFromText(flags.timeout);
    if (!timeout.ok()) return session.Misused(timeout.status());
    deadline = absl::Now() + *timeout;
  }
  absl::Status connected = session.client().Connect();
  if (!connected.ok()) return session.Fail(connected);
  std::vector<std::string> ids;
  for (const std::string& text : flags.refs) {
    auto id = ResolveId(session.client(), text);
    if (!id.ok()) return session.Fail(id.status());
    ids.push_back(*std::move(id));
  }
  Waiter waiter(session, *until, deadline);
  auto tasks = waiter.WaitAll(ids);
  if (!tasks.ok()) return session.Fail(tasks.status());
  PrintTasks(session, *tasks, nullptr);
  if (waiter.timed_out()) {
    session.console().Progress("not all have reached it within the timeout");
    return kExitTimeout;
  }
  const bool good = std::all_of(tasks->begin(), tasks->end(),
                                [&](const v1::Task& task) { return IsGood(task, *until); });
  return good ? kExitOk : kExitSomeFailed;
}

int Cancel(Session& session, const CancelFlags& flags) {
  auto request = CancelRequest(flags);
  if (!request.ok()) return session.Misused(request.status());
  auto answer = session.client().CancelTasks(*request);
  if (!answer.ok()) return session.Fail(answer.status());
  Listing listing;
  listing.field = "results";
  Table table({"ID", "OUTCOME"});
  bool all_found = true;
  for (const v1::CancelResult& result : answer->results()) {
    all_found = all_found && result.outcome() != v1::CancelResult::NOT_FOUND;
    listing.items.push_back(ProtoNode(result));
    listing.names.push_back(CancelledName(result));
    table.AddRow({CancelledName(result), EnumWord(result.outcome())});
  }
  listing.text = [&](bool) { return table.Render(session.console().colour); };
  if (!Print(session.console(), session.format(), listing)) return kExitOurs;
  return all_found ? kExitOk : kExitSomeFailed;
}

int Abandon(Session& session, const std::vector<std::string>& refs, const std::string& reason) {
  std::vector<v1::Task> tasks;
  for (const std::string& text : refs) {
    auto id = ResolveId(session.client(), text);
    if (!id.ok()) return session.Fail(id.status());
    v1::AbandonTaskRequest request;
    request.set_id(*id);
    request.set_reason(reason);
    auto answer = session.client().AbandonTask(request);
    if (!answer.ok()) return session.Fail(answer.status());
    tasks.push_back(std::move(*answer->mutable_task()));
  }
  return PrintTasks(session, tasks, nullptr);
}

}  // namespace boxkeeper::cli
