"""Metrics as Prometheus reads them."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.system import metrics as module
from adapters.system.metrics import COUNTERS, OTHERS, PrometheusMetrics
from observability_files import calls


@pytest.fixture
def metrics() -> PrometheusMetrics:
    return PrometheusMetrics()


def lines(metrics: PrometheusMetrics) -> list[str]:
    text, content_type = metrics.text()
    assert content_type.startswith("text/plain; version=0.0.4")
    return [line for line in text.decode().splitlines() if not line.startswith("#")]


def test_counters_add_up_under_postlog_s_prefix(metrics: PrometheusMetrics) -> None:
    metrics.count("commits_written")
    metrics.count("commits_written", 2)
    assert "postlog_commits_written_total 3.0" in lines(metrics)


def test_a_counter_without_labels_is_there_before_it_counts(metrics: PrometheusMetrics) -> None:
    assert "postlog_streams_parked_total 0.0" in lines(metrics)
    assert {f"postlog_{name}_total 0.0" for name in COUNTERS} <= {*lines(metrics)}


def test_each_metric_of_the_code_is_explained_and_nothing_else_is() -> None:
    counters = {name for name, (kind, labels) in calls().items() if kind == "count" and not labels}
    assert COUNTERS.keys() == counters
    assert OTHERS.keys() == calls().keys() - counters


def test_its_help_text_is_exported(metrics: PrometheusMetrics) -> None:
    metrics.gauge("relay_lag", 1)
    text = metrics.text()[0].decode()
    assert "# HELP postlog_relay_lag Commits in the log that the bus has not acknowledged.\n" in text
    assert "# HELP postlog_relay_messages_total Messages that the bus acknowledged.\n" in text


def test_gauges_keep_the_last_value_for_each_label(metrics: PrometheusMetrics) -> None:
    metrics.gauge("projector_position", 5, partition="0")
    metrics.gauge("projector_position", 4, partition="0")
    metrics.gauge("projector_position", 7, partition="1")
    assert 'postlog_projector_position{partition="0"} 4.0' in lines(metrics)
    assert 'postlog_projector_position{partition="1"} 7.0' in lines(metrics)


def test_durations_are_counted_in_buckets_of_seconds(metrics: PrometheusMetrics) -> None:
    metrics.observe("group_commit_seconds", 0.003)
    assert 'postlog_group_commit_seconds_bucket{le="0.002"} 0.0' in lines(metrics)
    assert 'postlog_group_commit_seconds_bucket{le="0.005"} 1.0' in lines(metrics)
    assert "postlog_group_commit_seconds_sum 0.003" in lines(metrics)


def test_everything_carries_the_prefix_and_nothing_is_shared(metrics: PrometheusMetrics) -> None:
    metrics.count("commits_written")
    PrometheusMetrics().count("others")
    assert all(line.startswith("postlog_") for line in lines(metrics))
    assert not any("others" in line or "_created" in line for line in lines(metrics))


def test_the_process_is_measured_too(metrics: PrometheusMetrics) -> None:
    assert any(line.startswith("postlog_process_resident_memory_bytes ") for line in lines(metrics))


@pytest.mark.parametrize("label", ["post_id", "username", "correlation_id", "path"])
def test_a_label_without_bound_is_refused(metrics: PrometheusMetrics, label: str) -> None:
    with pytest.raises(ValueError, match=f"can't have the label {label}: its values have no bound"):
        metrics.count("likes", **{label: "x"})


def test_another_kind_other_labels_and_a_bad_name_are_refused(metrics: PrometheusMetrics) -> None:
    metrics.count("things", code="a")
    with pytest.raises(ValueError, match="is a counter already"):
        metrics.gauge("things", 1, code="a")
    with pytest.raises(ValueError, match="label"):
        metrics.count("things", adapter="a")
    with pytest.raises(ValueError, match="'Bad-Name' is no name of a metric"):
        metrics.count("Bad-Name")


def test_too_many_series_are_counted_together(
    metrics: PrometheusMetrics, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MAX_SERIES", 2)
    with caplog.at_level(logging.WARNING):
        for code in ("a", "b", "c", "d", "a"):
            metrics.count("refused", code=code)
    found = [line for line in lines(metrics) if line.startswith("postlog_refused_total")]
    assert found == [
        'postlog_refused_total{code="a"} 2.0',
        'postlog_refused_total{code="b"} 1.0',
        'postlog_refused_total{code="other"} 2.0',
    ]
    assert caplog.messages == ["Metric refused has 2 series; further ones are counted as `other`."]


def test_threads_may_count_together(metrics: PrometheusMetrics) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: metrics.count("together", kind="x"), range(800)))
    assert 'postlog_together_total{kind="x"} 800.0' in lines(metrics)


def test_a_gauge_that_is_good_for_a_while_is_not_shown_when_that_is_over(
    metrics: PrometheusMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    metrics.gauge("relay_lag", 7, good_for=15)
    metrics.gauge("shown_lag", 7, good_for=15, partition="0")
    metrics.gauge("shown_lag", 8, good_for=60, partition="1")
    now += 14
    assert "postlog_relay_lag 7.0" in lines(metrics)
    now += 2
    shown = [line for line in lines(metrics) if "lag" in line]
    assert shown == ['postlog_shown_lag{partition="1"} 8.0']
    metrics.gauge("relay_lag", 3, good_for=15)
    metrics.gauge("shown_lag", 4, good_for=15, partition="0")
    assert [line for line in lines(metrics) if "lag" in line] == [
        'postlog_shown_lag{partition="1"} 8.0',
        'postlog_shown_lag{partition="0"} 4.0',
        "postlog_relay_lag 3.0",
    ]
