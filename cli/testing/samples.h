// Complete messages with fixed ids and times, for golden output.
#pragma once

#include <cstdint>
#include <vector>

#include "boxkeeper/v1/admin.pb.h"
#include "boxkeeper/v1/task.pb.h"

namespace boxkeeper::cli {

// Ended 7 at 2026-01-02 15:04:15 UTC; every field is set that such a task can have.
v1::Task EndedTask();
// Waits in the queue; only what such a task has is set.
v1::Task QueuedTask();

v1::GetStatusResponse SampleStatus();
v1::ListProvidersResponse SampleProviders();
v1::ListSandboxesResponse SampleSandboxes();
v1::ListOrphansResponse SampleOrphans();
std::vector<v1::Event> SampleEvents();

// 2026-01-02 15:06:00 UTC.
constexpr int64_t kSampleNowSeconds = 1'767'366'360;

}  // namespace boxkeeper::cli
