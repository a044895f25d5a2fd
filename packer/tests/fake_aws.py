"""What an instance finds around itself, on a port of loopback: metadata (IMDSv2), Secrets Manager, Auto Scaling.

Owns enough of each that packer/files' scripts cannot tell the difference: session tokens are asked for, and signatures
(SigV4) are computed and compared. Never answers what it was not told. Serves until its standard input ends, and prints
its address as its first line.

  PUT  /control/NAME     sets user-data, tags (JSON), secret, secret-delay (seconds), target-lifecycle-state; an empty
                         body removes it
  GET  /control/calls    the signed calls so far, a JSON document a line
"""

import hashlib
import hmac
import json
import os
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "a-session-token-of-the-metadata"
REGION = "eu-central-1"
ACCESS_KEY, SECRET_KEY, SESSION = "ASIAFAKEFAKEFAKEFAKE", "fake/secret+key/of=the/role", "session/token+of=the/role"

METADATA = {
    "meta-data/instance-id": "i-0123456789abcdef0",
    "meta-data/local-ipv4": "127.0.0.1",
    "meta-data/placement/region": REGION,
    "meta-data/services/domain": "amazonaws.com",
    "meta-data/iam/security-credentials/": "origin-role",
    "meta-data/iam/security-credentials/origin-role": json.dumps({
        "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY,
        "Token": SESSION, "LastUpdated": "2026-01-01T00:00:00Z", "Expiration": "2099-01-01T00:00:00Z"}),
}

state = {}
calls = []
turn = threading.Lock()


def metadata(path):
    """The answer of the metadata at a path below /latest/, or None."""
    tags = json.loads(state.get("tags", "{}"))
    if path == "user-data":
        return state.get("user-data")
    if path == "meta-data/autoscaling/target-lifecycle-state":
        return state.get("target-lifecycle-state")
    if path == "meta-data/tags/instance/":
        return "\n".join(tags) if tags else None
    if path.startswith("meta-data/tags/instance/"):
        return tags.get(path.rpartition("/")[2])
    if path == "meta-data/iam/security-credentials":
        return METADATA[path + "/"]
    return METADATA.get(path)


def signing_key(date, region, service):
    key = ("AWS4" + SECRET_KEY).encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def verify(request, body):
    """The service that a request is signed for; raises ValueError when the signature is not this role's."""
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    if scheme != "AWS4-HMAC-SHA256":
        raise ValueError("not signed")
    fields = dict(part.strip().split("=", 1) for part in rest.split(","))
    key_id, date, region, service, _ = fields["Credential"].split("/")
    signed = fields["SignedHeaders"].split(";")
    for wanted in ("host", "x-amz-date", "x-amz-security-token"):
        if wanted not in signed:
            raise ValueError(f"{wanted} is not signed")
    if key_id != ACCESS_KEY or request.headers["X-Amz-Security-Token"] != SESSION:
        raise ValueError("not this role's credentials")
    canonical = "\n".join(
        [request.command, request.path, ""]
        + [f"{name}:{' '.join(request.headers[name].split())}" for name in signed]
        + ["", ";".join(signed), hashlib.sha256(body).hexdigest()])
    text = "\n".join([scheme, request.headers["X-Amz-Date"], f"{date}/{region}/{service}/aws4_request",
                      hashlib.sha256(canonical.encode()).hexdigest()])
    wanted = hmac.new(signing_key(date, region, service), text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted, fields["Signature"]):
        raise ValueError(f"the signature does not match; expected that of {canonical!r}")
    return service, region


class Instance(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, text="", fields=()):
        body = text.encode()
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_PUT(self):
        body = self.body().decode()
        if self.path == "/latest/api/token":
            # IMDSv2 refuses one without a lifetime, and one that came through a proxy.
            seconds = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            asked_well = seconds.isdigit() and 1 <= int(seconds) <= 21600 and "X-Forwarded-For" not in self.headers
            if not asked_well:
                return self.answer(400)
            return self.answer(200, TOKEN, [("X-aws-ec2-metadata-token-ttl-seconds", seconds)])
        with turn:
            name = self.path.removeprefix("/control/")
            if body:
                state[name] = body
            else:
                state.pop(name, None)
        return self.answer(200)

    def do_GET(self):
        if self.path == "/control/calls":
            with turn:
                return self.answer(200, "".join(json.dumps(call) + "\n" for call in calls))
        if self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
            return self.answer(401)
        with turn:
            found = metadata(self.path.removeprefix("/latest/"))
        return self.answer(404) if found is None else self.answer(200, found)

    def do_POST(self):
        body = self.body()
        try:
            service, region = verify(self, body)
        except (ValueError, KeyError) as error:
            return self.answer(403, json.dumps({"message": f"SignatureDoesNotMatch: {error}"}))
        if service == "secretsmanager":
            time.sleep(float(state.get("secret-delay", "0")))
        with turn:
            if service == "secretsmanager" and self.headers["X-Amz-Target"] == "secretsmanager.GetSecretValue":
                calls.append({"action": "GetSecretValue", "region": region, **json.loads(body)})
                if "secret" not in state:
                    return self.answer(400, json.dumps({"__type": "ResourceNotFoundException"}))
                return self.answer(200, json.dumps({"SecretString": state["secret"]}))
            if service == "autoscaling":
                form = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
                calls.append({"action": form.pop("Action"), "region": region, **form})
                return self.answer(200, "<Response/>")
        return self.answer(400, json.dumps({"message": f"unknown: {service}"}))

    def log_message(self, *_):
        pass


def end_with_parent():
    sys.stdin.read()
    os._exit(0)


server = ThreadingHTTPServer(("127.0.0.1", 0), Instance)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
threading.Thread(target=end_with_parent, daemon=True).start()
server.serve_forever()
