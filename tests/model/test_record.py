# SPDX-License-Identifier: Apache-2.0
"""Records behave as dataclasses of slots do."""

import copy
import dataclasses
import pickle

import pytest

from ie_ctypes.devices.virtual import Accelerator
from ie_ctypes.plugins import Device, Extension, Kernel, Reader, Subcommand
from ie_ctypes.record import Record, field, replace


class Point(Record, frozen=True):
    x: int
    y: int = 2


class Bag(Record):
    items: list[int] = field(default_factory=list)
    owner: object = None


class Named(Record, frozen=True, kw_only=True):
    name: str

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("no name")


class Single(Record, eq=False):
    value: int


def test_fields_by_place_by_name_and_by_default():
    assert (Point(1).x, Point(1).y) == (1, 2)
    assert Point(y=3, x=1) == Point(1, 3)
    assert repr(Point(1)) == "Point(x=1, y=2)"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Point(), "Point: x is missing"),
        (lambda: Point(1, 2, 3), "Point: 3 positional arguments, expected at most 2"),
        (lambda: Point(1, x=1), "Point: x is given twice"),
        (lambda: Point(1, z=1), "Point: no field is called z"),
        (lambda: Named("a"), "Named: 1 positional arguments, expected at most 0"),
    ],
)
def test_wrong_arguments(make, text):
    with pytest.raises(TypeError, match=text):
        make()


def test_defaults_made_anew():
    Bag().items.append(1)
    assert Bag().items == []


def test_comparison_and_hash():
    assert Point(1) == Point(1)
    assert Point(1) != Point(2)
    assert Point(1) != (1, 2)
    assert hash(Point(1)) == hash(Point(1, 2))
    assert Bag([1]) == Bag([1])
    with pytest.raises(TypeError, match="unhashable"):
        hash(Bag())
    assert Single(1) != Single(1)
    assert len({Single(1), Single(1)}) == 2


def test_frozen():
    with pytest.raises(AttributeError, match="cannot assign to field 'x' of a Point"):
        Point(1).x = 2
    with pytest.raises(AttributeError, match="cannot delete field 'x' of a Point"):
        del Point(1).x


def test_no_other_attributes():
    with pytest.raises(AttributeError):
        Bag().size = 1


def test_checks_of_the_class():
    with pytest.raises(ValueError, match="no name"):
        Named(name="")
    with pytest.raises(ValueError, match="no name"):
        replace(Named(name="a"), name="")


def test_replace_leaves_the_original():
    old = Point(1)
    assert replace(old, y=5) == Point(1, 5)
    assert old == Point(1)


def test_copies_and_pickles():
    assert copy.copy(Point(1)) == copy.deepcopy(Point(1)) == pickle.loads(pickle.dumps(Point(1))) == Point(1)
    bag = Bag([1])
    bag.owner = bag
    twin = copy.deepcopy(bag)
    assert twin.owner is twin
    assert twin.items == [1]
    assert twin.items is not bag.items


def test_the_module_dataclasses_knows_records() -> None:
    """The records of plugins are dataclasses to others: they may copy them with changes, list and print their fields."""
    for record in (Device, Extension, Kernel, Reader, Subcommand, Accelerator):
        assert dataclasses.is_dataclass(record)
        assert record.__dataclass_params__.frozen  # type: ignore[union-attr]
    fields = {f.name: f for f in dataclasses.fields(Device)}
    assert all(f.kw_only for f in fields.values())
    assert fields["name"].default is dataclasses.MISSING
    assert fields["aliases"].default == ()
    device = Device(name="ACME", library=str)
    assert dataclasses.replace(device, name="OTHER") == Device(name="OTHER", library=str)
    assert dataclasses.asdict(device)["library"] is str
    with pytest.raises(dataclasses.FrozenInstanceError):
        device.name = "X"  # type: ignore[misc]
