"""Requests that schemathesis makes from the server's own OpenAPI document, to the real server
with the default model: right ones, wrong ones, and sequences of them.

INFENG_FUZZ_SECONDS: for how long, with new requests in each run. Without it a fixed, short set."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from infeng.serve.fuzz_hooks import ADAPTERS, BASE, LOADED
from infeng.serve.testing import ServerProcess

SECONDS = os.environ.get("INFENG_FUZZ_SECONDS")
# positive_data_acceptance is not among them: that a token is in the vocabulary, a text has room
# in the context or two fields go together cannot be said in a schema.
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_headers_conformance", "response_schema_conformance", "negative_data_rejection",
    "unsupported_method", "allow_header_conformance",
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess(
        "--adapters", ADAPTERS / LOADED, "--kv-memory", "48M", "--max-body", "256K"
    ) as server:
        yield server


def answers(server: ServerProcess) -> list[Any]:
    """What the base model and an adapter say, drawn without luck."""
    load = {"lora_name": LOADED, "lora_path": str(ADAPTERS / LOADED), "load_inplace": True}
    assert server.request("/v1/load_lora_adapter", load)[0] == 200
    found = []
    for model in (BASE, LOADED):
        body = {"model": model, "messages": [{"role": "user", "content": "What is the sun?"}]}
        status, answer, _ = server.request(
            "/v1/chat/completions", body | {"temperature": 0, "max_tokens": 12}
        )
        assert status == 200
        found.append(answer["choices"][0]["message"]["content"])
    return found


def attack(url: str) -> int:
    """schemathesis's exit code; its report, with a curl line for each failure, goes to stdout."""
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json",
        "--checks", ",".join(CHECKS), "--no-color",
        "--request-timeout", "60", "--suppress-health-check", "all", "--warnings", "off",
        "--continue-on-failure", "--output-sanitize", "false", "--output-truncate", "false",
    ]  # fmt: skip
    if SECONDS is None:
        command += ["--generation-deterministic", "--max-examples", "20"]
    else:
        command += ["--generation-database", "none", "--max-time", SECONDS]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "SCHEMATHESIS_HOOKS": "infeng.serve.fuzz_hooks",
    }
    return subprocess.run(command, env=environment).returncode


def test_the_server_keeps_to_its_document(server: ServerProcess) -> None:
    before = answers(server)
    assert before[0] != before[1]
    counted = server.metric("infeng_generated_tokens")
    assert attack(server.url) == 0
    server.wait_until_idle()
    # It is as it was: the same answers, no page of the cache lost.
    assert answers(server) == before
    assert server.metric("infeng_kv_pages_used") == server.metric("infeng_kv_pages_cached")
    tokens = server.metric("infeng_generated_tokens") - counted
    print(f"{tokens:.0f} tokens generated")
    assert tokens > 30  # not all were refused
    server.interrupt()
    assert server.wait() == 0
    assert not any("Traceback" in line for line in server.lines), server.lines
