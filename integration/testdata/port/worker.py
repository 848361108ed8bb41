"""A worker with one slot: worker.py HOST:PORT NAMESPACE runs the functions upper and broken until SIGTERM."""

import json
import os
import random
import signal
import socket
import sys
import threading
import time

from client import C, PASSING, Client, Entry, Process, Redis, RedisError, failure, frame, pairs, text


def upper(item):
    return item.upper()


def broken(item):
    raise ValueError("broken: " + item)


FUNCTIONS = {"upper": upper, "broken": broken}


class Worker(Process):
    def __init__(self, client):
        cards = [{"name": f, "in": "string", "incodec": "raw", "out": "string", "outcodec": "raw"} for f in FUNCTIONS]
        super().__init__(client, "worker", {"host": socket.gethostname(), "pid": os.getpid(), "concurrency": 1, "functions": json.dumps(cards)})
        self.alarm, self.routes = float("inf"), []

    def look(self):
        """Reads the stages. It drops those that this worker cannot run."""
        k, routes = self.client.key, []
        for record in pairs(self.client.redis("HGETALL", k("stages"))).values():
            s = json.loads(record)
            typed = all((s.get(x + "codec", ""), s.get(x + "type", "")) in (("raw", "string"), ("", "")) for x in ("in", "out"))
            if s["v"] == 1 and not s.get("paused") and len(s["ins"]) == 1 and (s["kind"] == "copy" or s["kind"] == "map" and s["fn"] in FUNCTIONS and typed):
                meta = self.client.redis("HMGET", k("m", s["ins"][0]["q"]), "inc", "consumer", "dying")
                if [text(f) for f in meta] == [s["ins"][0]["inc"], "stage:" + s["id"], ""]:
                    routes.append(s)
        self.routes = sorted(routes, key=lambda s: -s["seq"])

    def queue(self, s, *kinds):
        return [self.client.key(kind, s["ins"][0]["q"]) for kind in kinds]

    def take(self):
        keys, args = [], []
        for s in self.routes:
            keys += self.queue(s, "r", "q", "m", "wait", "x") + [self.client.key(kind, o["q"]) for o in s["outs"] for kind in ("q", "m", "wait")]
            args += [s["ins"][0]["q"], len(s["outs"]), 0, 0]
        reply = self.client.run("take", {"routes": keys}, {"consumer": self.id, "budget": 1, "mailbox": self.client.key("p", self.id), "suspects": 1,
                                                           "prefix": self.client.prefix, "routes": args}, again=False)
        for s, (status, *found, _) in zip(self.routes, reply):
            for stream, raw in zip(self.queue(s, "r", "q", "x"), found):
                yield from ((s, Entry(stream, e)) for e in raw)

    def pending(self):
        """Entries of a lost reply."""
        for s in self.routes:
            for stream in self.queue(s, "r", "q", "x"):
                try:
                    found = self.client.redis("XREADGROUP", "GROUP", "w", self.id, "STREAMS", stream, 0) or []
                except RedisError as e:
                    if e.word != "NOGROUP":
                        raise
                    found = []
                yield from ((s, Entry(stream, e)) for _, raw in found for e in raw if e[1])

    def work(self, stop):
        recover = stale = True
        while not stop.is_set() and not self.fenced:
            try:
                if stale:
                    self.waits_here()
                    self.look()
                    stale = False
                found = list(self.pending() if recover else self.take())
                recover = False
                if not found:
                    wait = max(1, int(1000 * min(C["worker_wait"] / 1000, self.alarm - time.monotonic())))
                    hints, entries = self.read(self.id, [q for s in self.routes for q in self.queue(s, "r", "q")], wait)
                    stale = not entries
                    by = {q: s for s in self.routes for q in self.queue(s, "r", "q")}
                    found = [(by[e.stream], e) for e in entries]
                for i, (s, e) in enumerate(found):
                    e.load(self.client)
                    stale = (self.complete(s, e, [], [(0, e.n, e.attempts, 0)]) if i else self.process(s, e)) == "gone" or stale
                self.requeue_due()
            except (RedisError, OSError) as e:
                if isinstance(e, OSError):
                    self.client.local.redis = None
                elif e.word == "NOPERM":
                    raise
                recover = stale = True
                time.sleep(C["worker_fail_pause"] / 1000)
        if self.fenced:
            return
        k, names = self.client.key, [s["ins"][0]["q"] for s in self.routes]
        at = 1
        while names and at:
            at = int(self.client.run("reclaim", {"workers": k("workers"), "fenced": k("fenced"), "queues": [k(kind, q) for q in names for kind in "mqrx"]},
                                     {"worker": self.id, "count": C["reclaim_entries"], "crashes": 0, "many": C["many"], "names": [self.id]})[0])
            names = names[at - 1:] if at else []
        self.leave()

    def requeue_due(self):
        if self.alarm <= time.monotonic() or self.overdue > C["retry_overdue"]:
            self.alarm, self.overdue = float("inf"), 0
            while self.client.run("requeue_due", {"due": self.client.key("due")}, {"prefix": self.client.prefix, "count": C["due_page"]}) == 1:
                pass

    def process(self, s, e):
        """Runs an entry. Parts are (from, to, attempts, delay) in the items of the entry."""
        whole = [(0, e.n, e.attempts, 0)]
        if e.worker == self.id:
            return self.complete(s, e, [], whole)
        if e.why:
            return self.complete(s, e, [], [], failure("decode", "malformed entry: " + e.why, stage=s["id"]))
        if s["kind"] == "copy" or "e" in e.fields:
            return self.complete(s, e, [(e.source + o.get("branch", ""), o, e.first, e.items) for o in s["outs"]], [])
        if e.crashes >= C["many"] and e.n > 1:
            return self.complete(s, e, [], [(i, i + 1, e.attempts, 0) for i in range(e.n)])
        if e.crashes >= C["max_crashes"]:
            why = failure("crashed", "%d workers died with it" % e.crashes, stage=s["id"], fn=s["fn"])
            return self.complete(s, e, [(e.source, s["outs"][0], e.first, [(why, True)])], [], why)
        results, again = [], []
        for i, (item, failed) in enumerate(e.items):
            if failed:
                results.append((item, True))
                continue
            try:
                results.append((FUNCTIONS[s["fn"]](item.decode()).encode(), False))
            except Exception as error:  # of the function
                if e.attempts < s.get("retries", 0):
                    pause = min(s.get("backoff", C["backoff"] * 10**6) * 2**e.attempts, s.get("backoffmax", C["backoffmax"] * 10**6)) / 10**6
                    again.append((i, i + 1, e.attempts + 1, int(pause * random.uniform(0.75, 1.25))))
                results.append((failure("error", str(error), stage=s["id"], fn=s["fn"], worker=self.id, attempts=e.attempts + 1), True))
        outs, at, bound = [], 0, s["outs"][0].get("max") or e.n
        for cut in [i for i, *_ in again] + [e.n]:
            outs += [(e.source, s["outs"][0], e.first + i, results[i:min(i + bound, cut)]) for i in range(at, cut, bound)]
            at = cut + 1
        return self.complete(s, e, outs, again)

    def complete(self, s, e, outs, rests, why=b""):
        client, k, inline = self.client, self.client.key, False
        while True:
            keys, new, ahead = [], [], []
            args = [e.id, s["ins"][0]["inc"], 0, 1, e.crashes, e.source, e.stamp, s["ins"][0]["q"], why, 0 if why else len(e.old), len(outs), 0, len(rests)]
            for head, first, part in [((o, source), first, p) for source, o, first, p in outs] + [(r, e.first + r[0], (e.items or [])[r[0]:r[1]]) for r in rests]:
                kind, data, key, set_ = client.part(frame(part), inline)
                new, ahead = new + key, ahead + set_
                if len(head) == 2:
                    keys += [k("q", head[0]["q"]), k("m", head[0]["q"])]
                    args += [head[0]["inc"], head[1]]
                else:
                    args += ["", head[2], head[3]]
                args += [first, len(part), "", len(frame(part)), kind, data]
            reply = client.run("complete", {"due": k("due"), "dead": k("dead"), "entries": [e.stream] + self.queue(s, "m", "r", "x", "l") + ([] if why else e.old) + keys + new},
                               {"payloads": k("f", ""), "many": C["many"], "most": C["dead_letters"], "taker": "", "entries": args}, ahead)
            status = text(reply[0])
            if status == "ok":
                self.alarm = min([self.alarm] + [time.monotonic() + r[3] / 1000 for r in rests if r[3]])
            if status == "resend" or status.startswith("ERR ") and RedisError(status).word in PASSING:
                inline = True  # the memory may be full, which refuses SET
                time.sleep(0.01)
                continue
            if status in ("ok", "lost", "gone") or not outs and not why:
                return status
            time.sleep(0.05)  # noout, or an error of this entry alone: the entry goes back
            outs, rests, why = [], [(0, e.n, e.attempts, 0)], b""


def main(address, namespace):
    client, stop = Client(address, namespace), threading.Event()
    worker = Worker(client)

    def end(*_):
        stop.set()
        Redis(address)("XADD", client.key("p", worker.id), "NOMKSTREAM", "MAXLEN", 1000, "*", "m", "room", "w", "")

    signal.signal(signal.SIGTERM, end)
    print("ready", flush=True)
    worker.work(stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
