#include "cli/doctor.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "base/version.h"
#include "cli/escape.h"
#include "cli/exit_code.h"
#include "cli/human.h"
#include "cli/table.h"

namespace boxkeeper::cli {
namespace {

constexpr absl::Duration kSkewMax = absl::Seconds(5);  // start deadlines are moments of this clock

enum class Verdict { kOk, kWarn, kFail };

struct Check {
  Verdict verdict;
  std::string name;
  std::string finding;
  std::string hint;  // what to do; empty if nothing
};

const char* Word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "OK";
    case Verdict::kWarn:
      return "WARN";
    case Verdict::kFail:
      break;
  }
  return "FAIL";
}

class Examination {
 public:
  explicit Examination(Session& session) : session_(session) {}

  std::vector<Check> Run() {
    absl::Status connected = session_.client().Connect();
    const std::string& address = session_.client().connection().address;
    if (!connected.ok()) {
      Add(Verdict::kFail, "server", std::string(connected.message()), "");
      return std::move(checks_);
    }
    const absl::Time asked = session_.console().now();
    auto status = session_.client().GetStatus();
    const absl::Time answered = session_.console().now();
    if (!status.ok()) {
      const bool denied = status.status().code() == absl::StatusCode::kUnauthenticated ||
                          status.status().code() == absl::StatusCode::kPermissionDenied;
      Add(Verdict::kFail, "server",
          absl::StrCat(address, ": ", std::string(status.status().message())),
          denied ? "give --token-file, or a client certificate that the daemon accepts" : "");
      return std::move(checks_);
    }
    Add(Verdict::kOk, "server",
        absl::StrCat(address, " answers in ", HumanDuration(answered - asked)), "");
    CheckStatus(*status);
    CheckClock(*status, asked, answered);
    CheckProviders();
    return std::move(checks_);
  }

 private:
  void Add(Verdict verdict, const std::string& name, const std::string& finding,
           const std::string& hint) {
    checks_.push_back({verdict, name, finding, hint});
  }

  void CheckStatus(const v1::GetStatusResponse& status) {
    const bool same = status.version() == base::kVersion;
    Add(same ? Verdict::kOk : Verdict::kWarn, "version",
        same ? status.version()
             : absl::StrCat("the daemon is ", status.version(), ", boxctl ", base::kVersion),
        same ? "" : "install both from one release");
    if (status.ready()) {
      Add(Verdict::kOk, "ready", "takes tasks", "");
    } else {
      for (const std::string& why : status.not_ready_because()) {
        Add(Verdict::kFail, "ready", why, "");
      }
      if (status.not_ready_because().empty()) Add(Verdict::kFail, "ready", "is not ready", "");
    }
    if (status.draining()) {
      Add(Verdict::kWarn, "drain", "nothing new starts", "boxctl drain --off takes work again");
    }
    if (status.stopping()) Add(Verdict::kWarn, "stopping", "the daemon is going down", "");
    if (!status.tasks_survive_service_stop()) {
      Add(Verdict::kWarn, "service stop", "tasks end with the daemon's service",
          "run boxlaunch as a service of its own (docs/operations.md)");
    }
    for (const std::string& warning : status.warnings()) {
      // Those of providers come with the providers.
      if (warning.rfind("provider ", 0) != 0) Add(Verdict::kWarn, "daemon", warning, "");
    }
  }

  void CheckClock(const v1::GetStatusResponse& status, absl::Time asked, absl::Time answered) {
    if (!status.has_server_time()) return;
    const absl::Time theirs = FromProto(status.server_time());
    absl::Duration skew = absl::ZeroDuration();
    if (theirs < asked) skew = theirs - asked;
    if (theirs > answered) skew = theirs - answered;
    const bool fine = absl::AbsDuration(skew) <= kSkewMax;
    Add(fine ? Verdict::kOk : Verdict::kWarn, "clock",
        fine ? "agrees with the daemon's"
             : absl::StrCat("the daemon's is ", HumanDuration(absl::AbsDuration(skew)),
                            skew > absl::ZeroDuration() ? " ahead" : " behind"),
        fine ? "" : "synchronise both clocks: start deadlines depend on them");
  }

  void CheckProviders() {
    auto answer = session_.client().ListProviders();
    if (!answer.ok()) {
      Add(Verdict::kFail, "providers", std::string(answer.status().message()), "");
      return;
    }
    if (answer->providers().empty()) {
      Add(Verdict::kFail, "providers", "none is configured", "add one under providers:");
    }
    for (const v1::ProviderStatus& provider : answer->providers()) {
      const std::string name = absl::StrCat("provider ", provider.name());
      if (provider.reachable()) {
        Add(Verdict::kOk, name, absl::StrCat(provider.type(), ", ", provider.running(), " running"),
            "");
      } else {
        Add(Verdict::kFail, name,
            absl::StrCat("unreachable", provider.last_error().empty() ? "" : ": ",
                         provider.last_error()),
            "running tasks are kept; nothing new is created there");
      }
      for (const std::string& warning : provider.warnings()) {
        Add(Verdict::kWarn, name, warning, "");
      }
    }
  }

  Session& session_;
  std::vector<Check> checks_;
};

std::string Lines(const std::vector<Check>& checks, bool colour) {
  std::string out;
  for (const Check& check : checks) {
    const Colour shade = check.verdict == Verdict::kOk     ? Colour::kGreen
                         : check.verdict == Verdict::kWarn ? Colour::kYellow
                                                           : Colour::kRed;
    const std::string word = Word(check.verdict);
    absl::StrAppend(&out, Paint(word, shade, colour), std::string(6 - word.size(), ' '),
                    EscapeLine(check.name), ": ", EscapeLine(check.finding), "\n");
    if (!check.hint.empty()) absl::StrAppend(&out, "      -> ", check.hint, "\n");
  }
  return out;
}

}  // namespace

int Doctor(Session& session) {
  const std::vector<Check> checks = Examination(session).Run();
  Listing listing;
  listing.field = "checks";
  bool failed = false;
  for (const Check& check : checks) {
    failed = failed || check.verdict == Verdict::kFail;
    listing.items.push_back(Node{Object{{"verdict", Node::Text(Word(check.verdict))},
                                        {"check", Node::Text(check.name)},
                                        {"finding", Node::Text(check.finding)},
                                        {"hint", Node::Text(check.hint)}}});
    listing.names.push_back(absl::StrCat(Word(check.verdict), " ", check.name));
  }
  listing.text = [&](bool) { return Lines(checks, session.console().colour); };
  if (!Print(session.console(), session.format(), listing)) return kExitOurs;
  return failed ? kExitSomeFailed : kExitOk;
}

}  // namespace boxkeeper::cli
