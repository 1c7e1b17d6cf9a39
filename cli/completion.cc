#include "cli/completion.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace boxkeeper::cli {
namespace {

constexpr char kTaskIds[] = "boxctl ls -o name --limit 50 2>/dev/null";

std::string Quote(const std::string& text) {
  return "'" + absl::StrReplaceAll(text, {{"'", "'\\''"}}) + "'";
}

std::string CommandNames(const std::vector<CommandWords>& commands) {
  return absl::StrJoin(commands, " ",
                       [](std::string* out, const CommandWords& command) { *out += command.name; });
}

std::string FlagNames(const CommandWords& command) {
  std::string names;
  for (const FlagWords& flag : command.flags) {
    absl::StrAppend(&names, names.empty() ? "" : " ", absl::StrJoin(flag.names, " "));
  }
  return names;
}

// "name|other) COMPREPLY=(...)": what may follow each flag that takes a value; once per flag name.
std::string BashValues(const std::vector<CommandWords>& commands) {
  std::string cases;
  std::string seen = " ";
  for (const CommandWords& command : commands) {
    for (const FlagWords& flag : command.flags) {
      const std::string pattern = absl::StrJoin(flag.names, "|");
      if (!flag.takes_value || seen.find(" " + pattern + " ") != std::string::npos) continue;
      seen += pattern + " ";
      absl::StrAppend(&cases, "    ", pattern, ") COMPREPLY=($(compgen ",
                      flag.values.empty() ? "-f" : "-W " + Quote(absl::StrJoin(flag.values, " ")),
                      " -- \"$word\")); return ;;\n");
    }
  }
  return cases;
}

std::string BashArguments(const CommandWords& command) {
  if (command.takes_tasks) return absl::StrCat("-W \"$(", kTaskIds, ")\"");
  if (!command.arguments.empty()) return "-W " + Quote(absl::StrJoin(command.arguments, " "));
  return "-f";
}

std::string Bash(const std::vector<CommandWords>& commands) {
  std::string out =
      "# bash completion of boxctl: source <(boxctl completion bash)\n"
      "_boxctl() {\n"
      "  local word=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD-1]}\" "
      "command=\"\" i\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    [ \"${COMP_WORDS[i]}\" = -- ] && { COMPREPLY=($(compgen -c -f -- \"$word\")); return; "
      "}\n";
  absl::StrAppend(
      &out, "    case \" ", CommandNames(commands),
      " \" in *\" ${COMP_WORDS[i]} \"*) command=\"${command:-${COMP_WORDS[i]}}\" ;; esac\n"
      "  done\n");
  absl::StrAppend(&out, "  case \"$before\" in\n", BashValues(commands), "  esac\n",
                  "  case \"$command\" in\n");
  absl::StrAppend(&out, "    '') COMPREPLY=($(compgen -W ", Quote(CommandNames(commands)),
                  " -- \"$word\")) ;;\n");
  for (const CommandWords& command : commands) {
    absl::StrAppend(&out, "    ", command.name, ")\n      case \"$word\" in\n",
                    "        -*) COMPREPLY=($(compgen -W ", Quote(FlagNames(command)),
                    " -- \"$word\")) ;;\n        *) COMPREPLY=($(compgen ", BashArguments(command),
                    " -- \"$word\")) ;;\n      esac ;;\n");
  }
  return out + "  esac\n}\ncomplete -F _boxctl boxctl\n";
}

std::string ZshFlag(const FlagWords& flag) {
  std::string help = absl::StrReplaceAll(flag.help, {{"[", "("}, {"]", ")"}, {":", " "}});
  std::string spec;
  for (const std::string& name : flag.names) {
    std::string one = absl::StrCat("*", name, "[", help, "]");
    if (flag.takes_value) {
      absl::StrAppend(
          &one, ":value:",
          flag.values.empty() ? "_files" : absl::StrCat("(", absl::StrJoin(flag.values, " "), ")"));
    }
    absl::StrAppend(&spec, " ", Quote(one));
  }
  return spec;
}

std::string ZshArguments(const CommandWords& command) {
  if (command.takes_tasks) return " '*:task:_boxctl_tasks'";
  if (command.arguments.empty()) return " '*:file:_files'";
  return absl::StrCat(" '*:argument:(", absl::StrJoin(command.arguments, " "), ")'");
}

std::string Zsh(const std::vector<CommandWords>& commands) {
  std::string out =
      "#compdef boxctl\n"
      "# zsh completion of boxctl: source <(boxctl completion zsh)\n"
      "_boxctl_tasks() { compadd -- ${(f)\"$(";
  absl::StrAppend(&out, kTaskIds,
                  ")\"} }\n"
                  "_boxctl() {\n"
                  "  local -a commands=(\n");
  for (const CommandWords& command : commands) {
    absl::StrAppend(&out, "    ",
                    Quote(command.name + ":" + absl::StrReplaceAll(command.help, {{":", " "}})),
                    "\n");
  }
  out +=
      "  )\n"
      "  if (( CURRENT == 2 )); then _describe command commands; return; fi\n"
      "  case \"$words[2]\" in\n";
  for (const CommandWords& command : commands) {
    absl::StrAppend(&out, "    ", command.name, ") shift words; (( CURRENT-- )); _arguments");
    for (const FlagWords& flag : command.flags) out += ZshFlag(flag);
    absl::StrAppend(&out, ZshArguments(command), " ;;\n");
  }
  return out + "  esac\n}\ncompdef _boxctl boxctl\n";
}

std::string Fish(const std::vector<CommandWords>& commands) {
  std::string out =
      "# fish completion of boxctl: boxctl completion fish | source\n"
      "complete -c boxctl -n __fish_use_subcommand -f\n";
  for (const CommandWords& command : commands) {
    absl::StrAppend(&out, "complete -c boxctl -n __fish_use_subcommand -a ", command.name, " -d ",
                    Quote(command.help), "\n");
    const std::string when =
        absl::StrCat("-n ", Quote("__fish_seen_subcommand_from " + command.name));
    if (command.takes_tasks) {
      absl::StrAppend(&out, "complete -c boxctl ", when, " -f -a ",
                      Quote(absl::StrCat("(", kTaskIds, ")")), "\n");
    }
    if (!command.arguments.empty()) {
      absl::StrAppend(&out, "complete -c boxctl ", when, " -f -a ",
                      Quote(absl::StrJoin(command.arguments, " ")), "\n");
    }
    for (const FlagWords& flag : command.flags) {
      absl::StrAppend(&out, "complete -c boxctl ", when);
      for (const std::string& name : flag.names) {
        absl::StrAppend(
            &out, name.rfind("--", 0) == 0 ? " -l " + name.substr(2) : " -s " + name.substr(1));
      }
      if (flag.takes_value) {
        absl::StrAppend(&out, flag.values.empty()
                                  ? std::string(" -r")
                                  : " -x -a " + Quote(absl::StrJoin(flag.values, " ")));
      }
      absl::StrAppend(&out, " -d ", Quote(flag.help), "\n");
    }
  }
  return out;
}

}  // namespace

absl::StatusOr<std::string> CompletionScript(const std::string& shell,
                                             const std::vector<CommandWords>& commands) {
  if (shell == "bash") return Bash(commands);
  if (shell == "zsh") return Zsh(commands);
  if (shell == "fish") return Fish(commands);
  return absl::InvalidArgumentError("completion: the shell must be bash, zsh or fish");
}

}  // namespace boxkeeper::cli
