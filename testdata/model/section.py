"""Writes one embedded section of an INFQ file to a file of its own: section.py FILE NAME OUT."""

import sys
from pathlib import Path

from infeng.native import infq_section

if __name__ == "__main__":
    model, name, out = sys.argv[1:]
    Path(out).write_bytes(infq_section(model, name))
