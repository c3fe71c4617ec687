"""Programs under valgrind: no invalid access, no use of what was never set, nothing lost."""
import os
import shutil

import pytest

from conftest import BUILD, SANITIZED, make_key, nacre, run

VALGRIND = shutil.which('valgrind')
SUPPRESSIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'valgrind.supp')
ERRORS = 99
pytestmark = [
    pytest.mark.skipif(VALGRIND is None, reason='valgrind is not installed'),
    pytest.mark.skipif(SANITIZED, reason='a build with sanitizers does not run under valgrind'),
]


def valgrind(log, *options):
    """What goes before a command; each process writes a report of its own."""
    return [VALGRIND, '--quiet', f'--error-exitcode={ERRORS}', '--leak-check=full',
            '--show-leak-kinds=definite', '--errors-for-leak-kinds=definite', '--num-callers=20', f'--suppressions={SUPPRESSIONS}',
            f'--log-file={log}/%p.valgrind', *options]


def clean(folder):
    """All reports of a folder are empty."""
    reports = [name for name in os.listdir(folder) if name.endswith('.valgrind')]
    assert reports, 'valgrind has not run'
    for name in reports:
        with open(os.path.join(folder, name), errors='replace') as file:
            text = file.read()
        assert text.strip() == '', text


def memory_checked(tmp_path, command, status=0, **options):
    options.setdefault('timeout', 120)
    result = run([*valgrind(tmp_path), *command], **options)
    clean(tmp_path)
    assert result.returncode == status, (result.stdout, result.stderr)
    return result


@pytest.mark.parametrize('options', [(), ('-c', 'aes128-gcm@openssh.com'), ('-C', '-c', 'aes256-ctr')],
                         ids=['default', 'aes-gcm', 'compressed'])
def test_client(tmp_path, nacre_ssh, nacre_sshd, options):
    data = os.urandom(100000)
    result = memory_checked(tmp_path, [*nacre_ssh.command(nacre_sshd, *options), 'cat; exit 5'], 5,
                            input=data)
    assert result.stdout == data


def test_client_that_is_refused(tmp_path, nacre_ssh, nacre_sshd):
    key = make_key(str(tmp_path / 'stranger'), ['-t', 'ed25519'])
    memory_checked(tmp_path, [*nacre_ssh.command(nacre_sshd, key=key), 'true'], 255)


def test_client_that_knows_another_host_key(tmp_path, nacre_ssh, nacre_sshd):
    key = make_key(str(tmp_path / 'other'), ['-t', 'ed25519'])
    with open(key + '.pub') as file:
        line = f'[127.0.0.1]:{nacre_sshd.port} ' + file.read()
    (tmp_path / 'known_hosts').write_text(line)
    command = nacre_ssh.command(nacre_sshd)
    result = memory_checked(tmp_path, [command[0], '-o', f'UserKnownHostsFile={tmp_path}/known_hosts',
                                       '-o', 'HostKeyAlgorithms=ssh-ed25519', *command[1:], 'true'], 255)
    assert b'REMOTE HOST IDENTIFICATION HAS CHANGED' in result.stderr


@pytest.mark.parametrize('protocol', [[], ['-O']], ids=['sftp', 'rcp'])
def test_scp(tmp_path, nacre_ssh, nacre_sshd, workspace, protocol):
    tree = tmp_path / 'tree'
    tree.mkdir()
    for number in range(5):
        (tree / str(number)).write_bytes(os.urandom(number * 30000))
    logs = tmp_path / 'logs'
    logs.mkdir()
    base = [nacre('scp'), '-q', '-r', *protocol, *nacre_ssh.options(nacre_sshd), '-P', str(nacre_sshd.port)]
    host = f'{nacre_sshd.user}@127.0.0.1'
    memory_checked(logs, [*base, str(tree), f'{host}:{workspace}/up'])
    memory_checked(logs, [*base, f'{host}:{workspace}/up', str(tmp_path / 'down')])
    for number in range(5):
        assert (tmp_path / 'down' / str(number)).read_bytes() == (tree / str(number)).read_bytes()


def test_keys_and_agent(tmp_path):
    """Key files of each kind, an agent that holds them, and both asked for them."""
    keygen, key = nacre('ssh-keygen'), str(tmp_path / 'key')
    for words in (['-t', 'ed25519', '-N', 'phrase', '-a', '2'], ['-t', 'ecdsa', '-N', '']):
        for path in (key, key + '.pub'):
            if os.path.exists(path):
                os.unlink(path)
        memory_checked(tmp_path, [keygen, '-q', '-f', key, *words])
        memory_checked(tmp_path, [keygen, '-l', '-v', '-f', key])
    memory_checked(tmp_path, [keygen, '-y', '-f', key])
    memory_checked(tmp_path, [keygen, '-p', '-P', '', '-N', 'other', '-a', '2', '-f', key])
    memory_checked(tmp_path, [keygen, '-y', '-P', 'wrong', '-f', key], 255)
    memory_checked(tmp_path, [keygen, '-p', '-P', 'other', '-N', '', '-f', key])
    inner = ' && '.join(f"{nacre('ssh-add')} {words}" for words in (f'-q {key}', '-l', '-L', f'-d {key}', '-D'))
    memory_checked(tmp_path, [nacre('ssh-agent'), '-T', 'sh', '-c', inner])
    logs = tmp_path / 'added'
    logs.mkdir()
    checked = ' '.join(valgrind(logs))
    run([nacre('ssh-agent'), '-T', 'sh', '-c', ' && '.join(
        f"{checked} {nacre('ssh-add')} {words}" for words in (f'-q {key}', '-l', '-L', f'-d {key}', '-D'))],
        check=True)
    clean(logs)


def test_server(tmp_path, place, servers, nacre_ssh, nacre_sshd):
    """One connection from start to end, the network process without the filter that valgrind's own
    calls would not pass; logged in, and refused."""
    program = os.path.join(BUILD, 'tests', 'sshd-unconfined')
    assert os.path.exists(program)
    folder = servers.folder('valgrind')
    os.chmod(folder, 0o777)
    command = ' '.join([*valgrind(folder), program, '-i', '-e', '-f', f'{nacre_sshd.folder}/sshd_config'])
    wrapper = os.path.join(folder, 'sshd')
    with open(wrapper, 'w') as file:
        file.write(f'#!/bin/sh\nexec {command} 2>>{folder}/log\n')
    os.chmod(wrapper, 0o755)
    through = ['-o', f'ProxyCommand={wrapper}', '-o', f'HostKeyAlias=[127.0.0.1]:{nacre_sshd.port}']
    result = nacre_ssh.run(nacre_sshd, 'cat; exit 3', *through, input=b'x' * 50000, timeout=120)
    assert (result.returncode, len(result.stdout)) == (3, 50000), result.stderr
    stranger = make_key(os.path.join(folder, 'stranger'), ['-t', 'ed25519'])
    assert nacre_ssh.run(nacre_sshd, 'true', *through, key=stranger, timeout=120).returncode == 255
    clean(folder)
