"""Denials: reported at once, then once in a second."""

from __future__ import annotations

from nyx_plugins.actors.denials import Denials


def test_a_flood_is_one_report_in_a_second() -> None:
    """The first denial is reported at once, those of the second after it together, and then it begins anew."""
    reports: list[tuple[str, int]] = []
    denials = Denials(lambda *report: reports.append(report))
    assert [denials.note(what) for what in ("a", "b", "c")] == [True, False, False]
    assert reports == [("a", 1)]
    assert denials.tell()
    assert reports[1:] == [("c", 2)]
    assert not denials.tell()
    assert reports[2:] == []
    assert denials.note("d")
    assert reports[2:] == [("d", 1)]
