// The keys of a `type: local` section that are the provider's own, and what may be written there.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "google/protobuf/struct.pb.h"
#include "providers/provider.h"

namespace boxkeeper::providers::local {

struct LocalOptions {
  enum class Isolation { kAuto, kNone, kBubblewrap };

  // `auto` takes the strongest isolation that the host can do; where that is none it needs
  // `allow_degraded`, and warns.
  Isolation isolation = Isolation::kAuto;
  bool allow_degraded = false;
  std::string run_as;  // user[:group] that tasks run as; "" = the launcher's own
  std::vector<std::string>
      allow_network;  // networks a task may have, with isolation; empty = only "none"
  std::vector<std::string> allow_host_paths;  // under which a task's volumes must lie; likewise
  // What a task may name as its image: a directory, or an OCI layout with :TAG or @sha256:DIGEST
  // where it holds several.
  std::map<std::string, std::string> images;
};

// Everything wrong in a section, with `field` a path below it ("isolation", "allow_host_paths[1]").
// Pure.
std::vector<FieldViolation> ValidateLocalConfig(const google::protobuf::Struct& options);

// What is wrong with `image` of a sandbox spec where there is isolation; nothing for a name of
// `options.images`. Pure.
std::optional<FieldViolation> ImageViolation(const std::string& image, const LocalOptions& options);

// The options of a section that ValidateLocalConfig has passed; kInvalidArgument with all
// violations otherwise.
absl::StatusOr<LocalOptions> ParseLocalOptions(const google::protobuf::Struct& options);

}  // namespace boxkeeper::providers::local
