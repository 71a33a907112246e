# SPDX-License-Identifier: Apache-2.0
"""Records: dataclasses of slots, without the code that the standard library's generate and compile when they are defined.

The functions of the module dataclasses (fields, replace, asdict, ...) take them. A first load defines about forty of them; as dataclasses
made there that was a quarter of the time from a file to a loaded network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Callable[[type], type]:
        return lambda cls: cls


_Value = TypeVar("_Value")
_Class = TypeVar("_Class", bound="Record")
_set = object.__setattr__


class _Fresh:
    """Stands for a default that is made anew for each record."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], object]):
        self.make = make


def field(*, default_factory: Callable[[], _Value]) -> _Value:
    """A default that is made anew for each record: ``rows: list[int] = field(default_factory=list)``."""
    return _Fresh(default_factory)  # type: ignore[return-value]


class _OfDataclass:
    """An attribute by which the module dataclasses knows its own, made when that asks for it."""

    __slots__ = ("name",)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, record: object, cls: _Maker) -> Any:
        import dataclasses as d

        def declared(name: str) -> tuple[str, object, Any]:
            default = cls._defaults.get(name, d.MISSING)
            made = d.field(default_factory=default.make) if isinstance(default, _Fresh) else d.field(default=default)
            return name, cls.__annotations__[name], made

        twin = d.make_dataclass(cls.__name__, [declared(n) for n in cls._fields], frozen=cls._frozen, kw_only=cls._kw_only)
        return getattr(twin, self.name)


@dataclass_transform(field_specifiers=(field,))
class _Maker(type):
    """Makes the class of a record from the annotated names of its body."""

    _fields: tuple[str, ...]
    _defaults: dict[str, object]
    _kw_only: bool
    _frozen: bool

    def __new__(
        mcs, name: str, bases: tuple[type, ...], body: dict[str, Any], *, frozen: bool = False, kw_only: bool = False, eq: bool = True
    ) -> _Maker:
        own = tuple(body.get("__annotations__", ()))
        defaults = {n: body.pop(n) for n in own if n in body}
        body["__slots__"] = own
        if bases and eq:
            body["__eq__"] = _equal
            body["__hash__"] = _hash if frozen else None
        if frozen:
            body["__setattr__"], body["__delattr__"] = _refuse_assignment, _refuse_deletion
        cls = super().__new__(mcs, name, bases, body)
        cls._fields = own
        cls._defaults = defaults
        cls._kw_only = kw_only
        cls._frozen = frozen
        return cls


class Record(metaclass=_Maker):
    """Base of records: each annotated name of a class is a field, a value in the body its default.

    Options of the class statement: ``frozen`` (fields cannot be assigned; the record has a hash), ``kw_only``, ``eq=False`` (equal to
    itself only). A class of many instances writes its own ``__init__``, which is faster.
    """

    __dataclass_fields__ = _OfDataclass()
    __dataclass_params__ = _OfDataclass()

    def __init__(self, *args: Any, **values: Any) -> None:
        cls = type(self)
        fields = cls._fields
        most = 0 if cls._kw_only else len(fields)
        if len(args) > most:
            raise TypeError(f"{cls.__name__}: {len(args)} positional arguments, expected at most {most}")
        for name, value in zip(fields, args):  # noqa: B905  the rest comes by name
            if name in values:
                raise TypeError(f"{cls.__name__}: {name} is given twice")
            values[name] = value
        for name, default in cls._defaults.items():
            if name not in values:
                values[name] = default.make() if isinstance(default, _Fresh) else default
        for name in fields:
            if name not in values:
                raise TypeError(f"{cls.__name__}: {name} is missing")
            _set(self, name, values[name])
        if len(values) > len(fields):
            raise TypeError(f"{cls.__name__}: no field is called {next(n for n in values if n not in fields)}")
        self.__post_init__()

    def __post_init__(self) -> None:
        """Checks the fields; for classes to define."""

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{n}={getattr(self, n)!r}' for n in type(self)._fields)})"

    def __getstate__(self) -> tuple[object, ...]:
        return _values(self)

    def __setstate__(self, state: tuple[object, ...]) -> None:
        for name, value in zip(type(self)._fields, state, strict=True):
            _set(self, name, value)


def replace(record: _Class, **changes: Any) -> _Class:
    """A new record with some fields changed."""
    return type(record)(**{n: getattr(record, n) for n in type(record)._fields} | changes)


def _values(record: Record) -> tuple[object, ...]:
    return tuple([getattr(record, n) for n in type(record)._fields])


def _equal(self: Record, other: Any) -> Any:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Record) -> int:
    return hash(_values(self))


def _refuse_assignment(self: Record, name: str, value: object) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot assign to field {name!r} of a {type(self).__name__}")


def _refuse_deletion(self: Record, name: str) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot delete field {name!r} of a {type(self).__name__}")
