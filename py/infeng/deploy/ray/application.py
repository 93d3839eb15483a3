"""The application of Ray Serve: an ingress, and replicas of the model."""

from __future__ import annotations

from typing import Any

import ray
from ray import serve
from ray.serve.config import DeploymentActorConfig

from infeng.deploy.ray.catalogue import Catalogue
from infeng.deploy.ray.ingress import Ingress
from infeng.deploy.ray.replica import CATALOGUE, Replica
from infeng.deploy.ray.settings import Settings
from infeng.serve.adapters import model_name

_MANY = 100_000


def build(settings: Settings) -> serve.Application:
    """What `serve run` and `serve.run` take."""
    s = settings
    spread: dict[str, Any] = {}
    if s.replicas_per_node is not None:
        spread["max_replicas_per_node"] = s.replicas_per_node
    model = serve.deployment(
        name="Model",
        num_replicas=s.replicas,
        ray_actor_options={"num_cpus": s.threads},
        # Its own queue is the one that refuses; beyond it requests wait at the ingress.
        max_ongoing_requests=s.max_running + s.max_queue,
        max_queued_requests=s.max_queue,
        # Answers under way end when a replica is taken down on purpose.
        graceful_shutdown_timeout_s=s.timeout,
        graceful_shutdown_wait_loop_s=0.5,
        health_check_period_s=5,
        deployment_actors=[
            DeploymentActorConfig(
                name=CATALOGUE,
                actor_class=ray.remote(Catalogue),
                actor_options={"num_cpus": 0},
            )
        ],
        **spread,
    )(Replica)
    ingress = serve.deployment(
        name="Ingress",
        num_replicas=s.ingress,
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=_MANY,  # the replicas say what is too much
        graceful_shutdown_timeout_s=s.timeout,
    )(Ingress)
    replicas = model.bind(s.model_dump())
    return ingress.bind(replicas, model_name(s.served_model_name, s.model))
