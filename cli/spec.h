// From flags to a task: what `run` and `submit` send.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "boxkeeper/v1/executor.pb.h"
#include "cli/console.h"
#include "cli/local_blob.h"

namespace boxkeeper::cli {

// As given on the command line, not yet checked. Empty or absent = not given.
struct SubmitFlags {
  std::vector<std::string> provider;  // one name, several in order of preference, or "auto"
  std::string profile, image, template_name, gpu, network, timeout, start_deadline, workdir, user;
  std::vector<std::string> volumes;  // SOURCE:TARGET[:ro|:rw]
  std::optional<double> cpu;
  std::optional<int64_t> memory_mb, disk_mb;
  std::optional<int32_t> priority;
  std::vector<std::string> env;           // K=V, or K: the value of boxctl's own variable
  std::vector<std::string> env_files;     // lines K=V
  std::vector<std::string> secrets;       // see SecretOf in spec.cc
  std::vector<std::string> labels;        // K=V
  std::vector<std::string> files;         // LOCAL:REMOTE
  std::vector<std::string> secret_files;  // LOCAL:REMOTE
  std::string input;                      // for stdin: a path, or "-" for boxctl's own
  std::vector<std::string> outputs;       // PATH[:DIR], see ParseWantedOutput
  std::string key, submission_id, owner, on_live_key;
  std::string lang, script, shell;  // script: a path, or "-" for stdin
  std::vector<std::string> argv;    // after "--"
  bool detach = false;
  bool dry_run = false;
};

// What is sent: first the blobs that the task's files name, then the task.
struct Submission {
  v1::TaskSpec spec;
  std::vector<LocalBlob> blobs;
};

// The submission, without a lease. Files become blobs where they are large, or too large together
// for a submission; secret ones never. What is not given gets: a random submission id; the key
// default/COMMAND//<submission id>/<program>/-1/1, so that two runs never meet on one key.
// kInvalidArgument names the flag that is wrong.
absl::StatusOr<Submission> BuildSubmission(const SubmitFlags& flags, const Console& console);

// "K=V" texts of -l as a map. kInvalidArgument without "=" or with an empty key.
absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ParsePairs(
    const std::string& flag, const std::vector<std::string>& texts);

}  // namespace boxkeeper::cli
