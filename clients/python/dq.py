"""Functions for dqbridge in Python: dqworker --child 'python3 functions.py', see docs/children.md.

    import dq

    @dq.function
    def upper(text: str) -> str:
        return text.upper()

    dq.serve()

A function gets one item, a dq.batch function a list of them and returns a list of as many results. An exception fails the
item; of a batch function it fails all, unless it is in the list in the place of a result. dq.Permanent is not tried again,
dq.RetryAfter says when, dq.Unavailable hands the item to any worker. print writes to stderr, which the worker logs.
"""

import json
import sys

__all__ = ["Permanent", "RetryAfter", "Unavailable", "batch", "function", "serve"]


class Permanent(Exception):
    """The item fails for good, however many retries its stage has."""


class Unavailable(Exception):
    """The function cannot run here now, whatever the item: another worker may."""


class RetryAfter(Exception):
    """The item is tried again, if its stage has retries, after so many seconds."""

    def __init__(self, seconds, message="try again later"):
        super().__init__(message)
        self.seconds = seconds


# Names of types and codecs as dqbridge has them, by the annotations of functions. All others are JSON of any type.
TYPES = {str: ("string", "raw"), bytes: ("bytes", "raw"), int: ("int", "json"), float: ("float", "json"), bool: ("bool", "json")}
ANY = ("any", "json")
DECODE = {str: lambda item: item.decode(), bytes: bytes, None: json.loads}
ENCODE = {str: str.encode, bytes: bytes, None: lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()}

_functions = {}


def function(f=None, *, name=None, takes=None, returns=None, max=0):
    """Offers f, which takes an item, under its own name or another one. Types are those of its annotations."""
    if f is None:
        return lambda f: function(f, name=name, takes=takes, returns=returns, max=max)
    of = _types(f, takes, returns)
    return _offer(f, name, of, max, lambda items: [_try(f, item) for item in items])


def batch(f=None, *, name=None, takes=None, returns=None, max=0):
    """Offers f, which takes a list of at most max items. takes and returns are the types of one item: str if not given."""
    if f is None:
        return lambda f: batch(f, name=name, takes=takes, returns=returns, max=max)
    return _offer(f, name, (takes or str, returns or str), max, lambda items: _some(f, items))


def _types(f, takes, returns):
    names = [n for n in f.__code__.co_varnames[: f.__code__.co_argcount]]
    return takes or f.__annotations__.get(names[0]), returns or f.__annotations__.get("return")


def _offer(f, name, of, most, call):
    (takes, returns), name = of, name or f.__name__
    hello = dict(zip(("in", "in_codec", "out", "out_codec"), TYPES.get(takes, ANY) + TYPES.get(returns, ANY)), name=name)
    if most:
        hello["max"] = most
    decode, encode = DECODE.get(takes, DECODE[None]), ENCODE.get(returns, ENCODE[None])
    _functions[name] = hello, decode, call, encode
    return f


def _some(f, items):
    good = [item for item in items if not isinstance(item, Exception)]
    results = f(good) if good else []
    if len(results) != len(good):
        raise Permanent(f"{len(results)} results for {len(good)} items")
    results = iter(results)
    return [item if isinstance(item, Exception) else next(results) for item in items]


def _try(f, item):
    try:
        return item if isinstance(item, Exception) else f(item)
    except Exception as error:
        return error


def serve():
    """Answers calls until the worker ends. It does not return before."""
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    _write(stdout, {"v": 1, "functions": [hello for hello, *_ in _functions.values()]})
    while line := stdin.readline():
        call = json.loads(line)
        _, decode, run, encode = _functions[call["function"]]
        items = [_try(decode, item) for item in _items(stdin.read(call["bytes"]))]
        try:
            results = run(items)
        except Exception as error:
            _write(stdout, {"call": call["call"], "error": _failure(error)})
            continue
        frame = bytearray([1])
        for result in results:
            item = result if isinstance(result, Exception) else _try(encode, result)
            failed = isinstance(item, Exception)
            if failed:
                item = json.dumps(_failure(item)).encode()
            _varint(frame, len(item) << 1 | failed)
            frame += item
        _write(stdout, {"call": call["call"], "items": len(results), "bytes": len(frame)}, frame)


def _write(to, header, frame=b""):
    to.write(json.dumps(header).encode() + b"\n" + frame)
    to.flush()


def _failure(error):
    failure = {"message": f"{type(error).__name__}: {error}"}
    if isinstance(error, (Permanent, Unavailable)):
        failure = {"message": str(error), type(error).__name__.lower(): True}
    elif isinstance(error, RetryAfter):
        failure = {"message": str(error), "retry_after": int(error.seconds * 1000)}
    return failure


def _items(frame):
    """The items of a frame: the byte 1, and for each item the varint of twice its length and its bytes."""
    at, end = 1, len(frame)
    while at < end:
        head = frame[at]
        at += 1
        if head >= 0x80:
            head &= 0x7F
            shift = 7
            while True:
                byte = frame[at]
                at += 1
                head |= (byte & 0x7F) << shift
                if byte < 0x80:
                    break
                shift += 7
        size = head >> 1
        yield frame[at : at + size]
        at += size


def _varint(frame, n):
    while n >= 0x80:
        frame.append(n & 0x7F | 0x80)
        n >>= 7
    frame.append(n)
