"""The documents: every page is found from the index; links, paths and commands name what is there; what can be typed
as it stands works.
"""

import ast
import re
import runpy
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import soho
from soho.__main__ import FUNCTIONS, find_scripts
from tests.documents import blocks, is_typed, read_blocks, type_page, type_shell
from tests.official_files import write_official_files

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / 'docs'
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted(DOCS.rglob('*.md'))]
FENCE = re.compile(r'^```.*?^```$', re.DOTALL | re.MULTILINE)
LINK = re.compile(r'\[[^\]]+\]\(([^)\s]+)\)')
# A path of the repository that is written out: no ellipsis, pattern, or name in capitals that stands for another.
NAMED = re.compile(r'`((?:configs|demo|docker|docs|requirements|resources|soho|tests|tools)/[\w./-]*\w/?)`')
ACTIONS = '../../actions/workflows/'  # beside the files of a repository on GitHub
INDEX_OF_MODULES = re.compile(r"'([\w.]+)': \[([^\]]*)\]")


def texts_of(drawing: Path) -> list[str]:
    """What is written in an svg."""
    return re.findall(r'<text[^>]*>([^<]+)</text>', drawing.read_text(encoding='utf-8'))


def links_of(page: Path) -> Iterator[tuple[Path, str]]:
    """The files of the repository that a page links to, with the anchor; and the pages of its contents."""
    text = page.read_text()
    for target in LINK.findall(FENCE.sub('', text)):
        if target.startswith(ACTIONS):
            yield ROOT / '.github' / 'workflows' / target.removeprefix(ACTIONS).split('/')[0], ''
        elif not target.startswith(('http://', 'https://')):
            path, _, anchor = target.partition('#')
            yield (page.parent / path).resolve() if path else page, anchor
    for contents in re.findall(r'^```{toctree}\n(.*?)^```$', text, re.DOTALL | re.MULTILINE):
        names = [line for line in contents.splitlines() if line and not line.startswith(':')]
        yield from ((page.parent / f'{name}.md', '') for name in names)


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MyST make them."""
    titles = re.findall(r'^#+ (.*)$', FENCE.sub('', page.read_text()), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', title.lower()).strip().replace(' ', '-') for title in titles}


def options_of(file: Path, follow: bool = True) -> set[str]:
    """The long options in the code of a script, and of the modules of this project that it imports."""
    tree = ast.parse(file.read_text())
    found = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r'--[\w-]+', node.value)
    }
    for node in ast.walk(tree) if follow else ():
        if isinstance(node, ast.ImportFrom) and (node.module or '').split('.')[0] in ('soho', 'tools', 'demo'):
            for module in modules_of(node.module, {name.name for name in node.names}):
                found |= options_of(module, follow=False)
    return found


def modules_of(module: str, names: set[str]) -> Iterator[Path]:
    """The files that names are imported from; of a lazy package, those of its modules that give them."""
    place = ROOT.joinpath(*module.split('.'))
    if place.with_suffix('.py').is_file():
        yield place.with_suffix('.py')
    elif (place / '__init__.py').is_file():
        for below, given in INDEX_OF_MODULES.findall((place / '__init__.py').read_text()):
            if names & set(re.findall(r"'(\w+)'", given)):
                yield place.joinpath(*below.split('.')).with_suffix('.py')


def commands_of(page: Path) -> Iterator[list[str]]:
    """The command lines of a page's shell blocks, in words."""
    for block in blocks(page.read_text(), 'bash'):
        for line in re.sub(r'\\\n', ' ', block).splitlines():
            words = [word.strip('[]') for word in shlex.split(line, comments=True)]
            while words and re.match(r'\w+=', words[0]):
                del words[0]
            if words:
                yield words


def find_faults(words: list[str]) -> Iterator[str]:
    """What a command line names that is not there."""
    if words[0] == 'make':
        targets = re.findall(r'^(\w+):', (ROOT / 'Makefile').read_text(), re.MULTILINE)
        yield from (f'make {word}' for word in words[1:] if '=' not in word and word not in targets)
        return
    if words[0] == 'soho':
        scripts, name = find_scripts(), ' '.join(words[1:3])
        if words[1] in FUNCTIONS:
            file = Path(FUNCTIONS[words[1]].__code__.co_filename)
        elif words[1] in scripts or name in scripts:
            file = scripts.get(words[1]) or scripts[name]
        else:
            yield f'soho {words[1]}'
            return
        options = words[2:]
    else:
        place = next((i for i, word in enumerate(words) if re.fullmatch(r'tools/[\w/]+\.(py|sh)', word)), None)
        if place is None:
            return
        file, options = ROOT / words[place], words[place + 1 :]
        if not file.is_file():
            yield words[place]
            return
        if file.suffix == '.sh':  # its further arguments are those of what it starts
            file = ROOT / 'tools' / ('test.py' if 'test' in file.name else 'train.py')
    known = options_of(file)
    yield from (f'{file.name} {word}' for word in options if word.startswith('--') and word not in known)
    yield from (word for word in options if re.fullmatch(r'configs/[\w/]+\.py', word) and not (ROOT / word).is_file())


def test_the_picture_of_the_architecture_is_what_its_script_draws(tmp_path):
    """By its texts: other versions of matplotlib round differently."""
    runpy.run_path(str(DOCS / 'images' / 'draw_architecture.py'))['main']([str(tmp_path / 'drawn.svg')])
    drawn, kept = map(texts_of, (tmp_path / 'drawn.svg', DOCS / 'images' / 'architecture.svg'))
    assert drawn == kept and '“blue”' in kept


@pytest.mark.slow
def test_the_pictures_of_the_methods_are_what_the_models_compute(tmp_path, monkeypatch):
    """By their texts, and at a fifth of the size, where letters of another version of matplotlib look the same."""
    monkeypatch.syspath_prepend(DOCS / 'images')
    runpy.run_path(str(DOCS / 'images' / 'draw_methods.py'))['main']([str(tmp_path)])
    assert {file.name for file in tmp_path.iterdir()} == {
        'soho_attention.jpg',
        'soho_targets.svg',
        'soho_words.svg',
        'virtex_attention.jpg',
    }
    for drawn in tmp_path.iterdir():
        kept = DOCS / 'images' / drawn.name
        assert kept.stat().st_size < 150_000
        if drawn.suffix == '.svg':
            assert texts_of(drawn) == texts_of(kept)
        else:
            small = [np.asarray(Image.open(file).reduce(5), np.float32) for file in (drawn, kept)]
            assert np.abs(small[0] - small[1]).mean() < 2


def test_every_page_is_reached_from_the_index():
    reached, ahead = set(), [DOCS / 'index.md']
    while ahead:
        page = ahead.pop()
        if page not in reached and page.suffix == '.md' and DOCS in page.parents:
            reached.add(page)
            ahead += [target for target, _ in links_of(page)]
    assert reached == set(DOCS.rglob('*.md'))


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page):
    text = page.read_text()
    assert not [name for name in NAMED.findall(FENCE.sub('', text)) if not (ROOT / name).exists()]
    for target, anchor in links_of(page):
        assert target.exists(), target
        assert not anchor or anchor in anchors_of(target), f'{target}#{anchor}'
    assert not [fault for words in commands_of(page) for fault in find_faults(words)]


def test_workflows_run_what_is_there():
    """The targets of make and the scripts that the workflows of GitHub name; the links outside are asked apart from
    the tests.
    """
    ran = {
        file.name: re.findall(r'run: (.+)', file.read_text()) for file in (ROOT / '.github' / 'workflows').glob('*.yml')
    }
    assert ran['links.yml'] == ['make links'] and 'make docs' in ran['ci.yml']
    for line in (line.split() for lines in ran.values() for line in lines):
        assert not list(find_faults(line)) and (line[0] == 'make' or (ROOT / line[1]).is_file())


def test_faults_are_found():
    """What the test above relies on."""
    for line in (
        'python tools/trian.py CONFIG',
        'python tools/train.py CONFIG --resumee',
        'bash tools/dist_train.sh configs/VQA/none.py 8',
        'soho answer photos',
        'soho ask photos --otu answers.jsonl',
        'make demos',
    ):
        assert list(find_faults(line.split())), line
    for line in ('python tools/train.py CONFIG --resume --cfg-options a=1', 'soho ask photos q --out a', 'make demo'):
        assert not list(find_faults(line.split())), line


NOTE = re.compile(r'not run: \w.{13,}|run by `(tests/[\w/]+\.py)`')
# What begins a line that is meant for a shell, wherever it stands.
COMMAND = re.compile(r'(?:\$ )?(?:[A-Z_]+=\S+ )*(?:python|pip|soho|make|bash|git|torchrun|srun|export) \S')
TYPED = [page for page in PAGES if any(map(is_typed, read_blocks(page.read_text())))]


def notes_at_fault(page: Path) -> Iterator[str]:
    """The blocks of a page that are neither typed by a test nor say why not."""
    text = page.read_text()
    for block in read_blocks(text):
        found = NOTE.fullmatch(block.note)
        if block.note and not found:
            yield f'line {block.line}: {block.note!r} is no note'
        elif found and found[1] and page.name not in (ROOT / found[1]).read_text():
            yield f'line {block.line}: {found[1]} does not read {page.name}'
        elif block.language != 'bash' and COMMAND.match(block.text):
            yield f'line {block.line}: commands for a shell stand in a block of bash'
    for number, line in enumerate(FENCE.sub(lambda block: '\n' * block[0].count('\n'), text).splitlines(), 1):
        if line.startswith('    ') and COMMAND.match(line.strip()):
            yield f'line {number}: commands for a shell stand in a block of bash'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_for_a_shell_is_run_or_says_why_not(page):
    assert not list(notes_at_fault(page))


def test_blocks_without_a_reason_are_found(tmp_path):
    """What the test above relies on."""
    page = tmp_path / 'page.md'
    for text in (
        '<!-- not run: no -->\n```bash\nmake demo\n```\n',
        '<!-- run by `tests/test_files.py` -->\n```bash\nmake demo\n```\n',
        '```console\n$ soho models\n```\n',
        '```\npython tools/train.py\n```\n',
        'Then:\n\n    python tools/train.py CONFIG\n',
    ):
        page.write_text(text)
        assert len(list(notes_at_fault(page))) == 1, text
    page.write_text('<!-- not run: eight GPUs are needed -->\n```bash\nmake demo\n```\n```bash\nsoho models\n```\n')
    assert not list(notes_at_fault(page))
    assert [is_typed(block) for block in read_blocks(page.read_text())] == [False, True]


@pytest.fixture
def checkout(tmp_path, monkeypatch, synthetic):
    """A folder like a checkout in which the demo has been run, on the tiny data set, with pictures of one's own."""
    for name in ('configs', 'requirements', 'resources', 'tests', 'tools'):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(synthetic, tmp_path / 'data' / 'synthetic' / 'demo')
    (tmp_path / 'photos').mkdir()
    for picture in ('photo.jpg', 'photos/a.jpg', 'photos/b.jpg'):
        shutil.copy(soho.sample_image(), tmp_path / picture)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_what_is_typed_behaves_as_in_a_shell(checkout, commands):
    """What the test below relies on: folder, environment, output, and a stop at the first command that fails."""
    text = 'export A=b\npython -c "import os; print(os.environ[\'A\'], os.getcwd())" | cat\nsoho ask none.jpg what\nls'
    said = type_shell(text, checkout, commands)
    assert said.returncode == 1
    assert said.stdout.splitlines() == [f'b {checkout.resolve()}', 'error: there is no image none.jpg']


@pytest.mark.slow
@pytest.mark.parametrize('page', TYPED, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_says_works(page, checkout, commands, synthetic):
    if page.name == 'how_to.md':
        pytest.importorskip('timm')
        write_official_files(checkout, synthetic / 'vocab.txt', synthetic / 'captions.model')
    type_page(page, checkout, commands)
