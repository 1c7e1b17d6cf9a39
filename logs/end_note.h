// Why a task ended, as it stands in its log.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "logs/redactor.h"

namespace boxkeeper::logs {

// The last record of an `airflow` log; other layouts have the command's bytes only.
struct EndNote {
  int64_t time_ms = 0;  // unix; of the end
  std::string reason;   // e.g. "OOM"
  std::string text;     // for people
};

// Null: there is nothing to say (the task succeeded).
using EndNotePtr = std::shared_ptr<const EndNote>;

// `note` without secret values. Either may be null.
EndNotePtr Redacted(EndNotePtr note, const Redactor* redactor);

}  // namespace boxkeeper::logs
