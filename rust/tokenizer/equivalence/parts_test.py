"""Each normalizer, pre-tokenizer, post-processor and decoder by itself, with all its options.

The model knows no token, so each word is one: tokens show the text of words, offsets where they
come from.
"""

import base64
import random
import struct

import pytest
from pairs import CLS_SEP, Pair, added, same_encoding, template
from texts import code_points, in_chunks, nasty_strings

UNKNOWN = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0]]}
BOTH = (False, True)
EACH = {"type": "FixedLength", "length": 1}


def document(**parts):
    """A tokenizer of unknown words."""
    return {"version": "1.0", "added_tokens": [], "model": UNKNOWN} | parts


def charsmap(entries):
    """A precompiled_charsmap: for tests, a trie whose nodes lie far apart."""
    nodes = {b"": None}
    for key in entries:
        for i in range(len(key)):
            nodes.setdefault(key[: i + 1])
    blob = b""
    values = {}
    for key, text in entries.items():
        values[key] = len(blob)
        blob += text.encode() + b"\0"
    # Children of a node lie at (node's block ^ label); a block is 256 units.
    blocks = {node: (i + 1) * 256 for i, node in enumerate(nodes)}
    units = [0] * (256 * (len(nodes) + 2))
    place = {b"": 0}
    for node in nodes:
        if node:
            place[node] = blocks[node[:-1]] ^ node[-1]
    for node, at in place.items():
        label = node[-1] if node else 0
        offset = at ^ blocks[node]
        units[at] = label | (offset << 10) | ((node in values) << 8)
        assert offset < 1 << 21
        if node in values:
            units[blocks[node]] = values[node] | 1 << 31
    trie = struct.pack(f"<{len(units)}I", *units)
    return base64.b64encode(struct.pack("<I", len(trie)) + trie + blob).decode()


CHARSMAP = charsmap({b"\xef\xac\x81": "fi", b"A": "a", b"e\xcc\x81": "\u00e9", b"\xc2\xad": ""})


def normalizer(kind, **options):
    """A normalizer of that type."""
    return {"type": kind} | options


def bert(**options):
    """A BertNormalizer."""
    defaults = {"clean_text": True, "handle_chinese_chars": True, "strip_accents": None}
    return normalizer("BertNormalizer", **(defaults | {"lowercase": True} | options))


NORMALIZERS = [
    *[normalizer(kind) for kind in ("NFC", "NFD", "NFKC", "NFKD", "Nmt", "ByteLevel")],
    *[normalizer(kind) for kind in ("StripAccents", "Lowercase")],
    *[normalizer("Strip", strip_left=a, strip_right=b) for a in BOTH for b in BOTH],
    bert(),
    bert(clean_text=False, lowercase=False),
    bert(strip_accents=False, handle_chinese_chars=False),
    bert(strip_accents=True, lowercase=False),
    normalizer("Prepend", prepend="▁"),
    normalizer("Prepend", prepend="xy"),
    normalizer("Replace", pattern={"String": " "}, content="▁"),
    normalizer("Replace", pattern={"String": "a"}, content=""),
    normalizer("Replace", pattern={"Regex": r"\s+|\d"}, content="<é>"),
    normalizer("Replace", pattern={"Regex": r"(?<=a)b*"}, content="-"),
    normalizer("Precompiled", precompiled_charsmap=CHARSMAP),
    normalizer(
        "Sequence",
        normalizers=[
            normalizer("Prepend", prepend="▁"),
            normalizer("NFKC"),
            normalizer("Strip", strip_left=True, strip_right=True),
            normalizer("Lowercase"),
            normalizer("Replace", pattern={"String": " "}, content="▁"),
        ],
    ),
]


@pytest.mark.parametrize("part", NORMALIZERS, ids=lambda n: n["type"])
def test_normalizers(part):
    pair = Pair(document(normalizer=part, pre_tokenizer=EACH))
    pair.check_encodings(list(nasty_strings(21, 1000)))
    # Each after a letter, and after a mark that may change places with it.
    chunks = list(in_chunks((c for c in code_points(0, 1) if ord(c) < 0x1F000), 64))
    texts = ["".join(f"a\u0323{c}" for c in chunk) for chunk in chunks]
    for text in texts:
        assert "".join(pair.ours.encoding(text).tokens) == pair.reference.normalizer.normalize_str(
            text
        )
    pair.check_encodings(texts[::25])


BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def pre_tokenizer(kind, **options):
    """A pre-tokenizer of that type."""
    return {"type": kind} | options


def split(regex, behavior="Isolated", invert=False):
    """A Split."""
    pattern = {"Regex": regex}
    return pre_tokenizer("Split", pattern=pattern, behavior=behavior, invert=invert)


def metaspace(scheme, split):
    """A Metaspace."""
    return pre_tokenizer("Metaspace", replacement="▁", prepend_scheme=scheme, split=split)


PRE_TOKENIZERS = [
    *[pre_tokenizer(kind) for kind in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")],
    pre_tokenizer("UnicodeScripts"),
    *[pre_tokenizer("Punctuation", behavior=b) for b in BEHAVIORS],
    *[pre_tokenizer("Digits", individual_digits=b) for b in (False, True)],
    *[pre_tokenizer("FixedLength", length=n) for n in (1, 3, 5)],
    pre_tokenizer("CharDelimiterSplit", delimiter="-"),
    *[metaspace(scheme, b) for scheme in ("first", "always", "never") for b in (False, True)],
    *[
        pre_tokenizer("ByteLevel", add_prefix_space=a, trim_offsets=True, use_regex=b)
        for a in (False, True)
        for b in (False, True)
    ],
    *[split(r"\s|é", b, i) for b in BEHAVIORS for i in (False, True)],
    *[
        pre_tokenizer("Split", pattern={"String": s}, behavior=b, invert=False)
        for s in (" ", "ab", ".")
        for b in BEHAVIORS
    ],
    *[
        split(regex)
        for regex in (r"\p{Han}+|\p{M}", r"[\p{Lu}\p{P}]", r"\b", r"^.|.$", r"(?i:k|s)+")
    ],
    *[
        split(regex)
        for regex in (r"a*", r"\w++|\h", r"[^\S\n]{2,3}?", r"(?<!a)\p{^L}", r"[a-z&&[^aeiou]]+")
    ],
    pre_tokenizer(
        "Sequence",
        pretokenizers=[
            pre_tokenizer("WhitespaceSplit"),
            metaspace("always", True),
            pre_tokenizer("Digits", individual_digits=True),
            pre_tokenizer("ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True),
            pre_tokenizer("Punctuation", behavior="Contiguous"),
        ],
    ),
]


@pytest.mark.parametrize("part", PRE_TOKENIZERS, ids=lambda p: p["type"])
def test_pre_tokenizers(part):
    pair = Pair(document(pre_tokenizer=part))
    pair.check_encodings(list(nasty_strings(22, 600)))
    tokens = [added("<x>", 1, normalized=False), added("é", 2, normalized=True)]
    pair = Pair(document(pre_tokenizer=part, normalizer=normalizer("NFD"), added_tokens=tokens))
    pair.check_encodings([f"{a}<x> {a}é{a}" for a in nasty_strings(23, 150)])


CLASSES = [
    r"\w",
    r"\s",
    r"\d",
    r"\h",
    r"\S",
    ".",
    r"\p{L}",
    r"\p{Lu}",
    r"\p{Ll}",
    r"\p{M}",
    r"\p{N}",
]
CLASSES += [r"\p{P}", r"\p{S}", r"\p{Z}", r"\p{C}", r"\p{Han}", r"\p{Hiragana}", r"\p{Arabic}"]
CLASSES += [r"[^\p{L}\s]", r"(?i:[ks])", r"(?i:e)"]


@pytest.mark.parametrize("regex", CLASSES)
def test_classes_of_the_regex_engine(regex):
    pair = Pair(document(pre_tokenizer=split(regex)))
    for chunk in in_chunks(code_points(0, 1, 2, 14), 4096):
        text = "".join(chunk)
        assert pair.ours.encoding(text).tokens == pair.reference.encode(text).tokens


def test_lowercase_and_scripts_of_every_code_point():
    for parts in (
        {"normalizer": normalizer("Lowercase"), "pre_tokenizer": EACH},
        {"pre_tokenizer": pre_tokenizer("UnicodeScripts")},
        {"normalizer": normalizer("NFKC"), "pre_tokenizer": EACH},
        {"normalizer": bert(), "pre_tokenizer": pre_tokenizer("BertPreTokenizer")},
    ):
        pair = Pair(document(**parts))
        for chunk in in_chunks(code_points(0, 1, 2, 3, 14), 4096):
            text = "".join(chunk)
            want, got = pair.reference.encode(text), pair.ours.encoding(text)
            assert got.tokens == want.tokens
            assert list(map(tuple, got.offsets.tolist())) == want.offsets


def byte_level(trim, prefix):
    """A ByteLevel post-processor."""
    return {"type": "ByteLevel", "trim_offsets": trim, "add_prefix_space": prefix}


ADDED = [added("cls", 1, special=True), added("sep", 2, special=True)]
TEMPLATE = CLS_SEP | {
    "pair": [
        {"SpecialToken": {"id": "cls", "type_id": 3}},
        {"Sequence": {"id": "B", "type_id": 1}},
        {"SpecialToken": {"id": "sep", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 2}},
    ],
    "special_tokens": {
        "cls": {"id": "cls", "ids": [1, 2], "tokens": ["cls", "sep"]},
        "sep": {"id": "sep", "ids": [2], "tokens": ["sep"]},
    },
}
NAMED = {"sep": ["sep", 2], "cls": ["cls", 1]}
POST_PROCESSORS = [
    None,
    byte_level(True, True),
    byte_level(True, False),
    byte_level(False, False),
    TEMPLATE,
    template("A", special={}),
    {"type": "BertProcessing"} | NAMED,
    {"type": "RobertaProcessing", "trim_offsets": True, "add_prefix_space": True} | NAMED,
    {"type": "RobertaProcessing", "trim_offsets": False, "add_prefix_space": False} | NAMED,
    {"type": "Sequence", "processors": [byte_level(True, False), TEMPLATE]},
    {"type": "Sequence", "processors": [TEMPLATE, byte_level(True, False)]},
]
TRUNCATIONS = [
    None,
    *[
        {"direction": d, "max_length": n, "strategy": s, "stride": stride}
        for d in ("Left", "Right")
        for n, stride in ((5, 0), (9, 2), (4, 0))
        for s in ("LongestFirst", "OnlyFirst", "OnlySecond")
    ],
]
PADDINGS = [
    None,
    *[
        {
            "strategy": strategy,
            "direction": direction,
            "pad_to_multiple_of": multiple,
            "pad_id": 7,
            "pad_type_id": 5,
            "pad_token": "[PAD]",
        }
        for strategy in ("BatchLongest", {"Fixed": 6})
        for direction in ("Left", "Right")
        for multiple in (None, 4)
    ],
]


@pytest.mark.parametrize("post_processor", POST_PROCESSORS)
def test_post_processors_truncation_padding(post_processor):
    rng = random.Random(24)
    texts = ["", "a", " a b", "a b c d e f", "  x  ", "a b c d e f g h i j k l m n o"]
    texts += list(nasty_strings(25, 20))
    pre = pre_tokenizer("ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True)
    for truncation in TRUNCATIONS:
        for padding in PADDINGS if truncation is None else rng.sample(PADDINGS, 3):
            source = document(
                pre_tokenizer=pre,
                post_processor=post_processor,
                truncation=truncation,
                padding=padding,
                added_tokens=ADDED,
            )
            try:
                pair = Pair(source)
            except ValueError as error:
                # The reference loads it, and wraps around below zero when it truncates.
                assert "leaves no room" in str(error) and truncation["max_length"] <= 5
                continue
            batch = [*texts, *((rng.choice(texts), rng.choice(texts)) for _ in range(30))]
            for special in (True, False):
                check_one_by_one(pair, batch, special)
            if truncation is None:
                pair.check_encodings(batch)


def check_one_by_one(pair, batch, special):
    """What one refuses the other refuses."""
    for item in batch:
        both = item if isinstance(item, tuple) else (item,)
        try:
            want = pair.reference.encode(*both, add_special_tokens=special)
        except BaseException:
            with pytest.raises(ValueError, match="truncation"):
                pair.ours.encoding(*both, add_special_tokens=special)
            continue
        try:
            got = pair.ours.encoding(*both, add_special_tokens=special)
        except ValueError as error:
            # The reference wraps around below zero and does not truncate at all.
            assert "leaves no room" in str(error)
            continue
        same_encoding(item, want, got)
        if len(both) == 1:
            assert pair.ours.encode(item, add_special_tokens=special).tolist() == want.ids


VOCAB = [
    "a",
    "##b",
    "▁c",
    "▁▁d▁",
    "<0xE6>",
    "<0xBC>",
    "<0xA2>",
    "<0x41>",
    "é</w>",
    "f</w>g",
    "|",
    "n't",
]
VOCAB += [
    " .",
    "do not",
    "<pad>",
    "Ġh",
    "Ã",
    "©",
    "漢",
    "",
    " ",
    "▁",
    "x|y",
    "'",
    "<0xZZ>",
    "  i  ",
]
REPLACE = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": True,
    "trim_offsets": True,
    "use_regex": True,
}
DECODERS = [
    None,
    BYTE_LEVEL,
    {"type": "WordPiece", "prefix": "##", "cleanup": True},
    {"type": "WordPiece", "prefix": "##", "cleanup": False},
    *[
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": True}
        for scheme in ("first", "always", "never")
    ],
    {"type": "BPEDecoder", "suffix": "</w>"},
    {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True},
    {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": False},
    {"type": "ByteFallback"},
    {"type": "Fuse"},
    REPLACE,
    {"type": "Replace", "pattern": {"Regex": r"[a-c]|\s"}, "content": "<>"},
    {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    {"type": "Strip", "content": "▁", "start": 2, "stop": 0},
    *[
        {
            "type": "Sequence",
            "decoders": [REPLACE, {"type": "ByteFallback"}, {"type": "Fuse"}, *end],
        }
        for end in ([], [{"type": "Strip", "content": " ", "start": 1, "stop": 0}])
    ],
    # With both ends the reference panics on a short text.
    {
        "type": "Sequence",
        "decoders": [{"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 2, "stop": 0}],
    },
]


@pytest.mark.parametrize("decoder", DECODERS)
def test_decoders(decoder):
    model = {"type": "WordLevel", "unk_token": "a", "vocab": {t: i for i, t in enumerate(VOCAB)}}
    tokens = [added("<s>", len(VOCAB), special=True), added("É", len(VOCAB) + 1)]
    pair = Pair(
        document(model=model, decoder=decoder, added_tokens=tokens, normalizer=normalizer("NFD"))
    )
    rng = random.Random(26)
    for _ in range(5000):
        ids = rng.choices(range(len(VOCAB) + 2), k=rng.randrange(1, 8))
        pair.check_decode(ids, stream=decoder == BYTE_LEVEL)
