"""A small workspace with the project's own toolchains, and a Bazel to run in it.

The workspace is a copy: MODULE.bazel, toolchains/, third_party/, the presets and the launcher as
they are, and fixture/ as its only package. Packages come from the launcher's cache, which
the Bazel that runs this test has filled.
"""

import json
import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
# RUNFILES/_main/tools/integration
RUNFILES = HERE.parent.parent


def _cache_home() -> Path:
    """XDG_CACHE_HOME of the launcher whose Bazel runs this test, by where its outputs lie."""
    for folder in Path(os.path.realpath(__file__)).parents:
        if folder.name == "infeng" and (folder / "archives").is_dir():
            return folder.parent
    return Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache"


def remove(folder: Path) -> None:
    """Deletes a tree in which Bazel made folders read-only."""
    for parent, names, _ in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                os.chmod(path, os.stat(path).st_mode | stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)


class Workspace:
    """A copy of the workspace at `folder` and a Bazel with its own output root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "workspace"
        self._root = folder / "output"
        for name in ("toolchains", "third_party", "tools", "rust"):
            shutil.copytree(
                RUNFILES / name,
                self.folder / name,
                symlinks=False,
                ignore=shutil.ignore_patterns("integration", "hermetic", "pytest", "__pycache__"),
            )
        for name in (".bazelrc", ".bazelversion", "MODULE.bazel"):
            shutil.copy(RUNFILES / name, self.folder / name)
        shutil.copytree(HERE / "fixture", self.folder / "fixture")
        (self.folder / "fixture/BUILD.bazel.in").rename(self.folder / "fixture/BUILD.bazel")
        (self.folder / "BUILD.bazel").touch()
        (self.folder / "tools/BUILD.bazel").touch()
        # Its own BUILD file has tests, which belong to the outer workspace.
        (self.folder / "tools/bootstrap/BUILD.bazel").write_text('exports_files(glob(["**"]))\n')

    def bazel(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs the workspace's own launcher."""
        home = pwd.getpwuid(os.getuid()).pw_dir
        done = subprocess.run(
            [
                str(self.folder / "tools/bazel"),
                f"--output_user_root={self._root}",
                "--max_idle_secs=60",
                *arguments,
            ],
            cwd=self.folder,
            env={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "HOME": home,
                "XDG_CACHE_HOME": str(_cache_home()),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"bazel {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}")
        return done

    def runners(self, *arguments: str) -> dict[str, int]:
        """How many actions of a build or test were run by what: sandbox, caches, ..."""
        events = self.folder / "events.json"
        events.unlink(missing_ok=True)
        self.bazel(*arguments, f"--build_event_json_file={events}")
        for line in events.read_text().splitlines():
            metrics = json.loads(line).get("buildMetrics")
            if metrics:
                return {r["name"]: int(r["count"]) for r in metrics["actionSummary"]["runnerCount"]}
        raise AssertionError("the build told no metrics")

    def close(self) -> None:
        """Stops the server and deletes everything."""
        self.bazel("shutdown", check=False)
        remove(self._root)
        remove(self.folder)
