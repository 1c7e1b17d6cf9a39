#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "config/load_config.h"
#include "config/merge_spec.h"
#include "config/schema.h"
#include "google/protobuf/util/message_differencer.h"

namespace boxkeeper::config {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::util::MessageDifferencer;

bool SameField(const Message& a, const Message& b, const FieldDescriptor* field) {
  MessageDifferencer differencer;
  return differencer.CompareWithFields(a, b, {field}, {field});
}

void CopyField(const Message& from, Message* to, const FieldDescriptor* field) {
  const std::unique_ptr<Message> scratch(from.New());
  scratch->CopyFrom(from);
  to->GetReflection()->SwapFields(scratch.get(), to, {field});
}

// Compares an old and a new configuration key by key and gives the new one back the values that
// need a restart.
class Reload {
 public:
  Reload(const v1::Config& old_config, v1::Config* config) : old_(old_config), config_(config) {}

  ReloadDiff Run() {
    Section(old_, config_, "", "");
    Providers();
    Profiles();
    KeepReferences();
    std::sort(diff_.changed.begin(), diff_.changed.end());
    std::sort(diff_.needs_restart.begin(), diff_.needs_restart.end());
    return std::move(diff_);
  }

 private:
  void Section(const Message& before, Message* now, const std::string& schema_path,
               const std::string& path) {
    for (const std::string& name : KeysBelow(schema_path)) {
      const SchemaKey& key = *FindKey(Join(schema_path, name));
      const FieldDescriptor* field = before.GetDescriptor()->FindFieldByName(name);
      if (key.type == KeyType::kProviders || key.type == KeyType::kSpecMap) continue;
      const bool both = key.type == KeyType::kSection &&
                        before.GetReflection()->HasField(before, field) &&
                        now->GetReflection()->HasField(*now, field);
      if (both) {
        Section(before.GetReflection()->GetMessage(before, field),
                now->GetReflection()->MutableMessage(now, field), Join(schema_path, name),
                Join(path, name));
      } else {
        Leaf(before, now, field, Join(path, name), key.reloadable);
      }
    }
  }

  void Leaf(const Message& before, Message* now, const FieldDescriptor* field,
            const std::string& path, bool reloadable) {
    if (SameField(before, *now, field)) return;
    (reloadable ? diff_.changed : diff_.needs_restart).push_back(path);
    if (!reloadable) CopyField(before, now, field);
  }

  // The set of providers and their order are the old ones; of each, what is reloadable is taken
  // over.
  void Providers() {
    const v1::Config wanted = *config_;
    for (const v1::Provider& provider : wanted.providers()) {
      if (FindProvider(old_, provider.name()) == nullptr) {
        diff_.needs_restart.push_back(Join("providers", provider.name()));
      }
    }
    *config_->mutable_providers() = old_.providers();
    for (v1::Provider& provider : *config_->mutable_providers()) {
      const std::string path = Join("providers", provider.name());
      const v1::Provider before = provider;
      const v1::Provider* now = FindProvider(wanted, provider.name());
      if (now == nullptr) {
        diff_.needs_restart.push_back(path);
        continue;
      }
      provider = *now;
      Section(before, &provider, "providers.*", path);
      const auto* descriptor = v1::Provider::descriptor();
      Leaf(before, &provider, descriptor->FindFieldByName("options"), Join(path, "options"), false);
      Leaf(before, &provider, descriptor->FindFieldByName("spec"), Join(path, "spec"), true);
    }
  }

  void Profiles() {
    for (const auto& [name, profile] : config_->profiles()) {
      const auto before = old_.profiles().find(name);
      if (before == old_.profiles().end() || !MessageDifferencer::Equals(before->second, profile)) {
        diff_.changed.push_back(Join("profiles", name));
      }
    }
    for (const auto& [name, profile] : old_.profiles()) {
      if (!config_->profiles().contains(name)) diff_.changed.push_back(Join("profiles", name));
    }
  }

  // A new default that waits for a restart itself cannot be in force before it.
  void KeepReferences() {
    const std::string& name = config_->default_provider();
    if (name == "auto" || FindProvider(*config_, name) != nullptr) return;
    config_->set_default_provider(old_.default_provider());
    std::erase(diff_.changed, "default_provider");
    diff_.needs_restart.push_back("default_provider");
  }

  const v1::Config& old_;
  v1::Config* config_;
  ReloadDiff diff_;
};

}  // namespace

ReloadDiff DiffForReload(const v1::Config& old_config, const v1::Config& new_config) {
  v1::Config scratch = new_config;
  return Reload(old_config, &scratch).Run();
}

v1::Config ApplyReload(const v1::Config& old_config, const v1::Config& new_config) {
  v1::Config config = new_config;
  Reload(old_config, &config).Run();
  return config;
}

}  // namespace boxkeeper::config
