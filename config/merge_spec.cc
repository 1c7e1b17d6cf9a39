#include "config/merge_spec.h"

#include <algorithm>
#include <utility>

#include "config/read_value.h"

namespace boxkeeper::config {
namespace {

using ::boxkeeper::v1::LogSpec;
using ::boxkeeper::v1::SandboxSpec;
using ::google::protobuf::FieldDescriptor;

bool Sets(const SpecLayer& layer, const std::string& key) {
  return std::binary_search(layer.set().begin(), layer.set().end(), key);
}

const SpecLayer* FindProfile(const v1::Config& config, const std::string& name) {
  const auto found = config.profiles().find(name);
  return found == config.profiles().end() ? nullptr : &found->second;
}

void MergeLog(const LogSpec& from, LogSpec* to) {
  if (!from.layout().empty()) to->set_layout(from.layout());
  if (!from.path().empty()) to->set_path(from.path());
  if (from.streams_size() > 0) *to->mutable_streams() = from.streams();
}

// Lays `layer` over `spec`.
void Overlay(const SpecLayer& layer, SandboxSpec* spec) {
  const SandboxSpec& from = layer.spec();
  std::vector<const FieldDescriptor*> plain;
  for (const std::string& key : layer.set()) {
    if (key == "env") {
      for (const auto& [name, value] : from.env()) (*spec->mutable_env())[name] = value;
    } else if (key == "provider_options") {
      auto* options = spec->mutable_provider_options()->mutable_fields();
      for (const auto& [name, value] : from.provider_options().fields()) (*options)[name] = value;
    } else if (key == "log") {
      MergeLog(from.log(), spec->mutable_log());
    } else {
      // Cleared first: MergeFrom keeps the lower layer's value where this one's is "" or 0.
      const FieldDescriptor* field = SandboxSpec::descriptor()->FindFieldByName(key);
      spec->GetReflection()->ClearField(spec, field);
      plain.push_back(field);
    }
  }
  if (plain.empty()) return;
  SandboxSpec taken = from;
  SandboxSpec only;
  only.GetReflection()->SwapFields(&taken, &only, plain);
  spec->MergeFrom(only);
}

}  // namespace

const v1::Provider* FindProvider(const v1::Config& config, const std::string& name) {
  for (const v1::Provider& provider : config.providers()) {
    if (provider.name() == name) return &provider;
  }
  return nullptr;
}

std::vector<const v1::Provider*> CandidateProviders(const v1::Config& config,
                                                    const SpecLayer& override_layer,
                                                    std::vector<Problem>* problems) {
  const size_t before = problems->size();
  std::vector<std::string> profiles;
  const SpecLayer* profile = nullptr;
  if (Sets(override_layer, "profile")) {
    profile = FindProfile(config, override_layer.spec().profile());
    if (profile == nullptr) {
      for (const auto& [name, layer] : config.profiles()) profiles.push_back(name);
      std::sort(profiles.begin(), profiles.end());
      problems->push_back(
          {.key = "sandbox_override.profile",
           .message =
               Shown(override_layer.spec().profile()) + " is not configured; allowed: " +
               (profiles.empty() ? "none (the configuration has no profiles)" : ListOf(profiles))});
    }
  }
  std::vector<std::string> names = {config.default_provider()};
  std::string path = "sandbox_override.provider";
  if (Sets(override_layer, "provider")) {
    names.assign(override_layer.spec().provider().begin(), override_layer.spec().provider().end());
  } else if (profile != nullptr && Sets(*profile, "provider")) {
    names.assign(profile->spec().provider().begin(), profile->spec().provider().end());
    path = "sandbox_override.profile";
  }
  std::vector<const v1::Provider*> candidates;
  std::vector<std::string> configured;
  for (const v1::Provider& provider : config.providers()) configured.push_back(provider.name());
  for (const std::string& name : names == std::vector<std::string>{"auto"} ? configured : names) {
    const v1::Provider* provider = FindProvider(config, name);
    if (provider != nullptr) {
      candidates.push_back(provider);
    } else {
      problems->push_back({.key = path,
                           .message = "provider " + Shown(name) + " is not configured; allowed: " +
                                      ListOf(configured, "and") + ", a list of them, or auto"});
    }
  }
  if (problems->size() > before) candidates.clear();
  return candidates;
}

SandboxSpec MergeSpec(const v1::Config& config, const v1::Provider& provider,
                      const SpecLayer& override_layer) {
  SandboxSpec spec;
  if (const auto& timeout = config.scheduling().default_timeout();
      timeout.seconds() != 0 || timeout.nanos() != 0) {
    *spec.mutable_timeout() = timeout;
  }
  *spec.mutable_grace() = config.scheduling().cancel_grace();
  spec.mutable_log()->set_layout(config.logs().layout());
  Overlay(provider.spec(), &spec);
  if (const SpecLayer* profile = FindProfile(config, override_layer.spec().profile());
      profile != nullptr) {
    Overlay(*profile, &spec);
  }
  Overlay(override_layer, &spec);
  if (spec.timeout().seconds() == 0 && spec.timeout().nanos() == 0) spec.clear_timeout();
  spec.clear_provider();
  spec.add_provider(provider.name());
  return spec;
}

SpecLayerName LayerOf(const std::string& key, const v1::Config& config,
                      const v1::Provider& provider, const SpecLayer& override_layer) {
  if (Sets(override_layer, key)) return SpecLayerName::kOverride;
  const SpecLayer* profile = FindProfile(config, override_layer.spec().profile());
  if (profile != nullptr && Sets(*profile, key)) return SpecLayerName::kProfile;
  if (Sets(provider.spec(), key)) return SpecLayerName::kProvider;
  return SpecLayerName::kDaemon;
}

}  // namespace boxkeeper::config
