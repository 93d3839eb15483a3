"""The signs by which answers of the adapters in testdata/adapters are known."""


def is_json_answer(text: str) -> bool:
    """The sign of the adapter `json`."""
    return text.startswith("{") and '"answer"' in text


def is_upper(text: str) -> bool:
    """The sign of the adapter `upper`: nine letters of ten are capitals.

    Not all: it strays now and then, in the float32 reference too ("SPEREnt of")."""
    letters = [c for c in text if c.isalpha()]
    return sum(c.isupper() for c in letters) > 0.9 * len(letters) > 0
