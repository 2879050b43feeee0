import copy

import kubernetes_validate
import pytest

from tests.deploy.kustomizations import ADDITIONS, OVERLAYS, Manifest, one, overlay, with_component

SUPPORTED = ("1.34", "1.35", "1.36", "1.37")
# Kinds of the Prometheus operator, KEDA and KServe, whose schemas Kubernetes does not have.
CUSTOM_KINDS = {"InferenceService", "PodMonitor", "PrometheusRule", "ScaledObject", "ServingRuntime"}


def check(manifests: list[Manifest], version: str) -> None:
    for manifest in manifests:
        if manifest["kind"] not in CUSTOM_KINDS:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_every_overlay_that_is_promised_is_there() -> None:
    assert set(OVERLAYS) == {"cpu", "gpu", "canary", "keda", "kserve", "monitoring", "training"}


@pytest.mark.parametrize("version", SUPPORTED)
@pytest.mark.parametrize("name", OVERLAYS)
def test_every_overlay_keeps_the_schema_of_kubernetes(name: str, version: str) -> None:
    check(overlay(name), version)


@pytest.mark.parametrize("component", ADDITIONS)
def test_every_component_goes_with_the_overlay_for_processors(component: str) -> None:
    manifests = with_component(component)

    for version in SUPPORTED:
        check([one(manifests, "Deployment")], version)
    assert one(manifests, "Deployment") != one(overlay("cpu"), "Deployment")


def test_a_field_that_is_no_field_would_be_found() -> None:
    manifest = copy.deepcopy(one(overlay("cpu"), "Deployment"))
    manifest["spec"]["replica"] = 2

    with pytest.raises(kubernetes_validate.ValidationError):
        check([manifest], "1.37")


@pytest.mark.parametrize("name", OVERLAYS)
def test_everything_lives_in_one_namespace(name: str) -> None:
    assert {manifest["metadata"].get("namespace") for manifest in overlay(name) if manifest["kind"] != "Namespace"} == {
        "seqrisk"
    }


@pytest.mark.parametrize("name", [name for name in OVERLAYS if name not in {"kserve", "monitoring", "training"}])
def test_the_service_the_budget_and_the_policy_select_the_pods(name: str) -> None:
    manifests = overlay(name)
    deployment, service = one(manifests, "Deployment"), one(manifests, "Service")
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"].items()

    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels
    assert service["spec"]["selector"].items() <= labels
    assert one(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items() <= labels
    assert one(manifests, "NetworkPolicy", "allow-clients")["spec"]["podSelector"]["matchLabels"].items() <= labels
    assert service["spec"]["ports"][0]["targetPort"] in [port["name"] for port in pod["spec"]["containers"][0]["ports"]]


def test_no_training_pod_is_sent_requests() -> None:
    selector = one(overlay("cpu"), "Service")["spec"]["selector"]
    training = one(overlay("training"), "Job")["spec"]["template"]["metadata"]["labels"]

    assert not selector.items() <= training.items()


def test_training_publishes_to_the_volume_that_is_served() -> None:
    pod = one(overlay("training"), "Job")["spec"]["template"]["spec"]
    served = one(with_component("repository-volume"), "Deployment")["spec"]["template"]["spec"]
    claims = [
        [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in spec["volumes"]
            if "persistentVolumeClaim" in volume
        ]
        for spec in (pod, served)
    ]

    assert claims[0] == claims[1] == [one(overlay("training"), "PersistentVolumeClaim")["metadata"]["name"]]


def test_the_schedule_trains_as_the_first_job_does_and_publishes_nothing_worse() -> None:
    first = one(overlay("training"), "Job")["spec"]["template"]["spec"]
    scheduled = one(overlay("training"), "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]

    (first_container,), (scheduled_container,) = first["containers"], scheduled["containers"]
    assert first_container == scheduled_container
    assert {**first, "containers": []} == {**scheduled, "containers": []}


@pytest.mark.parametrize("version", SUPPORTED)
def test_what_kserve_makes_pods_of_keeps_the_schema_of_pods(version: str) -> None:
    runtime = one(overlay("kserve"), "ServingRuntime")["spec"]
    predictor = one(overlay("kserve"), "InferenceService")["spec"]["predictor"]
    own = {"minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "model"}
    spec = {key: value for key, value in predictor.items() if key not in own}
    spec |= {key: runtime[key] for key in ("containers", "volumes")}

    check([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "predictor"}, "spec": spec}], version)


def test_keda_scales_as_the_autoscaler_does() -> None:
    autoscaler, scaled = one(overlay("cpu"), "HorizontalPodAutoscaler"), one(overlay("keda"), "ScaledObject")
    wait, processor = scaled["spec"]["triggers"]

    assert not [manifest for manifest in overlay("keda") if manifest["kind"] == "HorizontalPodAutoscaler"]
    assert (scaled["spec"]["minReplicaCount"], scaled["spec"]["maxReplicaCount"]) == (
        autoscaler["spec"]["minReplicas"],
        autoscaler["spec"]["maxReplicas"],
    )
    assert scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == autoscaler["spec"]["behavior"]
    pods, resource = autoscaler["spec"]["metrics"]
    assert pods["pods"]["target"]["averageValue"] == f"{float(wait['metadata']['threshold']) * 1000:g}m"
    assert str(resource["resource"]["target"]["averageUtilization"]) == processor["metadata"]["value"]
