"""Throw-away sshds and the client configuration that reaches them. Every leg has the one key exchange and cipher."""

import getpass
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
from typing import NamedTuple, Optional

KEX = "curve25519-sha256"
CIPHER = "aes128-gcm@openssh.com"

SERVER = """\
Include {folder}/{name}.d/*.conf
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/{name}.host
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
LogLevel ERROR
MaxStartups 1000
MaxSessions 1000
KexAlgorithms {kex}
Ciphers {cipher}
Subsystem sftp internal-sftp
# A second-level shell: bash on Debian then leaves ~/.bashrc alone, whose cost would hide what is measured.
SetEnv SHLVL=1
"""

CLIENT = """\
Host *
  HostName 127.0.0.1
  User {user}
  IdentityFile {folder}/client
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  UpdateHostKeys no
  BatchMode yes
  LogLevel ERROR
  GSSAPIAuthentication no
  ControlMaster no
  ControlPath none
  KexAlgorithms {kex}
  Ciphers {cipher}
  HostKeyAlgorithms ssh-ed25519
"""


class Path(NamedTuple):
    """One way to the target: how a client calls it, and whose process stands between."""

    name: str
    config: pathlib.Path
    host: str
    proxy: Optional[int]

    def command(self, *remote, options=()):
        return ["ssh", "-F", str(self.config), *options, self.host, *remote]


class Server:
    """An sshd of its own, alive inside a `with`."""

    def __init__(self, folder, name):
        self.folder, self.name, self.port = folder, name, free_port()
        self.process = None

    def __enter__(self):
        (self.folder / f"{self.name}.d").mkdir()
        identity(self.folder)
        keygen(self.folder / f"{self.name}.host")
        text = SERVER.format(folder=self.folder, name=self.name, port=self.port, kex=KEX, cipher=CIPHER)
        config = self.folder / f"{self.name}.conf"
        config.write_text(text)
        public = (self.folder / f"{self.name}.host.pub").read_text().split()
        with (self.folder / "known_hosts").open("a") as known:
            known.write(f"[127.0.0.1]:{self.port} {public[0]} {public[1]}\n")
        log = (self.folder / f"{self.name}.log").open("wb")
        self.process = subprocess.Popen([sshd(), "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stderr=log)
        listening(self.port, self.process, self.folder / f"{self.name}.log")
        return self

    def __exit__(self, *_):
        for pid in [*descendants(self.process.pid), self.process.pid]:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        self.process.wait()


def direct(folder, target):
    return Path("direct", client(folder, "direct", f"Host target\n  Port {target.port}\n"), "target", None)


def proxy_jump(folder, target, jump):
    hosts = f"Host jump\n  Port {jump.port}\nHost target\n  Port {target.port}\n  ProxyJump jump\n"
    return Path("ProxyJump", client(folder, "jump", hosts), "target", jump.process.pid)


def client(folder, name, hosts):
    config = folder / f"ssh_{name}.conf"
    config.write_text(hosts + CLIENT.format(folder=folder, user=getpass.getuser(), kex=KEX, cipher=CIPHER))
    return config


def identity(folder):
    """The one client key, made once."""
    if not (folder / "client").exists():
        keygen(folder / "client")
        shutil.copy(folder / "client.pub", folder / "authorized_keys")


def keygen(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", str(path)], check=True)


def sshd():
    """sshd insists on being called by its whole path."""
    found = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not found:
        raise SystemExit("missing: sshd (apt-get install openssh-server)")
    return found


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(port, process, log):
    for _ in range(200):
        if process.poll() is not None:
            raise SystemExit(f"sshd ended: {log.read_text()}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}: {log.read_text()}")


def descendants(pid):
    """Every process below `pid`, children before their own children."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    found = []
    try:
        for child in children.read_text().split():
            found += [int(child), *descendants(int(child))]
    except OSError:
        pass
    return found


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)
