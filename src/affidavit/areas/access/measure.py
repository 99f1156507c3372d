"""Drawing an API key: the secret leaves through the result, its digest through the command."""

from __future__ import annotations

import base64
import hashlib

from affidavit.areas.access import commands as c
from affidavit.core.area import Desk


def issue_key(request: c.IssueKey, desk: Desk) -> tuple[c.RecordKey, dict[str, str]]:
    """``afk_ENV_ID_SECRET``: 256 random bits behind the id of the key."""
    key = desk.key().hex()
    key_id = "-".join((key[:8], key[8:12], "4" + key[13:16], "8" + key[17:20], key[20:32]))
    secret = base64.urlsafe_b64encode(desk.key()).decode().rstrip("=")
    digest = "sha256:" + hashlib.sha256(secret.encode()).hexdigest()
    command = c.RecordKey(key_id, request.principal, request.for_env, request.expires, digest)
    return command, {"key": f"afk_{request.for_env}_{key_id}_{secret}"}
