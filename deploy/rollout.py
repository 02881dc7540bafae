"""Blue/green: a new release takes over from the served one without a request lost, or not at all.

    serving (old) ---- newcomer starts beside it on the standby ports ---- canary passes
                  ---- the gateway moves over; the old one finishes what it has, then ends
                  ---- the same once more, back to the usual ports

A newcomer that cannot be read, does not start, fails its canary or scores its golden images otherwise than recorded is
ended and `current` points to the served release again; one that fails while the old one still runs gives the gateway
back to it.
"""

import time
from collections.abc import Callable
from pathlib import Path

from deploy.addresses import ServerAddresses
from deploy.errors import PreflightError
from deploy.kept_triton import KeptTriton
from deploy.target_file import TargetFile
from export.errors import GoldenError, ReleaseError
from export.release import CURRENT, Release, promote, read_release, verify_files

StartTriton = Callable[[Release, ServerAddresses], KeptTriton]
"""Starts a Triton over a release; raises PreflightError where that is impossible."""


class Rollout:
    """The Tritons of a deployment: one that serves and, while a release takes over, one beside it."""

    def __init__(
        self,
        first: KeptTriton,
        standby: ServerAddresses,
        start: StartTriton,
        target: TargetFile,
        drain_s: float,
        follows: bool,
        say: Callable[[str], None],
    ) -> None:
        """Takes over a Triton that serves.

        Args:
            first: The one that serves now; its addresses are the usual ones.
            standby: Where newcomers start.
            start: See `StartTriton`.
            target: Tells the gateway where to send requests.
            drain_s: How long the old one still runs after the gateway has moved: as long as a request may take.
            follows: Whether `current` is looked at.
            say: Shows one line to the user.
        """
        self.serving = first
        self._link = first.release.path.resolve().parent / CURRENT
        self._home = first.addresses
        self._standby = standby
        self._start = start
        self._target = target
        self._drain_s = drain_s
        self._follows = follows
        self._say = say
        self._newcomer: KeptTriton | None = None
        self._retiring: KeptTriton | None = None
        self._retires_at = 0.0
        self._stays = False
        self._refused = ""

    def tick(self) -> None:
        """Does the next step, if it is time for one; takes seconds at most."""
        if self._retiring is not None and (reason := self.serving.failure()):
            self._give_back(self._retiring, reason)
            return
        self.serving.watch()
        if self._newcomer is not None:
            self._prove(self._newcomer)
        elif self._retiring is not None:
            if time.monotonic() > self._retires_at:
                self._retiring.end()
                self._retiring = None
        elif (release := self._wanted()) is not None:
            self._say(f"release {release.release_id}: starting it beside {self.serving.release.release_id}")
            self._stays = False
            self._begin(release, self._standby if self.serving.addresses == self._home else self._home)
        elif self.serving.addresses != self._home and not self._stays:
            self._begin(self.serving.release, self._home)

    def end(self) -> None:
        """Ends all of them."""
        for triton in (self._newcomer, self._retiring, self.serving):
            if triton is not None:
                triton.end()

    def _wanted(self) -> Release | None:
        """The release that `current` points to, if it is another than the served one and sound."""
        served = self.serving.release.path.resolve()
        try:
            target = self._current() if self._follows else served
        except (OSError, RuntimeError):  # links that lead round and round
            target = served
        if target == served:
            self._refused = ""
            return None
        if target.name == self._refused:
            return None
        try:
            if target.parent != served.parent:
                raise ReleaseError(f"it is not in {served.parent}")
            release = read_release(target)
            verify_files(release)
        except (ReleaseError, OSError) as error:
            self._refuse(target.name, str(error))
            return None
        return release

    def _current(self) -> Path:
        """The folder that `current` points to; the served one's where there is no such link."""
        link = self._link
        return (link if link.is_symlink() else self.serving.release.path).resolve()

    def _begin(self, release: Release, addresses: ServerAddresses) -> None:
        try:
            self._newcomer = self._start(release, addresses)
        except (PreflightError, GoldenError, OSError) as error:
            self._refuse(release.release_id, str(error))

    def _prove(self, newcomer: KeptTriton) -> None:
        if reason := newcomer.failure():
            self._newcomer = None
            tail = newcomer.child.log_tail(5)
            newcomer.end(0)
            self._refuse(newcomer.release.release_id, f"Triton {reason}; its log ends:\n{tail}")
        elif newcomer.ready and self._send_gateway_to(newcomer):
            self._newcomer, self._retiring, self.serving = None, self.serving, newcomer
            self._retires_at = time.monotonic() + self._drain_s
            if newcomer.release.release_id != self._retiring.release.release_id:
                self._say(f"release {newcomer.release.release_id}: serves now")
            elif newcomer.addresses == self._home:
                self._say(f"release {newcomer.release.release_id}: back at port {self._home.grpc_port}")

    def _refuse(self, release_id: str, reason: str) -> None:
        """Stays with the served release."""
        served = self.serving.release
        if release_id == served.release_id:  # on its way back to the usual ports
            self._stays = True
            self._say(f"Triton stays at port {self.serving.addresses.grpc_port}: {reason}")
            return
        self._say(f"release {release_id} refused, {served.release_id} goes on: {reason}")
        self._point_back(release_id)

    def _give_back(self, old: KeptTriton, reason: str) -> None:
        """The one that took over failed while the old one still runs."""
        failed = self.serving
        if not self._send_gateway_to(old):
            return
        self.serving, self._retiring = old, None
        failed.end(0)
        if failed.release.release_id != old.release.release_id:
            self._say(f"release {failed.release.release_id}: Triton {reason}; {old.release.release_id} serves again")
            self._point_back(failed.release.release_id)
        else:
            self._stays = True
            self._say(f"Triton {reason}: the one at port {old.addresses.grpc_port} serves again")

    def _send_gateway_to(self, triton: KeptTriton) -> bool:
        """Whether the gateway could be told; if not, the next tick tries again."""
        try:
            self._target.write(triton.addresses.grpc_url)
        except OSError as error:
            self._say(f"the gateway cannot be sent to port {triton.addresses.grpc_port}: {error.strerror}")
            return False
        return True

    def _point_back(self, refused_id: str) -> None:
        """Lets `current` say what is served, unless it has been given another release meanwhile."""
        self._refused = refused_id
        try:
            if self._current().name == refused_id:
                promote(self.serving.release)
        except (ReleaseError, OSError, RuntimeError) as error:
            self._say(str(error))
