"""Trees with what Linux allows in them, and comparing them, for the tests of copying."""
import os
import random
import stat


def make_tree(root, seed=1):
    """Odd names, sizes around the blocks, modes, times, links, empty and deep directories."""
    generator = random.Random(seed)
    os.makedirs(root)
    base = os.fsencode(root)
    for name in (b'plain', b'a b', b"quo'te\"", b'new\nline', b'\xff\xfe\x80', b'-rf', b'back\\slash',
                 b'*', b'$(echo no)', b'\xc3\xa4', b'x' * 255, b'; exit', b'~', b'{a,b}'):
        with open(os.path.join(base, name), 'wb') as file:
            file.write(generator.randbytes(100))
    for size in (0, 1, 32767, 32768, 32769, 261120, 1000003):
        with open(os.path.join(root, f'size{size}'), 'wb') as file:
            file.write(generator.randbytes(size))
    os.makedirs(os.path.join(root, 'deep', 'deeper', 'deepest'))
    os.makedirs(os.path.join(root, 'empty'))
    for number in range(150):
        with open(os.path.join(root, 'deep', 'deeper', f'f{number}'), 'w') as file:
            file.write(str(number))
    os.symlink('plain', os.path.join(root, 'link'))
    for name, mode in (('plain', 0o600), ('size1', 0o755), ('size0', 0o444)):
        os.chmod(os.path.join(root, name), mode)
    os.chmod(os.path.join(root, 'empty'), 0o500)
    os.utime(os.path.join(root, 'plain'), (1000000000, 981173106))
    os.utime(os.path.join(root, 'empty'), (1000000000, 1))
    return root


def picture(root, modes=True, times=False):
    """Everything below root: names to (type, mode, size, content, time); links are followed."""
    root, found = os.fsencode(root), {}
    for folder, folders, files in os.walk(root, followlinks=True):
        for name in folders + files:
            path = os.path.join(folder, name)
            status = os.stat(path)
            content = b''
            if stat.S_ISREG(status.st_mode):
                with open(path, 'rb') as file:
                    content = file.read()
            found[os.path.relpath(path, root)] = (
                stat.S_IFMT(status.st_mode), status.st_mode & 0o777 if modes else 0, content,
                int(status.st_mtime) if times else 0)
    return found


def assert_same(a, b, **how):
    first, second = picture(a, **how), picture(b, **how)
    assert sorted(first) == sorted(second)
    for name in first:
        assert first[name] == second[name], name
