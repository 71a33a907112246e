# SPDX-License-Identifier: Apache-2.0
"""Files of packed weights: found again, shared, refused with words, never trusted."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cpu_programs import ISAS, Builder, has_isa, infer, load

import ie_ctypes
from ie_ctypes import runtime
from ie_ctypes.model.program import Program

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "samples" / "models" / "digits_v7.xml"
X = np.random.default_rng(3).standard_normal((1, 16, 8, 8)).astype(np.float32)


def network(seed: int = 0) -> Program:
    """A direct convolution, one by Winograd's algorithm, a recurrent layer and a matrix product."""
    rng = np.random.default_rng(seed)
    b = Builder()
    x = b.conv(b.input(1, 16, 8, 8), rng.standard_normal((1, 16, 16, 1, 1)).astype(np.float32), rng.standard_normal(16).astype(np.float32))
    x = b.conv(x, rng.standard_normal((1, 16, 16, 3, 3)).astype(np.float32), pad=1)
    x = b.node("Reshape", x, shape=(1, 16, 64))
    sizes = [(1, 1, 64), (1, 64, 64), (1, 64, 64), (1, 64)]  # the first state, W, R and the biases of a plain cell
    state = [b.const(rng.standard_normal(size).astype(np.float32)) for size in sizes]
    x = b.node("Recurrent", x, state[0], -1, -1, *state[1:], cell="rnn", direction="forward", activations="tanh")
    x = b.node("Reshape", x, shape=(16, 64))
    weights = b.const(rng.standard_normal((64, 20)).astype(np.float32))
    return b.output(b.node("MatMul", x, weights, transpose_a=0, transpose_b=0)).program


def run(program: Program, **config: str) -> np.ndarray:
    executable = load(program, CPU_THREADS_NUM="1", **config)
    (result,) = infer(executable, program, [X])
    executable.close()
    return result


def cached(folder: Path) -> Path:
    """The one file of the folder."""
    (file,) = folder.iterdir()
    assert file.suffix == ".blob"
    assert len(file.stem) == 32
    return file


def test_a_second_load_finds_the_file_and_leaves_it_alone(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    want = run(network())
    np.testing.assert_array_equal(run(network(), CACHE_DIR=str(folder)), want)
    before = cached(folder).stat()
    np.testing.assert_array_equal(run(network(), CACHE_DIR=str(folder)), want)
    after = cached(folder).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_the_weights_come_out_of_the_file(tmp_path: Path) -> None:
    executable = load(network(), CACHE_DIR=str(tmp_path))
    file = str(cached(tmp_path))
    assert file not in Path("/proc/self/maps").read_text()
    executable.close()
    executable = load(network(), CACHE_DIR=str(tmp_path))
    assert file in Path("/proc/self/maps").read_text()
    executable.close()
    assert file not in Path("/proc/self/maps").read_text()


def test_every_network_has_a_file_of_its_own(tmp_path: Path) -> None:
    for seed in (0, 1, 0):
        np.testing.assert_array_equal(run(network(seed), CACHE_DIR=str(tmp_path)), run(network(seed)))
    assert len(list(tmp_path.iterdir())) == 2


def test_every_instruction_set_has_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = [isa for isa in ISAS if has_isa(isa)]
    for isa in here * 2:
        monkeypatch.setenv("IE_CTYPES_ISA", isa)
        np.testing.assert_array_equal(run(network(), CACHE_DIR=str(tmp_path)), run(network()))
    assert len(list(tmp_path.iterdir())) == len(here)


def table(file: bytes) -> tuple[int, list[tuple[int, int]]]:
    """Where the table of a file ends, and the offset and size of every blob."""
    (count,) = struct.unpack_from("<Q", file, 40)
    return 160 + 80 * count, [struct.unpack_from("<QQ", file, 168 + 80 * i) for i in range(count)]


def test_damaged_files_are_made_anew(tmp_path: Path) -> None:
    want = run(network(), CACHE_DIR=str(tmp_path))
    file = cached(tmp_path)
    good = file.read_bytes()
    end, blobs = table(good)
    assert len(blobs) == 5  # W and R are two
    ends = [position for offset, size in blobs for position in (offset, offset + size - 1)]  # always looked at
    for position in [*range(end), *ends]:
        bad = bytearray(good)
        bad[position] ^= 1 << position % 8
        file.write_bytes(bad)
        np.testing.assert_array_equal(run(network(), CACHE_DIR=str(tmp_path)), want, err_msg=f"byte {position}")
        assert file.read_bytes() == good, f"byte {position}"


def test_damage_between_the_pages_that_are_looked_at_is_harmless(tmp_path: Path) -> None:
    run(network(), CACHE_DIR=str(tmp_path / "cache"))
    file = cached(tmp_path / "cache")
    good = file.read_bytes()
    end, blobs = table(good)
    for position in (*range(end, len(good), 500), len(good) - 1):
        bad = bytearray(good)
        bad[position] ^= 255
        file.write_bytes(bad)
        run(network(), CACHE_DIR=str(tmp_path / "cache"))
        (tmp_path / "import").write_bytes(bad)
        if any(offset <= position < offset + size for offset, size in blobs):  # an import looks at all of them
            with pytest.raises(RuntimeError, match="damaged: wrong checksum of packed weights"):
                imported(network(), tmp_path / "import")
        else:
            imported(network(), tmp_path / "import")


def test_files_cut_short_or_grown_are_made_anew(tmp_path: Path) -> None:
    want = run(network(), CACHE_DIR=str(tmp_path))
    file = cached(tmp_path)
    good = file.read_bytes()
    for size in [*range(0, 500, 9), 4095, 4096, 4097, *range(5000, len(good), 3001), len(good) - 1, len(good) + 1]:
        file.write_bytes((good + b"\0")[:size])
        np.testing.assert_array_equal(run(network(), CACHE_DIR=str(tmp_path)), want)
        assert file.read_bytes() == good, f"{size} bytes"


def test_a_folder_that_cannot_be_written_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("IE_CTYPES_LOG", "2")
    np.testing.assert_array_equal(run(network(), CACHE_DIR=str(tmp_path / "file" / "below")), run(network()))
    assert "cannot make the folder" in capfd.readouterr().err


def test_processes_may_fill_the_folder_at_once(tmp_path: Path) -> None:
    code = "import test_cache, sys; print(test_cache.run(test_cache.network(), CACHE_DIR=sys.argv[1]).tobytes().hex())"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", code, str(tmp_path)]
    processes = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    results = {process.communicate()[0].strip() for process in processes}
    assert results == {run(network()).tobytes().hex()}
    assert cached(tmp_path).stat().st_size > 4096


def test_the_folder_is_a_setting_of_the_device_or_of_a_load(tmp_path: Path) -> None:
    core = ie_ctypes.IECore()
    net = core.read_network(str(MODEL))
    assert core.get_config("CPU", "CACHE_DIR") == ""
    assert "CACHE_DIR" not in core.get_metric("CPU", "SUPPORTED_CONFIG_KEYS")
    one = core.load_network(net, "CPU", {"CACHE_DIR": str(tmp_path / "load")})
    core.set_config({"CACHE_DIR": str(tmp_path / "device")}, "CPU")
    two = core.load_network(net, "CPU")
    assert one.get_config("CACHE_DIR") == str(tmp_path / "load")
    assert two.get_config("CACHE_DIR") == str(tmp_path / "device")
    assert cached(tmp_path / "load").read_bytes() == cached(tmp_path / "device").read_bytes()


def exported(program: Program) -> bytes:
    with runtime.Device("CPU") as device, runtime.Graph(program) as graph, device.compile(graph, {"EXPORT": "YES"}) as executable:
        return executable.export_blob()


def imported(program: Program, file: Path, offset: int = 0) -> None:
    with runtime.Device("CPU") as device, runtime.Graph(program) as graph:
        device.compile(graph, {"IMPORT": f"{offset}:{file}"}).close()


def test_an_executable_is_exported_as_the_same_bytes(tmp_path: Path) -> None:
    run(network(), CACHE_DIR=str(tmp_path))
    blob = exported(network())
    assert blob == cached(tmp_path).read_bytes()
    (tmp_path / "file").write_bytes(b"x" * 8192 + blob)
    imported(network(), tmp_path / "file", 8192)


def test_an_executable_not_loaded_for_it_is_not_exported() -> None:
    with (
        runtime.Device("CPU") as device,
        runtime.Graph(network()) as graph,
        device.compile(graph, {}) as executable,
        pytest.raises(RuntimeError, match="export: the network was loaded without EXPORT"),
    ):
        executable.export_blob()


@pytest.mark.parametrize(
    ("position", "words"),
    [
        (0, "not a file of packed weights"),
        (8, "packed weights of format"),
        (16, "packed weights of .* bytes, expected"),
        (24, "packed weights of another network"),
        (48, "packed for the instruction set"),
        (64, "packed by ie_ctypes"),
        (96, "packed by ie_ctypes"),
        (150, "damaged: wrong checksum"),
        (4096, "damaged: wrong checksum of packed weights"),
    ],
)
def test_imports_of_what_does_not_fit_are_refused_with_words(position: int, words: str, tmp_path: Path) -> None:
    blob = bytearray(exported(network()))
    blob[position] ^= 1
    (tmp_path / "file").write_bytes(blob)
    with pytest.raises(RuntimeError, match=words):
        imported(network(), tmp_path / "file")


def test_imports_of_other_places_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with pytest.raises(RuntimeError, match="No such file"):
        imported(network(), file)
    file.write_bytes(exported(network()))
    with pytest.raises(RuntimeError, match="packed weights of another network"):
        imported(network(1), file)
    for offset in (1, 1 << 40, 1 << 63):
        with pytest.raises(RuntimeError, match="cut short"):
            imported(network(), file, offset)
    with (
        runtime.Device("CPU") as device,
        runtime.Graph(network()) as graph,
        pytest.raises(RuntimeError, match="IMPORT: 'here', expected OFFSET:FILE"),
    ):
        device.compile(graph, {"IMPORT": "here"})
