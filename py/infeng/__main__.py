"""python -m infeng"""

import sys

from infeng.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
