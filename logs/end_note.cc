#include "logs/end_note.h"

#include <utility>

namespace boxkeeper::logs {

EndNotePtr Redacted(EndNotePtr note, const Redactor* redactor) {
  if (!note || redactor == nullptr) return note;
  EndNote redacted = *note;
  redactor->Redact(redacted.text);
  return std::make_shared<const EndNote>(std::move(redacted));
}

}  // namespace boxkeeper::logs
