// The provider types of this build, and providers made from their configuration sections.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "google/protobuf/struct.pb.h"
#include "providers/provider.h"

namespace boxkeeper::providers {

// What any provider may need of the process.
struct ProviderDeps {
  boost::asio::any_io_executor executor;  // the loop
  base::Clock& clock;
  std::string state_dir;      // absolute
  std::string launcher_path;  // --launcher; "" = search
};

// One type: how its section is checked, and how a provider is made of it.
struct ProviderType {
  // See ValidateProviderConfig and MakeProvider.
  std::vector<FieldViolation> (*validate)(const google::protobuf::Struct& options);
  absl::StatusOr<std::shared_ptr<Provider>> (*make)(const std::string& name,
                                                    const google::protobuf::Struct& options,
                                                    const ProviderDeps& deps);
};

// Adds a type that is not built in: for binaries that link more than boxkeeperd does (tests). To be
// called before main, from the initialiser of a static in a library with `alwayslink`; a name that
// is taken is a programmer's error.
//
//   const bool registered = RegisterProviderType("fakecloud", {&Validate, &Make});
bool RegisterProviderType(const std::string& type, ProviderType what);

// Names of the types, sorted.
std::vector<std::string> ProviderTypes();

// Everything wrong in the section of a provider of `type`, whose `options` are the keys that are
// not common to all; fields are paths below the section. An unknown type is a violation of "type".
// Pure.
std::vector<FieldViolation> ValidateProviderConfig(const std::string& type,
                                                   const google::protobuf::Struct& options);

// kInvalidArgument for a section that ValidateProviderConfig refuses; otherwise what the provider's
// own Create says. Nothing is called out before Provider::Open.
absl::StatusOr<std::shared_ptr<Provider>> MakeProvider(const std::string& name,
                                                       const std::string& type,
                                                       const google::protobuf::Struct& options,
                                                       const ProviderDeps& deps);

}  // namespace boxkeeper::providers
