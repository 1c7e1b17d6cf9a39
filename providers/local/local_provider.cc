#include "providers/local/local_provider.h"

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/core/bytes.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "providers/local/convert.h"

namespace boxkeeper::providers::local {
namespace {

namespace asio = boost::asio;

constexpr char kDeploymentLabel[] = "boxkeeper.deployment";
constexpr int kPageSize = 100;

pb::Capabilities DeclareCapabilities() {
  pb::Capabilities capabilities;
  capabilities.set_launch(pb::Capabilities::TWO_STEP);
  capabilities.set_start_idempotent(true);
  capabilities.set_name_unique_incl_ended(true);
  capabilities.mutable_list_lag();
  capabilities.mutable_create_settle();
  capabilities.set_list_shows_end(true);
  capabilities.set_live_output(true);
  capabilities.set_spool_is_native(true);
  capabilities.set_kill(true);
  capabilities.set_labels(true);
  capabilities.set_native_exit_code(true);
  capabilities.set_lifetime(pb::Capabilities::LIFETIME_NONE);
  capabilities.set_events(true);
  capabilities.set_page_size(kPageSize);
  capabilities.set_host_bound(true);
  capabilities.set_collects_outputs(true);
  return capabilities;
}

std::string LabelOf(const google::protobuf::Map<std::string, std::string>& labels,
                    const char* key) {
  const auto found = labels.find(key);
  return found == labels.end() ? "" : found->second;
}

pb::StartOutcome Failed(const absl::Status& status) {
  pb::StartOutcome outcome;
  *outcome.mutable_error() = ErrorOf(status);
  return outcome;
}

}  // namespace

absl::StatusOr<std::shared_ptr<LocalProvider>> LocalProvider::Create(Deps deps, Settings settings) {
  if (settings.state_dir.empty() || settings.state_dir[0] != '/') {
    return absl::InvalidArgumentError("local: the state directory must be an absolute path");
  }
  ASSIGN_OR_RETURN(std::string program, FindLauncher(settings.launcher_path));
  return std::shared_ptr<LocalProvider>(
      new LocalProvider(std::move(deps), std::move(settings), std::move(program)));
}

LocalProvider::LocalProvider(Deps deps, Settings settings, std::string program)
    : settings_(std::move(settings)),
      executor_(deps.executor),
      boot_id_(deps.clock.BootId()),
      capabilities_(DeclareCapabilities()),
      process_(deps.clock, std::move(program), settings_.state_dir) {
  LauncherClient::Options options;
  options.state_dir = settings_.state_dir;
  options.start_launcher = [this] { return process_.Start(); };
  options.connected = [this] {
    process_.Succeeded();
    Resolve();
    if (hint_) hint_({});  // whatever happened while nobody listened
  };
  options.exited = [this](const launcher::SandboxInfo& info) {
    if (!hint_) return;
    ProviderHint hint;
    hint.sandbox_name = info.id;
    hint.view = std::make_shared<const pb::SandboxView>(ToView(info, boot_id_));
    hint_(std::move(hint));
  };
  client_ = std::make_shared<LauncherClient>(deps.executor, deps.clock, std::move(options));
  images_ =
      std::make_unique<ImageCatalog>(deps.executor, deps.clock, settings_.options.images,
                                     absl::StrCat(settings_.state_dir, "/images/", settings_.name));
  Resolve();
}

LocalProvider::~LocalProvider() { client_->Close(); }

void LocalProvider::Resolve() {
  std::optional<launcher::Abilities> abilities;
  if (client_ != nullptr && client_->hello().has_value()) abilities = client_->hello()->abilities;
  auto policy = std::make_shared<const IsolationPolicy>(settings_.options, std::move(abilities));
  if (!policy->unusable().empty()) {
    base::LogError("no task can be started", {{"provider", name()}, {"why", policy->unusable()}});
  }
  capabilities_.clear_spec_keys();
  for (std::string& key : policy->spec_keys()) capabilities_.add_spec_keys(std::move(key));
  absl::MutexLock lock(&mutex_);
  policy_ = std::move(policy);
}

std::shared_ptr<const IsolationPolicy> LocalProvider::policy() const {
  absl::MutexLock lock(&mutex_);
  return policy_;
}

const std::string& LocalProvider::type() const {
  static const std::string type = "local";
  return type;
}

std::vector<std::string> LocalProvider::warnings() const {
  std::vector<std::string> warnings;
  const std::shared_ptr<const IsolationPolicy> policy = this->policy();
  if (!policy->unusable().empty()) {
    warnings.push_back(absl::StrCat("no task can be started: ", policy->unusable()));
  }
  if (policy->degraded()) {
    warnings.push_back(absl::StrCat("tasks run without isolation: 'isolation: auto' found none: ",
                                    policy->why_not()));
  }
  // With isolation they run as nobody then.
  if (geteuid() == 0 && settings_.options.run_as.empty() && !policy->isolates()) {
    warnings.push_back("tasks run as root: set 'run_as' to the user that they should run as");
  }
  if (client_->hello().has_value() && !tasks_survive_service_stop()) {
    warnings.push_back("boxlaunch shares the daemon's cgroup: stopping the service ends all tasks");
  }
  for (std::string& complaint : images_->Complaints()) warnings.push_back(std::move(complaint));
  return warnings;
}

bool LocalProvider::tasks_survive_service_stop() const {
  const auto& hello = client_->hello();
  return hello.has_value() && !hello->shares_cgroup_with_peer;
}

std::string LocalProvider::helper_version() const {
  const auto& hello = client_->hello();
  return hello.has_value() ? hello->launcher_version : "";
}

std::vector<FieldViolation> LocalProvider::Validate(const v1::SandboxSpec& spec) const {
  return policy()->Judge(spec);
}

asio::awaitable<absl::Status> LocalProvider::Open(base::BootTime deadline) {
  absl::Status connected = co_await client_->Connect(deadline);
  CO_RETURN_IF_ERROR(connected);
  // A bad image fails the tasks that name it, and no others: see Check.
  absl::Status looked_up = co_await images_->Open(deadline);
  if (absl::IsDeadlineExceeded(looked_up)) co_return looked_up;
  co_await RemoveUnusedImages(deadline);
  co_return absl::OkStatus();
}

absl::Status LocalProvider::Check() const {
  std::vector<std::string> complaints = images_->Complaints();
  if (const std::string& unusable = policy()->unusable(); !unusable.empty()) {
    complaints.push_back(unusable);
  }
  if (complaints.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(complaints, "; "));
}

asio::awaitable<void> LocalProvider::RemoveUnusedImages(base::BootTime deadline) {
  if (!images_->HasUnused()) co_return;
  std::set<std::string> used;
  launcher::ListRequest request;
  request.limit = kPageSize;
  do {
    auto reply = co_await client_->Call<launcher::ListReply>(request, deadline);
    if (!reply.ok()) co_return;  // at the next start
    for (const launcher::SandboxInfo& info : reply->sandboxes) used.insert(ImageOf(info));
    request.cursor = reply->next_cursor;
  } while (!request.cursor.empty());
  images_->RemoveUnused(std::move(used));
}

asio::awaitable<absl::StatusOr<std::optional<PreparedImage>>> LocalProvider::PrepareImage(
    std::string name, base::BootTime deadline) {
  std::optional<PreparedImage> none;
  if (name.empty()) co_return none;
  absl::StatusOr<PreparedImage> image = co_await images_->Prepare(std::move(name), deadline);
  if (!image.ok()) co_return MakeError(ErrorOfImage(image.status()));
  co_return std::optional<PreparedImage>(*std::move(image));
}

asio::awaitable<void> LocalProvider::Create(std::vector<pb::CreateRequest> requests,
                                            base::BootTime deadline,
                                            std::function<void(size_t, pb::CreateOutcome)> done) {
  if (requests.size() == 1) {
    co_await CreateAndTell(0, std::move(requests[0]), deadline, std::move(done));
    co_return;
  }
  using Operation =
      decltype(asio::co_spawn(executor_, CreateAndTell(0, {}, deadline, done), asio::deferred));
  std::vector<Operation> operations;
  for (size_t i = 0; i < requests.size(); ++i) {
    auto call = CreateAndTell(i, std::move(requests[i]), deadline, done);
    operations.push_back(asio::co_spawn(executor_, std::move(call), asio::deferred));
  }
  if (operations.empty()) co_return;
  auto group = asio::experimental::make_parallel_group(std::move(operations));
  co_await group.async_wait(asio::experimental::wait_for_all(), asio::use_awaitable);
}

asio::awaitable<void> LocalProvider::CreateAndTell(
    size_t index, pb::CreateRequest request, base::BootTime deadline,
    std::function<void(size_t, pb::CreateOutcome)> done) {
  auto outcome = co_await CreateOne(std::move(request), deadline);
  done(index, std::move(outcome));
}

asio::awaitable<pb::CreateOutcome> LocalProvider::CreateOne(pb::CreateRequest request,
                                                            base::BootTime deadline) {
  pb::CreateOutcome outcome;
  if (!launcher::IsValidId(request.name())) {
    *outcome.mutable_error() =
        MakeProviderError(pb::INVALID, "a sandbox's name must be 1 to 64 of [A-Za-z0-9._-]", true);
    co_return outcome;
  }
  auto image = co_await PrepareImage(request.spec().image(), deadline);
  if (!image.ok()) {
    *outcome.mutable_error() = ErrorOf(image.status());
    co_return outcome;
  }
  launcher::CreateRequest create;
  create.id = request.name();
  create.name = request.name();
  create.labels = EncodeLabels(request.labels(), image->has_value() ? (*image)->digest : "");
  auto reply = co_await client_->Call<launcher::CreateReply>(std::move(create), deadline);
  if (!reply.ok()) {
    *outcome.mutable_error() = ErrorOf(reply.status());
    co_return outcome;
  }
  const pb::SandboxView view = ToView(reply->info, boot_id_);
  if (LabelOf(view.labels(), kDeploymentLabel) != LabelOf(request.labels(), kDeploymentLabel)) {
    *outcome.mutable_error() =
        MakeProviderError(pb::INVALID, "the name belongs to another deployment", true);
    co_return outcome;
  }
  outcome.set_handle(view.handle());
  outcome.set_adopted(reply->already_exists);
  co_return outcome;
}

absl::StatusOr<LocalHandle> LocalProvider::ParseHandle(const std::string& handle) const {
  std::optional<LocalHandle> parsed = LocalHandle::Parse(handle);
  if (parsed.has_value() && launcher::IsValidId(parsed->name)) return *std::move(parsed);
  return MakeError(MakeProviderError(pb::INVALID, "not a handle of the local provider", true));
}

asio::awaitable<pb::StartOutcome> LocalProvider::Start(std::string handle, pb::LaunchRequest launch,
                                                       base::BootTime deadline) {
  auto parsed = ParseHandle(handle);
  if (!parsed.ok()) co_return Failed(parsed.status());
  if (OfEarlierBoot(*parsed)) {
    co_return Failed(
        MakeError(MakeProviderError(pb::INVALID, "the host rebooted since it was created", true)));
  }
  auto image = co_await PrepareImage(launch.spec().image(), deadline);
  if (!image.ok()) co_return Failed(image.status());
  const std::shared_ptr<const IsolationPolicy> policy = this->policy();
  // It may have been accepted when the launcher had not told what it can.
  if (const auto violations = policy->Judge(launch.spec()); !violations.empty()) {
    const std::string why = absl::StrCat(violations[0].field, ": ", violations[0].description);
    co_return Failed(MakeError(MakeProviderError(pb::INVALID, why, true)));
  }
  launcher::LaunchSpec spec = TakeLaunchSpec(launch, settings_.options.run_as);
  policy->Apply(launch.spec(), &spec);
  if (image->has_value()) ApplyImage(**image, &spec);
  const std::vector<std::string> wrong = launcher::ValidateLaunchSpec(spec);
  if (!wrong.empty()) {
    spec.Wipe();
    co_return Failed(MakeError(MakeProviderError(pb::INVALID, wrong[0], true)));
  }
  std::string bytes = launcher::EncodeLaunchSpec(spec);
  spec.Wipe();
  auto memfd = std::make_shared<base::UniqueFd>(launcher::MakeSealedMemfd(bytes));
  base::WipeString(bytes);
  if (!memfd->valid()) {
    co_return Failed(
        MakeError(MakeProviderError(pb::CAPACITY, "memfd_create: no memory or descriptors", true)));
  }
  launcher::StartRequest request;
  request.id = parsed->name;
  request.exec_id = launch.exec_id();
  auto reply =
      co_await client_->Call<launcher::StartReply>(std::move(request), deadline, std::move(memfd));
  if (!reply.ok()) co_return Failed(reply.status());
  co_return ToStartOutcome(reply->info, reply->repeated);
}

asio::awaitable<absl::StatusOr<pb::SandboxView>> LocalProvider::Find(std::string name,
                                                                     base::BootTime deadline) {
  pb::SandboxView absent;
  absent.set_state(pb::SandboxView::ABSENT);
  absent.set_name(name);
  if (!launcher::IsValidId(name)) co_return absent;  // none of ours can be called so
  launcher::InspectRequest request;
  request.id = name;
  auto reply = co_await client_->Call<launcher::InspectReply>(std::move(request), deadline);
  if (IsNotFound(reply.status())) co_return absent;
  if (!reply.ok()) co_return reply.status();
  co_return ToView(reply->info, boot_id_);
}

asio::awaitable<absl::StatusOr<pb::ListPage>> LocalProvider::List(std::string cursor,
                                                                  base::BootTime deadline) {
  launcher::ListRequest request;
  request.cursor = std::move(cursor);
  request.limit = kPageSize;
  auto reply = co_await client_->Call<launcher::ListReply>(std::move(request), deadline);
  if (!reply.ok()) co_return reply.status();
  pb::ListPage page;
  for (const launcher::SandboxInfo& info : reply->sandboxes)
    *page.add_sandboxes() = ToView(info, boot_id_);
  page.set_next_cursor(reply->next_cursor);
  co_return page;
}

asio::awaitable<absl::StatusOr<pb::SandboxView>> LocalProvider::Inspect(std::string handle,
                                                                        base::BootTime deadline) {
  auto parsed = ParseHandle(handle);
  if (!parsed.ok()) co_return parsed.status();
  auto view = co_await Find(parsed->name, deadline);
  if (!view.ok()) co_return view.status();
  view->set_handle(handle);
  // What ended before the reboot has its record; nothing else can have outlived it.
  if (OfEarlierBoot(*parsed) && view->state() != pb::SandboxView::ENDED) {
    co_return RebootedView(parsed->name, handle);
  }
  co_return view;
}

asio::awaitable<absl::Status> LocalProvider::Signal(std::string handle, SignalRequest signal,
                                                    base::BootTime deadline) {
  auto parsed = ParseHandle(handle);
  if (!parsed.ok()) co_return parsed.status();
  if (OfEarlierBoot(*parsed)) co_return absl::OkStatus();
  launcher::SignalRequest request;
  request.id = parsed->name;
  request.mode = signal.force ? launcher::SignalMode::kKill : launcher::SignalMode::kStop;
  request.grace_ms = static_cast<uint64_t>(std::max<int64_t>(0, signal.grace.count()));
  auto reply = co_await client_->Call<launcher::SignalReply>(std::move(request), deadline);
  if (IsNotFound(reply.status())) co_return absl::OkStatus();
  co_return reply.status();
}

asio::awaitable<absl::Status> LocalProvider::Destroy(std::string handle, base::BootTime deadline) {
  auto parsed = ParseHandle(handle);
  if (!parsed.ok()) co_return parsed.status();
  launcher::DestroyRequest request;
  request.id = parsed->name;
  auto reply = co_await client_->Call<launcher::DestroyReply>(std::move(request), deadline);
  if (IsNotFound(reply.status())) co_return absl::OkStatus();
  co_return reply.status();
}

asio::awaitable<absl::Status> LocalProvider::Fence(std::string handle, base::BootTime deadline) {
  auto parsed = ParseHandle(handle);
  if (!parsed.ok()) co_return parsed.status();
  if (OfEarlierBoot(*parsed)) co_return absl::OkStatus();
  launcher::FenceRequest request;
  request.id = parsed->name;
  auto reply = co_await client_->Call<launcher::FenceReply>(std::move(request), deadline);
  if (IsNotFound(reply.status())) co_return absl::OkStatus();
  co_return reply.status();
}

void LocalProvider::OnHint(std::function<void(ProviderHint)> receiver) {
  hint_ = std::move(receiver);
}

}  // namespace boxkeeper::providers::local
