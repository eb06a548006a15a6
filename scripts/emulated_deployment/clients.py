"""A phone and an operator, as the deployment sees them."""

import base64
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request

from websockets.sync.client import connect

from .progress import Failed, must
from .settings import ANSWER_S


def token(secret, user, roles=()):
    """A token as the issuer would make it."""
    encode = lambda part: base64.urlsafe_b64encode(part).rstrip(b"=")
    claims = {"sub": user, "exp": int(time.time()) + 3600, "roles": list(roles)}
    signed = b".".join(encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return b".".join([signed, encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest())]).decode()


class Operator:
    """Somebody who uses the operators' HTTP API."""

    def __init__(self, stack):
        self.stack = stack

    def asks(self, method, path, body=None, roles=("admin",)):
        """Sends a request, without a token when there are no ROLES at all; gives its status and what it said."""
        request = urllib.request.Request(self.stack.address("AdminUrl") + path, method=method)
        request.add_header("content-type", "application/json")
        if roles is not None:
            request.add_header("authorization", f"Bearer {token(self.stack.secret(), 'operator', roles)}")
        try:
            with urllib.request.urlopen(request, body and json.dumps(body).encode(), timeout=ANSWER_S) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")


class Phone:
    """A client that is connected."""

    def __init__(self, stack, user, secret=None):
        address = stack.address("WebSocketUrl").replace("http://", "ws://")
        headers = {"authorization": f"Bearer {token(secret or stack.secret(), user)}"}
        self.socket = connect(address, additional_headers=headers, open_timeout=ANSWER_S, proxy=None)
        self.heard = []
        self.asked = 0

    def waits_for(self, what, fits):
        """Waits for a frame that fits, and takes it; what else comes meanwhile is kept."""
        deadline = time.monotonic() + ANSWER_S
        while True:
            for n, frame in enumerate(self.heard):
                if fits(frame):
                    return self.heard.pop(n)
            try:
                self.heard.append(json.loads(self.socket.recv(timeout=max(0, deadline - time.monotonic()))))
            except TimeoutError:
                raise Failed(f"{what}: not within {ANSWER_S} s, but {self.heard}") from None

    def hears(self, event):
        """Waits for an event that nobody here asked for, or a page of an answer, and gives its data."""
        return self.waits_for(event, lambda frame: frame["event"] == event)["data"]

    def asks(self, event, **frame):
        """Sends a frame and gives the data of its final answer, which must be this event."""
        self.asked += 1
        name = str(self.asked)
        self.socket.send(json.dumps(frame | {"requestId": name}))
        final = lambda it: it.get("requestId") == name and it["event"] != "sync:page"
        answer = self.waits_for(frame["action"], final)
        must(answer["event"] == event, f"{frame['action']}: {answer}")
        return answer["data"] if answer["success"] else answer["error"]

    def leaves(self):
        self.socket.close()
