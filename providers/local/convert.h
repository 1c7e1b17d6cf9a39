// The launcher's words in the contract's: errors, states, exit records; and a LaunchRequest as a
// launch spec.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "boxkeeper/provider/v1/provider.pb.h"
#include "launcher/exit_record.h"
#include "launcher/launch_spec.h"
#include "launcher/protocol.h"
#include "providers/local/images/image_catalog.h"

namespace boxkeeper::providers::local {

namespace pb = ::boxkeeper::provider::v1;

// An error reply as a status of providers::MakeError.
absl::Status ErrorOfLauncher(const launcher::ReplyError& error);

pb::ExitRecord ToExitRecord(const launcher::ExitRecord& record);

// `boot_id` is the current one: it goes into the handle if the launcher does not know the
// sandbox's.
pb::SandboxView ToView(const launcher::SandboxInfo& info, const std::string& boot_id);

// The view of a sandbox of an earlier boot that left no record: nothing of it can run any more.
pb::SandboxView RebootedView(const std::string& name, const std::string& handle);

// What Start says about a sandbox after a Start was taken.
pb::StartOutcome ToStartOutcome(const launcher::SandboxInfo& info, bool repeated);

// Labels as the opaque text that the launcher keeps, with the digest of the image that the sandbox
// runs on ("" = none of ours).
std::string EncodeLabels(const google::protobuf::Map<std::string, std::string>& labels,
                         const std::string& image_digest = "");
// That digest.
std::string ImageOf(const launcher::SandboxInfo& info);

// Why an image cannot be used, as the contract says it. Nothing has been done then.
pb::ProviderError ErrorOfImage(const absl::Status& status);

// The image as root of `spec`, and its environment and working directory below the task's own.
void ApplyImage(const PreparedImage& image, launcher::LaunchSpec* spec);

// Takes the secrets out of `launch`: afterwards they are in the result only, whose Wipe() the
// caller calls. `run_as`: the user where the request names none.
launcher::LaunchSpec TakeLaunchSpec(pb::LaunchRequest& launch, const std::string& run_as);

}  // namespace boxkeeper::providers::local
