"""Who may import whom: rooms from high to low, no circle, and nothing of what stands around the package."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# A room imports from those to the right of it only. What draws pictures reads what a model has learnt.
ORDER = ['__main__', 'app', 'apis', 'engine', 'evaluation', 'visualization', 'models', 'datasets']
# Below all rooms; they import only each other.
GROUND = {'errors', 'files', 'lazy', 'locks', 'paths', 'platform', 'ranks', 'registry', 'version'}


def names_of(path):
    parts = path.relative_to(ROOT).with_suffix('').parts
    return parts[:-1] if parts[-1] == '__init__' else parts


@cache
def modules():
    return {'.'.join(names_of(path)): path for path in (ROOT / 'soho').rglob('*.py')}


@cache
def imports(module):
    """Whatever a module imports, also inside of functions: absolute dotted names."""
    path = modules()[module]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = names_of(path) if path.name == '__init__.py' else names_of(path)[:-1]
            base = package[: len(package) - node.level + 1] if node.level else ()
            source = '.'.join([*base, *([node.module] if node.module else [])])
            found.add(source)
            found |= {f'{source}.{alias.name}' for alias in node.names if f'{source}.{alias.name}' in modules()}
    return found


def runs_first(module):
    """The modules of this package that an import of ``module`` runs: those it names, and the packages around both."""
    named = {name for name in imports(module) if name in modules()} | {module}
    around = {'.'.join(name.split('.')[:depth]) for name in named for depth in range(1, name.count('.') + 1)}
    own = {'.'.join(module.split('.')[:depth]) for depth in range(1, module.count('.') + 2)}
    return (named | around) - own


def room(module):
    return module.split('.')[1] if '.' in module else ''


@pytest.mark.parametrize('module', sorted(modules()))
def test_imports_go_downward(module):
    here = room(module)
    for name in imports(module):
        top = name.split('.')[0]
        assert top not in ('tests', 'tools', 'demo', 'configs'), f'{module} imports {name}'
        if top != 'soho' or name == 'soho':
            continue
        there = room(name)
        allowed = GROUND | ({*ORDER[ORDER.index(here) :]} if here in ORDER else set())
        assert there in allowed, f'{module} imports {name}, which stands above it'


def test_every_room_has_its_place():
    assert {room(module) for module in modules()} - {''} == {*ORDER} | GROUND


def test_there_is_no_circle():
    # A package only makes its names known (soho.lazy), so that nothing comes back to it.
    graph = {module: runs_first(module) for module in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(' -> '.join(error.args[1]))


def imported_by(statement):
    said = subprocess.run(
        [sys.executable, '-c', f'import sys\n{statement}\nprint(*{{name.split(".")[0] for name in sys.modules}})'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(said.stdout.split())


def test_packages_are_light():
    assert not {'torch', 'mmengine', 'numpy'} & imported_by('import soho')
    heavy = {'torchvision', 'transformers', 'pycocotools', 'cv2', 'sklearn'}
    assert not heavy & imported_by('import soho.engine, soho.datasets, soho.models, soho.evaluation, soho.apis')
    assert not heavy & imported_by('from soho.engine import ConfigError; import soho.registry')


def test_public_names_are_found_whatever_was_imported_before():
    imported_by(
        'from importlib import import_module; import pkgutil, soho\n'
        'packages = [m.name for m in pkgutil.walk_packages(soho.__path__, "soho.") if m.ispkg]\n'
        'for again in range(2):\n'
        '    for name in packages:\n'
        '        package = import_module(name)\n'
        '        for public in getattr(package, "__all__", ()):\n'
        '            import types; assert not isinstance(getattr(package, public), types.ModuleType), public\n'
        '            assert public in dir(package)\n'
        '    from soho.registry import import_parts; import_parts()\n'
    )


def test_an_unknown_name_is_an_attribute_error():
    import soho.engine

    with pytest.raises(AttributeError, match=r"module 'soho\.engine' has no attribute 'Runer'"):
        getattr(soho.engine, 'Runer')  # noqa: B009
    with pytest.raises(ImportError):
        from soho.engine import Runer  # noqa: F401
