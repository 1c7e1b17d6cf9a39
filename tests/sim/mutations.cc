#include "tests/sim/mutations.h"

namespace boxkeeper::sim {
namespace {

constexpr Mutation kMutations[] = {
    // durability
    {"answer_before_sync", "outputs leave before their batch is written"},
    {"skipped_sync", "the database's files are written and not synced"},
    {"failed_commit_ignored", "the daemon goes on after a failed commit"},
    {"full_disk_drops_batch", "a batch for which there is no space is given up"},
    {"move_not_journalled", "an attested start changes memory only"},
    {"event_before_sync", "a stream tells what is not durable yet"},
    {"duplicate_answered_early", "a repeated submit is answered before its task is durable"},
    {"cancel_answered_early", "a cancel is acknowledged before it is durable"},
    {"ack_answered_early", "an acknowledgement is answered before it is durable"},
    // intent before effect
    {"create_before_intent", "the create leaves before its intent is durable"},
    {"start_before_intent", "the start leaves before its intent is durable"},
    {"one_step_before_intent", "a one-step create leaves before its start intent is durable"},
    {"signal_before_sync", "the signal leaves before the stop is durable"},
    // idempotency
    {"no_dedupe", "submission ids are not looked up"},
    {"tombstone_ignored", "a compacted submission is taken as new"},
    {"new_exec_id_each_start", "a start is repeated under another exec id"},
    {"start_repeated_blindly", "a start that is not idempotent is repeated without a proof"},
    {"one_step_created_again", "a one-step create is repeated where it may have run"},
    {"one_step_repeated_early", "a one-step create is repeated while the first may still arrive"},
    {"cancel_lost_while_creating", "a cancel between create and start is forgotten"},
    // absence and ends
    {"one_look_up", "one look-up that finds nothing is enough"},
    {"list_lag_ignored", "the second look-up does not wait for list_lag"},
    {"missing_row_is_absent", "what a list does not show does not exist"},
    {"vanished_is_success", "a vanished sandbox ended well"},
    {"unknown_word_is_an_end", "an unknown state word is taken as ended"},
    {"reboot_is_an_exit", "a reboot is taken as exit 0"},
    {"late_end_overwrites", "a late exit record changes a terminal state"},
    {"stop_without_fence", "a stop is complete when its signal was sent"},
    // cleanup and orphans
    {"cleanup_forgotten", "the sandbox of an ended task is not destroyed"},
    {"lost_create_not_cleaned", "a create whose answer was lost is not cleaned up"},
    {"orphan_by_name_alone", "a name without labels proves ownership"},
    {"mac_not_checked", "a label's MAC is not compared"},
    {"older_store_not_noticed", "a restored backup reaps what it forgot"},
    {"epoch_not_raised", "a start keeps the epoch of the one before"},
    // events and retention
    {"cursor_off_by_one", "a stream resumes one position too late"},
    {"ack_one_too_many", "an acknowledgement covers one event too many"},
    {"old_owner_not_told", "an adoption does not tell the old owner"},
    {"record_left_at_compaction", "compaction leaves a record behind"},
    {"compacted_before_acknowledged", "results go before their owner has acknowledged them"},
    // output
    {"end_before_output", "an end is told before the task's output is fetched"},
    {"silent_end_not_recorded", "a task that ends without a log has no exit record"},
    {"failed_sync_ignored",
     "a failed sync of what was fetched is taken for one that can be repeated"},
    {"spool_not_synced", "what is fetched is written and not synced"},
    // clocks and bounds
    {"timeout_by_wall_clock", "the run timeout is measured by the wall clock"},
    {"deadline_forgotten", "a start deadline does not strike"},
    {"lease_never_lapses", "a lapsed lease is not noticed"},
    {"drain_ignored", "tasks are dispatched while draining"},
    {"max_running_ignored", "max_running does not bound what runs"},
    {"create_concurrency_ignored", "create_concurrency does not bound creates"},
};

}  // namespace

std::span<const Mutation> Mutations() { return kMutations; }

}  // namespace boxkeeper::sim
