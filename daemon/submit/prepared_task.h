// A submission after validation: what the core needs to accept it without looking into it again.
#pragma once

#include <string>
#include <vector>

#include "base/id128.h"
#include "boxkeeper/store/v1/records.pb.h"
#include "boxkeeper/v1/task.pb.h"
#include "providers/provider.h"

namespace boxkeeper::daemon {

struct PreparedTask {
  // Not empty: rejected, unless it repeats a task that was accepted under an older configuration.
  // Of the other members only submission_id and digest are then set, where the id is a UUID.
  std::vector<providers::FieldViolation> violations;

  base::SubmissionId submission_id;
  std::string digest;          // SHA-256, 32 bytes
  std::string key;             // canonical string form
  store::v1::Accepted record;  // complete but for generation, id, accepted_at_ms, after_generation
  std::string sealed_box;      // of a store::v1::SecretBundle; empty = the task has no secrets
  v1::OnLiveKey on_live_key = v1::ON_LIVE_KEY_REJECT;
};

}  // namespace boxkeeper::daemon
