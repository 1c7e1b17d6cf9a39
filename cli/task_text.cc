#include "cli/task_text.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/escape.h"
#include "cli/exit_code.h"
#include "cli/human.h"
#include "cli/node.h"
#include "cli/proto_node.h"

namespace boxkeeper::cli {
namespace {

std::string NameText(const v1::Task& task) {
  std::string name = task.key().name();
  if (task.key().has_index() && task.key().index() >= 0) {
    absl::StrAppend(&name, "[", task.key().index(), "]");
  }
  if (task.key().try_() > 1) absl::StrAppend(&name, " try ", task.key().try_());
  return name;
}

std::string ReasonText(const v1::Task& task) {
  return task.reason() == v1::REASON_UNSPECIFIED ? "" : EnumWord(task.reason());
}

std::string ExitText(const v1::Task& task) {
  if (task.has_signal()) return absl::StrCat("signal ", task.signal());
  if (task.has_exit_code()) return absl::StrCat(task.exit_code());
  return "";
}

std::string Took(const v1::Task& task, const Console& console) {
  if (!task.has_started_at()) return "";
  const absl::Time end = task.has_ended_at() ? FromProto(task.ended_at()) : console.now();
  return HumanDuration(std::max(end - FromProto(task.started_at()), absl::ZeroDuration()));
}

std::string Age(const v1::Task& task, const Console& console) {
  return task.has_accepted_at() ? HumanAge(console.now() - FromProto(task.accepted_at())) : "";
}

std::string ProviderText(const v1::Task& task) {
  if (!task.sandbox().provider().empty()) return task.sandbox().provider();
  return absl::StrJoin(task.spec().provider(), ",");
}

// As one would type it.
std::string CommandText(const v1::Command& command) {
  switch (command.form_case()) {
    case v1::Command::kArgv: {
      std::string text;
      for (const std::string& argument : command.argv().args()) {
        const bool plain =
            !argument.empty() && argument.find_first_not_of(
                                     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789_-+=./:,@%") == std::string::npos;
        if (!text.empty()) text += ' ';
        if (plain) {
          text += argument;
        } else {
          text += '\'';
          for (char c : argument) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
          text += '\'';
        }
      }
      return text;
    }
    case v1::Command::kShell:
      return "/bin/sh -c: " + command.shell();
    case v1::Command::kScript:
      return absl::StrCat(command.script().lang(), " script, ",
                          HumanBytes(static_cast<int64_t>(command.script().body().size())));
    default:
      return "";
  }
}

std::string ShortText(std::string text, size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
  return text.substr(0, limit) + "...";
}

template <typename M>
std::string MapText(const M& map) {
  std::map<std::string, std::string> sorted(map.begin(), map.end());
  return absl::StrJoin(sorted, " ", absl::PairFormatter("="));
}

void AddTimeline(const v1::Task& task, const Console& console, Fields& page) {
  const absl::Time accepted = FromProto(task.accepted_at());
  if (task.has_accepted_at()) page.Add("Accepted", HumanTime(accepted, console.zone));
  if (task.has_started_at()) {
    const absl::Time started = FromProto(task.started_at());
    page.Add("Started", absl::StrCat(HumanTime(started, console.zone), "  (waited ",
                                     HumanDuration(started - accepted), ")"));
  }
  if (task.has_ended_at()) {
    const std::string ran = Took(task, console);
    page.Add("Ended", absl::StrCat(HumanTime(FromProto(task.ended_at()), console.zone),
                                   ran.empty() ? "" : "  (ran " + ran + ")"));
  }
  if (task.has_provider_unreachable_since()) {
    page.Add("Provider gone",
             absl::StrCat("unreachable since ",
                          HumanTime(FromProto(task.provider_unreachable_since()), console.zone)),
             Colour::kRed);
  }
}

void AddEnd(const v1::Task& task, Fields& page) {
  std::string state = EnumWord(task.state());
  if (task.reason() != v1::REASON_UNSPECIFIED) absl::StrAppend(&state, " (", ReasonText(task), ")");
  page.Add("State", state, StateColour(task.state()));
  page.AddIfAny("Message", task.message());
  page.AddIfAny("Waiting for", task.waiting_for());
  if (task.has_exit_code()) page.Add("Exit code", absl::StrCat(task.exit_code()));
  if (task.has_signal()) page.Add("Signal", absl::StrCat(task.signal()));
  if (task.attester() != v1::ATTESTER_NONE) page.Add("Attested by", EnumWord(task.attester()));
  page.Add("User code started", EnumWord(task.user_code_started()));
  if (task.has_peak_memory_bytes()) page.Add("Peak memory", HumanBytes(task.peak_memory_bytes()));
  if (task.has_cpu_seconds()) {
    page.Add("CPU time", HumanDuration(absl::Seconds(task.cpu_seconds())));
  }
}

void AddSandbox(const v1::Task& task, Fields& page) {
  if (task.attempt() > 0) page.Add("Attempt", absl::StrCat(task.attempt()));
  const v1::SandboxStatus& sandbox = task.sandbox();
  if (sandbox.id().empty()) return;
  page.Add("Sandbox",
           absl::StrCat(
               sandbox.id(), " at ", sandbox.provider(),
               sandbox.isolation().empty() ? "" : absl::StrCat(", isolation ", sandbox.isolation()),
               sandbox.gone() ? ", removed" : ""));
  page.AddIfAny("Sandbox name", sandbox.name());
  page.AddIfAny("Limits", sandbox.limits());
}

void AddLog(const v1::Task& task, Fields& page) {
  if (!task.has_log()) return;
  const v1::LogStatus& log = task.log();
  std::string text = absl::StrCat("stdout ", HumanBytes(log.stdout_bytes()), ", stderr ",
                                  HumanBytes(log.stderr_bytes()));
  if (log.dropped_bytes() > 0) {
    absl::StrAppend(&text, ", dropped ", HumanBytes(log.dropped_bytes()));
  }
  absl::StrAppend(&text, log.complete() ? ", complete in the log store" : ", not all stored yet");
  page.Add("Log", text);
  page.AddIfAny("Log incomplete", log.incomplete());
  if (!log.path().empty()) page.Add("Log place", absl::StrCat(log.path(), " (", log.layout(), ")"));
}

void AddOutputs(const v1::Task& task, Fields& page) {
  if (!task.has_outputs()) return;
  const v1::OutputsStatus& outputs = task.outputs();
  std::string text = outputs.collected()
                         ? absl::StrCat(outputs.files(), " files, ", HumanBytes(outputs.bytes()))
                         : "not collected";
  if (outputs.skipped() > 0) absl::StrAppend(&text, ", ", outputs.skipped(), " left out");
  if (!outputs.message().empty()) absl::StrAppend(&text, ": ", outputs.message());
  page.Add("Outputs", text, outputs.collected() ? Colour::kNone : Colour::kYellow);
}

}  // namespace

Colour StateColour(v1::TaskState state) {
  switch (state) {
    case v1::TASK_STATE_SUCCEEDED:
      return Colour::kGreen;
    case v1::TASK_STATE_FAILED:
    case v1::TASK_STATE_LOST:
      return Colour::kRed;
    case v1::TASK_STATE_CANCELLED:
    case v1::TASK_STATE_STOPPING:
      return Colour::kYellow;
    case v1::TASK_STATE_RUNNING:
    case v1::TASK_STATE_STARTING:
    case v1::TASK_STATE_CREATING:
      return Colour::kBlue;
    default:
      return Colour::kNone;
  }
}

std::string TaskTable(const std::vector<v1::Task>& tasks, const Console& console, bool wide) {
  std::vector<std::string> heads = {"ID", "STATE", "REASON", "EXIT", "AGE", "TOOK", "NAME"};
  if (wide) heads.insert(heads.end(), {"PROVIDER", "OWNER", "KEY", "MESSAGE"});
  Table table(heads);
  for (const v1::Task& task : tasks) {
    std::vector<Cell> row = {
        task.id(),          Cell(EnumWord(task.state()), StateColour(task.state())),
        ReasonText(task),   ExitText(task),
        Age(task, console), Took(task, console),
        NameText(task)};
    if (wide) {
      row.emplace_back(ProviderText(task));
      row.emplace_back(task.owner());
      row.emplace_back(task.key_string());
      row.emplace_back(task.waiting_for().empty() ? task.message()
                                                  : "waits: " + task.waiting_for());
    }
    table.AddRow(std::move(row));
  }
  return table.Render(console.colour);
}

void AddSpec(const v1::SandboxSpec& spec, const Console& console, Fields& fields) {
  fields.AddIfAny("Provider", absl::StrJoin(spec.provider(), ", "));
  fields.AddIfAny("Profile", spec.profile());
  fields.AddIfAny("Image", spec.image());
  fields.AddIfAny("Template", spec.template_());
  if (spec.cpu() != 0) fields.Add("CPU", absl::StrCat(spec.cpu(), " cores"));
  if (spec.memory_mb() != 0) fields.Add("Memory", absl::StrCat(spec.memory_mb(), " MiB"));
  if (spec.disk_mb() != 0) fields.Add("Disk", absl::StrCat(spec.disk_mb(), " MiB"));
  fields.AddIfAny("GPU", spec.gpu());
  if (spec.pids() != 0) fields.Add("Processes", absl::StrCat(spec.pids()));
  fields.AddIfAny("Network", spec.network());
  for (const v1::Volume& volume : spec.volumes()) {
    fields.Add("Volume", absl::StrCat(volume.source(), ":", volume.target(),
                                      volume.read_only() ? ":ro" : ":rw"));
  }
  fields.AddIfAny("Standard input", spec.stdin());
  fields.AddIfAny("Outputs wanted", absl::StrJoin(spec.outputs(), ", "));
  fields.AddIfAny("User", spec.user());
  fields.AddIfAny("Work directory", spec.workdir());
  if (spec.has_read_only_root()) {
    fields.Add("Read-only root", spec.read_only_root() ? "yes" : "no");
  }
  if (spec.has_timeout()) {
    const absl::Duration timeout = FromProto(spec.timeout());
    fields.Add("Timeout", timeout == absl::ZeroDuration() ? "none" : HumanDuration(timeout));
  }
  if (spec.has_start_deadline()) {
    fields.Add("Start deadline", HumanTime(FromProto(spec.start_deadline()), console.zone));
  }
  if (spec.has_grace()) fields.Add("Grace", HumanDuration(FromProto(spec.grace())));
  if (spec.priority() != 0) fields.Add("Priority", absl::StrCat(spec.priority()));
  for (const auto& [name, value] :
       std::map<std::string, std::string>(spec.env().begin(), spec.env().end())) {
    fields.Add("Env " + EscapeLine(name), ShortText(value, 200));
  }
  if (spec.provider_options().fields_size() > 0) {
    fields.Add("Provider options", CompactJson(ProtoNode(spec.provider_options())));
  }
}

std::string TaskPage(const v1::Task& task, const Console& console) {
  Fields page;
  page.Add("Task", task.id());
  page.Add("Key", task.key_string());
  AddEnd(task, page);
  AddTimeline(task, console, page);
  page.Add("Command", ShortText(CommandText(task.command()), 500));
  page.AddIfAny("Owner", task.owner());
  page.AddIfAny("Labels", MapText(task.labels()));
  page.Add("Submission", absl::StrCat(task.submission_id(), ", generation ", task.generation()));
  page.AddIfAny("Successor", task.successor_id());
  AddSandbox(task, page);
  AddSpec(task.spec(), console, page);
  page.AddIfAny("Secrets", absl::StrJoin(task.secret_names(), ", "));
  AddLog(task, page);
  AddOutputs(task, page);
  std::string out = page.Render(console.colour);
  if (!task.notes().empty()) out += "Notes:\n";
  for (const std::string& note : task.notes())
    absl::StrAppend(&out, "  - ", EscapeLine(note), "\n");
  return out;
}

std::string EventTable(const std::vector<v1::Event>& events, const Console& console, bool wide,
                       bool head) {
  // Fixed widths, not a Table: rows of a followed stream must stay under the head printed before
  // them.
  std::string out;
  if (head) {
    out = absl::StrFormat("%-23s  %-13s  %-26s  %-10s  %-16s  %s%s\n", "TIME", "EVENT", "TASK",
                          "STATE", "REASON", "NAME", wide ? "  OWNER  CURSOR" : "");
  }
  for (const v1::Event& event : events) {
    const v1::Task& task = event.task();
    const std::string reason = ReasonText(task);
    absl::StrAppendFormat(
        &out, "%-23s  %-13s  %-26s  %s%s  %-16s  %s",
        HumanTime(FromProto(event.time()), console.zone), EnumWord(event.type()),
        EscapeLine(task.id()),
        Paint(EnumWord(task.state()), StateColour(task.state()), console.colour),
        std::string(std::max<int>(0, 10 - static_cast<int>(EnumWord(task.state()).size())), ' '),
        reason.empty() ? "-" : reason, EscapeLine(NameText(task)));
    if (wide) {
      absl::StrAppend(&out, "  ", task.owner().empty() ? "-" : EscapeLine(task.owner()), "  ",
                      EscapeLine(event.cursor()));
    }
    out += '\n';
  }
  return out;
}

}  // namespace boxkeeper::cli
