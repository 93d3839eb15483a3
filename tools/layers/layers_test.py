"""The product keeps the dependency rule, and the test would see it broken."""

import os
from pathlib import Path

import layers
import pytest


def edge(source: str, target: str) -> str:
    return f'  "{source}" -> "{target}"\n'


def test_the_product_keeps_the_rule() -> None:
    graph = Path(os.environ["GRAPH"]).read_text()
    seen = {layers.layer(label) for pair in layers.edges(graph) for label in pair}
    # Every layer is there to be judged: an empty graph would keep any rule.
    assert seen >= set(layers.RULE), set(layers.RULE) - seen
    assert layers.breaches(graph) == []


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("//cc/base:status", "//cc/cpu:cpu"),
        ("//cc/kernels/gemm:gemm", "//cc/format:model_file"),
        ("//cc/format:model_file", "//cc/cpu:cpu"),
        ("//cc/engine:engine", "//rust/ffi:c_api"),
        ("//rust/tokenizer:tokenizer", "//rust/ffi:c_api"),
        ("//py/infeng/native:_native.so", "//rust/tokenizer:tokenizer"),
        ("//cc/model:decoder", "//cc/engine:engine"),
    ],
)
def test_breaches_are_seen(source: str, target: str) -> None:
    assert len(layers.breaches(edge(source, target))) == 1


def test_allowed_and_neutral_edges() -> None:
    graph = (
        edge("//cc/kernels/gemm:gemm", "//cc/cpu:cpu")
        + edge("//cc/format:model_file", "@xxhash//:xxhash")
        + edge("//cc/kernels/gemm:gemm", "//toolchains/isa:top_tier")
    )
    assert layers.breaches(graph) == []


def test_a_new_package_must_be_given_a_layer() -> None:
    with pytest.raises(ValueError, match="//elsewhere:x"):
        layers.layer("//elsewhere:x")
