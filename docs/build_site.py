"""Builds the site: lays the pages out as they lie in the repository, so that their links hold,
and runs MkDocs over them. Any warning is an error: a link that leads nowhere, a page that the
navigation lacks.

build_site.py --config mkdocs.yml --out FOLDER PAGE=FILE...
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

# Times of files and in pages; before MkDocs is imported, which reads it.
os.environ["SOURCE_DATE_EPOCH"] = "0"

from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("pages", nargs="+", metavar="PAGE=FILE")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for page, _, file in (p.partition("=") for p in args.pages):
            place = Path(folder, page)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
        config = load_config(str(args.config), docs_dir=folder, site_dir=str(args.out.absolute()))
        config.plugins.on_startup(command="build", dirty=False)
        try:
            build(config)
        except Abort as e:
            sys.exit(str(e))
        finally:
            config.plugins.on_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
