"""An executor.

    flow.py HOST:PORT NAMESPACE map FUNCTION    scatters the lines of its input, JSON of the type int, through a function
                                                of the fleet and prints the results in order
    flow.py HOST:PORT NAMESPACE gather QUEUE    prints the items of a queue that are not delivered yet
"""

import json
import os
import socket
import sys
import threading
import time
import uuid

from client import C, Client, Entry, Process, failure, frame, pairs, text


class Queue:
    def __init__(self, name, meta):
        self.name, self.meta = name, {f: text(v) for f, v in pairs(meta).items()}
        self.inc, self.paths = self.meta["inc"], json.loads(self.meta["from"])


class Executor(Process):
    def __init__(self, client):
        super().__init__(client, "executor", {"host": socket.gethostname(), "pid": os.getpid()})

    def declare(self, name, codec, typ, sealed, paths, flow):
        k = self.client.key
        status, meta = self.client.run("declare", {"meta": k("m", name), "stream": k("q", name), "returns": k("r", name), "owned": k("own", self.id), "queues": k("queues")},
                                       {"queue": name, "inc": uuid.uuid4(), "codec": codec, "type": typ, "max": 0, "maxb": C["queue_bytes"], "owner": self.id,
                                        "sealed": sealed, "from": json.dumps(paths), "flow": flow, "version": 1, "expires": 0})
        if text(status) == "dying":
            raise SystemExit("queue %s is being deleted" % name)
        return Queue(name, meta)

    def scatter(self, queue, values):
        """Stores the values as a source that seals its queue. It waits for room."""
        k, name, claim = self.client.key, "s." + str(uuid.uuid4()), str(uuid.uuid4())
        status, epoch, stored = self.client.run(
            "source", {"source": k("s", name), "meta": k("m", queue.name), "sources": k("src", queue.name), "watch": k("watch", queue.name),
                       "executors": k("executors"), "named": k("named", queue.name)},
            {"source": name, "queue": queue.name, "inc": queue.inc, "seal": 1, "by": self.id, "named": 0, "holds": k("holds", ""), "claim": claim, "keep": ""})
        if text(status) != "ok":
            raise SystemExit("source: " + text(status))
        lost = failure("lost", "Redis lost it before it was read", stage=queue.name)
        size, room, seen = 1, -1, "0-0"
        while stored < len(values):
            batch = [(v, False) for v in values[stored:stored + (min(size, room) if room > 0 else size)]]
            kind, data, keys, ahead = self.client.part(frame(batch))
            status, stored, room, cost, limit, *_ = self.client.run(
                "scatter", {"source": k("s", name), "meta": k("m", queue.name), "stream": k("q", queue.name), "wait": k("wait", queue.name),
                            "watch": k("watch", queue.name), "sources": k("src", queue.name), "payloads": keys},
                {"source": name, "epoch": epoch, "inc": queue.inc, "mailbox": k("p", self.id), "window": -C["window"], "lost": lost, "policy": "",
                 "prefix": self.client.prefix, "batches": [stored, len(batch), len(frame(batch)), "", kind, data]}, ahead)
            status, limit = text(status), int(limit)
            if status in ("gone", "fenced"):
                raise SystemExit("scatter: " + status)
            if status in ("full", "window") and room <= 0:
                found = self.client.redis("XREAD", "COUNT", 1000, "BLOCK", C["room_wait"], "STREAMS", k("p", self.id), seen)
                seen = text(found[0][1][-1][0]) if found else seen
            size = C["scatter_batch_cost"] * 10**6 // int(cost) if int(cost) else stored // 64
            size = max(1, min(size, limit or C["scatter_batch_items"], C["scatter_batch_items"]))
        status = self.client.run("finish", {"source": k("s", name), "watch": k("watch", queue.name), "meta": k("m", queue.name), "stream": k("q", queue.name), "sources": k("src", queue.name)},
                                 {"source": name, "epoch": epoch, "end": len(values), "inc": queue.inc, "lost": lost, "holds": k("holds", "")})
        if text(status) == "fenced":
            raise SystemExit("finish: fenced")

    def map(self, queue, function):
        """Makes a stage over a queue and returns its out-queue."""
        k = self.client.key
        cards = [c for w in self.client.redis("ZRANGE", k("workers"), 0, -1)
                 for c in json.loads(text(self.client.redis("HGET", k("w", text(w)), "functions")) or "[]") if c["name"] == function]
        card = next(c for c in cards if (c["incodec"], c["in"]) == (queue.meta["codec"], queue.meta["type"]))
        paths = queue.paths or [queue.name]
        out = self.declare("%s.%s" % (function, str(uuid.uuid4())[:13]), card["outcodec"], card["out"], 1, paths, queue.meta["flow"])
        record = {"v": 1, "id": out.name, "seq": time.time_ns(), "kind": "map", "fn": function, "ins": [{"q": queue.name, "inc": queue.inc}],
                  "outs": [{"q": out.name, "inc": out.inc}], "incodec": card["incodec"], "intype": card["in"], "outcodec": card["outcodec"], "outtype": card["out"]}
        roots = [path.partition("~") for path in paths]
        status, *_ = self.client.run("stage", {"stages": k("stages"), "workers": k("workers"), "metas": [k("m", q) for q in [queue.name, out.name] + [r[0] for r in roots]]},
                                     {"stage": out.name, "record": json.dumps(record), "prefix": self.client.prefix, "ins": 1, "outs": 1, "goes": 0, "old": "", "away": "",
                                      "more": [queue.name, out.name] + [x for _, sep, branch in roots for x in (1, sep + branch, "")]})
        if text(status) != "ok":
            raise SystemExit("stage: " + text(status))
        return out


def ranges(mark):
    """The ranges of a delivered mark, in their order."""
    low, *above = mark.split(",")
    return [(0, int(low))] + [tuple(int(n) for n in r.split("-")) for r in above]


class Gather:
    """The reader of a queue. It holds sources by their names in the queue: next is the offset to deliver, done the ranges
    above it that were delivered before."""

    def __init__(self, executor, queue):
        self.executor, self.client, self.queue, self.id = executor, executor.client, queue.name, str(uuid.uuid4())
        k, self.sources, self.whole, self.acks = self.client.key, {}, [], 0
        status, *reply = self.client.run("consume", {"meta": k("m", self.queue), "mailbox": k("p", self.id), "executors": k("executors"), "delivered": k("d", self.queue),
                                                     "nacked": k("nacked", self.queue), "stream": k("q", self.queue), "requeued": [k("r", self.queue), k("x", self.queue)]},
                                         {"gather": self.id, "executor": executor.id})
        if text(status) != "ok":
            raise SystemExit("consume: %s %s" % (text(status), reply))
        self.reader = "%s %d" % (Queue(self.queue, reply[1]).inc, reply[0])
        self.delivered = {name: ranges(text(mark)) for name, mark in pairs(reply[2] or []).items()}
        self.before = Queue(self.queue, reply[1]).meta.get("before", "")
        self.roots = [[path.partition("~")[0], "".join(path.partition("~")[1:]), 0, False] for path in queue.paths or [queue.name]]

    def watch(self):
        k = self.client.key
        for root in self.roots:
            more = 1
            names = [name for name, s in self.sources.items() if s["root"] is root][:C["watch_names"]]
            while more:
                status, *reply = self.client.run(
                    "watch", {"root": k("m", root[0]), "sources": k("src", root[0]), "watch": k("watch", root[0]), "meta": k("m", self.queue), "delivered": k("d", self.queue)},
                    {"mailbox": k("p", self.id), "sources": k("s", ""), "queue": self.queue, "branch": root[1], "reader": self.reader, "after": root[2],
                     "count": C["watch_page"], "names": [n.removesuffix(root[1]) for n in names]})
                if text(status) in ("gone", "fenced"):
                    raise SystemExit("watch: " + text(status))
                root[2], more, root[3], rows = text(reply[0]), int(reply[1]), text(status) == "sealed", reply[3:]
                for i in range(0, len(rows), 7):
                    source = self.sources.setdefault(text(rows[i]) + root[1], {"root": root, "next": 0, "done": [], "waiting": {}, "told": None})
                    if source["told"] is None:
                        source["done"] += self.delivered.pop(text(rows[i]) + root[1], [])
                        self.skip(source)
                    source.update(end=int(rows[i + 2]), cut=text(rows[i + 3]))

    def inherit(self):
        """Takes over the entries of a predecessor, and removes it."""
        k, start, entries = self.client.key, "0-0", []
        while True:
            start, found, *_ = self.client.redis("XAUTOCLAIM", k("q", self.queue), "w", self.id, 0, start, "COUNT", 100)
            entries += [Entry(k("q", self.queue), e) for e in found if e and e[1]]
            if text(start) == "0-0":
                break
        if self.before:
            self.release(self.before)
        return entries

    def release(self, gather):
        k = self.client.key
        self.client.run("release", {"meta": k("m", self.queue), "mailbox": k("p", gather), "stream": k("q", self.queue), "roots": [k("watch", r[0]) for r in self.roots]},
                        {"gather": gather, "mailbox": k("p", gather), "queue": self.queue, "prefix": self.client.prefix})

    def skip(self, s):
        while s["done"] and s["done"][0][0] <= s["next"]:
            s["next"] = max(s["next"], s["done"].pop(0)[1])

    def due(self, s):
        """Yields the items of a source that are due."""
        while s["waiting"] and min(s["waiting"]) <= s["next"]:
            e = s["waiting"].pop(min(s["waiting"]))
            found = e.items or [(failure("decode", e.why), True)] * e.n
            while s["next"] < e.first + e.n:
                at, s["next"] = s["next"], min([e.first + e.n] + [r[0] for r in s["done"]])
                yield from found[at - e.first:s["next"] - e.first]
                self.skip(s)
            self.whole.append(e)

    def ended(self):
        return all(root[3] for root in self.roots) and all(0 <= s["end"] <= s["next"] for s in self.sources.values())

    def run(self):
        """Yields the items, each with whether it is a failure."""
        stream, looked, every, look, entries = self.client.key("q", self.queue), 0, 1, True, self.inherit()
        while True:
            if look or time.monotonic() - looked > every or any(e.source not in self.sources for e in entries):
                self.watch()
                looked, every, look = time.monotonic(), min(2 * every, C["gather_look_max"] / 1000), False
            for e in entries:
                self.sources[e.source]["waiting"][e.first] = e.load(self.client)
            for s in self.sources.values():
                yield from self.due(s)
            self.ack()
            if self.ended():
                return self.release(self.id)
            hints, entries = self.executor.read(self.id, [stream], C["gather_wait"], C["gather_entries"])
            every = 1 if hints or entries else every
            look = any(kind in ("end", "source") for kind, _ in hints)

    def ack(self):
        k = self.client.key
        while True:
            whole, self.whole = self.whole[:C["ack_entries"]], self.whole[C["ack_entries"]:]
            keys, args = [], []
            for name, s in self.sources.items():
                ended = 0 <= s["end"] <= s["next"] and not self.whole and not (s["cut"] and s["root"][3])
                if s["told"] != (s["next"], ended):
                    source, s["told"] = name.removesuffix(s["root"][1]), (s["next"], ended)
                    keys += [k("s", source), k("m", s["root"][0])]
                    args += [name, source, s["root"][0], ",".join([str(s["next"])] + ["%d-%d" % r for r in s["done"]]), s["next"], int(ended)]
            if not whole and not keys:
                return
            self.acks += 1
            status = self.client.run("ack", {"meta": k("m", self.queue), "stream": k("q", self.queue), "wait": k("wait", self.queue), "delivered": k("d", self.queue),
                                             "more": keys + [key for e in whole for key in e.old]},
                                     {"reader": self.reader, "number": self.acks, "queue": self.queue, "prefix": self.client.prefix, "keep": 0, "ids": len(whole),
                                      "sources": len(keys) // 2, "more": [e.id for e in whole] + args})
            if text(status) not in ("ok", "waited"):
                raise SystemExit("ack: " + text(status))


def main(address, namespace, verb, name):
    executor, producer = Executor(Client(address, namespace)), None
    if verb == "map":
        values = [line.rstrip(b"\n") for line in sys.stdin.buffer]
        flow = "scatter." + str(uuid.uuid4())[:13]
        root = executor.declare(flow, "json", "int", 0, [], flow)
        queue = executor.map(root, name)
        producer = threading.Thread(target=executor.scatter, args=(root, values))
        producer.start()
    else:
        queue = Queue(name, executor.client.redis("HGETALL", executor.client.key("m", name)))
    for item, failed in Gather(executor, queue).run():
        print(("failure " if failed else "") + item.decode(), flush=True)
    if producer:
        producer.join()
    executor.leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
