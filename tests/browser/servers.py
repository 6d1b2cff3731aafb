"""JupyterLab and Voila as a user starts them, in folders of their own, ended whatever happens."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

# Run by every kernel as it starts: on a signal it writes down where its threads are. From the first panel on it reads
# all requests (mlip_lab/panels/base/clicks.py, with a test of its own); a kernel that misses one before is not ours.
STARTUP = """
import faulthandler, os, signal
faulthandler.register(signal.SIGUSR1, file=open(f"{folder}/{{os.getpid()}}.stacks", "w"))
kernel = get_ipython().kernel
kernel.shell_channel_thread.manager._shell_socket = kernel.shell_stream
del faulthandler, kernel, os, signal
"""


@dataclass(frozen=True)
class Server:
    """A server of notebooks.

    Attributes:
        url: Its address, without a slash at the end.
        folder: The notebooks it serves.
        settings: JupyterLab's settings.
        process: The server.
    """

    url: str
    folder: Path
    settings: Path
    process: psutil.Process

    def configure(self, *, theme: str, subshells: bool) -> None:
        """Write the settings that the next page is opened with."""
        chosen = {
            "apputils-extension/themes": {"theme": "JupyterLab Dark" if theme == "dark" else "JupyterLab Light"},
            "apputils-extension/kernels-settings": {"commsOverSubshells": "perCommTarget" if subshells else "disabled"},
            "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
            "notebook-extension/tracker": {"windowingMode": "defer"},
        }
        for name, values in chosen.items():
            path = self.settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values), encoding="utf-8")

    def stacks(self) -> str:
        """Where the threads of every kernel are."""
        found = []
        for process in self.process.children():
            written = self.settings.parent / f"{process.pid}.stacks"
            if written.exists():
                process.send_signal(signal.SIGUSR1)
                time.sleep(1)
                found.append(written.read_text(encoding="utf-8"))
        return "\n\n".join(found) or "No kernel has come so far as to say it."

    def said(self) -> str:
        """The end of what the server wrote."""
        return (self.settings.parent / "server.log").read_text(encoding="utf-8", errors="replace")[-3000:]

    def end_kernels(self) -> None:
        """End every kernel, whatever it is doing."""
        with urllib.request.urlopen(f"{self.url}/api/kernels", timeout=30) as answer:
            kernels = json.load(answer)
        for kernel in kernels:
            request = urllib.request.Request(f"{self.url}/api/kernels/{kernel['id']}", method="DELETE")
            urllib.request.urlopen(request, timeout=30).close()


def environment(home: Path) -> dict[str, str]:
    """The environment of a user who has never used Jupyter, with this Python and the caches there are."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "MPLBACKEND", "PYTEST"))
    }
    return kept | {
        "HOME": str(home),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path("~/.cache").expanduser())),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
    }


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextmanager
def serving(command: Sequence[str], port: int, home: Path, folder: Path, alive: str) -> Iterator[Server]:
    """Run a server until the block ends.

    Args:
        command: What starts it.
        port: Where it listens.
        home: An empty folder for all that is the user's.
        folder: Where it starts.
        alive: Path of an address that answers once it is up.

    Raises:
        AssertionError: If it ends at once or does not answer within a minute.
    """
    home.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    log = home / "server.log"
    with open(log, "wb") as written:
        process = start(command, folder, home, written)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(url + alive, process, log)
        yield Server(url, folder, home / "settings", psutil.Process(process.pid))
    finally:
        end(process)


def start(command: Sequence[str], folder: Path, home: Path, written: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a program for a user who has `home`; where Linux can see to it, it ends when the tests are killed."""
    tied = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    return subprocess.Popen(
        [*tied, *command],
        cwd=folder,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=written,
        stderr=written,
    )


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path, timeout: float = 180) -> None:
    """Wait until a server answers."""
    last = time.monotonic() + timeout
    while True:
        said = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        assert process.poll() is None, f"The server ended with {process.returncode}:\n{said}"
        assert time.monotonic() < last, f"{address} did not answer in {timeout} s:\n{said}"
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a server and all that it started."""
    try:
        started = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        started = []
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in started:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(started, timeout=10)


@contextmanager
def jupyterlab(home: Path, folder: Path) -> Iterator[Server]:
    """JupyterLab on a folder."""
    startup = home / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "startup.py").write_text(STARTUP.format(folder=home), encoding="utf-8")
    port = free_port()
    options = [
        "--no-browser",
        "--allow-root",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={folder}",
        "--ServerApp.disable_check_xsrf=True",  # kernels are ended from outside the page
        "--LabApp.expose_app_in_browser=True",
    ]
    with serving([sys.executable, "-m", "jupyterlab", *options], port, home, folder, "/api/status") as server:
        yield server


@contextmanager
def voila(home: Path, folder: Path) -> Iterator[Server]:
    """Voila on a folder."""
    port = free_port()
    options = ["--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1", "--pool_size=0"]
    with serving([sys.executable, "-m", "voila", str(folder), *options], port, home, folder, "/") as server:
        yield server
