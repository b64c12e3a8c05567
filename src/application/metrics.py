"""Every metric there is. docs/metrics.md lists them; a test compares."""

from __future__ import annotations

from src.application.ports.meter import Kind, Metric

SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 10800.0, 43200.0)
"""From a short job to the longest film that is accepted (12 h)."""

JOBS = Metric(
    "worker_jobs",
    Kind.COUNTER,
    "Jobs that this process brought to their end, by outcome: succeeded, failed, dead, cancelled.",
    ("type", "outcome"),
)
ATTEMPTS = Metric(
    "worker_attempts",
    Kind.COUNTER,
    "Executions that ended here: succeeded, failed, dead, cancelled, retried, returned (not counted: drained, snoozed, an outage), "
    "lost (another worker has the job).",
    ("type", "outcome"),
)
DURATION = Metric(
    "worker_job_duration_seconds",
    Kind.HISTOGRAM,
    "From the claim of a job to its written outcome; executions that were returned or lost are left out.",
    ("type",),
    SECONDS,
)
RETRIES = Metric(
    "worker_retries",
    Kind.COUNTER,
    "Executions after which the job waits for another one, by class of error.",
    ("type", "error"),
)
DEAD_LETTERS = Metric(
    "worker_dead_letters",
    Kind.COUNTER,
    "Jobs and messages that this process set aside, by class of error; type is empty for a message that names no job of a known one.",
    ("type", "error"),
)
LEASES_LOST = Metric(
    "worker_leases_lost", Kind.COUNTER, "Executions that were stopped because their lease was lost to another worker."
)
RECEIVE_ERRORS = Metric(
    "worker_receive_errors", Kind.COUNTER, "Receives that failed, by the backend that did not answer.", ("backend",)
)
LOOP_FAILURES = Metric(
    "worker_loop_failures", Kind.COUNTER, "Turns of a loop of this process that failed, by loop.", ("loop",)
)
RUNNING = Metric("worker_running_jobs", Kind.GAUGE, "Jobs that this process holds now.", ("type",))
SLOTS = Metric("worker_slots", Kind.GAUGE, "Long jobs that this process runs at a time (WORKER_CONCURRENCY).")
QUEUE_UP = Metric(
    "worker_queue_up",
    Kind.GAUGE,
    "1 when the queue said how deep it is; at 0 the queue's figures are absent.",
)
QUEUE_MESSAGES = Metric(
    "worker_queue_messages",
    Kind.GAUGE,
    "Messages in the queue, for all workers together, by state: ready, delayed, in_flight. One queue for each lane.",
    ("queue", "state"),
)
QUEUE_OLDEST = Metric(
    "worker_queue_oldest_seconds",
    Kind.GAUGE,
    "Age of the oldest message that is ready; absent when none is, or the queue can't say (SQS).",
    ("queue",),
)
EVENTS_UP = Metric(
    "worker_events_up",
    Kind.GAUGE,
    "1 when the outbox said what is unsent; at 0 the sinks' figures are absent.",
)
EVENTS_UNSENT = Metric(
    "worker_events_unsent", Kind.GAUGE, "Events that a sink has yet to get, for all workers together.", ("sink",)
)
EVENTS_OLDEST = Metric(
    "worker_events_oldest_seconds", Kind.GAUGE, "Age of the oldest event that a sink has yet to get.", ("sink",)
)
EVENTS_PARKED = Metric(
    "worker_events_parked",
    Kind.GAUGE,
    "Those of them that the sink does not take although it is there, and that wait for an operator.",
    ("sink",),
)
CRON_TICKS = Metric(
    "worker_cron_ticks",
    Kind.COUNTER,
    "Moments of the crontab that this scheduler fired; late: they had been missed at first.",
    ("entry", "late"),
)
EVENTS_HEARD = Metric(
    "worker_events_heard", Kind.COUNTER, "Events of other systems that this process heard, by road.", ("road",)
)
BACKEND_UP = Metric("worker_backend_up", Kind.GAUGE, "1 when a backend answered when it was last used.", ("backend",))
READY = Metric("worker_ready", Kind.GAUGE, "What /healthz/ready says: 1 while new work can be taken.")
INFO = Metric("worker_info", Kind.GAUGE, "Always 1; which worker this is, and of which version.", ("worker", "version"))

CATALOGUE = (
    JOBS,
    ATTEMPTS,
    DURATION,
    RETRIES,
    DEAD_LETTERS,
    LEASES_LOST,
    RECEIVE_ERRORS,
    LOOP_FAILURES,
    RUNNING,
    SLOTS,
    QUEUE_UP,
    QUEUE_MESSAGES,
    QUEUE_OLDEST,
    EVENTS_UP,
    EVENTS_UNSENT,
    EVENTS_OLDEST,
    EVENTS_PARKED,
    CRON_TICKS,
    EVENTS_HEARD,
    BACKEND_UP,
    READY,
    INFO,
)

ENDS = ("succeeded", "failed", "dead", "cancelled")
"""Outcomes of jobs."""

RETURNED, LOST, RETRIED = "returned", "lost", "retried"
