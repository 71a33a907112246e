# SPDX-License-Identifier: Apache-2.0
"""The example packages of samples/plugins as wheels: built, installed into a fresh environment, listed, used, uninstalled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from ie_ctypes.runtime import library_path

from .custom_networks import chain

pytestmark = [pytest.mark.wheel, pytest.mark.slow, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples" / "plugins"
BROKEN = {
    "pyproject.toml": '[build-system]\nbuild-backend = "mesonpy"\nrequires = ["meson-python"]\n'
    '[project]\nname = "broken-ie"\nversion = "1.0"\n[project.entry-points.ie_ctypes]\nbroken = "broken_ie"\n',
    "meson.build": "project('broken-ie', version: '1.0')\nimport('python').find_installation(pure: true).install_sources('broken_ie.py')\n",
    "broken_ie.py": "import a_module_that_is_not_there\n",
}


class Environment:
    """A virtual environment that sees this ie_ctypes and what it needs, and nothing else of this one's plugins."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        self.python = str(folder / "bin" / "python")
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self.site = folder / "lib" / version / "site-packages"
        (self.site / "parent.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
        self.before = self.files()

    def files(self) -> set[str]:
        """Everything below the environment, without compiled modules of Python's own."""
        return {str(p.relative_to(self.site)) for p in self.site.rglob("*") if "__pycache__" not in p.parts}

    def pip(self, *arguments: str) -> None:
        subprocess.run([self.python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], check=True)

    def run(self, *arguments: str) -> str:
        """Output of a Python command, both streams."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "IE_CTYPES"))}
        environment["IE_CTYPES_LIBRARY"] = str(library_path())
        done = subprocess.run(
            [self.python, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=self.site
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Wheels by the name of their folder."""
    pytest.importorskip("mesonpy", reason="meson-python is not installed")
    if not shutil.which("cc") and not shutil.which("gcc"):
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("sources")
    broken = folder / "broken"
    broken.mkdir()
    for name, text in BROKEN.items():
        (broken / name).write_text(text)
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": str(ROOT),
    }
    built = {}
    for name in ("driver", "device", "extension", "broken"):
        source, out = folder / name, folder / f"{name}_wheel"
        if name != "broken":
            shutil.copytree(SAMPLES / name, source)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-build-isolation", "--no-deps"]
        done = subprocess.run([*command, "-w", str(out), str(source)], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        (built[name],) = out.glob("*.whl")
    return built


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "environment")


def test_each_is_listed_used_and_leaves_no_trace(environment: Environment, wheels: dict[str, Path], tmp_path: Path) -> None:
    environment.pip("install", "--no-index", "--no-deps", *(str(wheels[n]) for n in ("driver", "device", "extension")))
    listed = {line.split()[0]: line for line in environment.run("-m", "ie_ctypes", "plugins").splitlines()}
    assert listed["acme"].endswith("device ACME")
    assert listed["sleepy"].endswith("device SLEEPY")
    assert listed["thermometer"].endswith("extension thermometer for CPU, kernel of Mirror for CPU")
    assert "acme-ie 1.0" in listed["acme"]

    names = {"relu": chain("legacy", type="Abs"), "thermometer": chain("opset", "Thermometer", {"levels": 4}, [(2, 3, 4)])}
    names["mirror"] = chain("legacy", "Mirror", {"axis": 1})
    for name, (xml, weights) in names.items():
        (tmp_path / f"{name}.xml").write_bytes(xml)
        (tmp_path / f"{name}.bin").write_bytes(weights)
    (tmp_path / "use.py").write_text(USE)
    assert environment.run(str(tmp_path / "use.py"), str(tmp_path)).splitlines()[-1] == "used"

    environment.pip("uninstall", "-y", "acme-ie", "sleepy-ie", "thermometer-ie")
    assert environment.files() == environment.before
    listed_after = environment.run("-m", "ie_ctypes", "plugins")
    assert not any(name in listed_after for name in ("acme", "sleepy", "thermometer"))


USE = """
import sys
import numpy as np
from ie_ctypes import IECore

core = IECore()
assert {"ACME", "SLEEPY"} <= set(core.available_devices), core.available_devices
assert core.get_metric("ACME", "FULL_DEVICE_NAME") == "ACME element-wise accelerator"
x = np.array([[-1, 2, -3], [4, 0.5, 6]], np.float32)

def run(name, device, config=None):
    exec_net = core.load_network(core.read_network(f"{sys.argv[1]}/{name}.xml"), device, config, num_requests=2)
    (first,) = exec_net.infer({"data": x}).values()
    request = exec_net.start_async(1, {"data": x})
    assert request.wait() == 0
    (second,) = request.outputs.values()
    np.testing.assert_array_equal(first, second)
    return first

relu = np.maximum(x, 0)
for device in ("ACME", "SLEEPY", "HETERO:ACME,CPU", "MULTI:SLEEPY,ACME"):
    np.testing.assert_array_equal(run("relu", device), relu)
np.testing.assert_array_equal(run("relu", "SLEEPY", {"SLEEPY_MILLISECONDS": "3"}), relu)
steps = (relu[..., None] >= np.arange(1, 5)).astype(np.float32)
for device in ("CPU", "HETERO:ACME,CPU"):
    np.testing.assert_array_equal(run("thermometer", device), steps)
for device in ("CPU", "REFERENCE", "HETERO:ACME,CPU"):
    np.testing.assert_array_equal(run("mirror", device), relu[:, ::-1])
net = core.read_network(f"{sys.argv[1]}/thermometer.xml")
net.reshape({"data": (5, 1)})
assert net.layers["mine"].shape == [5, 1, 4]
assert core.query_network(net, "HETERO:ACME,CPU")["before"] == "ACME"
print("used")
"""


def test_a_broken_one_harms_nothing(environment: Environment, wheels: dict[str, Path]) -> None:
    environment.pip("install", "--no-index", "--no-deps", str(wheels["broken"]), str(wheels["driver"]))
    out = environment.run("-W", "always", "-c", "import ie_ctypes; print(ie_ctypes.IECore().available_devices)")
    assert "['ACME', 'CPU'" in out  # and GPU where there is one
    assert "RuntimeWarning: plugin broken of broken-ie 1.0 cannot be loaded: ModuleNotFoundError" in out
    listed = environment.run("-m", "ie_ctypes", "plugins")
    assert "FAILED: cannot be loaded: ModuleNotFoundError: No module named 'a_module_that_is_not_there'" in listed
    assert "device ACME" in listed
    environment.pip("uninstall", "-y", "broken-ie", "acme-ie")
    assert environment.files() == environment.before
