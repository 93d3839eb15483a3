"""The policy: which tokens of which requests each step computes. Pure: no clock, file or thread."""

from infeng.sched.plan import Cut, Ended, Fork, Free, Plan, Row
from infeng.sched.prefix import PrefixCache
from infeng.sched.request import Limits, QueueFull, Request, TooLong
from infeng.sched.residency import Residency, Version
from infeng.sched.scheduler import Scheduler

__all__ = [
    "Cut",
    "Ended",
    "Fork",
    "Free",
    "Limits",
    "Plan",
    "PrefixCache",
    "QueueFull",
    "Request",
    "Residency",
    "Row",
    "Scheduler",
    "TooLong",
    "Version",
]
