"""Our sftp-server beside OpenSSH's: the same requests get the same answers; and OpenSSH's sftp
works with it."""
import os
import pwd
import shutil
import struct
import subprocess
import tempfile

import pytest

from conftest import nacre, need, openssh, run
from trees import assert_same, make_tree

INIT, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT = 1, 3, 4, 5, 6, 7, 8, 9, 10
OPENDIR, READDIR, REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME, READLINK, SYMLINK = range(11, 21)
EXTENDED, HANDLE = 200, 102


def string(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack('>I', len(value)) + value


def u32(value):
    return struct.pack('>I', value)


def u64(value):
    return struct.pack('>Q', value)


class Server:
    """Speaks to an sftp-server over pipes, one request at a time."""

    def __init__(self, program, folder, *arguments, user=None):
        self.process = subprocess.Popen([program, *arguments], cwd=folder, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, user=user)
        self.id = 0
        self.send(bytes([INIT]) + u32(3))
        self.version = self.receive()

    def send(self, message):
        self.process.stdin.write(string(message))
        self.process.stdin.flush()

    def receive(self):
        head = self.process.stdout.read(4)
        return self.process.stdout.read(struct.unpack('>I', head)[0]) if len(head) == 4 else None

    def request(self, kind, payload):
        """The reply without its id."""
        self.id += 1
        self.send(bytes([kind]) + u32(self.id) + payload)
        reply = self.receive()
        assert reply is not None, 'the server has ended'
        assert reply[1:5] == u32(self.id)
        return reply[:1] + reply[5:]

    def handle(self, kind, payload):
        reply = self.request(kind, payload)
        assert reply[0] == HANDLE, reply
        return reply[5:]

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(20)


def conversation(server):
    """Requests of every kind, wrong ones among them, and their replies; times are left out."""
    log = [('version', server.version)]

    def ask(name, kind, payload):
        log.append((name, server.request(kind, payload)))

    attributes = u32(0)
    for path in ('none', 'f/x', 'loop', 'x' * 300, 'x/' * 3000, ''):
        ask(f'stat {path[:20]!r}', STAT, string(path))
    for path in ('', '.', '/', 'f', 'none', 'none/x', 'none/', 'e/', 'dangling', 'loop', 'e/../f',
                 '..', 'f/x', 'f/', 'none/..', 'none/.'):
        ask(f'realpath {path!r}', REALPATH, string(path))
    for path in ('~', '~root', '~no-such-user', '~/x', 'f', 'none/x'):
        ask(f'expand {path!r}', EXTENDED, string('expand-path@openssh.com') + string(path))
    ask('open a directory to write', OPEN, string('e') + u32(2) + attributes)
    ask('open nothing', OPEN, string('none') + u32(1) + attributes)
    ask('open exclusively', OPEN, string('f') + u32(2 | 8 | 32) + attributes)
    handle = string(server.handle(OPEN, string('f') + u32(1) + attributes))
    for offset, length in ((0, 0), (1, 1000), (9, 1000), (2 ** 63 + 5, 1000), (0, 2 ** 32 - 1)):
        ask(f'read {offset} {length}', READ, handle + u64(offset) + u32(length))
    ask('write to what is read', WRITE, handle + u64(0) + string('x'))
    ask('readdir of a file', READDIR, handle)
    ask('close', CLOSE, handle)
    ask('close again', CLOSE, handle)
    ask('close nonsense', CLOSE, string('abc'))
    handle = string(server.handle(OPEN, string('new') + u32(3 | 8) + u32(4) + u32(0o640)))
    ask('write', WRITE, handle + u64(3) + string('hello'))
    ask('read back', READ, handle + u64(0) + u32(100))
    ask('fsetstat', FSETSTAT, handle + u32(1 | 4 | 8) + u64(5) + u32(0o604) + u32(1) + u32(2))
    ask('fstat', FSTAT, handle)
    ask('fsync', EXTENDED, string('fsync@openssh.com') + handle)
    other = string(server.handle(OPEN, string('copied') + u32(2 | 8) + u32(4) + u32(0o600)))
    ask('copy', EXTENDED, string('copy-data') + handle + u64(1) + u64(0) + other + u64(0))
    ask('copy onto itself', EXTENDED,
        string('copy-data') + handle + u64(1) + u64(1) + handle + u64(0))
    ask('close copied', CLOSE, other)
    ask('lstat of link', LSTAT, string('l'))
    ask('setstat of nothing', SETSTAT, string('none') + u32(1) + u64(1))
    ask('setstat', SETSTAT, string('copied') + u32(4 | 8) + u32(0o7777) + u32(5) + u32(6))
    ask('stat copied', STAT, string('copied'))
    lsetstat = string('lsetstat@openssh.com')
    ask('lsetstat size', EXTENDED, lsetstat + string('f') + u32(1) + u64(1))
    ask('lsetstat mode', EXTENDED, lsetstat + string('l') + u32(4) + u32(0o600))
    ask('lsetstat times', EXTENDED, lsetstat + string('l') + u32(8) + u32(7) + u32(8))
    for name in ('e', 'none/e', ''):
        ask(f'mkdir {name!r}', MKDIR, string(name) + attributes)
    ask('mkdir', MKDIR, string('m') + u32(4) + u32(0o750))
    for kind, name in ((REMOVE, 'e'), (REMOVE, 'none'), (RMDIR, 'full'), (RMDIR, '.'),
                       (RMDIR, 'm'), (READLINK, 'f'), (READLINK, 'l'), (READLINK, 'none')):
        ask(f'{kind} {name!r}', kind, string(name))
    for old, new in (('f', 'l'), ('e', 'e'), ('e', 'full'), ('none', 'n'), ('new', 'renamed')):
        ask(f'rename {old} {new}', RENAME, string(old) + string(new))
    ask('symlink over', SYMLINK, string('t') + string('l'))
    ask('symlink', SYMLINK, string('target') + string('s'))
    for _ in range(2):
        ask('hardlink', EXTENDED, string('hardlink@openssh.com') + string('f') + string('h'))
    ask('posix-rename', EXTENDED, string('posix-rename@openssh.com') + string('h') + string('l'))
    ask('limits', EXTENDED, string('limits@openssh.com'))
    for user in ('root', 'no-such-user'):
        ask(f'home {user}', EXTENDED, string('home-directory') + string(user))
    ask('names', EXTENDED, string('users-groups-by-id@openssh.com') +
        string(u32(0) + u32(54321)) + string(u32(0)))
    for name in (b'caf\xe9', b'\xff\xfe', b'new\nline', b'-rf', b' ', b'sp ace'):
        handle = string(server.handle(OPEN, string(name) + u32(2 | 8) + attributes))
        ask(f'write {name}', WRITE, handle + u64(0) + string(name))
        ask(f'close {name}', CLOSE, handle)
        ask(f'realpath {name}', REALPATH, string(name))
        ask(f'rename {name}', RENAME, string(name) + string(name + b'2'))
    # Beyond what fits 32 bits, in a file that has next to no blocks.
    handle = string(server.handle(OPEN, string('large') + u32(3 | 8) + attributes))
    for offset in (2 ** 32 - 3, 5 * 2 ** 30):
        ask(f'write at {offset}', WRITE, handle + u64(offset) + string('across'))
        ask(f'read at {offset}', READ, handle + u64(offset - 1) + u32(100))
    ask('read behind the end', READ, handle + u64(6 * 2 ** 30) + u32(1))
    ask('large size', FSETSTAT, handle + u32(1) + u64(2 ** 33 + 1))
    ask('large read', READ, handle + u64(2 ** 33) + u32(10))
    ask('beyond all sizes', FSETSTAT, handle + u32(1) + u64(2 ** 63))
    ask('close large', CLOSE, handle)
    ask('statvfs of nothing', EXTENDED, string('statvfs@openssh.com') + string('none'))
    ask('unknown', EXTENDED, string('nothing@example.com') + string('x'))
    ask('opendir of a file', OPENDIR, string('f'))
    handle = string(server.handle(OPENDIR, string('full')))
    ask('read of a directory', READ, handle + u64(0) + u32(1))
    ask('fstat of a directory', FSTAT, handle)
    assert server.request(READDIR, handle)[0] == 104
    ask('readdir at the end', READDIR, handle)
    return log


def prepare(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, 'e'))
    os.makedirs(os.path.join(folder, 'full'))
    for name in ('f', 'full/x'):
        with open(os.path.join(folder, name), 'w') as file:
            file.write('hello')
        os.utime(os.path.join(folder, name), (1, 2))
    for target, name in (('f', 'l'), ('loop', 'loop'), ('gone', 'dangling')):
        os.symlink(target, os.path.join(folder, name))
        os.utime(os.path.join(folder, name), (3, 4), follow_symlinks=False)


def test_answers_as_openssh_does(tmp_path):
    need('sftp')
    logs = []
    for program in (nacre('sftp-server'), openssh('sftp-server')):
        folder = str(tmp_path / 'folder')
        prepare(folder)
        server = Server(program, folder)
        logs.append(conversation(server))
        assert server.end() == 0
    for (name, ours), (_, theirs) in zip(*logs):
        if name == 'version':  # with extensions of our own behind OpenSSH's
            assert ours.startswith(theirs) and b'check-file-name' in ours
            continue
        if name == 'limits':  # the number of handles is each server's own
            ours, theirs = ours[:-8], theirs[:-8]
        assert ours == theirs, name


def test_home_of_nobody_in_particular(tmp_path):
    """An empty name is the user's own; newer servers of OpenSSH have it so, too."""
    server = Server(nacre('sftp-server'), str(tmp_path))
    reply = server.request(EXTENDED, string('home-directory') + string(''))
    assert reply[:5] == bytes([104]) + u32(1)
    assert string(pwd.getpwuid(os.geteuid()).pw_dir) in reply
    assert server.end() == 0


def forbidden(server):
    """What somebody else's files allow, and a device that is always full."""
    log = [('open to write', server.request(OPEN, string('f') + u32(2) + u32(0)))]

    def ask(name, kind, payload):
        log.append((name, server.request(kind, payload)))
    for kind, path in ((STAT, 'secret/x'), (LSTAT, 'secret/x'), (OPENDIR, 'secret'), (REMOVE, 'f'),
                       (RMDIR, 'e'), (READLINK, 'secret/x'), (REALPATH, 'secret/x')):
        ask(f'{kind} {path}', kind, string(path))
    ask('open to read', OPEN, string('secret/x') + u32(1) + u32(0))
    ask('create', OPEN, string('new') + u32(2 | 8) + u32(0))
    ask('mkdir', MKDIR, string('d') + u32(0))
    ask('chmod', SETSTAT, string('f') + u32(4) + u32(0o777))
    ask('chown', SETSTAT, string('f') + u32(2) + u32(1) + u32(1))
    ask('utimes', SETSTAT, string('f') + u32(8) + u32(1) + u32(1))
    ask('truncate', SETSTAT, string('f') + u32(1) + u64(0))
    ask('rename', RENAME, string('f') + string('g'))
    ask('symlink', SYMLINK, string('f') + string('g'))
    for name in ('hardlink@openssh.com', 'posix-rename@openssh.com'):
        ask(name, EXTENDED, string(name) + string('f') + string('g'))
    handle = string(server.handle(OPEN, string('/dev/full') + u32(2) + u32(0)))
    ask('full disk', WRITE, handle + u64(0) + string('x'))
    return log


def test_answers_as_openssh_does_without_rights(tmp_path):
    if os.geteuid() != 0:
        pytest.skip('needs root, to become another user')
    need('sftp')
    logs = []
    for program in (nacre('sftp-server'), openssh('sftp-server')):
        folder = tempfile.mkdtemp()
        try:
            os.chmod(folder, 0o755)
            prepare(os.path.join(folder, 'in'))
            os.mkdir(os.path.join(folder, 'in/secret'), 0o700)
            server = Server(program, os.path.join(folder, 'in'), user='nobody')
            logs.append(forbidden(server))
            assert server.end() == 0
        finally:
            shutil.rmtree(folder)
    assert logs[0] == logs[1]


@pytest.mark.parametrize('arguments, kind, payload', [
    (['-R'], REMOVE, string('f')),
    (['-R'], OPEN, string('f') + u32(2) + u32(0)),
    (['-R'], SETSTAT, string('f') + u32(4) + u32(0)),
    (['-P', 'remove,rename'], REMOVE, string('f')),
    (['-p', 'open,close,read'], REMOVE, string('f')),
])
def test_policy_denies(tmp_path, arguments, kind, payload):
    folder = str(tmp_path / 'folder')
    prepare(folder)
    server = Server(nacre('sftp-server'), folder, *arguments)
    assert server.request(kind, payload)[:5] == bytes([101]) + u32(3)
    server.handle(OPEN, string('f') + u32(1) + u32(0))
    server.end()
    assert os.path.exists(os.path.join(folder, 'f'))


def test_lists_requests_and_refuses_options():
    ours, theirs = (run([program, '-Q', 'requests']).stdout
                    for program in (nacre('sftp-server'), openssh('sftp-server')))
    assert ours.startswith(theirs) and ours.endswith(b'exchange\n')
    for wrong in (['-Z'], ['-u', '9'], ['-f', 'nowhere'], ['-l', 'loud'], ['-Q', 'nothing']):
        result = run([nacre('sftp-server'), *wrong])
        assert result.returncode != 0 and result.stderr


def test_start_directory_and_umask(tmp_path):
    server = Server(nacre('sftp-server'), '/', '-d', str(tmp_path), '-u', '077')
    server.handle(OPEN, string('made') + u32(2 | 8) + u32(4) + u32(0o666))
    server.end()
    assert os.stat(tmp_path / 'made').st_mode & 0o777 == 0o600


@pytest.mark.parametrize('nonsense', [
    b'\0\0\0\0', b'\xff' * 8, b'\0\0\0\5\1\0\0\0\3\0\0\0\2\x11\0', b'GET / HTTP/1.0\r\n\r\n'])
def test_ends_on_nonsense(nonsense):
    result = run([nacre('sftp-server')], input=nonsense)
    assert result.returncode == 255


def test_openssh_sftp_works_with_it(tmp_path):
    need('sftp')
    make_tree(tmp_path / 'tree')
    os.unlink(tmp_path / 'tree' / 'link')  # sftp passes links over
    batch = tmp_path / 'batch'
    batch.write_text(f'cd {tmp_path}\nput -rp tree up\nget -rp up down\nls -l up\nmkdir x\n'
                     'rename x y\nln -s y z\ndf y\nchmod 700 y\nrmdir y\nrm z\npwd\n')
    os.chdir(tmp_path)
    result = run(['sftp', '-D', nacre('sftp-server'), '-b', str(batch)])
    assert result.returncode == 0, result.stderr
    assert_same(tmp_path / 'tree', tmp_path / 'up', times=True)
    assert_same(tmp_path / 'tree', tmp_path / 'down', times=True)
