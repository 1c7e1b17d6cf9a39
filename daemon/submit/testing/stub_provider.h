// A provider that can only say what it refuses.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "providers/provider.h"
#include "providers/spec_fields.h"

namespace boxkeeper::daemon::testing {

namespace ppb = ::boxkeeper::provider::v1;

// Honours `spec_keys`; every other verb is unimplemented.
class StubProvider : public providers::Provider {
 public:
  StubProvider(std::string name, std::vector<std::string> spec_keys) : name_(std::move(name)) {
    capabilities_.mutable_spec_keys()->Assign(spec_keys.begin(), spec_keys.end());
  }

  const std::string& name() const override { return name_; }
  const std::string& type() const override { return name_; }
  const ppb::Capabilities& capabilities() const override { return capabilities_; }
  std::vector<providers::FieldViolation> Validate(const v1::SandboxSpec& spec) const override {
    return providers::UnhonouredKeys(spec, capabilities_);
  }

  boost::asio::awaitable<absl::Status> Open(base::BootTime) override { co_return Refused(); }
  boost::asio::awaitable<void> Create(std::vector<ppb::CreateRequest>, base::BootTime,
                                      std::function<void(size_t, ppb::CreateOutcome)>) override {
    co_return;
  }
  boost::asio::awaitable<ppb::StartOutcome> Start(std::string, ppb::LaunchRequest,
                                                  base::BootTime) override {
    co_return ppb::StartOutcome();
  }
  boost::asio::awaitable<absl::StatusOr<ppb::SandboxView>> Find(std::string,
                                                                base::BootTime) override {
    co_return Refused();
  }
  boost::asio::awaitable<absl::StatusOr<ppb::ListPage>> List(std::string, base::BootTime) override {
    co_return Refused();
  }
  boost::asio::awaitable<absl::StatusOr<ppb::SandboxView>> Inspect(std::string,
                                                                   base::BootTime) override {
    co_return Refused();
  }
  boost::asio::awaitable<absl::Status> Signal(std::string, providers::SignalRequest,
                                              base::BootTime) override {
    co_return Refused();
  }
  boost::asio::awaitable<absl::Status> Destroy(std::string, base::BootTime) override {
    co_return Refused();
  }
  boost::asio::awaitable<absl::Status> Fence(std::string, base::BootTime) override {
    co_return Refused();
  }

 private:
  static absl::Status Refused() { return absl::UnimplementedError("a stub"); }

  std::string name_;
  ppb::Capabilities capabilities_;
};

}  // namespace boxkeeper::daemon::testing
