// A provider at which one create can leave two sandboxes of the same name, as where names are not
// unique and a repeated create arrives twice.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "providers/provider.h"

namespace boxkeeper::daemon::testing {

namespace asio = boost::asio;

// What the provider has besides the world's sandboxes. Outlives the adapter.
struct Twins {
  std::map<std::string, provider::v1::SandboxView> views;  // by handle
  std::vector<std::string> started;                        // handles
  std::vector<std::string> destroyed;
};

// Hands everything to `inner` but what concerns a twin. Single-threaded.
class TwinProvider : public providers::Provider {
 public:
  TwinProvider(std::shared_ptr<providers::Provider> inner, Twins& twins)
      : inner_(std::move(inner)), twins_(twins) {}

  const std::string& name() const override { return inner_->name(); }
  const std::string& type() const override { return inner_->type(); }
  const provider::v1::Capabilities& capabilities() const override { return inner_->capabilities(); }
  std::vector<providers::FieldViolation> Validate(const v1::SandboxSpec& spec) const override {
    return inner_->Validate(spec);
  }
  asio::awaitable<absl::Status> Open(base::BootTime deadline) override {
    return inner_->Open(deadline);
  }
  asio::awaitable<void> Create(
      std::vector<provider::v1::CreateRequest> requests, base::BootTime deadline,
      std::function<void(size_t, provider::v1::CreateOutcome)> done) override {
    return inner_->Create(std::move(requests), deadline, std::move(done));
  }
  asio::awaitable<provider::v1::StartOutcome> Start(std::string handle,
                                                    provider::v1::LaunchRequest launch,
                                                    base::BootTime deadline) override {
    twins_.started.push_back(handle);
    if (!twins_.views.contains(handle)) {
      co_return co_await inner_->Start(std::move(handle), std::move(launch), deadline);
    }
    provider::v1::StartOutcome outcome;
    outcome.mutable_ended()->set_exit_code(0);
    co_return outcome;
  }
  // The oldest, then the smallest handle.
  asio::awaitable<absl::StatusOr<provider::v1::SandboxView>> Find(
      std::string name, base::BootTime deadline) override {
    auto found = co_await inner_->Find(name, deadline);
    if (!found.ok()) co_return found;
    const auto order = [](const provider::v1::SandboxView& view) {
      return std::tuple(view.created_at().seconds(), view.created_at().nanos(), view.handle());
    };
    for (const auto& [handle, view] : twins_.views) {
      if (view.name() != name) continue;
      const bool none = found->state() == provider::v1::SandboxView::ABSENT;
      if (none || order(view) < order(*found)) *found = view;
    }
    co_return found;
  }
  asio::awaitable<absl::StatusOr<provider::v1::ListPage>> List(std::string cursor,
                                                               base::BootTime deadline) override {
    auto page = co_await inner_->List(std::move(cursor), deadline);
    if (!page.ok() || !page->next_cursor().empty()) co_return page;
    for (const auto& [handle, view] : twins_.views) *page->add_sandboxes() = view;
    co_return page;
  }
  asio::awaitable<absl::StatusOr<provider::v1::SandboxView>> Inspect(
      std::string handle, base::BootTime deadline) override {
    const auto twin = twins_.views.find(handle);
    if (twin != twins_.views.end()) co_return twin->second;
    co_return co_await inner_->Inspect(std::move(handle), deadline);
  }
  asio::awaitable<absl::Status> Signal(std::string handle, providers::SignalRequest request,
                                       base::BootTime deadline) override {
    return inner_->Signal(std::move(handle), request, deadline);
  }
  asio::awaitable<absl::Status> Destroy(std::string handle, base::BootTime deadline) override {
    twins_.destroyed.push_back(handle);
    if (twins_.views.erase(handle) > 0) co_return absl::OkStatus();
    co_return co_await inner_->Destroy(std::move(handle), deadline);
  }
  asio::awaitable<absl::Status> Fence(std::string handle, base::BootTime deadline) override {
    if (twins_.views.contains(handle)) co_return absl::OkStatus();
    co_return co_await inner_->Fence(std::move(handle), deadline);
  }
  void OnHint(std::function<void(providers::ProviderHint)> receiver) override {
    inner_->OnHint(std::move(receiver));
  }

 private:
  std::shared_ptr<providers::Provider> inner_;
  Twins& twins_;
};

}  // namespace boxkeeper::daemon::testing
