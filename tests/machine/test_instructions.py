"""The CPU's instructions as Linux lists them."""

from __future__ import annotations

import pytest

from benchgate.machine.instructions import instructions

X86 = "processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\nbugs\t\t: spectre_v1\n\n"
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd bf16\n\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (X86, {"fpu", "avx2", "avx512_bf16"}),
        (ARM, {"fp", "asimd", "bf16"}),
        (ARM + ARM.replace(" bf16", ""), {"fp", "asimd"}),
        ("vmx flags\t: vnmi\nflags :\n", set()),
        ("", set()),
    ],
)
def test_what_every_core_has(tmp_path, text, found):
    path = tmp_path / "cpuinfo"
    path.write_text(text, encoding="utf-8")
    assert instructions(path) == found


def test_nothing_is_known_where_the_system_does_not_tell(tmp_path):
    assert instructions(tmp_path / "absent") == frozenset()
