"""What Dagster shows and starts: definitions, the sensor, the schedule, and what becomes of runs that were killed."""

from __future__ import annotations

import logging
import os
import threading
import time
from types import SimpleNamespace

import dagster as dg
import pytest

from orchestration import work
from orchestration.defs import automation, transform
from orchestration.defs.run import PROCESS, Run, end_dead_runs
from orchestration.landing import load_landing_dir
from orchestration.lock import locked
from orchestration.settings import SAMPLE, Settings
from orchestration.warehouse import open_warehouse


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    """A folder with a webhook, as a daemon finds it in its environment."""
    for name, place in (
        ("LANDING_DIR", "in"),
        ("WAREHOUSE_PATH", "w.duckdb"),
        ("PUBLISH_DIR", "out"),
    ):
        monkeypatch.setenv(name, str(tmp_path / place))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text("{}\n")
    return Settings()


def publish(settings: Settings, left_out=()) -> None:
    """What a run leaves behind that has published, as far as the question of work goes."""
    work.landed(settings, work.state(settings), {name: "torn" for name in left_out})
    work.finish(settings)
    for path in (settings.warehouse_path, settings.publish_dir / "customers.duckdb"):
        path.touch()


def sensed(instance) -> str:
    """The run key that the sensor asks for, or why it skips."""
    result = automation.new_webhooks(dg.build_sensor_context(instance))
    return result.run_key if isinstance(result, dg.RunRequest) else result.skip_message


def test_sensor_and_schedule_start_a_run_until_one_has_published(settings):
    with dg.instance_for_test() as instance:
        first = sensed(instance)
        assert first == sensed(instance) == work.pending(settings)
        work.landed(settings, work.state(settings), {})  # and the run fails
        assert sensed(instance) == first
        publish(settings)
        assert "Nothing is new" in sensed(instance)
        tick = automation.hourly(dg.build_schedule_context(instance))
        assert "Nothing is new" in tick.skip_message
        (settings.landing_dir / "b.jsonl").write_text("{}\n")
        assert sensed(instance) != first
        assert isinstance(automation.hourly(dg.build_schedule_context(instance)), dg.RunRequest)


def test_an_edited_override_and_a_file_made_readable_are_work(settings, monkeypatch, tmp_path):
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    (seeds / "identity_overrides.csv").write_text("decision\n")
    monkeypatch.setenv("SEEDS_DIR", str(seeds))
    settings = Settings()
    publish(settings)
    assert work.pending(settings) is None
    os.utime(seeds / "identity_overrides.csv", ns=(1, 1))
    assert work.pending(settings)
    publish(settings, left_out=["a.jsonl"])
    assert work.pending(settings) is None
    assert work.left_out(settings) == {"a.jsonl": "torn"}
    (settings.landing_dir / "a.jsonl").chmod(0o600)
    assert work.pending(settings)


def test_nothing_is_started_beside_a_run(settings):
    with dg.instance_for_test() as instance, locked(settings):
        assert f"A run is under way: process {os.getpid()}" in sensed(instance)


def test_a_killed_run_is_ended_and_one_that_lives_is_not(settings):
    started = {"job_name": "main", "status": dg.DagsterRunStatus.STARTED}
    with dg.instance_for_test() as instance:
        dead = instance.add_run(dg.DagsterRun(tags={PROCESS: str(dead_process())}, **started))
        lives = instance.add_run(dg.DagsterRun(tags={PROCESS: str(os.getppid())}, **started))
        end_dead_runs(instance)
        assert instance.get_run_by_id(dead.run_id).status == dg.DagsterRunStatus.FAILURE
        assert instance.get_run_by_id(lives.run_id).status == dg.DagsterRunStatus.STARTED


def dead_process() -> int:
    """The id of a process that has ended."""
    process = os.fork()
    if not process:
        os._exit(0)
    os.waitpid(process, 0)
    time.sleep(0.01)
    return process


def test_a_run_that_is_stopped_in_dbt_stops_its_queries_and_leaves_the_warehouse_closed(
    settings, monkeypatch
):
    monkeypatch.setenv("LANDING_DIR", str(SAMPLE))
    settings = Settings()
    with open_warehouse(settings) as warehouse:
        load_landing_dir(warehouse, settings)
    results = transform.build(SimpleNamespace(log=logging.getLogger()), Run(), [])
    for _ in range(6):
        next(results)
    results.close()  # as Dagster does when somebody terminates the run
    assert "dbt" not in {thread.name for thread in threading.enumerate()}
    with open_warehouse(settings) as warehouse:
        assert warehouse.execute("from main.complete_run").fetchall() == []


def test_everything_says_what_it_is_and_whose():
    from orchestration.definitions import defs

    repository = defs().get_repository_def()
    graph = repository.asset_graph
    assert {tuple(node.owners) for node in graph.asset_nodes} == {("team:data-engineering",)}
    assert [node.key for node in graph.asset_nodes if not node.description] == []
    assert [key for key in graph.asset_check_keys if not graph.get(key).description] == []
    automated = [*repository.sensor_defs, *repository.schedule_defs, repository.get_job("main")]
    assert [thing.name for thing in automated if not thing.description] == []


def test_a_failed_run_is_told_to_whom_the_settings_name(settings, monkeypatch):
    from orchestration import notify

    told = []
    monkeypatch.setitem(notify.NOTIFIERS, "notify_slack_url", lambda _, text: told.append(text))
    assert notify.notify(settings, "It failed.") == [] and told == []
    named = settings.model_copy(update={"notify_slack_url": "https://example.com"})
    assert notify.notify(named, "It failed.") == [] and told == ["It failed."]

    def refuse(*_) -> None:
        raise OSError("no route")

    monkeypatch.setitem(notify.NOTIFIERS, "notify_slack_url", refuse)
    assert notify.notify(named, "It failed.") == ["NOTIFY_SLACK_URL could not be told: no route"]
