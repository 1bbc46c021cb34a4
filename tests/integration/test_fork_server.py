"""Step processes forked by the nursery behave as fresh ones do, and nothing of it outlives a run."""

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from conftest import ROOT, flow

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="step processes are forked on Linux only")

PROBE = """
import json, os, pickle, signal, sys
sys.stderr.write("to stderr\\n")
class Own: pass
said = {"argv": sys.argv[1:], "cwd": os.getcwd(), "env": os.environ.get("PROBE"), "left": os.environ.get("LEFT"),
        "name": __name__, "file": __file__, "own": type(pickle.loads(pickle.dumps(Own()))) is Own, "parent": os.getppid()}
print(json.dumps(said))
if "fail" in sys.argv: raise ValueError("on purpose")
if "kill" in sys.argv: os.kill(os.getpid(), signal.SIGKILL)
if "wait" in sys.argv: signal.pause()
sys.exit({"three": 3, "text": "a message"}.get(sys.argv[-1], 0))
"""

DRIVER = """
import json, os, sys, time
sys.path.insert(0, {flows!r})
from orchestration import fork_server, preloaded
preloaded.IMPORTS["probe.py"] = ("json",)
sys.argv = ["probe.py", "run"]
os.environ["LEFT"] = "in the runtime"
fork_server.start()
env = {{k: v for k, v in os.environ.items() if k != "LEFT"}} | {{"PROBE": "given"}}
def run(*words):
    child = fork_server._popen([sys.executable, {probe!r}, *words], env)
    out, err = child.stdout.read().decode(), child.stderr.read().decode()
    return child, child.wait(), out, err
"""


@pytest.fixture
def driver(tmp_path: Path):
    """Runs a few lines of code in a process that has a nursery; what they printed."""
    (tmp_path / "probe.py").write_text(PROBE, encoding="utf-8")

    def drive(code: str) -> str:
        head = DRIVER.format(flows=str(ROOT / "flows"), probe=str(tmp_path / "probe.py"))
        done = subprocess.run(
            [sys.executable, "-c", head + textwrap.dedent(code)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return drive


def test_a_step_cannot_tell_that_it_was_forked(driver, tmp_path):
    driver(f"""
        child, code, out, err = run("one", "two")
        said = json.loads(out)
        assert code == 0 and err == "to stderr\\n", (code, err)
        assert said.pop("parent") != os.getpid()  # the nursery's child: the fork was used
        assert said == {{"argv": ["one", "two"], "cwd": {str(tmp_path)!r}, "env": "given", "left": None,
                        "name": "__main__", "file": {str(tmp_path / "probe.py")!r}, "own": True}}, said
    """)


@pytest.mark.parametrize(
    ("word", "code", "shown"), [("three", 3, ""), ("text", 1, "a message"), ("fail", 1, "on purpose"), ("kill", -9, "")]
)
def test_exit_codes_are_those_of_a_fresh_process(driver, word, code, shown):
    driver(f"""
        child, code, out, err = run({word!r})
        assert code == {code} and {shown!r} in err, (code, err)
        assert child.poll() == {code}
    """)


def test_a_running_child_can_be_polled_and_killed(driver):
    driver("""
        started = fork_server._popen([sys.executable, sys.argv[0], "wait"], env)
        assert started.stdout.readline() and started.poll() is None
        started.kill()
        assert started.wait() == -9
    """)


def test_without_its_nursery_a_run_goes_on_with_fresh_processes(driver):
    driver("""
        import signal
        nursery = json.loads(run()[2])["parent"]
        os.kill(nursery, signal.SIGKILL)
        time.sleep(0.2)
        import subprocess
        child = fork_server._popen([sys.executable, sys.argv[0]], env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert json.loads(child.stdout.read())["parent"] == os.getpid() and child.wait() == 0
    """)


def test_with_a_second_thread_the_nursery_forks_no_more_and_says_so(driver, tmp_path):
    (tmp_path / "threaded.py").write_text(
        "import threading, time; threading.Thread(target=time.sleep, args=[60], daemon=True).start()"
    )
    said = driver(f"""
        sys.path.insert(0, {str(tmp_path)!r})
        import subprocess
        os.environ["PYTHONPATH"] = {str(tmp_path)!r}
        preloaded.IMPORTS["probe.py"] = ("json", "threaded")
        fork_server.start()
        time.sleep(1)
        child = fork_server._popen([sys.executable, sys.argv[0]], env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert json.loads(child.stdout.read())["parent"] == os.getpid() and child.wait() == 0
    """)
    assert "Steps start as fresh processes: threaded has started threads" in said


def test_the_nursery_ends_with_the_run(driver):
    nursery = int(driver('print(json.loads(run()[2])["parent"])'))
    deadline = time.monotonic() + 10
    while Path(f"/proc/{nursery}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{nursery}").exists()


def test_warm_and_cold_runs_give_the_same_data_version(trained, customers_csv, tmp_path):
    environ = {"CHURNFLOW_WARM": "0", "CHURNFLOW_PATCHES": "0"}  # without them cards go below the working directory
    cold = flow("data_flow", "run", "--source", str(customers_csv), cwd=tmp_path, **environ)
    assert trained.data.data_version in cold.stdout
    assert "already stored" in cold.stdout
