"""infeng on a Ray cluster: `serve run infeng.deploy.ray:build`."""

from infeng.deploy.ray.application import build
from infeng.deploy.ray.settings import Settings

__all__ = ["Settings", "build"]
