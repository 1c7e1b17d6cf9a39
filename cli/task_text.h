// Tasks, sandboxes, providers and events as people read them.
#pragma once

#include <string>
#include <vector>

#include "boxkeeper/v1/admin.pb.h"
#include "boxkeeper/v1/task.pb.h"
#include "cli/console.h"
#include "cli/table.h"

namespace boxkeeper::cli {

Colour StateColour(v1::TaskState state);

// One row per task.
std::string TaskTable(const std::vector<v1::Task>& tasks, const Console& console, bool wide);

// One page: identity, command, sandbox, end, log, and when what happened.
std::string TaskPage(const v1::Task& task, const Console& console);

// One row per event, under the head if `head`.
std::string EventTable(const std::vector<v1::Event>& events, const Console& console, bool wide,
                       bool head);

// The merged spec of --dry-run and of TaskPage; only what is set.
void AddSpec(const v1::SandboxSpec& spec, const Console& console, Fields& fields);

}  // namespace boxkeeper::cli
