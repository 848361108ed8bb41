"""Tests of dq.py: python3 -m unittest discover clients/python"""

import io
import json
import types
import unittest
from unittest import mock

import dq


def frame(*items):
    made = bytearray([1])
    for item in items:
        dq._varint(made, len(item) << 1)
        made += item
    return bytes(made)


def ask(*calls):
    """Serves calls, each a function and its items, and returns the hello and the answers: headers and marked results."""
    sent = b""
    for number, (name, items) in enumerate(calls, 1):
        body = frame(*items)
        sent += json.dumps({"call": number, "function": name, "items": len(items), "bytes": len(body)}).encode() + b"\n" + body
    out = io.BytesIO()
    streams = {"stdin": types.SimpleNamespace(buffer=io.BytesIO(sent)), "stdout": types.SimpleNamespace(buffer=out), "stderr": io.StringIO()}
    with mock.patch.multiple(dq.sys, **streams):
        dq.serve()
    out.seek(0)
    hello, answers = json.loads(out.readline()), []
    while line := out.readline():
        head = json.loads(line)
        answers.append((head, results(out.read(head.get("bytes", 0)))))
    return hello, answers


def results(body):
    at, found = 1, []
    while at < len(body):
        head, shift = 0, 0
        while True:
            byte = body[at]
            at += 1
            head |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        item = body[at : at + (head >> 1)]
        at += head >> 1
        found.append(json.loads(item) if head & 1 else item)
    return found


class Tests(unittest.TestCase):
    def setUp(self):
        dq._functions.clear()

    def test_types_of_annotations(self):
        @dq.function
        def f(text: str) -> int:
            return len(text)

        @dq.function(name="g", max=7)
        def other(x):
            return x

        hello, answers = ask(("f", [b"abc", "\u00fc".encode()]), ("g", [b'{"a": [1]}']))
        self.assertEqual(hello["v"], 1)
        self.assertIn({"name": "f", "in": "string", "in_codec": "raw", "out": "int", "out_codec": "json"}, hello["functions"])
        self.assertIn({"name": "g", "in": "any", "in_codec": "json", "out": "any", "out_codec": "json", "max": 7}, hello["functions"])
        self.assertEqual([r for _, r in answers], [[b"3", b"1"], [b'{"a":[1]}']])

    def test_failures_stand_in_their_places(self):
        @dq.function
        def f(x: int) -> int:
            if x == 2:
                raise dq.Permanent("two")
            if x == 3:
                raise dq.RetryAfter(1.5, "three")
            if x == 4:
                raise dq.Unavailable("four")
            return 1 // x

        _, [(head, got)] = ask(("f", [b"1", b"2", b"3", b"4", b"0", b"no number"]))
        self.assertEqual(head["items"], 6)
        self.assertEqual(got[:4], [b"1", {"message": "two", "permanent": True}, {"message": "three", "retry_after": 1500},
                                   {"message": "four", "unavailable": True}])
        self.assertIn("ZeroDivisionError", got[4]["message"])
        self.assertIn("JSONDecodeError", got[5]["message"])

    def test_batches(self):
        given = []

        @dq.batch(takes=int, returns=int)
        def double(xs):
            given.append(xs)
            return [ValueError("no") if x == 3 else 2 * x for x in xs]

        @dq.batch
        def short(texts):
            return texts[1:]

        _, [(_, got), (failed, none)] = ask(("double", [b"1", b"x", b"3"]), ("short", [b"a", b"b"]))
        self.assertEqual(given, [[1, 3]])
        self.assertEqual([got[0], got[2]], [b"2", {"message": "ValueError: no"}])
        self.assertEqual((failed["error"], none), ({"message": "1 results for 2 items", "permanent": True}, []))

    def test_long_items_keep_their_bytes(self):
        @dq.function
        def same(item: bytes) -> bytes:
            return item

        items = [bytes([n % 256]) * n for n in (0, 1, 63, 64, 8191, 8192, 3 << 20)]
        _, [(_, got)] = ask(("same", items))
        self.assertEqual(got, items)


if __name__ == "__main__":
    unittest.main()
