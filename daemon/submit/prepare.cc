#include "daemon/submit/prepare.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file_path.h"
#include "base/secret_string.h"
#include "base/task_key.h"
#include "config/merge_spec.h"
#include "config/spec_decoder.h"
#include "config/value.h"
#include "daemon/submit/canonical.h"
#include "daemon/submit/validate_task.h"

namespace boxkeeper::daemon {
namespace {

using providers::FieldViolation;

constexpr char kOverride[] = "sandbox_override";
constexpr uint32_t kDefaultFileMode = 0644;
constexpr uint32_t kSecretFileMode = 0400;

// Prepares one submission; used once.
class Preparation {
 public:
  Preparation(const v1::TaskSpec& spec, const PrepareContext& context)
      : spec_(spec), context_(context) {}

  PreparedTask Run() {
    if (const auto id = base::Id128::ParseUuid(spec_.submission_id()); id.has_value()) {
      task_.submission_id = base::SubmissionId{*id};
      task_.digest = ContentDigest(spec_, *context_.keeper);
    }
    ValidateTask(spec_, &task_.violations);
    DecodeOverride();
    ChooseProvider();
    store::v1::SecretBundle bundle;
    ResolveSecrets(&bundle);
    if (!task_.violations.empty()) {
      CutViolations();
      return std::move(task_);
    }
    FillRecord();
    TakeFiles(&bundle);
    Seal(bundle);
    return std::move(task_);
  }

 private:
  void Add(std::string field, std::string description) {
    task_.violations.push_back({std::move(field), std::move(description)});
  }

  void CutViolations() {
    if (task_.violations.size() <= kViolationsMax) return;
    task_.violations.resize(kViolationsMax - 1);
    Add("task", "has more violations, which are not shown");
  }

  void DecodeOverride() {
    if (spec_.sandbox_override().fields().empty()) return;
    std::vector<config::Problem> problems;
    override_ = config::DecodeSpec(config::FromStruct(spec_.sandbox_override()), kOverride,
                                   config::SpecPlace::kOverride, &problems);
    for (config::Problem& problem : problems) {
      Add(std::move(problem.key), std::move(problem.message));
    }
    for (const auto& [name, secret] : spec_.secrets()) {
      if (override_.spec().env().contains(name)) {
        Add(absl::StrCat("secrets.", name),
            "stands in sandbox_override.env too; allowed: one of the two");
      }
    }
  }

  // The first candidate that can run the spec; if there is none, every violation of each.
  void ChooseProvider() {
    std::vector<config::Problem> problems;
    const auto candidates = config::CandidateProviders(*context_.config, override_, &problems);
    for (config::Problem& problem : problems) {
      Add(std::move(problem.key), std::move(problem.message));
    }
    std::vector<FieldViolation> refused;
    for (const config::v1::Provider* candidate : candidates) {
      v1::SandboxSpec merged = config::MergeSpec(*context_.config, *candidate, override_);
      const auto found = context_.providers->find(candidate->name());
      if (found == context_.providers->end()) {
        refused.push_back({absl::StrCat(kOverride, ".provider"),
                           absl::StrCat("provider ", candidate->name(),
                                        " takes no tasks now; allowed: another one")});
        continue;
      }
      const std::vector<FieldViolation> violations = found->second->Validate(merged);
      if (violations.empty()) {
        *task_.record.mutable_spec() = std::move(merged);
        return;
      }
      for (const FieldViolation& violation : violations) {
        refused.push_back(Located(violation, *candidate, candidates.size() > 1));
      }
    }
    std::move(refused.begin(), refused.end(), std::back_inserter(task_.violations));
  }

  // A provider's violation, at the place where whoever must correct it finds the key.
  FieldViolation Located(const FieldViolation& violation, const config::v1::Provider& provider,
                         bool name_provider) {
    std::string path = violation.field;
    if (path.rfind(absl::StrCat(kOverride, "."), 0) == 0) path.erase(0, sizeof(kOverride));
    const std::string key = path.substr(0, path.find_first_of(".["));
    const std::string prefix =
        name_provider ? absl::StrCat("provider ", provider.name(), ": ") : "";
    switch (config::LayerOf(key, *context_.config, provider, override_)) {
      case config::SpecLayerName::kOverride:
        return {absl::StrCat(kOverride, ".", path), prefix + violation.description};
      case config::SpecLayerName::kProfile:
        return {absl::StrCat(kOverride, ".profile"),
                absl::StrCat(prefix, "profile ", override_.spec().profile(), ": ", path, ": ",
                             violation.description)};
      case config::SpecLayerName::kProvider:
        return {
            absl::StrCat(kOverride, ".provider"),
            absl::StrCat("provider ", provider.name(), ": ", path, ": ", violation.description)};
      case config::SpecLayerName::kDaemon:
        break;
    }
    return {absl::StrCat(kOverride, ".", path), prefix + violation.description};
  }

  void ResolveSecrets(store::v1::SecretBundle* bundle) {
    std::set<std::string> names;
    for (const auto& [name, secret] : spec_.secrets()) names.insert(name);
    for (const std::string& name : names) {
      const v1::Secret& secret = spec_.secrets().at(name);
      const bool from_env = secret.source_case() == v1::Secret::kEnv;
      if (!from_env && secret.source_case() != v1::Secret::kFile) {
        (*bundle->mutable_env())[name] = secret.value();
        continue;
      }
      const auto value =
          from_env ? context_.read_env(secret.env()) : context_.read_file(secret.file());
      const std::string field = absl::StrCat("secrets.", name, from_env ? ".env" : ".file");
      if (!value.ok()) {
        Add(field, std::string(value.status().message()));
      } else if (value->find('\0') != std::string::npos) {
        Add(field, "its value contains a NUL character; allowed: text without NUL");
      } else {
        (*bundle->mutable_env())[name] = *value;
      }
    }
  }

  void FillRecord() {
    store::v1::Accepted& record = task_.record;
    task_.key = base::KeyString(spec_.key());
    task_.on_live_key = spec_.on_live_key();
    record.set_submission_id(task_.submission_id.id.bytes.data(),
                             task_.submission_id.id.bytes.size());
    record.set_digest(task_.digest);
    *record.mutable_key() = base::NormalKey(spec_.key());
    record.set_owner(spec_.owner());
    *record.mutable_command() = spec_.command();
    if (record.command().has_script() && record.command().script().lang().empty()) {
      record.mutable_command()->mutable_script()->set_lang("sh");
    }
    *record.mutable_labels() = spec_.labels();
    if (spec_.has_lease()) *record.mutable_lease() = spec_.lease();
    record.set_trace_context(spec_.trace_context());
    record.set_replaces(spec_.on_live_key() == v1::ON_LIVE_KEY_REPLACE);
    for (const auto& [name, secret] : spec_.secrets()) {
      record.add_secret_names(name);
      record.mutable_spec()->mutable_env()->erase(name);  // a secret hides a lower layer's variable
    }
    std::sort(record.mutable_secret_names()->begin(), record.mutable_secret_names()->end());
  }

  void TakeFiles(store::v1::SecretBundle* bundle) {
    for (const v1::TaskFile& file : spec_.files()) {
      v1::TaskFile* taken = file.secret() ? bundle->add_files() : task_.record.add_files();
      *taken = file;
      taken->set_path(*base::NormalFilePath(file.path()));
      if (file.secret()) {
        taken->set_mode(kSecretFileMode);
      } else if (file.mode() == 0) {
        taken->set_mode(kDefaultFileMode);
      }
    }
  }

  void Seal(store::v1::SecretBundle& bundle) {
    if (bundle.env().empty() && bundle.files().empty()) return;
    std::string plaintext = bundle.SerializeAsString();
    task_.sealed_box = context_.keeper->Seal(plaintext, task_.record.submission_id());
    base::WipeString(plaintext);
    for (auto& [name, value] : *bundle.mutable_env()) base::WipeString(value);
    for (v1::TaskFile& file : *bundle.mutable_files()) base::WipeString(*file.mutable_content());
  }

  const v1::TaskSpec& spec_;
  const PrepareContext& context_;
  config::SpecLayer override_;
  PreparedTask task_;
};

}  // namespace

PrepareContext MakePrepareContext(std::shared_ptr<const config::v1::Config> config,
                                  const providers::ProviderRegistry& providers,
                                  const SecretKeeper& keeper) {
  return {.config = config,
          .providers = &providers,
          .keeper = &keeper,
          .read_env = MakeEnvSource(config),
          .read_file = MakeFileSource(config)};
}

PreparedTask Prepare(const v1::TaskSpec& spec, const PrepareContext& context) {
  return Preparation(spec, context).Run();
}

}  // namespace boxkeeper::daemon
