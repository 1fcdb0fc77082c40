"""The official browser client for the tests that need it: fetched by npm once for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from socketeer.cli import client_files
from tests.support import requirements


@pytest.fixture(scope="session")
def client_cache(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of the environment with which the client is found."""
    requirements.npm()
    folder: Path = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOCKETEER_CACHE", str(folder))
        try:
            client_files.load()
        except client_files.ClientUnavailable as error:
            requirements.missing("the official client from npm", str(error))
    return {"SOCKETEER_CACHE": str(folder)}
