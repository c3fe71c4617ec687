#!/usr/bin/python3
"""Measures Nacre and the installed OpenSSH side by side, in one run.

    bench.py [--build DIR] [--only NAME[,NAME...]] [--runs N] [--size MIB] [--list]

Every figure is taken in turn, OpenSSH, Nacre, OpenSSH, Nacre, ..., so that a machine whose speed
drifts does not favour one, and the ratio is that of the medians. Links with delay are made from two
network namespaces and netdelay.c, which needs root; without root those rows are left out and said so.
"""
import argparse
import contextlib
import ctypes
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import bench_copy

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CLIENTS = 8
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
SERVER_ADDRESS, CLIENT_ADDRESS = '10.99.0.2', '10.99.0.1'


class Suite:
    """One set of programs: where they are and how they are called."""

    def __init__(self, name, ssh, sshd, keygen):
        self.name, self.ssh, self.sshd, self.keygen = name, ssh, sshd, keygen


class Server:
    """A running sshd of either suite, in a network namespace or not."""

    def __init__(self, bench, suite, namespace=None, address='127.0.0.1'):
        self.suite, self.address, self.namespace = suite, address, namespace
        self.port = free_port()
        path = os.path.join(bench.directory, f'sshd_{suite.name}_{self.port}')
        with open(path, 'w') as config:
            config.write(f'''\
Port {self.port}
ListenAddress {address}
HostKey {bench.host_key}
PidFile none
AuthorizedKeysFile {bench.authorized_keys}
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PermitRootLogin yes
MaxStartups 100
PrintMotd no
PrintLastLog no
UseDNS no
Subsystem sftp internal-sftp
''')
        self.log = open(path + '.log', 'w')
        self.process = subprocess.Popen([suite.sshd, '-D', '-e', '-f', path], stderr=self.log,
                                        stdin=subprocess.DEVNULL, preexec_fn=enter(namespace))
        wait_for(lambda: self.accepts(), f'{suite.name} sshd on port {self.port}, see {path}.log')

    def accepts(self):
        if self.process.poll() is not None:
            raise SystemExit(f'bench: {self.suite.sshd} ended: ' + open(self.log.name).read())
        return run_in(self.namespace, ['/usr/bin/python3', '-c', f'''
import socket; socket.create_connection(("{self.address}", {self.port}), 1).recv(3)''']) == 0

    def cpu(self):
        """Seconds of processor time of the listener and of all its children that have ended."""
        with open(f'/proc/{self.process.pid}/stat') as stat:
            fields = stat.read().rsplit(')', 1)[1].split()
        return sum(int(field) for field in fields[11:15]) / os.sysconf('SC_CLK_TCK')

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def wait_for(condition, what, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise SystemExit(f'bench: waited {seconds} s in vain for {what}')


def enter(namespace):
    """For preexec_fn: moves the child into a network namespace."""
    if namespace is None:
        return None
    fd = os.open(f'/var/run/netns/{namespace}', os.O_RDONLY)

    def preexec():
        if LIBC.setns(fd, CLONE_NEWNET) != 0:
            os._exit(126)
    return preexec


def run_in(namespace, command):
    return subprocess.run(command, preexec_fn=enter(namespace), stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode


class Link:
    """Two network namespaces joined with a delay."""

    def __init__(self, bench, delay_ms=25):
        tag = f'{os.getpid() % 10000}'
        self.client, self.server, self.address = f'nacre-c{tag}', f'nacre-s{tag}', SERVER_ADDRESS
        for name in (self.client, self.server):
            subprocess.run(['ip', 'netns', 'add', name], check=True)
        program = os.path.join(bench.directory, 'netdelay')
        subprocess.run(['cc', '-O2', '-o', program, os.path.join(HERE, 'netdelay.c')], check=True)
        self.process = subprocess.Popen([program, '-d', str(delay_ms), self.client, self.server],
                                        stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b'ready\n':
            raise SystemExit('bench: netdelay did not start')

    def round_trip(self):
        """Seconds that a TCP connection takes to be set up, median."""
        script = f'''
import socket, time
times = []
for _ in range(9):
    s = socket.socket(); t = time.perf_counter()
    try: s.connect(("{SERVER_ADDRESS}", 9))
    except ConnectionRefusedError: pass
    times.append(time.perf_counter() - t)
print(sorted(times)[4])'''
        out = subprocess.run(['/usr/bin/python3', '-c', script], preexec_fn=enter(self.client),
                             stdout=subprocess.PIPE, check=True).stdout
        return float(out)

    def stop(self):
        self.process.kill()
        self.process.wait()
        for name in (self.client, self.server):
            subprocess.run(['ip', 'netns', 'del', name])


class Bench:
    def __init__(self, options):
        self.options = options
        build = os.path.abspath(options.build)
        self.nacre = Suite('nacre', f'{build}/bin/ssh', f'{build}/bin/sshd', f'{build}/bin/ssh-keygen')
        self.openssh = Suite('openssh', shutil.which('ssh', path='/usr/bin:/usr/local/bin'),
                             '/usr/sbin/sshd', '/usr/bin/ssh-keygen')
        self.directory = tempfile.mkdtemp(prefix='nacre-bench-')
        os.chmod(self.directory, 0o755)
        self.user, self.made_user = self.account()
        self.rows, self.notes = [], []
        self.keys()
        for path in ('/run/sshd',):
            if os.geteuid() == 0 and not os.path.isdir(path):
                os.mkdir(path, 0o755)

    def account(self):
        """As root a user of its own whose login shell reads no start-up file."""
        if os.geteuid() != 0:
            return pwd.getpwuid(os.geteuid()).pw_name, False
        name = f'nacrebench{os.getpid() % 10000}'
        subprocess.run(['useradd', '-m', '-d', f'{self.directory}/home', '-s', '/bin/sh', '-p', '*',
                        name], check=True, stderr=subprocess.DEVNULL)
        return name, True

    def keys(self):
        self.host_key, self.key = f'{self.directory}/host_key', f'{self.directory}/key'
        for path in (self.host_key, self.key):
            subprocess.run([self.openssh.keygen, '-q', '-t', 'ed25519', '-N', '', '-f', path], check=True)
        self.authorized_keys = f'{self.directory}/authorized_keys'
        shutil.copy(self.key + '.pub', self.authorized_keys)
        os.chmod(self.authorized_keys, 0o644)
        self.public_host_key = ' '.join(open(self.host_key + '.pub').read().split()[:2])

    def command(self, suite, server, remote, *extra):
        """The command line of a login, the same for both suites."""
        known = f'{self.directory}/known_{suite.name}_{server.port}'
        if not os.path.exists(known):
            with open(known, 'w') as out:
                out.write(f'[{server.address}]:{server.port} {self.public_host_key}\n')
        return [suite.ssh, '-F', '/dev/null', '-i', self.key, '-o', 'IdentitiesOnly=yes', '-o',
                f'UserKnownHostsFile={known}', '-o', 'GlobalKnownHostsFile=/dev/null', '-o',
                'BatchMode=yes', '-p', str(server.port), *extra, f'{self.user}@{server.address}', remote]

    def timed(self, command, namespace=None, stdin=None, stdout=None):
        """Wall and processor seconds of a command; it must succeed."""
        environment = dict(os.environ, HOME=self.directory)
        environment.pop('SSH_AUTH_SOCK', None)
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=stdin or subprocess.DEVNULL,
                                   stdout=stdout or subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   preexec_fn=enter(namespace), env=environment)
        error = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f'bench: {" ".join(command)}: exit status {process.returncode}\n'
                             + error.decode(errors='replace'))
        return wall, usage.ru_utime + usage.ru_stime

    def row(self, what, openssh, nacre, ratio, asked, better):
        reached = '' if asked is None else ('yes' if better else 'NO')
        self.rows.append((what, openssh, nacre, ratio, asked or '', reached))
        print(f'{what:<58} {openssh:>12} {nacre:>12} {ratio:>7} {asked or "":>9} {reached}', flush=True)

    def heading(self):
        print(f'{"what":<58} {"OpenSSH":>12} {"Nacre":>12} {"ratio":>7} {"asked":>9} reached')

    # Logins on the loopback ---------------------------------------------------------------------

    def login(self):
        servers = [(suite, Server(self, suite)) for suite in (self.openssh, self.nacre)]
        walls = {suite.name: [] for suite, _ in servers}
        client = {suite.name: [] for suite, _ in servers}
        cpu = {}
        for suite, server in servers:
            for _ in range(3):
                self.timed(self.command(suite, server, 'true'))
        time.sleep(0.3)
        for suite, server in servers:
            cpu[suite.name] = -server.cpu()
        for _ in range(self.options.runs):
            for suite, server in servers:
                wall, used = self.timed(self.command(suite, server, 'true'))
                walls[suite.name].append(wall)
                client[suite.name].append(used)
        time.sleep(0.5)
        for suite, server in servers:
            cpu[suite.name] = (cpu[suite.name] + server.cpu()) / self.options.runs
            server.stop()
        for what, figures, limit in (
                ('login, loopback, wall', {k: statistics.median(v) for k, v in walls.items()}, 0.12),
                ('login, server CPU', cpu, 0.4),
                ('login, client CPU', {k: statistics.mean(v) for k, v in client.items()}, 0.4)):
            ratio = figures['nacre'] / figures['openssh']
            self.row(what, f'{figures["openssh"] * 1e3:.1f} ms', f'{figures["nacre"] * 1e3:.1f} ms',
                     f'{ratio:.3f}', f'<= {limit}', ratio <= limit)

    def parallel(self):
        """Logins a second of eight clients that each log in again and again, as a shell would."""
        rates = {'openssh': [], 'nacre': []}
        servers = [(suite, Server(self, suite)) for suite in (self.openssh, self.nacre)]
        for _ in range(3):
            for suite, server in servers:
                count = 6 if suite is self.openssh else 40
                command = ' '.join(map(shlex.quote, self.command(suite, server, 'true')))
                loop = f'i=0; while [ $i -lt {count} ]; do {command} || exit 1; i=$((i+1)); done'
                start = time.perf_counter()
                clients = [subprocess.Popen(['/bin/sh', '-c', loop], stdin=subprocess.DEVNULL,
                                            env=dict(os.environ, HOME=self.directory))
                           for _ in range(CLIENTS)]
                if any([client.wait() for client in clients]):
                    raise SystemExit(f'bench: a login of several at once has failed with {suite.name}')
                rates[suite.name].append(CLIENTS * count / (time.perf_counter() - start))
        for _, server in servers:
            server.stop()
        openssh, nacre = (statistics.median(rates[name]) for name in ('openssh', 'nacre'))
        self.row(f'logins a second, {CLIENTS} clients at once', f'{openssh:.1f}', f'{nacre:.1f}',
                 f'{nacre / openssh:.2f}', '>= 8', nacre / openssh >= 8)

    # Logins over distance -----------------------------------------------------------------------

    def distance(self):
        if not self.needs_root('login over 50 ms'):
            return
        link = Link(self)
        try:
            round_trip = link.round_trip()
            servers = {suite.name: Server(self, suite, link.server, SERVER_ADDRESS)
                       for suite in (self.openssh, self.nacre)}
            runs = max(5, self.options.runs // 5)

            def trips(suite, server):
                return self.timed(self.command(suite, server, 'true'), link.client)[0] / round_trip

            def first_trips(suite, server):
                """Nothing is remembered of any server."""
                if os.path.exists(f'{self.directory}/nacre_hosts'):
                    os.unlink(f'{self.directory}/nacre_hosts')
                return trips(suite, server)

            self.timed(self.command(self.openssh, servers['openssh'], 'true'), link.client)
            figures = {name: [] for name in ('openssh', 'new', 'known', 'new openssh', 'known openssh')}
            for _ in range(runs):
                figures['openssh'].append(trips(self.openssh, servers['openssh']))
                figures['new'].append(first_trips(self.nacre, servers['nacre']))
                figures['known'].append(trips(self.nacre, servers['nacre']))
                figures['new openssh'].append(first_trips(self.nacre, servers['openssh']))
                figures['known openssh'].append(trips(self.nacre, servers['openssh']))
            medians = {name: statistics.median(values) for name, values in figures.items()}
            for what, name, limit in (('to Nacre sshd, first time', 'new', 5.3),
                                      ('to Nacre sshd, seen before', 'known', 5.3),
                                      ('to OpenSSH sshd, first time', 'new openssh', 6.3),
                                      ('to OpenSSH sshd, seen before', 'known openssh', 5.3)):
                value = medians[name]
                self.row(f'login over {round_trip * 1e3:.0f} ms, round trips, {what}',
                         f'{medians["openssh"]:.2f}', f'{value:.2f}',
                         f'{value / medians["openssh"]:.2f}', f'<= {limit}', value <= limit)
            for server in servers.values():
                server.stop()
        finally:
            link.stop()

    # Shared connections -------------------------------------------------------------------------

    @contextlib.contextmanager
    def master(self, suite, server, namespace=None):
        """The options of a login through a master."""
        path = f'{self.directory}/{suite.name[0]}{server.port}'
        environment = dict(os.environ, HOME=self.directory)
        process = subprocess.Popen(self.command(suite, server, 'true', '-M', '-N', '-S', path)[:-1],
                                   stdin=subprocess.DEVNULL, preexec_fn=enter(namespace), env=environment)
        wait_for(lambda: os.path.exists(path), 'a master')
        try:
            yield ['-S', path]
        finally:
            process.terminate()
            process.wait()

    def second_logins(self, where, namespace=None, address='127.0.0.1', client_namespace=None, runs=20):
        servers = {suite.name: Server(self, suite, namespace, address)
                   for suite in (self.openssh, self.nacre)}
        walls = {'openssh': [], 'nacre': [], 'mixed': []}
        with contextlib.ExitStack() as stack:
            cases = []
            for name, suite, server in (('openssh', self.openssh, servers['openssh']),
                                        ('nacre', self.nacre, servers['nacre']),
                                        ('mixed', self.nacre, servers['openssh'])):
                options = stack.enter_context(self.master(suite, server, client_namespace))
                cases.append((name, self.command(suite, server, 'true', *options)))
            for run in range(runs + 2):
                for name, command in cases:
                    wall, _ = self.timed(command, client_namespace)
                    if run >= 2:
                        walls[name].append(wall)
        for server in servers.values():
            server.stop()
        medians = {name: statistics.median(values) for name, values in walls.items()}
        for name, what in (('nacre', 'to Nacre sshd'), ('mixed', 'to OpenSSH sshd')):
            ratio = medians[name] / medians['openssh']
            self.row(f'second login over a master, {where}, {what}', f'{medians["openssh"] * 1e3:.1f} ms',
                     f'{medians[name] * 1e3:.1f} ms', f'{ratio:.2f}', '<= 0.5' if name == 'nacre' else None,
                     ratio <= 0.5)

    def shared(self):
        self.second_logins('loopback', runs=self.options.runs)
        if not self.needs_root('second login over 50 ms'):
            return
        link = Link(self)
        try:
            self.second_logins('50 ms', link.server, SERVER_ADDRESS, link.client,
                               runs=max(5, self.options.runs // 4))
        finally:
            link.stop()

    # Throughput ---------------------------------------------------------------------------------

    def bulk_file(self, mebibytes):
        directory = '/dev/shm' if os.path.isdir('/dev/shm') else self.directory
        path = os.path.join(directory, f'nacre-bench-{os.getpid()}')
        with open(path, 'wb') as out:
            block = os.urandom(1 << 20)
            for _ in range(mebibytes):
                out.write(block)
        os.chmod(path, 0o644)
        return path

    def transfer(self, path, size, servers, namespace, label, ciphers, limit, runs):
        for cipher in ciphers:
            for way in ('down', 'up'):
                rates = {'openssh': [], 'nacre': []}
                for _ in range(runs):
                    for suite, server in servers:
                        extra = ('-c', cipher)
                        if way == 'down':
                            command = self.command(suite, server, f'cat {path}', *extra)
                            wall, _ = self.timed(command, namespace)
                        else:
                            command = self.command(suite, server, 'cat >/dev/null', *extra)
                            with open(path, 'rb') as data:
                                wall, _ = self.timed(command, namespace, stdin=data)
                        rates[suite.name].append(size / wall)
                medians = {name: statistics.median(values) for name, values in rates.items()}
                ratio = medians['nacre'] / medians['openssh']
                self.row(f'{label}, {way}, {cipher.split("@")[0]}', f'{medians["openssh"] / 1e6:.0f} MB/s',
                         f'{medians["nacre"] / 1e6:.0f} MB/s', f'{ratio:.2f}', f'>= {limit}',
                         ratio >= limit)

    CIPHERS = ('aes128-gcm@openssh.com', 'chacha20-poly1305@openssh.com')

    def bulk(self):
        path = self.bulk_file(self.options.size)
        servers = [(suite, Server(self, suite)) for suite in (self.openssh, self.nacre)]
        try:
            self.transfer(path, self.options.size << 20, servers, None, f'{self.options.size} MiB, loopback',
                          self.CIPHERS, 1.4, 5)
        finally:
            os.unlink(path)
            for _, server in servers:
                server.stop()

    def bulk_distance(self):
        if not self.needs_root('bulk over 50 ms'):
            return
        size = self.options.size
        path, link = self.bulk_file(size), Link(self)
        try:
            servers = [(suite, Server(self, suite, link.server, SERVER_ADDRESS))
                       for suite in (self.openssh, self.nacre)]
            self.transfer(path, size << 20, servers, link.client, f'{size} MiB, 50 ms', self.CIPHERS, 2.5, 1)
            for _, server in servers:
                server.stop()
        finally:
            os.unlink(path)
            link.stop()

    # Batches of sftp ----------------------------------------------------------------------------

    def sftp_command(self, program, server, batch, *extra):
        options = self.command(self.nacre, server, '')[1:-2]
        options[options.index('-p')] = '-P'
        return [program, *options, *extra, '-b', batch, f'{self.user}@{server.address}']

    def operations(self, count, mark):
        """A directory with what so many operations of eight kinds need, and the batch; no operation
        touches what another one does."""
        near, far = (os.path.join(self.directory, name) for name in ('near', 'far'))
        for folder in (near, far):
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)
        lines = [f'cd {far}', f'lcd {near}']
        for number in range(count // 8):
            for name in ('get', 'old', 'rm', 'mode', 'ls', 'ln'):
                with open(os.path.join(far, f'{name}{number}'), 'w') as file:
                    file.write(f'{number}\n' * 100)
            with open(os.path.join(near, f'put{number}'), 'w') as file:
                file.write(f'{number}\n' * 100)
            lines += [mark + line.format(number) for line in (
                'mkdir new{0}', 'put put{0}', 'get get{0}', 'rename old{0} renamed{0}', 'rm rm{0}',
                'chmod 600 mode{0}', 'ls -l ls{0}', 'ln ln{0} link{0}')]
        if self.made_user:
            subprocess.run(['chown', '-R', self.user, far], check=True)
        batch = os.path.join(self.directory, 'batch')
        with open(batch, 'w') as file:
            file.write('\n'.join(lines) + '\n')
        return batch

    def check_operations(self, count):
        """All of them were done."""
        near, far = (os.path.join(self.directory, name) for name in ('near', 'far'))
        there = set(os.listdir(far))
        for number in range(count // 8):
            wanted = {f'{name}{number}' for name in ('new', 'put', 'get', 'renamed', 'mode', 'ls', 'ln', 'link')}
            if not wanted <= there or {f'old{number}', f'rm{number}'} & there or \
                    os.stat(f'{far}/mode{number}').st_mode & 0o777 != 0o600 or \
                    open(f'{far}/put{number}').read() != open(f'{near}/put{number}').read() or \
                    open(f'{far}/get{number}').read() != open(f'{near}/get{number}').read():
                raise SystemExit(f'bench: operations of number {number} were not done')

    def sftp(self):
        if not self.needs_root('sftp batches over 50 ms'):
            return
        link, count = Link(self), self.options.operations
        theirs = shutil.which('sftp', path='/usr/bin:/usr/local/bin')
        ours = os.path.join(os.path.dirname(self.nacre.ssh), 'sftp')
        try:
            for suite in (self.openssh, self.nacre):
                server = Server(self, suite, link.server, SERVER_ADDRESS)

                def seconds(program, mark, *extra):
                    batch = self.operations(count, mark)
                    wall, _ = self.timed(self.sftp_command(program, server, batch, *extra), link.client)
                    self.check_operations(count)
                    return wall

                before = seconds(theirs, '')
                for what, mark, extra, limit in (('lines marked with -', '-', (), 0.1),
                                                 ('-X overlap=all', '', ('-X', 'overlap=all'), 0.1),
                                                 ('unmarked', '', (), None)):
                    wall = statistics.median(seconds(ours, mark, *extra) for _ in range(3 if limit else 1))
                    self.row(f'sftp, {count} operations, 50 ms, {suite.name} sshd, {what}', f'{before:.1f} s',
                             f'{wall:.2f} s', f'{wall / before:.3f}', limit and f'<= {limit}',
                             limit and wall / before <= limit)
                server.stop()
        finally:
            link.stop()

    # Memory -------------------------------------------------------------------------------------

    def memory(self):
        figures = {}
        for suite in (self.openssh, self.nacre):
            server = Server(self, suite)
            command = self.command(suite, server, 'echo here; exec cat')
            client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      env=dict(os.environ, HOME=self.directory))
            if client.stdout.readline() != b'here\n':
                raise SystemExit(f'bench: no session with {suite.name}')
            time.sleep(3)  # what is given back after a while is given back
            figures[suite.name] = session_memory(server)
            client.stdin.close()
            client.wait()
            server.stop()
        ratio = figures['nacre'] / figures['openssh']
        self.row('idle session on the server, PSS', f'{figures["openssh"]:.2f} MiB',
                 f'{figures["nacre"]:.2f} MiB', f'{ratio:.2f}', '<= 1 MiB', figures['nacre'] <= 1.0)

    def crowd(self):
        """Many idle sessions at once, and the listener beside."""
        listeners = {}
        for suite in (self.openssh, self.nacre):
            server = Server(self, suite)
            self.timed(self.command(suite, server, 'true'))
            time.sleep(1)
            listeners[suite.name] = proportional_size(server.process.pid) / 1024
            if suite is self.nacre:
                total = self.idle_sessions(server, self.options.sessions)
            server.stop()
        self.row('listener, PSS', f'{listeners["openssh"]:.2f} MiB', f'{listeners["nacre"]:.2f} MiB',
                 f'{listeners["nacre"] / listeners["openssh"]:.2f}', '<= 2 MiB', listeners['nacre'] <= 2)
        each = total / self.options.sessions
        self.row(f'{self.options.sessions} idle sessions, PSS of each', '', f'{each:.2f} MiB', '',
                 '<= 1 MiB', each <= 1)

    def idle_sessions(self, server, count):
        """MiB of so many sessions; all of them must answer, and end with their clients."""
        command = self.command(self.nacre, server, 'echo here; exec cat')
        environment, clients = dict(os.environ, HOME=self.directory), []
        for _ in range(count):
            clients.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            env=environment))
            if len(clients) % 20 == 0:
                check_answers(clients[-20:])
        check_answers(clients[len(clients) // 20 * 20:])
        time.sleep(4)
        total = sum(proportional_size(pid) for pid in sshd_below(server.process.pid)) / 1024
        for client in clients:
            client.stdin.write(b'still here\n')
            client.stdin.close()
        for client in clients:
            if client.stdout.read() != b'still here\n' or client.wait() != 0:
                raise SystemExit('bench: an idle session did not end cleanly')
        wait_for(lambda: len(sshd_below(server.process.pid)) <= 2, 'the processes of idle sessions to end')
        return total

    def server(self, suite, namespace=None, address='127.0.0.1'):
        return Server(self, suite, namespace, address)

    def link(self):
        return Link(self)

    def sshd_below(self, listener):
        return sshd_below(listener)

    def needs_root(self, what):
        if os.geteuid() == 0 and shutil.which('ip'):
            return True
        self.notes.append(f'{what}: left out, it needs root and iproute2 for network namespaces')
        return False

    def clean(self):
        if self.made_user:
            subprocess.run(['userdel', '-f', self.user], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.directory, ignore_errors=True)


def parents():
    """Parent of every process."""
    result = {}
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                with open(f'/proc/{name}/stat') as stat:
                    result[int(name)] = int(stat.read().rsplit(')', 1)[1].split()[1])
            except OSError:
                pass
    return result


def established_sockets(port):
    """Inodes of the established TCP sockets of a local port."""
    inodes = set()
    with open('/proc/net/tcp') as table:
        for line in table.readlines()[1:]:
            fields = line.split()
            if fields[3] == '01' and int(fields[1].split(':')[1], 16) == port:
                inodes.add(fields[9])
    return inodes


def check_answers(clients):
    for client in clients:
        if client.stdout.readline() != b'here\n':
            raise SystemExit('bench: one of many sessions was not to be had')


def proportional_size(pid):
    """KiB, PSS."""
    with open(f'/proc/{pid}/smaps_rollup') as rollup:
        return int(re.search(r'^Pss:\s+(\d+)', rollup.read(), re.MULTILINE).group(1))


def sshd_below(listener):
    """Processes of sshd that come from a listener, without the programs that users run."""
    tree, found = parents(), []
    for pid in tree:
        top = pid
        while tree.get(top, 0) > 1 and top != listener:
            top = tree[top]
        with contextlib.suppress(OSError), open(f'/proc/{pid}/cmdline', 'rb') as line:
            if top == listener and pid != listener and re.match(rb'(/\S*/)?sshd\b', line.read()):
                found.append(pid)
    return found


def session_memory(server):
    """MiB of proportional set size of the sshd processes that serve the one open connection: the
    tree, below the listener, of whichever process holds the connection's socket."""
    inodes = established_sockets(server.port)
    tree = parents()
    holders = []
    for pid in tree:
        try:
            links = [os.readlink(f'/proc/{pid}/fd/{fd}') for fd in os.listdir(f'/proc/{pid}/fd')]
        except OSError:
            continue
        if any(link == f'socket:[{inode}]' for inode in inodes for link in links):
            holders.append(pid)
    tops = set()
    for pid in holders:
        while tree.get(pid, 0) not in (server.process.pid, 0, 1):
            pid = tree[pid]
        if tree.get(pid) == server.process.pid:
            tops.add(pid)
    total = 0
    for pid in tree:
        top = pid
        while top not in tops and tree.get(top, 0) > 1:
            top = tree[top]
        if top not in tops:
            continue
        with open(f'/proc/{pid}/cmdline', 'rb') as line:
            words = line.read()
        if not re.match(rb'(/\S*/)?sshd\b', words):
            continue
        total += proportional_size(pid)
    if total == 0:
        raise SystemExit('bench: found no process of the session')
    return total / 1024


MEASURES = {'login': Bench.login, 'parallel': Bench.parallel, 'distance': Bench.distance,
            'shared': Bench.shared, 'bulk': Bench.bulk, 'bulk-distance': Bench.bulk_distance,
            'sftp': Bench.sftp, 'memory': Bench.memory, 'crowd': Bench.crowd, **bench_copy.MEASURES}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', default=os.path.join(ROOT, 'build'))
    parser.add_argument('--only', default=','.join(MEASURES))
    parser.add_argument('--runs', type=int, default=40)
    parser.add_argument('--size', type=int, default=1024, help='MiB of the bulk transfers')
    parser.add_argument('--sessions', type=int, default=1000, help='idle sessions at once')
    parser.add_argument('--operations', type=int, default=1000, help='of a batch of sftp')
    parser.add_argument('--list', action='store_true')
    options = parser.parse_args()
    if options.list:
        print('\n'.join(MEASURES))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = Bench(options)
    try:
        version = subprocess.run([bench.openssh.ssh, '-V'], stderr=subprocess.PIPE, text=True).stderr
        print(f'beside {version.strip()}, {os.cpu_count()} processors')
        bench.heading()
        for name in options.only.split(','):
            MEASURES[name](bench)
        for note in bench.notes:
            print(note)
    finally:
        bench.clean()


if __name__ == '__main__':
    main()
