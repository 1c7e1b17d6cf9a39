#include "cli/blob_upload.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cli/human.h"
#include "cli/patience.h"

namespace boxkeeper::cli {
namespace {

// What takes a moment is announced.
constexpr int64_t kAnnouncedBytes = 32 << 20;

absl::Status Upload(Session& session, const LocalBlob& blob) {
  Client& client = session.client();
  Patience patience(session.console(), client, true);
  v1::PutBlobRequest first;
  first.set_sha256(blob.sha256);
  first.set_size(blob.size);
  for (;;) {
    BlobSource source(blob);
    auto answer = client.PutBlob(first, [&source] { return source.Next(); });
    if (answer.ok()) return absl::OkStatus();
    if (!patience.TryAgain(answer.status())) return answer.status();
  }
}

}  // namespace

absl::Status UploadBlobs(Session& session, const std::vector<LocalBlob>& blobs) {
  for (const LocalBlob& blob : blobs) {
    if (blob.size >= kAnnouncedBytes) {
      session.console().Progress(absl::StrCat("sending ", blob.path.empty() ? "input" : blob.path,
                                              " (", HumanBytes(blob.size), ")"));
    }
    RETURN_IF_ERROR(Upload(session, blob));
  }
  return absl::OkStatus();
}

}  // namespace boxkeeper::cli
