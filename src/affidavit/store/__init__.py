"""Adapters of ``core.ports``: SQLite, files, memory, clock and signing keys. They know no area.

``affidavit.bootstrap`` alone names them; everything else sees the ports.
"""
