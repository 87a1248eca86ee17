"""The accounts of a test run: what ran in which folder, and what was left out and why."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest

_SHOWN = ("passed", "failed", "error", "skipped", "xfailed")


class SkipAccounts:
    """Collects skips; in CI one that is not allowed by name fails the run."""

    def __init__(self) -> None:
        self.skips: list[tuple[str, str]] = []
        self.deselected = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self.skips.append((report.nodeid, _reason(report)))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.skips.append((report.nodeid, _reason(report)))

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self.deselected += len(items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.OK and self.refused():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        _folders(terminalreporter)
        if self.deselected:
            terminalreporter.write_line(f"{self.deselected} deselected (by -k or -m, or slow: --all runs those)")
        if not self.skips:
            terminalreporter.write_line("no test was skipped")
            return
        terminalreporter.section(f"{len(self.skips)} SKIPPED", sep="!", yellow=True)
        for (nodeid, reason), count in Counter(self.skips).items():
            terminalreporter.write_line(f"{nodeid}: {reason}" + (f" ({count} times)" if count > 1 else ""))
        for nodeid, _ in self.refused():
            terminalreporter.write_line(
                f"CI: {nodeid} may not be skipped; BPTL_ALLOWED_SKIPS names what may be (test, file or reason)",
                red=True,
            )

    def refused(self) -> list[tuple[str, str]]:
        """The skips that fail this run: in CI all that are not allowed by name, elsewhere none."""
        if os.environ.get("CI") != "true":
            return []
        allowed = [name.strip() for name in os.environ.get("BPTL_ALLOWED_SKIPS", "").split(",") if name.strip()]
        return [
            (nodeid, reason)
            for nodeid, reason in self.skips
            if not any(nodeid.startswith(name) or name in reason for name in allowed)
        ]


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SkipAccounts(), "bptl-skip-accounts")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def _folders(terminalreporter: pytest.TerminalReporter) -> None:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    seconds: defaultdict[str, float] = defaultdict(float)
    for category, reports in terminalreporter.stats.items():
        for report in reports:
            if not isinstance(report, (pytest.TestReport, pytest.CollectReport)):
                continue
            folder = "/".join(report.nodeid.split("::")[0].split("/")[:2])
            seconds[folder] += getattr(report, "duration", 0.0)
            if category in _SHOWN:
                counts[folder][category] += 1
    terminalreporter.section("by folder")
    for folder in sorted(counts):
        words = ", ".join(f"{counts[folder][category]} {category}" for category in _SHOWN if counts[folder][category])
        terminalreporter.write_line(f"{folder:20} {seconds[folder]:7.1f} s  {words}")
