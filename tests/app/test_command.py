"""The command ``soho app`` refuses in one sentence what it cannot do."""

import pytest

from soho import __main__ as command
from soho.app import command as app
from soho.errors import UserError
from soho.paths import CONFIGS


def test_without_gradio_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(app, 'find_spec', lambda name: None)
    with pytest.raises(
        SystemExit, match=r'^error: the page needs gradio, which is not installed: pip install "gradio>=6.31,<7"$'
    ):
        command.main(['app'])
    assert 'gradio>=6.31,<7' in (CONFIGS.parent / 'requirements' / 'app.txt').read_text()


def test_the_page_is_for_this_machine_unless_it_is_said_otherwise():
    with app.open_socket('127.0.0.1', 0) as listener:
        assert listener.getsockname()[0] == '127.0.0.1'
        port = listener.getsockname()[1]
        with pytest.raises(UserError, match=rf'^the page cannot be served from port {port} of 127\.0\.0\.1 \(.*in use'):
            app.open_socket('127.0.0.1', port)


@pytest.mark.parametrize(
    'host, port, sentence',
    [
        ('127.0.0.1', 70000, 'a port is a number from 0 to 65535, and 70000 is not'),
        ('192.0.2.1', 0, r'the page cannot be served from port 0 of 192\.0\.2\.1 \('),  # nobody's address
    ],
)
def test_a_place_that_there_is_not(host, port, sentence):
    with pytest.raises(UserError, match=sentence):
        app.open_socket(host, port)
