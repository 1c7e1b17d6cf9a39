#include "providers/local/convert.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "providers/local/handle.h"
#include "providers/provider.h"

namespace boxkeeper::providers::local {
namespace {

using launcher::EndKind;

constexpr char kBoot[] = "11111111-2222-3333-4444-555555555555";

launcher::ExitRecord Exited(int wait_status) {
  launcher::ExitRecord record;
  record.kind = EndKind::kExited;
  record.wait_status = wait_status;
  record.user_code_started = launcher::UserCodeStarted::kYes;
  record.tree_fenced = true;
  return record;
}

launcher::SandboxInfo Ended(launcher::ExitRecord record) {
  launcher::SandboxInfo info;
  info.id = "bkabc";
  info.boot_id = kBoot;
  info.state = launcher::SandboxState::kEnded;
  info.exit = std::move(record);
  return info;
}

TEST(LocalHandleTest, SurvivesItsText) {
  const LocalHandle handle{kBoot, "bkabc"};
  EXPECT_EQ(LocalHandle::Parse(handle.ToString()), handle);
  for (const char* bad :
       {"", "local1:", "local1:boot", "local1:boot:", "local1::name", "local2:boot:name"}) {
    EXPECT_EQ(LocalHandle::Parse(bad), std::nullopt) << bad;
  }
}

TEST(ConvertTest, SignalIsToldFromTheExitCodeThatLooksLikeIt) {
  const pb::ExitRecord code = ToExitRecord(Exited(137 << 8));
  EXPECT_EQ(code.exit_code(), 137);
  EXPECT_FALSE(code.has_signal());
  const pb::ExitRecord killed = ToExitRecord(Exited(SIGKILL));
  EXPECT_EQ(killed.signal(), SIGKILL);
  EXPECT_FALSE(killed.has_exit_code());
  EXPECT_EQ(killed.attester(), v1::ATTESTER_LAUNCHER);
  EXPECT_TRUE(killed.fence_confirmed());
}

TEST(ConvertTest, StartFailureSaysThatUserCodeNeverRan) {
  launcher::ExitRecord record;
  record.kind = EndKind::kStartFailed;
  record.error = "execve /no/such: No such file or directory";
  EXPECT_TRUE(ToExitRecord(record).start_failed());
  EXPECT_FALSE(ToExitRecord(record).has_exit_code());
  EXPECT_EQ(ToStartOutcome(Ended(record), false).failure().message(), record.error);
}

TEST(ConvertTest, LostSupervisorIsNoExit) {
  launcher::ExitRecord record;
  record.kind = EndKind::kSupervisorLost;
  record.user_code_started = launcher::UserCodeStarted::kYes;
  const pb::ExitRecord lost = ToExitRecord(record);
  EXPECT_TRUE(lost.lost());
  EXPECT_FALSE(lost.has_exit_code());
  EXPECT_FALSE(lost.fence_confirmed());
  EXPECT_EQ(lost.attester(), v1::ATTESTER_NONE);
}

TEST(ConvertTest, SupervisorLostBeforeExecNeverRanUserCode) {
  launcher::ExitRecord record;
  record.kind = EndKind::kSupervisorLost;
  record.user_code_started = launcher::UserCodeStarted::kNo;
  EXPECT_FALSE(ToExitRecord(record).lost());
  EXPECT_TRUE(ToExitRecord(record).start_failed());
}

TEST(ConvertTest, WordsOfANewerLauncherAreUnknownNeverTerminal) {
  launcher::SandboxInfo info = Ended({});
  EXPECT_EQ(ToView(info, kBoot).state(), pb::SandboxView::UNKNOWN);
  info.state = static_cast<launcher::SandboxState>(77);
  EXPECT_EQ(ToView(info, kBoot).state(), pb::SandboxView::UNKNOWN);
}

TEST(ConvertTest, ViewCarriesLabelsHandleAndMarkers) {
  launcher::SandboxInfo info;
  info.id = "bkabc";
  info.boot_id = kBoot;
  info.state = launcher::SandboxState::kCreated;
  google::protobuf::Map<std::string, std::string> labels;
  labels["boxkeeper.deployment"] = "prod";
  info.labels = EncodeLabels(labels);
  const pb::SandboxView view = ToView(info, "other boot");
  EXPECT_EQ(view.labels().at("boxkeeper.deployment"), "prod");
  EXPECT_EQ(view.handle(), (LocalHandle{kBoot, "bkabc"}.ToString()));
  EXPECT_TRUE(view.boot_marker());
  EXPECT_FALSE(view.started_marker());
}

TEST(ConvertTest, LaunchSpecTakesTheSecretsOut) {
  pb::LaunchRequest launch;
  launch.mutable_command()->mutable_argv()->add_args("true");
  (*launch.mutable_secret_env())["TOKEN"] = "canary-secret";
  v1::TaskFile* file = launch.add_files();
  file->set_path("key");
  file->set_content("canary-file");
  file->set_secret(true);
  launch.mutable_timeout()->set_nanos(1);
  const launcher::LaunchSpec spec = TakeLaunchSpec(launch, "nobody");
  EXPECT_EQ(spec.secret_env[0].value, "canary-secret");
  EXPECT_EQ(spec.files[0].content, "canary-file");
  EXPECT_EQ(spec.files[0].mode, 0644u);
  EXPECT_EQ(spec.run_timeout_ms, 1u);
  EXPECT_EQ(spec.user, "nobody");
  EXPECT_EQ(launch.SerializeAsString().find("canary"), std::string::npos);
}

TEST(ConvertTest, OutputsGoInWithTheLaunchAndComeBackWithTheEnd) {
  pb::LaunchRequest launch;
  launch.mutable_spec()->add_outputs("dist");
  launch.mutable_spool()->set_outputs_path("/spool/t/outputs");
  launch.mutable_spool()->set_outputs_max_files(7);
  launch.mutable_spool()->set_outputs_max_bytes(8);
  launch.mutable_spool()->mutable_outputs_timeout()->set_seconds(9);
  EXPECT_EQ(TakeLaunchSpec(launch, "").outputs, (launcher::OutputsSpec{.patterns = {"dist"},
                                                                       .path = "/spool/t/outputs",
                                                                       .files_max = 7,
                                                                       .bytes_max = 8,
                                                                       .timeout_ms = 9000}));
  launcher::ExitRecord record = Exited(0);
  EXPECT_FALSE(ToExitRecord(record).has_outputs());
  record.outputs_collected = true;
  record.output_files = 2;
  record.output_bytes = 3;
  record.outputs_skipped = 1;
  record.outputs_note = "'x': matches nothing";
  const v1::OutputsStatus outputs = ToExitRecord(record).outputs();
  EXPECT_TRUE(outputs.collected());
  EXPECT_EQ(outputs.files(), 2);
  EXPECT_EQ(outputs.bytes(), 3);
  EXPECT_EQ(outputs.skipped(), 1);
  EXPECT_EQ(outputs.message(), "'x': matches nothing");
}

TEST(ConvertTest, ErrorsAreClassifiedOnce) {
  const auto conflict =
      ErrorOf(ErrorOfLauncher({launcher::ErrorCode::kConflict, "started by another"}));
  EXPECT_EQ(conflict.error_class(), pb::INVALID);
  EXPECT_TRUE(conflict.proves_no_effect());
  const auto internal = ErrorOf(ErrorOfLauncher({launcher::ErrorCode::kInternal, "?"}));
  EXPECT_EQ(internal.error_class(), pb::PROTOCOL);
  EXPECT_FALSE(internal.proves_no_effect());
  EXPECT_EQ(ErrorOfLauncher({launcher::ErrorCode::kUnconfirmed, ""}).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(ConvertTest, AnImageIsTheRootBelowTheTasksOwnWords) {
  PreparedImage image{"/state/images/abc", "abc", {{{"PATH", "/opt"}, {"SHADE", "dark"}}, "/app"}};
  launcher::LaunchSpec spec;
  spec.env = {{"SHADE", "bright"}};
  ApplyImage(image, &spec);
  EXPECT_EQ(spec.isolation.root, "/state/images/abc");
  EXPECT_EQ(spec.workdir, "/app");
  const std::vector<launcher::EnvVar> env{{"PATH", "/opt"}, {"SHADE", "dark"}, {"SHADE", "bright"}};
  EXPECT_EQ(spec.env, env);  // the later one counts
  spec.workdir = "/own";
  ApplyImage(image, &spec);
  EXPECT_EQ(spec.workdir, "/own");
}

TEST(ConvertTest, ASandboxRemembersItsImageBesideItsLabels) {
  google::protobuf::Map<std::string, std::string> labels;
  labels["a"] = "b";
  launcher::SandboxInfo info;
  EXPECT_EQ(ImageOf(info), "");
  info.labels = EncodeLabels(labels, "abc");
  EXPECT_EQ(ImageOf(info), "abc");
  EXPECT_EQ(ToView(info, "boot").labels().at("a"), "b");
}

TEST(ConvertTest, ImagesThatCannotBeUsedAreClassified) {
  EXPECT_EQ(ErrorOfImage(absl::NotFoundError("x")).error_class(), pb::IMAGE_NOT_FOUND);
  EXPECT_EQ(ErrorOfImage(absl::DataLossError("x")).error_class(), pb::IMAGE_NOT_FOUND);
  EXPECT_EQ(ErrorOfImage(absl::ResourceExhaustedError("x")).error_class(), pb::CAPACITY);
  const pb::ProviderError late = ErrorOfImage(absl::DeadlineExceededError("x"));
  EXPECT_EQ(late.error_class(), pb::TRANSIENT);
  EXPECT_TRUE(late.proves_no_effect());
}

}  // namespace
}  // namespace boxkeeper::providers::local
