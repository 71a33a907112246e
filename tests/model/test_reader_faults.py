# SPDX-License-Identifier: Apache-2.0
"""Every structural fault of a file is one ModelError that says what and where."""

from __future__ import annotations

import io
import re

import pytest
from small_nets import NETS

from ie_ctypes.errors import ModelError
from ie_ctypes.model.readers import read_ir, sniff_version, xmltree
from ie_ctypes.model.writers import ir_bytes

FILES = {name: ir_bytes(make()) for name, make in NETS.items()}


def read(net: str, old: str, new: str) -> None:
    """Read a network after one replacement (a regular expression that must hit)."""
    xml, weights = FILES[net]
    text, hits = re.subn(old, new, xml.decode(), count=1, flags=re.DOTALL)
    assert hits == 1
    read_ir(text.encode(), weights)


@pytest.mark.parametrize(
    ("net", "old", "new", "message"),
    [
        # the document
        ("legacy", r"<net", '<!DOCTYPE net [<!ENTITY a "b">]><net', "line 2: document type declarations and entities"),
        ("legacy", r"</net>", "", "Error loading xmlfile: no element found at line: "),
        ("legacy", r".*", "", "Error loading xmlfile: no element found at line: 1 pos: 0"),
        ("legacy", r".*", "garbage", "Error loading xmlfile: syntax error at line: 1 pos: 0"),
        ("legacy", r"UTF-8", "klingon", "unknown encoding|encoding cannot be read"),
        ("legacy", r"<net .*</net>", "<model/>", r"deprecated IR version: 0 \(the root element is <model>"),
        ("legacy", r"<layers>", "<a>" * 80, "nested deeper than 64"),
        ("legacy", r'name="small"', f'name="{"x" * 1_100_000}"', "'name' of <net> has 1100000 characters"),
        # versions
        ("legacy", r' version="7"', "", "deprecated IR version: 0"),
        ("legacy", r' version="7"', ' version="1"', "deprecated IR version: 1"),
        ("legacy", r' version="7"', ' version="8"', "IR version 8 is not supported"),
        ("legacy", r' version="7"', ' version="12"', "cannot parse future versions: 12"),
        ("legacy", r' version="7"', ' version="x"', "'version' of <net> is 'x'"),
        # layers
        ("legacy", r"<layers>.*</layers>", "", "Network doesn't contain layers"),
        ("opset", r"<layers>.*</layers>", "<layers/>", "Network doesn't contain layers"),
        ("legacy", r'type="Input"', 'type="Other"', "Network doesn't contain input layers"),
        ("legacy", r'id="1" name="conv"', 'name="conv"', "line 14: <layer> has no attribute 'id'"),
        ("legacy", r'id="1" name="conv"', 'id="one" name="conv"', "'id' of <layer> is 'one', expected an integer"),
        ("legacy", r'id="1" name="conv"', 'id="99999999999" name="conv"', "'id' of <layer> is '99999999999'"),
        ("legacy", r'id="1" name="conv"', 'id="2" name="conv"', "layer id 2 is used by layers 'conv' and 'relu'"),
        ("legacy", r'name="relu"', 'name="conv"', "layer name 'conv' is used by the layers with id 1 and 2"),
        ("opset", r'name="relu"', 'name="conv"', "Invalid IR! conv name is not unique!"),
        ("legacy", r'name="relu"', 'name="split.1"', r"two layers set to the same output \[split.1\]"),
        ("legacy", r'type="Convolution"', "", "layer conv: <layer> has no attribute 'type'"),
        ("opset", r'type="Relu" version="opset1"', 'type="Relu" version=""', "layer relu: <layer> has an empty attribute 'version'"),
        ("legacy", r'name="relu"', 'name=""', r"line \d+: <layer> has an empty attribute 'name'"),
        ("opset", r'type="Relu" version="opset1"', 'type="Relu"', "layer relu: <layer> has no attribute 'version'"),
        (
            "legacy",
            r'name="conv" type="Convolution" precision="FP32"',
            'name="conv" type="Convolution" precision="MIXED"',
            "Layer precision must not be MIXED",
        ),
        ("legacy", r'precision="FP32"', 'precision="FP31"', "layer data: precision 'FP31' is not supported"),
        ("legacy", r"<output>.*?</output>", "", r"layer data: Input layer must have 1 output. data has 0"),
        # ports and edges
        ("legacy", r"<dim>8", "<dim>-8", r"layer data: dimension \('-8'\) in node <dim> must be a positive integer"),
        ("legacy", r"<dim>8", "<dim>0", r"dimension \('0'\)"),
        ("legacy", r"<dim>8</dim>", "<dim/>", r"dimension \(''\)"),
        ("opset", r"<dim>8", "<dim>-2", r"dimension \('-2'\) in node <dim> must be a non-negative integer"),
        ("legacy", r"<dim>8", "<dim>2147483647</dim><dim>2147483647", "has more than 1099511627776 elements"),
        ("legacy", r"<dim>8", "<dim>1</dim>" * 40 + "<dim>8", "shape has 44 dimensions, expected at most 32"),
        ("legacy", r'<port id="2">', '<port id="1">', "layer split: output port 1 is given twice"),
        ("opset", r'<port id="0" precision="FP32"', '<port id="0"', "layer data: <port> has no attribute 'precision'"),
        ("legacy", r'to-layer="1"', 'to-layer="77"', "Layer ID 77 was not found while connecting edge"),
        (
            "legacy",
            r'from-layer="0" from-port="0"',
            'from-layer="0" from-port="5"',
            "in Layer data: trying to connect an edge to non existing output port: 5",
        ),
        ("legacy", r'to-layer="1" to-port="0"', 'to-layer="1" to-port="5"', "input port 5 does not exist in layer conv"),
        ("legacy", r'<edge from-layer="0"[^>]*>', "", "Layer conv input port 0 is not connected to any data"),
        ("opset", r'<edge from-layer="0"[^>]*>', "", "Layer conv input port 0 is not connected to any data"),
        (
            "legacy",
            r"<edges>",
            '<edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/>',
            "input port 0 of layer conv is connected twice",
        ),
        ("legacy", r"(<dim>)3(</dim>)", r"\g<1>4\2", "in Layer conv: trying to connect an edge to mismatch dimensions of output port: 0"),
        (
            "opset",
            r'from-layer="0" from-port="0" to-layer="4"',
            'from-layer="6" from-port="1" to-layer="4"',
            "layer (conv|split|relu) is part of a cycle",
        ),
        ("legacy", r"</layers>", '<layer id="50" name="alone" type="X"/></layers>', "Layer alone does not have any edge connected to it"),
        # weights
        (
            "legacy",
            r'(<weights [^>]*)size="\d+"',
            r'\1size="40000"',
            "layer conv: segment exceeds given buffer limits.*takes 40000 bytes at offset 0",
        ),
        ("legacy", r'<weights offset="0"', '<weights offset="9223372036854775807"', "segment exceeds given buffer limits"),
        ("legacy", r'<weights offset="0"', '<weights offset="-1"', "'offset' of <weights> is '-1'"),
        ("legacy", r'<weights offset="0"', "<weights", "<weights> has no attribute 'offset'"),
        ("legacy", r'(<biases [^>]*)size="16"', r'\1size="15"', "bytes size weights for conv mismatch, <biases> has 15 bytes"),
        ("legacy", r'(<custom [^>]*)size="512"', r'\1size="508"', "bytes size weights for const mismatch, expecting"),
        (
            "legacy",
            r'type="Convolution" precision="FP32"',
            'type="Convolution"',
            "layer conv: precision UNSPECIFIED is not supported for blobs",
        ),
        ("legacy", r"<biases ", "<weights ", "blob 'weights' is given twice"),
        ("opset", r'size="432"', 'size="40000"', "layer kernel: Incorrect weights in bin file!"),
        ("opset", r'size="432"', 'size="428"', "layer kernel: Attribute and shape size are inconsistent for Const op!.*at least 432"),
        ("opset", r'element_type="i8" shape=""', 'element_type="i8" shape="?"', r"a constant cannot have the dynamic shape \[-1\]"),
        ("opset", r'element_type="i8"', 'element_type="f12"', "layer axis: precision 'f12' is not supported"),
        # sections and bodies
        ("legacy", r"<min>0.0", "<min>a", "<min>: .*could not convert string to float"),
        ("legacy", r"<min>.*?</min>", "", "needs <name>, <min> and <max>"),
        ("legacy", r"<min>0.0,", "<min>", "statistics of conv: 3 minima and 4 maxima"),
        ("legacy_loop", r"<port_map>.*</port_map>", "", "layer sum: <port_map> is missing"),
        ("legacy_loop", r'external_port_id="0"', 'external_port_id="9"', "external_port_id 9 of <port_map> is no input port of the layer"),
        ("legacy_loop", r'internal_layer_id="0"', 'internal_layer_id="9"', "layer id 9 of <input> does not exist in the body"),
        ("legacy_loop", r'internal_port_id="0"', 'internal_port_id="9"', "layer total of the body has no input port 9"),
        ("legacy_loop", r'axis="0"', 'axis="x"', "'axis' of <input> is 'x'"),
        ("legacy_loop", r'stride="1"', 'stride="0"', "stride of <port_map> is 0"),
        ("legacy_loop", r'<input external_port_id="0"[^>]*>', "", "Layer total input port 0 is not connected to any data"),
        ("legacy_loop", r'from-layer="0" from-port="2"', 'from-layer="0" from-port="3"', "layer total of the body has no output port 3"),
        ("opset_loop", r'<input external_port_id="1"[^>]*>', "", "the back edge to layer id 1 has no initial value"),
        ("opset_loop", r'from-layer="3" to-layer="1"', 'from-layer="2" to-layer="1"', "layer total of type Add cannot be a body output"),
    ],
)
def test_fault(net: str, old: str, new: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read(net, old, new)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ('reference-layer-name="zz"', "pre-process name ref 'zz' refers to un-existing input"),
        ('><channel id="3"><mean value="1"/></channel', "Pre-process channel id invalid: 3"),
        ("><channel><mean/></channel", "mean should have at least one of the following attribute: value, size"),
        ('><channel><mean offset="0" size="256"/></channel', "mean blob defined without specifying precision"),
        (
            ' mean-precision="FP32"><channel><mean offset="0" size="16"/></channel',
            "mean blob size mismatch expected input, got: 4 elements",
        ),
        ('><channel><mean value="1"/></channel', "mean is not provided for all channels"),
        ('><channel><mean value="one"/></channel', "'value' of <mean> is 'one', expected a number"),
        ("><channel><scale/></channel", "<scale> has no attribute 'value'"),
    ],
)
def test_pre_process_fault(section: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read("legacy", "</net>", f"<pre-process {section}{'></pre-process>' if '<' in section else '/>'}</net>")


def test_mean_values_are_refused_in_v10() -> None:
    with pytest.raises(ModelError, match="mean should have the attribute: size"):
        read("opset", "</net>", '<pre-process><channel id="0"><mean value="1"/></channel></pre-process></net>')


def test_errors_of_files_name_the_file() -> None:
    xml, _ = FILES["legacy"]
    file = io.BytesIO(xml.replace(b'to-layer="1"', b'to-layer="77"'))
    file.name = "some/net.xml"
    with pytest.raises(ModelError, match=r"^some/net.xml: line \d+: Layer ID 77"):
        read_ir(file, FILES["legacy"][1])


def test_a_version_is_refused_at_its_line_whatever_follows() -> None:
    with pytest.raises(ModelError, match=r"^line 3: deprecated IR version: 1$"):
        sniff_version(b'<?xml version="1.0"?>\n\n<net version="1">\n<layers></net>')


@pytest.mark.parametrize("count", [20, 100_000], ids=["short", "long"])
def test_lines_are_those_of_the_file_whatever_its_size(count: int) -> None:
    xml, weights = FILES["legacy"]
    faulty = xml.replace(b"<layers>", b"<!-- -->\n" * count + b"<layers>").replace(b'to-layer="1"', b'to-layer="77"')
    line = faulty[: faulty.index(b'to-layer="77"')].count(b"\n") + 1
    with pytest.raises(ModelError, match=f"^line {line}: Layer ID 77"):
        read_ir(faulty, weights)


def test_nested_bodies_end_at_the_depth_limit() -> None:
    xml = FILES["legacy_loop"][0].decode()
    body = re.search(r"<body>.*</body>", xml, re.DOTALL)
    assert body is not None
    deep = xml.replace(body[0], "<body><layers><layer>" * 30 + "</layer></layers></body>" * 30)
    with pytest.raises(ModelError, match="nested deeper than 64"):
        read_ir(deep.encode(), b"")


def test_namespaces_do_not_change_names() -> None:
    xml, weights = FILES["legacy"]
    spaced = xml.replace(b"<net ", b'<net xmlns="urn:nets" xmlns:n="urn:notes" n:seen="yes" ', 1)
    root = xmltree.parse(spaced).root
    assert root.tag == "net"
    assert root.get("n:seen") == "yes"
    assert len(read_ir(spaced, weights).nodes) == len(read_ir(xml, weights).nodes)


def test_utf_16_is_read_with_the_same_limits() -> None:
    xml, weights = FILES["legacy"]
    wide = xml.decode().replace("UTF-8", "UTF-16").encode("utf-16")
    assert [n.name for n in read_ir(wide, weights).nodes] == [n.name for n in read_ir(xml, weights).nodes]
    with pytest.raises(ModelError, match="document type declarations and entities"):
        read_ir(wide.decode("utf-16").replace("<net", '<!DOCTYPE net [<!ENTITY a "b">]><net', 1).encode("utf-16"), weights)


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MAX_LAYERS", 3, "the network has more than 3 layers"),
        ("MAX_ELEMENTS", 30, "the file has more than 30 elements"),
        ("MAX_BYTES", 1000, r"the file has \d+ bytes, expected at most 1000"),
        ("MAX_TEXT", 20, "the text of <min> has more than 20 characters"),
    ],
)
def test_size_limits(monkeypatch: pytest.MonkeyPatch, limit: str, value: int, message: str) -> None:
    read_ir(*FILES["legacy"])
    monkeypatch.setattr(xmltree, limit, value)
    xml, weights = FILES["legacy"]
    with pytest.raises(ModelError, match=message):
        read_ir(xml.replace(b"0.0,-1.5", b"0.0,-1.5,1.0,2.0,3.0,4.0"), weights)
