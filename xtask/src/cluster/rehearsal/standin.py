"""Answers the calls of EKS that an emulator does not know, in the shapes of AWS's service model (botocore,
eks/2017-11-01); an ASGI application around the emulator's own.

Every request goes to the emulator first, which checks who asks. What it has no route for is answered here. An update
takes a moment: meanwhile the cluster or the nodegroup says UPDATING, and then the answers that pass by are as asked.
"""

import json
import time
import urllib.parse
import uuid

# A moment is long enough to be seen and short enough to be waited for.
MOMENT = 0.3

# (version, its last patch, released, standard support until, extended support until); the last one is the default.
VERSIONS = (
    ("1.32", "1.32.13", "2025-01-23", "2026-03-23", "2027-03-23"),
    ("1.33", "1.33.11", "2025-05-29", "2026-07-29", "2027-07-29"),
    ("1.34", "1.34.8", "2025-10-02", "2027-12-02", "2028-12-02"),
    ("1.35", "1.35.6", "2026-01-27", "2028-03-27", "2029-03-27"),
    ("1.36", "1.36.2", "2026-06-02", "2028-08-02", "2029-08-02"),
)
EXTENDED = ("1.32", "1.33")
ADDONS = {
    "vpc-cni": "v1.20.{minor}-eksbuild.{build}",
    "coredns": "v1.12.{minor}-eksbuild.{build}",
    "kube-proxy": "v1.{minor}.3-eksbuild.{build}",
    "eks-pod-identity-agent": "v1.3.{minor}-eksbuild.{build}",
    "metrics-server": "v0.8.{minor}-eksbuild.{build}",
    "aws-ebs-csi-driver": "v1.50.{minor}-eksbuild.{build}",
}
BUILDS = (5, 2)  # the newest first; the one before is the default


class Refused(Exception):
    """An error of EKS's: its code, its words and the status of HTTP."""

    def __init__(self, code, message, status=400):
        super().__init__(message)
        self.code, self.status = code, status


class StandIn:
    def __init__(self, emulator):
        self.emulator = emulator
        self.seen = {}  # path -> what the emulator last said of the thing there
        self.changed = {}  # path -> what has been changed of it here
        self.updates = {}  # id -> (path, update, when it is done, the change that it makes)

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.emulator(scope, receive, send)
        path, method = urllib.parse.unquote(scope["path"]), scope["method"]
        if not path.startswith(("/clusters", "/cluster-versions", "/addons/supported-versions")):
            return await self.emulator(scope, receive, send)
        body, answer = await whole(receive), []

        async def keep(message):
            answer.append(message)

        await self.emulator(scope, again(body, receive), keep)
        head, said = answer[0], b"".join(message.get("body", b"") for message in answer[1:])
        if head["status"] in (400, 404) and (b"No route for" in said or b"<title>404" in said):
            query = urllib.parse.parse_qs(scope["query_string"].decode())
            try:
                status, known = 200, self.answer(method, path, query, json.loads(body or b"{}"))
            except Refused as refused:
                status, known = refused.status, {"__type": refused.code, "message": str(refused)}
        elif head["status"] == 200:
            status, known = 200, self.pass_by(method, json.loads(said))
        else:
            await send(head)
            return await send({"type": "http.response.body", "body": said})
        said = json.dumps(known).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(said)).encode())]
        if status != 200:
            headers.append((b"x-amzn-errortype", known["__type"].encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": said})

    def pass_by(self, method, said):
        """What the emulator says; of a cluster or a nodegroup with what has been changed of it."""
        match said:
            case {"cluster": {"name": name} as thing}:
                path = f"/clusters/{name}"
            case {"nodegroup": {"clusterName": cluster, "nodegroupName": name} as thing}:
                path = f"/clusters/{cluster}/node-groups/{name}"
            case _:
                return said
        if method == "DELETE":
            for state in (self.seen, self.changed):
                for gone in [one for one in state if one == path or one.startswith(path + "/")]:
                    del state[gone]
            return said
        self.seen[path] = json.loads(json.dumps(thing))
        thing.update(self.now(path))
        if self.under_way(path) and thing["status"] == "ACTIVE":
            thing["status"] = "UPDATING"
        return said

    def under_way(self, path):
        """Whether an update of the thing goes on; one whose time has come is done by this."""
        for whose, update, done, change in self.updates.values():
            if whose == path and update["status"] == "InProgress" and time.time() >= done:
                update["status"] = "Successful"
                merge(self.changed.setdefault(path, {}), change)
        return any(whose == path and update["status"] == "InProgress" for whose, update, _, _ in self.updates.values())

    def answer(self, method, path, query, body):
        words = path.strip("/").split("/")
        match [method, *words]:
            case ["GET", "cluster-versions"]:
                return {"clusterVersions": list(versions(query))}
            case ["GET", "addons", "supported-versions"]:
                return {"addons": list(addons(query))}
            case ["POST", "clusters", name, "insights"]:
                wanted = body.get("filter", {})
                found = [summary(one) for one in self.insights(name)]
                for key, field in (("categories", "category"), ("kubernetesVersions", "kubernetesVersion")):
                    found = [one for one in found if one[field] in wanted.get(key, [one[field]])]
                return {"insights": found}
            case ["GET", "clusters", name, "insights", which]:
                found = [one for one in self.insights(name) if one["id"] == which]
                if not found:
                    raise Refused("ResourceNotFoundException", f"No insight found for id: {which}.", 404)
                return {"insight": found[0]}
            case ["POST", "clusters", name, "updates"]:
                return self.update_version(f"/clusters/{name}", body)
            case ["GET", "clusters", name, "updates", which]:
                whose = "/node-groups/".join([f"/clusters/{name}", *query.get("nodegroupName", [])])
                self.under_way(whose)
                if which not in self.updates or self.updates[which][0] != whose:
                    raise Refused("ResourceNotFoundException", f"No update found for id: {which}.", 404)
                return {"update": self.updates[which][1]}
            case ["POST", "clusters", name, "update-config"]:
                return self.update_cluster(f"/clusters/{name}", body)
            case ["POST", "clusters", name, "node-groups", group, "update-config"]:
                return self.update_group(f"/clusters/{name}/node-groups/{group}", body)
            case ["POST", "clusters", name, "node-groups", group, "update-version"]:
                return self.update_nodes(f"/clusters/{name}", f"/clusters/{name}/node-groups/{group}", body)
        raise Refused("InvalidRequestException", f"No route for {method} {path}")

    def now(self, path):
        """The thing as it is, with what has been changed."""
        if path not in self.seen:
            raise Refused("ResourceNotFoundException", f"No cluster or nodegroup found for: {path}.", 404)
        self.under_way(path)
        return merge(json.loads(json.dumps(self.seen[path])), self.changed.get(path, {}))

    def begin(self, path, kind, params, change):
        if self.under_way(path):
            name = path.rsplit("/", 1)[1]
            raise Refused("ResourceInUseException", f"{name} currently has an update in progress", 409)
        update = {
            "id": str(uuid.uuid4()),
            "status": "InProgress",
            "type": kind,
            "params": [{"type": key, "value": str(value)} for key, value in params.items()],
            "createdAt": time.time(),
            "errors": [],
        }
        self.updates[update["id"]] = (path, update, time.time() + MOMENT, change)
        return {"update": update}

    def insights(self, name):
        """One for each step that the cluster could take; that of a node which is too old for it is an ERROR."""
        version = minor(self.now(f"/clusters/{name}")["version"])
        groups = [self.now(path) for path in self.seen if path.startswith(f"/clusters/{name}/node-groups/")]
        found = []
        for category, target in (("UPGRADE_READINESS", version + 1), ("ROLLBACK_READINESS", version - 1)):
            wrong = [group for group in groups if not target - 3 <= minor(group["version"]) <= target]
            if category == "UPGRADE_READINESS":
                wrong = [group for group in groups if minor(group["version"]) != version]
            state = {"status": "ERROR" if wrong else "PASSING", "reason": "Node versions do not fit." if wrong else ""}
            found.append({
                "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{name} {category} {target}")),
                "name": "Kubelet version skew",
                "category": category,
                "kubernetesVersion": f"1.{target}",
                "lastRefreshTime": time.time(),
                "lastTransitionTime": time.time(),
                "description": "Checks for versions of worker nodes that the control plane would not support.",
                "insightStatus": state,
                "recommendation": "Bring the nodes to the version of the control plane.",
                "additionalInfo": {},
                "resources": [{"arn": group["nodegroupArn"], "insightStatus": state} for group in wrong],
                "categorySpecificSummary": {"deprecationDetails": []},
            })
        return found

    def update_version(self, path, body):
        now, wanted = minor(self.now(path)["version"]), body.get("version", "")
        if wanted not in [one[0] for one in VERSIONS]:
            raise Refused("InvalidParameterException", f"unsupported Kubernetes version {wanted}")
        if abs(minor(wanted) - now) != 1:
            raise Refused("InvalidParameterException", f"Unsupported Kubernetes minor version update from 1.{now} to {wanted}")
        errors = [one for one in self.insights(path.rsplit("/", 1)[1]) if one["kubernetesVersion"] == wanted]
        if any(one["insightStatus"]["status"] == "ERROR" for one in errors) and not body.get("force"):
            raise Refused("InvalidStateException", "The cluster has insights of status ERROR; use force to go on.")
        kind = "VersionUpdate" if minor(wanted) > now else "VersionRollback"
        return self.begin(path, kind, {"Version": wanted, "PlatformVersion": "eks.1"}, {"version": wanted})

    def update_cluster(self, path, body):
        kinds = {
            "resourcesVpcConfig": "EndpointAccessUpdate",
            "logging": "LoggingUpdate",
            "upgradePolicy": "UpgradePolicyUpdate",
            "deletionProtection": "DeletionProtectionUpdate",
        }
        given = [key for key in kinds if key in body]
        if len(given) != 1:
            raise Refused("InvalidParameterException", "Only one type of update can be allowed.")
        params = {kinds[given[0]].removesuffix("Update"): json.dumps(body[given[0]])}
        if given[0] == "resourcesVpcConfig":
            params = {key[0].upper() + key[1:]: json.dumps(value) for key, value in body[given[0]].items()}
        elif given[0] == "logging":
            params = {"ClusterLogging": json.dumps(body["logging"])}
        return self.begin(path, kinds[given[0]], params, {given[0]: body[given[0]]})

    def update_group(self, path, body):
        group, change = self.now(path), {key: body[key] for key in ("updateConfig", "nodeRepairConfig") if key in body}
        scaling = {**group["scalingConfig"], **body.get("scalingConfig", {})}
        if not scaling["minSize"] <= scaling["desiredSize"] <= scaling["maxSize"]:
            raise Refused("InvalidParameterException", "desired capacity must be between the minimum and the maximum")
        labels, taints = body.get("labels", {}), body.get("taints", {})
        kept = {key: value for key, value in group["labels"].items() if key not in labels.get("removeLabels", [])}
        same = lambda one, other: (one["key"], one["effect"]) == (other["key"], other["effect"])  # noqa: E731
        replaced = taints.get("removeTaints", []) + taints.get("addOrUpdateTaints", [])
        left = [one for one in group["taints"] if not any(same(one, other) for other in replaced)]
        change["scalingConfig"] = scaling
        change["labels"] = Whole({**kept, **labels.get("addOrUpdateLabels", {})})
        change["taints"] = left + taints.get("addOrUpdateTaints", [])
        sizes = {"MinSize": scaling["minSize"], "MaxSize": scaling["maxSize"], "DesiredSize": scaling["desiredSize"]}
        return self.begin(path, "ConfigUpdate", sizes, change)

    def update_nodes(self, cluster, path, body):
        version = body.get("version") or self.now(cluster)["version"]
        if minor(version) > minor(self.now(cluster)["version"]):
            raise Refused("InvalidParameterException", "The nodes cannot be newer than the control plane.")
        patch = {one[0]: one[1] for one in VERSIONS}.get(version)
        if patch is None:
            raise Refused("InvalidParameterException", f"Requested Nodegroup version {version} is invalid")
        release = body.get("releaseVersion") or f"{patch}-20261120"
        change = {"version": version, "releaseVersion": release}
        return self.begin(path, "VersionUpdate", {"Version": version, "ReleaseVersion": release}, change)


class Whole(dict):
    """Replaces what is there, where other mappings are merged into it."""


def merge(thing, change):
    for key, value in change.items():
        deep = isinstance(value, dict) and not isinstance(value, Whole) and isinstance(thing.get(key), dict)
        thing[key] = merge(dict(thing[key]), value) if deep else value
    return thing


def minor(version):
    return int(version.split(".")[1])


def moment(date):
    return time.mktime(time.strptime(date, "%Y-%m-%d"))


def versions(query):
    for version, patch, released, standard, extended in reversed(VERSIONS):
        word = "EXTENDED_SUPPORT" if version in EXTENDED else "STANDARD_SUPPORT"
        default = version == VERSIONS[-1][0]
        if version not in query.get("clusterVersions", [version]) or query.get("versionStatus", [word]) != [word]:
            continue
        if query.get("defaultOnly") == ["true"] and not default:
            continue
        yield {
            "clusterVersion": version,
            "clusterType": "eks",
            "defaultPlatformVersion": "eks.1",
            "defaultVersion": default,
            "releaseDate": moment(released),
            "endOfStandardSupportDate": moment(standard),
            "endOfExtendedSupportDate": moment(extended),
            "status": word.lower().replace("_", "-"),
            "versionStatus": word,
            "kubernetesPatchVersion": patch,
        }


def addons(query):
    (wanted,) = query.get("kubernetesVersion", [VERSIONS[-1][0]])
    for name, form in ADDONS.items():
        if name not in query.get("addonName", [name]):
            continue
        offered = []
        for build in BUILDS:
            fits = {"clusterVersion": wanted, "platformVersions": ["*"], "defaultVersion": build == BUILDS[-1]}
            offered.append({
                "addonVersion": form.format(minor=minor(wanted), build=build),
                "architecture": ["amd64", "arm64"],
                "computeTypes": ["ec2"],
                "compatibilities": [fits],
                "requiresConfiguration": False,
                "requiresIamPermissions": name == "aws-ebs-csi-driver",
            })
        yield {"addonName": name, "type": "networking", "addonVersions": offered, "publisher": "eks", "owner": "aws"}


def summary(insight):
    left_out = ("recommendation", "additionalInfo", "resources", "categorySpecificSummary")
    return {key: value for key, value in insight.items() if key not in left_out}


async def whole(receive):
    """The request's body."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


def again(body, receive):
    """The request's body, a second time."""
    given = False

    async def first():
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return first
