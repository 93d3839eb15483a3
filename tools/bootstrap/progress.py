"""Progress of a long job on stderr, on a terminal or in a log."""

import sys
import threading
import time

TERMINAL_PERIOD = 0.2  # seconds between updates of the one line
LOG_PERIOD = 10.0  # seconds between lines


class Progress:
    """Context manager; shows how many of `total` bytes are done, and a final line.

    add() may be called from any thread."""

    def __init__(self, label, total, stream=None):
        self._label = label
        self._total = total
        self._stream = stream or sys.stderr
        self._done = 0
        self._mutex = threading.Lock()
        self._stop = threading.Event()
        self._terminal = self._stream.isatty()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def add(self, count):
        """Counts bytes done; negative when some must be done again."""
        with self._mutex:
            self._done += count

    def __enter__(self):
        self._start = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, kind, value, traceback):
        self._stop.set()
        self._thread.join()
        if kind is None:
            seconds = time.monotonic() - self._start
            self._show(f"{self._label}: {self._done / 1e6:.1f} MB in {seconds:.1f} s", end="\n")
        elif self._terminal:
            self._show("", end="")

    def _tick(self):
        while not self._stop.wait(TERMINAL_PERIOD if self._terminal else LOG_PERIOD):
            share = 100 * self._done // self._total if self._total else 100
            self._show(
                f"{self._label}: {self._done / 1e6:.0f} of {self._total / 1e6:.0f} MB ({share} %)",
                end="" if self._terminal else "\n",
            )

    def _show(self, text, end):
        # Return to the line's start and clear what was there.
        self._stream.write(("\r\x1b[K" if self._terminal else "") + text + end)
        self._stream.flush()
