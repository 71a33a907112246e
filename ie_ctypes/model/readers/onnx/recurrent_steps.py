# SPDX-License-Identifier: Apache-2.0
"""LSTM, GRU and RNN with peepholes, coupled gates or activations that no sequence layer has: a Scan over the steps of each direction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from onnx import helper, parser

from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.scope import Tensor

OPSET = 13  # of the bodies below
_FUNCTIONS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}

#: Activation -> (text of its node, "" where it is several, default alpha, default beta); None: it takes none and uses up none of a list.
_ACTIVATIONS: dict[str, tuple[str, float | None, float | None]] = {
    "relu": ("Relu({x})", None, None),
    "tanh": ("Tanh({x})", None, None),
    "sigmoid": ("Sigmoid({x})", None, None),
    "softsign": ("Softsign({x})", None, None),
    "softplus": ("Softplus({x})", None, None),
    "affine": ("", 1.0, 0.0),
    "scaledtanh": ("", 1.0, 1.0),
    "leakyrelu": ("LeakyRelu <alpha = {alpha}> ({x})", 0.01, None),
    "thresholdedrelu": ("ThresholdedRelu <alpha = {alpha}> ({x})", 1.0, None),
    "elu": ("Elu <alpha = {alpha}> ({x})", 1.0, None),
    "hardsigmoid": ("HardSigmoid <alpha = {alpha}, beta = {beta}> ({x})", 0.2, 0.5),
}


def _number(value: float) -> str:
    text = f"{value:.9g}"
    return text if any(c in text for c in ".en") else f"{text}.0"


class _Function:
    """An activation with its numbers."""

    def __init__(self, op: Op, name: str, alphas: Iterator[float], betas: Iterator[float]):
        found = _ACTIVATIONS.get(name.lower())
        if found is None:
            raise op.fail(f"activation {name} is unknown")
        self.name, self.text = name.lower(), found[0]
        self.alpha = None if found[1] is None else next(alphas, found[1])
        self.beta = None if found[2] is None else next(betas, found[2])

    def lines(self, y: str, x: str) -> str:
        """The nodes of ``y = f(x)``."""
        a, b = (_number(v) if v is not None else "" for v in (self.alpha, self.beta))
        if self.name in ("affine", "scaledtanh"):
            numbers = f"{y}_a = Constant <value_float = {a}> () {y}_b = Constant <value_float = {b}> ()"
            if self.name == "affine":
                return f"{numbers} {y}_m = Mul({x}, {y}_a) {y} = Add({y}_m, {y}_b)"
            return f"{numbers} {y}_m = Mul({x}, {y}_b) {y}_t = Tanh({y}_m) {y} = Mul({y}_t, {y}_a)"
        return f"{y} = {self.text.format(x=x, alpha=a, beta=b)}"


def _functions(op: Op, directions: int) -> list[list[_Function]]:
    default = _FUNCTIONS[op.proto.op_type]
    names = op.strs("activations", default * directions)
    if len(names) != len(default) * directions:
        raise op.fail(f"activations are {names}, expected {len(default) * directions} names")
    alphas, betas = iter(op.floats("activation_alpha", ())), iter(op.floats("activation_beta", ()))
    found = [_Function(op, name, alphas, betas) for name in names]
    return [found[i * len(default) : (i + 1) * len(default)] for i in range(directions)]


def _clipped(op: Op, y: str, x: str) -> str:
    if not op.has("clip"):
        return f"{y} = Identity({x})"
    limit = _number(op.float("clip"))
    return f"{y}_h = Constant <value_float = {limit}> () {y}_l = Neg({y}_h) {y}_n = Min({x}, {y}_h) {y} = Max({y}_n, {y}_l)"


def _lstm(op: Op, p: str, f: Sequence[_Function]) -> str:
    peep = op.has_input(7)
    forget = "one = Constant <value_float = 1.0> () fa = Sub(one, ia)" if op.int("input_forget", 0) else f[0].lines("fa", "fc")
    return f"""
      hr = MatMul(h, {p}r) g = Add(x, hr) i0, o0, f0, c0 = Split <axis = -1> (g)
      {f"ip = Mul(c, {p}pi) i1 = Add(i0, ip) fp = Mul(c, {p}pf) f1 = Add(f0, fp)" if peep else "i1 = Identity(i0) f1 = Identity(f0)"}
      {_clipped(op, "ic", "i1")} {_clipped(op, "fc", "f1")} {_clipped(op, "cc", "c0")}
      {f[0].lines("ia", "ic")} {forget} {f[1].lines("ca", "cc")}
      kept = Mul(fa, c) added = Mul(ia, ca) cn = Add(kept, added)
      {f"op_ = Mul(cn, {p}po) o1 = Add(o0, op_)" if peep else "o1 = Identity(o0)"}
      {_clipped(op, "oc", "o1")} {f[0].lines("oa", "oc")} {f[2].lines("ch", "cn")} hn = Mul(oa, ch)"""


def _gru(op: Op, p: str, f: Sequence[_Function]) -> str:
    inner = f"rh = MatMul(h, {p}rh) rb = Add(rh, {p}bh) part = Mul(ra, rb)"
    if not op.int("linear_before_reset", 0):
        inner = f"some = Mul(ra, h) rh = MatMul(some, {p}rh) part = Add(rh, {p}bh)"
    return f"""
      z0, r0, h0 = Split <axis = -1> (x)
      zr = MatMul(h, {p}rz) z1 = Add(z0, zr) rr = MatMul(h, {p}rr) r1 = Add(r0, rr)
      {_clipped(op, "zc", "z1")} {_clipped(op, "rc", "r1")} {f[0].lines("za", "zc")} {f[0].lines("ra", "rc")}
      {inner} h1 = Add(h0, part) {_clipped(op, "hc", "h1")} {f[1].lines("ha", "hc")}
      one = Constant <value_float = 1.0> () rest = Sub(one, za) fresh = Mul(rest, ha) kept = Mul(za, h) hn = Add(fresh, kept)"""


def _rnn(op: Op, p: str, f: Sequence[_Function]) -> str:
    return f"hr = MatMul(h, {p}r) g = Add(x, hr) {_clipped(op, 'gc', 'g')} {f[0].lines('hn', 'gc')}"


_BODIES = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}


class _Steps:
    """One operator; tensors that bodies take from around them stand in the scope under names with the prefix of their direction."""

    def __init__(self, op: Op, size: int, batch_first: bool):
        self.op, self.kind, self.size, self.batch_first = op, op.proto.op_type, size, batch_first
        self.x = op.transpose(op.input(0), (1, 0, 2)) if batch_first else op.input(0)  # [T, N, I]
        self.lengths = op.optional(4)

    def part(self, tensor: Tensor, direction: int) -> Tensor:
        """The numbers of one direction."""
        return self.op.gather(tensor, direction)

    def state(self, index: int, direction: int) -> Tensor:
        """[N, size], zeros unless given."""
        op = self.op
        if op.has_input(index):
            return op.gather(op.input(index), direction, 1 if self.batch_first else 0)
        shape = op.concat([op.size(self.x, 1), op.constant([self.size])], 0)
        return op.broadcast(op.constant(0, self.x.precision), shape)

    def weights(self, direction: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Products of all steps with the input weights plus what biases can be added there, and the tensors of the body."""
        op = self.op
        w, r = (op.transpose(self.part(op.input(i), direction), (1, 0)) for i in (1, 2))
        x = op.make("MatMul", self.x, w, transpose_a=False, transpose_b=False)
        named = {"r": r}
        b = op.split(self.part(op.input(3), direction), 0, 2) if op.has_input(3) else None
        if self.kind == "GRU":
            named = dict(zip(("rz", "rr", "rh"), op.split(r, 1, 3), strict=True))
            if b is None:
                named["bh"] = op.constant(0.0, self.x.precision)
            else:
                parts = op.split(b[1], 0, 3)
                named["bh"] = parts[2]
                b[1] = op.concat([parts[0], parts[1], op.mul(parts[2], 0)], 0)
        if b is not None:
            x = op.add(x, op.add(b[0], b[1]))
        if op.has_input(7):
            named |= dict(zip(("pi", "po", "pf"), op.split(self.part(op.input(7), direction), 0, 3), strict=True))
        return x, named

    def reversed(self, tensor: Tensor) -> Tensor:
        """The real steps of each sequence in reverse."""
        assert self.lengths is not None
        return self.op.make("ReverseSequence", tensor, self.op.convert(self.lengths, "I32"), batch_axis=1, seq_axis=0)

    def run(self, direction: int, backward: bool, functions: Sequence[_Function]) -> list[Tensor]:
        """All steps [T, N, size] and the last states [N, size] of one direction."""
        op, scope, importer = self.op, self.op.scope, self.op.scope.importer
        x, named = self.weights(direction)
        p = f"ie_{id(self)}_{direction}_"
        lstm, masked = self.kind == "LSTM", self.lengths is not None
        if masked and backward:
            x = self.reversed(x)
        names = {f"{p}{k}": t for k, t in named.items()} | {f"{p}x": x, f"{p}h": self.state(5, direction)}
        if lstm:
            names[f"{p}c"] = self.state(6, direction)
        ends = "y = Identity(hn)"
        if self.lengths is not None:
            count = op.squeeze(op.size(x, 0), [0])
            names[f"{p}t"] = op.make("Range", op.constant(0), count, op.constant(1), output_type="i64", precision="I64")
            names[f"{p}n"] = op.unsqueeze(op.convert(self.lengths, "I64"), [1])
            ends = f"on = Less(t, {p}n) zero = Constant <value_float = 0.0> () y = Where(on, hn, zero)"
        states = ["h", "c"] if lstm else ["h"]
        results = [f"{s}_out" for s in states]
        for s in states:
            ends += f" {s}_out = Where(on, {s}n, {s})" if masked else f" {s}_out = Identity({s}n)"
        inputs = ", ".join(f"float[N,S] {s}" for s in states) + ", float[N,G] x" + (", int64 t" if masked else "")
        outputs = ", ".join(f"float[N,S] {s}" for s in [*results, "y"])
        body = parser.parse_graph(f"steps ({inputs}) => ({outputs}) {{ {_BODIES[self.kind](op, p, functions)} {ends} }}")
        made = [f"{p}last_{s}" for s in states] + [f"{p}all"]
        given = [f"{p}{s}" for s in states] + [f"{p}x"] + ([f"{p}t"] if masked else [])
        turned = int(backward and not masked)
        scans = len(given) - len(states)
        node = helper.make_node(
            "Scan", given, made, name=f"{op.label}/steps{direction}", body=body, num_scan_inputs=scans,
            scan_input_directions=[turned] * scans, scan_output_directions=[turned],
        )  # fmt: skip
        scope.items.update(names)
        saved, importer.opsets = importer.opsets, importer.opsets | {"": OPSET}
        try:
            importer.convert(scope, node)
            found = [scope.items[name] for name in made]
        finally:
            importer.opsets = saved
            for name in (*names, *made):
                scope.items.pop(name, None)
        last, steps = [t for t in found[:-1] if isinstance(t, Tensor)], found[-1]
        assert isinstance(steps, Tensor)
        return [self.reversed(steps) if masked and backward else steps, *last]


def stepwise(op: Op, size: int, direction: str, batch_first: bool) -> list[Tensor]:
    """The outputs of the operator."""
    backward = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
    steps = _Steps(op, size, batch_first)
    functions = _functions(op, len(backward))
    found = [steps.run(i, back, functions[i]) for i, back in enumerate(backward)]
    y, *last = (op.concat([op.unsqueeze(f[k], [1 if k == 0 else 0]) for f in found], 1 if k == 0 else 0) for k in range(len(found[0])))
    if not batch_first:  # y [T, directions, N, S]
        return [y, *last]
    return [op.transpose(y, (2, 0, 1, 3)), *(op.transpose(t, (1, 0, 2)) for t in last)]
