"""A bar is drawn where one can be drawn."""

import importlib.util

import pytest

from imgcls import _progress


@pytest.mark.parametrize("verbose", [1, "auto"])
@pytest.mark.parametrize("installed", [True, False])
def test_in_jupyter_a_bar_takes_ipywidgets(monkeypatch, verbose, installed):
    """Without it rich warns, with a path of this machine, and draws nothing."""
    monkeypatch.setattr(_progress, "find_spec", lambda name: importlib.util.find_spec("json") if installed else None)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    report = _progress.ProgressReport(verbose)
    assert (report._bar is not None) == installed


def test_a_log_gets_lines_and_a_terminal_a_bar(capsys):
    with _progress.ProgressReport("auto") as report:
        report.begin("counting", 3)
        report.say("one line")
    assert report._bar is None
    assert capsys.readouterr().err == "one line\n"
    assert _progress.ProgressReport(1)._bar is not None
    assert _progress.ProgressReport(0)._bar is None
