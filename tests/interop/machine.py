"""A machine of its own for a server: a copy of /etc with accounts, PAM services and files that a test
wants there, login records that start empty, and an empty /run. The server runs in a mount namespace
that has them in these places; nothing of the real machine is changed.
"""
import os
import shutil
import struct
import subprocess
import tempfile

import pytest

from conftest import IS_ROOT, PORTS, Server, nacre, public_line, run

ENTER = '''for place in etc var/log run; do mount --bind "$0/$place" "/$place" || exit 77; done
exec "$@"'''

CONFIG = '''ListenAddress 127.0.0.1
Port {port}
HostKey {host_key}
PidFile none
LogLevel VERBOSE
LoginGraceTime 60
{config}
'''

# glibc's struct utmp and struct lastlog on 64-bit machines.
UTMP = struct.Struct('<hxxi32s4s32s256shhiii16s20x')
LASTLOG = struct.Struct('<i32s256s')
USER_PROCESS, DEAD_PROCESS = 7, 8

SERVERS = {'openssh': '/usr/sbin/sshd', 'nacre': nacre('sshd')}

PAM_SERVICE = '''auth required pam_unix.so
account required pam_unix.so
session required pam_unix.so
password required pam_unix.so
'''


def text(field):
    return field.split(b'\0', 1)[0].decode()


def enter_command(folder, command):
    return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', ENTER, folder, *command]


class User:
    def __init__(self, name, uid, home):
        self.name, self.uid, self.home = name, uid, home

    def write(self, path, content, mode=0o644):
        """A file in the home directory that belongs to the user."""
        path = os.path.join(self.home, path)
        for folder in (os.path.dirname(path),):
            if not os.path.isdir(folder):
                os.makedirs(folder, 0o700)
                os.chown(folder, self.uid, self.uid)
        with open(path, 'w') as file:
            file.write(content)
        os.chmod(path, mode)
        os.chown(path, self.uid, self.uid)
        return path


class Machine:
    def __init__(self, folder, first_uid, host_key):
        self.folder, self.next_uid, self.host_key = folder, first_uid, host_key
        self.servers, self.users = [], {}
        os.chmod(folder, 0o755)
        # Lock files of other tests' accounts come and go.
        run(['cp', '-a', '/etc', self.path('etc')])
        for name in ('passwd', 'group', 'shadow'):
            self.drop_lines(f'etc/{name}', 'nt')
        for name in ('var/log', 'run/sshd', 'home'):
            os.makedirs(self.path(name), 0o755)
        self.write('etc/pam.d/sshd', PAM_SERVICE)
        self.write('etc/motd', '')
        for name in ('var/log/wtmp', 'var/log/btmp', 'var/log/lastlog', 'run/utmp'):
            self.write(name, '')
        os.chmod(self.path('var/log/btmp'), 0o600)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            file.write(content)
        os.chmod(path, mode)
        return path

    def append(self, name, content):
        with open(self.path(name), 'a') as file:
            file.write(content)

    def drop_lines(self, name, start):
        with open(self.path(name)) as file:
            lines = [line for line in file if not line.startswith(start)]
        mode = os.stat(self.path(name)).st_mode & 0o777
        self.write(name, ''.join(lines), mode)

    def remove(self, name):
        os.unlink(self.path(name))

    def add_user(self, name, password='*', shell='/bin/sh', shadow='19000:0:99999:7:::', groups=(),
                 key=None):
        """"shadow" is what stands behind the password there; "groups" are made, too."""
        user = User(name, self.next_uid, self.path(f'home/{name}'))
        self.next_uid += 1
        os.mkdir(user.home, 0o755)
        os.chown(user.home, user.uid, user.uid)
        self.append('etc/passwd', f'{name}:x:{user.uid}:{user.uid}::{user.home}:{shell}\n')
        self.append('etc/shadow', f'{name}:{password}:{shadow}\n')
        self.append('etc/group', f'{name}:x:{user.uid}:\n')
        for number, group in enumerate(groups):
            self.append('etc/group', f'{group}:x:{user.uid + 1000 + number}:{name}\n')
        if key is not None:
            user.write('.ssh/authorized_keys', public_line(key) + '\n', 0o600)
        self.users[name] = user
        return user

    def set_shadow(self, name, password, fields):
        self.drop_lines('etc/shadow', name + ':')
        self.append('etc/shadow', f'{name}:{password}:{fields}\n')

    def sshd(self, program, config='', user='alice', options=()):
        folder, port = tempfile.mkdtemp(prefix='server', dir=self.folder), PORTS.take()
        path = os.path.join(folder, 'sshd_config')
        if program == nacre('sshd'):  # logins that fail on purpose would bar the next
            config = 'PerSourcePenalties no\n' + config
        with open(path, 'w') as file:
            file.write(CONFIG.format(port=port, host_key=self.host_key, config=config))
        server = Server(enter_command(self.folder, [program, '-D', '-e', '-f', path, *options]), port,
                        folder, [self.host_key], user)
        server.config = path
        self.servers.append(server)
        return server

    def stop(self):
        for server in self.servers:
            server.stop()
        self.servers.clear()

    def records(self, name):
        """Entries of utmp or wtmp: dictionaries."""
        with open(self.path(name), 'rb') as file:
            content = file.read()
        names = ('type', 'pid', 'line', 'id', 'user', 'host', 'term', 'exit', 'session', 'seconds',
                 'microseconds', 'address')
        return [{key: text(value) if key in ('line', 'id', 'user', 'host') else value
                 for key, value in zip(names, fields)} for fields in UTMP.iter_unpack(content)]

    def last_login(self, user):
        with open(self.path('var/log/lastlog'), 'rb') as file:
            file.seek(user.uid * LASTLOG.size)
            content = file.read(LASTLOG.size)
        if len(content) < LASTLOG.size:
            return None
        seconds, line, host = LASTLOG.unpack(content)
        return seconds, text(line), text(host)


def namespaces_work():
    return IS_ROOT and subprocess.run(['unshare', '--mount', '--propagation', 'private', 'true'],
                                      check=False, stderr=subprocess.DEVNULL).returncode == 0


@pytest.fixture(scope='module')
def make_machine(place, host_keys):
    """Makes machines, and takes them away in the end."""
    if not namespaces_work():
        pytest.skip('needs root and mount namespaces')
    made = []

    def make():
        folder = os.path.join(place, f'machine{os.getpid()}-{len(made)}')
        while os.path.exists(folder):
            folder += 'x'
        os.mkdir(folder)
        uid = 40000 + (os.getpid() * 37 + len(made) * 20) % 20000
        made.append(Machine(folder, uid, host_keys['ed25519']))
        return made[-1]

    yield make
    for machine in made:
        machine.stop()
        shutil.rmtree(machine.folder, ignore_errors=True)


@pytest.fixture(scope='module')
def key(user_keys):
    return user_keys['ed25519']


@pytest.fixture(params=SERVERS)
def program(request):
    """Each of the servers in turn."""
    return SERVERS[request.param]
