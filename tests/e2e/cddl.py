"""Just enough of CDDL (RFC 8610) to hold bytes against docs/provenance.cddl, and of deterministic CBOR to read them.

Anything else in the file is an error here: what the tests cannot check is not to be relied upon.
"""

import re

TOKEN = re.compile(r"""\s*(?:;[^\n]*)?(?:
    (?P<number>-?\d+) | (?P<name>[A-Za-z][\w-]*) | (?P<control>\.(?:size|cbor)\b) | (?P<tag>\#6\.\d+) | (?P<mark>\.\.|[=\[\]{}()<>:,?/*])
)""", re.X)


class Malformed(ValueError):
    pass


# ---- deterministic CBOR ----

class Tag:
    def __init__(self, number, item):
        self.number, self.item = number, item


def _head(data, at):
    if at >= len(data):
        raise Malformed("cut")
    major, low = data[at] >> 5, data[at] & 31
    at += 1
    if low < 24:
        return major, low, at
    if low > 27:
        raise Malformed("indefinite or reserved")
    size = 1 << (low - 24)
    number = int.from_bytes(data[at:at + size], "big")
    if at + size > len(data) or number < (24 if size == 1 else 1 << (4 * size)):
        raise Malformed("cut, or not the shortest form")
    return major, number, at + size


def _string(data, at, size):
    if at + size > len(data):
        raise Malformed("cut")
    return data[at:at + size], at + size


def _map(data, at, count):
    out, last = {}, b""
    for _ in range(count):
        start = at
        key, at = _item(data, at)
        if data[start:at] <= last or not isinstance(key, (int, str)):
            raise Malformed("keys do not ascend")
        last = data[start:at]
        out[key], at = _item(data, at)
    return out, at


def _item(data, at):
    start = at
    if data[at:at + 1] == b"\xf6":
        return None, at + 1
    major, number, at = _head(data, at)
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major == 2:
        return _string(data, at, number)
    if major == 3:
        text, at = _string(data, at, number)
        return text.decode(), at
    if major == 4:
        out = []
        for _ in range(number):
            item, at = _item(data, at)
            out.append(item)
        return out, at
    if major == 5:
        return _map(data, at, number)
    if major == 6:
        item, at = _item(data, at)
        return Tag(number, item), at
    raise Malformed(f"a simple value at {start}")


def decode(data):
    try:
        item, at = _item(data, 0)
    except UnicodeDecodeError as error:
        raise Malformed("no UTF-8") from error
    if at != len(data):
        raise Malformed("bytes after the item")
    return item


def spans(data, count):
    """The encoded bytes of `count` items, one after the other."""
    out, at = [], 0
    for _ in range(count):
        start = at
        _, at = _item(data, at)
        out.append(data[start:at])
    return out, data[at:]


# ---- the grammar ----

class Parser:
    def __init__(self, text):
        self.tokens, at = [], 0
        text = re.sub(r";[^\n]*", "", text).rstrip()
        while at < len(text):
            match = TOKEN.match(text, at)
            if not match:
                raise ValueError(f"CDDL that this reader does not know: {text[at:at + 40]!r}")
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()
        self.at = 0

    def peek(self, ahead=0):
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else (None, None)

    def take(self, *texts):
        kind, text = self.peek()
        if texts and text not in texts:
            raise ValueError(f"CDDL: {text!r} where {texts} is needed")
        self.at += 1
        return text

    def accept(self, text):
        if self.peek()[1] != text:
            return False
        self.at += 1
        return True

    def rules(self):
        out = {}
        while self.peek()[0]:
            name, parameter = self.take(), None
            if self.accept("<"):
                parameter = self.take()
                self.take(">")
            self.take("=")
            if name in out:
                raise ValueError(f"CDDL: {name} is there twice")
            out[name] = (parameter, self.type())
        return out

    def type(self):
        choices = [self.primary()]
        while self.accept("/"):
            choices.append(self.primary())
        return choices[0] if len(choices) == 1 else ("choice", choices)

    def primary(self):
        kind, text = self.peek()
        if kind == "number":
            return self.number()
        if kind == "tag":
            self.take()
            self.take("(")
            inner = self.type()
            self.take(")")
            return ("tag", int(text[3:]), inner)
        if text == "[":
            return self.array()
        if text == "{":
            return self.map()
        return self.named()

    def number(self):
        least = int(self.take())
        return ("number", least, int(self.take()) if self.accept("..") else least)

    def named(self):
        name = self.take()
        if self.accept("<"):
            argument = self.type()
            self.take(">")
            return ("generic", name, argument)
        control = self.peek()[1]
        if control == ".size":
            self.take()
            bracket = self.accept("(")
            _, least, most = self.number()
            if bracket:
                self.take(")")
            return ("string", name, least, most)
        if control == ".cbor":
            self.take()
            return ("cbor", self.type())
        return ("null",) if name == "null" else ("name", name)

    def member_name(self):
        if self.peek()[0] == "name" and self.peek(1)[1] == ":":
            self.at += 2

    def array(self):
        self.take("[")
        entries = []
        while not self.accept("]"):
            least = most = 1
            if self.peek()[0] == "number" and self.peek(1)[1] == "*":
                least = int(self.take())
                self.take("*")
                most = int(self.take())
            self.member_name()
            entries.append((least, most, self.type()))
            self.accept(",")
        return ("array", entries)

    def map(self):
        self.take("{")
        entries = {}
        while not self.accept("}"):
            optional = self.accept("?")
            key = int(self.take())
            self.take(":")
            entries[key] = (optional, self.type())
            self.accept(",")
        return ("map", entries)


class Cddl:
    def __init__(self, text):
        self.rules = Parser(text).rules()

    def matches(self, name, data):
        """Raises Malformed unless `data` is one item in deterministic encoding that the rule describes; returns it decoded."""
        item = decode(data)
        self._match(("name", name), item, {})
        return item

    def resolve(self, node):
        while node[0] == "name" and node[1] in self.rules:
            node = self.rules[node[1]][1]
        return node

    def _match(self, node, item, bound):
        getattr(self, "_" + node[0])(node, item, bound)

    def _name(self, node, item, bound):
        if node[1] in bound:
            self._match(bound[node[1]], item, {})
        else:
            self._match(self.rules[node[1]][1], item, {})

    def _generic(self, node, item, bound):
        parameter, body = self.rules[node[1]]
        self._match(body, item, {parameter: node[2]})

    def _choice(self, node, item, bound):
        for choice in node[1]:
            try:
                return self._match(choice, item, bound)
            except Malformed:
                continue
        raise Malformed("none of the choices")

    def _null(self, node, item, bound):
        if item is not None:
            raise Malformed("not null")

    def _number(self, node, item, bound):
        if not isinstance(item, int) or not node[1] <= item <= node[2]:
            raise Malformed(f"{item!r} is not from {node[1]} to {node[2]}")

    def _string(self, node, item, bound):
        size = len(item.encode()) if isinstance(item, str) else len(item) if isinstance(item, bytes) else -1
        if not isinstance(item, {"bstr": bytes, "tstr": str}[node[1]]) or not node[2] <= size <= node[3]:
            raise Malformed(f"no {node[1]} of {node[2]} to {node[3]} bytes")

    def _cbor(self, node, item, bound):
        if not isinstance(item, bytes):
            raise Malformed("no byte string")
        self._match(node[1], decode(item), bound)

    def _tag(self, node, item, bound):
        if not isinstance(item, Tag) or item.number != node[1]:
            raise Malformed(f"not tagged {node[1]}")
        self._match(node[2], item.item, bound)

    def _array(self, node, item, bound):
        if not isinstance(item, list):
            raise Malformed("no array")
        left = list(item)
        for least, most, inner in node[1]:
            taken = left[:most] if len(node[1]) == 1 else left[:1]
            if len(taken) < least:
                raise Malformed("too few items")
            for one in taken:
                self._match(inner, one, bound)
            left = left[len(taken):]
        if left:
            raise Malformed("too many items")

    def _map(self, node, item, bound):
        if not isinstance(item, dict) or not set(item) <= set(node[1]):
            raise Malformed("no map of these keys")
        for key, (optional, inner) in node[1].items():
            if key in item:
                self._match(inner, item[key], bound)
            elif not optional:
                raise Malformed(f"no key {key}")
