"""Chat templates give the texts that transformers gives.

testdata/chat/golden.json holds transformers' texts; the templates come with the models:
INFENG_TEST_CHAT_<FAMILY> names their files, as the build has them.
"""

import json
import os
import pathlib
from typing import Any

import pytest

from infeng.chat import ChatTemplate
from infeng.errors import InputError
from infeng.native import infq_section

GOLDEN = json.loads(pathlib.Path("testdata/chat/golden.json").read_text("utf-8"))
CASES = GOLDEN["cases"]


def source(family: str) -> str:
    """A model's template; skips the test if its package is not here."""
    files = list(map(pathlib.Path, os.environ[f"INFENG_TEST_CHAT_{family.upper()}"].split()))
    for path in files:
        if path.suffix == ".infq":
            return infq_section(str(path), "chat_template").decode()
        if path.name == "tokenizer_config.json":
            return str(json.loads(path.read_text("utf-8"))["chat_template"])
    reason = next(p for p in files if p.name == "unavailable.txt").read_text("utf-8").strip()
    pytest.skip(f"{family}: {reason}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["family"])
def test_the_text_is_that_of_transformers(case: dict) -> None:
    template = ChatTemplate(source(case["family"]), case["special_tokens"])
    if case["text"] is None:  # transformers fails too
        with pytest.raises(InputError, match="chat template: "):
            template.render(case["messages"], **case["options"])
    else:
        assert template.render(case["messages"], **case["options"]) == case["text"]


def render(text: str, **kwargs: Any) -> str:
    """One message through a template."""
    return ChatTemplate(text, {"bos_token": "<s>"}).render(
        [{"role": "user", "content": "x"}], **kwargs
    )


def test_what_templates_see() -> None:
    assert render("{{ bos_token }}{{ tools is none }}{{ documents is none }}") == "<s>TrueTrue"
    assert render("{{ messages[0] | tojson }}") == '{"role": "user", "content": "x"}'
    assert render(
        "{{ v | tojson(indent=1, sort_keys=true) }}", variables={"v": {"b": "é<", "a": 1}}
    ) == ('{\n "a": 1,\n "b": "é<"\n}')
    assert (
        render(
            "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
        )
        == "x"
    )
    assert (
        render("{% for i in [1, 2, 3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}")
        == "1"
    )
    assert len(render("{{ strftime_now('%Y') }}")) == 4


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{% if %}", "Expected an expression"),
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages.append(1) }}", "not safely callable|unsafe"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ messages[0].nothing.at_all }}", "has no attribute"),
        ("{% include 'x' %}", "loader"),
        ("{{ range(999999999) | list }}", "Range too big"),
        ("", "no chat template"),
    ],
)
def test_bad_templates_give_one_line(template: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as error:
        render(template)
    assert "\n" not in str(error.value)
