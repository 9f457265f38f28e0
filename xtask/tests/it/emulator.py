"""MiniStack without containers, or moto, with what stands in for missing calls, and with faults on demand: emulator.rs
starts it and sends rules. Accounts of MiniStack have nothing in common, so that tests may share it.

A rule is {action, skip, times, what}: the first one that fits a request decides. `action` is an IAM action, `*` or
`mutating`; what it does is to `answer` with an error, to `cut` the connection, to `lose` the answer, to `hold` the request
for ever before it is carried out or after, or to `say` a document in the answer's place.
"""

import asyncio
import gzip
import json
import os
import re
import sys
import urllib.parse
from pathlib import Path
from unittest.mock import MagicMock

import botocore
from hypercorn.asyncio import serve
from hypercorn.config import Config

sys.path.insert(0, sys.argv[1])
from standin import StandIn, again, whole  # noqa: E402

PORT = os.environ["GATEWAY_PORT"]

MODEL = Path(botocore.__file__).parent / "data/eks/2017-11-01/service-2.json.gz"
ROUTES = [
    (operation["http"]["method"], re.compile(re.sub(r"\{[^}]+\}", "(.+)", operation["http"]["requestUri"])), name)
    for name, operation in json.loads(gzip.open(MODEL).read())["operations"].items()
]
# The most particular of two that fit is the longer one.
ROUTES.sort(key=lambda route: -len(route[1].pattern.replace("(.+)", "")))
LOOKS = ("Describe", "List", "Get", "Head")
rules, seen, held = {}, {}, {}


def whose(headers):
    """The account and the service that a request is signed for."""
    credential = re.search(r"Credential=([^/]+)/[^/]+/[^/]+/([^/]+)/", headers.get("authorization", ""))
    return credential.groups() if credential else (None, None)


def action_of(service, method, path, body):
    if service == "eks":
        fits = [name for verb, form, name in ROUTES if verb == method and form.fullmatch(path)]
        return f"eks:{fits[0]}" if fits else None
    named = re.search(rb"(?:^|&)Action=(\w+)", body)
    return f"{service}:{named[1].decode()}" if named else None


def rule_for(account, action):
    mutating = not action.split(":")[1].startswith(LOOKS)
    for rule in rules.get(account, []):
        if rule["action"] not in (action, "*") and not (rule["action"] == "mutating" and mutating):
            continue
        if rule.get("skip", 0) > 0:
            rule["skip"] -= 1
        elif rule.get("times", 1) > 0:
            rule["times"] = rule.get("times", 1) - 1
            return rule
    return {}


async def faulty(scope, receive, send):
    if scope["type"] != "http":
        return await inner(scope, receive, send)
    headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
    path, body = urllib.parse.unquote(scope["path"]), await whole(receive)
    if path.startswith("/_test/"):
        return await control(path, body, send)
    account, service = whose(headers)
    if service is None:
        return await kubernetes(path, body, send)
    action = action_of(service, scope["method"], path, body)
    rule = rule_for(account, action) if action else {}
    seen.setdefault(account, []).append(action)
    match rule.get("what"):
        case "answer":
            return await refuse(service, rule, send)
        case "say":
            return await say(200, rule["document"], send)
        case "cut" | "lose" as what:
            if what == "lose":
                await inner(scope, again(body, receive), nobody)
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"99")]})
            await send({"type": "http.response.body", "body": b"{", "more_body": True})
            raise ConnectionResetError("as the rule wants it")
        case "hold before":
            held[account] = action
            return await asyncio.Event().wait()
        case "hold after":
            await inner(scope, again(body, receive), nobody)
            held[account] = action
            return await asyncio.Event().wait()
    await inner(scope, again(body, receive), send)


async def nobody(message):
    pass


async def refuse(service, rule, send):
    """An error as the protocol of the service has it."""
    status, code, message = rule.get("status", 400), rule["code"], rule.get("message", "")
    if service == "eks":
        return await say(status, {"message": message}, send, [(b"x-amzn-errortype", code.encode())])
    text = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/xml")]})
    await send({"type": "http.response.body", "body": text.encode()})


async def say(status, document, send, headers=()):
    headers = [(b"content-type", b"application/json"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(document).encode()})


async def control(path, body, send):
    account = path.rsplit("/", 1)[1]
    if path.startswith("/_test/rules/"):
        rules[account] = json.loads(body)
        seen.pop(account, None)
        held.pop(account, None)
    await say(200, {"seen": seen.get(account, []), "held": held.get(account)}, send)


async def kubernetes(path, body, send):
    """As much of a cluster's API as a command asks that makes one."""
    if path == "/version":
        return await say(200, {"major": "1", "minor": "35", "gitVersion": "v1.35.6", "platform": "linux/amd64"}, send)
    review = json.loads(body or b"{}")
    await say(201, {**review, "status": {"allowed": True}}, send)


def ministack():
    import ministack.services.eks as eks
    from ministack.app import app

    # Its clusters are records, and the API of each is the few lines above.
    eks._get_docker = lambda: None
    eks._cluster_endpoint = lambda port: f"http://127.0.0.1:{PORT}"
    return app


def moto():
    # Its CloudFormation reads all that stacks may hold, API Gateway too; what that validates documents with is not here.
    for module in ("", ".validation", ".validation.exceptions"):
        sys.modules["openapi_spec_validator" + module] = MagicMock()
    from hypercorn.middleware import AsyncioWSGIMiddleware
    from moto.cloudformation.models import CloudFormationBackend
    from moto.server import DomainDispatcherApplication, create_backend_app

    execute = CloudFormationBackend.execute_change_set

    def with_outputs(self, change_set_name, stack_name=None):
        """A stack that a change set makes has none otherwise."""
        execute(self, change_set_name, stack_name)
        (stack,) = self.describe_stacks(stack_name)
        stack._parse_template()
        stack.output_map = stack._create_output_map()

    CloudFormationBackend.execute_change_set = with_outputs
    app = AsyncioWSGIMiddleware(DomainDispatcherApplication(create_backend_app))
    kinds = {"addons": "addons", "access-entries": "accessEntries", "pod-identity-associations": "associations"}

    async def without(scope, receive, send):
        """It has none of these, which is what it is made to say."""
        kind = scope["path"].rsplit("/", 1)[1] if scope["type"] == "http" else None
        if kind in kinds and scope["method"] == "GET":
            return await say(200, {kinds[kind]: []}, send)
        await app(scope, receive, send)

    return without


inner = StandIn({"ministack": ministack, "moto": moto}[sys.argv[2]]())
config = Config()
config.bind = [f"127.0.0.1:{PORT}"]
config.errorlog = None
asyncio.run(serve(faulty, config))
