// The deployment's identity and keys as the core and submit/ see them.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "base/id128.h"
#include "base/identity/deployment.h"
#include "base/identity/sealer.h"
#include "daemon/core/naming.h"
#include "daemon/submit/secret_keeper.h"

namespace boxkeeper::daemon {

class DeploymentNaming final : public Naming {
 public:
  explicit DeploymentNaming(const base::Deployment& deployment) : deployment_(deployment) {}

  std::string Name(const base::SandboxId& id) const override { return deployment_.Name(id); }
  std::map<std::string, std::string> Labels(const base::SandboxId& id, const std::string& provider,
                                            int32_t shard, int64_t epoch,
                                            const base::Birth& birth) const override {
    return deployment_.Labels(id, provider, shard, epoch, birth);
  }
  // By labels where the provider has them, else by the name alone.
  std::optional<VerifiedSandbox> Verify(const std::string& name,
                                        const std::map<std::string, std::string>& labels,
                                        const std::string& provider) const override;

 private:
  const base::Deployment& deployment_;
};

class SealerSecretKeeper final : public SecretKeeper {
 public:
  explicit SealerSecretKeeper(const base::Sealer& sealer) : sealer_(sealer) {}

  std::string Seal(std::string_view plaintext, std::string_view associated) const override {
    return sealer_.Seal(plaintext, associated);
  }
  std::string KeyedHash(std::string_view value) const override { return sealer_.KeyedHash(value); }

 private:
  const base::Sealer& sealer_;
};

// What Prepare sealed for `submission`, opened. The caller wipes it.
absl::StatusOr<std::string> Unseal(const base::Sealer& sealer, const std::string& box,
                                   const base::SubmissionId& submission);

}  // namespace boxkeeper::daemon
