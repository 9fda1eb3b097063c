"""Reads a file over NFSv4.0 (RFC 7530), as far as a test of who may read it needs.

    nfs4_client.py ADDRESS SERVICE NAME...

SERVICE is `nfs@HOST`, and the ticket that KRB5CCNAME names is shown to it (RPCSEC_GSS, RFC 2203, with Kerberos); or `-`:
then it says that it is root, and nobody vouches for that (AUTH_SYS). The NAMEs lead from the server's root to the file.
Prints one JSON object: `status`, the server's, as NFS names it; `text`, what is in the file; `context_ms` and `read_ms`,
how long that took. Exits 1 where the server does not speak as it must.
"""

import json
import socket
import struct
import sys
import time

PORT, PATIENCE = 2049, 30
PROGRAM, VERSION, COMPOUND = 100003, 4, 1
PUTROOTFH, LOOKUP, READ = 24, 15, 25
AUTH_NONE, AUTH_SYS, RPCSEC_GSS = 0, 1, 6
GSS_DATA, GSS_INIT, GSS_CONTINUE, BY_NAME_ONLY = 0, 1, 2, 1
STATUS = {0: "ok", 1: "perm", 2: "noent", 13: "access", 10016: "wrongsec"}


def number(value):
    return struct.pack(">I", value)


def opaque(data):
    return number(len(data)) + data + bytes(-len(data) % 4)


class Answer:
    """What is read off the bytes of an answer, from the first to the last."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self):
        self.at += 4
        return struct.unpack(">I", self.data[self.at - 4 : self.at])[0]

    def opaque(self):
        length = self.number()
        start, self.at = self.at, self.at + length + -length % 4
        return self.data[start : start + length]


class Says:
    """Nobody vouches for who calls."""

    def __init__(self):
        # At no time, on a machine called test, as user 0 of group 0, and of no other.
        self.body = number(0) + opaque(b"test") + number(0) + number(0) + number(0)

    def credential(self):
        return number(AUTH_SYS) + opaque(self.body)

    def verifier(self, _):
        return number(AUTH_NONE) + opaque(b"")

    def check(self, _):
        pass


class Shows:
    """A ticket vouches for who calls, in each call."""

    def __init__(self, context):
        self.context, self.procedure, self.sequence, self.handle = context, GSS_INIT, 0, b""

    def credential(self):
        if self.procedure == GSS_DATA:
            self.sequence += 1
        fields = number(1) + number(self.procedure) + number(self.sequence) + number(BY_NAME_ONLY)
        return number(RPCSEC_GSS) + opaque(fields + opaque(self.handle))

    def verifier(self, header):
        if self.procedure != GSS_DATA:
            return number(AUTH_NONE) + opaque(b"")
        return number(RPCSEC_GSS) + opaque(self.context.get_signature(header))

    def check(self, verifier):
        # The server shows that it could open the ticket.
        if self.procedure == GSS_DATA:
            self.context.verify_signature(number(self.sequence), verifier)


class Connection:
    def __init__(self, address):
        self.stream = socket.create_connection((address, PORT), PATIENCE)
        self.call = 0

    def exactly(self, count):
        data = b""
        while len(data) < count:
            piece = self.stream.recv(count - len(data))
            if not piece:
                raise SystemExit("the server hung up")
            data += piece
        return data

    def record(self):
        data, last = b"", False
        while not last:
            header = struct.unpack(">I", self.exactly(4))[0]
            data, last = data + self.exactly(header & 0x7FFFFFFF), header >> 31
        return data

    def ask(self, who, procedure, arguments):
        self.call += 1
        header = b"".join(map(number, (self.call, 0, 2, PROGRAM, VERSION, procedure))) + who.credential()
        message = header + who.verifier(header) + arguments
        self.stream.sendall(number(1 << 31 | len(message)) + message)
        answer = Answer(self.record())
        if (answer.number(), answer.number(), answer.number()) != (self.call, 1, 0):
            raise SystemExit("the call was not taken: " + answer.data.hex())
        answer.number()
        who.check(answer.opaque())
        if answer.number() != 0:
            raise SystemExit("the call was not understood: " + answer.data.hex())
        return answer


def shown(connection, service):
    """The ticket is shown, and the server shows that it is the one that was meant."""
    import gssapi

    name = gssapi.Name(service, gssapi.NameType.hostbased_service)
    mutual = [gssapi.RequirementFlag.mutual_authentication]
    context = gssapi.SecurityContext(name=name, mech=gssapi.MechType.kerberos, usage="initiate", flags=mutual)
    who, token = Shows(context), context.step()
    while True:
        answer = connection.ask(who, 0, opaque(token))
        who.handle = answer.opaque()
        major, minor = answer.number(), answer.number()
        answer.number()
        token = answer.opaque()
        if major not in (0, 1):
            raise SystemExit(f"the ticket was not taken: {major:#x} {minor}")
        if token:
            token = context.step(token)
        if major == 0:
            who.procedure = GSS_DATA
            return who
        who.procedure = GSS_CONTINUE


def read(connection, who, names):
    """The status, and what is in the file."""
    steps = [number(PUTROOTFH)] + [number(LOOKUP) + opaque(name.encode()) for name in names]
    # Of no open file, from its beginning.
    steps.append(number(READ) + bytes(16) + struct.pack(">QI", 0, 4096))
    answer = connection.ask(who, COMPOUND, opaque(b"") + number(0) + number(len(steps)) + b"".join(steps))
    status = answer.number()
    if status != 0:
        return STATUS.get(status, str(status)), None
    answer.opaque()
    answer.number()
    for _ in range(len(steps) - 1):
        answer.number(), answer.number()
    answer.number(), answer.number(), answer.number()
    return "ok", answer.opaque().decode()


def main():
    address, service, *names = sys.argv[1:]
    began = time.monotonic()
    connection = Connection(address)
    who = Says() if service == "-" else shown(connection, service)
    ready = time.monotonic()
    status, text = read(connection, who, names)
    done = time.monotonic()
    took = {"context_ms": round((ready - began) * 1000), "read_ms": round((done - ready) * 1000)}
    print(json.dumps({"status": status, "text": text, **took}))


if __name__ == "__main__":
    main()
