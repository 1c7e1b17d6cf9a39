from boxkeeper.v1 import task_pb2 as _task_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import error_details_pb2 as _error_details_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AckEventsRequest(_message.Message):
    __slots__ = ["cursor", "owner"]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    owner: str
    def __init__(self, owner: _Optional[str] = ..., cursor: _Optional[str] = ...) -> None: ...

class AckEventsResponse(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class AdoptResult(_message.Message):
    __slots__ = ["outcome", "task"]
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    LIVE: AdoptResult.Outcome
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_UNSPECIFIED: AdoptResult.Outcome
    TASK_FIELD_NUMBER: _ClassVar[int]
    TERMINAL: AdoptResult.Outcome
    UNKNOWN: AdoptResult.Outcome
    outcome: AdoptResult.Outcome
    task: _task_pb2.Task
    def __init__(self, outcome: _Optional[_Union[AdoptResult.Outcome, str]] = ..., task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class AdoptTasksRequest(_message.Message):
    __slots__ = ["new_owner", "tasks"]
    NEW_OWNER_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    new_owner: str
    tasks: _containers.RepeatedCompositeFieldContainer[TaskRef]
    def __init__(self, new_owner: _Optional[str] = ..., tasks: _Optional[_Iterable[_Union[TaskRef, _Mapping]]] = ...) -> None: ...

class AdoptTasksResponse(_message.Message):
    __slots__ = ["results"]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[AdoptResult]
    def __init__(self, results: _Optional[_Iterable[_Union[AdoptResult, _Mapping]]] = ...) -> None: ...

class CancelResult(_message.Message):
    __slots__ = ["id", "outcome", "ref"]
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    ALREADY_TERMINAL: CancelResult.Outcome
    CANCELLED: CancelResult.Outcome
    ID_FIELD_NUMBER: _ClassVar[int]
    NOT_FOUND: CancelResult.Outcome
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_UNSPECIFIED: CancelResult.Outcome
    REF_FIELD_NUMBER: _ClassVar[int]
    STOPPING: CancelResult.Outcome
    id: str
    outcome: CancelResult.Outcome
    ref: TaskRef
    def __init__(self, id: _Optional[str] = ..., outcome: _Optional[_Union[CancelResult.Outcome, str]] = ..., ref: _Optional[_Union[TaskRef, _Mapping]] = ...) -> None: ...

class CancelTasksRequest(_message.Message):
    __slots__ = ["filter", "force", "grace", "reason", "suppress_events", "tasks"]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SUPPRESS_EVENTS_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    filter: TaskFilter
    force: bool
    grace: _duration_pb2.Duration
    reason: str
    suppress_events: bool
    tasks: _containers.RepeatedCompositeFieldContainer[TaskRef]
    def __init__(self, tasks: _Optional[_Iterable[_Union[TaskRef, _Mapping]]] = ..., filter: _Optional[_Union[TaskFilter, _Mapping]] = ..., force: bool = ..., grace: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., reason: _Optional[str] = ..., suppress_events: bool = ...) -> None: ...

class CancelTasksResponse(_message.Message):
    __slots__ = ["results"]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[CancelResult]
    def __init__(self, results: _Optional[_Iterable[_Union[CancelResult, _Mapping]]] = ...) -> None: ...

class GetCapacityRequest(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class GetCapacityResponse(_message.Message):
    __slots__ = ["accepting", "max_batch_bytes", "max_blob_bytes", "max_item_bytes", "max_items", "max_output_bytes", "max_output_files", "max_queued", "max_running", "providers", "queued", "running"]
    class Provider(_message.Message):
        __slots__ = ["free", "max_running", "name", "running"]
        FREE_FIELD_NUMBER: _ClassVar[int]
        MAX_RUNNING_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        RUNNING_FIELD_NUMBER: _ClassVar[int]
        free: int
        max_running: int
        name: str
        running: int
        def __init__(self, name: _Optional[str] = ..., running: _Optional[int] = ..., max_running: _Optional[int] = ..., free: _Optional[int] = ...) -> None: ...
    ACCEPTING_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_BLOB_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_ITEMS_FIELD_NUMBER: _ClassVar[int]
    MAX_ITEM_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_FILES_FIELD_NUMBER: _ClassVar[int]
    MAX_QUEUED_FIELD_NUMBER: _ClassVar[int]
    MAX_RUNNING_FIELD_NUMBER: _ClassVar[int]
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    accepting: bool
    max_batch_bytes: int
    max_blob_bytes: int
    max_item_bytes: int
    max_items: int
    max_output_bytes: int
    max_output_files: int
    max_queued: int
    max_running: int
    providers: _containers.RepeatedCompositeFieldContainer[GetCapacityResponse.Provider]
    queued: int
    running: int
    def __init__(self, providers: _Optional[_Iterable[_Union[GetCapacityResponse.Provider, _Mapping]]] = ..., running: _Optional[int] = ..., max_running: _Optional[int] = ..., queued: _Optional[int] = ..., max_queued: _Optional[int] = ..., accepting: bool = ..., max_items: _Optional[int] = ..., max_batch_bytes: _Optional[int] = ..., max_item_bytes: _Optional[int] = ..., max_blob_bytes: _Optional[int] = ..., max_output_files: _Optional[int] = ..., max_output_bytes: _Optional[int] = ...) -> None: ...

class GetTaskRequest(_message.Message):
    __slots__ = ["generation", "task"]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    generation: int
    task: TaskRef
    def __init__(self, task: _Optional[_Union[TaskRef, _Mapping]] = ..., generation: _Optional[int] = ...) -> None: ...

class ListArtifactsRequest(_message.Message):
    __slots__ = ["task"]
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: TaskRef
    def __init__(self, task: _Optional[_Union[TaskRef, _Mapping]] = ...) -> None: ...

class ListArtifactsResponse(_message.Message):
    __slots__ = ["id", "outputs"]
    ID_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    id: str
    outputs: _task_pb2.OutputsStatus
    def __init__(self, id: _Optional[str] = ..., outputs: _Optional[_Union[_task_pb2.OutputsStatus, _Mapping]] = ...) -> None: ...

class ListTasksRequest(_message.Message):
    __slots__ = ["filter", "page_size", "page_token"]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    filter: TaskFilter
    page_size: int
    page_token: str
    def __init__(self, filter: _Optional[_Union[TaskFilter, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTasksResponse(_message.Message):
    __slots__ = ["next_page_token", "snapshot_cursor", "tasks"]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    next_page_token: str
    snapshot_cursor: str
    tasks: _containers.RepeatedCompositeFieldContainer[_task_pb2.Task]
    def __init__(self, tasks: _Optional[_Iterable[_Union[_task_pb2.Task, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., snapshot_cursor: _Optional[str] = ...) -> None: ...

class PutBlobRequest(_message.Message):
    __slots__ = ["data", "sha256", "size"]
    DATA_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    sha256: str
    size: int
    def __init__(self, sha256: _Optional[str] = ..., size: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class PutBlobResponse(_message.Message):
    __slots__ = ["existed", "expires_at"]
    EXISTED_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    existed: bool
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, existed: bool = ..., expires_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ReadArtifactRequest(_message.Message):
    __slots__ = ["offset", "path", "task"]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    offset: int
    path: str
    task: TaskRef
    def __init__(self, task: _Optional[_Union[TaskRef, _Mapping]] = ..., path: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class ReadArtifactResponse(_message.Message):
    __slots__ = ["artifact", "data", "end", "offset"]
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    artifact: _task_pb2.Artifact
    data: bytes
    end: bool
    offset: int
    def __init__(self, artifact: _Optional[_Union[_task_pb2.Artifact, _Mapping]] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., end: bool = ...) -> None: ...

class ReadLogRequest(_message.Message):
    __slots__ = ["follow", "id", "offset", "stream", "tail_lines", "task", "unstored"]
    class Stream(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    STDERR: ReadLogRequest.Stream
    STDOUT: ReadLogRequest.Stream
    STREAM_FIELD_NUMBER: _ClassVar[int]
    STREAM_UNSPECIFIED: ReadLogRequest.Stream
    TAIL_LINES_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    UNSTORED_FIELD_NUMBER: _ClassVar[int]
    follow: bool
    id: str
    offset: int
    stream: ReadLogRequest.Stream
    tail_lines: int
    task: TaskRef
    unstored: bool
    def __init__(self, id: _Optional[str] = ..., stream: _Optional[_Union[ReadLogRequest.Stream, str]] = ..., offset: _Optional[int] = ..., tail_lines: _Optional[int] = ..., unstored: bool = ..., follow: bool = ..., task: _Optional[_Union[TaskRef, _Mapping]] = ...) -> None: ...

class ReadLogResponse(_message.Message):
    __slots__ = ["data", "dropped_bytes", "end", "offset"]
    DATA_FIELD_NUMBER: _ClassVar[int]
    DROPPED_BYTES_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    dropped_bytes: int
    end: bool
    offset: int
    def __init__(self, offset: _Optional[int] = ..., data: _Optional[bytes] = ..., dropped_bytes: _Optional[int] = ..., end: bool = ...) -> None: ...

class RenewLeaseRequest(_message.Message):
    __slots__ = ["ids"]
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ids: _Optional[_Iterable[str]] = ...) -> None: ...

class RenewLeaseResponse(_message.Message):
    __slots__ = ["not_found"]
    NOT_FOUND_FIELD_NUMBER: _ClassVar[int]
    not_found: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, not_found: _Optional[_Iterable[str]] = ...) -> None: ...

class SubmitResult(_message.Message):
    __slots__ = ["generation", "id", "message", "outcome", "owner", "retry_after", "spec", "state", "violations"]
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    ACCEPTED: SubmitResult.Outcome
    ALREADY_LIVE: SubmitResult.Outcome
    DUPLICATE: SubmitResult.Outcome
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_UNSPECIFIED: SubmitResult.Outcome
    OWNER_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FULL: SubmitResult.Outcome
    REJECTED: SubmitResult.Outcome
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    generation: int
    id: str
    message: str
    outcome: SubmitResult.Outcome
    owner: str
    retry_after: _duration_pb2.Duration
    spec: _task_pb2.SandboxSpec
    state: _task_pb2.TaskState
    violations: _containers.RepeatedCompositeFieldContainer[_error_details_pb2.BadRequest.FieldViolation]
    def __init__(self, outcome: _Optional[_Union[SubmitResult.Outcome, str]] = ..., id: _Optional[str] = ..., state: _Optional[_Union[_task_pb2.TaskState, str]] = ..., owner: _Optional[str] = ..., generation: _Optional[int] = ..., retry_after: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., violations: _Optional[_Iterable[_Union[_error_details_pb2.BadRequest.FieldViolation, _Mapping]]] = ..., message: _Optional[str] = ..., spec: _Optional[_Union[_task_pb2.SandboxSpec, _Mapping]] = ...) -> None: ...

class SubmitTasksRequest(_message.Message):
    __slots__ = ["tasks", "validate_only"]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[_task_pb2.TaskSpec]
    validate_only: bool
    def __init__(self, tasks: _Optional[_Iterable[_Union[_task_pb2.TaskSpec, _Mapping]]] = ..., validate_only: bool = ...) -> None: ...

class SubmitTasksResponse(_message.Message):
    __slots__ = ["results"]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SubmitResult]
    def __init__(self, results: _Optional[_Iterable[_Union[SubmitResult, _Mapping]]] = ...) -> None: ...

class TaskFilter(_message.Message):
    __slots__ = ["key_prefix", "labels", "owner", "states"]
    class LabelsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KEY_PREFIX_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    key_prefix: str
    labels: _containers.ScalarMap[str, str]
    owner: str
    states: _containers.RepeatedScalarFieldContainer[_task_pb2.TaskState]
    def __init__(self, key_prefix: _Optional[str] = ..., owner: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_task_pb2.TaskState, str]]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class TaskRef(_message.Message):
    __slots__ = ["id", "key"]
    ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    id: str
    key: _task_pb2.TaskKey
    def __init__(self, id: _Optional[str] = ..., key: _Optional[_Union[_task_pb2.TaskKey, _Mapping]] = ...) -> None: ...

class WaitTaskRequest(_message.Message):
    __slots__ = ["ids", "timeout", "until"]
    class Until(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    END: WaitTaskRequest.Until
    IDS_FIELD_NUMBER: _ClassVar[int]
    LOG_COMPLETE: WaitTaskRequest.Until
    RUNNING: WaitTaskRequest.Until
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    timeout: _duration_pb2.Duration
    until: WaitTaskRequest.Until
    def __init__(self, ids: _Optional[_Iterable[str]] = ..., until: _Optional[_Union[WaitTaskRequest.Until, str]] = ..., timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WaitTaskResponse(_message.Message):
    __slots__ = ["tasks", "timed_out"]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    TIMED_OUT_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[_task_pb2.Task]
    timed_out: bool
    def __init__(self, tasks: _Optional[_Iterable[_Union[_task_pb2.Task, _Mapping]]] = ..., timed_out: bool = ...) -> None: ...

class WatchEventsRequest(_message.Message):
    __slots__ = ["cursor", "follow", "owner"]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    follow: bool
    owner: str
    def __init__(self, owner: _Optional[str] = ..., cursor: _Optional[str] = ..., follow: bool = ...) -> None: ...

class WatchEventsResponse(_message.Message):
    __slots__ = ["events"]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_task_pb2.Event]
    def __init__(self, events: _Optional[_Iterable[_Union[_task_pb2.Event, _Mapping]]] = ...) -> None: ...
