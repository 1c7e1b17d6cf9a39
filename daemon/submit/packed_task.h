// A submission as the core takes it: encoded already, on the thread that received it, so that the
// loop adds the few fields it decides and neither builds nor destroys a message.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/id128.h"
#include "boxkeeper/store/v1/records.pb.h"
#include "boxkeeper/v1/task.pb.h"
#include "daemon/submit/prepared_task.h"
#include "providers/provider.h"

namespace boxkeeper::daemon {

// What memory holds of a task's accepted record, beside the record's bytes, to decide by.
struct TaskFacts {
  std::string key;  // string form
  std::string owner;
  std::string provider;
  std::string own_log_path;       // OwnLogPath
  int64_t start_deadline_ms = 0;  // unix; 0 = none
  int64_t timeout_ms = 0;         // 0 = none
  int64_t grace_ms = -1;          // -1 = cancel_grace
  int64_t lease_ttl_ms = 0;       // 0 = no lease
  bool lease_cancels = false;
  bool replaces = false;
  bool has_outputs = false;        // asked for some
  std::vector<std::string> blobs;  // that its files name, each once
  int32_t priority = 0;
};

// All but the key, which may be at hand.
TaskFacts FactsOf(const store::v1::Accepted& accepted);

// `log.path` of a task that chose one whose objects it would share with another task of the same
// path; else empty. Pieces of the airflow layout carry the generation in their names, so they may
// share a path.
std::string OwnLogPath(const store::v1::Accepted& accepted);

struct PackedTask {
  std::vector<providers::FieldViolation> violations;  // as of PreparedTask
  base::SubmissionId submission_id;
  std::string digest;
  std::string sealed_box;
  v1::OnLiveKey on_live_key = v1::ON_LIVE_KEY_REJECT;
  TaskFacts facts;
  std::string accepted;  // a store::v1::Accepted without the fields of Decision
};

// Thread-safe.
PackedTask Pack(PreparedTask task);

// The fields of the accepted record that the core decides.
struct Decision {
  int64_t generation = 0;
  base::TaskId id;
  int64_t accepted_at_ms = 0;
  int64_t accepted_boot_ms = 0;
  int64_t after_generation = 0;
};

// Makes PackedTask::accepted complete.
void AppendDecision(const Decision& decision, std::string& accepted);

// The bytes of a store::v1::Record of an encoded store::v1::Accepted.
std::string AcceptedRecord(std::string_view accepted);

}  // namespace boxkeeper::daemon
