"""A small storm: cases wait while the Zaken API is down, then slow, then well; nothing is lost, doubled or burned."""

from __future__ import annotations

from pathlib import Path

import pytest

from stage.engines import SANDBOX
from stage.storm import blow
from stage.storm_account import Storm
from stage.storm_town import Town

STORM = Storm(cases=60, down=15.0, slow=12.0)


@pytest.mark.slow
@pytest.mark.timeout(600)  # one that fails waits for cases that do not come
def test_all_cases_end_after_a_storm_and_none_has_cost_a_retry(tmp_path: Path) -> None:
    with Town.built(tmp_path, product=SANDBOX) as town:
        account = blow(town, STORM, say=print)
    line = account.line(STORM)
    assert account.faults == [], line
    assert line.startswith(
        "storm: cases=60 down_s=15 slow_s=12 ended=60 incidents=0 retries_burned=0 lost=0 doubled=0 done_after_s="
    )
