"""Log events to the folder `tensorboard` of a run; view it with `tensorboard --logdir runs`."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import msgspec
from torch.utils.tensorboard import SummaryWriter

from gancli import events
from gancli.files import image_io
from gancli.files.run_config import RunConfig
from gancli.files.run_folder import RunDir


class TensorBoard:
    """Logs scalars, images and warnings. The step is always the number of images seen."""

    def __init__(self) -> None:
        self.writer: SummaryWriter | None = None
        self.images_per_s: float | None = None

    def start(self, record: RunConfig, run: Path, nimg: int) -> None:
        self.run = RunDir(run)
        self.open(nimg)
        self.summary_writer.add_text("settings", settings_table(record), nimg)
        if nimg == 0:
            self.picture("reals", self.run.reals, 0)
            self.picture("frames", self.run.frame(0), 0)

    def open(self, nimg: int) -> None:
        """Continue in a new file; TensorBoard then hides logged steps after nimg."""
        self.end()
        folder = self.run.path / "tensorboard"
        if folder.is_symlink():
            raise ValueError(f"{folder} is a link; replace it with a folder")
        self.writer = SummaryWriter(str(folder), purge_step=nimg + 1)

    @property
    def summary_writer(self) -> SummaryWriter:
        assert self.writer is not None
        return self.writer

    def event(self, event: events.Event) -> None:
        match event:
            case events.Progress():
                self.images_per_s = event.images_per_s
            case events.Measured():
                speed = {"images_per_s": self.images_per_s} if event.kind == "tick" else {}
                self.numbers(event.kind, {**event.values, **speed}, event.nimg)
            case events.Scored():
                self.numbers("score", {**event.values, f"{event.name} floor": event.floor}, event.nimg)
            case events.Warned():
                if event.name == "diverged":
                    self.open(event.nimg)
                self.summary_writer.add_text("warnings", event.text, event.nimg)
            case events.FrameSaved():
                self.picture("frames", event.path, event.nimg)
            case events.SnapshotSaved() | events.RunEnded():
                self.summary_writer.flush()

    def numbers(self, group: str, values: Mapping[str, float | None], nimg: int) -> None:
        for name, value in values.items():
            if value is not None:
                self.summary_writer.add_scalar(f"{group}/{name}", value, nimg)

    def picture(self, name: str, path: Path, nimg: int) -> None:
        picture = image_io.read_png(path)
        self.summary_writer.add_image(name, picture, nimg, dataformats="HW" if picture.ndim == 2 else "HWC")

    def end(self) -> None:
        if self.writer is not None:
            self.writer.close()


def settings_table(record: RunConfig) -> str:
    """Format the settings as a Markdown table."""
    train, machine = dataclasses.asdict(record.train), msgspec.structs.asdict(record.machine)
    parts = {"preset": record.preset, **train, "data": record.data.name, **machine}
    return "\n".join(["| setting | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in parts.items())])
