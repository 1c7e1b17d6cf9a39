// What the core needs of the deployment's identity: names that can be verified, and labels.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/id128.h"
#include "base/identity/deployment.h"

namespace boxkeeper::daemon {

struct VerifiedSandbox {
  base::SandboxId id;
  int64_t epoch = 0;       // 0 where only the name could be verified
  base::Birth birth = {};  // not known there, and of sandboxes made by older versions
};

// Pure; any thread.
class Naming {
 public:
  virtual ~Naming() = default;
  virtual std::string Name(const base::SandboxId& id) const = 0;
  virtual std::map<std::string, std::string> Labels(const base::SandboxId& id,
                                                    const std::string& provider, int32_t shard,
                                                    int64_t epoch,
                                                    const base::Birth& birth) const = 0;
  // nullopt: not ours, or forged. Never touch such a sandbox (I6).
  virtual std::optional<VerifiedSandbox> Verify(const std::string& name,
                                                const std::map<std::string, std::string>& labels,
                                                const std::string& provider) const = 0;
};

}  // namespace boxkeeper::daemon
