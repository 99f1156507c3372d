"""A tamper-evident log in C2SP tlog-tiles layout: formats and verification, no IO, no clock, no randomness.

``merkle`` RFC 6962 hashing and proofs · ``tiles`` the resources of a log and the way they grow ·
``keys`` and ``notes`` signed notes · ``checkpoint`` signed tree heads · ``proofs`` receipts and
promises · ``timestamps`` RFC 3161 · ``policy`` what a verifier trusts · ``fsck`` verify a whole log ·
``succession`` rotation and recovery of the log key.

Nothing is imported here, so that a caller pays only for what it uses.
"""
