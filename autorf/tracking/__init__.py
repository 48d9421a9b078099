"""The MLflow mirror of a study: a parent run, one child run a trial. Losing it loses nothing."""

from autorf.tracking.background import BackgroundMirror, open_mirror
from autorf.tracking.client import shown_uri, tracking_uri
from autorf.tracking.mirror import Mirror

__all__ = ["BackgroundMirror", "Mirror", "open_mirror", "shown_uri", "tracking_uri"]
