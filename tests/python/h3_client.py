"""Drives the API over HTTP/3 with aioquic, which has nothing in common with the daemon's own stack.

    h3_client.py PORT PKI PRINTS

PORT is the daemon's on 127.0.0.1, PKI the folder with ca.pem and the certificates of `officer` and `station`, PRINTS
that of the fixtures. Prints a JSON object of what was seen; exits 1 where something is not as it must be.
"""

import asyncio
import base64
import json
import pathlib
import sys
import uuid

from aioquic.asyncio import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration

PATIENCE = 60


class Client(QuicConnectionProtocol):
    """One connection; requests may run side by side."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.waiting = {}
        self.answers = {}

    def quic_event_received(self, event):
        for http_event in self.http.handle_event(event):
            if not isinstance(http_event, (HeadersReceived, DataReceived)):
                continue
            answer = self.answers.setdefault(http_event.stream_id, {"status": 0, "body": b""})
            if isinstance(http_event, HeadersReceived):
                answer["status"] = int(dict(http_event.headers)[b":status"])
            else:
                answer["body"] += http_event.data
            if http_event.stream_ended:
                waiter = self.waiting.pop(http_event.stream_id, None)
                if waiter and not waiter.done():
                    waiter.set_result(answer)

    async def ask(self, method, path, body=None):
        """Asks, and gives the status and the parsed body."""
        stream = self._quic.get_next_available_stream_id()
        data = None if body is None else json.dumps(body).encode()
        headers = [
            (b":method", method.encode()),
            (b":scheme", b"https"),
            (b":authority", b"127.0.0.1"),
            (b":path", path.encode()),
        ]
        if data is not None:
            headers += [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
        waiter = asyncio.get_running_loop().create_future()
        self.waiting[stream] = waiter
        self.http.send_headers(stream, headers, end_stream=data is None)
        if data is not None:
            self.http.send_data(stream, data, end_stream=True)
        self.transmit()
        answer = await asyncio.wait_for(waiter, PATIENCE)
        return answer["status"], json.loads(answer["body"]) if answer["body"] else None


def must(condition, what):
    """Ends the program where something is not as it must be."""
    if not condition:
        sys.exit(f"h3_client.py: {what}")


async def main(port, pki, prints):
    """All of it, in the order in which it builds on what was before."""
    tickets = []

    def as_client(name):
        configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN)
        configuration.load_verify_locations(str(pki / "ca.pem"))
        if name:
            configuration.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
        return connect(
            "127.0.0.1",
            port,
            configuration=configuration,
            create_protocol=Client,
            session_ticket_handler=tickets.append,
        )

    def sample(name):
        data = base64.b64encode((prints / f"{name}.png").read_bytes()).decode()
        return {"format": "png", "data": data, "dpi": 500}

    def probe(name, **more):
        return {"request_id": uuid.uuid4().hex, "nonce": uuid.uuid4().hex, "sample": sample(name), **more}

    async with as_client(None) as stranger:
        status, _ = await stranger.ask("GET", "/v1/health/live")
        must(status == 200, f"live is {status}")
        status, problem = await stranger.ask("GET", "/v1/health/ready")
        must(status == 401 and problem["status"] == 401, f"ready without a certificate is {status}: {problem}")

    async with as_client("officer") as officer:
        subjects = {}
        for name, finger in (("Ada", "125"), ("Grace", "126")):
            status, made = await officer.ask("POST", "/v1/subjects", {"name": name})
            must(status == 201, f"a subject is {status}: {made}")
            subjects[name] = made["subject_id"]
            body = {"position": "right-index", "samples": [sample(f"{finger}_{n}") for n in (1, 2, 3)]}
            status, enrolled = await officer.ask("POST", f"/v1/subjects/{subjects[name]}/fingers", body)
            must(status == 201, f"enrolment is {status}: {enrolled}")

    async with as_client("station") as station:
        status, _ = await station.ask("GET", "/v1/health/ready")
        must(status == 200, f"ready is {status}")
        decisions = {}
        for name, right in (("125_4", "accept"), ("127_1", "refuse")):
            status, answer = await station.ask("POST", "/v1/verify", probe(name, subject_id=subjects["Ada"]))
            must(status == 200 and answer["decision"] == right, f"{name} is {status}: {answer}")
            decisions[name] = answer["decision"]
        # Two requests on one connection at the same time.
        (first, identified), (second, ready) = await asyncio.gather(
            station.ask("POST", "/v1/identify", probe("126_4")),
            station.ask("GET", "/v1/health/ready"),
        )
        must((first, second) == (200, 200), f"side by side: {first} {identified}, {second} {ready}")
        must(identified.get("subject_id") == subjects["Grace"], f"identified: {identified}")

    # Without a ticket there is nothing to send early data with; one that came must not allow any.
    early = [ticket for ticket in tickets if ticket.max_early_data_size]
    must(not early, "the box lets early data in")
    print(json.dumps({"decisions": decisions, "identified": identified["decision"], "tickets": len(tickets)}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])))
