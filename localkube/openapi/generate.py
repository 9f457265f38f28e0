#!/usr/bin/env python3
"""Writes what the API server says about its kinds in words.

    python3 localkube/openapi/generate.py SOURCE            write schemas.json.gz and columns.json
    python3 localkube/openapi/generate.py SOURCE --check    exit 1 when the committed files are not current

SOURCE is kubernetes-validate's wheel from PyPI (1.36 or newer), which carries the schemas of Kubernetes' own OpenAPI
document:

    pip download --no-deps kubernetes-validate

schemas.json.gz holds the schemas of the stable versions as the API server publishes them at /openapi/v3; columns.json
holds the columns of tables, whose descriptions Kubernetes takes from the same place.
"""

import argparse
import gzip
import io
import json
import pathlib
import sys
import zipfile

VERSION = "v1.36.0-local"
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
# What the served versions refer to; anything else is an unstable version.
UNSTABLE = ("alpha", "beta")
# Written as strings or numbers in the wheel, with the formats that tell them apart in Kubernetes' own document.
SPECIAL = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "description": "IntOrString is a type that can hold an int32 or a string.",
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {
        "description": "Quantity is a fixed-point representation of a number.",
        "oneOf": [{"type": "string"}, {"type": "number"}],
    },
}


def openapi(schema, owner=None):
    """A JSON schema of the wheel as OpenAPI 3.0 has it."""
    if isinstance(schema, list):
        return [openapi(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, list):
            out[key] = next(name for name in value if name != "null")
        elif key == "enum" and owner in ("apiVersion", "kind"):
            continue
        elif key == "$ref":
            out[key] = value.replace("#/$defs/", "#/components/schemas/")
        elif key == "properties":
            out[key] = {name: property_of(name, item) for name, item in value.items()}
        else:
            out[key] = openapi(value)
    return out


def property_of(name, schema):
    out = openapi(schema, name)
    if "$ref" in out and len(out) > 1:
        target = out.pop("$ref")
        scalar = target.endswith((".Time", ".MicroTime", ".Quantity", ".IntOrString", ".FieldsV1", ".RawExtension"))
        out["allOf"] = [{"$ref": target}]
        if name in ("metadata", "spec", "status", "template") and not scalar:
            out["default"] = {}
    return out


def schemas(definitions):
    result = {}
    for name, schema in definitions.items():
        if any(word in name.split(".")[-2] for word in UNSTABLE):
            continue
        result[name] = SPECIAL.get(name) or openapi(schema)
    return result


NAME = ("Name", "string", "name", 0, META + "ObjectMeta.name")
AGE = ("Age", "string", "", 0, META + "ObjectMeta.creationTimestamp")
CORE = "io.k8s.api.core.v1."
APPS = "io.k8s.api.apps.v1."
BATCH = "io.k8s.api.batch.v1."
HPA = "io.k8s.api.autoscaling.v2."
NETWORK = "io.k8s.api.networking.v1."
RBAC = "io.k8s.api.rbac.v1."
CONTAINERS = ("Containers", "string", "", 1, "=Names of each container in the template.")
IMAGES = ("Images", "string", "", 1, "=Images referenced by each container in the template.")


def column(name, description, kind="string", priority=0, form=""):
    return (name, kind, form, priority, description)


# As pkg/printers/internalversion/printers.go defines them. A description is the doc of a field, or text after "=".
COLUMNS = {
    "pods": [
        NAME,
        column("Ready", "=The aggregate readiness state of this pod for accepting traffic."),
        column("Status", "=The aggregate status of the containers in this pod."),
        column("Restarts", "=The number of times the containers in this pod have been restarted and when the last "
               "container in this pod has restarted."),
        AGE,
        column("IP", CORE + "PodStatus.podIP", priority=1),
        column("Node", CORE + "PodSpec.nodeName", priority=1),
        column("Nominated Node", CORE + "PodStatus.nominatedNodeName", priority=1),
        column("Readiness Gates", CORE + "PodSpec.readinessGates", priority=1),
    ],
    "podtemplates": [
        NAME,
        ("Containers", "string", "", 0, "=Names of each container in the template."),
        ("Images", "string", "", 0, "=Images referenced by each container in the template."),
        column("Pod Labels", "=The labels for the pod template."),
    ],
    "deployments.apps": [
        NAME,
        column("Ready", "=Number of the pod with ready state"),
        column("Up-to-date", APPS + "DeploymentStatus.updatedReplicas"),
        column("Available", APPS + "DeploymentStatus.availableReplicas"),
        AGE, CONTAINERS, IMAGES,
        column("Selector", APPS + "DeploymentSpec.selector", priority=1),
    ],
    "replicasets.apps": [
        NAME,
        column("Desired", APPS + "ReplicaSetSpec.replicas", "integer"),
        column("Current", APPS + "ReplicaSetStatus.replicas", "integer"),
        column("Ready", APPS + "ReplicaSetStatus.readyReplicas", "integer"),
        AGE, CONTAINERS, IMAGES,
        column("Selector", APPS + "ReplicaSetSpec.selector", priority=1),
    ],
    "replicationcontrollers": [
        NAME,
        column("Desired", CORE + "ReplicationControllerSpec.replicas", "integer"),
        column("Current", CORE + "ReplicationControllerStatus.replicas", "integer"),
        column("Ready", CORE + "ReplicationControllerStatus.readyReplicas", "integer"),
        AGE, CONTAINERS, IMAGES,
        column("Selector", CORE + "ReplicationControllerSpec.selector", priority=1),
    ],
    "statefulsets.apps": [
        NAME,
        column("Ready", "=Number of the pod with ready state"),
        AGE, CONTAINERS, IMAGES,
    ],
    "daemonsets.apps": [
        NAME,
        column("Desired", APPS + "DaemonSetStatus.desiredNumberScheduled", "integer"),
        column("Current", APPS + "DaemonSetStatus.currentNumberScheduled", "integer"),
        column("Ready", APPS + "DaemonSetStatus.numberReady", "integer"),
        column("Up-to-date", APPS + "DaemonSetStatus.updatedNumberScheduled", "integer"),
        column("Available", APPS + "DaemonSetStatus.numberAvailable", "integer"),
        column("Node Selector", CORE + "PodSpec.nodeSelector"),
        AGE, CONTAINERS, IMAGES,
        column("Selector", APPS + "DaemonSetSpec.selector", priority=1),
    ],
    "controllerrevisions.apps": [
        NAME,
        column("Controller", "=Controller of the object"),
        column("Revision", APPS + "ControllerRevision.revision"),
        AGE,
    ],
    "jobs.batch": [
        NAME,
        column("Status", "=Status of the job."),
        column("Completions", BATCH + "JobStatus.succeeded"),
        column("Duration", "=Time required to complete the job."),
        AGE, CONTAINERS, IMAGES,
        column("Selector", BATCH + "JobSpec.selector", priority=1),
    ],
    "cronjobs.batch": [
        NAME,
        column("Schedule", BATCH + "CronJobSpec.schedule"),
        column("Timezone", BATCH + "CronJobSpec.timeZone"),
        column("Suspend", BATCH + "CronJobSpec.suspend", "boolean"),
        column("Active", BATCH + "CronJobStatus.active", "integer"),
        column("Last Schedule", BATCH + "CronJobStatus.lastScheduleTime"),
        AGE, CONTAINERS, IMAGES,
        column("Selector", BATCH + "JobSpec.selector", priority=1),
    ],
    "services": [
        NAME,
        column("Type", CORE + "ServiceSpec.type"),
        column("Cluster-IP", CORE + "ServiceSpec.clusterIP"),
        column("External-IP", CORE + "ServiceSpec.externalIPs"),
        column("Port(s)", CORE + "ServiceSpec.ports"),
        AGE,
        column("Selector", CORE + "ServiceSpec.selector", priority=1),
    ],
    "endpoints": [NAME, column("Endpoints", CORE + "Endpoints.subsets"), AGE],
    "endpointslices.discovery.k8s.io": [
        NAME,
        column("AddressType", "io.k8s.api.discovery.v1.EndpointSlice.addressType"),
        column("Ports", "io.k8s.api.discovery.v1.EndpointSlice.ports"),
        column("Endpoints", "io.k8s.api.discovery.v1.EndpointSlice.endpoints"),
        AGE,
    ],
    "ingresses.networking.k8s.io": [
        NAME,
        column("Class", "=The name of the IngressClass resource that should be used for additional configuration"),
        column("Hosts", "=Hosts that incoming requests are matched against before the ingress rule"),
        column("Address", "=Address is a list containing ingress points for the load-balancer"),
        column("Ports", "=Ports of TLS configurations that open"),
        AGE,
    ],
    "ingressclasses.networking.k8s.io": [
        NAME,
        column("Controller", "=Controller that is responsible for handling this class"),
        column("Parameters", "=A reference to a resource with additional parameters"),
        AGE,
    ],
    "networkpolicies.networking.k8s.io": [
        NAME, column("Pod-Selector", NETWORK + "NetworkPolicySpec.podSelector"), AGE,
    ],
    "configmaps": [NAME, column("Data", CORE + "ConfigMap.data"), AGE],
    "secrets": [NAME, column("Type", CORE + "Secret.type"), column("Data", CORE + "Secret.data"), AGE],
    "serviceaccounts": [NAME, AGE],
    "namespaces": [NAME, column("Status", "=The status of the namespace"), AGE],
    "nodes": [
        NAME,
        column("Status", "=The status of the node"),
        column("Roles", "=The roles of the node"),
        AGE,
        column("Version", CORE + "NodeSystemInfo.kubeletVersion"),
        column("Internal-IP", CORE + "NodeStatus.addresses", priority=1),
        column("External-IP", CORE + "NodeStatus.addresses", priority=1),
        column("OS-Image", CORE + "NodeSystemInfo.osImage", priority=1),
        column("Kernel-Version", CORE + "NodeSystemInfo.kernelVersion", priority=1),
        column("Container-Runtime", CORE + "NodeSystemInfo.containerRuntimeVersion", priority=1),
    ],
    "events": [
        column("Last Seen", CORE + "Event.lastTimestamp"),
        column("Type", CORE + "Event.type"),
        column("Reason", CORE + "Event.reason"),
        column("Object", CORE + "Event.involvedObject"),
        column("Subobject", CORE + "ObjectReference.fieldPath", priority=1),
        column("Source", "=The component reporting this event. Should be a short machine understandable string.",
               priority=1),
        column("Message", CORE + "Event.message"),
        column("First Seen", CORE + "Event.firstTimestamp", priority=1),
        column("Count", CORE + "Event.count", priority=1),
        ("Name", "string", "name", 1, META + "ObjectMeta.name"),
    ],
    "horizontalpodautoscalers.autoscaling": [
        NAME,
        column("Reference", HPA + "HorizontalPodAutoscalerSpec.scaleTargetRef"),
        column("Targets", HPA + "HorizontalPodAutoscalerSpec.metrics"),
        column("MinPods", HPA + "HorizontalPodAutoscalerSpec.minReplicas"),
        column("MaxPods", HPA + "HorizontalPodAutoscalerSpec.maxReplicas"),
        column("Replicas", HPA + "HorizontalPodAutoscalerStatus.currentReplicas"),
        AGE,
    ],
    "poddisruptionbudgets.policy": [
        NAME,
        column("Min Available", "=The minimum number of pods that must be available."),
        column("Max Unavailable", "=The maximum number of pods that may be unavailable."),
        column("Allowed Disruptions", "=Calculated number of pods that may be disrupted at this time.", "integer"),
        AGE,
    ],
    "persistentvolumes": [
        NAME,
        column("Capacity", CORE + "PersistentVolumeSpec.capacity"),
        column("Access Modes", CORE + "PersistentVolumeSpec.accessModes"),
        column("Reclaim Policy", CORE + "PersistentVolumeSpec.persistentVolumeReclaimPolicy"),
        column("Status", CORE + "PersistentVolumeStatus.phase"),
        column("Claim", CORE + "PersistentVolumeSpec.claimRef"),
        column("StorageClass", "=StorageClass of the pv"),
        column("VolumeAttributesClass", CORE + "PersistentVolumeSpec.volumeAttributesClassName"),
        column("Reason", CORE + "PersistentVolumeStatus.reason"),
        AGE,
        column("VolumeMode", CORE + "PersistentVolumeSpec.volumeMode", priority=1),
    ],
    "persistentvolumeclaims": [
        NAME,
        column("Status", CORE + "PersistentVolumeClaimStatus.phase"),
        column("Volume", CORE + "PersistentVolumeClaimSpec.volumeName"),
        column("Capacity", CORE + "PersistentVolumeClaimStatus.capacity"),
        column("Access Modes", CORE + "PersistentVolumeClaimStatus.accessModes"),
        column("StorageClass", "=StorageClass of the pvc"),
        column("VolumeAttributesClass", CORE + "PersistentVolumeClaimSpec.volumeAttributesClassName"),
        AGE,
        column("VolumeMode", CORE + "PersistentVolumeClaimSpec.volumeMode", priority=1),
    ],
    "storageclasses.storage.k8s.io": [
        NAME,
        column("Provisioner", "io.k8s.api.storage.v1.StorageClass.provisioner"),
        column("ReclaimPolicy", "io.k8s.api.storage.v1.StorageClass.reclaimPolicy"),
        column("VolumeBindingMode", "io.k8s.api.storage.v1.StorageClass.volumeBindingMode"),
        column("AllowVolumeExpansion", "io.k8s.api.storage.v1.StorageClass.allowVolumeExpansion"),
        AGE,
    ],
    "resourcequotas": [
        NAME,
        column("Request", "=Request represents a minimum amount of cpu/memory that a container may consume."),
        column("Limit", "=Limits control the maximum amount of cpu/memory that a container may use independent of "
               "contention on the node."),
        AGE,
    ],
    "limitranges": [
        NAME,
        column("Created At", META + "ObjectMeta.creationTimestamp"),
    ],
    "priorityclasses.scheduling.k8s.io": [
        NAME,
        column("Value", "io.k8s.api.scheduling.v1.PriorityClass.value", "integer"),
        column("Global-Default", "io.k8s.api.scheduling.v1.PriorityClass.globalDefault", "boolean"),
        AGE,
        column("PreemptionPolicy", "io.k8s.api.scheduling.v1.PriorityClass.preemptionPolicy"),
    ],
    "roles.rbac.authorization.k8s.io": [NAME, column("Created At", META + "ObjectMeta.creationTimestamp")],
    "clusterroles.rbac.authorization.k8s.io": [NAME, column("Created At", META + "ObjectMeta.creationTimestamp")],
    "rolebindings.rbac.authorization.k8s.io": [
        NAME,
        column("Role", RBAC + "RoleBinding.roleRef"),
        AGE,
        column("Users", "=Users in the roleBinding", priority=1),
        column("Groups", "=Groups in the roleBinding", priority=1),
        column("ServiceAccounts", "=ServiceAccounts in the roleBinding", priority=1),
    ],
    "clusterrolebindings.rbac.authorization.k8s.io": [
        NAME,
        column("Role", RBAC + "ClusterRoleBinding.roleRef"),
        AGE,
        column("Users", "=Users in the clusterRoleBinding", priority=1),
        column("Groups", "=Groups in the clusterRoleBinding", priority=1),
        column("ServiceAccounts", "=ServiceAccounts in the clusterRoleBinding", priority=1),
    ],
    "leases.coordination.k8s.io": [
        NAME, column("Holder", "io.k8s.api.coordination.v1.LeaseSpec.holderIdentity"), AGE,
    ],
    "customresourcedefinitions.apiextensions.k8s.io": [
        NAME, column("Created At", META + "ObjectMeta.creationTimestamp"),
    ],
    "*": [NAME, AGE],
}


def describe(definitions, reference):
    if reference.startswith("="):
        return reference[1:]
    kind, field = reference.rsplit(".", 1)
    return definitions[kind]["properties"][field]["description"]


def columns(definitions):
    resolve = lambda item: {
        "name": item[0],
        "type": item[1],
        "format": item[2],
        "description": describe(definitions, item[4]),
        "priority": item[3],
    }
    return {resource: [resolve(item) for item in items] for resource, items in COLUMNS.items()}


def compressed(text):
    """gzip without a time, so that the same input gives the same bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9, mtime=0) as file:
        file.write(text.encode())
    return buffer.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    with zipfile.ZipFile(options.source) as wheel:
        name = f"kubernetes_validate/kubernetes-json-schema/{VERSION}/_definitions.json"
        definitions = json.loads(wheel.read(name))["$defs"]
    text = json.dumps(schemas(definitions), sort_keys=True, separators=(",", ":"))
    here = pathlib.Path(__file__).parent
    packed, table = here / "schemas.json.gz", here / "columns.json"
    rows = json.dumps(columns(definitions), sort_keys=True, indent=1) + "\n"
    if options.check:
        # By content: another zlib may pack the same text into other bytes.
        current = gzip.decompress(packed.read_bytes()).decode() == text and table.read_text() == rows
        sys.exit(0 if current else "the committed files are not what this script writes")
    packed.write_bytes(compressed(text))
    table.write_text(rows)


if __name__ == "__main__":
    main()
