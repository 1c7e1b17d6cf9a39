#include "cli/artifact_commands.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "cli/artifact_fetch.h"
#include "cli/exit_code.h"
#include "cli/human.h"
#include "cli/patience.h"
#include "cli/proto_node.h"
#include "cli/rpc_error.h"
#include "cli/table.h"

namespace boxkeeper::cli {
namespace {

constexpr size_t kShownDigits = 12;  // of a SHA-256 in a table

bool IsNamed(const std::vector<std::string>& paths, const v1::Artifact& artifact) {
  return paths.empty() || std::any_of(paths.begin(), paths.end(), [&](const std::string& path) {
           return NamesArtifact(path, artifact.path());
         });
}

absl::StatusOr<v1::ListArtifactsResponse> ListOf(Session& session, const std::string& ref) {
  v1::ListArtifactsRequest request;
  ASSIGN_OR_RETURN(*request.mutable_task(), ParseRef(ref));
  return session.client().ListArtifacts(request);
}

std::string ArtifactTable(const std::vector<v1::Artifact>& artifacts, const Console& console,
                          bool wide) {
  std::vector<std::string> heads = {"PATH", "SIZE", "MODE", "SHA256"};
  if (wide) heads.insert(heads.end(), {"MODIFIED", "OBJECT"});
  Table table(heads);
  for (const v1::Artifact& artifact : artifacts) {
    const std::string& digest = artifact.sha256();
    std::vector<Cell> row = {artifact.path(), HumanBytes(artifact.size()),
                             absl::StrFormat("%04o", artifact.mode()),
                             wide ? digest : digest.substr(0, kShownDigits)};
    if (wide) {
      row.emplace_back(HumanTime(FromProto(artifact.modified_at()), console.zone));
      row.emplace_back(artifact.object());
    }
    table.AddRow(std::move(row));
  }
  return table.Render(console.colour);
}

// What was left out is told where it is not seen.
void SaySkipped(Session& session, const v1::ListArtifactsResponse& listed) {
  if (!listed.has_outputs()) {
    session.console().err("boxctl: the task asked for no outputs\n");
  } else if (!listed.outputs().collected() || listed.outputs().skipped() > 0) {
    const std::string what = listed.outputs().collected()
                                 ? absl::StrCat("left out: ", listed.outputs().skipped())
                                 : "nothing was collected";
    session.console().err(absl::StrCat("boxctl: ", what, ": ", listed.outputs().message(), "\n"));
  }
}

int ListThem(Session& session, const v1::ListArtifactsResponse& listed,
             const ArtifactsFlags& flags) {
  std::vector<v1::Artifact> shown;
  Listing listing;
  listing.field = "artifacts";
  for (const v1::Artifact& artifact : listed.outputs().artifacts()) {
    if (!IsNamed(flags.paths, artifact)) continue;
    shown.push_back(artifact);
    listing.items.push_back(ProtoNode(artifact));
    listing.names.push_back(artifact.path());
  }
  listing.text = [&](bool wide) { return ArtifactTable(shown, session.console(), wide); };
  const bool printed = Print(session.console(), session.format(), listing);
  SaySkipped(session, listed);
  return printed ? kExitOk : kExitOurs;
}

int GetThem(Session& session, const v1::ListArtifactsResponse& listed,
            const ArtifactsFlags& flags) {
  Patience patience(session.console(), session.client(), true);
  int found = 0;
  for (const v1::Artifact& artifact : listed.outputs().artifacts()) {
    if (!IsNamed(flags.paths, artifact)) continue;
    ++found;
    absl::Status status;
    if (flags.directory == "-") {
      status =
          CopyArtifact(session.client(), listed.id(), artifact, patience, session.console().out);
      if (ErrorReason(status) == "OUTPUT_CLOSED") return kExitOk;
    } else {
      auto path = LocalPath(flags.directory, artifact.path());
      if (!path.ok()) return session.Fail(path.status());
      status = FetchArtifact(session.client(), listed.id(), artifact, patience, *path);
      if (status.ok()) session.console().Progress(*path);
    }
    if (!status.ok()) return session.Fail(status);
  }
  SaySkipped(session, listed);
  if (found > 0) return kExitOk;
  return session.Fail(absl::NotFoundError("the task has no such outputs"));
}

}  // namespace

int Artifacts(Session& session, const ArtifactsFlags& flags) {
  absl::Status connected = session.client().Connect();
  if (!connected.ok()) return session.Fail(connected);
  auto listed = ListOf(session, flags.ref);
  if (!listed.ok()) return session.Fail(listed.status());
  return flags.action == "get" ? GetThem(session, *listed, flags)
                               : ListThem(session, *listed, flags);
}

absl::Status FetchOutputs(Session& session, const std::string& id,
                          const std::vector<WantedOutput>& wanted) {
  const bool any = std::any_of(wanted.begin(), wanted.end(), [](const WantedOutput& output) {
    return !output.directory.empty();
  });
  if (!any) return absl::OkStatus();
  ASSIGN_OR_RETURN(const v1::ListArtifactsResponse listed, ListOf(session, id));
  Patience patience(session.console(), session.client(), true);
  for (const WantedOutput& output : wanted) {
    if (output.directory.empty()) continue;
    bool found = false;
    for (const v1::Artifact& artifact : listed.outputs().artifacts()) {
      if (!NamesArtifact(output.pattern, artifact.path())) continue;
      found = true;
      ASSIGN_OR_RETURN(const std::string path, LocalPath(output.directory, artifact.path()));
      RETURN_IF_ERROR(FetchArtifact(session.client(), listed.id(), artifact, patience, path));
    }
    if (found) continue;
    const std::string& why = listed.outputs().message();
    return absl::NotFoundError(absl::StrCat("no output '", output.pattern, "' was collected",
                                            why.empty() ? "" : " (left out: " + why + ")"));
  }
  return absl::OkStatus();
}

}  // namespace boxkeeper::cli
