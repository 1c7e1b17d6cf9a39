#include "cli/testing/samples.h"

#include "base/task_key.h"

namespace boxkeeper::cli {
namespace {

constexpr int64_t kAccepted = kSampleNowSeconds - 115;  // 15:04:05

void Set(google::protobuf::Timestamp* time, int64_t seconds, int32_t millis = 0) {
  time->set_seconds(seconds);
  time->set_nanos(millis * 1'000'000);
}

}  // namespace

v1::Task QueuedTask() {
  v1::Task task;
  task.set_id("qqqqqqqqqqqqqqqqqqqqqqqqqq");
  task.set_submission_id("6b0a4a52-3d25-4b0e-9a35-000000000001");
  task.mutable_key()->set_name("load");
  task.mutable_key()->set_index(3);
  *task.mutable_key() = base::NormalKey(task.key());
  task.set_key_string(base::KeyString(task.key()));
  task.set_generation(8);
  task.set_state(v1::TASK_STATE_QUEUED);
  task.set_user_code_started(v1::USER_CODE_STARTED_NO);
  Set(task.mutable_accepted_at(), kAccepted + 100);
  task.mutable_command()->set_shell("echo 'hi'");
  task.mutable_spec()->add_provider("local");
  task.set_waiting_for("max_running");
  return task;
}

v1::Task EndedTask() {
  v1::Task task;
  task.set_id("aaaaaaaaaaaaaaaaaaaaaaaaaa");
  task.set_submission_id("6b0a4a52-3d25-4b0e-9a35-000000000002");
  v1::TaskKey& key = *task.mutable_key();
  key.set_namespace_("prod");
  key.set_kind(v1::TaskKey::TASK);
  key.set_group("sales");
  key.set_run("2026-01-02");
  key.set_name("extract");
  key.set_index(-1);
  key.set_try_(2);
  task.set_key_string(base::KeyString(key));
  task.set_owner("airflow:prod:job-17");
  task.set_generation(7);
  task.set_state(v1::TASK_STATE_FAILED);
  task.set_reason(v1::REASON_EXIT_CODE);
  task.set_message("exited with code 7");
  task.set_exit_code(7);
  task.set_user_code_started(v1::USER_CODE_STARTED_YES);
  task.set_attester(v1::ATTESTER_LAUNCHER);
  task.set_peak_memory_bytes(12'582'912);
  task.set_cpu_seconds(1.25);
  Set(task.mutable_accepted_at(), kAccepted);
  Set(task.mutable_started_at(), kAccepted + 1, 500);
  Set(task.mutable_ended_at(), kAccepted + 10);
  (*task.mutable_labels())["team"] = "data";
  (*task.mutable_labels())["dag"] = "sales";
  task.mutable_command()->mutable_argv()->add_args("python3");
  task.mutable_command()->mutable_argv()->add_args("it's \"x\"\n");
  v1::SandboxSpec& spec = *task.mutable_spec();
  spec.add_provider("local");
  (*spec.mutable_env())["MODE"] = "full";
  spec.mutable_timeout()->set_seconds(3600);
  Set(spec.mutable_start_deadline(), kAccepted + 600);
  spec.set_priority(5);
  spec.mutable_log()->set_layout("plain");
  task.set_attempt(1);
  task.mutable_sandbox()->set_id("ssssssssssssssssssssssssss");
  task.mutable_sandbox()->set_name("bkssssss");
  task.mutable_sandbox()->set_provider("local");
  task.mutable_sandbox()->set_isolation("none");
  task.mutable_sandbox()->set_gone(true);
  task.mutable_log()->set_stdout_bytes(1536);
  task.mutable_log()->set_complete(true);
  task.mutable_log()->set_path("prod/sales/2026-01-02/extract/-1/2/aaaaaaaaaaaaaaaaaaaaaaaaaa");
  task.mutable_log()->set_layout("plain");
  task.add_secret_names("TOKEN");
  task.add_notes("exited once more?");
  return task;
}

v1::GetStatusResponse SampleStatus() {
  v1::GetStatusResponse status;
  status.set_version("0.1.0");
  status.set_deployment_id("prod");
  status.set_epoch(3);
  Set(status.mutable_started_at(), kSampleNowSeconds - 3700);
  status.set_ready(true);
  (*status.mutable_tasks())["RUNNING"] = 2;
  (*status.mutable_tasks())["QUEUED"] = 1;
  status.set_unacknowledged_events(4);
  status.set_live_sandboxes(2);
  status.set_tasks_survive_service_stop(true);
  status.set_state_dir("/var/lib/boxkeeper");
  status.set_logs_url("file:///var/lib/boxkeeper/logs");
  status.add_warnings("tasks run as root");
  Set(status.mutable_server_time(), kSampleNowSeconds);
  return status;
}

v1::ListProvidersResponse SampleProviders() {
  v1::ListProvidersResponse answer;
  v1::ProviderStatus& local = *answer.add_providers();
  local.set_name("local");
  local.set_type("local");
  local.set_reachable(true);
  local.set_running(2);
  local.set_is_default(true);
  (*local.mutable_capabilities())["launch"] = "two_step";
  v1::ProviderStatus& far = *answer.add_providers();
  far.set_name("far");
  far.set_type("docker");
  Set(far.mutable_unreachable_since(), kSampleNowSeconds - 300);
  far.set_last_error("connection refused");
  far.set_max_running(50);
  return answer;
}

v1::ListOrphansResponse SampleOrphans() {
  v1::ListOrphansResponse answer;
  v1::Orphan& due = *answer.add_orphans();
  due.set_name("bkdue");
  due.set_provider("far");
  due.set_id("due");
  due.set_epoch(3);
  due.mutable_created_at()->set_seconds(kSampleNowSeconds - 3600);
  due.mutable_unknown_since()->set_seconds(kSampleNowSeconds - 90);
  due.set_decision(v1::Orphan::DUE);
  due.set_explanation("made by us in epoch 3, and no task has held it for 90 s");
  v1::Orphan& foreign = *answer.add_orphans();
  foreign.set_name("bkcopied");
  foreign.set_provider("far");
  foreign.set_decision(v1::Orphan::FOREIGN);
  foreign.set_explanation("its labels do not verify as ours: never touched");
  answer.set_epoch(5);
  return answer;
}

v1::ListSandboxesResponse SampleSandboxes() {
  v1::ListSandboxesResponse answer;
  v1::Sandbox& sandbox = *answer.add_sandboxes();
  sandbox.set_id("ssssssssssssssssssssssssss");
  sandbox.set_name("bkssssss");
  sandbox.set_provider("local");
  sandbox.set_task_id("aaaaaaaaaaaaaaaaaaaaaaaaaa");
  sandbox.set_state("running");
  sandbox.set_verified("ours");
  sandbox.set_epoch(3);
  Set(sandbox.mutable_created_at(), kSampleNowSeconds - 60);
  return answer;
}

std::vector<v1::Event> SampleEvents() {
  std::vector<v1::Event> events(2);
  events[0].set_cursor("c1");
  events[0].set_type(v1::EVENT_TYPE_STATE);
  Set(events[0].mutable_time(), kAccepted + 100);
  *events[0].mutable_task() = QueuedTask();
  events[1].set_cursor("c2");
  events[1].set_type(v1::EVENT_TYPE_LOG_COMPLETE);
  Set(events[1].mutable_time(), kAccepted + 110, 250);
  *events[1].mutable_task() = EndedTask();
  return events;
}

}  // namespace boxkeeper::cli
