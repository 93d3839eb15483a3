"""Failures as OpenAI's clients expect them: a status and {"error": {...}}."""

from __future__ import annotations

import math
from typing import Any

from pydantic import ValidationError
from starlette.responses import JSONResponse

from infeng.errors import InfengError, one_line
from infeng.runner import TimedOut
from infeng.sched import QueueFull, TooLong


class ApiError(Exception):
    """What a client is told. retry_after: seconds, for what may work later."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
        self.retry_after = retry_after

    def response(self) -> JSONResponse:
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.body, self.status, headers)


def of(error: Exception, retry_after: float = 1.0) -> ApiError:
    """What to tell of a failure in here."""
    if isinstance(error, ApiError):
        return error
    message = one_line(error)
    if isinstance(error, QueueFull):
        return ApiError(
            429, message, kind="rate_limit_error", code="queue_full", retry_after=retry_after
        )
    if isinstance(error, TooLong):
        return ApiError(400, message, code="context_length_exceeded")
    if isinstance(error, TimedOut):
        return ApiError(504, message, kind="timeout_error", code="timeout")
    if isinstance(error, InfengError):
        return ApiError(400, message)
    return ApiError(500, f"internal error: {type(error).__name__}", kind="server_error")


def of_validation(error: ValidationError) -> ApiError:
    """The first thing that is wrong with a request's body."""
    first: Any = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or None
    if first["type"] == "extra_forbidden":
        message = f"Unrecognized request argument supplied: {place}"
    else:
        message = f"{place}: {first['msg']}" if place else first["msg"]
    return ApiError(400, one_line(message)[:500], param=place)


def not_found(model: str) -> ApiError:
    return ApiError(
        404, f"The model `{model}` does not exist", param="model", code="model_not_found"
    )
