"""The last line of the demo tells the truth about what BPTL counted."""

from __future__ import annotations

from stage.tally import Tally


def test_the_line_sums_every_outcome() -> None:
    counts = {"delivered": {"completed": 80, "thrown": 4}, "lost": {"": 1, "completed": 2}}
    assert Tally(20, 0, counts).line(20) == "20 of 20 cases ended, 84 tasks delivered, 3 lost"


def test_numbers_are_final_only_when_no_task_is_on_its_way() -> None:
    assert Tally(1, 0, {"delivered": {"completed": 3}}).final
    assert not Tally(1, 0, {"delivered": {"completed": 3}, "performed": {"completed": 1}}).final


def test_what_is_on_its_way_is_told_by_where_it_is() -> None:
    counts = {"delivered": {"completed": 3}, "performed": {"failed": 2}, "queued": {"": 1}}
    assert Tally(1, 1, counts).open_lines() == ["  2 tasks performed failed", "  1 tasks queued"]
