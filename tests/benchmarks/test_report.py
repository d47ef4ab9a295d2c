"""What a page of benchmarks says is what was measured. Nothing is measured here."""

from tests.benchmarks import recall
from tests.benchmarks.report import Row, figures, page

ASKED = {"p50_ms": 30.0, "p95_ms": 50.0, "processor_ms": 28.0, "p95_own_ms": 40.0}
SAID = {way: {"questions": {"a text": ASKED}, "load": 1.0} for way in ("local", "server")}


def test_the_median_of_runs_stands_between_the_smallest_and_the_largest_and_one_run_alone() -> None:
    assert figures([3.0, 1.0, 2.0]) == "2.0 (1.0 to 3.0)"
    assert figures([2.0]) == "2.0"
    assert figures([]) == ""


def test_a_question_has_a_row_for_its_median_and_one_for_its_95th_percentile() -> None:
    rows = {(row.what, row.unit): row for row in recall.told(SAID).rows}
    assert rows["folder, a text", "ms, wall, p50"].aika == (30.0,)
    p95 = rows["folder, a text", "ms, wall, p95"]
    assert (p95.aika, p95.aim) == ((50.0,), "50")
    assert rows["server of the tests, a text", "ms, wall, p95 without that server's own"].aika == (40.0,)
    printed = page([recall.told(SAID)], ())
    assert "| folder, a text | ms, wall, p50 | 30.0 |  |  |  |  |" in printed
    assert "| folder, a text | ms, wall, p95 | 50.0 |  |  |  | 50 |" in printed


def test_the_mutant_that_hands_both_over_as_runs_prints_a_figure_that_nobody_measured() -> None:
    naive = Row(what="folder, a text", unit="ms, wall", aika=(ASKED["p50_ms"], ASKED["p95_ms"]))
    assert figures(naive.aika) == "40.0 (30.0 to 50.0)"
    assert not any(len(row.aika) > 1 for row in recall.told(SAID).rows)
