#include "cli/app.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <functional>
#include <memory>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "base/duration_text.h"
#include "base/version.h"
#include "cli/admin_commands.h"
#include "cli/artifact_commands.h"
#include "cli/completion.h"
#include "cli/doctor.h"
#include "cli/exit_code.h"
#include "cli/run_command.h"
#include "cli/stream_commands.h"
#include "cli/submit_command.h"
#include "cli/submit_options.h"
#include "cli/task_commands.h"

namespace boxkeeper::cli {
namespace {

constexpr char kFooter[] =
    "A task is named by its id, or by its key (with a '/' in it).\n"
    "Exit codes: run passes the command's code, 128+N for signal N, 137 out of memory, 124 "
    "timeout;\n"
    "125 whatever is not the command's doing; 2 usage. wait: 0 all succeeded, 1 not, 124 timeout.";

class App {
 public:
  explicit App(const Console& console)
      : console_(console),
        app_("Runs tasks in sandboxes: the command line of boxkeeperd.", "boxctl") {
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.footer(kFooter);
    app_.set_version_flag("--version", absl::StrCat("boxctl ", base::kVersion));
    AddGlobalOptions();
    AddRun();
    AddSubmit();
    AddLs();
    AddGetAndDescribe();
    AddWait();
    AddLogs();
    AddArtifacts();
    AddCancel();
    AddAbandon();
    AddEvents();
    AddAdmin();
    AddCompletion();
  }

  int Run(const std::vector<std::string>& args) {
    try {
      Parse(args);
    } catch (const CLI::ParseError& error) {
      return Explain(error);
    }
    auto session = MakeSession();
    if (!session) return kExitUsage;
    const CLI::App* chosen = app_.get_subcommands().front();
    for (const auto& [command, action] : actions_) {
      if (command == chosen) return action(*session);
    }
    return kExitUsage;
  }

 private:
  using Action = std::function<int(Session&)>;

  CLI::App& Add(const std::string& name, const std::string& help, Action action) {
    CLI::App* command = app_.add_subcommand(name, help);
    actions_.emplace_back(command, std::move(action));
    return *command;
  }

  void AddGlobalOptions() {
    const char* group = "Connection and output";
    auto text = [&](const char* name, std::string& value, const char* help) {
      app_.add_option(name, value, help)->group(group);
    };
    text("--server", connection_.server,
         "HOST:PORT or unix:/PATH; BOXKEEPER_SERVER; default 127.0.0.1:7433");
    text("--ca-file", connection_.ca_file,
         "Certificate that the server's is checked against (TLS); BOXKEEPER_CA_FILE");
    text("--cert-file", connection_.cert_file, "Own certificate");
    text("--key-file", connection_.key_file, "Its key");
    text("--token-file", connection_.token_file, "File with a bearer token; BOXKEEPER_TOKEN_FILE");
    text("--reconnect-timeout", reconnect_timeout_,
         "How long to wait for a daemon that went away; default 5m");
    app_.add_option("-o,--format", format_, "table, wide, json, jsonl, yaml or name")
        ->check(CLI::IsMember({"table", "wide", "json", "jsonl", "yaml", "name"}))
        ->group(group);
  }

  void AddRun() {
    CLI::App& run = Add("run", "Run a command in a sandbox, as if it ran here", [this](Session& s) {
      if (app_.count("-o") > 0 && !submit_.detach && !submit_.dry_run) {
        console_.err("boxctl: run: -o goes with --detach or --dry-run\n");
        return kExitUsage;
      }
      return cli::Run(s, submit_, run_);
    });
    AddSubmitOptions(run, submit_);
    run.add_flag("-d,--detach", submit_.detach, "Print the id and leave it running");
    run.add_flag("--raw", run_.raw, "Do not escape control characters on a terminal");
    after_dashes_ = &submit_.argv;
  }

  void AddSubmit() {
    CLI::App& submit = Add("submit", "Hand in a task and print its id",
                           [this](Session& s) { return cli::Submit(s, submit_); });
    AddSubmitOptions(submit, submit_);
  }

  void AddFilter(CLI::App& command, FilterFlags& filter) {
    AddRepeated(command, "--state", filter.states, "QUEUED, RUNNING, ..., live or ended")
        ->delimiter(',');
    AddRepeated(command, "-l,--label", filter.labels, "NAME=VALUE");
    command.add_option("--key-prefix", filter.key_prefix, "Beginning of the key's string form");
    command.add_option_function<std::string>(
        "--owner",
        [&filter](const std::string& owner) {
          filter.owner = owner;
          filter.owner_given = true;
        },
        "Owner; '' = nobody's");
  }

  void AddLs() {
    CLI::App& ls =
        Add("ls", "List tasks, newest first", [this](Session& s) { return cli::Ls(s, ls_); });
    AddFilter(ls, ls_.filter);
    ls.add_option("--limit", ls_.limit, "At most so many; default 100")->check(CLI::PositiveNumber);
    ls.add_flag("--all", ls_.all, "All of them");
    ls.add_option("--page-token", ls_.page_token, "Go on where a list of -o json ended");
  }

  void AddTasks(CLI::App& command, std::vector<std::string>& refs, bool required = true) {
    command.add_option("TASK", refs, "Ids or keys")->required(required);
  }

  void AddGetAndDescribe() {
    AddTasks(Add("get", "Show tasks", [this](Session& s) { return cli::Get(s, refs_); }), refs_);
    AddTasks(Add("describe", "Show all there is to know about tasks",
                 [this](Session& s) { return cli::Describe(s, refs_); }),
             refs_);
  }

  void AddWait() {
    CLI::App& wait = Add("wait", "Wait until tasks have ended; 0 if all succeeded",
                         [this](Session& s) { return cli::Wait(s, wait_); });
    AddTasks(wait, wait_.refs);
    wait.add_option("--timeout", wait_.timeout, "Longest wait; then exit code 124");
    wait.add_option("--until", wait_.until, "end (default), log-complete or running")
        ->check(CLI::IsMember({"end", "log-complete", "running"}));
  }

  void AddLogs() {
    CLI::App& logs = Add("logs", "Show the output of a task",
                         [this](Session& s) { return cli::Logs(s, logs_); });
    logs.add_option("TASK", logs_.ref, "Id or key")->required();
    logs.add_flag("-f,--follow", logs_.follow, "Until the task has ended");
    logs.add_option("--stream", logs_.stream, "One stream, to stdout; default: each to its own")
        ->check(CLI::IsMember({"stdout", "stderr"}));
    logs.add_option("--offset", logs_.offset, "From this byte of the stream on (default stdout)");
    logs.add_option("--tail", logs_.tail, "Only the last N lines of what there is");
    logs.add_flag("--raw", logs_.raw, "Do not escape control characters on a terminal");
  }

  void AddArtifacts() {
    CLI::App& artifacts =
        Add("artifacts", "List (ls) or fetch (get) what a task has left behind by --output",
            [this](Session& s) { return cli::Artifacts(s, artifacts_); });
    artifacts.add_option("ACTION", artifacts_.action, "ls or get")
        ->required()
        ->check(CLI::IsMember({"ls", "get"}));
    artifacts.add_option("TASK", artifacts_.ref, "Id or key")->required();
    artifacts.add_option("PATH", artifacts_.paths, "Only these: paths, directories or globs");
    artifacts.add_option("--to", artifacts_.directory,
                         "get: directory to put them into; default: here; - = to stdout");
  }

  void AddCancel() {
    CLI::App& cancel = Add("cancel", "Stop tasks; final once it answers",
                           [this](Session& s) { return cli::Cancel(s, cancel_); });
    AddTasks(cancel, cancel_.refs, false);
    AddFilter(cancel, cancel_.filter);
    cancel.add_flag("--force", cancel_.force, "KILL at once");
    cancel.add_option("--grace", cancel_.grace, "Time between TERM and KILL");
    cancel.add_option("--reason", cancel_.reason, "Why, for people");
  }

  void AddAbandon() {
    CLI::App& abandon =
        Add("abandon", "Give up tasks whose provider is gone (LOST, fence not confirmed)",
            [this](Session& s) { return cli::Abandon(s, refs_, reason_); });
    AddTasks(abandon, refs_);
    abandon.add_option("--reason", reason_, "Why, for people");
  }

  void AddEvents() {
    CLI::App& events = Add("events", "Show what happened to tasks; never acknowledges",
                           [this](Session& s) { return cli::Events(s, events_); });
    events.add_option("--owner", events_.owner, "One owner's stream; default: everybody's");
    events.add_option("--after", events_.after, "Cursor of the last event seen");
    events.add_flag("-f,--follow", events_.follow, "Go on with what happens");
  }

  void AddAdmin() {
    Add("status", "Show the daemon's state", [](Session& s) { return cli::Status(s); });
    Add("providers", "List providers", [](Session& s) { return cli::Providers(s); });
    Add("sandboxes", "List sandboxes as the providers see them", [this](Session& s) {
      return cli::Sandboxes(s, provider_);
    }).add_option("-p,--provider", provider_, "Only this one's");
    Add("orphans", "List sandboxes that no task holds, and what becomes of each",
        [this](Session& s) { return cli::Orphans(s, provider_); })
        .add_option("-p,--provider", provider_, "Only this one's");
    CLI::App& reap = Add("reap", "Destroy, now, the orphans that are due",
                         [this](Session& s) { return cli::Reap(s, reap_); });
    reap.add_option("-p,--provider", reap_.provider, "Only this one's");
    reap.add_flag("--dry-run", reap_.dry_run, "Say what would be destroyed, destroy nothing");
    reap.add_option(
            "--accept-epoch", reap_.accept_epoch,
            "After a restored backup: the higher epoch as told by `orphans`. What this store "
            "has forgotten may then be destroyed")
        ->check(CLI::PositiveNumber);
    Add("drain", "Start nothing new; running tasks end. Lasting", [this](Session& s) {
      return cli::Drain(s, off_);
    }).add_flag("--off", off_, "Take new work again");
    Add("reload", "Have the daemon read its configuration again",
        [](Session& s) { return cli::Reload(s); });
    Add("doctor", "Find out what is wrong", [](Session& s) { return cli::Doctor(s); });
    Add("version", "Print the version", [this](Session& s) { return Version(s); });
  }

  int Version(Session& session) {
    const bool printed =
        Print(console_, session.format(), Node{Object{{"version", Node::Text(base::kVersion)}}},
              base::kVersion, [](bool) { return absl::StrCat("boxctl ", base::kVersion, "\n"); });
    return printed ? kExitOk : kExitOurs;
  }

  void AddCompletion() {
    Add("completion", "Print a shell's completion script",
        [this](Session& s) {
          auto script = CompletionScript(shell_, Words());
          if (!script.ok()) return s.Misused(script.status());
          return console_.out(*script) ? kExitOk : kExitOurs;
        })
        .add_option("SHELL", shell_, "bash, zsh or fish")
        ->required();
  }

  static void AddWords(const CLI::App& app, std::vector<FlagWords>& words) {
    for (const CLI::Option* option : app.get_options()) {
      if (!option->nonpositional()) continue;
      FlagWords flag;
      for (const std::string& name : option->get_snames()) flag.names.push_back("-" + name);
      for (const std::string& name : option->get_lnames()) flag.names.push_back("--" + name);
      flag.takes_value = option->get_items_expected_max() > 0;
      flag.help = option->get_description();
      const std::string& name = flag.names.back();
      if (name == "--format") flag.values = {"table", "wide", "json", "jsonl", "yaml", "name"};
      if (name == "--stream") flag.values = {"stdout", "stderr"};
      if (name == "--lang") flag.values = {"sh", "bash", "python"};
      if (name == "--on-live-key") flag.values = {"reject", "after", "replace"};
      if (name == "--until") flag.values = {"end", "log-complete", "running"};
      words.push_back(std::move(flag));
    }
  }

  std::vector<CommandWords> Words() {
    std::vector<CommandWords> all;
    for (const CLI::App* command : app_.get_subcommands([](CLI::App*) { return true; })) {
      CommandWords words;
      words.name = command->get_name();
      words.help = command->get_description();
      words.takes_tasks = command->get_option_no_throw("TASK") != nullptr;
      if (words.name == "artifacts") words.arguments = {"ls", "get"};
      if (words.name == "completion") words.arguments = {"bash", "zsh", "fish"};
      AddWords(*command, words.flags);
      AddWords(app_, words.flags);
      all.push_back(std::move(words));
    }
    return all;
  }

  // CLI11 reads what stands before "--"; what follows is the command, untouched.
  void Parse(const std::vector<std::string>& args) {
    auto dashes = std::find(args.begin(), args.end(), "--");
    const bool command_follows = std::any_of(args.begin(), dashes, [](const std::string& arg) {
      return arg == "run" || arg == "submit";
    });
    if (!command_follows) dashes = args.end();
    std::vector<const char*> argv = {"boxctl"};
    for (auto arg = args.begin(); arg != dashes; ++arg) argv.push_back(arg->c_str());
    app_.parse(static_cast<int>(argv.size()), argv.data());
    if (dashes != args.end()) after_dashes_->assign(dashes + 1, args.end());
  }

  int Explain(const CLI::ParseError& error) {
    std::ostringstream out, err;
    const bool failed = app_.exit(error, out, err) != 0;
    if (!out.str().empty()) console_.out(out.str());
    if (!failed) return kExitOk;
    console_.err(
        absl::StrCat("boxctl: ", error.what(), "\n(boxctl --help, boxctl COMMAND --help)\n"));
    return kExitUsage;
  }

  std::unique_ptr<Session> MakeSession() {
    auto from_env = [this](std::string& value, const char* name) {
      if (value.empty()) value = console_.env(name).value_or("");
    };
    from_env(connection_.server, "BOXKEEPER_SERVER");
    from_env(connection_.ca_file, "BOXKEEPER_CA_FILE");
    from_env(connection_.token_file, "BOXKEEPER_TOKEN_FILE");
    if (!reconnect_timeout_.empty()) {
      auto timeout = base::DurationFromText(reconnect_timeout_);
      if (!timeout.ok()) {
        console_.err(absl::StrCat(
            "boxctl: --reconnect-timeout: ", std::string(timeout.status().message()), "\n"));
        return nullptr;
      }
      connection_.reconnect_timeout = *timeout;
    }
    const Format format = ParseFormat(format_).value_or(Format::kTable);
    const std::string command = app_.get_subcommands().front()->get_name();
    if (command == "version" || command == "completion") {
      return std::make_unique<Session>(console_, format, Connection());
    }
    auto connection = MakeConnection(connection_);
    if (!connection.ok()) {
      console_.err(absl::StrCat("boxctl: ", std::string(connection.status().message()), "\n"));
      return nullptr;
    }
    return std::make_unique<Session>(console_, format, *std::move(connection));
  }

  const Console& console_;
  CLI::App app_;
  std::vector<std::pair<const CLI::App*, Action>> actions_;

  ConnectionFlags connection_;
  std::string reconnect_timeout_, format_ = "table";
  SubmitFlags submit_;
  RunOptions run_;
  std::vector<std::string>* after_dashes_ = nullptr;
  LsFlags ls_;
  std::vector<std::string> refs_;
  WaitFlags wait_;
  LogsFlags logs_;
  ArtifactsFlags artifacts_;
  CancelFlags cancel_;
  EventsFlags events_;
  std::string provider_, shell_, reason_;
  bool off_ = false;
  ReapOptions reap_;
};

}  // namespace

int RunBoxctl(const std::vector<std::string>& args, const Console& console) {
  try {
    return App(console).Run(args);
  } catch (const std::exception& error) {
    console.err(absl::StrCat("boxctl: INTERNAL: ", error.what(), "\n"));
    return kExitOurs;
  }
}

}  // namespace boxkeeper::cli
