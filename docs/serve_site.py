"""Shows the site at http://127.0.0.1:PORT.

tools/bazel run //docs:serve -- --port 8100
"""

import argparse
import functools
import http.server
import os
import sys


def main() -> int:
    parser = argparse.ArgumentParser(prog="//docs:serve", description=__doc__)
    parser.add_argument("--port", type=int, default=8100, help="default: 8100; 0: a free one")
    args = parser.parse_args()
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", args.port), handler) as server:
        print(f"the site is at http://127.0.0.1:{server.server_port}/ (Ctrl-C ends)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
