"""What the tests of the contract share."""

import pytest

from models.manifest import Draft
from tests import drafts


@pytest.fixture
def draft() -> Draft:
    return drafts.draft()
