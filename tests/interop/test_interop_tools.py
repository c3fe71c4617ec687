"""Tools that sit on SSH: curl (libssh2), git, rsync, tar, and ssh-audit's opinion."""
import os
import re

import pytest

from conftest import BUILD, PASSWORD, make_key, nacre, need, run

PAYLOAD = os.urandom(300_000)


# libssh2 ------------------------------------------------------------------------------------------

def curl(server, key, *words, password=''):
    need('curl')
    version = run(['curl', '-V']).stdout
    if b' scp' not in version or b' sftp' not in version:
        pytest.skip("curl was built without libssh2")
    with_key = ['--key', key, '--pubkey', f'{key}.pub'] if key else []
    return run(['curl', '-s', '-S', '-k', '-u', f'{server.user}:{password}', *with_key, *words])


# libssh2 before 1.11 signs with RSA and SHA-1 only, which this server takes.
@pytest.mark.parametrize('key_type', ['ed25519', 'rsa', 'ecdsa-256', 'ecdsa-384', 'ecdsa-521'])
@pytest.mark.parametrize('scheme', ['sftp', 'scp'])
def test_curl(nacre_sshd, user_keys, workspace, tmp_path, account, scheme, key_type):
    (tmp_path / 'file').write_bytes(PAYLOAD)
    url = f'{scheme}://127.0.0.1:{nacre_sshd.port}{workspace}/file'
    result = curl(nacre_sshd, user_keys[key_type], '-T', str(tmp_path / 'file'), url)
    assert result.returncode == 0, result.stderr
    result = curl(nacre_sshd, user_keys[key_type], url)
    assert result.stdout == PAYLOAD


@pytest.mark.parametrize('scheme', ['sftp', 'scp'])
def test_curl_with_a_password(nacre_sshd, workspace, account, scheme):
    if not account.temporary:
        pytest.skip('only root can give somebody a password')
    with open(os.path.join(workspace, 'file'), 'wb') as file:
        file.write(PAYLOAD)
    url = f'{scheme}://127.0.0.1:{nacre_sshd.port}{workspace}/file'
    assert curl(nacre_sshd, None, url, password=PASSWORD).stdout == PAYLOAD
    assert curl(nacre_sshd, None, url, password='wrong').returncode != 0


def test_curl_lists_a_folder(nacre_sshd, user_keys, workspace):
    open(os.path.join(workspace, 'some file'), 'w').close()
    result = curl(nacre_sshd, user_keys['ed25519'],
                  f'sftp://127.0.0.1:{nacre_sshd.port}{workspace}/')
    assert b'some file' in result.stdout


# git and rsync over our ssh, and to our server ----------------------------------------------------

@pytest.fixture(params=['ours-to-ours', 'ours-to-openssh', 'openssh-to-ours'])
def remote_shell(request):
    """An ssh with its options, as GIT_SSH_COMMAND and rsync -e want it, and its server's port."""
    client, _, server = request.param.partition('-to-')
    fixtures = {'ours': ('nacre_ssh', 'nacre_sshd'), 'openssh': ('openssh_ssh', 'openssh_sshd')}
    client = request.getfixturevalue(fixtures[client][0])
    server = request.getfixturevalue(fixtures[server][1])
    return ' '.join([client.program, *client.options(server), '-p', str(server.port)]), server.port


def test_git_clone_and_push(remote_shell, account, workspace, tmp_path):
    need('git')
    remote_shell, port = remote_shell
    environment = {'PATH': os.environ['PATH'], 'HOME': str(tmp_path), 'GIT_SSH_COMMAND': remote_shell,
                   'GIT_AUTHOR_NAME': 'a', 'GIT_AUTHOR_EMAIL': 'a@example', 'GIT_CONFIG_NOSYSTEM': '1',
                   'GIT_COMMITTER_NAME': 'a', 'GIT_COMMITTER_EMAIL': 'a@example'}
    url = f'ssh://{account.name}@127.0.0.1:{port}{workspace}/repository'
    run(['git', 'init', '-q', '--bare', f'{workspace}/repository'], check=True, env=environment)
    for folder, folders, files in os.walk(f'{workspace}/repository'):
        for name in ['', *folders, *files]:
            account.own(os.path.join(folder, name))
    run(['git', 'clone', '-q', url, str(tmp_path / 'one')], check=True, env=environment)
    (tmp_path / 'one' / 'file').write_bytes(PAYLOAD * 10)
    for words in (['add', 'file'], ['commit', '-qm', 'one'], ['push', '-q', 'origin', 'HEAD']):
        run(['git', *words], check=True, env=environment, cwd=tmp_path / 'one')
    run(['git', 'clone', '-q', url, str(tmp_path / 'two')], check=True, env=environment)
    assert (tmp_path / 'two' / 'file').read_bytes() == PAYLOAD * 10


def test_rsync(remote_shell, account, workspace, tmp_path):
    need('rsync')
    remote_shell, _ = remote_shell
    (tmp_path / 'tree' / 'deep').mkdir(parents=True)
    for number in range(50):
        (tmp_path / 'tree' / 'deep' / f'file {number}').write_bytes(PAYLOAD[:number * 5000])
    remote = f'{account.name}@127.0.0.1:{workspace}/tree'
    run(['rsync', '-a', '--no-owner', '--no-group', '-e', remote_shell, f'{tmp_path}/tree/', remote],
        check=True)
    run(['rsync', '-a', '--no-owner', '--no-group', '-e', remote_shell, remote + '/', f'{tmp_path}/back/'],
        check=True)
    assert run(['diff', '-r', f'{tmp_path}/tree', f'{tmp_path}/back']).returncode == 0


def test_tar_both_ways_at_once(nacre_ssh, nacre_sshd):
    payload = PAYLOAD * 100
    assert nacre_ssh.run(nacre_sshd, 'cat', input=payload).stdout == payload


# The examples of the README -----------------------------------------------------------------------

def test_exec_client_example(nacre_sshd, user_keys, tmp_path):
    config = tmp_path / 'config'
    text = (f'Host test\n HostName 127.0.0.1\n Port {nacre_sshd.port}\n User {nacre_sshd.user}\n'
            f' IdentityFile {user_keys["ed25519"]}\n IdentityAgent none\n StrictHostKeyChecking yes\n'
            ' GlobalKnownHostsFile /dev/null\n UserKnownHostsFile ')
    config.write_text(text + nacre_sshd.known_hosts + '\n')
    command = [os.path.join(BUILD, 'examples/exec_client'), str(config), 'test']
    result = run([*command, 'echo out; echo err >&2; exit 7'])
    assert (result.returncode, result.stdout, result.stderr) == (7, b'out\n', b'err\n')
    config.write_text(text + '/dev/null\n')
    result = run([*command, 'true'])
    assert result.returncode == 255
    assert b'Host key verification failed' in result.stderr


def test_two_sessions_example():
    assert run([os.path.join(BUILD, 'examples/two_sessions')]).stdout == b'hello, sessions\n'


# ssh-audit ----------------------------------------------------------------------------------------

def test_ssh_audit_finds_nothing(servers, tmp_path):
    """With the server's defaults there is neither a failure nor a warning."""
    need('ssh-audit')
    key = make_key(str(tmp_path / 'rsa'), ['-t', 'rsa', '-b', '3072'])
    server = servers.sshd(nacre('sshd'), f'HostKey {key}\n', key_types=['ed25519'])
    report = run(['ssh-audit', '-n', '-l', 'warn', '-p', str(server.port), '127.0.0.1']).stdout.decode()
    assert '(gen) banner' in report or '# ' in report, report
    # What is newer than the tool is no finding.
    findings = [line for line in report.splitlines()
                if ('[warn]' in line or '[fail]' in line) and 'unknown algorithm' not in line
                and 'experimental algorithm' not in line]
    assert findings == []


# Programs that start ssh by its name ------------------------------------------------------------------

@pytest.fixture
def as_ssh(nacre_sshd, user_keys, account, tmp_path):
    """An environment in which "ssh target" is ours, with a person's files: a home with a configuration,
    and our programs first in PATH. Its server and the environment."""
    home, first = tmp_path / 'home', tmp_path / 'bin'
    (home / '.ssh').mkdir(parents=True)
    first.mkdir()
    config = (f'Host target\n HostName 127.0.0.1\n Port {nacre_sshd.port}\n User {account.name}\n'
              f' IdentityFile {user_keys["ed25519"]}\n IdentityAgent none\n StrictHostKeyChecking yes\n'
              f' UserKnownHostsFile {nacre_sshd.known_hosts}\n GlobalKnownHostsFile /dev/null\n BatchMode yes\n')
    (home / '.ssh' / 'config').write_text(config)
    # ssh takes its home from the password file: the configuration is named.
    for program in ('ssh', 'sftp', 'scp'):
        script = first / program
        script.write_text(f'#!/bin/sh\nexec {nacre(program)} -F {home}/.ssh/config "$@"\n')
        script.chmod(0o755)
    return {**os.environ, 'HOME': str(home), 'PATH': f'{first}:{os.environ["PATH"]}', 'LC_ALL': 'C.UTF-8'}


def test_ssh_copy_id(as_ssh, account, tmp_path):
    """Debian's script from openssh-client."""
    need('ssh-copy-id')
    if not account.temporary:
        pytest.skip("writes to the user's authorized_keys")
    key = make_key(str(tmp_path / 'new'), ['-t', 'ed25519'])
    askpass = tmp_path / 'askpass'
    askpass.write_text(f'#!/bin/sh\necho "{PASSWORD}"\n')
    askpass.chmod(0o755)
    config = tmp_path / 'home' / '.ssh' / 'config'
    config.write_text(re.sub('IdentityFile.*|BatchMode.*', '', config.read_text()))
    environment = {**as_ssh, 'SSH_ASKPASS': str(askpass), 'SSH_ASKPASS_REQUIRE': 'force', 'DISPLAY': ':0'}
    result = run(['ssh-copy-id', '-i', key + '.pub', 'target'], env=environment)
    assert result.returncode == 0, result.stderr
    assert b'Number of key(s) added: 1' in result.stdout, result.stderr
    with open(f'{account.home}/.ssh/authorized_keys') as file, open(key + '.pub') as added:
        assert added.read().strip() in file.read()


def test_lftp(as_ssh, account, workspace, tmp_path):
    need('lftp')
    (tmp_path / 'up').write_bytes(PAYLOAD)
    for scheme in ('sftp', 'fish'):
        commands = (f'set cmd:fail-exit yes; put {tmp_path}/up -o {workspace}/{scheme}; '
                    f'get {workspace}/{scheme} -o {tmp_path}/{scheme}')
        result = run(['lftp', '-c', f'open {scheme}://{account.name}:x@target; {commands}'], env=as_ssh)
        assert result.returncode == 0, result.stderr
        assert (tmp_path / scheme).read_bytes() == PAYLOAD


def test_borg(as_ssh, account, workspace, tmp_path):
    need('borg')
    (tmp_path / 'tree').mkdir()
    (tmp_path / 'tree' / 'file').write_bytes(PAYLOAD)
    environment = {**as_ssh, 'BORG_REPO': f'ssh://target{workspace}/repository',
                   'BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK': 'yes', 'BORG_RELOCATED_REPO_ACCESS_IS_OK': 'yes'}
    for words in (['init', '-e', 'none'], ['create', '::one', 'tree'], ['check']):
        result = run(['borg', *words], env=environment, cwd=str(tmp_path))
        assert result.returncode == 0, result.stderr
    os.mkdir(tmp_path / 'out')
    run(['borg', 'extract', '::one'], env=environment, cwd=str(tmp_path / 'out'), check=True)
    assert (tmp_path / 'out' / 'tree' / 'file').read_bytes() == PAYLOAD


def test_sshfs(as_ssh, workspace, tmp_path):
    need('sshfs', 'fusermount3')
    if not os.path.exists('/dev/fuse'):
        pytest.skip('no FUSE here')
    mounted = tmp_path / 'mounted'
    mounted.mkdir()
    result = run(['sshfs', f'target:{workspace}', str(mounted)], env=as_ssh)
    if result.returncode != 0 and (b'fuse' in result.stderr or b'mount' in result.stderr):
        pytest.skip('FUSE does not work here: ' + result.stderr.decode().strip())
    assert result.returncode == 0, result.stderr
    try:
        (mounted / 'file').write_bytes(PAYLOAD)
        assert (mounted / 'file').read_bytes() == PAYLOAD
        with open(os.path.join(workspace, 'file'), 'rb') as file:
            assert file.read() == PAYLOAD
    finally:
        run(['fusermount3', '-u', str(mounted)])


PLAYBOOK = '''- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.copy: {content: "hello", dest: "PLACE/copied"}
    - ansible.builtin.command: cat PLACE/copied
      register: said
    - ansible.builtin.assert: {that: said.stdout == "hello"}
'''


def test_ansible(as_ssh, workspace, tmp_path):
    need('ansible')
    (tmp_path / 'hosts').write_text('target ansible_python_interpreter=/usr/bin/python3\n')
    (tmp_path / 'play.yml').write_text(PLAYBOOK.replace('PLACE', workspace))
    environment = {**as_ssh, 'ANSIBLE_HOST_KEY_CHECKING': 'True', 'ANSIBLE_SSH_PIPELINING': 'True',
                   'ANSIBLE_REMOTE_TEMP': workspace, 'ANSIBLE_LOCAL_TEMP': str(tmp_path),
                   'ANSIBLE_NOCOWS': '1', 'ANSIBLE_SSH_ARGS': '-o ControlMaster=no'}
    ping = run(['ansible', '-i', str(tmp_path / 'hosts'), 'all', '-m', 'ping'], env=environment, timeout=120)
    assert b'"pong"' in ping.stdout, ping.stdout + ping.stderr
    play = run(['ansible-playbook', '-i', str(tmp_path / 'hosts'), str(tmp_path / 'play.yml')], env=environment,
               timeout=120)
    assert play.returncode == 0 and b'changed=2' in play.stdout, play.stdout + play.stderr
