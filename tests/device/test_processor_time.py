import subprocess
import sys
import time

from mesh.device.processor_time import processor_s

BUSY_S = 0.05


def burn(seconds: float) -> None:
    until_s = time.process_time() + seconds
    while time.process_time() < until_s:
        pass


def test_what_this_process_does_counts() -> None:
    before_s = processor_s()
    burn(BUSY_S)
    assert processor_s() - before_s >= BUSY_S


def test_another_process_is_charged_for_its_own_work() -> None:
    program = f"""
import time
while time.process_time() < {BUSY_S}: pass
print(time.process_time(), flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        said_s = float(other.stdout.readline())
        used_s = processor_s(other.pid)
        other.communicate("\n")
    assert said_s <= used_s < said_s + BUSY_S


def test_a_process_that_is_gone_counts_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as other:
        other.wait()
    assert processor_s(other.pid) == 0.0
