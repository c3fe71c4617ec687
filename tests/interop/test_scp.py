"""scp, ours: trees up, down and across by SFTP and by the old protocol, beside OpenSSH's scp, with
sftp-servers on pipes and through real logins."""
import os
import shutil
import subprocess
import sys
import textwrap

import pytest

from conftest import nacre, need, openssh, run, until
from trees import assert_same, make_tree

SERVERS = ['nacre', 'openssh']


def sftp_server(name):
    return nacre('sftp-server') if name == 'nacre' else openssh('sftp-server')


def scp(*arguments, server='nacre', program=None, **options):
    """Over pipes to an sftp-server: no login."""
    return run([program or nacre('scp'), '-D', sftp_server(server), *map(str, arguments)], **options)


# SFTP over pipes -----------------------------------------------------------------------------------

@pytest.mark.parametrize('server', SERVERS)
def test_tree_up_and_down(tmp_path, server):
    tree = make_tree(tmp_path / 'tree')
    result = scp('-rp', tree, f'h:{tmp_path}/up', server=server)
    assert (result.returncode, result.stderr) == (0, b'')
    assert_same(tree, tmp_path / 'up', times=True)
    result = scp('-rp', f'h:{tree}', tmp_path / 'down', server=server)
    assert (result.returncode, result.stderr) == (0, b'')
    assert_same(tree, tmp_path / 'down', times=True)
    result = scp('-r', f'h:{tree}', f'h:{tmp_path}/across', server=server)
    assert (result.returncode, result.stderr) == (0, b'')
    assert_same(tree, tmp_path / 'across', modes=False)


@pytest.mark.parametrize('server', SERVERS)
def test_leaves_modes_and_times_as_openssh_does(tmp_path, server):
    tree = make_tree(tmp_path / 'tree')
    for name, program in (('ours', nacre('scp')), ('theirs', openssh('scp'))):
        scp('-r', tree, f'h:{tmp_path}/up-{name}', server=server, program=program)
        scp('-r', f'h:{tree}', tmp_path / f'down-{name}', server=server, program=program)
    assert_same(tmp_path / 'up-ours', tmp_path / 'up-theirs')
    assert_same(tmp_path / 'down-ours', tmp_path / 'down-theirs')


def scene(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder / 'd' / 'sub')
    os.makedirs(folder / 't')
    (folder / 'd' / 'a').write_text('a')
    (folder / 'd' / 'sub' / 'b').write_text('b')
    os.mkfifo(folder / 'd' / 'pipe')
    os.mkfifo(folder / 'pipe')


# Command lines in a scene; what is said, the status and what is there afterwards are OpenSSH's.
COMMANDS = [
    ['nope', 'h:t/'], ['h:nope', 't/'], ['h:nope*', 't/'], ['d/a', 'h:nodir/x'], ['d/a', 'h:nodir/'],
    ['d/a', 'h:t/'], ['d/a', 'h:t/new'], ['d', 'h:t/'], ['h:d', 't/'], ['-r', 'd', 'h:t/'],
    ['-r', 'd', 'h:new'], ['-r', 'h:{here}/d', '{here}/new'], ['d/a', 'd/sub/b', 'h:t'],
    ['d/a', 'd/sub/b', 'h:d/a'], ['h:d/a', 'h:d/sub/b', 't'], ['h:{here}/d/a', 'nodir/x'],
    ['-r', 'd', 'h:{here}/d/a'], ['h:d/?', 't'], ['-r', 'h:{here}/d', 'h:{here}/t'],
    ['h:', 'x'], ['-p', 'd/a', 'h:t'], ['d/a', 'd/sub/b'], ['-l', '100000', 'd/a', 'h:t'],
    ['-X', 'nrequests=2', '-X', 'buffer=1024', 'd/a', 'h:t'], ['-3', 'h:d/a', 'h:t'],
    ['h:pipe', 't'], ['h:{here}/pipe', 'h:t'], ['-r', 'h:pipe', 't'], ['h:/dev/null', 't'],
    ['h:d/a', 'h:pipe', 't'], ['-3', 'h:d', 'h:{here}/t'],
    ['d/a', 'd/sub/b', 'd/a'], ['d/a', 'd/sub/b', 'nodir'], ['h:d/a', 'h:d/sub/b', 'd/a'],
    ['./d/a', 'h:~/t'], ['h:~/d/a', 't'],
]


@pytest.mark.parametrize('command', COMMANDS, ids=' '.join)
def test_says_and_does_as_openssh_does(tmp_path, command):
    seen = []
    here = tmp_path / 'here'
    for program in (nacre('scp'), openssh('scp')):
        scene(here)
        words = [word.format(here=here) for word in command]
        result = scp(*words, server='openssh', program=program, cwd=here)
        tree = subprocess.run(['find', '.', '-printf', '%p %y %m %s\n'], cwd=here,
                              stdout=subprocess.PIPE, check=True).stdout
        seen.append((result.returncode, result.stderr.replace(b'\r', b'').replace(b'/usr/bin/scp', b'scp'), result.stdout,
                     sorted(tree.split(b'\n'))))
    assert seen[0] == seen[1]


def test_special_file_that_was_named(tmp_path):
    """OpenSSH's scp waits for a writer of a local pipe for ever."""
    os.mkfifo(tmp_path / 'pipe')
    result = scp(tmp_path / 'pipe', f'h:{tmp_path}/up', timeout=20)
    assert result.returncode == 1 and b'pipe" is not a regular file' in result.stderr
    assert not os.path.exists(tmp_path / 'up')


def test_usage_begins_as_openssh_has_it():
    ours, theirs = (run([program, 'one']) for program in (nacre('scp'), openssh('scp')))
    assert ours.returncode == theirs.returncode == 1
    assert ours.stderr.split()[:4] == theirs.stderr.split()[:4]


def test_unreadable_and_special_files(tmp_path):
    (tmp_path / 'd').mkdir()
    (tmp_path / 'd' / 'good').write_text('x')
    os.mkfifo(tmp_path / 'd' / 'pipe')
    os.symlink('nowhere', tmp_path / 'd' / 'dangling')
    result = scp('-r', tmp_path / 'd', f'h:{tmp_path}/up')
    assert result.returncode == 1
    assert b'stat local' in result.stderr and b'pipe: not a regular file' in result.stderr
    assert (tmp_path / 'up' / 'good').read_text() == 'x'
    assert sorted(os.listdir(tmp_path / 'up')) == ['good']


def test_full_disk(tmp_path):
    (tmp_path / 'f').write_bytes(bytes(100000))
    if not os.path.exists('/dev/full'):
        pytest.skip('no /dev/full')
    result = scp(tmp_path / 'f', 'h:/dev/full')
    assert result.returncode == 1 and b'write remote "/dev/full"' in result.stderr
    result = scp(f'h:{tmp_path}/f', '/dev/full')
    assert result.returncode == 1 and b'No space left on device' in result.stderr


def test_shorter_than_before(tmp_path):
    (tmp_path / 'f').write_bytes(b'short')
    for target in ('up', 'down'):
        (tmp_path / target).write_bytes(bytes(100000))
    scp(tmp_path / 'f', f'h:{tmp_path}/up')
    scp(f'h:{tmp_path}/f', tmp_path / 'down')
    assert (tmp_path / 'up').read_bytes() == (tmp_path / 'down').read_bytes() == b'short'
    assert scp(tmp_path / 'f', 'h:/dev/null').returncode == 0
    assert scp(f'h:{tmp_path}/f', '/dev/null').returncode == 0


def test_onto_itself(tmp_path):
    (tmp_path / 'f').write_bytes(b'precious' * 10000)
    scp(f'h:{tmp_path}/f', tmp_path / 'f')
    scp(tmp_path / 'f', f'h:{tmp_path}/f')
    assert (tmp_path / 'f').read_bytes() == b'precious' * 10000


def test_memory_is_bounded(tmp_path):
    for folder in range(20):
        (tmp_path / 'tree' / str(folder)).mkdir(parents=True)
        for number in range(500):
            (tmp_path / 'tree' / str(folder) / str(number)).write_text(str(number))
    for arguments in (('-r', tmp_path / 'tree', f'h:{tmp_path}/up'),
                      ('-r', f'h:{tmp_path}/up', tmp_path / 'down')):
        script = ('import resource, subprocess, sys; r = subprocess.call(sys.argv[1:]);'
                  'print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(r)')
        result = run([sys.executable, '-c', script, nacre('scp'), '-D', nacre('sftp-server'),
                      *map(str, arguments)])
        assert result.returncode == 0, result.stderr
        assert 'sanitize' in nacre('scp') or int(result.stdout) < 64 * 1024
    assert_same(tmp_path / 'tree', tmp_path / 'down')


@pytest.mark.parametrize('text, expected', [
    ('', b'usage:'), ('-l 0 a h:b', b'bandwidth'), ('-X zoo=1 a h:b', b'-X'), ('-Z a b', b'usage:')])
def test_refuses_bad_command_lines(text, expected):
    result = run([nacre('scp'), *text.split()])
    assert result.returncode != 0 and expected in result.stderr


def test_server_that_goes_away(tmp_path):
    (tmp_path / 'f').write_text('x')
    for program in ('/bin/true', '/bin/echo Welcome to this machine, stranger'):
        result = run([nacre('scp'), '-D', program, str(tmp_path / 'f'), 'h:x'], timeout=20)
        assert result.returncode != 0 and result.stderr


def test_meter_on_a_terminal(tmp_path):
    (tmp_path / 'f').write_bytes(bytes(5000))
    need('script')
    command = f'{nacre("scp")} -D {nacre("sftp-server")} {tmp_path}/f h:{tmp_path}/g'
    result = run(['script', '-qec', command, '/dev/null'], stdin=subprocess.DEVNULL)
    assert b'f ' in result.stdout and b'100% 5000' in result.stdout and b'B/s' in result.stdout
    result = run(['script', '-qec', command.replace(' -D', ' -q -D'), '/dev/null'])
    assert b'100%' not in result.stdout


# The old protocol ----------------------------------------------------------------------------------

@pytest.fixture
def fake_ssh(tmp_path):
    """A program for -S that runs the command here, with our scp or OpenSSH's as "scp"."""
    def make(server):
        folder = tmp_path / f'bin-{server}'
        folder.mkdir(exist_ok=True)
        target = nacre('scp') if server == 'nacre' else openssh('scp')
        (folder / 'scp').unlink(missing_ok=True)
        (folder / 'scp').write_text(f'#!/bin/sh\nexec {target} "$@"\n')
        (folder / 'scp').chmod(0o755)
        program = folder / 'ssh'
        program.write_text(f'#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift 2\n'
                           f'PATH={folder}:$PATH exec sh -c "$*"\n')
        program.chmod(0o755)
        return str(program)
    return make


@pytest.mark.parametrize('client, server', [('nacre', 'nacre'), ('nacre', 'openssh'),
                                            ('openssh', 'nacre')])
def test_old_protocol(tmp_path, fake_ssh, client, server):
    tree = make_tree(tmp_path / 'tree')
    os.unlink(os.fsencode(tree) + b'/new\nline')  # the protocol changes such a name
    program = nacre('scp') if client == 'nacre' else openssh('scp')
    base = [program, '-O', '-S', fake_ssh(server)]
    result = run([*base, '-rp', str(tree), f'h:{tmp_path}/up'])
    assert (result.returncode, result.stderr) == (0, b'')
    assert_same(tree, tmp_path / 'up', times=True)
    result = run([*base, '-rp', f'h:{tree}', f'{tmp_path}/down'])
    assert (result.returncode, result.stderr) == (0, b'')
    assert_same(tree, tmp_path / 'down', times=True)
    result = run([*base, f'h:{tree}/size*', f'{tmp_path}/down/empty'])
    assert result.returncode == 0, result.stderr
    result = run([*base, f'{tmp_path}/none', f'h:{tmp_path}/up'])
    assert result.returncode != 0 and b'No such file or directory' in result.stderr


def test_old_protocol_across(tmp_path, fake_ssh):
    (tmp_path / 'f').write_bytes(b'x' * 100000)
    result = run([nacre('scp'), '-O', '-S', fake_ssh('nacre'), f'a:{tmp_path}/f', f'b:{tmp_path}/g'])
    assert result.returncode == 0, result.stderr
    assert (tmp_path / 'g').read_bytes() == b'x' * 100000


@pytest.mark.parametrize('lines, made', [
    ("C0644 4 ../evil\\nevil", 'evil'), ("C0644 4 /tmp/evil\\nevil", 'evil'),
    ("D0755 0 ..\\nC0644 4 evil\\nevil", 'evil'), ("C0644 4 .ssh\\nevil", 'out/.ssh'),
    ("C0644 4 other\\nevil", 'out/other'), ("D0755 0 asked\\n", 'out/asked'),
    ("T1 0 1 0\\nC0644 4 other\\nevil", 'out/other'), ("C0644 99999999999999999999 asked\\n", 'out/asked'),
    ("C4777 4 other\\nevil", 'out/other'), ("Welcome\\n", 'out/Welcome'),
])
def test_old_protocol_attacks_are_refused(tmp_path, lines, made):
    """A server that sends what was not asked for."""
    (tmp_path / 'out').mkdir()
    evil = tmp_path / 'evil-ssh'
    evil.write_text(textwrap.dedent(f'''\
        #!/bin/sh
        printf '{lines}'
        cat >/dev/null
        '''))
    evil.chmod(0o755)
    result = run([nacre('scp'), '-O', '-S', str(evil), 'h:asked', f'{tmp_path}/out'], timeout=20)
    assert result.returncode != 0
    assert not os.path.exists(tmp_path / made)
    assert os.listdir(tmp_path / 'out') == []


@pytest.mark.parametrize('pattern, expected', [
    ('{one,t*}', ['one', 'three', 'two']), ('{one,{two,none}}', None), ('t{w,hre}{o,e}', None),
    ('{one}', None), ('{../f/one,two}', ['one', 'two']), ('\\{one,two\\}', None)])
def test_old_protocol_with_braces(tmp_path, fake_ssh, pattern, expected):
    """The remote shell expands them; the names that come are those that were asked for."""
    if not os.path.exists('/bin/bash'):
        pytest.skip('no shell that expands braces')
    (tmp_path / 'f').mkdir()
    for name in ('one', 'two', 'three', 'other'):
        (tmp_path / 'f' / name).write_text(name)
    program, seen = fake_ssh('openssh'), []
    with open(program) as file:
        script = file.read()
    with open(program, 'w') as file:
        file.write(script.replace('exec sh -c', 'exec bash -c'))
    for scp_program in (nacre('scp'), openssh('scp')):
        out = tmp_path / 'out'
        out.mkdir()
        result = run([scp_program, '-O', '-S', program, f'h:{tmp_path}/f/{pattern}', str(out)])
        seen.append((result.returncode, sorted(os.listdir(out))))
        shutil.rmtree(out)
    assert seen[0] == seen[1]
    assert expected is None or seen[0] == (0, expected)


def test_no_set_user_id_bit_arrives(tmp_path):
    evil = tmp_path / 'evil-ssh'
    evil.write_text("#!/bin/sh\nprintf 'C6777 4 asked\\nevil\\0'\nhead -c 3 >/dev/null\n")
    evil.chmod(0o755)
    run([nacre('scp'), '-O', '-p', '-S', str(evil), 'h:asked', str(tmp_path / 'out')], timeout=20)
    assert os.stat(tmp_path / 'out').st_mode & 0o7777 == 0o777


# Through real logins -------------------------------------------------------------------------------

@pytest.mark.parametrize('server', ['nacre_sshd', 'openssh_sshd'])
@pytest.mark.parametrize('protocol', ['-s', '-O'])
def test_login(request, workspace, account, user_keys, nacre_ssh, server, protocol):
    server = request.getfixturevalue(server)
    tree = make_tree(os.path.join(workspace, 'tree'))
    if protocol == '-O':
        os.unlink(os.fsencode(tree) + b'/new\nline')
    os.chmod(os.path.join(tree, 'plain'), 0o644)  # the account reads it
    os.chmod(os.path.join(tree, 'empty'), 0o755)
    command = [nacre('scp'), *nacre_ssh.options(server), protocol, '-P', str(server.port), '-rp']
    where = f'{server.user}@127.0.0.1'
    result = run([*command, tree, f'{where}:{workspace}/up'])
    assert result.returncode == 0, result.stderr
    assert_same(tree, os.path.join(workspace, 'up'), times=True)
    result = run([*command, f'{where}:{workspace}/up', f'{workspace}/down'])
    assert result.returncode == 0, result.stderr
    assert_same(tree, os.path.join(workspace, 'down'), times=True)
    if protocol == '-s':
        result = run([*command, f'{where}:{workspace}/up',
                      f'scp://{where}:{server.port}/{workspace}/across'])
        assert result.returncode == 0, result.stderr
        assert_same(tree, os.path.join(workspace, 'across'), times=True)


def test_program_for_the_connection(workspace, nacre_sshd, nacre_ssh):
    """-S starts an ssh, ours here."""
    path = os.path.join(workspace, 'f')
    with open(path, 'w') as file:
        file.write('x')
    command = [nacre('scp'), '-S', nacre('ssh'), *nacre_ssh.options(nacre_sshd), '-P',
               str(nacre_sshd.port)]
    result = run([*command, path, f'{nacre_sshd.user}@127.0.0.1:{workspace}/g'])
    assert result.returncode == 0, result.stderr
    with open(os.path.join(workspace, 'g')) as file:
        assert file.read() == 'x'


@pytest.fixture
def two_hosts(servers, nacre_sshd, user_keys, tmp_path):
    """A configuration in which "far" is reached by way of "near", and "source" allows the agent."""
    far = servers.sshd(nacre('sshd'))
    known = tmp_path / 'known'
    known.write_bytes(b''.join(open(server.known_hosts, 'rb').read() for server in (nacre_sshd, far)))
    config = tmp_path / 'config'
    config.write_text(f"""Host near
    Port {nacre_sshd.port}
Host far
    Port {far.port}
    ProxyJump near
Host *
    Hostname 127.0.0.1
    User {far.user}
    IdentityFile {user_keys['ed25519']}
    IdentitiesOnly yes
    BatchMode yes
    UserKnownHostsFile {known}
    GlobalKnownHostsFile /dev/null
""")
    return far, ['-F', str(config)]


@pytest.mark.parametrize('more', [[], ['-C'], ['-O'], ['-C', '-O'], ['-J', 'near'], ['-4', '-B']])
def test_by_way_of_another_host(two_hosts, workspace, tmp_path, more):
    _, options = two_hosts
    content = os.urandom(300000)
    (tmp_path / 'source').write_bytes(content)
    result = run([nacre('scp'), *options, *more, str(tmp_path / 'source'), f'far:{workspace}/copy'])
    assert (result.returncode, result.stderr) == (0, b'')
    with open(f'{workspace}/copy', 'rb') as file:
        assert file.read() == content
    result = run([nacre('scp'), *options, *more, f'far:{workspace}/copy', str(tmp_path / 'back')])
    assert (result.returncode, result.stderr) == (0, b'')
    assert (tmp_path / 'back').read_bytes() == content


@pytest.mark.parametrize('protocol', ['-s', '-O'])
def test_directly_between_hosts(servers, nacre_ssh, account, user_keys, workspace, tmp_path, protocol):
    """-R: the source host's scp connects to the target, with our agent."""
    if not account.temporary:
        pytest.skip('needs a home directory that a test may write to')
    need('scp')
    server = servers.sshd(nacre('sshd'))
    os.makedirs(f'{account.home}/.ssh', 0o700, exist_ok=True)
    config, content = f'{account.home}/.ssh/config', os.urandom(100000)
    with open(config, 'w') as file:
        file.write(f'Host 127.0.0.1\nUserKnownHostsFile {server.known_hosts}\nPort {server.port}\n')
    for path in (f'{account.home}/.ssh', config):
        account.own(path)
    with open(f'{workspace}/source', 'wb') as file:
        file.write(content)
    agent = subprocess.Popen([nacre('ssh-agent'), '-D', '-a', str(tmp_path / 'agent')],
                             stdout=subprocess.DEVNULL)
    try:
        environment = dict(os.environ, SSH_AUTH_SOCK=str(tmp_path / 'agent'))
        until(lambda: os.path.exists(tmp_path / 'agent'), 'the agent')
        run([nacre('ssh-add'), '-q', user_keys['ed25519']], check=True, env=environment)
        host = f'{server.user}@127.0.0.1'
        result = run([nacre('scp'), '-o', 'IdentityAgent=SSH_AUTH_SOCK', *nacre_ssh.options(server),
                      '-P', str(server.port), '-A', '-R', protocol, f'{host}:{workspace}/source',
                      f'{host}:{workspace}/copy'], env=environment)
        assert result.returncode == 0, result.stderr
        with open(f'{workspace}/copy', 'rb') as file:
            assert file.read() == content
    finally:
        agent.terminate()
        agent.wait()
        os.unlink(config)


def test_no_connection(free_port):
    result = run([nacre('scp'), '-F', 'none', '-P', str(free_port()), '/etc/hostname', '127.0.0.1:x'])
    assert result.returncode == 255 and b'Connection refused' in result.stderr
