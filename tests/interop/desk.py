"""A person's desk: a home directory with keys, an agent, a token, and servers to log in to."""
import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time

import pytest

from conftest import SANITIZERS, need

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get('NACRE_BUILD', os.path.join(ROOT, 'build')))
OURS = os.path.join(BUILD, 'bin')
THEIRS = '/usr/bin'


class Place:
    """A home directory, keys, an environment, and the agents that were started in it."""

    def __init__(self, home):
        self.home = str(home)
        self.environment = {'HOME': self.home, 'PATH': os.environ['PATH'], 'LC_ALL': 'C', 'TMPDIR': self.home,
                            **SANITIZERS}
        self.agents = []

    def path(self, name):
        return os.path.join(self.home, name)

    def run(self, *command, expect=0, input=None, **more):
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                cwd=self.home, env={**self.environment, **more}, timeout=60,
                                input=input if input is not None else '')
        if expect is not None:
            assert result.returncode == expect, f'{command}: {result.returncode}: {result.stdout}'
        return result.stdout

    def key(self, name, *options, passphrase='', comment='test key'):
        self.run(f'{THEIRS}/ssh-keygen', '-q', '-N', passphrase, '-C', comment, '-f', self.path(name),
                 *options)
        return self.path(name)

    def public(self, name):
        with open(self.path(name + '.pub')) as file:
            return file.read().strip()

    def agent(self, directory, *options):
        path = self.path('agent.sock')
        process = subprocess.Popen([f'{directory}/ssh-agent', '-D', '-a', path, *options], cwd=self.home,
                                   env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True)
        self.agents.append(process)
        assert process.stdout.readline() == f'SSH_AUTH_SOCK={path}; export SSH_AUTH_SOCK;\n'
        assert process.stdout.readline() == f'echo Agent pid {process.pid};\n'
        self.environment['SSH_AUTH_SOCK'] = path
        return process

    def askpass(self, script):
        path = self.path('askpass')
        with open(path, 'w') as file:
            file.write('#!/bin/sh\nprintf "%s\\n" "$1" >>"$HOME/asked"\n' + script)
        os.chmod(path, 0o700)
        self.environment.update(SSH_ASKPASS=path, SSH_ASKPASS_REQUIRE='force', DISPLAY=':0')

    def asked(self):
        try:
            with open(self.path('asked')) as file:
                return file.read()
        except FileNotFoundError:
            return ''

    def close(self):
        for process in self.agents:
            process.terminate()
            process.wait(10)
            if process.stdout:
                process.stdout.close()

    def server(self, program, *options, keys=None):
        """An sshd that lets the keys of authorized_keys in; returns the options to reach it."""
        if os.path.basename(pwd.getpwuid(os.getuid()).pw_shell) in ('nologin', 'false'):
            pytest.skip('this user cannot log in')
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = probe.getsockname()[1]
        host = self.path(f'host-{port}')
        if not os.path.exists(host):
            self.key(f'host-{port}', '-t', 'ed25519')
        with open(self.path(f'log-{port}'), 'w') as log:
            process = subprocess.Popen(
                [program, '-D', '-e', '-f', '/dev/null', '-p', str(port), '-h', host,
                 '-o', 'ListenAddress=127.0.0.1', '-o', f'AuthorizedKeysFile={self.path("authorized")}',
                 '-o', 'StrictModes=no', '-o', 'PidFile=none', '-o', 'PermitRootLogin=yes',
                 '-o', 'LogLevel=DEBUG1', *options],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.agents.append(process)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', port)) == 0:
                    break
            time.sleep(0.05)
        with open(self.path('known'), 'a') as known:
            known.write(f'[127.0.0.1]:{port} {self.public(f"host-{port}")}\n')
        return port

    def ssh(self, directory, port, *words, expect=0, **more):
        return self.run(
            f'{directory}/ssh', '-F', '/dev/null', '-p', str(port), '-o', f'UserKnownHostsFile={self.path("known")}',
            '-o', 'GlobalKnownHostsFile=/dev/null', '-o', 'PreferredAuthentications=publickey',
            '-o', 'UpdateHostKeys=no', *words, expect=expect, **more)


@contextlib.contextmanager
def desk():
    folder = tempfile.mkdtemp(prefix='desk-')
    made = Place(folder)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


MODULES = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib64/pkcs11/libsofthsm2.so',
           '/usr/lib64/libsofthsm2.so']


class Token:
    """A software token with keys, for one desk."""

    PIN = '1234'

    def __init__(self, place, label='token'):
        need('softhsm2-util', 'pkcs11-tool')
        self.module = next((path for path in MODULES if os.path.exists(path)), None)
        if self.module is None:
            pytest.skip('SoftHSM is not where it is looked for')
        self.place = place
        os.mkdir(place.path('tokens'))
        with open(place.path('softhsm2.conf'), 'w') as file:
            file.write(f'directories.tokendir = {place.path("tokens")}\nobjectstore.backend = file\n')
        place.environment['SOFTHSM2_CONF'] = place.path('softhsm2.conf')
        place.run('softhsm2-util', '--init-token', '--free', '--label', label, '--pin', self.PIN,
                  '--so-pin', '5678')

    def tool(self, *words):
        return self.place.run('pkcs11-tool', '--module', self.module, '--login', '--pin', self.PIN, *words)

    def key(self, kind, identifier, label, *more):
        self.tool('--keypairgen', '--key-type', kind, '--id', identifier, '--label', label, *more)
