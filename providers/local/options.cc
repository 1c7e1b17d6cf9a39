#include "providers/local/options.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace boxkeeper::providers::local {
namespace {

using google::protobuf::Value;

// Reads one section; every mistake is kept, so that the user sees all at once.
class Reader {
 public:
  void Read(const google::protobuf::Struct& options) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : options.fields()) keys.push_back(key);
    std::sort(keys.begin(), keys.end());
    for (const std::string& key : keys) ReadKey(key, options.fields().at(key));
  }

  LocalOptions result;
  std::vector<FieldViolation> violations;

 private:
  void ReadKey(const std::string& key, const Value& value) {
    if (key == "isolation") return ReadIsolation(value);
    if (key == "allow_degraded") {
      if (!value.has_bool_value()) return Refuse(key, "must be true or false");
      result.allow_degraded = value.bool_value();
    } else if (key == "run_as") {
      if (!value.has_string_value())
        return Refuse(key, "must be text: USER or UID, optionally :GROUP");
      result.run_as = value.string_value();
      if (result.run_as.find('\0') != std::string::npos) Refuse(key, "must not contain NUL");
    } else if (key == "allow_network") {
      ReadNetworks(value);
    } else if (key == "allow_host_paths") {
      ReadHostPaths(value);
    } else if (key == "images") {
      ReadImages(value);
    } else {
      Refuse(key,
             "unknown key; allowed are allow_degraded, allow_host_paths, allow_network, images, "
             "isolation, run_as");
    }
  }

  void ReadIsolation(const Value& value) {
    const std::string& word = value.string_value();
    if (word == "none") {
      result.isolation = LocalOptions::Isolation::kNone;
    } else if (word == "bubblewrap") {
      result.isolation = LocalOptions::Isolation::kBubblewrap;
    } else if (word != "auto") {
      Refuse("isolation", "must be none, bubblewrap or auto");
    }
  }

  void ReadNetworks(const Value& value) {
    if (!value.has_list_value()) return Refuse("allow_network", "must be a list of none, host");
    for (int i = 0; i < value.list_value().values_size(); ++i) {
      const std::string& network = value.list_value().values(i).string_value();
      if (network != "none" && network != "host") {
        Refuse(absl::StrCat("allow_network[", i, "]"), "must be none or host");
      }
      result.allow_network.push_back(network);
    }
  }

  void ReadImages(const Value& value) {
    if (!value.has_struct_value()) return Refuse("images", "must be a map of image names to paths");
    std::map<std::string, Value> sorted(value.struct_value().fields().begin(),
                                        value.struct_value().fields().end());
    for (const auto& [name, path] : sorted) {
      if (path.string_value().empty() || path.string_value()[0] != '/' ||
          path.string_value().find('\0') != std::string::npos) {
        Refuse(absl::StrCat("images.", name),
               "must be the absolute path of a directory, or of an OCI layout with :TAG or "
               "@sha256:DIGEST where it holds several images");
      }
      result.images[name] = path.string_value();
    }
  }

  void ReadHostPaths(const Value& value) {
    if (!value.has_list_value())
      return Refuse("allow_host_paths", "must be a list of absolute paths");
    for (int i = 0; i < value.list_value().values_size(); ++i) {
      const std::string& path = value.list_value().values(i).string_value();
      if (path.empty() || path[0] != '/') {
        Refuse(absl::StrCat("allow_host_paths[", i, "]"), "must be an absolute path");
      }
      std::string normal = std::filesystem::path(path).lexically_normal().string();
      if (normal.size() > 1 && normal.back() == '/') normal.pop_back();
      result.allow_host_paths.push_back(std::move(normal));
    }
  }

  void Refuse(std::string field, std::string why) {
    violations.push_back({std::move(field), std::move(why)});
  }
};

}  // namespace

std::vector<FieldViolation> ValidateLocalConfig(const google::protobuf::Struct& options) {
  Reader reader;
  reader.Read(options);
  return std::move(reader.violations);
}

std::optional<FieldViolation> ImageViolation(const std::string& image,
                                             const LocalOptions& options) {
  if (options.images.contains(image)) return std::nullopt;
  if (options.images.empty()) {
    return FieldViolation{"image", "this provider has no images: leave it unset"};
  }
  std::vector<std::string> names;
  for (const auto& [name, path] : options.images) names.push_back(name);
  return FieldViolation{"image", absl::StrCat("no image is called '", image,
                                              "'; allowed: ", absl::StrJoin(names, ", "))};
}

absl::StatusOr<LocalOptions> ParseLocalOptions(const google::protobuf::Struct& options) {
  Reader reader;
  reader.Read(options);
  if (reader.violations.empty()) return std::move(reader.result);
  std::string all;
  for (const FieldViolation& violation : reader.violations) {
    absl::StrAppend(&all, all.empty() ? "" : "; ", violation.field, ": ", violation.description);
  }
  return absl::InvalidArgumentError(all);
}

}  // namespace boxkeeper::providers::local
