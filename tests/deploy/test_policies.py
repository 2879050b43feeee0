"""What every pod that deploy/ makes must keep, whatever its overlay."""

import os
from typing import Any

import pytest

from service.settings import ENVIRONMENT_PREFIX, Settings
from tests.deploy.kustomizations import (
    ADDITIONS,
    OVERLAYS,
    Manifest,
    environment_of,
    one,
    overlay,
    pod_of,
    with_component,
)

Pod = dict[str, Any]


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    """Those of every overlay, and of overlay `cpu` with every component."""
    added = [with_component(name) for name in ADDITIONS]
    return [manifest for built in [*map(overlay, OVERLAYS), *added] for manifest in built]


@pytest.fixture(scope="module")
def pods(manifests: list[Manifest]) -> list[Pod]:
    return [pod for manifest in manifests if (pod := pod_of(manifest)) is not None]


@pytest.fixture(scope="module")
def containers(pods: list[Pod]) -> list[Pod]:
    found = [container for pod in pods for container in pod["containers"]]
    assert len(found) == len(pods) == len(ADDITIONS) + 7
    return found


@pytest.fixture(scope="module")
def servers(containers: list[Pod]) -> list[Pod]:
    return [container for container in containers if container["name"] != "training"]


def test_every_image_has_a_tag_that_stays(containers: list[Pod]) -> None:
    tags = {container["image"].rpartition(":")[2] for container in containers}

    assert all(tag[0].isdigit() for tag in tags)


def test_every_container_keeps_the_restricted_standard(manifests: list[Manifest]) -> None:
    """Pod Security Standards, `restricted`, with a read-only root file system on top."""
    for manifest in manifests:
        if (pod := pod_of(manifest)) is None:
            continue
        for container in pod["containers"]:
            context = {**pod.get("securityContext", {}), **container["securityContext"]}
            assert context["runAsNonRoot"] is True
            assert context["runAsUser"] > 10_000
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}
            assert context["allowPrivilegeEscalation"] is False
            assert context["privileged"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert all(not {"hostPath"} & volume.keys() for volume in pod["volumes"])


def test_nobody_is_given_a_token_of_the_api_server(manifests: list[Manifest], pods: list[Pod]) -> None:
    # KServe's runtime says nothing of accounts; its InferenceService does.
    owners = [pod for pod in pods if "serviceAccountName" in pod]
    owners += [manifest["spec"]["predictor"] for manifest in manifests if manifest["kind"] == "InferenceService"]
    accounts = [manifest for manifest in manifests if manifest["kind"] == "ServiceAccount"]

    assert len(owners) == len(pods)
    assert all(owner["automountServiceAccountToken"] is False for owner in owners + accounts)
    assert {owner["serviceAccountName"] for owner in owners} == {account["metadata"]["name"] for account in accounts}


def test_no_service_writes_variables_into_pods(pods: list[Pod]) -> None:
    assert all(pod["enableServiceLinks"] is False for pod in pods if "serviceAccountName" in pod)


def test_every_container_has_requests_and_limits(containers: list[Pod]) -> None:
    for container in containers:
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert {"cpu", "memory"} <= container["resources"]["limits"].keys()


def test_every_volume_that_fills_has_a_limit(pods: list[Pod]) -> None:
    assert all("sizeLimit" in volume["emptyDir"] for pod in pods for volume in pod["volumes"] if "emptyDir" in volume)


def test_there_are_as_many_threads_at_work_as_processors(containers: list[Pod], servers: list[Pod]) -> None:
    for container in containers:
        cores = int(container["resources"]["limits"]["cpu"])
        if container in servers:
            assert int(environment_of(container)["SEQRISK_SLOTS"]) + 1 == cores
        else:
            threads = {value for name, value in environment_of(container).items() if "THREADS" in name}
            assert threads == {str(cores)}


def test_probes_ask_what_the_service_promises(servers: list[Pod]) -> None:
    for container in servers:
        asked = {probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")}
        assert asked in (
            {"startup": "/readyz", "readiness": "/readyz", "liveness": "/livez"},
            {"startup": "/v2/health/ready", "readiness": "/v2/health/ready", "liveness": "/v2/health/live"},
        )


def test_the_platform_waits_longer_than_a_start_takes_and_than_the_drain(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        if manifest["kind"] != "Deployment":
            continue
        pod = manifest["spec"]["template"]["spec"]
        container = pod["containers"][0]
        environment, startup = environment_of(container), container["startupProbe"]
        drain = float(environment["SEQRISK_DRAIN_GRACE_SECONDS"]) + float(environment["SEQRISK_DRAIN_TIMEOUT_SECONDS"])
        assert pod["terminationGracePeriodSeconds"] > drain
        assert manifest["spec"]["progressDeadlineSeconds"] > startup["periodSeconds"] * startup["failureThreshold"]


def test_every_variable_is_a_setting_that_the_service_takes(servers: list[Pod]) -> None:
    for container in servers:
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(ENVIRONMENT_PREFIX)]:
                patch.delenv(name)
            for name, value in environment_of(container).items():
                patch.setenv(name, value)
            Settings.from_environment()


def test_canaries_are_asked_for_beside_a_pinned_champion() -> None:
    environment = environment_of(one(overlay("canary"), "Deployment")["spec"]["template"]["spec"]["containers"][0])

    assert environment["SEQRISK_VERSION"] != environment["SEQRISK_CHALLENGER_VERSION"]
    assert 0 < float(environment["SEQRISK_CANARY_SHARE"]) < 0.5


def test_nothing_is_allowed_unless_a_policy_says_so(manifests: list[Manifest]) -> None:
    denied = [manifest["spec"] for manifest in manifests if manifest["metadata"]["name"] == "deny-all"]

    assert all(spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} for spec in denied)
    assert len(denied) == sum(manifest["kind"] == "Namespace" for manifest in manifests) > 0


def test_the_namespace_enforces_the_restricted_standard(manifests: list[Manifest]) -> None:
    namespaces = [manifest["metadata"] for manifest in manifests if manifest["kind"] == "Namespace"]

    assert namespaces
    assert {space["labels"]["pod-security.kubernetes.io/enforce"] for space in namespaces} == {"restricted"}


def test_no_secret_is_written_down(manifests: list[Manifest]) -> None:
    assert not [manifest for manifest in manifests if manifest["kind"] == "Secret"]


def test_keys_can_be_renewed_without_a_restart() -> None:
    pod = one(with_component("api-keys"), "Deployment")["spec"]["template"]["spec"]
    (mount,) = (mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "api-keys")

    assert "subPath" not in mount
    assert environment_of(pod["containers"][0])["SEQRISK_API_KEYS_FILE"].startswith(mount["mountPath"] + "/")


def test_kserve_runs_the_same_container() -> None:
    runtime = one(overlay("kserve"), "ServingRuntime")["spec"]["containers"][0]
    container = one(overlay("cpu"), "Deployment")["spec"]["template"]["spec"]["containers"][0]

    assert runtime["image"] == container["image"]
    assert runtime["resources"] == container["resources"]
    assert environment_of(container).items() <= environment_of(runtime).items()
