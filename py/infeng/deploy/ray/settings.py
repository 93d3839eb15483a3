"""What a deployment is made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from infeng.sched import Limits
from infeng.serve.options import Options


class Settings(BaseModel):
    """The arguments of `build`. Those of `infeng serve` have its names and meanings; paths are those
    of the nodes on which replicas run.

    replicas: of the model, each with `threads` CPUs. replicas_per_node: at most; None without limit.
    ingress: processes that take requests and pass them on. adapters_per_replica: how many adapters
    requests are sent to one replica for, the least recently used out first; 0 for all.
    adapter_management: whether clients may load and unload adapters; None: with an API key."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = None
    served_model_name: str | None = None
    adapters: list[str] = []
    replicas: int = Field(2, ge=1)
    replicas_per_node: int | None = Field(1, ge=1)
    ingress: int = Field(2, ge=1)
    threads: int = Field(1, ge=1, le=256)
    adapters_per_replica: int = Field(0, ge=0)
    api_key: str | None = None
    adapter_management: bool | None = None
    dtype: str | None = None
    kv: str | None = None
    kv_memory: int | None = Field(None, ge=1)
    adapter_memory: int | None = Field(None, ge=1)
    max_running: int = Field(Limits.running, ge=1)
    max_queue: int = Field(Limits.queue, ge=1)
    timeout: float = Field(Options.timeout, gt=0)
    max_body: int = Field(Options.max_body, ge=1)

    @field_validator("adapters", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """`serve run` gives texts only: patterns with blanks between."""
        return value.split() if isinstance(value, str) else value
