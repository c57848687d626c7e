"""Two checkouts are compared on the same samples."""

import re

import pytest

from soho.paths import TOOLS

ROOT = TOOLS.parent


@pytest.fixture
def tool(load_tool):
    return load_tool('benchmark/compare_data')


def test_a_checkout_is_as_fast_as_itself(tool, synthetic, monkeypatch):
    monkeypatch.setenv('SOHO_SYNTHETIC', str(synthetic))
    line = tool.main([str(ROOT), str(ROOT), '--samples', '6'])
    found = re.fullmatch(r'demo/vqa, 6 samples: ([\d.]+) ms before, ([\d.]+) ms after, median ratio ([\d.]+)', line)
    assert found and all(float(number) > 0 for number in found.groups())


def test_a_folder_that_is_no_checkout_is_said(tool, tmp_path):
    with pytest.raises(SystemExit, match='has no config configs/demo/vqa.py'):
        tool.main([str(tmp_path), str(ROOT)])
