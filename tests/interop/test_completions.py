"""Completions of bash, zsh and fish, asked for in the shells themselves: hosts from the configuration
and from known hosts, options, keywords."""
import os
import re
import shlex
import shutil

import pytest

from conftest import BUILD, ROOT, need, run
from test_deploy import make

COMPLETIONS = os.path.join(ROOT, 'deploy/completions')
PROGRAMS = ('ssh', 'scp', 'sftp', 'ssh-add', 'ssh-agent', 'ssh-keygen', 'ssh-keyscan')
CONFIG = '''Host web1 web2 *.pattern !no
  User x
Include more/*
host = equals # comment
'''
KNOWN = '''known.example,10.9.8.7 ssh-ed25519 AAAA
[ported.example]:2222 ssh-ed25519 AAAA
|1|aaaa|bbbb ssh-ed25519 AAAA
@revoked revoked.example ssh-ed25519 AAAA
'''
HOSTS = {'web1', 'web2', 'included', 'equals', 'known.example', '10.9.8.7', 'ported.example'}

BASH = r'''
. {file}
COMP_WORDS=({words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_nacre {program}
printf '%s\n' "${{COMPREPLY[@]}}"
'''
# A terminal is needed for zsh's widgets: the list is taken where they hand it over.
ZSH = r'''
fpath=({folder} $fpath)
autoload -U compinit && compinit -u -D
compadd() {{
	local -a taken
	builtin compadd -A taken "$@"
	print -rl -- $taken >> {out}
	return 1
}}
zle -C probe complete-word probe
probe() {{ _main_complete }}
bindkey '^I' probe
'''


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / '.ssh'
    (folder / 'more').mkdir(parents=True)
    (folder / 'config').write_text(CONFIG)
    (folder / 'more' / 'one').write_text('Host included\n')
    (folder / 'known_hosts').write_text(KNOWN)
    return tmp_path


def environment(home):
    return {**os.environ, 'HOME': str(home), 'PATH': os.path.join(BUILD, 'bin') + ':' + os.environ['PATH']}


def bash(home, *words):
    """Words as readline has them: "=" is one of its own."""
    text = BASH.format(file=shlex.quote(f'{COMPLETIONS}/nacre.bash'), program=words[0],
                       words=' '.join(shlex.quote(word) for word in words))
    result = run(['bash', '--norc', '-c', text], env=environment(home), cwd=str(home))
    assert 'line ' not in result.stderr.decode(), result.stderr
    return set(result.stdout.decode().split())


def test_bash_hosts(home):
    found = bash(home, 'ssh', '')
    assert HOSTS <= found and not found & {'*.pattern', 'no', 'revoked.example'}
    assert bash(home, 'ssh', 'web') == {'web1', 'web2'}
    assert bash(home, 'ssh', 'joe@kno') == {'joe@known.example'}
    assert bash(home, 'ssh', '-J', 'por') == {'ported.example'}
    assert bash(home, 'sftp', 'incl') == {'included'}
    assert 'web1:' in bash(home, 'scp', 'file', 'web')
    (home / 'other').write_text('Host elsewhere\n')
    assert 'elsewhere' in bash(home, 'ssh', '-F', str(home / 'other'), 'else')


def letters(program):
    """The options in the usage of the program."""
    usage = run([os.path.join(BUILD, 'bin', program), '--nonsense'])
    text = (usage.stderr + usage.stdout).decode()
    found = set(''.join(re.findall(r'\[-([A-Za-z0-9]{2,})\]', text)))
    return found | set(re.findall(r'(?<![\w-])-([A-Za-z0-9])(?![\w-])', text))


@pytest.mark.parametrize('program', PROGRAMS)
def test_bash_options(home, program):
    found = bash(home, program, '-')
    assert {f'-{letter}' for letter in letters(program)} <= found


def test_bash_values(home):
    keywords = {line[1:].split('"')[1] for line in open(f'{ROOT}/common/config/ssh_table.c')
                if line.startswith('{"') and 'value_alias' not in line and 'value_ignored' not in line
                and 'value_unsupported' not in line}
    assert {word + '=' for word in keywords - {'Host', 'Match', 'Include'}} == bash(home, 'ssh', '-o', '')
    assert bash(home, 'ssh', '-o', 'stricthost') == {'StrictHostKeyChecking='}
    assert bash(home, 'ssh', '-o', 'StrictHostKeyChecking', '=', 'acc') == {'accept-new'}
    assert bash(home, 'ssh', '-o', 'StrictHostKeyChecking', '=') >= {'ask', 'no'}
    assert 'aes128-ctr' in bash(home, 'ssh', '-c', 'aes')
    assert 'kex' in bash(home, 'ssh', '-Q', 'k')
    (home / 'id_test').write_text('')
    assert bash(home, 'ssh-add', 'id_') == {'id_test'}
    assert bash(home, 'ssh-keygen', '-t', 'ed2') == {'ed25519', 'ed25519-sk'}


def zsh(home, line):
    need('zsh')
    folder, out = home / 'functions', home / 'out'
    folder.mkdir(exist_ok=True)
    shutil.copy(f'{COMPLETIONS}/_nacre', folder)
    out.write_text('')
    (home / '.zshrc').write_text(ZSH.format(folder=folder, out=out))
    # What zpty types into an interactive shell; the list is complete when the next prompt is there.
    script = r'''
zmodload zsh/zpty
zpty shell zsh -i
zpty -w shell 'PS1=READY; echo'
zpty -r shell text '*READY*READY*'
zpty -n -w shell $1$'\t\x15echo DO''NE\n'
zpty -r shell text '*DONE*'
'''
    run(['zsh', '-f', '-c', script, 'zsh', line], env={**environment(home), 'TERM': 'dumb'}, cwd=str(home))
    return set(out.read_text().split())


def test_zsh(home):
    assert {'web1', 'web2'} <= zsh(home, 'ssh web')
    assert {'included', 'known.example', 'ported.example'} <= zsh(home, 'ssh ')
    assert 'StrictHostKeyChecking' in zsh(home, 'ssh -o Strict')
    assert 'aes128-ctr' in zsh(home, 'ssh -c aes')


def fish(home, line):
    need('fish')
    result = run(['fish', '-N', '-c', f'source {COMPLETIONS}/nacre.fish; complete -C {shlex.quote(line)}'],
                 env={**environment(home), 'XDG_CONFIG_HOME': str(home)}, cwd=str(home))
    assert result.returncode == 0, result.stderr
    return {words.split('\t')[0] for words in result.stdout.decode().splitlines()}


def test_fish(home):
    assert {'web1', 'web2', 'known.example'} <= fish(home, 'ssh ')
    assert 'StrictHostKeyChecking=' in fish(home, 'ssh -o Strict')
    assert 'aes128-ctr' in fish(home, 'ssh -c aes')
    assert {f'-{letter}' for letter in '46ACNvW'} <= fish(home, 'ssh -')


def test_installed_under_the_names_of_commands(tmp_path):
    result = make('install', f'DESTDIR={tmp_path}', 'PREFIX=/usr')
    assert result.returncode == 0, result.stderr
    for program in PROGRAMS:
        assert (tmp_path / 'usr/share/bash-completion/completions' / program).exists()
        assert (tmp_path / 'usr/share/fish/vendor_completions.d' / f'{program}.fish').exists()
    assert (tmp_path / 'usr/share/zsh/site-functions/_nacre').exists()
