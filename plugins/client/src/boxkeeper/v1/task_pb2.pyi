from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

ATTESTER_LAUNCHER: Attester
ATTESTER_NONE: Attester
ATTESTER_PROVIDER: Attester
ATTESTER_SUPERVISOR: Attester
DESCRIPTOR: _descriptor.FileDescriptor
EVENT_TYPE_LOG_COMPLETE: EventType
EVENT_TYPE_OWNER_CHANGED: EventType
EVENT_TYPE_OWNER_LOST: EventType
EVENT_TYPE_STATE: EventType
EVENT_TYPE_UNSPECIFIED: EventType
ON_LIVE_KEY_AFTER: OnLiveKey
ON_LIVE_KEY_REJECT: OnLiveKey
ON_LIVE_KEY_REPLACE: OnLiveKey
REASON_AUTH: Reason
REASON_CANCELLED: Reason
REASON_CAPACITY: Reason
REASON_CLIENT_LOST: Reason
REASON_CREATE_FAILED: Reason
REASON_CREATE_UNCERTAIN: Reason
REASON_EXIT_CODE: Reason
REASON_EXPIRED: Reason
REASON_HOST_REBOOTED: Reason
REASON_IMAGE_NOT_FOUND: Reason
REASON_INVALID_SPEC: Reason
REASON_OOM: Reason
REASON_PROVIDER_PROTOCOL: Reason
REASON_QUOTA: Reason
REASON_RUN_TIMEOUT: Reason
REASON_SANDBOX_LOST: Reason
REASON_SIGNAL: Reason
REASON_START_FAILED: Reason
REASON_UNSPECIFIED: Reason
TASK_STATE_CANCELLED: TaskState
TASK_STATE_CREATING: TaskState
TASK_STATE_FAILED: TaskState
TASK_STATE_LOST: TaskState
TASK_STATE_QUEUED: TaskState
TASK_STATE_RUNNING: TaskState
TASK_STATE_STARTING: TaskState
TASK_STATE_STOPPING: TaskState
TASK_STATE_SUCCEEDED: TaskState
TASK_STATE_UNSPECIFIED: TaskState
USER_CODE_STARTED_NO: UserCodeStarted
USER_CODE_STARTED_UNKNOWN: UserCodeStarted
USER_CODE_STARTED_YES: UserCodeStarted

class Artifact(_message.Message):
    __slots__ = ["mode", "modified_at", "object", "path", "sha256", "size"]
    MODE_FIELD_NUMBER: _ClassVar[int]
    MODIFIED_AT_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    mode: int
    modified_at: _timestamp_pb2.Timestamp
    object: str
    path: str
    sha256: str
    size: int
    def __init__(self, path: _Optional[str] = ..., size: _Optional[int] = ..., mode: _Optional[int] = ..., sha256: _Optional[str] = ..., modified_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., object: _Optional[str] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ["argv", "script", "shell"]
    class Argv(_message.Message):
        __slots__ = ["args"]
        ARGS_FIELD_NUMBER: _ClassVar[int]
        args: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, args: _Optional[_Iterable[str]] = ...) -> None: ...
    class Script(_message.Message):
        __slots__ = ["body", "lang"]
        BODY_FIELD_NUMBER: _ClassVar[int]
        LANG_FIELD_NUMBER: _ClassVar[int]
        body: str
        lang: str
        def __init__(self, lang: _Optional[str] = ..., body: _Optional[str] = ...) -> None: ...
    ARGV_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_FIELD_NUMBER: _ClassVar[int]
    SHELL_FIELD_NUMBER: _ClassVar[int]
    argv: Command.Argv
    script: Command.Script
    shell: str
    def __init__(self, argv: _Optional[_Union[Command.Argv, _Mapping]] = ..., shell: _Optional[str] = ..., script: _Optional[_Union[Command.Script, _Mapping]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ["cursor", "task", "time", "type"]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    task: Task
    time: _timestamp_pb2.Timestamp
    type: EventType
    def __init__(self, cursor: _Optional[str] = ..., type: _Optional[_Union[EventType, str]] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ["on_lapse", "ttl"]
    class OnLapse(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    CANCEL: Lease.OnLapse
    KEEP: Lease.OnLapse
    ON_LAPSE_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    on_lapse: Lease.OnLapse
    ttl: _duration_pb2.Duration
    def __init__(self, ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., on_lapse: _Optional[_Union[Lease.OnLapse, str]] = ...) -> None: ...

class LogSpec(_message.Message):
    __slots__ = ["layout", "path", "streams"]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    layout: str
    path: str
    streams: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, layout: _Optional[str] = ..., path: _Optional[str] = ..., streams: _Optional[_Iterable[str]] = ...) -> None: ...

class LogStatus(_message.Message):
    __slots__ = ["complete", "dropped_bytes", "incomplete", "layout", "path", "stderr_bytes", "stdout_bytes"]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    DROPPED_BYTES_FIELD_NUMBER: _ClassVar[int]
    INCOMPLETE_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    STDERR_BYTES_FIELD_NUMBER: _ClassVar[int]
    STDOUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    complete: bool
    dropped_bytes: int
    incomplete: str
    layout: str
    path: str
    stderr_bytes: int
    stdout_bytes: int
    def __init__(self, stdout_bytes: _Optional[int] = ..., stderr_bytes: _Optional[int] = ..., dropped_bytes: _Optional[int] = ..., complete: bool = ..., path: _Optional[str] = ..., layout: _Optional[str] = ..., incomplete: _Optional[str] = ...) -> None: ...

class OutputsStatus(_message.Message):
    __slots__ = ["artifacts", "bytes", "collected", "files", "message", "skipped"]
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    COLLECTED_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    artifacts: _containers.RepeatedCompositeFieldContainer[Artifact]
    bytes: int
    collected: bool
    files: int
    message: str
    skipped: int
    def __init__(self, collected: bool = ..., files: _Optional[int] = ..., bytes: _Optional[int] = ..., skipped: _Optional[int] = ..., message: _Optional[str] = ..., artifacts: _Optional[_Iterable[_Union[Artifact, _Mapping]]] = ...) -> None: ...

class SandboxSpec(_message.Message):
    __slots__ = ["cpu", "disk_mb", "env", "gpu", "grace", "image", "log", "memory_mb", "network", "outputs", "pids", "priority", "profile", "provider", "provider_options", "read_only_root", "start_deadline", "stdin", "template", "timeout", "user", "volumes", "workdir"]
    class EnvEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CPU_FIELD_NUMBER: _ClassVar[int]
    DISK_MB_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    GPU_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    MEMORY_MB_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    PIDS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_ROOT_FIELD_NUMBER: _ClassVar[int]
    START_DEADLINE_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    WORKDIR_FIELD_NUMBER: _ClassVar[int]
    cpu: float
    disk_mb: int
    env: _containers.ScalarMap[str, str]
    gpu: str
    grace: _duration_pb2.Duration
    image: str
    log: LogSpec
    memory_mb: int
    network: str
    outputs: _containers.RepeatedScalarFieldContainer[str]
    pids: int
    priority: int
    profile: str
    provider: _containers.RepeatedScalarFieldContainer[str]
    provider_options: _struct_pb2.Struct
    read_only_root: bool
    start_deadline: _timestamp_pb2.Timestamp
    stdin: str
    template: str
    timeout: _duration_pb2.Duration
    user: str
    volumes: _containers.RepeatedCompositeFieldContainer[Volume]
    workdir: str
    def __init__(self, provider: _Optional[_Iterable[str]] = ..., profile: _Optional[str] = ..., image: _Optional[str] = ..., template: _Optional[str] = ..., cpu: _Optional[float] = ..., memory_mb: _Optional[int] = ..., disk_mb: _Optional[int] = ..., gpu: _Optional[str] = ..., pids: _Optional[int] = ..., env: _Optional[_Mapping[str, str]] = ..., workdir: _Optional[str] = ..., user: _Optional[str] = ..., timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., start_deadline: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., grace: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., network: _Optional[str] = ..., read_only_root: bool = ..., priority: _Optional[int] = ..., provider_options: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., log: _Optional[_Union[LogSpec, _Mapping]] = ..., volumes: _Optional[_Iterable[_Union[Volume, _Mapping]]] = ..., outputs: _Optional[_Iterable[str]] = ..., stdin: _Optional[str] = ...) -> None: ...

class SandboxStatus(_message.Message):
    __slots__ = ["gone", "id", "isolation", "limits", "name", "provider"]
    GONE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    gone: bool
    id: str
    isolation: str
    limits: str
    name: str
    provider: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., provider: _Optional[str] = ..., isolation: _Optional[str] = ..., gone: bool = ..., limits: _Optional[str] = ...) -> None: ...

class Secret(_message.Message):
    __slots__ = ["env", "file", "value"]
    ENV_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    env: str
    file: str
    value: str
    def __init__(self, value: _Optional[str] = ..., env: _Optional[str] = ..., file: _Optional[str] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ["accepted_at", "attempt", "attester", "command", "cpu_seconds", "ended_at", "exit_code", "generation", "id", "key", "key_string", "labels", "log", "message", "notes", "outputs", "owner", "peak_memory_bytes", "provider_unreachable_since", "reason", "sandbox", "secret_names", "signal", "spec", "started_at", "state", "submission_id", "successor_id", "user_code_started", "waiting_for"]
    class LabelsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ACCEPTED_AT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ATTESTER_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    KEY_STRING_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_UNREACHABLE_SINCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    SECRET_NAMES_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SUBMISSION_ID_FIELD_NUMBER: _ClassVar[int]
    SUCCESSOR_ID_FIELD_NUMBER: _ClassVar[int]
    USER_CODE_STARTED_FIELD_NUMBER: _ClassVar[int]
    WAITING_FOR_FIELD_NUMBER: _ClassVar[int]
    accepted_at: _timestamp_pb2.Timestamp
    attempt: int
    attester: Attester
    command: Command
    cpu_seconds: float
    ended_at: _timestamp_pb2.Timestamp
    exit_code: int
    generation: int
    id: str
    key: TaskKey
    key_string: str
    labels: _containers.ScalarMap[str, str]
    log: LogStatus
    message: str
    notes: _containers.RepeatedScalarFieldContainer[str]
    outputs: OutputsStatus
    owner: str
    peak_memory_bytes: int
    provider_unreachable_since: _timestamp_pb2.Timestamp
    reason: Reason
    sandbox: SandboxStatus
    secret_names: _containers.RepeatedScalarFieldContainer[str]
    signal: int
    spec: SandboxSpec
    started_at: _timestamp_pb2.Timestamp
    state: TaskState
    submission_id: str
    successor_id: str
    user_code_started: UserCodeStarted
    waiting_for: str
    def __init__(self, id: _Optional[str] = ..., submission_id: _Optional[str] = ..., key: _Optional[_Union[TaskKey, _Mapping]] = ..., key_string: _Optional[str] = ..., owner: _Optional[str] = ..., generation: _Optional[int] = ..., state: _Optional[_Union[TaskState, str]] = ..., reason: _Optional[_Union[Reason, str]] = ..., message: _Optional[str] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., user_code_started: _Optional[_Union[UserCodeStarted, str]] = ..., attester: _Optional[_Union[Attester, str]] = ..., peak_memory_bytes: _Optional[int] = ..., cpu_seconds: _Optional[float] = ..., accepted_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., command: _Optional[_Union[Command, _Mapping]] = ..., spec: _Optional[_Union[SandboxSpec, _Mapping]] = ..., attempt: _Optional[int] = ..., sandbox: _Optional[_Union[SandboxStatus, _Mapping]] = ..., log: _Optional[_Union[LogStatus, _Mapping]] = ..., waiting_for: _Optional[str] = ..., successor_id: _Optional[str] = ..., provider_unreachable_since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., secret_names: _Optional[_Iterable[str]] = ..., notes: _Optional[_Iterable[str]] = ..., outputs: _Optional[_Union[OutputsStatus, _Mapping]] = ...) -> None: ...

class TaskFile(_message.Message):
    __slots__ = ["blob", "content", "mode", "path", "secret"]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    blob: str
    content: bytes
    mode: int
    path: str
    secret: bool
    def __init__(self, path: _Optional[str] = ..., content: _Optional[bytes] = ..., mode: _Optional[int] = ..., secret: bool = ..., blob: _Optional[str] = ...) -> None: ...

class TaskKey(_message.Message):
    __slots__ = ["group", "index", "kind", "name", "namespace", "run"]
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    CALLBACK: TaskKey.Kind
    COMMAND: TaskKey.Kind
    GROUP_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    KIND_UNSPECIFIED: TaskKey.Kind
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    STEP: TaskKey.Kind
    TASK: TaskKey.Kind
    TRY_FIELD_NUMBER: _ClassVar[int]
    group: str
    index: int
    kind: TaskKey.Kind
    name: str
    namespace: str
    run: str
    def __init__(self, namespace: _Optional[str] = ..., kind: _Optional[_Union[TaskKey.Kind, str]] = ..., group: _Optional[str] = ..., run: _Optional[str] = ..., name: _Optional[str] = ..., index: _Optional[int] = ..., **kwargs) -> None: ...

class TaskSpec(_message.Message):
    __slots__ = ["command", "files", "key", "labels", "lease", "on_live_key", "owner", "sandbox_override", "secrets", "submission_id", "trace_context"]
    class LabelsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SecretsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Secret
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Secret, _Mapping]] = ...) -> None: ...
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    ON_LIVE_KEY_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_OVERRIDE_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    SUBMISSION_ID_FIELD_NUMBER: _ClassVar[int]
    TRACE_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    command: Command
    files: _containers.RepeatedCompositeFieldContainer[TaskFile]
    key: TaskKey
    labels: _containers.ScalarMap[str, str]
    lease: Lease
    on_live_key: OnLiveKey
    owner: str
    sandbox_override: _struct_pb2.Struct
    secrets: _containers.MessageMap[str, Secret]
    submission_id: str
    trace_context: str
    def __init__(self, submission_id: _Optional[str] = ..., key: _Optional[_Union[TaskKey, _Mapping]] = ..., owner: _Optional[str] = ..., command: _Optional[_Union[Command, _Mapping]] = ..., sandbox_override: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., files: _Optional[_Iterable[_Union[TaskFile, _Mapping]]] = ..., secrets: _Optional[_Mapping[str, Secret]] = ..., labels: _Optional[_Mapping[str, str]] = ..., lease: _Optional[_Union[Lease, _Mapping]] = ..., on_live_key: _Optional[_Union[OnLiveKey, str]] = ..., trace_context: _Optional[str] = ...) -> None: ...

class Volume(_message.Message):
    __slots__ = ["read_only", "source", "target"]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    read_only: bool
    source: str
    target: str
    def __init__(self, source: _Optional[str] = ..., target: _Optional[str] = ..., read_only: bool = ...) -> None: ...

class TaskState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class UserCodeStarted(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class Attester(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class OnLiveKey(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class EventType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
