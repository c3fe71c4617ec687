"""What scp does beyond OpenSSH's: --resume, --sync, --atomic and their like, up and down, with our
sftp-server, with OpenSSH's and with servers that have no extensions, lie or break off."""
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from conftest import nacre, openssh, run, until
from trees import assert_same, make_tree

HERE = os.path.dirname(os.path.abspath(__file__))
WAYS = ['up', 'down']


def odd(*asked):
    return ' '.join([sys.executable, os.path.join(HERE, 'odd_sftp_server.py'), *asked])


def program_of(server):
    return {'nacre': nacre('sftp-server'), 'openssh': openssh('sftp-server')}.get(server, server)


def scp(*arguments, server='nacre', **options):
    options.setdefault('timeout', 60)
    return run([nacre('scp'), '-D', program_of(server), *map(str, arguments)], **options)


def copy(way, source, target, *options, server='nacre', **more):
    """Copies the tree or file "source" to "target", which is the local or the remote one."""
    near, far = (source, f'h:{target}') if way == 'up' else (f'h:{source}', target)
    return scp(*options, near, far, server=server, **more)


def succeeds(result):
    assert (result.returncode, result.stderr) == (0, b'')
    return result


@pytest.fixture(params=['nacre', 'openssh', odd()], ids=['nacre', 'openssh', 'plain'])
def server(request):
    return request.param


@pytest.fixture(params=WAYS)
def way(request):
    return request.param


def small_tree(root):
    for name in ('a/b/one', 'a/two', 'c/three.o', 'four', "a/odd \n'name\xff"):
        path = os.path.join(os.fsencode(root), name.encode('latin-1'))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as out:
            out.write(name.encode() * 100)
    return root


def names(root):
    return sorted(os.path.relpath(os.path.join(folder, name), root)
                  for folder, folders, files in os.walk(root) for name in folders + files)


# Sync ----------------------------------------------------------------------------------------------

def test_sync_copies_what_differs(tmp_path, server, way):
    source, target = small_tree(tmp_path / 'source'), tmp_path / 'to'
    target.mkdir()
    succeeds(copy(way, source, target, '-r', '--sync', server=server))
    assert_same(source, target / 'source', times=True)
    kept = os.stat(target / 'source' / 'four').st_ctime_ns
    (source / 'a' / 'two').write_text('other and longer' * 100)
    (source / 'new').write_text('new')
    (target / 'source' / 'extra').mkdir()
    (target / 'source' / 'extra' / 'file').write_text('extra')
    succeeds(copy(way, source, target, '-r', '--sync', server=server))
    assert (target / 'source' / 'extra' / 'file').exists()
    assert os.stat(target / 'source' / 'four').st_ctime_ns == kept
    succeeds(copy(way, source, target, '-r', '--sync', '--delete', server=server))
    assert_same(source, target / 'source', times=True)


def test_sync_by_content(tmp_path, server, way):
    source, target = small_tree(tmp_path / 'source'), tmp_path / 'to'
    target.mkdir()
    succeeds(copy(way, source, target, '-r', '--sync', server=server))
    changed = target / 'source' / 'four'
    changed.write_bytes(b'x' * changed.stat().st_size)
    stamp = (source / 'four').stat()
    os.utime(changed, (stamp.st_atime, stamp.st_mtime))
    succeeds(copy(way, source, target, '-r', '--sync', server=server))
    assert changed.read_bytes()[:1] == b'x'
    os.utime(source / 'a' / 'two', (1, 1))
    succeeds(copy(way, source, target, '-r', '--sync', '--checksum', server=server))
    assert_same(source, target / 'source', times=True)


def test_dry_run_changes_nothing(tmp_path, server, way):
    source, target = small_tree(tmp_path / 'source'), tmp_path / 'to'
    target.mkdir()
    result = succeeds(copy(way, source, target, '-r', '--dry-run', server=server))
    assert result.stdout.count(b'copy ') == 5 and b"odd \\012'name\\377" in result.stdout
    assert os.listdir(target) == []
    succeeds(copy(way, source, target, '-rp', server=server))
    (target / 'source' / 'extra').write_text('x')
    (source / 'four').write_text('changed')
    before = names(target)
    result = succeeds(copy(way, source, target, '-r', '--sync', '--delete', '--dry-run', server=server))
    lines = result.stdout.decode('latin-1').splitlines()
    assert len(lines) == 2 and lines[0].startswith('copy ') and lines[0].endswith('source/four')
    assert lines[1].startswith('remove ') and lines[1].endswith('source/extra')
    assert names(target) == before and (target / 'source' / 'four').read_text() != 'changed'


def test_exclude(tmp_path, way):
    source, target = small_tree(tmp_path / 'source'), tmp_path / 'to'
    (target / 'source' / 'a' / 'b').mkdir(parents=True)
    (target / 'source' / 'keep.o').write_text('kept')
    (target / 'source' / 'a' / 'b' / 'kept').write_text('kept')
    succeeds(copy(way, source, target, '-r', '--sync', '--delete', '--exclude', '*.o',
                  '--exclude', '/a/b'))
    assert names(target / 'source') == sorted(
        ['a', 'a/b', 'a/b/kept', 'a/two', os.fsdecode(b"a/odd \n'name\xff"), 'c', 'four', 'keep.o'])


def test_nothing_is_removed_after_an_error(tmp_path):
    source, target = small_tree(tmp_path / 'source'), tmp_path / 'to'
    (target / 'source').mkdir(parents=True)
    (target / 'source' / 'extra').write_text('x')
    os.symlink('nowhere', source / 'dangling')
    assert scp('-r', '--sync', '--delete', source, f'h:{target}').returncode == 1
    assert (target / 'source' / 'extra').exists() and (target / 'source' / 'four').exists()


def test_links_are_removed_and_not_followed(tmp_path, server, way):
    source, target, outside = small_tree(tmp_path / 'source'), tmp_path / 'to', tmp_path / 'outside'
    outside.mkdir()
    (outside / 'precious').write_text('x')
    (target / 'source').mkdir(parents=True)
    os.symlink(outside, target / 'source' / 'link')
    succeeds(copy(way, source, target, '-r', '--sync', '--delete', server=server))
    assert not os.path.lexists(target / 'source' / 'link') and (outside / 'precious').exists()


# Atomic --------------------------------------------------------------------------------------------

def test_a_directory_takes_its_place_as_a_whole(tmp_path, server, way):
    source, target = small_tree(tmp_path / 'source'), tmp_path / 'to'
    (target / 'source' / 'stale').mkdir(parents=True)
    before = os.stat(target / 'source').st_ino
    succeeds(copy(way, source, target, '-r', '--atomic', server=server))
    assert_same(source, target / 'source')
    assert os.listdir(target) == ['source'] and os.stat(target / 'source').st_ino != before
    for number in range(2):
        (source / 'four').write_text(f'version {number}')
        succeeds(copy(way, source, target, '-r', '--atomic', '--keep', server=server))
    assert sorted(os.listdir(target)) == ['source', 'source.old']
    assert (target / 'source' / 'four').read_text() == 'version 1'
    assert (target / 'source.old' / 'four').read_text() == 'version 0'
    succeeds(copy(way, source, target / 'fresh', '-r', '--atomic', server=server))
    assert_same(source, target / 'fresh')


def test_a_broken_directory_does_not_take_its_place(tmp_path, way):
    source, target = small_tree(tmp_path / 'source'), tmp_path / 'to'
    (target / 'source').mkdir(parents=True)
    (target / 'source' / 'old').write_text('old')
    os.symlink('nowhere', source / 'dangling')
    result = copy(way, source, target, '-r', '--atomic')
    assert result.returncode == 1 and b'left as it was' in result.stderr
    assert os.listdir(target / 'source') == ['old']
    os.unlink(source / 'dangling')
    result = copy(way, source, target, '-r', '--atomic')
    assert result.returncode == 1 and b'--resume' in result.stderr
    assert os.listdir(target / 'source') == ['old']
    succeeds(copy(way, source, target, '-r', '--atomic', '--resume'))
    assert_same(source, target / 'source')
    assert os.listdir(target) == ['source']


def test_a_file_appears_when_it_is_complete(tmp_path, server, way):
    (tmp_path / 'file').write_bytes(os.urandom(3000000))
    (tmp_path / 'to').mkdir()
    long_name = 'n' * 255
    shutil.copy(tmp_path / 'file', tmp_path / long_name)
    for name in ('file', long_name):
        (tmp_path / 'to' / name).write_text('old')
        before = os.stat(tmp_path / 'to' / name).st_ino
        succeeds(copy(way, tmp_path / name, tmp_path / 'to' / name, '--atomic', server=server))
        assert (tmp_path / 'to' / name).read_bytes() == (tmp_path / 'file').read_bytes()
        assert os.stat(tmp_path / 'to' / name).st_ino != before
    assert sorted(os.listdir(tmp_path / 'to')) == ['file', long_name]


def test_atomic_does_not_follow_a_link_laid_in_its_way(tmp_path, way):
    """The name beside is predictable; another's link there must lead nowhere."""
    (tmp_path / 'file').write_bytes(os.urandom(300000))
    (tmp_path / 'to').mkdir()
    cut = odd('cut=100') if way == 'down' else odd('refuse=1')
    assert copy(way, tmp_path / 'file', tmp_path / 'to', '--atomic', server=cut).returncode != 0
    part = [name for name in os.listdir(tmp_path / 'to') if name.endswith('.part')]
    if not part:
        pytest.skip('nothing was begun before the cut')
    os.unlink(tmp_path / 'to' / part[0])
    os.symlink(tmp_path / 'victim', tmp_path / 'to' / part[0])
    (tmp_path / 'victim').write_text('precious')
    assert copy(way, tmp_path / 'file', tmp_path / 'to', '--atomic').returncode == 1
    assert (tmp_path / 'victim').read_text() == 'precious'


@pytest.mark.parametrize('options', [['--atomic'], ['--atomic', '--resume'], ['--atomic', '--sync']])
def test_full_disk_leaves_the_old_file(tmp_path, options):
    """As a limit of the file size: writing fails in the middle."""
    (tmp_path / 'file').write_bytes(os.urandom(400000))
    (tmp_path / 'to').mkdir()
    (tmp_path / 'to' / 'file').write_text('old')
    wrapper = tmp_path / 'server'
    wrapper.write_text(f'#!/bin/sh\ntrap "" XFSZ\nulimit -f 200\nexec {nacre("sftp-server")}\n')
    wrapper.chmod(0o755)
    result = scp(*options, tmp_path / 'file', f'h:{tmp_path}/to', server=str(wrapper))
    assert result.returncode == 1 and b'write remote' in result.stderr
    assert b'--resume' in result.stderr and b'0 files are complete, 1 are not' in result.stderr
    assert (tmp_path / 'to' / 'file').read_text() == 'old'
    succeeds(scp(*options, '--resume', tmp_path / 'file', f'h:{tmp_path}/to'))
    assert (tmp_path / 'to' / 'file').read_bytes() == (tmp_path / 'file').read_bytes()
    assert os.listdir(tmp_path / 'to') == ['file']


# Breaking off and going on -------------------------------------------------------------------------

CUTTER = '''
import os, select, subprocess, sys
left = int(sys.argv[1])
server = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
pairs = {0: server.stdin.fileno(), server.stdout.fileno(): 1}
while True:
    for fd in select.select(list(pairs), [], [])[0]:
        data = os.read(fd, min(65536, left))
        left -= len(data)
        if not data and fd == 0:
            server.stdin.close()
            del pairs[0]
        elif not data:
            os._exit(0)
        try:
            while data:
                data = data[os.write(pairs[fd], data):]
        except BrokenPipeError:
            os._exit(0)
        if left == 0:
            server.kill()
            os._exit(1)
'''


@pytest.fixture(scope='module')
def deep_tree(tmp_path_factory):
    root, generator = tmp_path_factory.mktemp('deep') / 'tree', random.Random(7)
    for folder in range(4):
        (root / f'folder{folder}').mkdir(parents=True)
        for number in range(8):
            (root / f'folder{folder}' / f'file{number}').write_bytes(generator.randbytes(9000))
    (root / 'large').write_bytes(generator.randbytes(3000000))
    for path in root.rglob('*'):
        os.utime(path, (1000000000, 1000000001))
    return root


@pytest.mark.parametrize('options', [['--resume'], ['--resume', '--atomic', '--sync']], ids=' '.join)
@pytest.mark.parametrize('name', ['nacre', 'openssh'])
def test_cut_anywhere_and_resumed(tmp_path, deep_tree, name, way, options):
    """The connection ends after any number of bytes; what is under a final name is then whole."""
    cutter, generator = tmp_path / 'cut.py', random.Random(f'{name} {way} {options}')
    cutter.write_text(CUTTER)
    for _ in range(4):
        target = tmp_path / 'to'
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for _ in range(2):
            cut = f'{sys.executable} {cutter} {generator.randrange(1, 3500000)} {program_of(name)}'
            result = copy(way, deep_tree, target, '-r', *options, server=cut)
            if result.returncode == 0:
                break
            assert result.returncode == 255 and b'--resume goes on' in result.stderr
            if '--atomic' in options:
                for path in (target / 'tree').rglob('*'):
                    if path.is_file() and not path.name.endswith('.part'):
                        original = deep_tree / path.relative_to(target / 'tree')
                        assert path.read_bytes() == original.read_bytes()
        succeeds(copy(way, deep_tree, target, '-r', *options, server=name))
        assert_same(deep_tree, target / 'tree', times=True)
        assert not [path for path in target.rglob('*.part')]


@pytest.mark.parametrize('name', ['nacre', 'openssh'])
def test_what_is_wrong_is_not_believed(tmp_path, name, way):
    """A beginning that is not the source's is written again; with our server only where it differs."""
    content = os.urandom(9000000)
    (tmp_path / 'source').write_bytes(content)
    for damaged in (b'x' * 6000000, content[:6000000], content[:4000000] + b'y' * 2000000,
                    content + b'longer'):
        (tmp_path / 'target').write_bytes(damaged)
        succeeds(copy(way, tmp_path / 'source', tmp_path / 'target', '--resume', server=name))
        assert (tmp_path / 'target').read_bytes() == content


def traffic(way, source, target, *options, server, folder):
    """Bytes that a copy moves in both directions."""
    counter = folder / 'count.py'
    counter.write_text(CUTTER.replace('left -= len(data)', 'left -= len(data)\n'
                                      f'        open({str(folder / "moved")!r}, "w").write('
                                      'str(int(sys.argv[1]) - left))'))
    succeeds(copy(way, source, target, *options,
                  server=f'{sys.executable} {counter} {1 << 40} {program_of(server)}'))
    return int((folder / 'moved').read_text())


def test_only_the_rest_is_copied(tmp_path, way):
    content = os.urandom(20000000)
    (tmp_path / 'source').write_bytes(content)
    for name, most in (('nacre', 3000000), ('openssh', 8000000)):
        (tmp_path / 'target').write_bytes(content[:18000000])
        moved = traffic(way, tmp_path / 'source', tmp_path / 'target', '--resume', server=name,
                        folder=tmp_path)
        assert moved < most and (tmp_path / 'target').read_bytes() == content
        # It is complete: nothing is to be done.
        assert traffic(way, tmp_path / 'source', tmp_path / 'target', '--resume', server=name,
                       folder=tmp_path) < 3000


def test_hashes_that_lie(tmp_path, way):
    """A server whose hashes are wrong costs time, and nothing else."""
    content = os.urandom(1000000)
    (tmp_path / 'source').write_bytes(content)
    (tmp_path / 'target').write_bytes(content[:500000])
    succeeds(copy(way, tmp_path / 'source', tmp_path / 'target', '--resume', server=odd('hashes')))
    assert (tmp_path / 'target').read_bytes() == content


@pytest.mark.parametrize('signal_number', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_by_a_signal(tmp_path, signal_number):
    (tmp_path / 'file').write_bytes(os.urandom(8000000))
    (tmp_path / 'to').mkdir()
    (tmp_path / 'to' / 'file').write_text('old')
    process = subprocess.Popen(
        [nacre('scp'), '-D', nacre('sftp-server'), '--atomic', '--bwlimit', '2M',
         str(tmp_path / 'file'), f'h:{tmp_path}/to'], stderr=subprocess.PIPE)
    until(lambda: any(os.stat(tmp_path / 'to' / name).st_size > 300000
                      for name in os.listdir(tmp_path / 'to')), 'some of the file')
    process.send_signal(signal_number)
    error = process.communicate(timeout=20)[1]
    assert process.returncode != 0
    if signal_number != signal.SIGKILL:
        assert b'interrupted: 0 files are complete, 1 are not' in error
    assert (tmp_path / 'to' / 'file').read_text() == 'old'
    succeeds(scp('--atomic', '--resume', tmp_path / 'file', f'h:{tmp_path}/to'))
    assert (tmp_path / 'to' / 'file').read_bytes() == (tmp_path / 'file').read_bytes()
    assert os.listdir(tmp_path / 'to') == ['file']


# Several connections, rates, combinations ----------------------------------------------------------

@pytest.mark.parametrize('options', [[], ['--atomic', '--resume']],
                         ids=lambda options: ' '.join(options) or 'plain')
def test_several_connections(tmp_path, way, options):
    source = make_tree(tmp_path / 'source')
    with open(os.path.join(source, 'large'), 'wb') as out:
        out.write(os.urandom(34000000))
    succeeds(copy(way, source, tmp_path / 'to', '-rp', '--jobs', '3', *options, server='openssh'))
    assert_same(source, tmp_path / 'to', times=True)


def test_rate(tmp_path, way):
    (tmp_path / 'file').write_bytes(os.urandom(300000))
    start = time.monotonic()
    succeeds(copy(way, tmp_path / 'file', tmp_path / 'to', '--bwlimit', '300K'))
    assert time.monotonic() - start > 0.5
    assert (tmp_path / 'to').read_bytes() == (tmp_path / 'file').read_bytes()


@pytest.mark.parametrize('options, what', [
    (['--checksum'], b'--sync'), (['--sync', '--delete'], b'-r'), (['--keep'], b'--atomic'),
    (['--jobs', '0'], b'jobs'), (['--bwlimit', 'fast'], b'rate'), (['-O', '--sync'], b'-O'),
    (['-R', '--atomic'], b'-R'), (['--unknown'], b'usage')])
def test_options_that_make_no_sense(tmp_path, options, what):
    (tmp_path / 'file').write_text('x')
    result = scp(*options, tmp_path / 'file', f'h:{tmp_path}/to')
    assert result.returncode != 0 and what in result.stderr and not (tmp_path / 'to').exists()


# Servers that are odd or hostile -------------------------------------------------------------------

@pytest.mark.parametrize('asked', [('shuffle',), ('short',), ('shuffle', 'short')], ids='+'.join)
def test_servers_that_take_liberties(tmp_path, asked, way):
    source = make_tree(tmp_path / 'source')
    succeeds(copy(way, source, tmp_path / 'to', '-rp', server=odd(*asked)))
    assert_same(source, tmp_path / 'to', times=True)


def told(name):
    """How an error message writes a name."""
    return b''.join(b'\\\\' if byte == 92 else bytes([byte]) if 32 <= byte < 127 else b'\\%03o' % byte
                    for byte in name)


@pytest.mark.parametrize('asked', ['refuse=5', 'eof'])
def test_servers_with_errors(tmp_path, asked, way):
    """Each file is either right or named in an error."""
    source = make_tree(tmp_path / 'source')
    result = copy(way, source, tmp_path / 'to', '-r', server=odd(asked))
    if asked.startswith('refuse'):
        assert result.returncode == 1 and b'"' in result.stderr
    for folder, _, files in os.walk(os.fsencode(source)):
        for name in files:
            path = os.path.join(folder, name)
            other = os.path.join(os.fsencode(tmp_path / 'to'), os.path.relpath(path, os.fsencode(source)))
            with open(path, 'rb') as one:
                content = one.read()
            if os.path.exists(other):
                with open(other, 'rb') as one:
                    same = one.read() == content
                assert same or told(name) in result.stderr or asked == 'eof'


@pytest.mark.parametrize('asked', ['stray', 'huge', 'more', 'cut=1000', 'cut=60000'])
def test_servers_that_break_the_protocol(tmp_path, asked):
    source = make_tree(tmp_path / 'source')
    result = copy('down', source, tmp_path / 'to', '-r', server=odd(asked))
    assert result.returncode != 0 and result.stderr


def test_names_that_lead_out(tmp_path):
    source = small_tree(tmp_path / 'source')
    result = copy('down', source, tmp_path / 'to' / 'in', '-r', server=odd('names'),
                  cwd=(tmp_path / 'to').mkdir())
    assert result.returncode == 1 and b'suspect path' in result.stderr
    assert not (tmp_path / 'to' / 'evil').exists() and not (tmp_path / 'evil').exists()
    assert (tmp_path / 'to' / 'in' / 'four').exists()


def test_server_without_a_word_is_left(tmp_path):
    """It never answers: ^C ends the waiting."""
    process = subprocess.Popen([nacre('scp'), '-D', odd('silent'), '--atomic', '/etc/hostname',
                                f'h:{tmp_path}/x'], stderr=subprocess.PIPE)
    until(lambda: open(f'/proc/{process.pid}/task/{process.pid}/children').read(), 'the server')
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode != 0
