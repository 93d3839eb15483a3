"""INFQ adapters: the same matrices as the PEFT folder, refused when damaged or for another base."""

import random
from pathlib import Path

import numpy as np
import pytest

from infeng.adapter import (
    Base,
    convert_adapter,
    load_infq,
    load_peft,
    open_adapter,
    read_adapter_header,
)
from infeng.convert.families import from_huggingface
from infeng.errors import InputError
from infeng.testing import small_model as small
from infeng.testing.mutations import memory_limit, mutate
from infeng.testing.small_adapter import write_adapter

BASE = Base(from_huggingface(small.config(), "config.json", {}, "")[0], "ab" * 32)


@pytest.mark.parametrize(("dtype", "tolerance"), [("f32", 0.0), ("f16", 2**-11)])
def test_keeps_the_matrices(tmp_path: Path, dtype: str, tolerance: float) -> None:
    folder = write_adapter(tmp_path / "a", use_rslora=True)
    written = convert_adapter(folder, BASE, tmp_path / "a.infq", dtype)
    assert written.bytes == (tmp_path / "a.infq").stat().st_size
    want = load_peft(folder, BASE.config).targets
    got = load_infq(tmp_path / "a.infq", BASE).targets
    assert [(t.layer, t.module, t.scale) for t in got] == [
        (t.layer, t.module, t.scale) for t in want
    ]
    for one, other in zip(got, want):
        for a, b in ((one.a, other.a), (one.b, other.b)):
            assert a.dtype == np.float32
            assert np.allclose(a, b, rtol=tolerance, atol=tolerance * 1e-3)
    header = read_adapter_header(tmp_path / "a.infq")
    assert header["rank"] == 4 and header["base"]["digest"] == BASE.digest


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    convert_adapter(folder, BASE, tmp_path / "1.infq")
    convert_adapter(folder, BASE, tmp_path / "2.infq")
    assert (tmp_path / "1.infq").read_bytes() == (tmp_path / "2.infq").read_bytes()
    # Digests tell contents apart, not places.
    one, two = (open_adapter(tmp_path / f"{i}.infq", BASE) for i in (1, 2))
    assert one.digest == two.digest != open_adapter(folder, BASE).digest
    assert one.bytes == open_adapter(folder, BASE).bytes


def test_another_base_is_refused_with_both_digests(tmp_path: Path) -> None:
    convert_adapter(write_adapter(tmp_path / "a"), BASE, tmp_path / "a.infq")
    other = Base(BASE.config, "cd" * 32)
    with pytest.raises(InputError, match=f"{BASE.digest}.*{other.digest}"):
        load_infq(tmp_path / "a.infq", other)


def test_changed_on_disk(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    source = open_adapter(folder, BASE)
    assert len(source.targets()) == 2
    write_adapter(folder, lora_alpha=3)
    with pytest.raises(InputError, match="has changed on disk"):
        source.targets()


def test_too_large_for_f16(tmp_path: Path) -> None:
    weights = {k: v * 1e6 for k, v in small_weights().items()}
    folder = write_adapter(tmp_path / "a", weights)
    out = tmp_path / "a.infq"
    out.write_bytes(b"old")
    with pytest.raises(InputError, match="too large for f16"):
        convert_adapter(folder, BASE, out, "f16")
    assert out.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 2


def small_weights() -> dict[str, np.ndarray]:
    from infeng.testing.small_adapter import adapter_tensors

    return adapter_tensors()


def test_every_flipped_bit_and_every_length_is_noticed(tmp_path: Path) -> None:
    convert_adapter(write_adapter(tmp_path / "a"), BASE, tmp_path / "a.infq")
    intact = (tmp_path / "a.infq").read_bytes()
    bad = tmp_path / "bad.infq"
    source = random.Random(1)
    places = [*range(64), *(source.randrange(len(intact)) for _ in range(600))]
    for place in places:
        damaged = bytearray(intact)
        damaged[place] ^= 1 << source.randrange(8)
        bad.write_bytes(damaged)
        with pytest.raises(InputError, match=r"bad\.infq"):
            load_infq(bad, BASE)
    for length in [0, 1, 63, 64, 65, len(intact) // 2, len(intact) - 1]:
        bad.write_bytes(intact[:length])
        with pytest.raises(InputError, match=r"bad\.infq"):
            load_infq(bad, BASE)
    bad.write_bytes(intact + b"\0")
    with pytest.raises(InputError, match=r"bad\.infq"):
        load_infq(bad, BASE)


def test_random_damage_with_right_sums(tmp_path: Path) -> None:
    """Headers that lie but whose sums are right: an error, never a crash or a huge allocation."""
    import struct

    from infeng.native import xxh3_64

    convert_adapter(write_adapter(tmp_path / "a"), BASE, tmp_path / "a.infq")
    intact = (tmp_path / "a.infq").read_bytes()
    length = int.from_bytes(intact[8:16], "little")
    source = random.Random(2)
    bad = tmp_path / "bad.infq"
    failed = 0
    with memory_limit():
        for _ in range(1500):
            header = mutate(intact[64 : 64 + length], source, length)
            header = header[:length].ljust(length)
            prelude = struct.pack("<4sIQQQ24x", b"INFQ", 1, length, len(intact), xxh3_64(header))
            prelude += struct.pack("<Q", xxh3_64(prelude))
            bad.write_bytes(prelude + header + intact[64 + length :])
            try:
                load_infq(bad, BASE)
            except InputError as e:
                assert "\n" not in str(e) and str(bad) in str(e), e
                failed += 1
    assert failed > 700
