# SPDX-License-Identifier: Apache-2.0
"""What every device must do, as a class of pytest tests. Needs pytest.

    from ie_ctypes.testing import DeviceConformance

    class TestAcme(DeviceConformance):
        device = "ACME"
        skips = {"async": "one request at a time"}     # what it is known not to do, and why

The device is the one that plugins provide under that name; override :meth:`make_core` to register it otherwise.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from ie_ctypes import IECore, IENetwork
from ie_ctypes.errors import IEError
from ie_ctypes.testing import networks

_STATUSES = {"EXECUTED", "NOT_RUN", "OPTIMIZED_OUT"}


class DeviceConformance:
    """Tests of one device. Quirks are class attributes."""

    #: the name that ``load_network`` takes, ``HETERO:A,B`` too
    device = ""
    #: config of every load
    config: Mapping[str, str] = {}
    #: name of a test without ``test_`` -> why the device does not pass it
    skips: Mapping[str, str] = {}
    #: networks of ``ie_ctypes.testing.networks.NETWORKS`` that the device cannot run -> why
    unsupported: Mapping[str, str] = {}
    #: bounds of the difference to the references: ``atol + rtol * |reference|``
    rtol, atol = 1e-3, 1e-4
    #: requests at once in the tests of threads and asynchrony
    requests = 4

    # -- set-up ------------------------------------------------------------------------------------------------------------
    def make_core(self) -> IECore:
        """The core that knows the device."""
        return IECore()

    @pytest.fixture
    def core(self) -> IECore:
        return self.make_core()

    @pytest.fixture(autouse=True)
    def _quirks(self, request: pytest.FixtureRequest) -> None:
        known = {name.removeprefix("test_") for name in dir(self) if name.startswith("test_")}
        assert set(self.skips) <= known, f"skips name unknown tests: {sorted(set(self.skips) - known)}"
        assert set(self.unsupported) <= set(networks.NETWORKS), (
            f"unknown networks: {sorted(set(self.unsupported) - set(networks.NETWORKS))}"
        )
        reason = self.skips.get(request.function.__name__.removeprefix("test_"))
        if reason:
            pytest.skip(reason)

    @property
    def base(self) -> str:
        """The device's name without ids and without the devices that it is made of."""
        return self.device.partition(":")[0].partition(".")[0]

    def network(self, core: IECore, name: str = "") -> IENetwork:
        """A network that the device can run, the first that is not declared unsupported unless named."""
        name = name or next(n for n in networks.NETWORKS if n not in self.unsupported)
        return core.read_network(*networks.NETWORKS[name]())

    def feed(self, net: IENetwork, seed: int = 1) -> dict[str, np.ndarray]:
        """Noise for every input."""
        rng = np.random.default_rng(seed)
        return {name: rng.normal(size=info.tensor_desc.dims).astype(np.float32) for name, info in net.input_info.items()}

    def load(self, core: IECore, net: IENetwork, **options: Any) -> Any:
        return core.load_network(net, self.device, dict(self.config), **options)

    def agree(self, results: Mapping[str, np.ndarray], net: IENetwork, feed: Mapping[str, np.ndarray]) -> None:
        """Compare with the references."""
        expected = IECore().load_network(net, "REFERENCE").infer(feed)
        assert list(results) == list(expected)
        for name, value in expected.items():
            assert (results[name].shape, results[name].dtype) == (value.shape, value.dtype), name
            np.testing.assert_allclose(results[name], value, rtol=self.rtol, atol=self.atol, err_msg=name)

    # -- what it says of itself ----------------------------------------------------------------------------------------------
    def test_versions(self, core: IECore) -> None:
        version = core.get_versions(self.device)[self.base]
        assert isinstance(version.major, int)
        assert isinstance(version.minor, int)
        assert isinstance(version.description, str)

    def test_metrics(self, core: IECore) -> None:
        """Every metric and setting that it lists has a value; others are errors."""
        metrics = core.get_metric(self.base, "SUPPORTED_METRICS")
        assert "SUPPORTED_METRICS" in metrics  # type: ignore[operator]
        for name in metrics:  # type: ignore[union-attr]
            core.get_metric(self.base, str(name))
        if "SUPPORTED_CONFIG_KEYS" in metrics:  # type: ignore[operator]
            for key in core.get_metric(self.base, "SUPPORTED_CONFIG_KEYS"):  # type: ignore[union-attr]
                core.get_config(self.base, str(key))
        with pytest.raises(RuntimeError):
            core.get_metric(self.base, "NO_SUCH_METRIC")
        with pytest.raises(RuntimeError):
            core.get_config(self.base, "NO_SUCH_KEY")

    # -- networks ------------------------------------------------------------------------------------------------------------
    @pytest.mark.parametrize("name", networks.NETWORKS)
    def test_networks(self, core: IECore, name: str) -> None:
        if name in self.unsupported:
            pytest.skip(self.unsupported[name])
        net = self.network(core, name)
        feed = self.feed(net)
        loaded = self.load(core, net)
        self.agree(loaded.infer(feed), net, feed)
        self.agree(loaded.infer(feed), net, feed)

    def test_half_precision(self, core: IECore) -> None:
        """A network of FP16 weights: FP32 inputs and outputs."""
        if "legacy_image" in self.unsupported:
            pytest.skip(self.unsupported["legacy_image"])
        net = core.read_network(*networks.legacy_image("FP16"))
        feed = self.feed(net)
        self.agree(self.load(core, net).infer(feed), net, feed)

    def test_bytes(self, core: IECore) -> None:
        """Inputs of precision U8."""
        net = self.network(core)
        for info in net.input_info.values():
            info.precision = "U8"
        feed = {name: np.abs(x * 20).astype(np.uint8) for name, x in self.feed(net).items()}
        self.agree(self.load(core, net).infer(feed), net, feed)

    def test_batch(self, core: IECore) -> None:
        """A network reshaped to other sizes."""
        net = self.network(core)
        net.reshape({name: (2, *info.tensor_desc.dims[1:]) for name, info in net.input_info.items()})
        feed = self.feed(net)
        self.agree(self.load(core, net).infer(feed), net, feed)

    # -- requests ------------------------------------------------------------------------------------------------------------
    def test_async(self, core: IECore) -> None:
        """Requests started together, each with its data, each ending in one callback."""
        net = self.network(core)
        loaded = self.load(core, net, num_requests=self.requests)
        ended: list[tuple[int, int]] = []
        feeds = [self.feed(net, seed) for seed in range(self.requests)]
        for i, (request, feed) in enumerate(zip(loaded.requests, feeds, strict=True)):
            request.set_completion_callback(lambda status, number: ended.append((number, int(status))), i)
            request.async_infer(feed)
        for request, feed in zip(loaded.requests, feeds, strict=True):
            assert request.wait() == 0
            self.agree(request.outputs, net, feed)
        assert sorted(ended) == [(i, 0) for i in range(self.requests)]

    def test_threads(self, core: IECore) -> None:
        """Threads with a request each, and a load of their own."""
        net = self.network(core)
        loaded = self.load(core, net, num_requests=self.requests)
        failures: list[BaseException] = []

        def work(i: int) -> None:
            try:
                for seed in range(3):
                    feed = self.feed(net, 10 * i + seed)
                    loaded.requests[i].infer(feed)
                    self.agree(loaded.requests[i].outputs, net, feed)
                self.load(core, net).infer(self.feed(net))
            except BaseException as e:
                failures.append(e)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(self.requests)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if failures:
            raise failures[0]

    def test_lifetimes(self, core: IECore) -> None:
        """A request outlives the network, the loaded network and the core that it came from."""
        net = self.network(core)
        feed = self.feed(net)
        request = self.load(self.make_core(), self.network(core)).requests[0]
        request.infer(feed)
        self.agree(request.outputs, net, feed)

    # -- faults --------------------------------------------------------------------------------------------------------------
    def test_unknown_settings(self, core: IECore) -> None:
        """A setting that it does not know is an error that names it."""
        with pytest.raises(IEError, match="NO_SUCH_KEY"):
            core.load_network(self.network(core), self.device, {**self.config, "NO_SUCH_KEY": "1"})

    def test_errors(self, core: IECore) -> None:
        """Unknown layers and inputs are worded errors, after which the device works."""
        net = self.network(core)
        unknown = core.read_network(*networks.activation("NoSuchLayer"))
        with pytest.raises(IEError, match="NoSuchLayer"):
            self.load(core, unknown)
        loaded = self.load(core, net)
        feed = self.feed(net)
        with pytest.raises((IEError, AssertionError)):
            loaded.infer({**feed, "no such input": np.zeros(1)})
        name = next(iter(feed))
        with pytest.raises(IEError, match=name):
            loaded.infer({**feed, name: np.zeros((7, 11, 13))})
        self.agree(loaded.infer(feed), net, feed)

    # -- queries -------------------------------------------------------------------------------------------------------------
    def test_query(self, core: IECore) -> None:
        """Layers that it can run, never one that it does not know; all of a network that it loads."""
        unknown = core.read_network(*networks.activation("NoSuchLayer"))
        assert "out" not in core.query_network(unknown, self.device)
        net = self.network(core)
        answer = core.query_network(net, self.device)
        assert set(answer) <= set(net.layers)
        assert {name for name, layer in net.layers.items() if layer.type not in ("Input", "Parameter", "Const")} <= set(answer)

    def test_counters(self, core: IECore) -> None:
        """Performance counters of known form, if any."""
        net = self.network(core)
        loaded = self.load(core, net)
        loaded.infer(self.feed(net))
        for row in loaded.requests[0].get_perf_counts().values():
            assert row["status"] in _STATUSES
            assert row["real_time"] >= 0
            assert row["cpu_time"] >= 0
