"""What the page shows for a recording. Knows nothing of the page itself."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import torch

from data_modules.audio import Array, load_audio, read_info
from data_modules.batch import collate
from data_modules.errors import MediaError, SermmError
from sermm.demo.picture import picture
from sermm.extract_compute import one_thread
from sermm.predict.cutting import Cutting
from sermm.predict.predictor import Predictor
from sermm.predict.recording import Prediction, Recording
from sermm.tasks.fusion import AlignedFusionTask


@dataclass(frozen=True)
class Limits:
    """What one request may ask for.

    Attributes:
        seconds: Longest recording.
        letters: Longest text.
    """

    seconds: float = 1800.0
    letters: int = 30_000  # half an hour of speech


@dataclass(frozen=True)
class Answer:
    """What is shown.

    Attributes:
        shares: Probability of each class or label; empty for ratings.
        ratings: By name; empty for classes and labels.
        picture: Waveform with words and attention, as HTML.
        timeline: Rows of start, end, predicted, probability.
        notes: Lines that a reader must know.
    """

    shares: dict[str, float]
    ratings: dict[str, float]
    picture: str
    timeline: list[tuple[str, str, str, str]]
    notes: list[str]


class Judge:
    """Answers requests, one at a time: the model and the aligner hold the state of one clip.

    Args:
        predictor: Of the model.
        limits: What a request may ask for.
    """

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self.predictor = predictor
        self.limits = limits
        self._lock = Lock()

    def answer(self, path: Path | None, text: str | None, cutting: Cutting | None) -> Answer:
        """Judge a recording.

        Args:
            path: Of the uploaded file; None for words alone.
            text: What is said; None or empty if nobody says so.
            cutting: How a long recording is cut; None judges it as a whole.

        Raises:
            SermmError: It is too long, cannot be read, or lacks what the model needs. The message
                names no folder of the machine.
        """
        text = " ".join((text or "").split()) or None
        if text is not None and len(text) > self.limits.letters:
            raise _refusal(f"at most {self.limits.letters} letters", f"{len(text)}", "shorten it")
        waveform = None if path is None else self._read(path)
        with self._lock, one_thread():
            if waveform is None:
                return self._of_text(text)
            said = self.predictor.judge_waveform(
                waveform, name="the recording", text=text, cutting=cutting
            )
            attention = self._attention(waveform, text, said) if cutting is None else None
        return self._shown(waveform, said, attention)

    def _read(self, path: Path) -> Array:
        try:
            info = read_info(path)
            if info.duration_s > self.limits.seconds:
                raise _refusal(
                    f"at most {self.limits.seconds:g} s", f"{info.duration_s:.0f} s", "cut it"
                )
            return load_audio(path)
        except MediaError as error:
            # of the file the user knows its sound, and nothing of where it lies on the server
            raise MediaError(
                "the recording", expected=error.expected, got=error.got, fix="try another file"
            ) from None

    def _of_text(self, text: str | None) -> Answer:
        recording = Recording("the words", None, text)
        said = self.predictor.judge([(recording, self.predictor.encoder.encode(recording, None))])
        return Answer(dict(said[0].probabilities), dict(said[0].ratings), "", [], _notes(said))

    def _attention(
        self, waveform: Array, text: str | None, said: list[Prediction]
    ) -> np.ndarray | None:
        """Weights of the frames for each piece ``(L, F')``, where the model learned them."""
        task = self.predictor.model.task
        if not isinstance(task, AlignedFusionTask) or text is None:
            return None
        one = self.predictor.encoder.encode(
            Recording("the recording", None, text), waveform, timed=said[0].words or None
        )
        with torch.inference_mode():
            weights = task.frame_weights(collate([one.sample]))
        return None if weights is None else weights[0].numpy()

    def _shown(
        self, waveform: Array, said: list[Prediction], attention: np.ndarray | None
    ) -> Answer:
        names = self.predictor.model.facts.names
        sizes = np.array([(one.end_s or 0) - (one.start_s or 0) for one in said])
        whole = sizes / sizes.sum()

        def mean(values: list[float]) -> float:
            return float(np.dot(whole, values))

        shares = {}
        ratings = {}
        if said[0].probabilities:
            shares = {name: mean([one.probabilities[name] for one in said]) for name in names}
        else:
            ratings = {name: mean([one.ratings[name] for one in said]) for name in names}
        notes = _notes(said)
        if len(said) > 1:
            notes.append(f"the bars are means over {len(said)} parts, by their length")
        return Answer(
            shares=shares,
            ratings=ratings,
            picture=picture(waveform, said, attention, names),
            timeline=[_row(one) for one in said] if len(said) > 1 else [],
            notes=notes,
        )


def _refusal(expected: str, got: str, fix: str) -> MediaError:
    return MediaError("the recording", expected=expected, got=got, fix=fix)


def message_of(error: SermmError) -> str:
    """An error for the page, safe in HTML."""
    return html.escape(f"Expected {error.expected}, got {error.got}; {error.fix}.")


def _row(one: Prediction) -> tuple[str, str, str, str]:
    if one.probabilities:
        likely = max(one.probabilities.items(), key=lambda pair: pair[1])
        value = f"{likely[1]:.2f}"
    else:
        value = ", ".join(f"{name} {rating:.2f}" for name, rating in one.ratings.items())
    return f"{one.start_s or 0:.1f}", f"{one.end_s or 0:.1f}", one.label, value


def _notes(said: list[Prediction]) -> list[str]:
    notes = list(dict.fromkeys(note for one in said for note in one.notes))
    conditions = {one.condition for one in said} - {""}
    notes += [f"judged with {condition.replace('-', ' ')}" for condition in sorted(conditions)]
    sources = {source for one in said for source in one.word_times}
    if sources:
        notes.append(f"word times by {', '.join(sorted(sources))}")
    if said[0].probabilities and not said[0].calibrated:
        notes.append("probabilities are not calibrated")
    return notes
