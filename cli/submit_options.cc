#include "cli/submit_options.h"

namespace boxkeeper::cli {
namespace {

void AddSandboxOptions(CLI::App& command, SubmitFlags& flags) {
  const char* group = "Sandbox";
  AddRepeated(command, "-p,--provider", flags.provider,
              "Provider; several, or auto: the first that can run it")
      ->group(group);
  auto text = [&](const char* name, std::string& value, const char* help) {
    command.add_option(name, value, help)->group(group);
  };
  text("--profile", flags.profile, "Profile of the daemon's configuration");
  text("--image", flags.image, "OCI image");
  text("--template", flags.template_name, "Provider's own template");
  command.add_option("--cpu", flags.cpu, "Cores")->group(group);
  command.add_option("--memory-mb", flags.memory_mb, "Memory, MiB")->group(group);
  command.add_option("--disk-mb", flags.disk_mb, "Disk, MiB")->group(group);
  text("--gpu", flags.gpu, "GPU, e.g. 1 or nvidia-t4:1");
  text("--network", flags.network, "Network: none, host, or the provider's own");
  AddRepeated(command, "-v,--volume", flags.volumes,
              "SOURCE:TARGET[:ro|:rw], mounted into the sandbox; the provider says what it allows")
      ->group(group);
  AddRepeated(command, "--output", flags.outputs,
              "PATH[:DIR]: a file, directory or glob to collect at the end; with run, put into DIR")
      ->group(group);
  text("--timeout", flags.timeout, "Longest run, e.g. 90s or 2h; 0s = none");
  text("--start-deadline", flags.start_deadline,
       "Latest start: RFC 3339, or a duration from now; later it ends EXPIRED");
  text("--workdir", flags.workdir, "Working directory");
  text("--user", flags.user, "User in the sandbox");
  command.add_option("--priority", flags.priority, "Higher starts first; default 0")->group(group);
}

void AddInputOptions(CLI::App& command, SubmitFlags& flags) {
  const char* group = "Input";
  AddRepeated(command, "-e,--env", flags.env, "NAME=VALUE, or NAME to pass on boxctl's own")
      ->group(group);
  AddRepeated(command, "--env-file", flags.env_files, "File of NAME=VALUE lines")->group(group);
  AddRepeated(command, "--secret", flags.secrets,
              "Secret variable: NAME (boxctl's own), NAME=env:VAR, NAME=file:PATH, "
              "NAME=server-env:VAR, NAME=server-file:PATH, NAME=VALUE")
      ->group(group);
  AddRepeated(command, "--file", flags.files, "LOCAL:REMOTE, put there before the start")
      ->group(group);
  command
      .add_option("--stdin", flags.input,
                  "File of this machine, - for boxctl's own stdin: the command's standard input")
      ->group(group);
  AddRepeated(command, "--secret-file", flags.secret_files, "LOCAL:REMOTE, sealed, mode 0400")
      ->group(group);
}

void AddTaskOptions(CLI::App& command, SubmitFlags& flags) {
  const char* group = "Task";
  command
      .add_option("--key", flags.key,
                  "namespace/KIND/group/run/name/index/try, percent-encoded; default: a new one")
      ->group(group);
  command
      .add_option("--submission-id", flags.submission_id,
                  "UUID; the same one twice is one task; default: random")
      ->group(group);
  command.add_option("--owner", flags.owner, "Event stream that reports it; default: nobody's")
      ->group(group);
  AddRepeated(command, "-l,--label", flags.labels, "NAME=VALUE, for filters")->group(group);
  command
      .add_option("--on-live-key", flags.on_live_key,
                  "If the key has a live task: reject (default), after it, or replace it")
      ->check(CLI::IsMember({"reject", "after", "replace"}))
      ->group(group);
  command.add_flag("--dry-run", flags.dry_run, "Only check, and print the merged spec")
      ->group(group);
}

}  // namespace

CLI::Option* AddRepeated(CLI::App& command, const std::string& names,
                         std::vector<std::string>& values, const std::string& help) {
  return command.add_option(names, values, help)
      ->allow_extra_args(false)
      ->type_size(1)
      ->expected(1, CLI::detail::expected_max_vector_size)
      ->allow_extra_args(false);
}

void AddSubmitOptions(CLI::App& command, SubmitFlags& flags) {
  command.add_option("SCRIPT", flags.script,
                     "A script's path, - for stdin; or after --: PROGRAM ARG...");
  command.add_option("--lang", flags.lang, "Language of the script; default: by its name")
      ->check(CLI::IsMember({"sh", "bash", "python"}));
  command.add_option("--shell", flags.shell, "Run by /bin/sh -c");
  AddTaskOptions(command, flags);
  AddInputOptions(command, flags);
  AddSandboxOptions(command, flags);
}

}  // namespace boxkeeper::cli
