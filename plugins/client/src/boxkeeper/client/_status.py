"""From a failed call to a typed exception: the canonical code and the google.rpc details that came with it."""

from __future__ import annotations

from typing import Any, Optional

from google.rpc import error_details_pb2, status_pb2

from boxkeeper.client import errors

_DETAILS = "grpc-status-details-bin"
_BY_REASON = {"CURSOR_GONE": errors.CursorGone}
_BY_CODE: dict[str, type[errors.RpcFailed]] = {
    "UNAVAILABLE": errors.Unavailable,
    "DEADLINE_EXCEEDED": errors.DeadlineExceeded,
    "RESOURCE_EXHAUSTED": errors.Busy,
    "INVALID_ARGUMENT": errors.InvalidRequest,
    "OUT_OF_RANGE": errors.InvalidRequest,
    "UNAUTHENTICATED": errors.Unauthenticated,
    "PERMISSION_DENIED": errors.Unauthenticated,
    "NOT_FOUND": errors.NotFound,
    "FAILED_PRECONDITION": errors.FailedPrecondition,
}


def _details(error: Any) -> Optional[status_pb2.Status]:
    """The google.rpc.Status of a failed call; None if there is none that can be read."""
    metadata = error.trailing_metadata() if hasattr(error, "trailing_metadata") else None
    for key, value in metadata or ():
        if key == _DETAILS:
            try:
                return status_pb2.Status.FromString(value)
            except Exception:  # what protobuf raises for malformed bytes differs between its versions
                return None
    return None


def from_rpc_error(error: Any, method: str, address: str) -> errors.RpcFailed:
    """The exception for a call of `method` that failed with `error`, an RpcError of grpc or grpc.aio."""
    code = error.code()
    name = code.name if code is not None else "UNKNOWN"
    message = error.details() or ""
    reason, metadata, violations, retry_after = "", {}, [], None
    details = _details(error)
    for detail in details.details if details is not None else ():
        info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad):
            violations = [errors.Violation(v.field, v.description) for v in bad.field_violations]
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    kind = _BY_REASON.get(reason) or _BY_CODE.get(name, errors.RpcFailed)
    if name == "RESOURCE_EXHAUSTED" and not reason:
        kind = errors.InvalidRequest  # gRPC's own: a message above its size limit
    if name == "UNAVAILABLE" and details is None:
        message = f"cannot reach boxkeeperd at {address} ({message})"  # the transport's word, not the daemon's
    return kind(message, code=name, reason=reason, method=method, violations=violations, retry_after=retry_after,
                metadata=metadata)
