"""One signal asks, the second one leaves, the third one does not wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from furrow.components.interruption import StopRequest, Unwound
from furrow.screen.signals import ECHO_SECONDS, SIGNALS, stoppable


@pytest.fixture(autouse=True)
def as_before():
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number):
    os.kill(os.getpid(), number)
    time.sleep(0)  # the handler runs between two steps of this thread


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_is_noted_where_it_is_heeded_and_the_second_unwinds(number, capfd):
    stop = StopRequest()
    with stoppable(stop), stop.heeding():
        send(number)
        assert stop.signal == number
        assert "once more leaves at once" in capfd.readouterr().err
        time.sleep(ECHO_SECONDS)
        with pytest.raises(Unwound) as unwound:
            send(signal.SIGTERM if number == signal.SIGHUP else number)
    assert stop.signal == number and unwound.value.number in SIGNALS


def test_where_nobody_heeds_it_the_first_unwinds_and_is_noted_all_the_same():
    stop = StopRequest()
    with stoppable(stop), pytest.raises(Unwound) as unwound:
        send(signal.SIGTERM)
    assert unwound.value.number == stop.signal == signal.SIGTERM


def test_afterwards_signals_mean_what_they_meant_before():
    before = [signal.getsignal(number) for number in SIGNALS]
    with stoppable(StopRequest()):
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_after_a_run_that_was_asked_to_end_nothing_changes_its_exit_code():
    stop = StopRequest()
    with stoppable(stop), stop.heeding():
        send(signal.SIGTERM)
    for number in SIGNALS:
        send(number)


def test_a_terminal_that_is_closed_twice_is_closed_once(capfd):
    stop = StopRequest()
    with stoppable(stop), stop.heeding():
        send(signal.SIGHUP)
        time.sleep(2 * ECHO_SECONDS)
        send(signal.SIGHUP)
    assert stop.signal == signal.SIGHUP


HANGS_WHEN_IT_ENDS = """
import os, signal, threading, time
from furrow.components.interruption import StopRequest
from furrow.screen.signals import stoppable
with stoppable(StopRequest()):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    finally:
        try:
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        finally:
            print("closing", flush=True)
            time.sleep(60)
"""


def test_the_third_does_not_wait_for_what_hangs_while_it_is_closed():
    process = subprocess.Popen([sys.executable, "-c", HANGS_WHEN_IT_ENDS], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "closing\n"
    time.sleep(2 * ECHO_SECONDS)
    process.terminate()
    process.stdout.close()
    assert process.wait(30) == 143
