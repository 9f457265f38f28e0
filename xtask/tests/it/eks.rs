//! EKS without containers, on an emulator whose clusters are records. What stands in for its missing calls is checked by
//! boto3 against AWS's own service model.

use crate::emulator::Emulator;

/// Every call that is answered in the emulator's place, and what boto3 makes of it: each key of an answer must be one of
/// the model's, each word one of its enumerations.
const STAND_IN: &str = r#"exec('''
import time, botocore
def check(shape, value, path):
    if shape.type_name == "structure":
        assert set(value) <= set(shape.members), (path, set(value) - set(shape.members))
        for key, one in value.items(): check(shape.members[key], one, path + "." + key)
    elif shape.type_name == "list":
        for one in value: check(shape.member, one, path + "[]")
    elif shape.type_name == "map":
        for one in value.values(): check(shape.value, one, path + "{}")
    else:
        types = {"string": str, "boolean": bool, "integer": int, "timestamp": (int, float)}
        assert isinstance(value, types[shape.type_name]), (path, value)
        assert value in (getattr(shape, "enum", None) or [value]), (path, value)
def strict(http_response, parsed, model, **_):
    if http_response.status_code == 200 and model.name in ours:
        check(model.output_shape, json.loads(http_response.content), model.name)
        seen.add(model.name)
def refused(code, call, **arguments):
    try: call(**arguments)
    except botocore.exceptions.ClientError as error: assert error.response["Error"]["Code"] == code, error
    else: raise AssertionError(code)
def until(call, **arguments):
    while call(**arguments)["update"]["status"] == "InProgress": time.sleep(0.05)
ours = {"DescribeClusterVersions", "ListInsights", "DescribeInsight", "UpdateClusterVersion", "UpdateNodegroupVersion",
        "DescribeAddonVersions", "UpdateNodegroupConfig", "UpdateClusterConfig", "DescribeUpdate"}
seen = set()
eks.meta.events.register("after-call.eks.*", strict)
versions = eks.describe_cluster_versions()["clusterVersions"]
assert [one["clusterVersion"] for one in versions if one["defaultVersion"]] == ["1.36"]
assert len(eks.describe_cluster_versions(clusterVersions=["1.34", "1.35"])["clusterVersions"]) == 2
addons = eks.describe_addon_versions(addonName="coredns", kubernetesVersion="1.35")["addons"]
assert sum(fit["defaultVersion"] for one in addons[0]["addonVersions"] for fit in one["compatibilities"]) == 1
refused("ResourceNotFoundException", eks.list_insights, clusterName="demo")
eks.create_cluster(name="demo", version="1.35", roleArn="arn:aws:iam::000000000000:role/r", resourcesVpcConfig={})
eks.create_nodegroup(clusterName="demo", nodegroupName="a", subnets=[], nodeRole="r")
insights = eks.list_insights(clusterName="demo", filter={"categories": ["UPGRADE_READINESS"]})["insights"]
assert eks.describe_insight(clusterName="demo", id=insights[0]["id"])["insight"]["kubernetesVersion"] == "1.36"
refused("InvalidParameterException", eks.update_cluster_version, name="demo", version="1.37")
update = eks.update_cluster_version(name="demo", version="1.36")["update"]
assert eks.describe_cluster(name="demo")["cluster"]["status"] == "UPDATING"
refused("ResourceInUseException", eks.update_cluster_config, name="demo", deletionProtection=True)
until(eks.describe_update, name="demo", updateId=update["id"])
cluster = eks.describe_cluster(name="demo")["cluster"]
assert (cluster["status"], cluster["version"]) == ("ACTIVE", "1.36")
insights = eks.list_insights(clusterName="demo", filter={"kubernetesVersions": ["1.37"]})["insights"]
assert insights[0]["insightStatus"]["status"] == "ERROR"
update = eks.update_nodegroup_version(clusterName="demo", nodegroupName="a")["update"]
until(eks.describe_update, name="demo", nodegroupName="a", updateId=update["id"])
assert eks.describe_nodegroup(clusterName="demo", nodegroupName="a")["nodegroup"]["version"] == "1.36"
update = eks.update_nodegroup_config(
    clusterName="demo", nodegroupName="a", labels={"addOrUpdateLabels": {"a": "b"}},
    taints={"addOrUpdateTaints": [{"key": "k", "effect": "NO_SCHEDULE"}]}, updateConfig={"maxUnavailable": 2},
    scalingConfig={"minSize": 0, "maxSize": 3, "desiredSize": 2})["update"]
until(eks.describe_update, name="demo", nodegroupName="a", updateId=update["id"])
update = eks.update_nodegroup_config(
    clusterName="demo", nodegroupName="a", labels={"removeLabels": ["a"]},
    taints={"removeTaints": [{"key": "k", "effect": "NO_SCHEDULE"}]})["update"]
until(eks.describe_update, name="demo", nodegroupName="a", updateId=update["id"])
group = eks.describe_nodegroup(clusterName="demo", nodegroupName="a")["nodegroup"]
assert (group["labels"], group["taints"], group["scalingConfig"]["desiredSize"]) == ({}, [], 2), group
update = eks.update_cluster_config(name="demo", upgradePolicy={"supportType": "EXTENDED"})["update"]
until(eks.describe_update, name="demo", updateId=update["id"])
assert eks.describe_cluster(name="demo")["cluster"]["upgradePolicy"] == {"supportType": "EXTENDED"}
assert seen == ours, ours - seen
''', {"eks": eks, "json": json})"#;

#[test]
fn what_stands_in_for_missing_calls_speaks_as_aws_does() {
    Emulator::faulty().ask(STAND_IN);
}
