#include "providers/registry.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "providers/local/local_provider.h"

namespace boxkeeper::providers {
namespace {

using google::protobuf::Struct;

absl::StatusOr<std::shared_ptr<Provider>> MakeLocal(const std::string& name, const Struct& options,
                                                    const ProviderDeps& deps) {
  local::LocalProvider::Settings settings;
  settings.name = name;
  settings.state_dir = deps.state_dir;
  settings.launcher_path = deps.launcher_path;
  ASSIGN_OR_RETURN(settings.options, local::ParseLocalOptions(options));
  ASSIGN_OR_RETURN(std::shared_ptr<Provider> provider,
                   local::LocalProvider::Create({deps.executor, deps.clock}, std::move(settings)));
  return provider;
}

// Made when it is first asked for: statics of other files register here before main.
std::map<std::string, ProviderType>& Types() {
  static auto* const types = new std::map<std::string, ProviderType>{
      {"local", {&local::ValidateLocalConfig, &MakeLocal}},
  };
  return *types;
}

}  // namespace

bool RegisterProviderType(const std::string& type, ProviderType what) {
  const bool added = Types().emplace(type, what).second;
  CHECK(added, "a provider type is registered once");
  return added;
}

std::vector<std::string> ProviderTypes() {
  std::vector<std::string> names;
  for (const auto& [name, type] : Types()) names.push_back(name);
  return names;
}

std::vector<FieldViolation> ValidateProviderConfig(const std::string& type, const Struct& options) {
  const auto found = Types().find(type);
  if (found != Types().end()) return found->second.validate(options);
  return {{"type", absl::StrCat("unknown provider type '", type,
                                "'; allowed: ", absl::StrJoin(ProviderTypes(), ", "))}};
}

absl::StatusOr<std::shared_ptr<Provider>> MakeProvider(const std::string& name,
                                                       const std::string& type,
                                                       const Struct& options,
                                                       const ProviderDeps& deps) {
  const auto found = Types().find(type);
  if (found == Types().end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("provider '", name, "': unknown type '", type, "'"));
  }
  return found->second.make(name, options, deps);
}

}  // namespace boxkeeper::providers
