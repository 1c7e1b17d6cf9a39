#include "providers/local/isolation_policy.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "providers/spec_fields.h"

namespace boxkeeper::providers::local {
namespace {

using Isolation = LocalOptions::Isolation;

constexpr char kNone[] = "none";
constexpr char kHost[] = "host";
constexpr char kNeedsIsolation[] =
    "needs isolation, which this provider does not have; leave it unset";
// What a sandbox has of its own, at the top of its root.
constexpr const char* kOwnTargets[] = {"dev", "etc", "proc", "run",   "sys",   "tmp",    "usr",
                                       "bin", "lib", "sbin", "lib32", "lib64", "libx32", "work"};
// Below these there is room for a mount.
constexpr const char* kRoomFor[] = {"run", "tmp"};

bool IsNormal(const std::string& path) {
  if (path.size() < 2 || path[0] != '/' || path.back() == '/') return false;
  for (const absl::string_view part : absl::StrSplit(path.substr(1), '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return path.find('\0') == std::string::npos;
}

bool IsOwnTarget(const std::string& target) {
  const size_t slash = target.find('/', 1);
  const std::string top = target.substr(1, slash - 1);
  const auto is_top = [&](const char* own) { return top == own; };
  if (slash != std::string::npos && std::any_of(std::begin(kRoomFor), std::end(kRoomFor), is_top)) {
    return false;
  }
  return std::any_of(std::begin(kOwnTargets), std::end(kOwnTargets), is_top);
}

}  // namespace

IsolationPolicy::IsolationPolicy(LocalOptions options, std::optional<launcher::Abilities> abilities)
    : options_(std::move(options)), abilities_(std::move(abilities)) {
  if (options_.allow_network.empty()) options_.allow_network = {kNone};
  if (options_.isolation == Isolation::kNone) return;
  isolates_ = !abilities_ || abilities_->bubblewrap.can();
  if (isolates_) return;
  why_not_ = abilities_->bubblewrap.why_not;
  if (options_.isolation == Isolation::kBubblewrap) {
    unusable_ = absl::StrCat("isolation 'bubblewrap' cannot be had on this host: ", why_not_);
  } else if (options_.allow_degraded) {
    degraded_ = true;
  } else {
    unusable_ = absl::StrCat("isolation 'auto' finds none on this host: ", why_not_,
                             "; allow tasks without any by 'allow_degraded: true', or say "
                             "'isolation: none'");
  }
}

std::vector<std::string> IsolationPolicy::spec_keys() const {
  std::vector<std::string> keys;
  for (const char* limit : {"cpu", "memory_mb", "pids"}) {
    if (JudgeLimit(limit).empty()) keys.push_back(limit);
  }
  keys.insert(keys.end(), {"outputs", "stdin"});
  if (!isolates_) return keys;
  if (JudgeLimit("disk_mb").empty()) keys.push_back("disk_mb");
  if (!options_.images.empty()) keys.push_back("image");
  if (!options_.allow_host_paths.empty()) keys.push_back("volumes");
  keys.insert(keys.end(), {"network", "read_only_root"});
  return keys;
}

std::vector<FieldViolation> IsolationPolicy::Judge(const v1::SandboxSpec& spec) const {
  std::vector<FieldViolation> violations;
  if (!unusable_.empty()) violations.push_back({"provider", unusable_});
  for (const std::string& key : ProviderKeysOf(spec)) JudgeKey(key, spec, &violations);
  if (!spec.workdir().empty() && spec.workdir()[0] != '/') {
    violations.push_back({"workdir", "must be an absolute path"});
  }
  return violations;
}

void IsolationPolicy::JudgeKey(const std::string& key, const v1::SandboxSpec& spec,
                               std::vector<FieldViolation>* violations) const {
  const auto refuse = [&](std::string why) {
    if (!why.empty()) violations->push_back({key, std::move(why)});
  };
  if (key == "user") {
    if (spec.user() != options_.run_as)
      refuse("must be unset, or what the provider's 'run_as' says");
  } else if (key == "cpu" || key == "memory_mb" || key == "pids" ||
             (key == "disk_mb" && isolates_)) {
    refuse(JudgeLimit(key));
  } else if (key == "template" || key == "gpu" || key == "provider_options") {
    refuse("this provider cannot honour it; leave it unset");
  } else if (key == "outputs" || key == "stdin") {
    // With and without isolation; what they say was judged when it was read.
  } else if (!isolates_) {
    refuse(kNeedsIsolation);
  } else if (key == "image") {
    if (auto violation = ImageViolation(spec.image(), options_)) {
      violations->push_back(*std::move(violation));
    }
  } else if (key == "network") {
    const auto& allowed = options_.allow_network;
    if (std::find(allowed.begin(), allowed.end(), spec.network()) == allowed.end()) {
      refuse(absl::StrCat("this provider allows: ", absl::StrJoin(allowed, ", "),
                          " ('allow_network')"));
    }
  } else if (key == "read_only_root") {
    if (!spec.read_only_root()) {
      refuse("roots are shared and always read-only; write to /work, /tmp or a volume");
    }
  } else if (key == "volumes") {
    refuse(JudgeVolumes(spec));
  }
}

std::string IsolationPolicy::JudgeLimit(const std::string& key) const {
  if (!abilities_) return "";
  const launcher::Ability& ability = key == "cpu"         ? abilities_->cpu
                                     : key == "memory_mb" ? abilities_->memory
                                     : key == "pids"      ? abilities_->pids
                                                          : abilities_->disk;
  return ability.can() ? "" : absl::StrCat("cannot be limited on this host: ", ability.why_not);
}

std::string IsolationPolicy::Above(const std::string& source) const {
  for (const std::string& allowed : options_.allow_host_paths) {
    if (source == allowed || source.starts_with(allowed == "/" ? "/" : allowed + "/")) {
      return allowed;
    }
  }
  return "";
}

std::string IsolationPolicy::JudgeVolumes(const v1::SandboxSpec& spec) const {
  std::set<std::string> targets;
  for (const v1::Volume& volume : spec.volumes()) {
    const std::string shown = absl::StrCat("'", volume.source(), ":", volume.target(), "': ");
    if (!IsNormal(volume.source())) {
      return absl::StrCat(shown, "the source must be an absolute path without '.', '..' and '//'");
    }
    if (Above(volume.source()).empty()) {
      return absl::StrCat(shown, "the source must lie below one of 'allow_host_paths': ",
                          options_.allow_host_paths.empty()
                              ? "none is configured"
                              : absl::StrJoin(options_.allow_host_paths, ", "));
    }
    if (!IsNormal(volume.target()) || IsOwnTarget(volume.target())) {
      return absl::StrCat(shown, "the target must be an absolute path, not in ",
                          absl::StrJoin(kOwnTargets, ", "), " of the root");
    }
    if (!targets.insert(volume.target()).second) {
      return absl::StrCat(shown, "the target is used twice");
    }
  }
  return "";
}

std::string IsolationPolicy::NetworkOf(const v1::SandboxSpec& spec) const {
  if (!spec.network().empty()) return spec.network();
  const auto& allowed = options_.allow_network;
  return std::find(allowed.begin(), allowed.end(), kNone) != allowed.end() ? kNone : allowed[0];
}

void IsolationPolicy::Apply(const v1::SandboxSpec& spec, launcher::LaunchSpec* launch) const {
  // Rounded up: a limit above 0 is not none.
  launch->limits.cpu_millis = static_cast<uint64_t>(std::ceil(spec.cpu() * 1000));
  launch->limits.memory_bytes = static_cast<uint64_t>(spec.memory_mb()) << 20;
  launch->limits.pids = static_cast<uint64_t>(spec.pids());
  launch->limits.disk_bytes = static_cast<uint64_t>(spec.disk_mb()) << 20;
  if (!isolates_) return;
  launch->isolation.kind = launcher::IsolationKind::kBubblewrap;
  launch->isolation.host_network = NetworkOf(spec) == kHost;
  for (const v1::Volume& volume : spec.volumes()) {
    launch->isolation.volumes.push_back({.source = volume.source(),
                                         .target = volume.target(),
                                         .read_only = volume.read_only(),
                                         .beneath = Above(volume.source())});
  }
}

}  // namespace boxkeeper::providers::local
