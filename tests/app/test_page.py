"""The page as people use it: served by ``soho app``, asked by programs at once, and in a real browser."""

import http.client
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import soho
from soho.app.pictures import MAX_BYTES

BROWSER = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
PATIENCE = 120  # seconds, on a machine that is busy
ROOT = Path(soho.__file__).parents[1]
pytestmark = pytest.mark.skipif(find_spec('gradio') is None, reason='needs gradio, which the extra soho[app] brings')


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """The model that ships, under a name that a page has to escape."""
    file = tmp_path_factory.mktemp('model') / 'a<b>c.safetensors'
    shutil.copy(ROOT / 'resources' / 'models' / 'soho_vqa_synthetic' / 'model.safetensors', file)
    return file


@pytest.fixture(scope='module')
def url(checkpoint, tmp_path_factory):
    """Address of the page; when it has ended, nothing of what was uploaded is left."""
    folder = tmp_path_factory.mktemp('served')
    command = [sys.executable, '-m', 'soho', 'app', str(checkpoint), '--port', '0', '--device', 'cpu']
    environment = dict(os.environ, TMPDIR=str(folder), PYTHONPATH=str(ROOT), http_proxy='http://127.0.0.1:9')
    with open(folder / 'log', 'w') as log:
        page = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
    try:
        line = page.stdout.readline()
        assert line.startswith('soho app: http://127.0.0.1:'), (folder / 'log').read_text()
        yield line.split()[2]
    finally:
        page.terminate()
        assert page.wait(30) == 128 + 15
    assert [entry.name for entry in folder.iterdir()] == ['log']


def request(address, data=None, kind='application/json'):
    """Status and text of an answer; no proxy is asked."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {'Content-Type': kind} if data is not None else {}
    try:
        with opener.open(urllib.request.Request(address, data, headers), timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def send_long(url, headers, chunks):
    """Status of the answer to the beginning of a request, chunks of a MiB, that is not sent to its end."""
    connection = http.client.HTTPConnection(url.removeprefix('http://'), timeout=PATIENCE)
    connection.putrequest('POST', '/gradio_api/queue/join')
    for name, value in {'Content-Type': 'application/json', **headers}.items():
        connection.putheader(name, value)
    connection.endheaders()
    for _ in range(chunks):
        connection.send(b'100000\r\n' + bytes(1 << 20) + b'\r\n')
    with connection.getresponse() as answer:
        return answer.status


def upload(url, name, data):
    """The entry of a request for a picture that was uploaded."""
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="' + name.encode() + b'"\r\n\r\n' + data
    status, text = request(f'{url}/gradio_api/upload', body + b'\r\n--x--\r\n', 'multipart/form-data; boundary=x')
    assert status == 200, text
    return dict(path=json.loads(text)[0], meta={'_type': 'gradio.FileData'})


def ask(url, picture, question):
    """The first results of a request, or the message in their place."""
    status, text = request(f'{url}/gradio_api/call/ask', json.dumps(dict(data=[picture, question])).encode())
    assert status == 200, text
    _, stream = request(f'{url}/gradio_api/call/ask/{json.loads(text)["event_id"]}')
    event, data = stream.splitlines()[:2]
    found = json.loads(data.removeprefix('data: '))
    if event == 'event: error':
        return found['error'] if found else None
    results, message = found[0], found[4]
    return {entry['label']: entry['confidence'] for entry in results['confidences']} if results else message['value']


@pytest.fixture(scope='module')
def picture(url):
    """The sample, uploaded."""
    return upload(url, 'sample.jpg', Path(soho.sample_image()).read_bytes())


def test_several_people_ask_at_once(url, picture):
    vqa = soho.load('soho_vqa_synthetic', device='cpu')
    questions = ['What color is the circle?', 'What is behind the ring?', 'Is there a star?', 'How many circles?'] * 3
    with ThreadPoolExecutor(len(questions)) as pool:
        found = list(pool.map(lambda question: ask(url, picture, question), questions))
    for question, results in zip(questions, found):
        wanted = {item['answer']: item['score'] for item in vqa(soho.sample_image(), question)}
        assert list(results) == list(wanted), question
        np.testing.assert_allclose(list(results.values()), list(wanted.values()), atol=1e-4)


def test_what_is_refused(url, picture):
    question = 'Is there a star?'
    file = {'_type': 'gradio.FileData'}
    text = upload(url, 'notes.jpg', b'just text')
    assert 'notes.jpg is not a picture that can be read' in ask(url, text, question)
    assert 'There is no picture' in ask(url, None, question)
    assert 'Question is empty' in ask(url, picture, ' ')
    assert 'Question has 2000 characters' in ask(url, picture, 'x' * 2000)
    assert 'was deleted after an hour' in ask(url, dict(picture, path=picture['path'] + '.gone'), question)
    assert 'an address is not fetched' in ask(url, dict(path='http://192.0.2.1/a.jpg', meta=file), question)
    assert 'an address is not fetched' in ask(url, picture, dict(path='http://192.0.2.1/a.jpg', meta=file))
    own = soho.sample_image()  # a picture of the server's that nobody has uploaded
    assert 'this one was not' in ask(url, dict(path=own), question)
    assert 'this one was not' in ask(url, dict(path=f'{picture["path"]}/../../../..{own}'), question)
    assert 'this one was not' in ask(url, dict(path=None, url='data:image/png;base64,aaaa'), question)
    for hostile in (dict(path=own, meta=file), dict(path='/etc/passwd', meta=file), 'text', [1], 7):
        assert ask(url, hostile, question) is None  # by gradio
    assert ask(url, picture, dict(path='/etc/passwd', meta=file)) is None
    assert next(iter(ask(url, picture, question))) == 'no'  # and it goes on


def test_the_server_keeps_its_files_and_its_memory(url, picture):
    for path in ('/etc/passwd', soho.__file__):
        assert request(f'{url}/gradio_api/file={path}')[0] == 403
    assert send_long(url, {'Content-Length': str(MAX_BYTES + (2 << 20))}, 0) == 413  # before anything of it comes
    assert send_long(url, {'Transfer-Encoding': 'chunked'}, 27) == 413  # when too much has come
    status, text = request(f'{url}/gradio_api/run/ask', json.dumps(dict(data=[picture, 'Is there a star?'])).encode())
    assert status == 404 and 'join the queue' in text  # nobody passes by those who wait
    assert request(f'{url}/docs')[0] == 404


def test_a_name_is_text(url):
    status, text = request(f'{url}/config')
    assert status == 200 and 'a&lt;b&gt;c.safetensors' in text and '<b>c' not in text


@pytest.fixture(scope='module')
def browser():
    """A real browser that reaches this machine alone."""
    if BROWSER is None or find_spec('playwright') is None:
        pytest.skip('needs a Chromium (as of Debian) and the package playwright')
    from playwright.sync_api import sync_playwright

    arguments = ['--no-sandbox', '--disable-gpu', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1']
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=arguments)
        yield chromium
        chromium.close()


def open_page(browser, url, width, height):
    """The page in a window, and the addresses of all that it asks for."""
    window = browser.new_page(viewport=dict(width=width, height=height))
    window.set_default_timeout(1000 * PATIENCE)
    addresses = []
    window.on('request', lambda made: addresses.append(made.url))
    window.goto(url)
    window.wait_for_selector('#ask')
    return window, addresses


def test_a_person_asks_in_a_browser(browser, url, tmp_path):
    from playwright.sync_api import expect

    expect.set_options(timeout=1000 * PATIENCE)
    window, addresses = open_page(browser, url, 1280, 900)
    heading, where = window.locator('#results h2'), window.locator('#where')
    expect(heading).to_have_text('blue')
    expect(where.locator('img')).to_be_visible()
    question = window.locator('#text textarea')

    question.fill('What is behind the ring?')
    window.locator('#ask').click()
    expect(heading).to_have_text('grass')
    expect(where).to_contain_text('Where “grass” came from')
    window.get_by_role('button', name='Is there a star?').click()
    expect(heading).to_have_text('no')
    expect(question).to_have_value('Is there a star?')
    window.locator('#results .confidence-set', has_text='yes').click()
    expect(where).to_contain_text('Where “yes” came from')

    (tmp_path / '<img src=x>.jpg').write_text('just text')
    window.get_by_label('Remove Image').click()
    expect(heading).to_have_count(0)
    window.locator('#picture-0 input[type=file]').set_input_files(tmp_path / '<img src=x>.jpg')
    message = window.get_by_role('alert')
    expect(message).to_contain_text('is not a picture that can be read')
    assert not message.locator('img').count() and not window.locator('#results h2').count()

    Image.new('RGB', (64, 48), (200, 30, 30)).save(tmp_path / 'own.png')
    window.locator('#picture-0 input[type=file]').set_input_files(tmp_path / 'own.png')
    expect(message).to_have_count(0)
    window.locator('#ask').click()
    expect(heading).to_be_visible()

    assert len(addresses) > 20
    assert not [address for address in addresses if not address.startswith((f'{url}/', 'data:', f'blob:{url}/'))]
    window.close()


def test_the_page_fits_a_phone(browser, url):
    from playwright.sync_api import expect

    expect.set_options(timeout=1000 * PATIENCE)
    window, _ = open_page(browser, url, 390, 844)
    wide = '[...document.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > innerWidth + 1).length'
    assert window.evaluate('document.documentElement.scrollWidth') == 390 and window.evaluate(wide) == 0
    button = window.locator('#ask').bounding_box()
    assert button['width'] > 340 and button['height'] >= 44  # wide, and large enough for a thumb
    heading = window.locator('#results h2')
    window.set_viewport_size(dict(width=390, height=600))  # as above the keyboard
    expect(heading).not_to_be_in_viewport()
    window.locator('#text textarea').fill('What is behind the ring?')
    window.locator('#ask').click()
    expect(heading).to_have_text('grass')
    expect(heading).to_be_in_viewport()
    window.close()


def test_the_browser_is_told_to_load_nothing_from_elsewhere(browser, url):
    window, addresses = open_page(browser, url, 1280, 900)
    load = "new Promise(done => { const i = new Image(); i.onload = i.onerror = e => done(e.type); i.src = '%s' })"
    blocked = []
    window.on('console', lambda line: blocked.append(line.text))
    assert window.evaluate(load % 'https://example.com/a.png') == 'error'
    assert any('Content Security Policy' in line for line in blocked)
    window.close()
