// What a local provider offers a task, from its options and from what the launcher can do here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "boxkeeper/v1/task.pb.h"
#include "launcher/abilities.h"
#include "launcher/launch_spec.h"
#include "providers/local/options.h"

namespace boxkeeper::providers::local {

// A value: copied to whoever judges specs, on any thread.
class IsolationPolicy {
 public:
  // `abilities` is nothing before the launcher has told them: then the options alone count, and
  // what turns out to be impossible is refused at the start.
  IsolationPolicy(LocalOptions options, std::optional<launcher::Abilities> abilities);

  // Why no task may be started at all; "" = it may. What the options ask for cannot be had here,
  // and running with less was not allowed.
  const std::string& unusable() const { return unusable_; }
  // True where `auto` found no isolation and was allowed to go on; why_not() says why.
  bool degraded() const { return degraded_; }
  const std::string& why_not() const { return why_not_; }
  bool isolates() const { return isolates_; }

  // The keys of a spec that can be honoured at all, by name.
  std::vector<std::string> spec_keys() const;
  // Every violation of a spec's keys that are this provider's to honour.
  std::vector<FieldViolation> Judge(const v1::SandboxSpec& spec) const;
  // The launch spec's part for a spec that Judge has passed. The image's root is not set.
  void Apply(const v1::SandboxSpec& spec, launcher::LaunchSpec* launch) const;

 private:
  void JudgeKey(const std::string& key, const v1::SandboxSpec& spec,
                std::vector<FieldViolation>* violations) const;
  std::string JudgeVolumes(const v1::SandboxSpec& spec) const;
  std::string JudgeLimit(const std::string& key) const;
  // The allowed host path that `source` lies in; "" = none.
  std::string Above(const std::string& source) const;
  std::string NetworkOf(const v1::SandboxSpec& spec) const;

  LocalOptions options_;
  std::optional<launcher::Abilities> abilities_;
  bool isolates_ = false;
  bool degraded_ = false;
  std::string why_not_;
  std::string unusable_;
};

}  // namespace boxkeeper::providers::local
