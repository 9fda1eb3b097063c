"""Drives a daemon through a client that was generated from docs/openapi.json, and holds every answer against it.

    generated_client.py CLIENT DOCUMENT PORT PKI PRINTS

CLIENT is the folder above the generated package `authenteon_client`, DOCUMENT the description, PORT the daemon's on
127.0.0.1, PKI the folder with ca.pem and the certificates of `officer` and `station`, PRINTS that of the fixtures.
Prints a JSON object of what was seen; exits 1 where an answer is not what the description says.
"""

import base64
import json
import pathlib
import re
import ssl
import sys
import uuid

import httpx
import jsonschema

CLIENT, DOCUMENT, PORT, PKI, PRINTS = sys.argv[1:]
sys.path.insert(0, CLIENT)
from authenteon_client import Client, models  # noqa: E402
from authenteon_client.api.decisions import identify, verify  # noqa: E402
from authenteon_client.api.fingers import enrol  # noqa: E402
from authenteon_client.api.health import live, ready  # noqa: E402
from authenteon_client.api.subjects import create, list_subjects, read_subject, remove_subject  # noqa: E402

document = json.loads(pathlib.Path(DOCUMENT).read_text())
seen = []


def resolved(node):
    """What a reference within the document leads to."""
    while "$ref" in node:
        target = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def described(method, path):
    """The operation that the document has for a request."""
    for template, operations in document["paths"].items():
        if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), path):
            return template, operations[method.lower()]
    raise SystemExit(f"{method} {path} is not described")


def hold(response):
    """Holds an answer against the document: its status, its type, its body."""
    response.read()
    template, operation = described(response.request.method, response.request.url.path)
    name = f"{response.request.method} {template} {response.status_code}"
    answer = operation["responses"].get(str(response.status_code))
    if answer is None:
        raise SystemExit(f"{name} is not described: {response.text}")
    content = resolved(answer).get("content", {})
    if content:
        kind = response.headers["content-type"].split(";")[0]
        if kind not in content:
            raise SystemExit(f"{name} came as {kind}")
        schema = dict(content[kind].get("schema", {}), components=document["components"])
        jsonschema.Draft202012Validator(schema).validate(response.json())
    elif response.content:
        raise SystemExit(f"{name} has a body that is not described")
    seen.append(name)


def client(role):
    """A generated client with the certificate of a role, or none."""
    context = ssl.create_default_context(cafile=f"{PKI}/ca.pem")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if role:
        context.load_cert_chain(f"{PKI}/{role}.pem", f"{PKI}/{role}.key")
    return Client(
        base_url=f"https://127.0.0.1:{PORT}",
        verify_ssl=context,
        timeout=httpx.Timeout(120),
        raise_on_unexpected_status=True,
        httpx_args={"event_hooks": {"response": [hold]}},
    )


def expect(answer, status, kind):
    """An answer has this status and was understood as this."""
    if answer.status_code != status or not isinstance(answer.parsed, kind):
        raise SystemExit(f"expected {status} {kind}, got {answer}")
    return answer.parsed


def sample(name):
    data = base64.b64encode(pathlib.Path(PRINTS, f"{name}.png").read_bytes()).decode()
    return models.SampleBody(format_=models.SampleFormat.PNG, data=data, dpi=500)


def names():
    return {"request_id": uuid.uuid4().hex, "nonce": uuid.uuid4().hex}


def asked(kind, name, **more):
    return kind(**names(), sample=sample(name), **more)


officer, station, stranger = client("officer"), client("station"), client(None)
fingers = sorted({path.stem.split("_")[0] for path in pathlib.Path(PRINTS).glob("*_*.png")})
first, second, third, fourth, fifth = fingers[:5]

live.sync_detailed(client=stranger)
expect(ready.sync_detailed(client=station), 200, models.Ready)
expect(ready.sync_detailed(client=stranger), 401, models.Problem)



def enrolled(name, finger):
    """A subject with three impressions of a finger; the fourth is left to be presented."""
    made = create.sync_detailed(client=officer, body=models.NewSubjectBody(name=name))
    subject = expect(made, 201, models.SubjectBody)
    body = models.EnrolBody(position="right-index", samples=[sample(f"{finger}_{n}") for n in (1, 2, 3)])
    made = enrol.sync_detailed(str(subject.subject_id), client=officer, body=body)
    expect(made, 201, models.FingerBody)
    return subject.subject_id


ada, grace = enrolled("Ada", first), enrolled("Grace", second)
expect(create.sync_detailed(client=station, body=models.NewSubjectBody(name="Ada")), 403, models.Problem)
expect(read_subject.sync_detailed(str(ada), client=officer), 200, models.SubjectBody)
expect(read_subject.sync_detailed("nobody", client=officer), 400, models.Problem)
expect(read_subject.sync_detailed(str(uuid.uuid4()), client=officer), 404, models.Problem)
expect(list_subjects.sync_detailed(client=officer), 200, models.SubjectsBody)

right = asked(models.VerifyBody, f"{first}_4", subject_id=ada)
decision = expect(verify.sync_detailed(client=station, body=right), 200, models.DecisionBody)
again = expect(verify.sync_detailed(client=station, body=right), 200, models.DecisionBody)
if decision.decision != models.DecisionWord.ACCEPT or again != decision:
    raise SystemExit(f"a right finger: {decision}, again: {again}")
wrong = asked(models.VerifyBody, f"{third}_1", subject_id=ada)
decision = expect(verify.sync_detailed(client=station, body=wrong), 200, models.DecisionBody)
if decision.decision != models.DecisionWord.REFUSE:
    raise SystemExit(f"a wrong finger: {decision}")
unannounced = asked(models.IdentifyBody, f"{second}_4")
decision = expect(identify.sync_detailed(client=station, body=unannounced), 200, models.DecisionBody)
if decision.subject_id != grace:
    raise SystemExit(f"an unannounced finger: {decision}")
alan = enrolled("Alan", fourth)
body = models.EnrolBody(position="left-index", samples=[sample(f"{fifth}_{n}") for n in (1, 2, 3)])
expect(enrol.sync_detailed(str(alan), client=officer, body=body), 201, models.FingerBody)
both = models.IdentifyBody(**names(), samples=[sample(f"{fourth}_4"), sample(f"{fifth}_4")])
decision = expect(identify.sync_detailed(client=station, body=both), 200, models.DecisionBody)
if decision.subject_id != alan:
    raise SystemExit(f"two unannounced fingers: {decision}")
unusable = asked(models.VerifyBody, f"{third}_2", subject_id=ada)
unusable.sample = models.SampleBody(format_=models.SampleFormat.PNG, data="AAAA")
expect(verify.sync_detailed(client=station, body=unusable), 422, models.Problem)
unusable.request_id = "not a token"
expect(verify.sync_detailed(client=station, body=unusable), 400, models.Problem)

if remove_subject.sync_detailed(str(ada), client=officer).status_code >= 300:
    raise SystemExit("the subject was not removed")
expect(remove_subject.sync_detailed(str(ada), client=officer), 404, models.Problem)
print(json.dumps(seen))
