"""The part of a port of docs/protocol.md to Python that all roles share: a connection, frames, scripts and processes.

It needs the standard library and docs/protocol.json, and serves namespaces of one partition.
"""

import json
import os
import random
import re
import socket
import threading
import time
import uuid

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../docs/protocol.json"), encoding="utf-8") as file:
    PROTOCOL = json.load(file)
SCRIPTS, C = PROTOCOL["scripts"], {c["name"]: c["value"] for c in PROTOCOL["constants"]}
BEAT = C["lease"] / C["beats"] / 1000
PASSING = {"LOADING", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "BUSY", "NOREPLICAS", "MISCONF", "OOM"}
WRAPPING = re.compile(r"^(ERR )?(Error running script \(call to \w+\): )?(@user_script: ?\d+: )+-?")


class RedisError(Exception):
    @property
    def word(self):
        return WRAPPING.sub("", str(self)).removeprefix("ERR ").split(" ", 1)[0]


class Redis:
    """A connection that speaks RESP2."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=2)
        self.socket.settimeout(7)
        self.file = self.socket.makefile("rb")

    def __call__(self, *command):
        reply = self.all([command])[0]
        if isinstance(reply, RedisError):
            raise reply
        return reply

    def all(self, commands):
        out = []
        for command in commands:
            parts = [p if isinstance(p, bytes) else str(p).encode() for p in command]
            out.append(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        self.socket.sendall(b"".join(out))
        return [self.reply() for _ in commands]

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the connection is closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            return RedisError(rest.decode())
        if kind in b":$*":
            n = int(rest)
            if kind == b":":
                return n
            if n < 0:
                return None
            return [self.reply() for _ in range(n)] if kind == b"*" else self.file.read(n + 2)[:-2]
        return rest


def text(value):
    return "" if value is None else value.decode() if isinstance(value, bytes) else str(value)


def pairs(flat):
    return {text(flat[i]): flat[i + 1] for i in range(0, len(flat), 2)}


def frame(items):
    """The frame of items, each a pair of bytes and whether it is a failure."""
    out = bytearray(b"\x01")
    for item, failed in items:
        n = 2 * len(item) + failed
        while n > 127:
            out.append(n & 127 | 128)
            n >>= 7
        out.append(n)
        out += item
    return bytes(out)


def items(data):
    if data[:1] != b"\x01":
        raise ValueError("the frame has another version")
    found, at = [], 1
    while at < len(data):
        n = shift = 0
        while True:
            n, at = n | (data[at] & 127) << shift, at + 1
            if data[at - 1] < 128:
                break
            shift += 7
        if at + n // 2 > len(data):
            raise ValueError("the frame ends in an item")
        found.append((data[at:at + n // 2], n % 2 == 1))
        at += n // 2
    return found


def failure(code, message, **more):
    return json.dumps({"code": code, "msg": message, **more}).encode()


class Client:
    """The scripts of a namespace, for each thread on a connection of its own."""

    def __init__(self, address, namespace):
        self.address, self.prefix, self.local = address, "{%s:0}:" % namespace, threading.local()

    def key(self, kind, name=None):
        return self.prefix + (kind if name is None else kind + ":" + name)

    @property
    def redis(self):
        if getattr(self.local, "redis", None) is None:
            self.local.redis = Redis(self.address)
        return self.local.redis

    def run(self, name, keys, args, ahead=(), again=True):
        """Runs a script. keys and args are by the names of its header, lists for those that repeat."""
        script = SCRIPTS[name]
        call = []
        for positions, values in (script["keys"], keys), (script["args"], args):
            if set(values) != {p["name"] for p in positions}:
                raise TypeError("%s has the names %s" % (name, [p["name"] for p in positions]))
            call.append([v for p in positions for v in (values[p["name"]] if p.get("repeats") else [values[p["name"]]])])
        rest = [len(call[0])] + call[0] + call[1]
        pause = 0.01
        while True:
            try:
                reply = self.redis.all(list(ahead) + [["EVALSHA", script["sha1"]] + rest])[-1]
                if isinstance(reply, RedisError) and reply.word == "NOSCRIPT":
                    reply = self.redis.all([["EVAL", script["source"]] + rest])[-1]
                if not isinstance(reply, RedisError):
                    return reply
                if not again or reply.word not in PASSING:
                    raise reply
            except (ConnectionError, OSError):
                self.local.redis = None
                if not again:
                    raise
            time.sleep(pause + random.uniform(0, pause))
            pause = min(2 * pause, 1)

    def part(self, data, inline=False):
        """Kind, data, payload keys and commands ahead of the script for a frame."""
        if inline or len(data) <= C["inline_bytes"]:
            return "p", data, [], []
        name = "%s.%d" % (uuid.uuid4(), len(data))
        return "f", name, [self.key("f", name)], [["SET", self.key("f", name), data, "NX", "PX", C["payload_ttl"]]]


class Process:
    """A process in a registry, with a thread that beats."""

    def __init__(self, client, role, card):
        self.client, self.role, self.id = client, role, str(uuid.uuid4())
        self.mark, self.due, self.end, self.fenced, self.overdue, self.conn = role[0] + ":" + self.id, threading.Event(), False, False, 0, ""
        k = client.key
        if client.run("partitions", {"space": k("space"), "workers": k("workers"), "executors": k("executors"), "queues": k("queues")}, {"wanted": 0}) != 1:
            raise SystemExit("the namespace has several partitions")
        client.run("join", {"registry": k(role + "s"), "card": k(self.mark), "mailbox": k("p", self.id), "fenced": k("fenced"), "space": k("space"), "watcher": k("watcher")},
                   {"id": self.id, "mark": self.mark, "partitions": 1, "birth": str(uuid.uuid4()), "card": [x for pair in card.items() for x in pair]})
        self.beats = threading.Thread(target=self.beat, daemon=True)
        self.beats.start()

    def beat(self):
        k = self.client.key
        while True:
            self.due.wait(BEAT)
            self.due.clear()
            if self.end:
                return
            reply = self.client.run("heartbeat", {"registry": k(self.role + "s"), "card": k(self.mark), "watcher": k("watcher"), "workers": k("workers"),
                                                  "executors": k("executors"), "fenced": k("fenced"), "due": k("due")},
                                    {"id": self.id, "silence": 0, "card": ["conn", self.conn]})
            if text(reply[0]) == "fenced":
                self.fenced = True
                return
            self.overdue = int(reply[2])

    def waits_here(self):
        """Notes the connection of this thread as the sign of life. A change of it is a reason to beat."""
        before, self.conn = self.conn, text(self.client.redis("CLIENT", "ID"))
        if self.conn != before:
            self.due.set()

    def leave(self):
        self.end = True
        self.due.set()
        self.beats.join()
        k = self.client.key
        self.client.run("leave", {"registry": k(self.role + "s"), "card": k(self.mark), "mailbox": k("p", self.id), "watcher": k("watcher"), "fenced": k("fenced"),
                                  "holds": k("holds", self.id), "owned": k("own", self.id), "awaited": k("awaited", self.id)},
                        {"id": self.id, "mark": self.mark, "prefix": self.client.prefix, "names": 0})

    def read(self, consumer, streams, block, count=1):
        """Waits for hints of a mailbox, which it acknowledges, and for entries of streams."""
        mailbox = self.client.key("p", consumer)
        reply = self.client.redis("XREADGROUP", "GROUP", "w", consumer, "COUNT", count, "BLOCK", block, "STREAMS", mailbox, *streams, *[">"] * (1 + len(streams))) or []
        hints, entries = [], []
        for name, found in reply:
            if text(name) == mailbox:
                hints = [pairs(fields) for _, fields in found]
                ids = [i for i, _ in found]
                self.client.redis.all([["XACK", mailbox, "w", *ids], ["XDEL", mailbox, *ids]])
            else:
                entries += [Entry(text(name), e) for e in found]
        return [(text(h["m"]), text(h["w"])) for h in hints], entries


class Entry:
    def __init__(self, stream, raw):
        self.stream, self.id, fields = stream, text(raw[0]), pairs(raw[1] or [])
        self.source, self.stamp, self.worker, self.fields = text(fields.get("s")), text(fields.get("t")), text(fields.get("w")), fields
        self.first, self.n, self.attempts, self.crashes = (int(fields.get(f) or 0) for f in "onak")

    def load(self, client):
        """Sets items, or why there are none."""
        self.items, self.why, self.old = None, "", []
        data = self.fields.get("p")
        if "f" in self.fields:
            key = client.key("f", text(self.fields["f"]))
            self.old, data = [key], client.redis("GET", key)
            if data is None:
                self.fields["e"] = failure("lost", "its payload is no longer in Redis")
        if not self.source or not 1 <= self.n <= C["max_batch_items"] or self.first < 0:
            self.why = "it is no batch"
        elif "e" in self.fields:
            self.items = [(self.fields["e"], True)] * self.n
        else:
            try:
                self.items = items(data or b"")
            except (ValueError, IndexError) as e:
                self.why = str(e)
            if self.items is not None and len(self.items) != self.n:
                self.why = "it has %d items instead of %d" % (len(self.items), self.n)
        return self
