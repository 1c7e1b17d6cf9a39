#include "daemon/wiring/identity_adapter.h"

namespace boxkeeper::daemon {

std::optional<VerifiedSandbox> DeploymentNaming::Verify(
    const std::string& name, const std::map<std::string, std::string>& labels,
    const std::string& provider) const {
  const base::Verified verified =
      labels.empty() ? deployment_.VerifyName(name) : deployment_.Verify(labels, provider);
  if (verified.kind != base::Verified::kOurs) return std::nullopt;
  return VerifiedSandbox{.id = verified.sandbox, .epoch = verified.epoch, .birth = verified.birth};
}

absl::StatusOr<std::string> Unseal(const base::Sealer& sealer, const std::string& box,
                                   const base::SubmissionId& submission) {
  const auto& bytes = submission.id.bytes;
  const std::string associated(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  auto opened = sealer.Open(box, associated);
  if (!opened.ok()) return opened.status();
  return std::string(opened->view());
}

}  // namespace boxkeeper::daemon
