"""What the interop and end-to-end tests share: the build under test, throwaway users, keys, free
ports, and servers (ours, OpenSSH's, dropbear's) with configurations made for one test.

Everything lives in a temporary directory; nothing reads the caller's ~/.ssh. As root a temporary
user with the login shell /bin/sh is made and removed again; otherwise the tests log in as the user
who runs them. Tests may run side by side (pytest-xdist).
"""
import contextlib
import fcntl
import functools
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get('NACRE_BUILD', os.path.join(ROOT, 'build')))
IS_ROOT = os.geteuid() == 0
# Sanitizers and loaded machines are slow.
PATIENCE = 60
# A shell in the background may have us ignore what programs under test are to be interrupted with.
signal.signal(signal.SIGINT, signal.default_int_handler)

HOST_KEY_TYPES = {'ed25519': ['-t', 'ed25519'], 'rsa': ['-t', 'rsa', '-b', '2048'],
                  'ecdsa-256': ['-t', 'ecdsa', '-b', '256'], 'ecdsa-384': ['-t', 'ecdsa', '-b', '384'],
                  'ecdsa-521': ['-t', 'ecdsa', '-b', '521']}


def nacre(program):
    """The path of a program of the build under test."""
    return os.path.join(BUILD, 'bin', program)


def openssh(program):
    for folder in ('/usr/bin', '/usr/sbin', '/usr/lib/openssh'):
        if os.path.exists(os.path.join(folder, program)):
            return os.path.join(folder, program)
    return program


def run(command, check=False, **options):
    """Runs a command to its end: output as bytes, standard error apart, no terminal."""
    options.setdefault('timeout', PATIENCE)
    if 'input' not in options:
        options.setdefault('stdin', subprocess.DEVNULL)
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    if check:
        assert result.returncode == 0, f'{command}\n{result.stderr.decode(errors="replace")}'
    return result


def start_in_terminal(command, **options):
    """Starts a command in a terminal of its own; its process, and our side of the terminal. (The
    test runner has threads, with which Python's own way to do this is not safe.)"""
    ours, theirs = os.openpty()
    try:
        return subprocess.Popen(['setsid', '-c', *command], stdin=theirs, stdout=theirs,
                                stderr=theirs, **options), ours
    finally:
        os.close(theirs)


def need(*programs):
    """Skips the test where somebody else's program is not installed."""
    for program in programs:
        if shutil.which(program, path=os.environ.get('PATH', '') + ':/usr/sbin') is None:
            pytest.skip(f'{program} is not installed')


def until(condition, what, patience=PATIENCE):
    """Waits for a condition; its value."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f'in vain: {what() if callable(what) else what}')


@pytest.fixture(scope='session', autouse=True)
def openssh_folder():
    """As root OpenSSH's sshd wants an empty folder, which elsewhere its service makes, and which
    stays since others may be using it."""
    if IS_ROOT:
        os.makedirs('/run/sshd', mode=0o755, exist_ok=True)


def openssh_server():
    """OpenSSH's sshd; without it the test is skipped."""
    need('sshd')
    return openssh('sshd')


# Sanitizers --------------------------------------------------------------------------------------

SANITIZED = run(['grep', '-qa', '__asan_init', nacre('ssh')]).returncode == 0
REPORT = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|ERROR: Can't open file")
# Freed memory is kept from reuse for a while, and every piece of it has margins.
MEMORY_FACTOR = 4 if SANITIZED else 1


def sanitizer_environment(folder):
    """Each process that a sanitizer complains about leaves a file, whoever looks at its status."""
    if not SANITIZED:
        return {}
    options = f'log_path={folder}/report:log_exe_name=1:print_stacktrace=1:quarantine_size_mb=16:' \
              'verify_asan_link_order=0'
    return {name: ':'.join(filter(None, [os.environ.get(name), options]))
            for name in ('ASAN_OPTIONS', 'UBSAN_OPTIONS')}


# Processes of the users of a server write here, too.
REPORTS = tempfile.mkdtemp(prefix='nacre-reports-')
os.chmod(REPORTS, 0o1777)
SANITIZERS = sanitizer_environment(REPORTS)
os.environ.update(SANITIZERS)


def take_reports():
    """What the sanitizers have reported since the last time."""
    text = ''
    for name in sorted(os.listdir(REPORTS)):
        with open(os.path.join(REPORTS, name), errors='replace') as file:
            text += f'{name}:\n{file.read()}\n'
        os.unlink(os.path.join(REPORTS, name))
    return text


@pytest.fixture(scope='session', autouse=True)
def no_late_reports():
    """Servers that all tests of a worker share end after the last of them."""
    yield
    reports = take_reports()
    os.rmdir(REPORTS)
    assert not reports, reports


@pytest.fixture(autouse=True)
def no_reports():
    yield
    reports = take_reports()
    assert not reports, reports


# Ports -------------------------------------------------------------------------------------------

def worker_number():
    worker = os.environ.get('PYTEST_XDIST_WORKER', 'gw0')
    return int(worker.lstrip('gw') or 0)


class Ports:
    """Free ports below the range of outgoing connections, another range for each worker."""

    def __init__(self):
        self.next = 0
        self.first = 20000 + (os.getppid() * 97 + worker_number() * 600) % 12000

    def take(self):
        for _ in range(600):
            port = self.first + self.next % 600
            self.next += 1
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(('127.0.0.1', port))
                    return port
                except OSError:
                    continue
        raise RuntimeError('no free port')


PORTS = Ports()


@pytest.fixture
def free_port():
    return PORTS.take


# Users and keys ----------------------------------------------------------------------------------

class Account:
    """Who logs in: a temporary user, or the one who runs the tests."""

    def __init__(self, name, home, temporary):
        self.name, self.home, self.temporary = name, home, temporary
        entry = pwd.getpwnam(name)
        self.uid, self.gid = entry.pw_uid, entry.pw_gid

    def own(self, path):
        if self.temporary:
            os.chown(path, self.uid, self.gid)
        return path


@contextlib.contextmanager
def password_file_lock():
    with open('/tmp/.nacre-test-users.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def temporary_account(folder, password_hash='*'):
    name = f'nt{os.getpid()}'
    home = os.path.join(folder, 'home')
    os.mkdir(home, 0o755)
    with password_file_lock():
        subprocess.run(['useradd', '-M', '-d', home, '-s', '/bin/sh', '-p', password_hash, name],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        account = Account(name, home, True)
        account.own(home)
        yield account
    finally:
        with password_file_lock():
            subprocess.run(['pkill', '-KILL', '-u', name], check=False)
            subprocess.run(['userdel', '-f', name], check=False, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)


@pytest.fixture(scope='session')
def place():
    """A folder that everybody may enter, for the whole run of this worker."""
    folder = tempfile.mkdtemp(prefix='nacre-test-')
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


PASSWORD = 'correct horse battery'
PASSWORD_HASH = '$6$nacretest$'


def hash_password(password):
    """As crypt(3) has it in /etc/shadow."""
    result = run(['openssl', 'passwd', '-6', '-salt', 'nacretest', password])
    return result.stdout.decode().strip() if result.returncode == 0 else '*'


@pytest.fixture(scope='session')
def account(place):
    if not IS_ROOT:
        entry = pwd.getpwuid(os.geteuid())
        yield Account(entry.pw_name, entry.pw_dir, False)
        return
    with temporary_account(place, hash_password(PASSWORD)) as temporary:
        yield temporary


def make_key(path, arguments, passphrase='', comment='test'):
    run([openssh('ssh-keygen'), '-q', '-N', passphrase, '-C', comment, '-f', path, *arguments],
        check=True)
    return path


@pytest.fixture(scope='session')
def host_keys(place):
    """Paths of one host key a type."""
    folder = os.path.join(place, 'host_keys')
    os.mkdir(folder, 0o700)
    return {name: make_key(os.path.join(folder, name), arguments)
            for name, arguments in HOST_KEY_TYPES.items()}


@pytest.fixture(scope='session')
def user_keys(place):
    """Paths of one user key a type; all of them are in authorized_keys of every server."""
    folder = os.path.join(place, 'user_keys')
    os.mkdir(folder, 0o700)
    return {name: make_key(os.path.join(folder, name), arguments)
            for name, arguments in HOST_KEY_TYPES.items()}


def public_line(path):
    with open(path + '.pub') as file:
        return ' '.join(file.read().split()[:2])


@pytest.fixture(scope='session')
def authorized_keys(place, user_keys, account):
    path = os.path.join(place, 'authorized_keys')
    with open(path, 'w') as file:
        file.writelines(public_line(key) + '\n' for key in user_keys.values())
    os.chmod(path, 0o644)
    if account.temporary:  # dropbear reads no other file
        folder = os.path.join(account.home, '.ssh')
        os.mkdir(folder, 0o700)
        shutil.copy(path, os.path.join(folder, 'authorized_keys'))
        os.chmod(os.path.join(folder, 'authorized_keys'), 0o600)
        account.own(folder)
        account.own(os.path.join(folder, 'authorized_keys'))
    return path


# Servers -----------------------------------------------------------------------------------------

class Server:
    """A server in the foreground, its log, and what a client needs to reach and trust it."""

    def __init__(self, command, port, folder, host_keys, user, environment=None):
        self.port, self.folder, self.user = port, folder, user
        self.log_path = os.path.join(folder, 'log')
        self.known_hosts = os.path.join(folder, 'known_hosts')
        with open(self.known_hosts, 'w') as file:
            file.writelines(f'[127.0.0.1]:{port} {public_line(key)}\n' for key in host_keys)
        with open(self.log_path, 'wb') as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, env=environment)
        self.wait()

    def wait(self):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self.process.poll() is None, f'the server has ended:\n{self.log()}'
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError(f'the server does not listen:\n{self.log()}')

    def log(self):
        with open(self.log_path, errors='replace') as file:
            return file.read()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        assert not REPORT.search(self.log()), self.log()


SSHD_CONFIG = '''ListenAddress 127.0.0.1
Port {port}
{host_keys}
AuthorizedKeysFile {authorized_keys}
StrictModes no
PidFile none
UsePAM no
LogLevel DEBUG1
MaxStartups 200
MaxSessions 200
LoginGraceTime 60
AcceptEnv LANG LC_* NACRE_*
PrintMotd no
PrintLastLog no
Subsystem sftp internal-sftp
{more}
'''


@functools.cache
def knows_penalties(program):
    """OpenSSH's sshd does from 9.8 on."""
    return run([program, '-G', '-f', 'none', '-o', 'PerSourcePenalties=no']).returncode == 0


class ServerMaker:
    """Starts servers and stops them all in the end."""

    def __init__(self, place, account, host_keys, authorized_keys):
        self.place, self.account, self.host_keys = place, account, host_keys
        self.authorized_keys, self.servers = authorized_keys, []

    def folder(self, name):
        folder = tempfile.mkdtemp(prefix=name + '-', dir=self.place)
        os.chmod(folder, 0o755)
        return folder

    def add(self, command, port, folder, keys, environment=None):
        server = Server(command, port, folder, keys, self.account.name, environment)
        self.servers.append(server)
        return server

    def sshd(self, program, more='', key_types=None, options=()):
        """An sshd of ours or of OpenSSH's; "more" is added to its configuration."""
        folder, port = self.folder('sshd'), PORTS.take()
        names = self.host_keys if key_types is None else key_types
        keys = [self.host_keys[name] for name in names]
        config = os.path.join(folder, 'sshd_config')
        with open(config, 'w') as file:
            file.write(SSHD_CONFIG.format(
                port=port, host_keys='\n'.join(f'HostKey {key}' for key in keys),
                authorized_keys=self.authorized_keys, more=more))
        # Tests that misbehave share an address with those that do not.
        if 'PerSourcePenalties' not in more and knows_penalties(program):
            options = [*options, '-o', 'PerSourcePenalties=no']
        return self.add([program, '-D', '-e', '-f', config, *options], port, folder, keys)

    def dropbear(self, key_types=('ed25519', 'rsa', 'ecdsa-256')):
        folder, port = self.folder('dropbear'), PORTS.take()
        keys, arguments = [self.host_keys[name] for name in key_types], []
        for key in keys:
            converted = os.path.join(folder, os.path.basename(key))
            pem = converted + '.pem'
            shutil.copy(key, pem)
            os.chmod(pem, 0o600)
            run(['dropbearconvert', 'openssh', 'dropbear', pem, converted], check=True)
            arguments += ['-r', converted]
        return self.add([openssh('dropbear'), '-F', '-E', '-p', f'127.0.0.1:{port}',
                         '-P', os.path.join(folder, 'pid'), *arguments], port, folder, keys)

    def stop(self):
        with contextlib.ExitStack() as all_of_them:
            for server in self.servers:
                all_of_them.callback(server.stop)


@pytest.fixture(scope='session')
def servers(place, account, host_keys, authorized_keys):
    maker = ServerMaker(place, account, host_keys, authorized_keys)
    yield maker
    maker.stop()


def algorithms(program, query):
    """What an ssh has of a kind, those included that are off by default."""
    return run([program, '-Q', query]).stdout.decode().split()


def common(query):
    """Our algorithms of a kind that OpenSSH has, too."""
    theirs = algorithms(openssh('ssh'), query)
    return [name for name in algorithms(nacre('ssh'), query) if name in theirs]


def plain(names):
    """Without the algorithms of certificates and of security keys, which have tests of their own."""
    return [name for name in names if '-cert-' not in name and 'sk-' not in name]


def every_algorithm(program):
    """Configuration of the sshd that belongs to an ssh, for all that ours has as well."""
    def names(query):
        return ','.join(common(query) if program == openssh('ssh') else algorithms(program, query))

    return f'''KexAlgorithms {names('kex')}
Ciphers {names('cipher')}
MACs {names('mac')}
HostKeyAlgorithms {names('HostKeyAlgorithms')}
PubkeyAcceptedAlgorithms {names('PubkeyAcceptedAlgorithms')}
Compression delayed
'''


@pytest.fixture(scope='session')
def nacre_sshd(servers):
    """Our server, which takes every algorithm; shared by the tests of this worker."""
    return servers.sshd(nacre('sshd'), every_algorithm(nacre('ssh')))


@pytest.fixture(scope='session')
def openssh_sshd(servers):
    return servers.sshd(openssh_server(), every_algorithm(openssh('ssh')))


@pytest.fixture(scope='session')
def dropbear_server(servers, account):
    need('dropbear', 'dropbearconvert')
    if not account.temporary:
        pytest.skip("dropbear reads the caller's own ~/.ssh/authorized_keys only")
    return servers.dropbear()


# Clients -----------------------------------------------------------------------------------------

class Client:
    """Calls an ssh, ours or OpenSSH's, that knows no other configuration and asks nothing."""

    def __init__(self, program, key):
        self.program, self.key = program, key

    def options(self, server, key=None):
        return ['-F', 'none', '-i', key or self.key, '-o', 'IdentitiesOnly=yes',
                '-o', 'IdentityAgent=none', '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=yes',
                '-o', f'UserKnownHostsFile={server.known_hosts}',
                '-o', 'GlobalKnownHostsFile=/dev/null', '-o', 'UpdateHostKeys=no']

    def command(self, server, *options, key=None):
        return [self.program, *self.options(server, key), '-p', str(server.port), *options,
                f'{server.user}@127.0.0.1']

    def run(self, server, command, *options, key=None, **more):
        words = [command] if command else []
        return run([*self.command(server, *options, key=key), *words], **more)


@pytest.fixture
def nacre_ssh(user_keys):
    return Client(nacre('ssh'), user_keys['ed25519'])


@pytest.fixture
def openssh_ssh(user_keys):
    need('ssh')
    return Client('/usr/bin/ssh', user_keys['ed25519'])


@pytest.fixture
def workspace(place, account):
    """A folder that the account owns, for one test."""
    folder = tempfile.mkdtemp(prefix='work-', dir=place)
    os.chmod(folder, 0o755)
    yield account.own(folder)
    shutil.rmtree(folder, ignore_errors=True)
