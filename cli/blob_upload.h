// Files too large for a submission: sent to the daemon before it.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "cli/local_blob.h"
#include "cli/session.h"

namespace boxkeeper::cli {

// Sends those that the daemon does not have; goes on while it restarts.
absl::Status UploadBlobs(Session& session, const std::vector<LocalBlob>& blobs);

}  // namespace boxkeeper::cli
