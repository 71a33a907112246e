# SPDX-License-Identifier: Apache-2.0
"""Finding plugins: the built-in ones and those of the entry-point group ``ie_ctypes``, and asking them for their records."""

from __future__ import annotations

import functools
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.machinery import PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from ie_ctypes._version import __version__
from ie_ctypes.errors import IEError
from ie_ctypes.plugins import builtin, hookspecs
from ie_ctypes.plugins.records import Device, Extension, Kernel, Reader, Subcommand
from ie_ctypes.record import Record

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from ie_ctypes.api.executable import ExecutableNetwork

#: environment variables: names of plugins to leave out; names of installed plugins, of which only these are used
DISABLE, ONLY = "IE_CTYPES_DISABLE_PLUGINS", "IE_CTYPES_PLUGINS_ONLY"

_Record = TypeVar("_Record")


class Origin(Record, frozen=True, kw_only=True):
    """Where a plugin comes from. ``distribution`` is name and version of the installed package, "" for what a program registered."""

    name: str
    distribution: str = ""
    value: str = ""

    def __str__(self) -> str:
        return f"{self.name} of {self.distribution}" if self.distribution else self.name


class Failure(Record, frozen=True, kw_only=True):
    """A plugin that could not be used, or one of its hooks, and why."""

    origin: Origin
    error: str


class PluginManager(pluggy.PluginManager):
    """The plugins of a process or of a test.

    ``failed`` keeps those that do not work; each was a ``RuntimeWarning`` once. ``left_out`` are those that the environment switched off.
    """

    def __init__(self) -> None:
        super().__init__(hookspecs.PROJECT)
        self.add_hookspecs(hookspecs)
        self.origins: dict[str, Origin] = {}
        self.failed: list[Failure] = []
        self.left_out: list[Origin] = []

    # -- what pluggy looks at: every name of a plugin otherwise, at some cost -------------------------------------------
    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        return None if name.startswith("__") else super().parse_hookimpl_opts(plugin, name)

    def parse_hookspec_opts(self, module_or_class: type | ModuleType, name: str) -> pluggy.HookspecOpts | None:
        return super().parse_hookspec_opts(module_or_class, name) if name.startswith(hookspecs.PROJECT) else None

    # -- who is there ----------------------------------------------------------------------------------------------------
    def add(self, plugin: object, origin: Origin) -> None:
        """Register a plugin unless it is blocked. One with an unknown hook or wrong arguments is a failure."""
        if self.is_blocked(origin.name):
            self.left_out.append(origin)
            return
        if self.has_plugin(origin.name):
            raise ValueError(f"its name is also that of {self.origins.get(origin.name, origin)}")
        try:
            self.register(plugin, origin.name)
            self.check_pending()
        except Exception:
            if self.has_plugin(origin.name):
                self.unregister(name=origin.name)
            raise
        self.origins[origin.name] = origin

    def add_installed(self, entries: Iterable[EntryPoint], only: Sequence[str] = ()) -> None:
        """Register the plugins of installed packages, only those named when there are any."""
        for entry in entries:
            about = entry.dist
            origin = Origin(name=entry.name, distribution=f"{about.name} {about.version}" if about is not None else "", value=entry.value)
            if (only and entry.name not in only) or self.is_blocked(entry.name):
                self.left_out.append(origin)
                continue
            try:
                self.add(entry.load(), origin)
            except Exception as e:
                self.fail(origin, "cannot be loaded", e)

    def origin(self, plugin_name: str) -> Origin:
        """Where the plugin of that name comes from."""
        return self.origins.get(plugin_name, Origin(name=plugin_name))

    def fail(self, origin: Origin, what: str, error: BaseException) -> None:
        """Remember that something of a plugin does not work, and warn once."""
        failure = Failure(origin=origin, error=f"{what}: {type(error).__name__}: {error}")
        if failure not in self.failed:
            self.failed.append(failure)
            warnings.warn(f"plugin {origin} {failure.error}", RuntimeWarning, stacklevel=3)

    # -- what they provide -----------------------------------------------------------------------------------------------
    def records(self, hook: str, kind: type[_Record], **arguments: object) -> Iterator[tuple[Origin, _Record]]:
        """What the plugins' implementations of a hook yield, in the order of registration. One that raises is a failure."""
        for impl in getattr(self.hook, hook).get_hookimpls():
            origin = self.origin(impl.plugin_name)
            try:
                found = list(impl.function(*(arguments[name] for name in impl.argnames)) or ())
                for record in found:
                    if not isinstance(record, kind):
                        raise TypeError(f"a record of type {type(record).__name__}, expected {kind.__name__}")
            except Exception as e:
                self.fail(origin, f"fails in {hook}", e)
                continue
            yield from ((origin, record) for record in found)

    def devices(self) -> dict[str, Device]:
        """Device records by name, sorted. Two providers of one name are an error that names both."""
        found: dict[str, tuple[Origin, Device]] = {}
        for origin, record in self.records("ie_ctypes_devices", Device):
            _claim(found, "device", record.name, origin, record)
        return {name: record for name, (_, record) in sorted(found.items())}

    def extensions(self) -> dict[str, tuple[Origin, Extension]]:
        """Extensions by name, with where they come from. Two of one name are an error."""
        found: dict[str, tuple[Origin, Extension]] = {}
        for origin, record in self.records("ie_ctypes_extensions", Extension):
            _claim(found, "extension", record.name, origin, record)
        return found

    def kernels(self, device: str) -> list[Kernel]:
        """Python kernels for a device. Two for one layer type and operation set are an error, unless they are the same record."""
        found: dict[str, tuple[Origin, Kernel]] = {}
        offered = [(o, k) for o, k in self.records("ie_ctypes_kernels", Kernel, device=device)]
        offered += [(o, k) for o, extension in self.extensions().values() for k in extension.kernels]
        for origin, record in offered:
            name = f"{record.type} {record.opset}".strip()
            if record.device == device and (name not in found or found[name][1] is not record):
                _claim(found, f"the {device} kernel of layer type", name, origin, record)
        return [record for _, record in found.values()]

    def readers(self) -> dict[str, Reader]:
        """Readers by suffix. Two readers of one suffix are an error."""
        found: dict[str, tuple[Origin, Reader]] = {}
        for origin, record in self.records("ie_ctypes_readers", Reader):
            for suffix in record.suffixes:
                _claim(found, "the reader of files", suffix, origin, record)
        return {suffix: record for suffix, (_, record) in found.items()}

    def subcommands(self) -> dict[str, Subcommand]:
        """Subcommands by name, in the order of registration. Two of one name are an error."""
        found: dict[str, tuple[Origin, Subcommand]] = {}
        for origin, record in self.records("ie_ctypes_subcommands", Subcommand):
            _claim(found, "subcommand", record.name, origin, record)
        return {name: record for name, (_, record) in found.items()}

    # -- asking and telling ----------------------------------------------------------------------------------------------
    @property
    def chooses_devices(self) -> bool:
        """Is there a plugin that has an opinion on the default device?"""
        return bool(self.hook.ie_ctypes_default_device.get_hookimpls())

    def default_device(self, available: Sequence[str]) -> str | None:
        """The device that a plugin prefers, None when none has an opinion."""
        chosen: str | None = self.hook.ie_ctypes_default_device(available=tuple(available))
        return chosen

    def network_compiled(self, exec_network: ExecutableNetwork) -> None:
        """Tell the observers; one that raises is a failure of its own and changes nothing."""
        for impl in self.hook.ie_ctypes_network_compiled.get_hookimpls():
            arguments: Mapping[str, Any] = {"exec_network": exec_network}
            try:
                impl.function(*(arguments[name] for name in impl.argnames))
            except Exception as e:
                self.fail(self.origin(impl.plugin_name), "fails in ie_ctypes_network_compiled", e)


def _claim(found: dict[str, tuple[Origin, _Record]], what: str, name: str, origin: Origin, record: _Record) -> None:
    if name in found:
        raise IEError(
            f"{what} {name} is provided by two plugins, {found[name][0]} and {origin}; "
            f"{DISABLE}={origin.name} or {found[name][0].name} switches one off"
        )
    found[name] = (origin, record)


def _names(variable: str) -> list[str]:
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]


def _installed() -> Iterable[EntryPoint]:
    """Entry points of our group. Only when some package seems to have one, importlib.metadata is imported and reads about them all."""
    if not any(map(_mentions_group, sys.path)) and not any(_finds_packages(finder) for finder in sys.meta_path):
        return ()
    from importlib.metadata import entry_points

    return entry_points(group=hookspecs.PROJECT)


def _mentions_group(folder: str) -> bool:
    """May a package of this entry of sys.path have entry points of our group? What is no folder of packages is not looked into."""
    try:
        names = os.listdir(folder or ".")
    except NotADirectoryError:
        return True
    except OSError:
        return False
    if folder.endswith(".egg"):
        return True
    group = f"[{hookspecs.PROJECT}]".encode()
    for name in names:
        if name.endswith((".dist-info", ".egg-info")):
            try:
                with open(os.path.join(folder, name, "entry_points.txt"), "rb") as file:
                    if group in file.read():
                        return True
            except OSError:
                continue
    return False


def _finds_packages(finder: object) -> bool:
    """Does a finder know of packages that are not on sys.path?"""
    return hasattr(finder, "find_distributions") and finder is not PathFinder


def create_manager(installed: bool = True) -> PluginManager:
    """A manager with the built-in plugins and, unless told otherwise, those of installed packages, as the environment allows."""
    manager = PluginManager()
    for name in _names(DISABLE):
        manager.set_blocked(name)
    for name, plugin in builtin.PLUGINS.items():
        manager.add(plugin, Origin(name=name, distribution=f"ie_ctypes {__version__}"))
    if installed:
        manager.add_installed(_installed(), _names(ONLY))
    return manager


@functools.cache
def default_manager() -> PluginManager:
    """The manager of this process, made at the first IECore."""
    return create_manager()
