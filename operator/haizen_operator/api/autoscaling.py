"""Autoscaling by several metrics (KServe's ``autoScaling``; it acts in Standard mode only)."""

from typing import Literal

from pydantic import Field

from haizen_operator.api.base import Int32, IntOrString, KubernetesModel, Quantity, StringList

MetricTargetType = Literal["Utilization", "Value", "AverageValue"]


class MetricTarget(KubernetesModel):
    """The value a metric is held at."""

    type: MetricTargetType | None = Field(
        default=None, description="How the target is stated: Utilization (percent), Value or AverageValue."
    )
    value: Quantity | None = Field(default=None, description="Target value of the metric, a quantity.")
    average_value: Quantity | None = Field(default=None, description="Target average over all pods, a quantity.")
    average_utilization: Int32 | None = Field(
        default=None, description="Target average over all pods, in percent of what the pods request."
    )


class ResourceMetricSource(KubernetesModel):
    """Scale on the pods' own cpu or memory."""

    name: Literal["cpu", "memory"] = Field(description="The resource: cpu or memory.")
    target: MetricTarget = Field(description="The value to hold.")


class AuthenticationReference(KubernetesModel):
    """Names a KEDA TriggerAuthentication."""

    name: str = Field(description="Name of the TriggerAuthentication.")


class ExternalAuthentication(KubernetesModel):
    """How to log in to the server of an external metric."""

    auth_modes: str | None = Field(default=None, description="Authentication modes, for example bearer or basic.")
    authentication_ref: AuthenticationReference = Field(description="The TriggerAuthentication to use.")


class ExternalMetric(KubernetesModel):
    """A query to a metrics server."""

    backend: Literal["prometheus", "graphite"] | None = Field(default=None, description="The kind of metrics server.")
    server_address: str | None = Field(default=None, description="Address of the metrics server.")
    query: str | None = Field(default=None, description="The query; it must give one number.")
    namespace: str | None = Field(default=None, description="Namespace that the query is limited to.")


class ExternalMetricSource(KubernetesModel):
    """Scale on a metric from outside the pods."""

    metric: ExternalMetric = Field(description="What to ask, and whom.")
    authentication_ref: ExternalAuthentication | None = Field(default=None, description="How to log in.")
    target: MetricTarget = Field(description="The value to hold.")


class PodMetric(KubernetesModel):
    """A metric that the pods publish themselves."""

    backend: Literal["opentelemetry"] | None = Field(default=None, description="The collector: opentelemetry.")
    server_address: str | None = Field(default=None, description="Address of the collector.")
    metric_names: StringList | None = Field(default=None, description="Names of the metrics to collect.")
    query: str | None = Field(default=None, description="The query; it must give one number.")
    operation_over_time: str | None = Field(default=None, description="How samples over time become one number.")


class PodMetricSource(KubernetesModel):
    """Scale on a metric that the pods publish."""

    metric: PodMetric = Field(description="What to collect.")
    target: MetricTarget = Field(description="The value to hold.")


class MetricSpec(KubernetesModel):
    """One metric to scale on."""

    type: Literal["Resource", "External", "PodMetric"] = Field(
        description="Which of resource, external and podmetric is filled in."
    )
    resource: ResourceMetricSource | None = Field(default=None, description="A metric of the pods' own resources.")
    external: ExternalMetricSource | None = Field(default=None, description="A metric from a metrics server.")
    podmetric: PodMetricSource | None = Field(default=None, description="A metric that the pods publish.")


class ScalingPolicy(KubernetesModel):
    """One limit on how fast the number of pods changes."""

    type: str = Field(description="Pods or Percent.")
    value: Int32 = Field(description="How many pods, or percent of the pods, may change in one period.")
    period_seconds: Int32 = Field(description="Length of the period in seconds.")


class ScalingRules(KubernetesModel):
    """How fast to scale in one direction."""

    stabilization_window_seconds: Int32 | None = Field(
        default=None, description="Seconds of past recommendations that are considered before scaling."
    )
    select_policy: str | None = Field(default=None, description="Which policy wins: Max, Min or Disabled.")
    policies: list[ScalingPolicy] | None = Field(default=None, description="Limits on the speed of scaling.")
    tolerance: Quantity | None = Field(default=None, description="Deviation from the target that is let pass.")


class ScalingBehavior(KubernetesModel):
    """How fast to scale up and down."""

    scale_up: ScalingRules | None = Field(default=None, description="Rules for adding pods.")
    scale_down: ScalingRules | None = Field(default=None, description="Rules for removing pods.")


class AutoScalingSpec(KubernetesModel):
    """KServe's ``autoScaling``: metrics and the speed of scaling."""

    metrics: list[MetricSpec] | None = Field(default=None, description="The metrics to scale on.")
    behavior: ScalingBehavior | None = Field(default=None, description="How fast to scale up and down.")


class RollingUpdate(KubernetesModel):
    """How many pods a rolling update may add and take away."""

    max_surge: IntOrString | None = Field(default=None, description="Pods above the wanted number: a count or percent.")
    max_unavailable: IntOrString | None = Field(
        default=None, description="Pods below the wanted number: a count or percent."
    )


class DeploymentStrategy(KubernetesModel):
    """Kubernetes' DeploymentStrategy; it acts in Standard mode only."""

    type: str | None = Field(default=None, description="RollingUpdate or Recreate.")
    rolling_update: RollingUpdate | None = Field(default=None, description="Limits of a rolling update.")
