"""sftp, ours: every command beside OpenSSH's sftp, on both sftp-servers; batches, terminals, logins."""
import os
import re
import shutil
import subprocess

import pytest

import hostile_sftp_server as hostile
from conftest import Client, nacre, need, openssh, run
from test_ssh import terminal  # noqa: F401 (a fixture)
from trees import assert_same, make_tree

SERVERS = ['nacre', 'openssh']

# Each line is tried whatever the one before it did. "{far}" is the remote directory.
COMMANDS = '''
pwd
lpwd
cd nodir
cd {far}/f1
cd {far}
ls
ls -1
ls -l
ls -a
ls -la
ls -lh
ls -1r
ls nofile
ls f*
ls -l dir
ls dir
ls {far}/dir
ls *.c
ls dir/*.c
ls ./dir
ls -1S f?
ls -1t f?
ls dir dir
ls *
ls -l *
ls -l ln
ls -h dir
ls -1l dir
ls -l1 dir
ls -lh t*
ls "sp ace"
ls sp\\ ace
ls "st*r"
ls st*r
ls 'sp ace'
ls 'a\\\\b'
ls 'a\\'b'
ls .h*
get nofile
get f1
get f1 newname
get f1 nodir/x
get f1 ld
get dir
get -r dir
get -r dir dir2
get dir/*.c
get f? nodir
get -p f2
get "sp ace"
get "st*r" literal
put loc
put loc newloc
put loc dir
put loc nodir/x
put nolocal
put ld
put -r ld
put -r ld ldnew
put -p old
put *.l
put *.l dir
put "lo*c"
reput loc
put -a part
reget f1
reget f2 short
rm nofile
rm newloc
rm dir/*.c
rm none*
rmdir nodir
rmdir dir
mkdir md
mkdir md
mkdir "m d"
rmdir md
rename f1 f1r
rename nofile y
ln f1r hl
ln -s f1r sl
ln nofile x
symlink nowhere b
chmod 640 f1r
chmod abc f1r
chmod 640
chmod 600 nofile
chmod 604 f*
chmod 99 f2
chown x f1r
chgrp x f1r
version
lcd ld
lcd nodirx
lpwd
lcd ..
lmkdir lm
lmkdir lm
lumask 077
lumask 9
lmkdir lm2
!echo shell
copy f1r f1c
cp nofile f1c2
cp dir f1c2
foo
get
put
rename a
mkdir
ls -z
get -z x
ls "sp
# a comment
   # another
df -z
help
?
'''


def scene(folder):
    """A local directory and a remote one."""
    shutil.rmtree(folder, ignore_errors=True)
    near, far = folder / 'near', folder / 'far'
    os.makedirs(near / 'ld')
    os.makedirs(far / 'dir' / 'sub')
    for path, text in ((far / 'f1', 'hello\n'), (far / 'f2', 'hi\n'), (far / 'sp ace', ''),
                       (far / 'st*r', 'star'), (far / 'stbr', ''), (far / 'dir/x.c', ''),
                       (far / 'dir/y.c', 'y'), (far / '.hid', ''), (far / 'part', 'par'),
                       (near / 'loc', 'loc\n'), (near / 'old', 'old'), (near / 'ld/a', 'a\n'),
                       (near / 'a.l', 'a'), (near / 'b.l', 'b'), (near / 'lo*c', 'literal'),
                       (near / 'part', 'part and the rest'), (near / 'short', 'h')):
        path.write_text(text)
    os.symlink('f1', far / 'ln')
    os.mkfifo(far / 'pipe')
    os.chmod(far / 'f2', 0o600)
    # One time for all but two, so that the order by time is one.
    for number, path in enumerate(sorted(folder.rglob('*'))):
        os.utime(path, (number + 10, 1577934245 + number), follow_symlinks=False)
    return near, far


def talk(program, server, folder, lines, *options, prefix='-'):
    """Runs a batch; output, errors, what is there afterwards."""
    near, far = scene(folder)
    text = ''.join(f'{prefix}{line}\n' if line and line[0] not in '#?' and not line.startswith('   ')
                   else f'{line}\n' for line in lines)
    batch = folder.parent / 'batch'
    batch.write_text(text.replace('{far}', str(far)))
    result = run([program, '-D', server, '-b', str(batch), *options], cwd=near, umask=0o022)
    tree = sorted((str(path.relative_to(folder)), path.lstat().st_mode, path.lstat().st_nlink,
                   os.readlink(path) if path.is_symlink() else
                   path.read_bytes() if path.is_file() else None)
                  for path in folder.rglob('*'))
    return result.returncode, result.stdout.decode(), result.stderr.decode().replace('\r', ''), tree


@pytest.mark.parametrize('server', SERVERS)
def test_commands_do_as_openssh_does(tmp_path, server):
    need('sftp')
    server = nacre('sftp-server') if server == 'nacre' else openssh('sftp-server')
    lines = [line for line in COMMANDS.split('\n')]
    ours = talk(nacre('sftp'), server, tmp_path / 'scene', lines)
    theirs = talk('sftp', server, tmp_path / 'scene', lines)
    assert ours[2].split('\n') == theirs[2].split('\n')
    assert ours[1].split('\n') == theirs[1].split('\n')
    assert ours[3] == theirs[3]
    assert ours[0] == theirs[0] == 0


# "far" has links, one that leads nowhere, and a pipe.
COPIES = '''
cd {far}
get *
put *
get tod
get -r tod
get -r tod
get -r ln lnn
get pipe
get -r pipe
get dangling
put dangling
put told
put -r told
put -r told
get -r dir nd
get -r dir nd
get -r ../far/tod nd2
get -r tod/ nd3
get tod/x.c xx
chgrp {group} dir/*.c
'''


def test_copying_goes_on_after_what_cannot_be_copied(tmp_path):
    need('sftp')
    seen = []
    for program in (nacre('sftp'), 'sftp'):
        near, far = scene(tmp_path / 'scene')
        (far / 'tod').symlink_to('dir')
        for place in (near, far):
            (place / 'dangling').symlink_to('nowhere')
        (near / 'told').symlink_to('ld')
        lines = COPIES.format(far=far, group=os.getgid()).split('\n')
        batch = tmp_path / 'batch'
        for text in ('\n'.join(f'-{line}' for line in lines if line), f'cd {far}\nget *\nget f1 never\n'):
            batch.write_text(text)
            result = run([program, '-N', '-D', openssh('sftp-server'), '-b', str(batch)], cwd=near)
            seen.append((program, result.returncode, result.stdout, result.stderr.replace(b'\r', b''),
                         sorted(str(path.relative_to(near)) for path in near.parent.rglob('*')
                                if near in path.parents)))
    half = len(seen) // 2
    for ours, theirs in zip(seen[:half], seen[half:]):
        assert ours[1:] == theirs[1:]
    assert [one[1] for one in seen] == [0, 1, 0, 1]


def test_owners_of_a_server_that_tells_no_names(tmp_path):
    """Its own lines are shown then."""
    need('sftp')
    lines = ['cd {far}', 'ls -l', 'ls -l *', 'ls -n', 'ls -lh', 'ls -la dir', 'ls -l f1']
    server = openssh('sftp-server') + ' -P users-groups-by-id'
    ours, theirs = (talk(program, server, tmp_path / 'scene', lines) for program in (nacre('sftp'), 'sftp'))
    assert ours == theirs


@pytest.mark.parametrize('lines,status', [
    (['pwd', 'get nofile', 'pwd'], 1), (['-get nofile', 'pwd'], 0), (['@pwd', '-@ls nofile'], 0),
    (['@-ls nofile', 'bye', 'ls nofile'], 0), (['nonsense', 'pwd'], 1)])
def test_batches_end_as_openssh_ends_them(tmp_path, lines, status):
    need('sftp')
    for options in ([], ['-N'], ['-q']):
        ours = talk(nacre('sftp'), nacre('sftp-server'), tmp_path / 'scene', lines, *options, prefix='')
        theirs = talk('sftp', nacre('sftp-server'), tmp_path / 'scene', lines, *options, prefix='')
        assert ours[0] == theirs[0] == status
        assert ours[1] == theirs[1] and ours[2] == theirs[2]


def test_a_pipe_is_no_batch(tmp_path):
    """It is told what is done, and goes on after errors."""
    need('sftp')
    seen = []
    for program in (nacre('sftp'), 'sftp'):
        near, far = scene(tmp_path / 'scene')
        text = f'cd {far}\nget nofile\nget f1\nput loc up\nrm up\nget -r dir\nput -r ld {far}/x\n'
        result = run([program, '-D', nacre('sftp-server')], input=text.encode(), cwd=near)
        seen.append((result.returncode, result.stdout,
                     result.stderr.replace(b'\r', b'').split(b'\n', 1)[1]))
    assert seen[0] == seen[1]


# Lines that overlap ------------------------------------------------------------------------------------

# Operations on files of their own, and some that meet the one before, or that nothing overlaps with.
OPERATIONS = '''
mkdir new{0}
put put{0} {far}
put put{0} sent{0}
get get{0}
rename old{0} renamed{0}
rm rm{0}
chmod 600 mode{0}
ls -l ls{0}
ln ln{0} link{0}
put put{0} new{0}/inside
chmod 640 new{0}/inside
get new{0}/inside here{0}
rm new{0}/*
rmdir new{0}
symlink to{0} sym{0}
ls -1 sym{0} sym{0}
cp get{0} copied{0}
pwd
'''
FAILURES = '''
get missing{0}
rename missing{0} x{0}
mkdir get{0}
put absent{0}
ls none{0}
df -z
'''


def operations(folder, count):
    shutil.rmtree(folder, ignore_errors=True)
    near, far = folder / 'near', folder / 'far'
    near.mkdir(parents=True)
    far.mkdir()
    for number in range(count):
        for name in ('get', 'old', 'rm', 'mode', 'ls', 'ln'):
            (far / f'{name}{number}').write_text(f'{name} {number}\n')
        (near / f'put{number}').write_text(f'put {number}\n')
    for path in folder.rglob('*'):
        os.utime(path, (1577934245, 1577934245))
    return near, far


def tree_of(folder):
    return sorted((str(path.relative_to(folder)), path.lstat().st_mode, path.lstat().st_nlink,
                   os.readlink(path) if path.is_symlink() else
                   path.read_bytes() if path.is_file() else None) for path in folder.rglob('*'))


@pytest.mark.parametrize('server', SERVERS)
@pytest.mark.parametrize('mark,options', [('-', []), ('', ['-X', 'overlap=all']), ('-', ['-N'])])
def test_lines_that_overlap_do_as_one_after_another(tmp_path, server, mark, options):
    need('sftp')
    server = nacre('sftp-server') if server == 'nacre' else openssh('sftp-server')
    seen = []
    for program in (nacre('sftp'), 'sftp'):
        near, far = operations(tmp_path / 'scene', 20)
        lines = [f'cd {far}'] + [
            mark + line for number in range(20)
            for line in (OPERATIONS + FAILURES * bool(mark)).format(number, far=far).split('\n') if line]
        batch = tmp_path / 'batch'
        batch.write_text('\n'.join(lines) + '\n')
        shared = [option for option in options if program != 'sftp' or option == '-N']
        result = run([program, *shared, '-D', server, '-b', str(batch)], cwd=near, umask=0o022)
        seen.append((result.returncode, result.stdout.split(b'\n'),
                     result.stderr.replace(b'\r', b'').split(b'\n'), tree_of(near.parent)))
    assert seen[0] == seen[1]


def groups_of_questions(tmp_path, lines, *options):
    """How many questions at once a server gets that waits for more before it answers."""
    log = tmp_path / 'log'
    log.write_text('')
    result = run([nacre('sftp'), *options, '-D', hostile.command('Patient', str(log)), '-b', '-'],
                 input='\n'.join(lines).encode() + b'\n', cwd=tmp_path)
    return result, [int(number) for number in log.read_text().split()]


def test_which_lines_overlap(tmp_path):
    changes = [f'mkdir d{number}' for number in range(30)]
    looks = ['ls file'] * 30
    assert max(groups_of_questions(tmp_path, changes)[1]) <= 2       # the first one asks for limits, too
    assert max(groups_of_questions(tmp_path, changes, '-X', 'overlap=all')[1]) >= 25
    assert max(groups_of_questions(tmp_path, [f'-{line}' for line in changes])[1]) >= 25
    assert max(groups_of_questions(tmp_path, [f'-{line}' for line in changes], '-X', 'overlap=none')[1]) <= 2
    assert max(groups_of_questions(tmp_path, looks)[1]) >= 25
    # What meets on a path is done in turn.
    assert max(groups_of_questions(tmp_path, [f'-mkdir d/{"x/" * number}' for number in range(20)])[1]) <= 2
    assert max(groups_of_questions(tmp_path, ['-rm d/*', '-mkdir d/e'] * 5)[1]) <= 3


@pytest.mark.parametrize('server', SERVERS)
def test_nothing_is_done_behind_a_failure(tmp_path, server):
    """Marked lines behind one that fails and is not marked, even one that only looks."""
    server = nacre('sftp-server') if server == 'nacre' else openssh('sftp-server')
    near, far = operations(tmp_path / 'scene', 20)
    before = tree_of(far)
    for first in ('ls nothing', 'get nothing', 'mkdir get0', 'rename nothing x'):
        lines = [f'cd {far}', first, *(f'-rm rm{number}' for number in range(20)), 'mkdir end']
        result = run([nacre('sftp'), '-D', server, '-b', '-'], input='\n'.join(lines).encode(), cwd=near)
        assert result.returncode == 1 and tree_of(far) == before
        assert result.stdout.decode().split('\n')[-2] == f'sftp> {first}'


def test_what_was_under_way_is_named(tmp_path):
    near, far = operations(tmp_path / 'scene', 20)
    lines = [f'cd {far}', 'mkdir one', 'mkdir get0', 'ls', *(f'rm rm{number}' for number in range(20))]
    result = run([nacre('sftp'), '-X', 'overlap=all', '-D', nacre('sftp-server'), '-b', '-'],
                 input='\n'.join(lines).encode(), cwd=near)
    assert result.returncode == 1
    for number in range(20):
        gone = not (far / f'rm{number}').exists()
        assert gone == (f'"rm rm{number}" was under way already' in result.stderr.decode())


def test_a_pipe_that_waits_for_answers(tmp_path):
    """Lines are not waited for while there is something to tell."""
    process = subprocess.Popen([nacre('sftp'), '-D', nacre('sftp-server'), '-b', '-'], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, cwd=tmp_path)
    for number in range(5):
        process.stdin.write(f'-mkdir d{number}\n-ls -1\n'.encode())
        process.stdin.flush()
        assert process.stdout.readline() == f'sftp> -mkdir d{number}\n'.encode()
        assert process.stdout.readline() == b'sftp> -ls -1\n'
        for seen in range(number + 1):
            assert process.stdout.readline() == f'd{seen}\n'.encode()
    process.stdin.close()
    assert process.wait() == 0


@pytest.mark.parametrize('words,status', [
    ([], 1), (['-Z'], 1), (['-B', '0', 'h'], 255), (['-l', 'x', 'h'], 255), (['-b', '/nonexistent', '-D', 'X'], 255),
    (['-P', '1', '-F', 'none', '127.0.0.1'], 255)])
def test_says_what_is_wrong(words, status):
    words = [nacre('sftp-server') if word == 'X' else word for word in words]
    result = run([nacre('sftp'), *words])
    assert result.returncode == status and result.stderr


@pytest.mark.parametrize('server', ['nacre_sshd', 'openssh_sshd'])
def test_login(request, account, workspace, user_keys, nacre_ssh, server, tmp_path):
    server = request.getfixturevalue(server)
    tree = make_tree(os.path.join(workspace, 'tree'))
    os.chmod(os.path.join(tree, 'plain'), 0o644)
    os.chmod(os.path.join(tree, 'empty'), 0o755)
    os.unlink(os.path.join(tree, 'link'))
    options = [*nacre_ssh.options(server), '-P', str(server.port)]
    where = f'{server.user}@127.0.0.1'
    batch = tmp_path / 'batch'
    batch.write_text(f'put -rp {tree} {workspace}/up\nget -rp {workspace}/up {workspace}/down\n')
    result = run([nacre('sftp'), *options, '-b', str(batch), where])
    assert result.returncode == 0, result.stderr
    assert_same(tree, os.path.join(workspace, 'up'), times=True)
    assert_same(tree, os.path.join(workspace, 'down'), times=True)
    # A path behind the destination: a file is fetched, a directory entered.
    result = run([nacre('sftp'), *options, f'{where}:{workspace}/up/plain', ], cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / 'plain').exists()
    for form in (f'{where}:{workspace}/up/plain', f'sftp://{where}:{server.port}/{workspace}/up/plain'):
        (tmp_path / 'another').unlink(missing_ok=True)
        result = run([nacre('sftp'), *options, form, 'another'], cwd=tmp_path)
        assert result.returncode == 0 and (tmp_path / 'another').exists(), result.stderr
    result = run([nacre('sftp'), *options, f'sftp://{where}:{server.port}/{workspace}/up'], input=b'pwd\n')
    assert f'Remote working directory: {workspace}/up'.encode() in result.stdout
    # By the path of the server, without a subsystem.
    result = run([nacre('sftp'), *options, '-s', nacre('sftp-server'), where], input=b'pwd\n')
    assert b'Remote working directory: ' in result.stdout


def test_another_program_for_the_connection(nacre_sshd, nacre_ssh):
    result = run([nacre('sftp'), '-S', nacre('ssh'), *nacre_ssh.options(nacre_sshd), '-P',
                  str(nacre_sshd.port), f'{nacre_sshd.user}@127.0.0.1'], input=b'pwd\n')
    assert b'Remote working directory: ' in result.stdout, result.stderr


@pytest.mark.parametrize('server', SERVERS)
def test_resumes(tmp_path, server):
    server = nacre('sftp-server') if server == 'nacre' else openssh('sftp-server')
    content = os.urandom(3_000_000)
    whole, part = tmp_path / 'whole', tmp_path / 'part'
    whole.write_bytes(content)
    for command in (f'reget {whole} {part}', f'reput {whole} {part}', f'get -a {whole} {part}',
                    f'put -af {whole} {part}'):
        part.write_bytes(content[:1_234_567])
        result = run([nacre('sftp'), '-D', server, '-b', '-'], input=command.encode())
        assert result.returncode == 0, result.stderr
        assert part.read_bytes() == content


def test_a_server_that_goes_away(tmp_path):
    dying = tmp_path / 'dying'
    dying.write_text(f'#!/bin/sh\nhead -c 50 | {nacre("sftp-server")}\n')
    dying.chmod(0o755)
    result = run([nacre('sftp'), '-D', str(dying), '-b', '-'], input=b'pwd\nls\nls\nls\nls\n')
    assert result.returncode == 255 and b'Connection closed' in result.stderr


def test_hostile_names(tmp_path):
    """What would act on a terminal is not shown to it."""
    folder = tmp_path / 'folder'
    folder.mkdir()
    (folder / 'a\x1b[31mb\nc').write_text('')
    result = run([nacre('sftp'), '-D', nacre('sftp-server'), '-b', '-'],
                 input=f'ls -l {folder}\nls {folder}\nls -1 {folder}\n'.encode())
    assert result.returncode == 0 and b'\x1b' not in result.stdout
    assert result.stdout.count(rb'a\033[31mb\012c') == 3


# A person ----------------------------------------------------------------------------------------------

def test_typing(tmp_path, terminal):  # noqa: F811
    near, far = scene(tmp_path / 'scene')
    person = terminal(['sh', '-c', f'cd {near} && exec {nacre("sftp")} -D {nacre("sftp-server")}'],
                      columns=100)
    person.expect('Attached to')
    person.expect('sftp> ')
    person.type(f'cd {far}/\n')
    person.expect('sftp> ')
    person.type('get f\t')              # f1 or f2
    person.expect('f1  f2')
    person.type('2\n')
    person.expect('Fetching .*/f2 to f2')
    person.expect('100%')
    person.type('ls -l sp\t\n')         # quoted as it needs to be
    person.expect(r'\\ ace')
    person.expect('sp ace')
    person.type('put lo\t')
    person.expect('sftp> put lo')
    person.type('c\n')
    person.expect('Uploading loc to')
    person.type('cd d\tsu\t\npwd\n')
    person.expect('Remote working directory: .*/dir/sub')
    person.type('\x1b[A\x1b[A\n')       # from the history
    person.expect('sub')
    person.type('hel\t\n')
    person.expect('Available commands:')
    person.expect('sftp> ')
    for line in ('wrong line', '', 'in the mid\x1b[Dd'):
        person.type(f'{line}\x03')      # ^C begins anew
        person.expect('sftp> ')
    person.type("!echo go''ing; exec sleep 100\n")
    person.expect('going')
    person.type('\x03')
    person.expect('Shell exited abnormally')
    person.expect('sftp> ')
    person.type("!echo st''ill here\n")
    person.expect('still here\r\nsftp> ')
    person.type('bye\n')
    assert person.wait() == 0
    assert (near / 'f2').read_text() == 'hi\n' and (far / 'loc').exists()


def test_names_of_all_kinds_are_completed(tmp_path, terminal):  # noqa: F811
    for name in ('two words', 'gr\u00fc\u00dfe', "quo'te", 'st*r', 'folder'):
        if name == 'folder':
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).write_text(name)
    person = terminal(['env', 'LC_ALL=C.UTF-8', nacre('sftp'), '-D', nacre('sftp-server')], columns=60)
    person.expect('sftp> ')
    person.type(f'cd {tmp_path}\n')
    person.expect('sftp> ')
    for typed, line in (('tw', 'two words'), ('"tw', 'two words'), ("'tw", 'two words'),
                        ('gr', 'gr\u00fc\u00dfe'), ('gr\u00fc', 'gr\u00fc\u00dfe'), ('quo', "quo'te"),
                        ('st', r'st\*r')):
        person.type(f'ls -1 {typed}\t\n')
        person.expect(f'\n{line}\r\n')
        person.expect('sftp> ')
    person.type('ls fo\t')
    person.expect('lder/')
    person.type('\x03')
    person.expect('sftp> ')
    person.type('ls\n')                    # as wide as the window
    person.expect('folder +gr\u00fc\u00dfe +quo\'te')
    person.type('progress\n')
    person.expect('Progress meter disabled')
    person.type('bye\n')
    assert person.wait() == 0


def test_interrupting(tmp_path, terminal):  # noqa: F811
    """^C stops a transfer and not the program; the rest is fetched afterwards."""
    content = os.urandom(6_000_000)
    (tmp_path / 'big').write_bytes(content)
    (tmp_path / 'near').mkdir()
    person = terminal(['sh', '-c', f'cd {tmp_path}/near && exec {nacre("sftp")} -l 8000 -D {nacre("sftp-server")}'])
    person.expect('sftp> ')
    person.type(f'get {tmp_path}/big\n')
    person.expect('Fetching')
    person.expect('ETA')
    person.type('\x03')
    person.expect('Interrupt')
    person.expect('sftp> ')
    person.type('!stat -c %s big\n')
    size = int(person.expect(r'\n(\d+)\r').group(1))
    assert 0 < size < len(content)
    person.type('bye\n')
    assert person.wait() == 0
    result = run([nacre('sftp'), '-D', nacre('sftp-server'), '-b', '-'], cwd=tmp_path / 'near',
                 input=f'reget {tmp_path}/big\n'.encode())
    assert result.returncode == 0 and (tmp_path / 'near/big').read_bytes() == content
