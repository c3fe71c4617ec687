"""What a host has around the server: installation, the units, and how it gets on with a service
manager, which the tests play."""
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from conftest import BUILD, IS_ROOT, PORTS, ROOT, SANITIZED, nacre, need, run, until

SSHD = nacre('sshd')


def make(*words):
    return run(['make', '-s', '-C', ROOT, f'BUILD={BUILD}',
                *(['SANITIZE=address,undefined'] if SANITIZED else []), *words], timeout=300)


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """DESTDIR of an installation for Debian."""
    place = tmp_path_factory.mktemp('deploy')
    result = make('install', f'DESTDIR={place}', 'PREFIX=/usr', 'PAM_STYLE=debian')
    assert result.returncode == 0, result.stderr.decode()
    return place


def test_all_parts_are_installed(installed):
    for path in ('usr/sbin/sshd', 'usr/lib/systemd/system/nacre-sshd.service',
                 'usr/lib/systemd/system/nacre-sshd.socket', 'usr/lib/sysusers.d/nacre-sshd.conf',
                 'usr/lib/tmpfiles.d/nacre-sshd.conf', 'etc/ssh/sshd_config', 'etc/pam.d/sshd'):
        assert os.path.isfile(installed / path), path
    unit = (installed / 'usr/lib/systemd/system/nacre-sshd.service').read_text()
    assert 'ExecStart=/usr/sbin/sshd -D ' in unit and '@' not in unit.replace('@include', '')


def test_what_the_administrator_has_stays(tmp_path):
    words = (f'DESTDIR={tmp_path}', 'PREFIX=/opt/x')
    for name in ('etc/ssh/sshd_config', 'etc/pam.d/sshd'):
        os.makedirs(os.path.dirname(tmp_path / name))
        (tmp_path / name).write_text('mine\n')
    result = make('install', *words)
    assert result.returncode == 0 and b'left as it is' in result.stdout
    assert make('uninstall', *words).returncode == 0
    left = [os.path.join(folder, name) for folder, _, names in os.walk(tmp_path) for name in names]
    assert sorted(left) == [str(tmp_path / 'etc/pam.d/sshd'), str(tmp_path / 'etc/ssh/sshd_config')]
    assert all(open(path).read() == 'mine\n' for path in left)


def test_paths_follow_the_variables(tmp_path):
    result = make('install', f'DESTDIR={tmp_path}', 'PREFIX=/opt/x', 'SYSCONFDIR=/etc/nacre',
                  'UNITDIR=/units', 'PAMDIR=/pam', 'PAM_STYLE=redhat')
    assert result.returncode == 0, result.stderr
    assert '/opt/x/sbin/sshd -D' in (tmp_path / 'units/nacre-sshd.service').read_text()
    assert 'Include /etc/nacre/' in (tmp_path / 'etc/nacre/sshd_config').read_text()
    assert 'password-auth' in (tmp_path / 'pam/sshd').read_text()


def test_the_units_are_right(installed):
    need('systemd-analyze')
    units = [str(installed / 'usr/lib/systemd/system' / name)
             for name in ('nacre-sshd.service', 'nacre-sshd.socket')]
    result = run(['systemd-analyze', 'verify', '--man=no', *units])
    complaints = [text for text in result.stderr.decode().splitlines()
                  if 'nacre-sshd' in text and 'not executable' not in text]
    assert complaints == []


@pytest.mark.skipif(not IS_ROOT, reason='needs root')
def test_the_user_and_the_directory_are_made(installed):
    need('systemd-sysusers', 'systemd-tmpfiles')
    place = installed / 'system'
    os.makedirs(place / 'etc')
    run(['systemd-sysusers', f'--root={place}',
         str(installed / 'usr/lib/sysusers.d/nacre-sshd.conf')], check=True)
    assert re.search(r'^sshd:.*:/run/sshd:/usr/sbin/nologin$', (place / 'etc/passwd').read_text(),
                     re.MULTILINE)
    run(['systemd-tmpfiles', '--create', f'--root={place}',
         str(installed / 'usr/lib/tmpfiles.d/nacre-sshd.conf')], check=True)
    assert os.stat(place / 'run/sshd').st_mode & 0o777 == 0o755


def test_the_first_configuration_works(installed, host_keys):
    path = installed / 'etc/ssh/sshd_config'
    text = run([SSHD, '-T', '-f', str(path), '-h', host_keys['ed25519']], check=True).stdout.decode()
    assert 'usepam yes' in text and 'subsystem sftp internal-sftp' in text
    # What is commented out is what is in force anyway.
    lines = [line[1:] for line in path.read_text().splitlines() if re.match(r'#[A-Z]\w+ ', line)]
    lines = [line for line in lines if not line.startswith(('HostKey', 'ListenAddress'))]
    assert len(lines) > 10
    options = [word for line in lines for word in ('-o', line)]
    again = run([SSHD, '-T', '-f', str(path), '-h', host_keys['ed25519'], *options], check=True)
    assert again.stdout.decode() == text


@pytest.mark.parametrize('style, words', [
    ('debian', ['@include common-auth', '@include common-account', '@include common-session']),
    ('redhat', ['password-auth', 'postlogin']), ('plain', ['pam_unix.so', 'pam_nologin.so'])])
def test_pam_files(style, words):
    with open(f'{ROOT}/deploy/pam.d/sshd.{style}') as file:
        text = file.read()
    assert all(word in text for word in words)
    for line in text.splitlines():
        assert re.match(r'(#|@include \S+$|(auth|account|password|session)\s|$)', line), line


# The service manager ---------------------------------------------------------------------------

class Manager:
    """Hears what a service tells."""

    def __init__(self, folder):
        self.path = os.path.join(folder, 'notify')
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(30)

    def hear(self):
        return dict(line.split('=', 1) for line in self.socket.recv(4096).decode().splitlines())


@pytest.fixture
def manager(servers):
    manager = Manager(servers.folder('manager'))
    yield manager
    manager.socket.close()


def test_tells_when_it_is_ready_and_reloads_and_stops(servers, manager, nacre_ssh, monkeypatch):
    monkeypatch.setenv('NOTIFY_SOCKET', manager.path)
    server = servers.sshd(SSHD)
    ready = manager.hear()
    assert ready['READY'] == '1' and ready['MAINPID'] == str(server.process.pid)
    assert nacre_ssh.run(server, 'echo [$NOTIFY_SOCKET]').stdout == b'[]\n'
    server.process.send_signal(signal.SIGHUP)
    reloading = manager.hear()
    assert reloading['RELOADING'] == '1' and int(reloading['MONOTONIC_USEC']) > 0
    assert manager.hear()['READY'] == '1'
    assert nacre_ssh.run(server, 'true').returncode == 0
    server.process.terminate()
    assert manager.hear() == {'STOPPING': '1'}


def test_a_broken_configuration_leaves_the_old_server_running(servers, manager, nacre_ssh,
                                                              monkeypatch):
    monkeypatch.setenv('NOTIFY_SOCKET', manager.path)
    server = servers.sshd(SSHD)
    manager.hear()
    path = os.path.join(server.folder, 'sshd_config')
    with open(path) as file:
        good = file.read()
    session = subprocess.Popen([*nacre_ssh.command(server), 'cat'], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    until(lambda: 'User child is on pid' in server.log(), server.log)
    with open(path, 'a') as file:
        file.write('NoSuchKeyword yes\n')
    server.process.send_signal(signal.SIGHUP)
    assert manager.hear()['RELOADING'] == '1'
    told = manager.hear()
    assert told['READY'] == '1' and 'errors' in told['STATUS']
    log = server.log()
    assert 'Bad configuration option: NoSuchKeyword' in log and 'going on with the one' in log
    assert nacre_ssh.run(server, 'true').returncode == 0
    with open(path, 'w') as file:
        file.write(good + 'LogLevel VERBOSE\n')
    server.process.send_signal(signal.SIGHUP)
    assert manager.hear()['RELOADING'] == '1' and manager.hear()['STATUS'] == ''
    assert session.communicate(b'through all of it', timeout=20)[0] == b'through all of it'


def activated(arguments, listeners, log):
    """Starts a server as systemd does, with sockets as descriptors 3 and so on."""
    def child():
        kept = [os.dup2(listener.fileno(), 100 + i) for i, listener in enumerate(listeners)]
        for i, fd in enumerate(kept):
            os.dup2(fd, 3 + i)
            os.set_inheritable(3 + i, True)
            os.close(fd)
    script = f'export LISTEN_PID=$$ LISTEN_FDS={len(listeners)}; exec "$@"'
    return subprocess.Popen(['/bin/sh', '-c', script, 'sh', *arguments], stdin=subprocess.DEVNULL,
                            stdout=log, stderr=log, preexec_fn=child, close_fds=False,
                            start_new_session=True)


def test_serves_on_sockets_that_are_passed(servers, nacre_ssh, host_keys, authorized_keys, account):
    folder = servers.folder('activated')
    listeners = [socket.create_server(('127.0.0.1', PORTS.take())) for _ in range(2)]
    other = PORTS.take()
    log_path = os.path.join(folder, 'log')
    options = [word for option in (
        f'Port {other}', 'ListenAddress 127.0.0.1', f'AuthorizedKeysFile {authorized_keys}',
        'StrictModes no', 'PidFile none', 'UsePAM no') for word in ('-o', option)]
    with open(log_path, 'wb') as log:
        process = activated([SSHD, '-D', '-e', '-f', 'none', '-h', host_keys['ed25519'], *options],
                            listeners, log)

    def text():
        with open(log_path, errors='replace') as file:
            return file.read()

    def login(port):
        command = [nacre('ssh'), '-F', 'none', '-i', nacre_ssh.key, '-o', 'BatchMode=yes', '-o',
                   'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o',
                   'IdentityAgent=none', '-p', str(port), f'{account.name}@127.0.0.1',
                   'echo $LISTEN_FDS']
        result = run(command)
        assert result.returncode == 0 and result.stdout == b'\n', (result, text())
    try:
        for listener in listeners:
            port = listener.getsockname()[1]
            until(lambda: f'Server listening on 127.0.0.1 port {port}.' in text(), text)
            login(port)
        assert str(other) not in text()
        process.send_signal(signal.SIGHUP)
        until(lambda: text().count('Server listening') == 4, text)
        login(listeners[0].getsockname()[1])
    finally:
        process.terminate()
        process.wait(20)
        for listener in listeners:
            listener.close()


def test_a_passed_connection_is_no_listener(host_keys, tmp_path):
    ours, theirs = socket.socketpair()
    with open(tmp_path / 'log', 'wb') as log:
        process = activated([SSHD, '-D', '-e', '-f', 'none', '-h', host_keys['ed25519']], [theirs],
                            log)
    assert process.wait(20) == 255
    text = (tmp_path / 'log').read_text()
    assert 'no socket that listens' in text and '-i' in text
    ours.close()
    theirs.close()
