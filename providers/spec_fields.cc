#include "providers/spec_fields.h"

#include <algorithm>

namespace boxkeeper::providers {

std::vector<std::string> ProviderKeysOf(const v1::SandboxSpec& spec) {
  std::vector<std::string> keys;
  const auto add = [&](bool is_set, const char* key) {
    if (is_set) keys.push_back(key);
  };
  add(!spec.image().empty(), "image");
  add(!spec.template_().empty(), "template");
  add(spec.cpu() != 0, "cpu");
  add(spec.memory_mb() != 0, "memory_mb");
  add(spec.disk_mb() != 0, "disk_mb");
  add(!spec.gpu().empty(), "gpu");
  add(spec.pids() != 0, "pids");
  add(!spec.user().empty(), "user");
  add(!spec.network().empty(), "network");
  add(spec.has_read_only_root(), "read_only_root");
  add(spec.volumes_size() > 0, "volumes");
  add(spec.outputs_size() > 0, "outputs");
  add(!spec.stdin().empty(), "stdin");
  add(spec.has_provider_options() && spec.provider_options().fields_size() > 0, "provider_options");
  return keys;
}

std::vector<FieldViolation> UnhonouredKeys(const v1::SandboxSpec& spec,
                                           const pb::Capabilities& capabilities) {
  std::vector<FieldViolation> violations;
  const auto& honoured = capabilities.spec_keys();
  for (std::string& key : ProviderKeysOf(spec)) {
    if (std::find(honoured.begin(), honoured.end(), key) != honoured.end()) continue;
    violations.push_back({std::move(key), "this provider cannot honour it; leave it unset"});
  }
  return violations;
}

}  // namespace boxkeeper::providers
