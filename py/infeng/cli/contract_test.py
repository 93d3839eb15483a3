"""What scripts rely on, and what damaged or wrong input gives, with a small model."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from infeng.convert import Recipe, convert
from infeng.testing import small_model as small
from infeng.testing.command import fails_in_one_line, infeng, infeng_json
from infeng.testing.small_adapter import write_adapter


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    weights = small.random_weights()
    small.write_huggingface(folder / "hf", weights)
    small.write_gguf(folder / "m.gguf", weights)
    for recipe in ("int8", "f32"):
        convert(folder / "hf", folder / f"{recipe}.infq", Recipe(recipe))
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    return folder


def test_wrong_usage_is_one_line_and_code_2(folder: Path) -> None:
    model = folder / "int8.infq"
    for arguments, names in (
        ((), "COMMAND"),
        (("dance",), "no command 'dance'"),
        (("run", "--surprise"), "--surprise"),
        (("run", "--dtype", "int3", "hi"), "--dtype"),
        (("run", "--threads", "0", "hi"), "--threads"),
        (("run", "--model", model, "--temperature", "-1", "hi"), "temperature is -1.0"),
        (("run", "--model", model, "--max-tokens", "0", "hi"), "max_tokens is 0"),
        (("run", "--model", model, "--adapter", "x", "hi"), "expected NAME=PATH"),
        (("run", "--model", model, "--use", "x", "hi"), "--use x"),
        (("run", model, "two", "three"), "too many arguments"),
        (("convert", "--in", folder / "hf"), "--out"),
        (("convert", "--in", folder / "hf", "--out", folder / "o", "--group", "5"), "group 5"),
        (("convert", "--in", folder / "hf", "--out", folder / "o", "--report", "r.txt"), "r.txt"),
        (
            ("convert", "--in", folder / "m.gguf", "--out", folder / "o", "--context", "9"),
            "--context 9",
        ),
        (("perplexity", "--model", model, "--text", model, "--window", "1"), "--window 1"),
        (("bench", "--model", model, "--depth", "1,x"), "--depth 1,x"),
        (("bench", "--model", model, "--prompt", "900000"), "context of"),
        (("bench", "--model", model, "--repeats", "0"), "--repeats 0"),
        (("bench", "--model", model, "--threads", "1,0"), "--threads"),
        (("bench", "--model", model, "--adapter", "x"), "expected NAME=PATH"),
        (("inspect", model, "--estimate", "0", "5"), "--estimate"),
        (("tokenize",), "TEXT"),
    ):
        fails_in_one_line(*arguments, names=names, code=2)


def test_bench_measures_what_it_was_asked_for(folder: Path, tmp_path: Path) -> None:
    write_adapter(tmp_path / "a")
    write_adapter(tmp_path / "b", lora_alpha=16)
    told = infeng_json(
        "bench", "--model", folder / "int8.infq", "--prompt=16", "--depth=0,8", "--batch=1,4",
        "--generate=4", "--repeats=2", "--threads=1,2", "--csv", tmp_path / "rows.csv",
        "--adapter", f"a={tmp_path / 'a'}", "--adapter", f"b={tmp_path / 'b'}",
    )  # fmt: skip
    keys = ("test", "threads", "adapters", "tokens", "depth", "batch")
    asked = []
    for threads in (1, 2):
        asked += [("prefill", threads, worn, 16, 0, 1) for worn in (0, 1)]
        asked += [
            ("decode", threads, min(worn, batch), 4, depth, batch)
            for depth in (0, 8)
            for batch in (1, 4)
            for worn in (0, 2)
        ]
    assert [tuple(r[k] for k in keys) for r in told["rows"]] == asked
    assert all(0 < r["min"] <= r["tokens_per_s"] <= r["max"] for r in told["rows"])
    assert all(r["cv_pct"] >= 0 for r in told["rows"])
    with (tmp_path / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [tuple(r[k] for k in keys) for r in rows] == [tuple(map(str, a)) for a in asked]
    assert [float(r["tokens_per_s"]) for r in rows] == [r["tokens_per_s"] for r in told["rows"]]
    assert {r["tier"] for r in rows} == {told["tier"]}


def test_bench_prints_a_table(folder: Path) -> None:
    done = infeng(
        "bench", "--model", folder / "int8.infq", "--prompt=4", "--depth=0", "--generate=2",
        "--repeats=1",
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == ""
    about, columns, *rows = done.stdout.splitlines()
    assert "int8.infq" in about and columns.split("\t")[-3:] == ["tokens/s", "range", "cv %"]
    # One measurement has no deviation.
    assert [row.split("\t")[0] for row in rows] == ["prefill", "decode"]
    assert all(row.split("\t")[-1] == "-" for row in rows)


def test_help_and_version() -> None:
    assert infeng("--version").stdout.startswith("infeng 0.")
    assert "perplexity" in infeng("--help").stdout
    for command in (
        "run", "serve", "convert", "inspect", "perplexity", "bench", "tokenize", "report",
        "doctor",
    ):  # fmt: skip
        done = infeng(command, "--help")
        assert done.returncode == 0 and "--debug" in done.stdout


@pytest.mark.parametrize("name", ["int8.infq", "f32.infq"])
def test_damaged_infq(folder: Path, tmp_path: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    for i, damaged in enumerate(
        (
            b"",
            data[:40],
            data[: len(data) // 2],
            data + b"\0",
            b"GGUF" + data[4:],
            data[:-70] + bytes([data[-70] ^ 4]) + data[-69:],
            (folder / "m.gguf").read_bytes(),
            (folder / "hf" / "model.safetensors").read_bytes(),
            (folder / "hf" / "tokenizer.json").read_bytes(),
        )
    ):
        path = tmp_path / f"bad{i}.infq"
        path.write_bytes(damaged)
        for arguments in (("run", "--model", path, "hi"), ("inspect", path)):
            fails_in_one_line(*arguments, names=path.name)


def test_damaged_sources(folder: Path, tmp_path: Path) -> None:
    data = (folder / "m.gguf").read_bytes()
    for i, damaged in enumerate(
        (b"", data[:30], data[:-1000], (folder / "int8.infq").read_bytes())
    ):
        path = tmp_path / f"bad{i}.gguf"
        path.write_bytes(damaged)
        fails_in_one_line("run", "--model", path, "hi", names=path.name)
        out = tmp_path / "out.infq"
        fails_in_one_line("convert", "--in", path, "--out", out, names=path.name)
        assert not out.exists()
    for missing in ("none.infq", "none.gguf", "none"):
        fails_in_one_line("run", "--model", tmp_path / missing, "hi", names="no such file")
    fails_in_one_line("run", tmp_path / "none.infq", "hi", names="no such file")
    fails_in_one_line("inspect", tmp_path / "none.infq", names="none.infq")
    fails_in_one_line("convert", "--in", tmp_path, "--out", tmp_path / "o", names="config.json")
    fails_in_one_line(
        "convert", "--in", folder / "hf", "--out", tmp_path / "no" / "o", names="cannot write"
    )


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = infeng("inspect", tmp_path / "none.infq", "--debug")
    assert done.returncode == 1 and "Traceback" in done.stderr


def test_run_json(folder: Path) -> None:
    options = ("--model", folder / "f32.infq", "--greedy", "--max-tokens", 7)
    answer = infeng_json("run", *options, "--dtype", "f32", "Hello")
    assert len(answer["ids"]) <= 7 and answer["prompt_ids"][0] == 1
    assert answer["dtype"] == "f32"
    for key in ("tokens_per_s", "ttft_ms", "p95_ms"):
        assert answer[key] > 0
    raw = infeng_json("run", *options, "--raw", "Hello")
    tokenizer = Tokenizer.from_file(str(folder / "hf" / "tokenizer.json"))
    assert raw["prompt_ids"] == tokenizer.encode("Hello").ids
    assert raw["text"] == tokenizer.decode(raw["ids"])
    text = infeng("run", *options, "--raw", "Hello")
    assert text.stdout == raw["text"] + "\n"
    assert len(text.stderr.splitlines()) == 1 and "tokens/s" in text.stderr
    piped = infeng("run", *options, "--raw", input="Hello")
    assert piped.stdout == text.stdout


def test_run_speculate(folder: Path) -> None:
    options = ("run", "--model", folder / "int8.infq", "--greedy", "--raw", "--max-tokens", 200)
    prompt = "the rain in the inn " * 5
    plain = infeng_json(*options, prompt)
    drafting = infeng_json(*options, "--speculate", 8, prompt)
    assert drafting["ids"] == plain["ids"]
    assert (plain["proposed"], plain["accepted"]) == (0, 0)
    proposed, accepted = drafting["proposed"], drafting["accepted"]
    assert 0 < accepted <= proposed
    text = infeng(*options, "--speculate", 8, prompt)
    assert text.stdout == plain["text"] + "\n"
    assert re.search(r", \d+ of \d+ drafted accepted, ", text.stderr)
    assert "drafted" not in infeng(*options, prompt).stderr
    fails_in_one_line(*options, "--speculate", -1, "x", names="speculate is -1", code=2)


def test_the_same_model_from_every_source(folder: Path) -> None:
    for dtype in ("int8", "f32"):
        answers = [
            infeng_json(
                "run", "--model", folder / m, "--dtype", dtype, "--greedy", "--max-tokens", 9, "Hi"
            )
            for m in (f"{dtype}.infq", "hf", "m.gguf", "hf")
        ]
        assert all(a["ids"] == answers[0]["ids"] for a in answers)
    cached = list((folder / "cache" / "infeng" / "models").glob("*.infq"))
    assert len(cached) == 4


def test_a_damaged_cache_is_made_anew(folder: Path) -> None:
    arguments = ("run", "--model", folder / "m.gguf", "--greedy", "--max-tokens", 3, "Hi")
    path = Path(infeng_json(*arguments)["model"])
    good = path.read_bytes()
    path.write_bytes(good[:-8])
    assert infeng_json(*arguments)["model"] == str(path)
    assert path.read_bytes() == good


def test_two_at_once_convert_once(folder: Path, tmp_path: Path) -> None:
    env = {"XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "infeng", "run", "--model", str(folder / "m.gguf")]
    command += ["--greedy", "--max-tokens", "3", "--json", "Hi"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | env
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) for _ in range(3)
    ]
    answers = [json.loads(p.communicate(timeout=100)[0])["ids"] for p in processes]
    assert answers[0] == answers[1] == answers[2]
    assert len(list(tmp_path.rglob("*.infq"))) == 1


def test_dtype_must_be_the_files_own(folder: Path) -> None:
    arguments = ("run", "--model", folder / "int8.infq", "--dtype", "f32", "Hi")
    fails_in_one_line(*arguments, names="its weights are int8, not f32")


def test_seeds(folder: Path) -> None:
    def ids(*more: object) -> list[int]:
        options = ("--model", folder / "f32.infq", "--temperature", 2, "--top-p", 1)
        answer = infeng_json("run", *options, "--max-tokens", 20, *more, "Hi")
        assert isinstance(answer["seed"], int)
        return answer["ids"]

    assert ids("--seed", 5) == ids("--seed", 5)
    assert ids("--seed", 5) != ids("--seed", 6)
    assert ids() != ids()


def test_a_reader_that_goes_away_is_no_error(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "infeng", "inspect", str(folder / "int8.infq")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 141


def test_ctrl_c_keeps_what_has_come(folder: Path) -> None:
    command = [sys.executable, "-m", "infeng", "run", "--model", str(folder / "int8.infq")]
    command += ["--raw", "--temperature", "2", "--top-p", "1", "--max-tokens", "240"]
    command += ["--seed", "1", "a"]
    process = subprocess.Popen(
        command,
        bufsize=0,  # communicate() would miss what read() keeps in a buffer
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    first = process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert first and rest.endswith(b"\n")
    assert len(errors.splitlines()) == 1 and b"Traceback" not in errors
    # It may have come to its end just before the signal.
    assert process.returncode in (130, 0)


def test_inspect(folder: Path) -> None:
    path = folder / "int8.infq"
    assert infeng_json("inspect", path) == small.PlainInfq(path).header
    assert infeng_json("inspect", path, "--verify") == {"verified": True}
    estimate = infeng_json("inspect", path, "--estimate", 3, 100)["estimate"]
    assert estimate["weights"] == path.stat().st_size
    # Two pages of 64 positions for each sequence.
    assert estimate["kv_f16"] == 3 * 128 * small.LAYERS * 2 * small.KV_HEADS * small.HEAD_DIM * 2
    assert estimate["kv_int4"] < estimate["kv_int8"] < 0.7 * estimate["kv_f16"]
    assert estimate["kv_f32"] == 2 * estimate["kv_f16"]
    fails_in_one_line("inspect", path, "--estimate", 1, 100_000, names="100000 tokens")
    lines = infeng("inspect", path).stdout.splitlines()
    assert any(line.startswith("model.norm.weight\tf32\t64\trows") for line in lines)


def test_convert_reports(folder: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "m.infq", tmp_path / "errors.csv"
    written = infeng_json("convert", "--in", folder / "hf", "--out", out, "--report", report)
    assert written["bytes"] == out.stat().st_size
    assert out.read_bytes() == (folder / "int8.infq").read_bytes()
    lines = report.read_text().splitlines()
    assert lines[0] == "tensor,bits_per_weight,max_abs_err,rel_rms_err"
    assert len(lines) == 1 + len(small.shapes())
    done = infeng("convert", "--in", folder / "hf", "--out", out)
    assert done.stderr == "" and len(done.stdout.splitlines()) == 1


def test_perplexity_needs_a_window(folder: Path, tmp_path: Path) -> None:
    text = tmp_path / "t.txt"
    text.write_text("short")
    arguments = ("perplexity", "--model", folder / "f32.infq", "--text", text, "--window")
    fails_in_one_line(*arguments, 64, names="5 tokens do not fill a window of 64")
    fails_in_one_line(*arguments, 1000, names="--window 1000", code=2)
    text.write_bytes(b"\xff\xfe")
    fails_in_one_line(*arguments, 64, names="t.txt: not UTF-8 at byte 0")
    fails_in_one_line("perplexity", "--text", tmp_path / "none", names="none: cannot read")


TEXTS = [
    "",
    "Hello",
    "the theatre in the rain",
    "<|im_start|>user\nélan 漢字 🦊<|im_end|>",
    "  \n\t 12",
]


def test_tokenize(folder: Path, tmp_path: Path) -> None:
    path = folder / "hf" / "tokenizer.json"
    lines = tmp_path / "texts.jsonl"
    lines.write_text("".join(json.dumps({"text": t}) + "\n" for t in TEXTS))
    reference = Tokenizer.from_file(str(path))
    expected = [{"ids": reference.encode(t).ids} for t in TEXTS]
    for source in (path, folder / "int8.infq"):
        done = infeng("tokenize", "--tokenizer", source, "--jsonl", lines, "--json")
        assert done.returncode == 0, done.stderr
        assert [json.loads(line) for line in done.stdout.splitlines()] == expected
    with_offsets = infeng(
        "tokenize", "--tokenizer", path, "--jsonl", lines, "--json", "--offsets"
    ).stdout.splitlines()
    assert [json.loads(line)["offsets"] for line in with_offsets] == [
        list(map(list, reference.encode(t).offsets)) for t in TEXTS
    ]
    compared = infeng_json("tokenize", "--tokenizer", path, "--jsonl", lines, "--compare")
    assert compared["texts"] == len(TEXTS) and compared["texts_that_differ"] == 0
    piped = infeng("tokenize", "--tokenizer", path, "--jsonl", "-", "--json", input='{"text":"in"}')
    assert json.loads(piped.stdout) == {"ids": reference.encode("in").ids}


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("{", "line 2: not valid JSON"),
        ("[]", "line 2: the JSON is not an object"),
        ('{"text": 5}', "line 2: text: expected a string, found 5"),
        ("{}", "line 2: text: expected a string"),
        ('{"text": "\\ud800"}', "line 2"),
        ("[" * 100_000, "line 2: not valid JSON"),
    ],
)
def test_tokenize_names_the_bad_line(folder: Path, tmp_path: Path, line: str, names: str) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "good"}\n' + line + "\n")
    tokenizer = folder / "hf" / "tokenizer.json"
    fails_in_one_line("tokenize", "--tokenizer", tokenizer, "--jsonl", path, "--json", names=names)


def test_tokenize_refuses_a_damaged_tokenizer(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes((folder / "hf" / "tokenizer.json").read_bytes()[:-50])
    fails_in_one_line("tokenize", "--tokenizer", path, "hi", names="tokenizer.json")
    fails_in_one_line("tokenize", "--tokenizer", tmp_path / "none", "hi", names="none")


def test_doctor(folder: Path) -> None:
    path = folder / "int8.infq"
    report = infeng_json("doctor", "--model", path)
    assert report["tiers"]["scalar"]["usable"] is True
    assert report["chosen_tier"] in report["tiers"]
    assert report["hardware_key"].count("-") >= 4
    assert report["memory"]["read_gb_per_s"] > 0.1
    roof = report["roof"]
    header = infeng_json("inspect", path)
    assert roof["bytes_per_token"] == sum(
        t["data"]["bytes"] + t.get("scale", {"bytes": 0})["bytes"] for t in header["tensors"]
    )  # its embedding is its head
    assert roof["tokens_per_s_by_depth"] == {
        "0": pytest.approx(roof["read_gb_per_s"] * 1e9 / roof["bytes_per_token"])
    }
    checks = {f["check"]: f for f in report["findings"]}
    assert len(checks) == len(report["findings"]) == 11
    assert str(path) in checks["memory bandwidth"]["found"]
    text = infeng("doctor", "--model", path).stdout
    assert "hardware key" in text
    for check in checks:
        assert sum(line[9:].startswith(f"{check}: ") for line in text.splitlines()) == 1
    fails_in_one_line("doctor", "--model", folder / "none.infq", names="no such file")


def test_doctor_without_a_model(tmp_path: Path) -> None:
    done = infeng("doctor", "--json", env={"INFENG_DEFAULT_MODEL": str(tmp_path / "none.infq")})
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["roof"] is None
    severities = {f["check"]: f["severity"] for f in report["findings"]}
    assert severities["memory bandwidth"] == severities["model in memory"] == "unknown"


def test_adapters_are_converted(folder: Path, tmp_path: Path) -> None:
    peft = write_adapter(tmp_path / "a")
    out = tmp_path / "a.infq"
    base = ("--base", folder / "int8.infq")
    written = infeng_json("convert", "--in", peft, *base, "--out", out)
    assert written["bytes"] == out.stat().st_size and written["targets"] == 2
    header = infeng_json("inspect", out)
    assert header["kind"] == "adapter" and len(header["targets"]) == 2
    assert infeng_json("inspect", out, "--verify") == {"verified": True}
    assert "q_proj" in infeng("inspect", out).stdout
    # The digest is of the source: however the base's weights are stored, it is the same model.
    model = ("run", "--greedy", "--max-tokens", 9, "--dtype", "f32", "--model")
    answers = [
        infeng_json(*model, folder / "f32.infq", "--adapter", f"a={path}", "Hi")["ids"]
        for path in (peft, out)
    ]
    assert answers[0] == answers[1]
    other = small.write_huggingface(tmp_path / "other", small.random_weights(1))
    fails_in_one_line(
        "run", "--model", other, "--adapter", f"a={out}", "Hi", names=header["base"]["digest"]
    )
    for arguments, names in (
        (("--recipe", "int8"), "an adapter's are f32, f16"),
        (("--report", tmp_path / "r.csv"), "--report"),
    ):
        fails_in_one_line(
            "convert", "--in", peft, *base, "--out", out, *arguments, names=names, code=2
        )
    fails_in_one_line(
        "convert", "--in", folder / "hf", *base, "--out", tmp_path / "x", names="--base", code=2
    )
    out.write_bytes(out.read_bytes()[:-5])
    fails_in_one_line("inspect", out, names="a.infq")


@pytest.mark.parametrize("what", ["model", "adapter"])
def test_kill_9_leaves_the_old_file_whole(folder: Path, tmp_path: Path, what: str) -> None:
    """A conversion that is killed at any moment: `out` is the old file or the new one, whole."""
    if what == "model":
        source, out, more = folder / "hf", tmp_path / "m.infq", ["--recipe", "f32"]
        new = (folder / "f32.infq").read_bytes()
    else:
        source, out = write_adapter(tmp_path / "a"), tmp_path / "a.infq"
        more = ["--base", str(folder / "int8.infq")]
        assert infeng("convert", "--in", source, "--out", out, *more).returncode == 0
        new = out.read_bytes()
    old = (folder / "int8.infq").read_bytes()
    command = [sys.executable, "-m", "infeng", "convert", "--in", str(source), "--out", str(out)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    started = time.monotonic()
    out.write_bytes(old)
    subprocess.run([*command, *more], env=environment, check=True, capture_output=True)
    whole = time.monotonic() - started
    found = set()
    for part in (0.5, 0.7, 0.8, 0.9, 1.0, 1.2):
        out.write_bytes(old)
        process = subprocess.Popen([*command, *more], env=environment, stdout=subprocess.DEVNULL)
        # While the file is being written, if it is seen; else after that part of the time.
        end = time.monotonic() + part * whole
        while time.monotonic() < end and not list(tmp_path.glob(f".{out.name}.*.tmp")):
            time.sleep(0.0005)
        process.kill()
        process.wait()
        data = out.read_bytes()
        assert data in (old, new)
        found.add(data == new)
        infeng_json("inspect", out)
    assert False in found
