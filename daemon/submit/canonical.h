// The canonical form of a submission's content: what makes two submissions of one id the same.
#pragma once

#include <string>

#include "boxkeeper/v1/task.pb.h"
#include "daemon/submit/secret_keeper.h"

namespace boxkeeper::daemon {

// Bytes that are equal if and only if the contents are: key (normal form), command,
// sandbox_override, files, secrets and labels; maps in order of their keys; without submission_id,
// owner, lease, trace_context and on_live_key, which may differ between repeats. Secret values
// stand as keyed hashes, references to secrets as written. Deterministic across processes and
// versions: the digest is stored for as long as a repeat may come. Unknown fields have no part in
// it: Prepare refuses them.
//
// Layout: "bk1\n", then fields in the order above, each a tag byte, the length as 8 bytes little
// endian, and the bytes.
std::string CanonicalContent(const v1::TaskSpec& spec, const SecretKeeper& keeper);

// SHA-256 of it, 32 bytes.
std::string ContentDigest(const v1::TaskSpec& spec, const SecretKeeper& keeper);

}  // namespace boxkeeper::daemon
