#include "cli/admin_commands.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/escape.h"
#include "cli/exit_code.h"
#include "cli/human.h"
#include "cli/proto_node.h"
#include "cli/table.h"

namespace boxkeeper::cli {
namespace {

std::string YesNo(bool yes) { return yes ? "yes" : "no"; }

std::string Bullets(const std::string& title,
                    const google::protobuf::RepeatedPtrField<std::string>& items) {
  if (items.empty()) return "";
  std::string out = title + ":\n";
  for (const std::string& item : items) absl::StrAppend(&out, "  - ", EscapeLine(item), "\n");
  return out;
}

std::string TaskCounts(const v1::GetStatusResponse& status) {
  // In the order of a task's life.
  std::string text;
  for (int number = v1::TASK_STATE_QUEUED; number <= v1::TaskState_MAX; ++number) {
    const std::string state = EnumWord(static_cast<v1::TaskState>(number));
    auto found = status.tasks().find(state);
    if (found == status.tasks().end() || found->second == 0) continue;
    absl::StrAppend(&text, text.empty() ? "" : ", ", found->second, " ", state);
  }
  return text.empty() ? "none" : text;
}

std::string StatusPage(const v1::GetStatusResponse& status, const Console& console) {
  Fields page;
  page.Add("Ready", YesNo(status.ready()), status.ready() ? Colour::kGreen : Colour::kRed);
  page.Add("Version", status.version());
  page.Add("Deployment", absl::StrCat(status.deployment_id(), ", epoch ", status.epoch()));
  if (status.has_started_at()) {
    const absl::Time started = FromProto(status.started_at());
    page.Add("Up since", absl::StrCat(HumanTime(started, console.zone), " (",
                                      HumanDuration(console.now() - started), ")"));
  }
  page.Add("Draining", YesNo(status.draining()),
           status.draining() ? Colour::kYellow : Colour::kNone);
  if (status.stopping()) page.Add("Stopping", "yes", Colour::kYellow);
  page.Add("Tasks", TaskCounts(status));
  page.Add("Unacknowledged events", absl::StrCat(status.unacknowledged_events()));
  page.Add("Live sandboxes", absl::StrCat(status.live_sandboxes()));
  page.Add("Tasks survive service stop", YesNo(status.tasks_survive_service_stop()),
           status.tasks_survive_service_stop() ? Colour::kNone : Colour::kYellow);
  page.AddIfAny("State directory", status.state_dir());
  page.AddIfAny("Logs", status.logs_url());
  return page.Render(console.colour) + Bullets("Not ready because", status.not_ready_because()) +
         Bullets("Warnings", status.warnings());
}

std::string ProviderTable(const v1::ListProvidersResponse& answer, const Console& console,
                          bool wide) {
  std::vector<std::string> heads = {"NAME", "TYPE", "REACHABLE", "RUNNING", "MAX", "DEFAULT"};
  if (wide) heads.insert(heads.end(), {"LAST ERROR", "CAPABILITIES"});
  Table table(heads);
  std::string warnings;
  for (const v1::ProviderStatus& provider : answer.providers()) {
    std::string reachable = YesNo(provider.reachable());
    if (!provider.reachable() && provider.has_unreachable_since()) {
      reachable = "no, for " + HumanAge(console.now() - FromProto(provider.unreachable_since()));
    }
    std::vector<Cell> row = {
        provider.name(),
        provider.type(),
        Cell(reachable, provider.reachable() ? Colour::kGreen : Colour::kRed),
        absl::StrCat(provider.running()),
        provider.max_running() == 0 ? "-" : absl::StrCat(provider.max_running()),
        provider.is_default() ? "yes" : ""};
    if (wide) {
      std::map<std::string, std::string> sorted(provider.capabilities().begin(),
                                                provider.capabilities().end());
      row.emplace_back(provider.last_error());
      row.emplace_back(absl::StrJoin(sorted, " ", absl::PairFormatter("=")));
    }
    table.AddRow(std::move(row));
    warnings += Bullets("Warnings of " + EscapeLine(provider.name()), provider.warnings());
  }
  return table.Render(console.colour) + warnings;
}

std::string SandboxTable(const v1::ListSandboxesResponse& answer, const Console& console,
                         bool wide) {
  std::vector<std::string> heads = {"ID", "PROVIDER", "STATE", "VERIFIED", "AGE", "TASK"};
  if (wide) heads.insert(heads.end(), {"EPOCH", "NAME"});
  Table table(heads);
  for (const v1::Sandbox& sandbox : answer.sandboxes()) {
    std::vector<Cell> row = {
        sandbox.id(),
        sandbox.provider(),
        sandbox.state(),
        sandbox.verified(),
        sandbox.has_created_at() ? HumanAge(console.now() - FromProto(sandbox.created_at())) : "",
        sandbox.task_id()};
    if (wide) {
      row.emplace_back(absl::StrCat(sandbox.epoch()));
      row.emplace_back(sandbox.name());
    }
    table.AddRow(std::move(row));
  }
  return table.Render(console.colour);
}

void WarnOfUnasked(Session& session, const std::map<std::string, std::string>& errors) {
  for (const auto& [name, error] : errors) {
    session.console().err(absl::StrCat("boxctl: provider ", EscapeLine(name),
                                       " could not be asked: ", EscapeLine(error), "\n"));
  }
}

std::string OrphanTable(const google::protobuf::RepeatedPtrField<v1::Orphan>& orphans,
                        const Console& console, bool wide) {
  std::vector<std::string> heads = {"NAME", "PROVIDER", "AGE", "UNKNOWN FOR", "DECISION", "WHY"};
  if (wide) heads.insert(heads.end(), {"EPOCH", "ID"});
  Table table(heads);
  const auto age = [&](bool known, const google::protobuf::Timestamp& since) {
    return known ? HumanAge(console.now() - FromProto(since)) : std::string();
  };
  for (const v1::Orphan& orphan : orphans) {
    const bool bad = orphan.decision() == v1::Orphan::FAILED;
    std::vector<Cell> row = {orphan.name(),
                             orphan.provider(),
                             age(orphan.has_created_at(), orphan.created_at()),
                             age(orphan.has_unknown_since(), orphan.unknown_since()),
                             Cell(EnumWord(orphan.decision()), bad ? Colour::kRed : Colour::kNone),
                             orphan.explanation()};
    if (wide) {
      row.emplace_back(absl::StrCat(orphan.epoch()));
      row.emplace_back(orphan.id());
    }
    table.AddRow(std::move(row));
  }
  return table.Render(console.colour);
}

// The list, then on stderr which provider could not be asked. `more`: further fields of the answer.
template <typename Answer>
int PrintOrphans(Session& session, const Answer& answer,
                 std::vector<std::pair<std::string, Node>> more) {
  Listing listing;
  listing.field = "orphans";
  bool failed = false;
  for (const v1::Orphan& orphan : answer.orphans()) {
    listing.items.push_back(ProtoNode(orphan));
    listing.names.push_back(orphan.name());
    failed = failed || orphan.decision() == v1::Orphan::FAILED;
  }
  const std::map<std::string, std::string> errors(answer.errors().begin(), answer.errors().end());
  Object errors_node;
  for (const auto& [name, error] : errors) errors_node.emplace_back(name, Node::Text(error));
  listing.after = std::move(more);
  listing.after.emplace_back("errors", Node{std::move(errors_node)});
  listing.text = [&](bool wide) { return OrphanTable(answer.orphans(), session.console(), wide); };
  if (!Print(session.console(), session.format(), listing)) return kExitOurs;
  WarnOfUnasked(session, errors);
  return errors.empty() && !failed ? kExitOk : kExitSomeFailed;
}

int Printed(bool ok) { return ok ? kExitOk : kExitOurs; }

}  // namespace

int Status(Session& session) {
  auto status = session.client().GetStatus();
  if (!status.ok()) return session.Fail(status.status());
  return Printed(Print(session.console(), session.format(), ProtoNode(*status),
                       status->deployment_id(),
                       [&](bool) { return StatusPage(*status, session.console()); }));
}

int Providers(Session& session) {
  auto answer = session.client().ListProviders();
  if (!answer.ok()) return session.Fail(answer.status());
  Listing listing;
  listing.field = "providers";
  for (const v1::ProviderStatus& provider : answer->providers()) {
    listing.items.push_back(ProtoNode(provider));
    listing.names.push_back(provider.name());
  }
  listing.text = [&](bool wide) { return ProviderTable(*answer, session.console(), wide); };
  return Printed(Print(session.console(), session.format(), listing));
}

int Sandboxes(Session& session, const std::string& provider) {
  v1::ListSandboxesRequest request;
  request.set_provider(provider);
  auto answer = session.client().ListSandboxes(request);
  if (!answer.ok()) return session.Fail(answer.status());
  Listing listing;
  listing.field = "sandboxes";
  for (const v1::Sandbox& sandbox : answer->sandboxes()) {
    listing.items.push_back(ProtoNode(sandbox));
    listing.names.push_back(sandbox.id());
  }
  std::map<std::string, std::string> errors(answer->errors().begin(), answer->errors().end());
  Object errors_node;
  for (const auto& [name, error] : errors) errors_node.emplace_back(name, Node::Text(error));
  listing.after.emplace_back("errors", Node{std::move(errors_node)});
  listing.text = [&](bool wide) { return SandboxTable(*answer, session.console(), wide); };
  if (!Print(session.console(), session.format(), listing)) return kExitOurs;
  WarnOfUnasked(session, errors);
  return errors.empty() ? kExitOk : kExitSomeFailed;
}

int Orphans(Session& session, const std::string& provider) {
  v1::ListOrphansRequest request;
  request.set_provider(provider);
  auto answer = session.client().ListOrphans(request);
  if (!answer.ok()) return session.Fail(answer.status());
  const int code =
      PrintOrphans(session, *answer,
                   {{"epoch", Node::Text(absl::StrCat(answer->epoch()))},
                    {"higher_epoch", Node::Text(absl::StrCat(answer->higher_epoch()))}});
  if (answer->higher_epoch() > 0) {
    session.console().err(
        absl::StrCat("boxctl: sandboxes of epoch ", answer->higher_epoch(),
                     " exist, this store is at ", answer->epoch(),
                     ": it is older than the world. If nobody else serves this deployment, `boxctl "
                     "reap --accept-epoch ",
                     answer->higher_epoch(), "` lets what it does not know be destroyed\n"));
  }
  return code;
}

int Reap(Session& session, const ReapOptions& options) {
  v1::ReapOrphansRequest request;
  request.set_provider(options.provider);
  request.set_dry_run(options.dry_run);
  request.set_accept_epoch(options.accept_epoch);
  auto answer = session.client().ReapOrphans(request);
  if (!answer.ok()) return session.Fail(answer.status());
  return PrintOrphans(session, *answer, {{"epoch", Node::Text(absl::StrCat(answer->epoch()))}});
}

int Drain(Session& session, bool off) {
  v1::DrainRequest request;
  request.set_off(off);
  auto answer = session.client().Drain(request);
  if (!answer.ok()) return session.Fail(answer.status());
  const std::string running = absl::StrCat(answer->still_running());
  return Printed(Print(
      session.console(), session.format(), ProtoNode(*answer), running, [&](bool) -> std::string {
        if (off) return "taking new work again\n";
        return absl::StrCat("draining: nothing new starts, ", running, " still running\n");
      }));
}

int Reload(Session& session) {
  auto answer = session.client().Reload();
  if (!answer.ok()) return session.Fail(answer.status());
  return Printed(Print(session.console(), session.format(), ProtoNode(*answer),
                       absl::StrJoin(answer->changed(), "\n"), [&](bool) {
                         std::string text = answer->changed().empty()
                                                ? "reloaded, nothing changed\n"
                                                : "reloaded\n";
                         return text + Bullets("Now in force", answer->changed()) +
                                Bullets("Needs a restart", answer->needs_restart());
                       }));
}

}  // namespace boxkeeper::cli
