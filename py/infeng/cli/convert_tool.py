"""`infeng convert` as a program of its own, for build actions."""

import sys

from infeng.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["convert", *sys.argv[1:]]))
