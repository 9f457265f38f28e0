#!/usr/bin/env python3
"""Writes builtin.txt, the table of every built-in kind that localkube/src/schema reads.

    python3 localkube/schema/generate.py SCHEMAS NUMBERS            write the table
    python3 localkube/schema/generate.py SCHEMAS NUMBERS --check    exit 1 when the committed table is not current

SCHEMAS is kubernetes-validate's wheel from PyPI (1.36 or newer), or a directory with it unpacked:

    pip download --no-deps kubernetes-validate

NUMBERS is the package of the crate k8s-pb (0.9.0), which cargo keeps after fetching it for any project:

    ~/.cargo/registry/cache/*/k8s-pb-0.9.0.crate

The wheel carries the JSON schemas of Kubernetes' own OpenAPI document, the crate the field numbers of its protobuf
messages. The output depends on nothing else.

One line a type, one line a field, two spaces in front:

    core.v1.ServicePort                     a struct; !atomic behind it: the whole is one field
     =v1 Service                            the kinds that a struct is, as apiVersion and kind
      port i *                              name, type, flags

Types: s string, i int32, l int64, d double, b bool, Q quantity, I int-or-string, T time, U time with microseconds,
D duration, B base64, O an object of any content, J any JSON; [x a list, {x a map of string to x; else a struct's name.
Flags: * required; & a struct that is written even when empty; ? left out when zero; @atomic @set @map:key,key what
server-side apply sees in a list or map;
+merge:key +retainKeys +replace the strategy of a strategic merge patch; ~value the default that a list's key has;
#n the field's number in protobuf, #n.m where Go embeds a struct, which is a message of its own there (number n).
"""

import argparse
import json
import pathlib
import re
import sys
import tarfile
import zipfile

VERSION = "v1.36.0-local"
PREFIXES = {
    "io.k8s.api.": "",
    "io.k8s.apimachinery.pkg.apis.": "",
    "io.k8s.apiextensions-apiserver.pkg.apis.": "",
    "io.k8s.kube-aggregator.pkg.apis.": "",
    "io.k8s.apimachinery.pkg.": "",
}
SCALARS = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "Q",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "I",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "T",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "U",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Duration": "D",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "O",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "O",
}
# The OpenAPI v2 document has no defaults. A list's key needs one when the key may be left out; these are all.
KEY_DEFAULTS = {("core.v1.ContainerPort", "protocol"): "TCP", ("core.v1.ServicePort", "protocol"): "TCP"}

# Optional fields whose Go type is a struct and not a pointer to one: an encoder writes them even when they are empty.
# The schemas do not tell; this is from the types' Go documentation. metadata, spec and status of a kind always are.
VALUES = {
    "apps.v1.DaemonSetSpec": ["updateStrategy"],
    "apps.v1.DeploymentSpec": ["strategy"],
    "apps.v1.ReplicaSetSpec": ["template"],
    "apps.v1.StatefulSetSpec": ["updateStrategy"],
    "authentication.v1.TokenReviewStatus": ["user"],
    "batch.v1.JobTemplateSpec": ["metadata", "spec"],
    "core.v1.Container": ["resources"],
    "core.v1.ContainerStatus": ["lastState", "state"],
    "core.v1.EphemeralContainer": ["resources"],
    "core.v1.Event": ["source"],
    "core.v1.NodeDaemonEndpoints": ["kubeletEndpoint"],
    "core.v1.NodeStatus": ["daemonEndpoints", "nodeInfo"],
    "core.v1.PersistentVolumeClaimSpec": ["resources"],
    "core.v1.PersistentVolumeClaimTemplate": ["metadata"],
    "core.v1.PodTemplate": ["template"],
    "core.v1.PodTemplateSpec": ["metadata", "spec"],
    "core.v1.ServiceStatus": ["loadBalancer"],
    "events.v1.Event": ["deprecatedSource"],
    "networking.v1.IngressStatus": ["loadBalancer"],
    "networking.v1.NetworkPolicySpec": ["podSelector"],
    "resource.v1.ResourceClaimSpec": ["devices"],
    "resource.v1.ResourceClaimTemplateSpec": ["metadata"],
}

# An encoder leaves zero values of optional fields out, but not where a pointer tells "zero" from "not given". Optional
# strings are no pointers but for these; optional numbers and booleans are pointers but for those below.
POINTERS = {"apiGroup", "ingressClassName", "runtimeClassName", "storageClassName", "volumeAttributesClassName"}
OMITTED = {
    *("hostIPC", "hostNetwork", "hostPID", "paused", "publishNotReadyAddresses", "readOnly", "stdin", "stdinOnce", "tty"),
    *("failureThreshold", "healthCheckNodePort", "hostPort", "initialDelaySeconds", "minReadySeconds", "nodePort"),
    *("periodSeconds", "successThreshold", "timeoutSeconds", "unschedulable", "generation"),
}
OMITTED_IN = {
    "apps.v1.DaemonSetStatus": {"numberAvailable", "numberUnavailable", "observedGeneration", "updatedNumberScheduled"},
    "apps.v1.DeploymentStatus": {
        *("availableReplicas", "observedGeneration", "readyReplicas", "replicas", "unavailableReplicas"),
        "updatedReplicas",
    },
    "apps.v1.ReplicaSetStatus": {"availableReplicas", "fullyLabeledReplicas", "observedGeneration", "readyReplicas"},
    "apps.v1.StatefulSetStatus": {
        *("availableReplicas", "currentReplicas", "observedGeneration", "readyReplicas", "updatedReplicas"),
    },
    "apiregistration.v1.APIServiceSpec": {"insecureSkipTLSVerify"},
    "autoscaling.v1.ScaleSpec": {"replicas"},
    "autoscaling.v2.HorizontalPodAutoscalerStatus": {"currentReplicas"},
    "batch.v1.JobStatus": {"active", "failed", "succeeded"},
    "core.v1.AWSElasticBlockStoreVolumeSource": {"partition"},
    "core.v1.ContainerImage": {"sizeBytes"},
    "core.v1.ContainerStateTerminated": {"signal"},
    "core.v1.Event": {"count"},
    "core.v1.EventSeries": {"count"},
    "core.v1.GCEPersistentDiskVolumeSource": {"partition"},
    "core.v1.ISCSIPersistentVolumeSource": {"chapAuthDiscovery", "chapAuthSession"},
    "core.v1.ISCSIVolumeSource": {"chapAuthDiscovery", "chapAuthSession"},
    "core.v1.PodCondition": {"observedGeneration"},
    "core.v1.PodStatus": {"observedGeneration"},
    "core.v1.ReplicationControllerStatus": {
        *("availableReplicas", "fullyLabeledReplicas", "observedGeneration", "readyReplicas"),
    },
    "core.v1.ScaleIOPersistentVolumeSource": {"sslEnabled"},
    "core.v1.ScaleIOVolumeSource": {"sslEnabled"},
    "events.v1.Event": {"deprecatedCount"},
    "flowcontrol.v1.QueuingConfiguration": {"handSize", "queueLengthLimit", "queues"},
    "flowcontrol.v1.ResourcePolicyRule": {"clusterScope"},
    "meta.v1.Condition": {"observedGeneration"},
    "networking.v1.ServiceBackendPort": {"number"},
    "policy.v1.PodDisruptionBudgetStatus": {"observedGeneration"},
    "resource.v1.DeviceSubRequest": {"count"},
    "resource.v1.ExactDeviceRequest": {"count"},
    "scheduling.v1.PriorityClass": {"globalDefault"},
}


# The schema of a custom resource definition has unions that are neither structs nor scalars in JSON: it is not read
# from protobuf, as no client sends it so.
UNNUMBERED = "apiextensions."


def definitions(source: pathlib.Path) -> dict:
    path = f"kubernetes_validate/kubernetes-json-schema/{VERSION}/_definitions.json"
    if source.is_dir():
        return json.loads((source / path).read_text())["$defs"]
    with zipfile.ZipFile(source) as wheel:
        return json.loads(wheel.read(path))["$defs"]


def short(name: str) -> str:
    for prefix, replacement in PREFIXES.items():
        if name.startswith(prefix):
            return replacement + name[len(prefix) :]
    raise SystemExit(f"no prefix is known for {name}")


def plain(schema: dict) -> str | None:
    """The schema's type without null, which only says that the field is optional."""
    kinds = schema.get("type")
    if isinstance(kinds, list):
        kinds = [kind for kind in kinds if kind != "null"]
        return kinds[0] if len(kinds) == 1 else None
    return kinds


def type_of(schema: dict, known: dict) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        if name in SCALARS:
            return SCALARS[name]
        if known[name].get("properties"):
            return short(name)
        return type_of(known[name], known) if plain(known[name]) else "J"
    kind, form = plain(schema), schema.get("format")
    if kind == "array":
        return "[" + type_of(schema["items"], known)
    if kind == "object":
        inner = schema.get("additionalProperties")
        return "{" + type_of(inner, known) if inner else "O"
    if kind == "integer":
        return "i" if form == "int32" else "l"
    if kind == "string":
        return {"byte": "B", "date-time": "T"}.get(form, "s")
    return {"number": "d", "boolean": "b"}.get(kind, "J")


def omitted(owner: str, name: str, field: dict) -> bool:
    if plain(field) == "string":
        return name not in POINTERS
    return plain(field) in ("integer", "boolean") and (name in OMITTED or name in OMITTED_IN.get(owner, ()))


def folded(name: str) -> str:
    """Names as they compare: prost changes the case of structs and fields."""
    return name.removeprefix("r#").replace("_", "").lower()


def messages(crate: pathlib.Path) -> dict[str, dict[str, tuple[str, str]]]:
    """Each message by its folded name: the number and the type of each field, all names folded."""
    known = {}
    with tarfile.open(crate) as package:
        for member in package.getmembers():
            place = re.search(r"/src/(?:api|[a-z_]+/pkg/apis)/(\w+)/(v\w+)/mod\.rs$", member.name)
            if not place:
                continue
            text = package.extractfile(member).read().decode()
            for name, body in re.findall(r"^pub struct (\w+) \{\n(.*?)^\}", text, re.M | re.S):
                fields = re.findall(r"#\[prost\([^]]*tag = \"(\d+)\"\)\]\s*pub ([\w#]+):\s*([^,]*)", body)
                of = known[f"{place[1]}.{place[2]}.{folded(name)}"] = {}
                for tag, field, kind in fields:
                    of[folded(field)] = (tag, folded(re.split("::|<", re.sub(r"[>\s]", "", kind))[-1]))
    return known


def number(owner: str, name: str, properties: set[str], known: dict) -> str | None:
    """The field's number; through the messages of embedded structs, which are those that JSON does not have."""
    package, _, message = owner.rpartition(".")
    fields = known.get(f"{package}.{folded(message)}", {})
    if name in fields:
        return fields[name][0]
    for field, (tag, of) in fields.items():
        if field not in properties and (inner := number(f"{package}.{of}", name, properties, known)):
            return f"{tag}.{inner}"
    return None


def flags_of(owner: str, name: str, field: dict, required: bool, top: bool) -> list[str]:
    flags = ["*"] if required else []
    if name in VALUES.get(owner, []) or (top and name in ("metadata", "spec", "status") and "$ref" in field):
        flags.append("&")
    if not required and omitted(owner, name, field):
        flags.append("?")
    if kind := field.get("x-kubernetes-list-type"):
        keys = field.get("x-kubernetes-list-map-keys")
        flags.append(f"@{kind}" + (":" + ",".join(keys) if keys else ""))
    if field.get("x-kubernetes-map-type") == "atomic":
        flags.append("@atomic")
    strategy = field.get("x-kubernetes-patch-strategy", "")
    for part in filter(None, strategy.split(",")):
        key = field.get("x-kubernetes-patch-merge-key", "") if part == "merge" else ""
        flags.append("+" + part + (":" + key if key else ""))
    if default := KEY_DEFAULTS.get((owner, name)):
        flags.append("~" + default)
    return flags


def table(known: dict, wire: dict) -> str:
    lines = [f"# Kubernetes {VERSION.removesuffix('-local')}. Written by generate.py, which explains the format."]
    for full in sorted(known, key=short):
        schema = known[full]
        if full in SCALARS or not schema.get("properties"):
            continue
        owner = short(full)
        atomic = schema.get("x-kubernetes-map-type") == "atomic"
        lines.append(owner + (" !atomic" if atomic else ""))
        kinds = schema.get("x-kubernetes-group-version-kind", [])
        if len(kinds) == 1:
            group, version, kind = (kinds[0][part] for part in ("group", "version", "kind"))
            lines.append(f" ={group}/{version} {kind}" if group else f" ={version} {kind}")
        elif owner == "meta.v1.DeleteOptions":
            # A kind of every group.
            lines.append(" =v1 DeleteOptions")
        properties = {folded(name) for name in schema["properties"]}
        for name, field in sorted(schema["properties"].items()):
            flags = flags_of(owner, name, field, name in schema.get("required", []), bool(kinds))
            tag = number(owner, folded(name), properties, wire)
            if tag and not owner.startswith(UNNUMBERED):
                flags.append("#" + tag)
            lines.append("  " + " ".join([name, type_of(field, known), *flags]))
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("schemas", type=pathlib.Path, help="the wheel, or a directory with it unpacked")
    parser.add_argument("numbers", type=pathlib.Path, help="the crate's package")
    parser.add_argument("--check", action="store_true", help="compare with the committed table, write nothing")
    arguments = parser.parse_args()
    output = pathlib.Path(__file__).with_name("builtin.txt")
    text = table(definitions(arguments.schemas), messages(arguments.numbers))
    if arguments.check:
        current = output.exists() and output.read_text() == text
        print("current" if current else f"{output} is not current: run generate.py", file=sys.stderr)
        return 0 if current else 1
    output.write_text(text)
    print(f"{output}: {len(text)} bytes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
