"""The tokenizer.json files of well-known models (tokenizers.MODULE.bazel), as targets use them."""

def tokenizer_files(families):
    """Labels of the files of families, for `data`.

    Args:
      families: names of models, as in @tokenizer_NAME

    Returns:
      a list of labels
    """
    return ["@tokenizer_{}//:files".format(family) for family in families]

def tokenizer_env(families):
    """Variables that name the files of families to a program: INFENG_TEST_TOKENIZER_NAME.

    Args:
      families: names of models, whose tokenizer_files() are in `data`

    Returns:
      a dict for `env`
    """
    return {
        "INFENG_TEST_TOKENIZER_" + family.upper(): "$(rootpaths @tokenizer_{}//:files)".format(family)
        for family in families
    }

def tokenizer_index(name, families, **kwargs):
    """NAME.txt, in which lines tell where the files of models are among the run files; the default model's first.

    Args:
      name: the target
      families: names of models, whose tokenizer_files() are in `data` of whoever reads it
      **kwargs: passed to the genrule
    """
    default = "//testdata/model:tokenizer"
    lines = ["echo smollm2 $(rootpath {})".format(default)] + [
        "echo {family} $(rootpaths @tokenizer_{family}//:files)".format(family = family)
        for family in families
    ]
    native.genrule(
        name = name,
        srcs = [default] + tokenizer_files(families),
        outs = [name + ".txt"],
        cmd = "({}) > $@".format("; ".join(lines)),
        **kwargs
    )
