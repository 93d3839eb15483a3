"""How a server behaves."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Options:
    """name: of the base model in requests. api_key: that requests must carry, None for none.
    max_body: bytes of a request's body. timeout: seconds after which a request is given up.
    adapter_management: whether clients may load and unload adapters."""

    name: str
    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str | None = None
    max_body: int = 4 << 20
    timeout: float = 600.0
    adapter_management: bool = True
